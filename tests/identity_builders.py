"""Builders of who asks."""

from collections.abc import Sequence
from datetime import UTC, datetime

from foundation.ids import new_hex_id
from identity.model import Caller, ProjectId, UserId

NOT_SOON = datetime(2030, 1, 1, tzinfo=UTC)


def a_caller(project_id: str | None = None, *, roles: Sequence[str] = ("member", "reader")) -> Caller:
    """A member of a project of its own."""
    project = ProjectId(project_id or new_hex_id())
    return Caller(
        user_id=UserId(new_hex_id()),
        user_name="ada",
        project_id=project,
        project_name="demo",
        roles=frozenset(roles),
        is_system=False,
        token_hash=b"",
        expires_at=NOT_SOON,
    )
