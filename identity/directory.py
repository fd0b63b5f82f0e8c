"""The use cases on projects, users and roles; who may do them is decided here, from the token of who asks."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from foundation.database import Transaction
from foundation.errors import Forbidden, Invalid
from foundation.ids import new_hex_id
from identity.model import (
    ADMIN,
    DEFAULT_DOMAIN_ID,
    NAME_LENGTH_MAX,
    Domain,
    DomainId,
    DomainNotFound,
    NameTaken,
    Project,
    ProjectId,
    ProjectNotFound,
    Role,
    RoleAssignment,
    RoleNotFound,
    Token,
    Unauthenticated,
    User,
    UserId,
    UserNotFound,
)
from identity.passwords import hash_password
from identity.service import verify_password
from identity.store import projects, roles, tokens, users

LIST_MAX = 1_000
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class NewProject:
    """A project to make."""

    name: str
    domain_id: str = DEFAULT_DOMAIN_ID
    description: str = ""
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user to make; without a password it cannot sign in."""

    name: str
    password: str | None
    domain_id: str = DEFAULT_DOMAIN_ID
    description: str = ""
    email: str | None = None
    enabled: bool = True
    default_project_id: str | None = None


def is_admin(actor: Token) -> bool:
    """Tell whether a token, of whatever scope, is an admin's."""
    return ADMIN in actor.roles


def require_admin(actor: Token) -> None:
    """Raise Forbidden unless the token is an admin's."""
    if not is_admin(actor):
        raise Forbidden("You are not authorized to perform the requested action: it needs the admin role.")


def keep_oneself(actor: Token, user: User) -> None:
    """Refuse that an admin locks itself out: so whoever is left can always sign in and mend what was done."""
    if user.id == actor.user_id:
        raise Forbidden("You cannot delete or disable yourself: another admin can.")


def keep_own_project(actor: Token, project: Project) -> None:
    """Refuse that the project goes in which the actor acts, and with it the token and the way to sign in."""
    if project.id == actor.project_id:
        raise Forbidden("You cannot delete or disable the project that you act in: sign in to another one.")


def check_name(name: str) -> None:
    """Refuse a name that is empty, blank at an end, too long, or has a control character."""
    if not name or name != name.strip() or len(name) > NAME_LENGTH_MAX or CONTROL_CHARACTER.search(name):
        raise Invalid(
            f"a name has 1 to {NAME_LENGTH_MAX} characters, without blanks at its ends or control characters",
            field="name",
        )


def list_domains(tx: Transaction) -> Sequence[Domain]:
    """Return every domain; their names are no secret, clients need them to sign in."""
    return projects.list_domains(tx)


def get_domain(tx: Transaction, domain_id: str) -> Domain:
    """Return a domain or raise DomainNotFound."""
    for domain in projects.list_domains(tx):
        if domain.id == domain_id:
            return domain
    raise DomainNotFound(domain_id)


def list_projects(
    tx: Transaction,
    actor: Token,
    *,
    name: str | None = None,
    domain_id: str | None = None,
    enabled: bool | None = None,
    limit: int = LIST_MAX,
    marker: str | None = None,
) -> Sequence[Project]:
    """Return all projects to an admin, and to others those in which they have a role."""
    member_id = None if is_admin(actor) else actor.user_id
    return projects.list_projects(
        tx, name=name, domain_id=domain_id, enabled=enabled, member_id=member_id, limit=limit, marker=marker
    )


def list_projects_of_user(tx: Transaction, actor: Token, user_id: str) -> Sequence[Project]:
    """Return the enabled projects in which a user has a role: one's own, or for an admin anyone's."""
    get_user(tx, actor, user_id)
    return projects.list_projects(tx, member_id=UserId(user_id), enabled=True, limit=LIST_MAX)


def known_projects(tx: Transaction, ids: Sequence[str]) -> frozenset[str]:
    """Return which of the projects there are; for use cases that have already decided that their caller may know."""
    return projects.known_projects(tx, ids)


def hold_project(tx: Transaction, project_id: str) -> None:
    """Keep a project from being deleted until the transaction ends; raises ProjectNotFound where it is gone already.

    Whoever makes what would cost in a project does this first: the token was checked before, and the project may be deleted since.
    """
    if not projects.hold_project(tx, project_id):
        raise ProjectNotFound(project_id)


