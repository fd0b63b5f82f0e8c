"""The first accounts of an installation: generated passwords, never a default."""

from dataclasses import dataclass
from datetime import datetime

from foundation.database import Transaction
from foundation.ids import new_hex_id
from identity.model import (
    ADMIN,
    DEFAULT_DOMAIN_ID,
    DEFAULT_DOMAIN_NAME,
    MEMBER,
    READER,
    BootstrapAccount,
    Project,
    ProjectId,
    Role,
    RoleId,
    User,
    UserId,
    UserNotFound,
)
from identity.passwords import generate_password, hash_password
from identity.store import projects, roles, tokens, users

ADMIN_NAME, DEMO_NAME = "admin", "demo"
"""Each names a user and its project."""

BOOTSTRAP_LOCK = 0x6E6570686F  # "nepho"


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """What bootstrap made; an account that was there already is None, since nobody knows its password."""

    admin: BootstrapAccount | None
    demo: BootstrapAccount | None


def bootstrap(tx: Transaction, now: datetime) -> Bootstrap:
    """Make the default domain, the roles, and the admin and demo projects with a user each, whatever of them is missing."""
    tx.execute("SELECT pg_advisory_xact_lock(%s)", (BOOTSTRAP_LOCK,))
    projects.ensure_domain(tx, DEFAULT_DOMAIN_ID, DEFAULT_DOMAIN_NAME)
    for name in (ADMIN, MEMBER, READER):
        roles.ensure_role(tx, Role(RoleId(new_hex_id()), name))
    role_ids = {role.name: role.id for role in roles.list_roles(tx)}
    admin_project, demo_project = (ensure_project(tx, name, now) for name in (ADMIN_NAME, DEMO_NAME))
    admin_id, admin = ensure_user(tx, ADMIN_NAME, project=admin_project, now=now)
    demo_id, demo = ensure_user(tx, DEMO_NAME, project=demo_project, now=now)
    roles.insert_assignment(tx, user_id=admin_id, project_id=admin_project.id, role_id=role_ids[ADMIN])
    roles.insert_assignment(tx, user_id=admin_id, project_id=None, role_id=role_ids[ADMIN])
    roles.insert_assignment(tx, user_id=demo_id, project_id=demo_project.id, role_id=role_ids[MEMBER])
    return Bootstrap(admin, demo)


def ensure_project(tx: Transaction, name: str, now: datetime) -> Project:
    """Return the project of a name in the default domain, made if it is missing."""
    found = projects.find_project_by_name(tx, name, domain_id=DEFAULT_DOMAIN_ID)
    if found is not None:
        return found
    project = Project(ProjectId(new_hex_id()), name, DEFAULT_DOMAIN_ID, "", True, now)
    projects.insert_project(tx, project)
    return project


def ensure_user(
    tx: Transaction, name: str, *, project: Project, now: datetime
) -> tuple[UserId, BootstrapAccount | None]:
    """Return the user of a name in the default domain, made with a generated password if it is missing."""
    found = users.list_users(tx, limit=1, name=name, domain_id=DEFAULT_DOMAIN_ID)
    if found:
        return found[0].id, None
    password = generate_password()
    user = User(UserId(new_hex_id()), name, DEFAULT_DOMAIN_ID, "", None, True, project.id, now)
    users.insert_user(tx, user, password_hash=hash_password(password))
    return user.id, BootstrapAccount(name, project.name, password)


def reset_password(tx: Transaction, user_name: str) -> BootstrapAccount:
    """Give a user of the default domain a new generated password and revoke its tokens, for an operator who lost it."""
    found = users.list_users(tx, limit=1, name=user_name, domain_id=DEFAULT_DOMAIN_ID)
    if not found:
        raise UserNotFound(user_name)
    password = generate_password()
    users.update_password_hash(tx, found[0].id, hash_password(password))
    tokens.delete_user_tokens(tx, found[0].id)
    project = projects.find_project(tx, found[0].default_project_id or "")
    return BootstrapAccount(user_name, project.name if project is not None else "", password)
