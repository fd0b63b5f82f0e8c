"""Keystone's JSON: request bodies into references and changes, nouns into answers."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from foundation.errors import Invalid
from identity.model import DEFAULT_DOMAIN_NAME, Domain, Project, Role, RoleAssignment, Token, User
from identity.service import DefaultScope, NoScope, ProjectScope, Reference, Scope, SystemScope

Text = Annotated[str, StringConstraints(max_length=255)]
LongText = Annotated[str, StringConstraints(max_length=4096)]
Secret = Annotated[str, StringConstraints(max_length=4096)]


class DomainWire(BaseModel):
    """A domain by id or name."""

    id: Text | None = None
    name: Text | None = None


class UserWire(BaseModel):
    """A user by id, or by name and domain, with its password."""

    id: Text | None = None
    name: Text | None = None
    domain: DomainWire = Field(default_factory=DomainWire)
    password: Secret


class PasswordWire(BaseModel):
    """The password method's part."""

    user: UserWire


class PresentedTokenWire(BaseModel):
    """The token method's part."""

    id: Secret


class IdentityWire(BaseModel):
    """How the caller proves who it is."""

    methods: list[Text] = Field(min_length=1, max_length=4)
    password: PasswordWire | None = None
    token: PresentedTokenWire | None = None


class ScopedProjectWire(BaseModel):
    """A project by id, or by name and domain."""

    id: Text | None = None
    name: Text | None = None
    domain: DomainWire = Field(default_factory=DomainWire)


class ScopeWire(BaseModel):
    """What the token shall be for."""

    project: ScopedProjectWire | None = None
    system: dict[str, Any] | None = None
    domain: DomainWire | None = None


class AuthWire(BaseModel):
    """Identity and scope."""

    identity: IdentityWire
    scope: ScopeWire | Literal["unscoped"] | None = None


class AuthBody(BaseModel):
    """POST /v3/auth/tokens; unknown members are ignored, as Keystone does."""

    auth: AuthWire


class NewProjectWire(BaseModel):
    """A project to make."""

    name: Text
    domain_id: Text = "default"
    description: LongText | None = None
    enabled: bool = True
    tags: list[Text] = Field(default_factory=list[str], max_length=0)


class NewProjectBody(BaseModel):
    """POST /v3/projects."""

    project: NewProjectWire


class ProjectChangesWire(BaseModel):
    """What may change of a project."""

    name: Text | None = None
    description: LongText | None = None
    enabled: bool | None = None
    tags: list[Text] | None = Field(None, max_length=0, exclude=True)


class ProjectChangesBody(BaseModel):
    """PATCH /v3/projects/{id}."""

    project: ProjectChangesWire


class NewUserWire(BaseModel):
    """A user to make."""

    name: Text
    password: Secret | None = None
    domain_id: Text = "default"
    description: LongText | None = None
    email: Text | None = None
    enabled: bool = True
    default_project_id: Text | None = None


class NewUserBody(BaseModel):
    """POST /v3/users."""

    user: NewUserWire


class UserChangesWire(BaseModel):
    """What may change of a user."""

    name: Text | None = None
    password: Secret | None = None
    description: LongText | None = None
    email: Text | None = None
    enabled: bool | None = None
    default_project_id: Text | None = None


class UserChangesBody(BaseModel):
    """PATCH /v3/users/{id}."""

    user: UserChangesWire


class PasswordChangeWire(BaseModel):
    """The old and the new password."""

    original_password: Secret
    password: Secret


class PasswordChangeBody(BaseModel):
    """POST /v3/users/{id}/password."""

    user: PasswordChangeWire


def from_wire_user(user: UserWire) -> Reference:
    """Read whom a password is for; a bare name is looked for in the default domain."""
    return to_reference(user.id, name=user.name, domain=user.domain)


def to_reference(reference_id: str | None, *, name: str | None, domain: DomainWire) -> Reference:
    """Make a reference; one without an id needs a name."""
    if reference_id is not None:
        return Reference(id=reference_id)
    if name is None:
        raise Invalid("Expecting to find id or name in user or project.")
    domain_name = domain.name if domain.id is not None or domain.name is not None else DEFAULT_DOMAIN_NAME
    return Reference(name=name, domain_id=domain.id, domain_name=domain_name)


