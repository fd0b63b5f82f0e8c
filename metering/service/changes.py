"""What has become known since somebody looked: by interval, without reading the usage itself."""

from collections.abc import Collection, Sequence
from uuid import UUID

from foundation.database import Transaction
from metering.changes import SeenInterval, in_order
from metering.existence import time_meter_of
from metering.store import changes as store


def find_changed(
    tx: Transaction, *, project_id: str, meters: Collection[str], intervals: Sequence[SeenInterval]
) -> set[UUID]:
    """Return the keys of the intervals whose segments or usage by these meters may be others now than in the snapshot of each.

    An interval that is not returned has not changed; one that is returned need not come to another sum. They share no time.
    """
    if not intervals:
        return set()
    ordered = in_order(intervals)
    changed = store.changed_lives(tx, project_id=project_id, intervals=ordered)
    changed |= store.changed_counters(tx, project_id=project_id, meters=meters, intervals=ordered)
    asked = {time.meter for time in map(time_meter_of, meters) if time is not None}
    if asked:
        changed |= store.changed_existences(tx, project_id=project_id, meters=asked, intervals=ordered)
    return changed
