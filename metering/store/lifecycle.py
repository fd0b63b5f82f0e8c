"""Lifecycle events: appended, never changed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import LiteralString

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from foundation.database import Transaction
from metering.model import LifecycleEvent, Snapshot
from metering.store.resources import KEEP_FORMER, hold_told_resource

INSERT_EVENT: LiteralString = """
    INSERT INTO lifecycle_event (event_id, instance_id, project_id, user_id, kind, state, observed_at, name, flavor_id,
        flavor_name, vcpus, ram_mib, disk_gib, image_id, host, metadata)
    VALUES (%(event_id)s, %(instance_id)s, %(project_id)s, coalesce(%(user_id)s, ''), %(kind)s, %(state)s,
        %(observed_at)s, %(name)s, %(flavor_id)s, %(flavor_name)s, %(vcpus)s, %(ram_mib)s, %(disk_gib)s, %(image_id)s,
        %(host)s, %(metadata)s)
    ON CONFLICT (event_id) DO NOTHING
"""


def insert_event(tx: Transaction, event: LifecycleEvent) -> bool:
    """Keep an event; False where it was kept before."""
    return tx.execute(INSERT_EVENT, {**asdict(event), "metadata": Jsonb(dict(event.metadata))}).rowcount == 1


IS_LATEST: LiteralString = """
    SELECT NOT EXISTS (SELECT FROM lifecycle_event
        WHERE instance_id = %s AND (observed_at, event_id) > (%s, %s))
"""


def is_latest(tx: Transaction, event: LifecycleEvent) -> bool:
    """Tell whether no later event of the instance is known."""
    row = tx.execute(IS_LATEST, (event.instance_id, event.observed_at, event.event_id)).fetchone()
    assert row is not None
    return bool(row[0])


EVENT_COLUMNS: LiteralString = """
    event_id, instance_id, project_id, nullif(user_id, '') AS user_id, kind, state, observed_at, name, flavor_id,
    flavor_name, vcpus, ram_mib, disk_gib, image_id, host, metadata
"""

LIST_EVENTS: LiteralString = (
    """
    WITH visible AS (
        SELECT * FROM lifecycle_event
        WHERE project_id = %(project_id)s AND observed_at < %(end)s
            AND (%(as_of)s::pg_snapshot IS NULL OR pg_visible_in_snapshot(written_xid, %(as_of)s::pg_snapshot))
    ),
    opening AS (
        SELECT DISTINCT ON (instance_id) * FROM visible v
        WHERE observed_at < %(start)s
        ORDER BY instance_id, observed_at DESC, event_id DESC
    ),
    gone AS (
        SELECT DISTINCT instance_id FROM visible WHERE observed_at < %(start)s AND state = 'deleted'
    )
    SELECT """
    + EVENT_COLUMNS
    + """ FROM (
        SELECT * FROM opening UNION ALL SELECT * FROM visible WHERE observed_at >= %(start)s
    ) e
    WHERE instance_id NOT IN (SELECT instance_id FROM gone)
    ORDER BY instance_id, observed_at, event_id
"""
)


def list_events(
    tx: Transaction, *, project_id: str, start: datetime, end: datetime, as_of: Snapshot | None
) -> Sequence[LifecycleEvent]:
    """Return what decides a project's segments in [start, end): the last event before it of each instance, and all within."""
    parameters = {"project_id": project_id, "start": start, "end": end, "as_of": as_of}
    with tx.cursor(row_factory=class_row(LifecycleEvent)) as cursor:
        return cursor.execute(LIST_EVENTS, parameters).fetchall()


FOLLOW_EVENT: LiteralString = (
    """
    WITH former AS (
        SELECT * FROM resource WHERE id = %(id)s
    ),
    kept AS (
"""
    + KEEP_FORMER
    + """
        WHERE NOT attributes @> %(attributes)s OR project_id <> %(project_id)s
            OR ended_at IS DISTINCT FROM %(ended_at)s
    )
    UPDATE resource SET
        attributes = attributes || %(attributes)s,
        started_at = least(started_at, %(observed_at)s),
        ended_at = %(ended_at)s,
        project_id = %(project_id)s,
        creator = '',
        deleted_at = NULL,
        revision_start = CASE
            WHEN NOT attributes @> %(attributes)s OR project_id <> %(project_id)s
                OR ended_at IS DISTINCT FROM %(ended_at)s
            THEN greatest(revision_start, %(observed_at)s) ELSE revision_start END
    WHERE id = %(id)s
"""
)


def facts_of(event: LifecycleEvent, *, attributes: Mapping[str, str]) -> dict[str, object]:
    """Name what an event says of its instance's resource as the statements do."""
    return {
        "id": event.instance_id,
        "resource_type": "instance",
        "original_resource_id": str(event.instance_id),
        "project_id": event.project_id,
        "user_id": event.user_id or "",
        "observed_at": event.observed_at,
        "ended_at": event.observed_at if event.state == "deleted" else None,
        "attributes": Jsonb(dict(attributes)),
    }


def hold_instance(tx: Transaction, event: LifecycleEvent, *, attributes: Mapping[str, str]) -> None:
    """Lock the resource of the instance that an event is about, made as the event says where it is not there."""
    hold_told_resource(tx, event.instance_id, facts_of(event, attributes=attributes))


def follow_event(tx: Transaction, event: LifecycleEvent, *, attributes: Mapping[str, str]) -> None:
    """Bring the instance's resource, which is locked, to what the event says, keeping its former state as a revision."""
    tx.execute(FOLLOW_EVENT, facts_of(event, attributes=attributes))
