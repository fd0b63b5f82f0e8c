"""The use cases of signing in: tokens are issued, looked at, and revoked at once, since every use asks the database."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias, assert_never

from foundation.database import Transaction
from identity.bootstrap import bootstrap as bootstrap
from identity.bootstrap import reset_password as reset_password
from identity.model import (
    Caller,
    IssuedToken,
    Project,
    ProjectId,
    ScopeRequired,
    Token,
    Unauthenticated,
    UserId,
)
from identity.passwords import is_password
from identity.store import projects, users
from identity.store import tokens as store
from identity.store.users import Login
from identity.tokens import hash_token, is_plausible_token, new_audit_id, new_token_secret


@dataclass(frozen=True, slots=True)
class Reference:
    """How a request names a user or a project: by id, or by name in a domain that is named by id or by name."""

    id: str | None = None
    name: str | None = None
    domain_id: str | None = None
    domain_name: str | None = None


@dataclass(frozen=True, slots=True)
class ProjectScope:
    """A token for one project."""

    project: Reference


@dataclass(frozen=True, slots=True)
class SystemScope:
    """A token for the system as a whole."""


@dataclass(frozen=True, slots=True)
class NoScope:
    """A token that only proves who one is."""


@dataclass(frozen=True, slots=True)
class DefaultScope:
    """The user's default project where there is one and the user has a role in it, else no scope."""


Scope: TypeAlias = ProjectScope | SystemScope | NoScope | DefaultScope


def find_login(tx: Transaction, user: Reference) -> Login | None:
    """Return what signing in needs of an enabled user; the password is verified outside the transaction, since it takes long."""
    return users.find_login(tx, user_id=user.id, name=user.name, domain_id=user.domain_id, domain_name=user.domain_name)


def verify_password(login: Login | None, password: str) -> Login:
    """Return the login if the password is right; else, or where there is no such user, raise Unauthenticated after the same time."""
    is_right = is_password(password, login.password_hash if login is not None else None)
    if login is None or not is_right:
        raise Unauthenticated
    return login


def authenticate(tx: Transaction, user: Reference, *, password: str) -> Login:
    """Find and verify in one call, for callers who may hold a transaction for that long."""
    return verify_password(find_login(tx, user), password)


def issue_token(
    tx: Transaction,
    login: Login,
    *,
    scope: Scope,
    methods: list[str],
    now: datetime,
    expires_at: datetime,
) -> IssuedToken:
    """Make a token for a scope in which the user has a role; raise Unauthenticated where it has none there.

    So too where the password is no longer the one that was verified: who changes it revokes the tokens that there are, and none may follow.
    """
    current = users.hold_login(tx, login.user_id)
    if current is None or current.password_hash != login.password_hash:
        raise Unauthenticated
    project_id = scoped_project_id(tx, login, scope)
    issued = insert_token(
        tx,
        login.user_id,
        project_id=project_id,
        is_system=isinstance(scope, SystemScope),
        methods=methods,
        issued_at=now,
        expires_at=expires_at,
    )
    if issued is None and isinstance(scope, DefaultScope):
        issued = insert_token(
            tx, login.user_id, project_id=None, is_system=False, methods=methods, issued_at=now, expires_at=expires_at
        )
    if issued is None:
        raise Unauthenticated
    return issued


def scoped_project_id(tx: Transaction, login: Login, scope: Scope) -> ProjectId | None:
    """Return the project of a scope, or None where it has none; an unknown project is Unauthenticated, like one without a role."""
    match scope:
        case ProjectScope(project=reference):
            project = find_referenced_project(tx, reference)
            if project is None or not project.enabled:
                raise Unauthenticated
            return project.id
        case DefaultScope():
            return login.default_project_id
        case SystemScope() | NoScope():
            return None
        case _:
            assert_never(scope)


def find_referenced_project(tx: Transaction, reference: Reference) -> Project | None:
    """Return the project that a reference names."""
    if reference.id is not None:
        return projects.find_project(tx, reference.id)
    if reference.name is None:
        return None
    return projects.find_project_by_name(
        tx, reference.name, domain_id=reference.domain_id, domain_name=reference.domain_name
    )


def insert_token(
    tx: Transaction,
    user_id: UserId,
    *,
    project_id: ProjectId | None,
    is_system: bool,
    methods: list[str],
    issued_at: datetime,
    expires_at: datetime,
) -> IssuedToken | None:
    """Write a token and read it back as its uses will; None, and nothing written, where the user has no role in the scope."""
    secret = new_token_secret()
    token_hash = hash_token(secret)
    store.insert_token(
        tx,
        token_hash,
        audit_id=new_audit_id(),
        methods=methods,
        user_id=user_id,
        project_id=project_id,
        is_system=is_system,
        issued_at=issued_at,
        expires_at=expires_at,
    )
    token = store.find_token(tx, token_hash, now=issued_at)
    if token is None:
        store.delete_token(tx, token_hash)
        return None
    return IssuedToken(secret, token)


def rescope_token(tx: Transaction, token: Token, *, scope: Scope, now: datetime) -> IssuedToken:
    """Make a token of another scope from one that holds; it expires when the first does."""
    login = users.hold_login(tx, token.user_id)
    if login is None or store.find_token(tx, token.hash, now=now) is None:
        raise Unauthenticated
    methods = sorted({*token.methods, "token"})
    return issue_token(tx, login, scope=scope, methods=methods, now=now, expires_at=token.expires_at)


def token_expiry(now: datetime, *, lifetime_s: int) -> datetime:
    """Return when a token issued now ends."""
    return now + timedelta(seconds=lifetime_s)


def inspect_token(tx: Transaction, secret: str, now: datetime) -> Token:
    """Return what a token says, whatever its scope; raise Unauthenticated where it does not hold."""
    token = store.find_token(tx, hash_token(secret), now=now) if is_plausible_token(secret) else None
    if token is None:
        raise Unauthenticated
    return token


def validate_token(tx: Transaction, secret: str, now: datetime) -> Caller:
    """Return the caller that a project-scoped token stands for; raise Unauthenticated, or ScopeRequired where it names no project."""
    return to_caller(inspect_token(tx, secret, now))


def revoke_token(tx: Transaction, token_hash: bytes) -> None:
    """End a token; its next use, in any process, is refused."""
    store.delete_token(tx, token_hash)


def forget_expired_tokens(tx: Transaction, now: datetime) -> int:
    """Delete tokens that have expired, a bounded number a call; return how many."""
    return store.delete_expired_tokens(tx, now=now)


def to_caller(token: Token) -> Caller:
    """Turn a project-scoped token into the caller that the other packages know."""
    if token.project_id is None or token.project_name is None:
        raise ScopeRequired
    return Caller(
        user_id=token.user_id,
        user_name=token.user_name,
        project_id=token.project_id,
        project_name=token.project_name,
        roles=token.roles,
        is_system=False,
        token_hash=token.hash,
        expires_at=token.expires_at,
    )