def lock_project(tx: Transaction, project_id: str) -> None:
    """Wait for what is being made in a project, before counting what it has; raises ProjectNotFound where it is gone."""
    if not projects.lock_project(tx, project_id):
        raise ProjectNotFound(project_id)


def get_project(tx: Transaction, actor: Token, project_id: str) -> Project:
    """Return a project that the actor may see, or raise ProjectNotFound."""
    project = projects.find_project(tx, project_id)
    if project is None:
        raise ProjectNotFound(project_id)
    if is_admin(actor) or project.id == actor.project_id:
        return project
    if roles.list_assignments(tx, user_id=actor.user_id, project_id=project_id, limit=1):
        return project
    raise ProjectNotFound(project_id)


def create_project(tx: Transaction, actor: Token, *, new: NewProject, now: datetime) -> Project:
    """Make a project."""
    require_admin(actor)
    check_name(new.name)
    domain = get_domain(tx, new.domain_id)
    project = Project(ProjectId(new_hex_id()), new.name, domain.id, new.description, new.enabled, now)
    if not projects.insert_project(tx, project):
        raise NameTaken("project", new.name)
    return project


def update_project(tx: Transaction, actor: Token, *, project_id: str, changes: Mapping[str, Any]) -> Project:
    """Change name, description or enabled; disabling revokes the project's tokens."""
    require_admin(actor)
    project = get_project(tx, actor, project_id)
    changed = replace(project, **changes)
    check_name(changed.name)
    same_name = projects.find_project_by_name(tx, changed.name, domain_id=project.domain_id)
    if same_name is not None and same_name.id != project.id:
        raise NameTaken("project", changed.name)
    if not changed.enabled:
        keep_own_project(actor, project)
    projects.update_project(tx, changed)
    if not changed.enabled:
        tokens.delete_project_tokens(tx, project.id)
    return changed


def delete_project(tx: Transaction, actor: Token, *, project_id: str) -> None:
    """Delete a project, its role assignments and tokens."""
    require_admin(actor)
    project = get_project(tx, actor, project_id)
    keep_own_project(actor, project)
    projects.delete_project(tx, project.id)


def list_users(
    tx: Transaction,
    actor: Token,
    *,
    name: str | None = None,
    domain_id: str | None = None,
    enabled: bool | None = None,
    limit: int = LIST_MAX,
    marker: str | None = None,
) -> Sequence[User]:
    """Return the users; only an admin may."""
    require_admin(actor)
    return users.list_users(tx, name=name, domain_id=domain_id, enabled=enabled, limit=limit, marker=marker)


def get_user(tx: Transaction, actor: Token, user_id: str) -> User:
    """Return a user: oneself, or for an admin anyone; else raise UserNotFound."""
    user = users.find_user(tx, user_id)
    if user is None or not (is_admin(actor) or user.id == actor.user_id):
        raise UserNotFound(user_id)
    return user


def create_user(tx: Transaction, actor: Token, *, new: NewUser, now: datetime) -> User:
    """Make a user."""
    require_admin(actor)
    check_name(new.name)
    domain = get_domain(tx, new.domain_id)
    user = User(
        id=UserId(new_hex_id()),
        name=new.name,
        domain_id=DomainId(domain.id),
        description=new.description,
        email=new.email,
        enabled=new.enabled,
        default_project_id=checked_default_project(tx, actor, new.default_project_id),
        created_at=now,
    )
    password_hash = hash_password(new.password) if new.password is not None else None
    if not users.insert_user(tx, user, password_hash=password_hash):
        raise NameTaken("user", new.name)
    return user


def checked_default_project(tx: Transaction, actor: Token, project_id: str | None) -> ProjectId | None:
    """Return a default project that exists."""
    return get_project(tx, actor, project_id).id if project_id else None


