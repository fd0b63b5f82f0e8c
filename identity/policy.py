"""Who may do what: pure answers from a caller's roles and project."""

from datetime import UTC, datetime

from foundation.errors import Forbidden
from identity.model import ADMIN, MEMBER, READER, Caller, ProjectId, UserId

NO_EXPIRY = datetime.max.replace(tzinfo=UTC)


def is_admin(caller: Caller) -> bool:
    """Tell whether the caller operates the cloud: the admin role in any project, as OpenStack has it, or the product itself."""
    return ADMIN in caller.roles or caller.is_system


def may_read(caller: Caller, project_id: str) -> bool:
    """Tell whether the caller may see what the project owns; where not, the answer must be as if it did not exist."""
    return is_admin(caller) or (caller.project_id == project_id and READER in caller.roles)


def may_write(caller: Caller, project_id: str) -> bool:
    """Tell whether the caller may change what the project owns."""
    return is_admin(caller) or (caller.project_id == project_id and MEMBER in caller.roles)


def require_admin(caller: Caller) -> None:
    """Raise Forbidden unless the caller is an admin."""
    if not is_admin(caller):
        raise Forbidden("only an admin may do this")


def require_writer(caller: Caller) -> None:
    """Raise Forbidden unless the caller may change things in its own project (a reader may not)."""
    if not may_write(caller, caller.project_id):
        raise Forbidden("this needs the member role in the project")


def product_caller(
    *, project_id: str, project_name: str = "", user_id: str = "", user_name: str = "nephoscope"
) -> Caller:
    """Return the caller as whom the product works for a project by itself, such as when a scaling policy starts an instance."""
    return Caller(
        user_id=UserId(user_id),
        user_name=user_name,
        project_id=ProjectId(project_id),
        project_name=project_name,
        roles=frozenset({MEMBER, READER}),
        is_system=True,
        token_hash=b"",
        expires_at=NO_EXPIRY,
    )