def from_wire_scope(scope: ScopeWire | str | None) -> Scope:
    """Read the scope; none at all is the user's default project."""
    if scope is None:
        return DefaultScope()
    if isinstance(scope, str):
        return NoScope()
    if scope.project is not None:
        return ProjectScope(to_reference(scope.project.id, name=scope.project.name, domain=scope.project.domain))
    if scope.system is not None:
        return SystemScope()
    if scope.domain is not None:
        raise Invalid("a token can be scoped to a project or to the system, not to a domain", field="auth.scope.domain")
    return DefaultScope()


def to_wire_time(instant: datetime) -> str:
    """Write an instant as Keystone does: UTC with microseconds."""
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def to_wire_token(
    token: Token, *, roles: Sequence[Role], domains: Sequence[Domain], catalog: Sequence[dict[str, Any]] | None
) -> dict[str, Any]:
    """Write what a token says; implied roles are listed, and an unscoped token has neither roles nor catalog."""
    names = {domain.id: domain.name for domain in domains}
    wire: dict[str, Any] = {
        "methods": token.methods,
        "user": {
            "id": token.user_id,
            "name": token.user_name,
            "domain": {"id": token.user_domain_id, "name": names.get(token.user_domain_id)},
            "password_expires_at": None,
        },
        "audit_ids": [token.audit_id],
        "issued_at": to_wire_time(token.issued_at),
        "expires_at": to_wire_time(token.expires_at),
    }
    if token.project_id is not None and token.project_domain_id is not None:
        wire["project"] = {
            "id": token.project_id,
            "name": token.project_name,
            "domain": {"id": token.project_domain_id, "name": names.get(token.project_domain_id)},
        }
        wire["is_domain"] = False
    if token.is_system:
        wire["system"] = {"all": True}
    if token.project_id is not None or token.is_system:
        wire["roles"] = [{"id": role.id, "name": role.name} for role in roles if role.name in token.roles]
        if catalog is not None:
            wire["catalog"] = catalog
    return {"token": wire}


def to_wire_project(project: Project, url: str) -> dict[str, Any]:
    """Write a project; ours have no parent but their domain."""
    return {
        "id": project.id,
        "name": project.name,
        "domain_id": project.domain_id,
        "parent_id": project.domain_id,
        "is_domain": False,
        "description": project.description,
        "enabled": project.enabled,
        "tags": [],
        "options": {},
        "links": {"self": f"{url}/projects/{project.id}"},
    }


def to_wire_user(user: User, url: str) -> dict[str, Any]:
    """Write a user."""
    wire: dict[str, Any] = {
        "id": user.id,
        "name": user.name,
        "domain_id": user.domain_id,
        "description": user.description,
        "enabled": user.enabled,
        "password_expires_at": None,
        "options": {},
        "links": {"self": f"{url}/users/{user.id}"},
    }
    if user.email is not None:
        wire["email"] = user.email
    if user.default_project_id is not None:
        wire["default_project_id"] = user.default_project_id
    return wire


def to_wire_role(role: Role, url: str) -> dict[str, Any]:
    """Write a role."""
    links = {"self": f"{url}/roles/{role.id}"}
    return {"id": role.id, "name": role.name, "domain_id": None, "description": None, "options": {}, "links": links}


def to_wire_domain(domain: Domain, url: str) -> dict[str, Any]:
    """Write a domain."""
    return {
        "id": domain.id,
        "name": domain.name,
        "description": domain.description,
        "enabled": domain.enabled,
        "tags": [],
        "options": {},
        "links": {"self": f"{url}/domains/{domain.id}"},
    }


def to_wire_assignment(assignment: RoleAssignment, *, url: str, with_names: bool) -> dict[str, Any]:
    """Write who has which role where."""
    domain = {"id": "default", "name": DEFAULT_DOMAIN_NAME}
    role: dict[str, Any] = {"id": assignment.role_id}
    user: dict[str, Any] = {"id": assignment.user_id}
    if with_names:
        role["name"] = assignment.role_name
        user |= {"name": assignment.user_name, "domain": domain}
    scope: dict[str, Any] = {"system": {"all": True}}
    path = f"system/users/{assignment.user_id}/roles/{assignment.role_id}"
    if assignment.project_id is not None:
        project: dict[str, Any] = {"id": assignment.project_id}
        if with_names:
            project |= {"name": assignment.project_name, "domain": domain}
        scope = {"project": project}
        path = f"projects/{assignment.project_id}/users/{assignment.user_id}/roles/{assignment.role_id}"
    return {"role": role, "user": user, "scope": scope, "links": {"assignment": f"{url}/{path}"}}