def update_user(tx: Transaction, actor: Token, *, user_id: str, changes: Mapping[str, Any]) -> User:
    """Change a user; a new password, or disabling, revokes the user's tokens."""
    require_admin(actor)
    user = get_user(tx, actor, user_id)
    wanted = dict(changes)
    password = wanted.pop("password", None)
    if "default_project_id" in wanted:
        wanted["default_project_id"] = checked_default_project(tx, actor, wanted["default_project_id"])
    changed = replace(user, **wanted)
    check_name(changed.name)
    if not changed.enabled:
        keep_oneself(actor, user)
    same_name = users.list_users(tx, name=changed.name, domain_id=user.domain_id, limit=1)
    if same_name and same_name[0].id != user.id:
        raise NameTaken("user", changed.name)
    users.update_user(tx, changed)
    if password is not None:
        users.update_password_hash(tx, user.id, hash_password(password))
    if password is not None or not changed.enabled:
        tokens.delete_user_tokens(tx, user.id)
    return changed


def change_own_password(tx: Transaction, actor: Token, *, user_id: str, original: str, password: str) -> None:
    """Change one's own password, knowing the old one; every token of the user is revoked, this one too.

    Raises Unauthenticated for a wrong old one, also where somebody changed it while it was verified: theirs stays.
    """
    if user_id != actor.user_id:
        raise UserNotFound(user_id)
    login = verify_password(users.find_login(tx, user_id=actor.user_id), original)
    if original == password:
        raise Invalid("the new password is the old one", field="password")
    if not users.replace_password_hash(tx, login, hash_password(password)):
        raise Unauthenticated
    tokens.delete_user_tokens(tx, login.user_id)


def delete_user(tx: Transaction, actor: Token, *, user_id: str) -> None:
    """Delete a user, its role assignments and tokens."""
    require_admin(actor)
    user = get_user(tx, actor, user_id)
    keep_oneself(actor, user)
    users.delete_user(tx, user.id)


def list_roles(tx: Transaction, *, name: str | None = None) -> Sequence[Role]:
    """Return the roles; their names are no secret."""
    return roles.list_roles(tx, name=name)


def get_role(tx: Transaction, role_id: str) -> Role:
    """Return a role or raise RoleNotFound."""
    role = roles.find_role(tx, role_id)
    if role is None:
        raise RoleNotFound(role_id)
    return role


@dataclass(frozen=True, slots=True)
class Grant:
    """A role for a user in a project, or in the whole system where project_id is None; ids as the request gave them."""

    user_id: str
    role_id: str
    project_id: str | None


def assign_role(tx: Transaction, actor: Token, grant: Grant) -> None:
    """Give a user a role; giving it again changes nothing."""
    require_admin(actor)
    user = get_user(tx, actor, grant.user_id)
    role = get_role(tx, grant.role_id)
    project_id = get_project(tx, actor, grant.project_id).id if grant.project_id is not None else None
    roles.insert_assignment(tx, user_id=user.id, project_id=project_id, role_id=role.id)


def withdraw_role(tx: Transaction, actor: Token, grant: Grant) -> None:
    """Take a role away; tokens that rested on it lose it at once."""
    require_admin(actor)
    user = get_user(tx, actor, grant.user_id)
    role = get_role(tx, grant.role_id)
    project_id = get_project(tx, actor, grant.project_id).id if grant.project_id is not None else None
    if not roles.delete_assignment(tx, user_id=user.id, project_id=project_id, role_id=role.id):
        raise RoleNotFound(grant.role_id)
    is_own = user.id == actor.user_id and role.name == ADMIN
    if is_own and not roles.list_assignments(tx, user_id=user.id, role_id=role.id, limit=1):
        raise Forbidden("You cannot take your own last admin role away: another admin can.")


def list_assignments(
    tx: Transaction,
    actor: Token,
    *,
    user_id: str | None = None,
    project_id: str | None = None,
    role_id: str | None = None,
    system_only: bool = False,
) -> Sequence[RoleAssignment]:
    """Return who has which role where: all to an admin, to others their own; one more than LIST_MAX tells that there are others."""
    if not is_admin(actor):
        if user_id not in {None, actor.user_id}:
            raise Forbidden("You are not authorized to perform the requested action: it needs the admin role.")
        user_id = actor.user_id
    return roles.list_assignments(
        tx, user_id=user_id, project_id=project_id, role_id=role_id, system_only=system_only, limit=LIST_MAX + 1
    )
