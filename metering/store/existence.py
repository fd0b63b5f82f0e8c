"""What is told about resources other than instances: appended, never changed; and the resource as the last of it says."""

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from foundation.database import Transaction
from metering.existence import ResourceEvent
from metering.model import Snapshot
from metering.store.resources import KEEP_FORMER, hold_told_resource

INSERT_EVENT: LiteralString = """
    INSERT INTO resource_event (event_id, resource_id, resource_type, project_id, kind, meter, unit, is_end, size, grade,
        name, observed_at)
    VALUES (%(event_id)s, %(id)s, %(resource_type)s, %(project_id)s, %(kind)s, %(meter)s, %(unit)s, %(is_end)s,
        %(size)s, %(grade)s, %(name)s, %(observed_at)s)
    ON CONFLICT (event_id) DO NOTHING
"""


def insert_event(tx: Transaction, event: ResourceEvent) -> bool:
    """Keep an event; False where it was kept before."""
    return tx.execute(INSERT_EVENT, parameters_of(event)).rowcount == 1


def parameters_of(event: ResourceEvent) -> dict[str, object]:
    """Name an event's values as the statements do."""
    return {
        "event_id": event.event_id,
        "id": event.resource_id,
        "resource_type": event.resource_type,
        "original_resource_id": event.original_resource_id,
        "project_id": event.project_id,
        "user_id": event.user_id or "",
        "kind": event.kind,
        "meter": event.meter,
        "unit": event.unit,
        "is_end": event.is_end,
        "size": event.size,
        "grade": event.grade,
        "name": event.name,
        "observed_at": event.observed_at,
        "ended_at": event.observed_at if event.is_end else None,
        "attributes": Jsonb(dict(event.attributes)),
    }


IS_LATEST: LiteralString = """
    SELECT NOT EXISTS (SELECT FROM resource_event
        WHERE resource_id = %(id)s AND meter = %(meter)s AND CASE
            WHEN is_end THEN NOT %(is_end)s OR (observed_at, event_id) < (%(observed_at)s, %(event_id)s)
            ELSE NOT %(is_end)s AND (observed_at, event_id) > (%(observed_at)s, %(event_id)s) END)
"""


def is_latest(tx: Transaction, event: ResourceEvent) -> bool:
    """Tell whether an event says how the resource is now: an end before all others, of ends the first, else the last event."""
    row = tx.execute(IS_LATEST, parameters_of(event)).fetchone()
    assert row is not None
    return bool(row[0])


FOLLOW_EVENT: LiteralString = (
    """
    WITH former AS (
        SELECT * FROM resource WHERE id = %(id)s
    ),
    kept AS (
"""
    + KEEP_FORMER
    + """
        WHERE NOT attributes @> %(attributes)s OR project_id <> %(project_id)s OR (ended_at IS NULL AND %(is_end)s)
    )
    UPDATE resource SET
        attributes = attributes || %(attributes)s,
        resource_type = %(resource_type)s,
        started_at = least(started_at, %(observed_at)s),
        ended_at = %(ended_at)s,
        project_id = %(project_id)s,
        creator = '',
        deleted_at = NULL,
        revision_start = CASE
            WHEN NOT attributes @> %(attributes)s OR project_id <> %(project_id)s OR (ended_at IS NULL AND %(is_end)s)
            THEN greatest(revision_start, %(observed_at)s) ELSE revision_start END
    WHERE id = %(id)s
"""
)


def hold_resource(tx: Transaction, event: ResourceEvent) -> None:
    """Lock the resource that an event is about, made as the event says where it is not there."""
    hold_told_resource(tx, event.resource_id, parameters_of(event))


def follow_event(tx: Transaction, event: ResourceEvent) -> None:
    """Bring a resource, which is locked, to what the event says, keeping its former state as a revision."""
    tx.execute(FOLLOW_EVENT, parameters_of(event))


FIND_PROJECTS: LiteralString = """
    SELECT DISTINCT ON (resource_id) resource_id, project_id FROM (
        SELECT id AS resource_id, project_id, 'infinity'::timestamptz AS observed_at FROM resource
        WHERE id = ANY(%(ids)s) AND creator = '' AND project_id <> ''
        UNION ALL
        SELECT resource_id, project_id, observed_at FROM resource_event WHERE resource_id = ANY(%(ids)s)
    ) known
    ORDER BY resource_id, observed_at DESC
"""


def find_projects(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, str]:
    """Return whose the resources are that the product itself has metered."""
    return {row[0]: row[1] for row in tx.execute(FIND_PROJECTS, {"ids": list(ids)})}


LIST_EVENTS: LiteralString = """
    WITH own AS (
        SELECT DISTINCT resource_id FROM resource_event
        WHERE project_id = %(project_id)s AND meter = %(meter)s AND observed_at < %(end)s
            AND (%(resource_id)s::uuid IS NULL OR resource_id = %(resource_id)s)
    ),
    visible AS (
        SELECT e.* FROM resource_event e JOIN own USING (resource_id)
        WHERE e.meter = %(meter)s AND e.observed_at < %(end)s
            AND (%(as_of)s::pg_snapshot IS NULL OR pg_visible_in_snapshot(e.written_xid, %(as_of)s::pg_snapshot))
    ),
    opening AS (
        SELECT DISTINCT ON (resource_id) * FROM visible
        WHERE observed_at < %(start)s ORDER BY resource_id, observed_at DESC, event_id DESC
    ),
    gone AS (
        SELECT DISTINCT resource_id FROM visible WHERE observed_at < %(start)s AND is_end
    )
    SELECT e.event_id, e.resource_id, e.resource_type, r.original_resource_id, e.project_id, nullif(r.user_id, '') AS user_id,
        e.kind, e.meter, e.unit, e.is_end, e.size, e.grade, e.name, e.observed_at, e.written_xid::text::bigint AS written_xid
    FROM (SELECT * FROM opening UNION ALL SELECT * FROM visible WHERE observed_at >= %(start)s) e
    JOIN resource r ON r.id = e.resource_id
    WHERE e.resource_id NOT IN (SELECT resource_id FROM gone)
    ORDER BY e.resource_id, e.observed_at, e.event_id
"""


def list_events(
    tx: Transaction,
    *,
    project_id: str,
    meter: str,
    resource_id: UUID | None,
    start: datetime,
    end: datetime,
    as_of: Snapshot | None,
) -> Sequence[ResourceEvent]:
    """Return what decides the segments in [start, end) of resources that ever were a project's, other projects' times included."""
    parameters = {
        "project_id": project_id,
        "meter": meter,
        "resource_id": resource_id,
        "start": start,
        "end": end,
        "as_of": as_of,
    }
    with tx.cursor(row_factory=class_row(ResourceEvent)) as cursor:
        return cursor.execute(LIST_EVENTS, parameters).fetchall()
