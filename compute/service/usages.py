"""Since when and for how long a project had its instances: presence, whether they ran or not; what it costs is billing's."""

from collections.abc import Sequence
from uuid import UUID

from compute.model import InstanceLife
from compute.store import lives
from foundation.database import Transaction
from foundation.errors import Forbidden
from foundation.interval import TimeInterval
from identity import policy
from identity.model import Caller


def list_lives(
    tx: Transaction, *, caller: Caller, project_id: str | None, period: TimeInterval, marker: UUID | None, limit: int
) -> Sequence[InstanceLife]:
    """List what a project had in a period, by id, after a marker; None is all projects, which only an admin may ask for."""
    if not (policy.is_admin(caller) or (project_id is not None and policy.may_read(caller, project_id))):
        raise Forbidden("a project's use is seen by the project and by an admin")
    return lives.list_lives(tx, project_id=project_id, start=period.start, stop=period.end, marker=marker, limit=limit)
