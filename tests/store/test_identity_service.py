"""Identity on the real database: bootstrap, tokens and their scopes, the directory and who may touch it."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from foundation.database import Transaction
from foundation.errors import Forbidden, Invalid
from identity import directory, service
from identity.directory import Grant, NewProject, NewUser
from identity.model import (
    DEFAULT_DOMAIN_ID,
    IssuedToken,
    NameTaken,
    Project,
    ProjectNotFound,
    RoleNotFound,
    ScopeRequired,
    Token,
    Unauthenticated,
    User,
    UserNotFound,
)
from identity.service import DefaultScope, NoScope, ProjectScope, Reference, Scope, SystemScope

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PASSWORD = "correct horse battery"


@pytest.fixture
def admin(tx: Transaction) -> Token:
    """The admin's token for the admin project."""
    tx.execute("DELETE FROM user_account")
    made = service.bootstrap(tx, NOW).admin
    assert made is not None
    return signed_in(tx, "admin", password=made.password, scope=DefaultScope()).token


def signed_in(tx: Transaction, name: str, *, password: str = PASSWORD, scope: Scope) -> IssuedToken:
    login = service.authenticate(tx, Reference(name=name, domain_id=DEFAULT_DOMAIN_ID), password=password)
    expires_at = service.token_expiry(NOW, lifetime_s=3600)
    return service.issue_token(tx, login, scope=scope, methods=["password"], now=NOW, expires_at=expires_at)


def in_project(project: Project) -> ProjectScope:
    return ProjectScope(Reference(id=project.id))


def a_project(tx: Transaction, admin: Token) -> Project:
    return directory.create_project(tx, admin, new=NewProject(f"project-{uuid4().hex}"), now=NOW)


def a_member(tx: Transaction, admin: Token, project: Project, role: str = "member") -> User:
    user = directory.create_user(tx, admin, new=NewUser(f"user-{uuid4().hex}", PASSWORD), now=NOW)
    directory.assign_role(tx, admin, grant_of(tx, user, project, role))
    return user


def grant_of(tx: Transaction, user: User, project: Project, role: str) -> Grant:
    return Grant(user.id, directory.list_roles(tx, name=role)[0].id, project.id)


@pytest.mark.parametrize("name", ["", " a", "a ", "a" * 65, "a\nb", "a\x1b[2J", "a\x85b"])
def test_a_name_that_a_terminal_would_not_show_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        directory.check_name(name)
    directory.check_name("\u5c71\u7530\u3000\u592a\u90ce")


def test_bootstrap_makes_accounts_once_and_tells_their_passwords_once(tx: Transaction) -> None:
    tx.execute("DELETE FROM user_account")
    first = service.bootstrap(tx, NOW)
    again = service.bootstrap(tx, NOW)
    assert first.admin is not None
    assert first.demo is not None
    assert len(first.admin.password) >= 20
    assert first.admin.password != first.demo.password
    assert again.admin is None
    assert again.demo is None


def test_the_admin_of_bootstrap_has_the_system_and_the_demo_user_only_its_project(tx: Transaction) -> None:
    tx.execute("DELETE FROM user_account")
    made = service.bootstrap(tx, NOW)
    assert made.admin is not None
    assert made.demo is not None
    assert signed_in(tx, "admin", password=made.admin.password, scope=SystemScope()).token.is_system
    demo = signed_in(tx, "demo", password=made.demo.password, scope=DefaultScope()).token
    assert (demo.project_name, demo.roles) == ("demo", {"member", "reader"})
    with pytest.raises(Unauthenticated):
        signed_in(tx, "demo", password=made.demo.password, scope=SystemScope())


def test_a_lost_password_is_replaced_and_what_rested_on_it_ends(tx: Transaction, admin: Token) -> None:
    made = service.reset_password(tx, "demo")
    issued = signed_in(tx, "demo", password=made.password, scope=DefaultScope())
    service.reset_password(tx, "demo")
    with pytest.raises(Unauthenticated):
        service.validate_token(tx, issued.secret, NOW)
    with pytest.raises(UserNotFound):
        service.reset_password(tx, "nobody")


