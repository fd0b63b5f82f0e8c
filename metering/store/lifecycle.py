"""Lifecycle events: appended, never changed."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import LiteralString

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from foundation.database import Transaction
from metering.model import LifecycleEvent, Snapshot
from metering.store.resources import KEEP_FORMER, lock_resource

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


UPSERT_INSTANCE: LiteralString = (
    """
    WITH former AS (
        SELECT * FROM resource WHERE id = %(id)s
    ),
    kept AS (
"""
    + KEEP_FORMER
    + """
        WHERE NOT attributes @> %(attributes)s OR ended_at IS DISTINCT FROM %(ended_at)s
    )
    INSERT INTO resource AS r (id, resource_type, original_resource_id, project_id, user_id, started_at, ended_at,
        revision_start, attributes)
    VALUES (%(id)s, 'instance', %(original_id)s, %(project_id)s, %(user_id)s, %(observed_at)s, %(ended_at)s,
        %(observed_at)s, %(attributes)s)
    ON CONFLICT (id) DO UPDATE SET
        attributes = r.attributes || EXCLUDED.attributes,
        started_at = least(r.started_at, EXCLUDED.started_at),
        ended_at = EXCLUDED.ended_at,
        project_id = EXCLUDED.project_id,
        creator = '',
        deleted_at = NULL,
        revision_start = CASE
            WHEN NOT r.attributes @> EXCLUDED.attributes OR r.ended_at IS DISTINCT FROM EXCLUDED.ended_at
            THEN greatest(r.revision_start, EXCLUDED.revision_start) ELSE r.revision_start END
"""
)


def upsert_instance(
    tx: Transaction, event: LifecycleEvent, *, attributes: dict[str, str], ended_at: datetime | None
) -> None:
    """Bring the instance's resource to what the event says, keeping its former state as a revision."""
    parameters = {
        "id": event.instance_id,
        "original_id": str(event.instance_id),
        "project_id": event.project_id,
        "user_id": event.user_id or "",
        "observed_at": event.observed_at,
        "ended_at": ended_at,
        "attributes": Jsonb(attributes),
    }
    lock_resource(tx, event.instance_id)
    tx.execute(UPSERT_INSTANCE, parameters)
