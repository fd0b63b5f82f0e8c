"""The nouns of identity: who acts (user), who pays (project), what they may (role), and the token that proves it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NewType

from foundation.errors import Conflict, Forbidden, NotFound, Unavailable

ProjectId = NewType("ProjectId", str)
UserId = NewType("UserId", str)
RoleId = NewType("RoleId", str)
DomainId = NewType("DomainId", str)

DEFAULT_DOMAIN_ID = DomainId("default")
DEFAULT_DOMAIN_NAME = "Default"
NAME_LENGTH_MAX = 64
PASSWORD_BYTES_MAX = 1024

ADMIN, MEMBER, READER = "admin", "member", "reader"
IMPLIED_ROLES: Mapping[str, frozenset[str]] = {
    ADMIN: frozenset({ADMIN, MEMBER, READER}),
    MEMBER: frozenset({MEMBER, READER}),
    READER: frozenset({READER}),
}
"""What a role includes: an admin is a member, a member is a reader."""


@dataclass(frozen=True, slots=True)
class Domain:
    """A namespace of users and projects."""

    id: DomainId
    name: str
    description: str
    enabled: bool


@dataclass(frozen=True, slots=True)
class Project:
    """Who owns resources and pays for them."""

    id: ProjectId
    name: str
    domain_id: DomainId
    description: str
    enabled: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class User:
    """Who acts; the password's hash never leaves the store."""

    id: UserId
    name: str
    domain_id: DomainId
    description: str
    email: str | None
    enabled: bool
    default_project_id: ProjectId | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Role:
    """What a user may do in a project: admin, member or reader."""

    id: RoleId
    name: str


@dataclass(frozen=True, slots=True)
class RoleAssignment:
    """A user's role in a project, or in the whole system where the project is None."""

    user_id: UserId
    user_name: str
    project_id: ProjectId | None
    project_name: str | None
    role_id: RoleId
    role_name: str


@dataclass(frozen=True, slots=True)
class Token:
    """What a valid token says: its user, its scope (a project, the system, or neither) and the roles there now."""

    hash: bytes
    audit_id: str
    methods: list[str]
    user_id: UserId
    user_name: str
    user_domain_id: DomainId
    project_id: ProjectId | None
    project_name: str | None
    project_domain_id: DomainId | None
    is_system: bool
    assigned_roles: list[str]
    issued_at: datetime
    expires_at: datetime

    @property
    def roles(self) -> frozenset[str]:
        """The assigned roles and those they imply."""
        return expand_roles(self.assigned_roles)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request acts as, always in a project; is_system marks work that the product does by itself for the project."""

    user_id: UserId
    user_name: str
    project_id: ProjectId
    project_name: str
    roles: frozenset[str]
    is_system: bool
    token_hash: bytes
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token just made: the secret is shown once and only its hash is kept."""

    secret: str
    token: Token


@dataclass(frozen=True, slots=True)
class BootstrapAccount:
    """A user that bootstrap made; the password is returned once and never again."""

    user_name: str
    project_name: str
    password: str


def expand_roles(assigned: list[str]) -> frozenset[str]:
    """Return the assigned roles together with the roles that they imply."""
    return frozenset(implied for role in assigned for implied in IMPLIED_ROLES.get(role, frozenset({role})))


class Unauthenticated(Forbidden):
    """We do not know who is calling; every reason has the same sentence, so that nothing can be guessed from it."""

    def __init__(self, message: str = "The request you have made requires authentication.") -> None:
        super().__init__(message)


class ScopeRequired(Forbidden):
    """The token is good but says no project, and what was asked belongs to one."""

    def __init__(self) -> None:
        super().__init__("this needs a token that is scoped to a project; ask for one with a project name or id")


class TooManyLogins(Unavailable):
    """Too many sign-ins for this account or address, or too many at once; the caller waits and tries again."""

    def __init__(self, *, retry_after_s: int) -> None:
        super().__init__(f"too many sign-ins; try again in {retry_after_s} s", retry_after_s=retry_after_s)


class ProjectNotFound(NotFound):
    """No such project, or not the caller's."""

    def __init__(self, reference: str) -> None:
        super().__init__(f"Could not find project: {reference}.")


class UserNotFound(NotFound):
    """No such user."""

    def __init__(self, reference: str) -> None:
        super().__init__(f"Could not find user: {reference}.")


class RoleNotFound(NotFound):
    """No such role, or not assigned."""

    def __init__(self, reference: str) -> None:
        super().__init__(f"Could not find role: {reference}.")


class DomainNotFound(NotFound):
    """No such domain."""

    def __init__(self, reference: str) -> None:
        super().__init__(f"Could not find domain: {reference}.")


class TokenNotFound(NotFound):
    """The token to look at is unknown, expired or revoked."""

    def __init__(self) -> None:
        super().__init__("Could not find token.")


class NameTaken(Conflict):
    """Another project or user of the domain has the name."""

    def __init__(self, noun: str, name: str) -> None:
        super().__init__(f"Conflict occurred attempting to store {noun} - Duplicate entry found with name {name}.")