def test_a_token_stands_for_its_caller_until_it_expires(tx: Transaction, admin: Token) -> None:
    project = a_project(tx, admin)
    user = a_member(tx, admin, project)
    issued = signed_in(tx, user.name, scope=in_project(project))
    caller = service.validate_token(tx, issued.secret, NOW)
    assert (caller.user_id, caller.project_id, caller.project_name) == (user.id, project.id, project.name)
    assert caller.roles == {"member", "reader"}
    assert not caller.is_system
    service.validate_token(tx, issued.secret, NOW + timedelta(seconds=3599))
    with pytest.raises(Unauthenticated):
        service.validate_token(tx, issued.secret, NOW + timedelta(seconds=3600))


def test_only_the_hash_of_a_token_is_stored(tx: Transaction, admin: Token) -> None:
    issued = signed_in(tx, a_member(tx, admin, a_project(tx, admin)).name, scope=NoScope())
    row = tx.execute("SELECT count(*) FROM token t WHERE t::text LIKE %s", (f"%{issued.secret}%",)).fetchone()
    assert row == (0,)


def test_a_revoked_token_is_refused_at_once(tx: Transaction, admin: Token) -> None:
    issued = signed_in(tx, a_member(tx, admin, a_project(tx, admin)).name, scope=NoScope())
    service.revoke_token(tx, issued.token.hash)
    with pytest.raises(Unauthenticated):
        service.inspect_token(tx, issued.secret, NOW)


@pytest.mark.parametrize("secret", ["", "nph_", "nph_" + "x" * 43, "gAAAAAB", "nph_\ud800", "x" * 100_000])
def test_what_is_no_token_is_refused(tx: Transaction, secret: str) -> None:
    with pytest.raises(Unauthenticated):
        service.inspect_token(tx, secret, NOW)


def test_a_wrong_password_and_an_unknown_user_look_the_same(tx: Transaction, admin: Token) -> None:
    user = a_member(tx, admin, a_project(tx, admin))
    with pytest.raises(Unauthenticated) as wrong:
        signed_in(tx, user.name, password="wrong", scope=NoScope())
    with pytest.raises(Unauthenticated) as unknown:
        signed_in(tx, "nobody", password="wrong", scope=NoScope())
    assert wrong.value.message == unknown.value.message


def test_an_unscoped_token_is_no_caller_and_can_be_scoped_later(tx: Transaction, admin: Token) -> None:
    project = a_project(tx, admin)
    issued = signed_in(tx, a_member(tx, admin, project).name, scope=NoScope())
    with pytest.raises(ScopeRequired):
        service.validate_token(tx, issued.secret, NOW)
    scoped = service.rescope_token(tx, issued.token, scope=in_project(project), now=NOW + timedelta(seconds=60))
    assert scoped.token.project_id == project.id
    assert scoped.token.methods == ["password", "token"]
    assert scoped.token.expires_at == issued.token.expires_at


def test_a_project_without_a_role_an_unknown_and_a_disabled_one_cannot_be_the_scope(
    tx: Transaction, admin: Token
) -> None:
    mine, other = a_project(tx, admin), a_project(tx, admin)
    user = a_member(tx, admin, mine)
    for reference in (Reference(id=other.id), Reference(id="nowhere"), Reference(name=other.name, domain_id="none")):
        with pytest.raises(Unauthenticated):
            signed_in(tx, user.name, scope=ProjectScope(reference))
    directory.update_project(tx, admin, project_id=mine.id, changes={"enabled": False})
    with pytest.raises(Unauthenticated):
        signed_in(tx, user.name, scope=in_project(mine))


def test_taking_the_role_away_ends_what_the_token_could_do(tx: Transaction, admin: Token) -> None:
    project = a_project(tx, admin)
    user = a_member(tx, admin, project)
    directory.assign_role(tx, admin, grant_of(tx, user, project, "reader"))
    issued = signed_in(tx, user.name, scope=in_project(project))
    directory.withdraw_role(tx, admin, grant_of(tx, user, project, "member"))
    assert service.validate_token(tx, issued.secret, NOW).roles == {"reader"}
    directory.withdraw_role(tx, admin, grant_of(tx, user, project, "reader"))
    with pytest.raises(Unauthenticated):
        service.validate_token(tx, issued.secret, NOW)
    with pytest.raises(RoleNotFound):
        directory.withdraw_role(tx, admin, grant_of(tx, user, project, "reader"))


@pytest.mark.parametrize("changes", [{"enabled": False}, {"password": "another good one"}])
def test_disabling_a_user_or_changing_its_password_revokes_its_tokens(
    tx: Transaction, admin: Token, changes: dict[str, object]
) -> None:
    user = a_member(tx, admin, a_project(tx, admin))
    issued = signed_in(tx, user.name, scope=NoScope())
    directory.update_user(tx, admin, user_id=user.id, changes=changes)
    with pytest.raises(Unauthenticated):
        service.inspect_token(tx, issued.secret, NOW)


def test_deleting_a_user_or_a_project_revokes_their_tokens(tx: Transaction, admin: Token) -> None:
    project = a_project(tx, admin)
    user = a_member(tx, admin, project)
    scoped = signed_in(tx, user.name, scope=in_project(project))
    unscoped = signed_in(tx, user.name, scope=NoScope())
    directory.delete_project(tx, admin, project_id=project.id)
    with pytest.raises(Unauthenticated):
        service.inspect_token(tx, scoped.secret, NOW)
    service.inspect_token(tx, unscoped.secret, NOW)
    directory.delete_user(tx, admin, user_id=user.id)
    with pytest.raises(Unauthenticated):
        service.inspect_token(tx, unscoped.secret, NOW)


def test_a_member_sees_its_own_projects_and_itself_and_changes_nothing(tx: Transaction, admin: Token) -> None:
    mine, other = a_project(tx, admin), a_project(tx, admin)
    user = a_member(tx, admin, mine)
    token = signed_in(tx, user.name, scope=in_project(mine)).token
    assert [project.id for project in directory.list_projects(tx, token)] == [mine.id]
    assert directory.get_user(tx, token, user.id) == user
    with pytest.raises(ProjectNotFound):
        directory.get_project(tx, token, other.id)
    with pytest.raises(UserNotFound):
        directory.get_user(tx, token, admin.user_id)
    with pytest.raises(Forbidden):
        directory.list_users(tx, token)
    with pytest.raises(Forbidden):
        directory.create_project(tx, token, new=NewProject("mine too"), now=NOW)
    with pytest.raises(Forbidden):
        directory.assign_role(tx, token, grant_of(tx, user, mine, "admin"))


def test_one_changes_ones_own_password_knowing_the_old_one(tx: Transaction, admin: Token) -> None:
    user = a_member(tx, admin, a_project(tx, admin))
    token = signed_in(tx, user.name, scope=NoScope()).token
    with pytest.raises(Unauthenticated):
        directory.change_own_password(tx, token, user_id=user.id, original="wrong", password="another good one")
    directory.change_own_password(tx, token, user_id=user.id, original=PASSWORD, password="another good one")
    signed_in(tx, user.name, password="another good one", scope=NoScope())


def test_a_name_is_taken_once_in_a_domain(tx: Transaction, admin: Token) -> None:
    project, other = a_project(tx, admin), a_project(tx, admin)
    with pytest.raises(NameTaken):
        directory.create_project(tx, admin, new=NewProject(project.name), now=NOW)
    with pytest.raises(NameTaken):
        directory.update_project(tx, admin, project_id=other.id, changes={"name": project.name})
    user = a_member(tx, admin, project)
    with pytest.raises(NameTaken):
        directory.create_user(tx, admin, new=NewUser(user.name, None), now=NOW)


@pytest.mark.parametrize("name", ["", " blank", "x" * 65])
def test_a_name_has_1_to_64_characters(tx: Transaction, admin: Token, name: str) -> None:
    with pytest.raises(Invalid):
        directory.create_project(tx, admin, new=NewProject(name), now=NOW)


def test_a_page_of_projects_is_bounded_and_the_next_one_follows_it(tx: Transaction, admin: Token) -> None:
    made = sorted(a_project(tx, admin).id for _ in range(3))
    first = directory.list_projects(tx, admin, limit=2, marker=made[0])
    assert [project.id for project in first][:2] == made[1:]


def test_expired_tokens_are_forgotten(tx: Transaction, admin: Token) -> None:
    before = service.forget_expired_tokens(tx, NOW + timedelta(days=365))
    assert before >= 1
    assert service.forget_expired_tokens(tx, NOW + timedelta(days=365)) == 0
