"""Meters of events: making, finding and deleting them, how far the past is counted, and what they counted."""

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString
from uuid import UUID

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from foundation.database import Transaction
from foundation.errors import Unavailable
from metering.event_model import SUBJECT_TYPE, EventMeter, LogPosition, SubjectUsage

METERS_LOCK = 0x6E65_706F_6576
"""The advisory lock between taking in events (shared) and making meters (alone), so that none of them misses the other."""

WAIT_MS_MAX = 5_000
"""How long a meter waits for the events that are being taken in, since those that come after it wait meanwhile."""

SHARE_METERS: LiteralString = "SELECT pg_advisory_xact_lock_shared(%s)"
LIMIT_WAIT: LiteralString = "SELECT set_config('lock_timeout', %s, true)"
HOLD_METERS: LiteralString = "SELECT pg_advisory_xact_lock(%s)"


def share_meters(tx: Transaction) -> None:
    """Let no meter be made until the transaction ends."""
    tx.execute(SHARE_METERS, (METERS_LOCK,))


def hold_meters(tx: Transaction) -> None:
    """Wait for the events that are being taken in, and let none in until the transaction ends; raise Unavailable if that takes too long."""
    tx.execute(LIMIT_WAIT, (str(WAIT_MS_MAX),))
    try:
        tx.execute(HOLD_METERS, (METERS_LOCK,))
    except psycopg.errors.LockNotAvailable as error:
        raise Unavailable(
            "many events are being taken in at this moment; make the meter again in a few seconds"
        ) from error
    tx.execute(LIMIT_WAIT, ("0",))


METER_COLUMNS: LiteralString = """
    id, project_id, name, event_type, aggregation, value_path, unit, group_by, description, created_at, created_by,
    deleted_at, past_until, past_received_at, past_place, past_id, past_counted, past_skipped
"""
LIST_METERS: LiteralString = (
    "SELECT "
    + METER_COLUMNS
    + """
    FROM event_meter WHERE (project_id IS NULL OR project_id = %(project_id)s) AND deleted_at IS NULL
        AND (%(after)s::uuid IS NULL OR id > %(after)s)
    ORDER BY id LIMIT %(limit)s
"""
)


def list_meters(
    tx: Transaction, project_id: str, *, after: UUID | None = None, limit: int | None = None
) -> Sequence[EventMeter]:
    """Return the meters that count a project's events, those of every project among them, oldest first."""
    with tx.cursor(row_factory=class_row(EventMeter)) as cursor:
        return cursor.execute(LIST_METERS, {"project_id": project_id, "after": after, "limit": limit}).fetchall()


COUNT_METERS: LiteralString = """
    SELECT count(*) FROM event_meter
    WHERE deleted_at IS NULL AND (%(project_id)s::text IS NULL AND project_id IS NULL OR project_id = %(project_id)s)
"""


def count_meters(tx: Transaction, project_id: str | None) -> int:
    """Count the meters of a project, or (None) of every project."""
    row = tx.execute(COUNT_METERS, {"project_id": project_id}).fetchone()
    assert row is not None
    return int(row[0])


FIND_METERS: LiteralString = (
    "SELECT "
    + METER_COLUMNS
    + """
    FROM event_meter WHERE name = %(name)s
        AND (%(project_id)s::text IS NULL OR project_id IS NULL OR project_id = %(project_id)s)
    ORDER BY project_id NULLS FIRST LIMIT 2
"""
)


def find_meters_named(tx: Transaction, name: str, *, project_id: str | None) -> Sequence[EventMeter]:
    """Return the meters of a name, deleted ones too, that a project's could be mistaken for; None: any project's, at most two."""
    with tx.cursor(row_factory=class_row(EventMeter)) as cursor:
        return cursor.execute(FIND_METERS, {"name": name, "project_id": project_id}).fetchall()


INSERT_METER: LiteralString = """
    INSERT INTO event_meter (id, project_id, name, event_type, aggregation, value_path, unit, group_by, description,
        created_at, created_by, past_until)
    VALUES (%(id)s, %(project_id)s, %(name)s, %(event_type)s, %(aggregation)s, %(value_path)s, %(unit)s, %(group_by)s,
        %(description)s, %(created_at)s, %(created_by)s, %(past_until)s)
"""


def insert_meter(tx: Transaction, meter: EventMeter) -> None:
    """Make a meter."""
    tx.execute(
        INSERT_METER,
        {
            "id": meter.id,
            "project_id": meter.project_id,
            "name": meter.name,
            "event_type": meter.event_type,
            "aggregation": meter.aggregation,
            "value_path": meter.value_path,
            "unit": meter.unit,
            "group_by": Jsonb(meter.group_by),
            "description": meter.description,
            "created_at": meter.created_at,
            "created_by": meter.created_by,
            "past_until": meter.past_until,
        },
    )


REVIVE_METER: LiteralString = """
    UPDATE event_meter SET deleted_at = NULL, past_until = %(past_until)s, past_received_at = NULL, past_place = NULL,
        past_id = NULL, past_counted = 0, past_skipped = 0
    WHERE id = %(id)s
"""
DESCRIBE_METER: LiteralString = "UPDATE event_meter SET description = %s WHERE id = %s"
DELETE_METER: LiteralString = "UPDATE event_meter SET deleted_at = %s, past_until = NULL WHERE id = %s"


def revive_meter(tx: Transaction, meter_id: UUID, *, past_until: datetime) -> None:
    """Let a deleted meter count again, and what came meanwhile."""
    tx.execute(REVIVE_METER, {"id": meter_id, "past_until": past_until})


def describe_meter(tx: Transaction, meter_id: UUID, *, description: str) -> None:
    """Change what is said of a meter."""
    tx.execute(DESCRIBE_METER, (description, meter_id))


def mark_meter_deleted(tx: Transaction, meter_id: UUID, *, now: datetime) -> None:
    """Let a meter count no more."""
    tx.execute(DELETE_METER, (now, meter_id))


HAS_PAST_DUE: LiteralString = "SELECT EXISTS (SELECT FROM event_meter WHERE past_until IS NOT NULL)"
CLAIM_PAST_DUE: LiteralString = (
    "SELECT "
    + METER_COLUMNS
    + """
    FROM event_meter WHERE past_until IS NOT NULL AND (%(id)s::uuid IS NULL OR id = %(id)s)
    ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
"""
)
ADVANCE_PAST: LiteralString = """
    UPDATE event_meter SET past_counted = past_counted + %(counted)s, past_skipped = past_skipped + %(skipped)s,
        past_received_at = %(at)s, past_place = %(place)s, past_id = %(past_id)s,
        past_until = CASE WHEN %(is_done)s THEN NULL ELSE past_until END
    WHERE id = %(id)s
"""


def has_past_due(tx: Transaction) -> bool:
    """Tell whether a meter has past events left to count."""
    row = tx.execute(HAS_PAST_DUE).fetchone()
    return row is not None and bool(row[0])


def claim_past_due(tx: Transaction, meter_id: UUID | None = None) -> EventMeter | None:
    """Return a meter that has past events left, held until the transaction ends; None where others have them all."""
    with tx.cursor(row_factory=class_row(EventMeter)) as cursor:
        return cursor.execute(CLAIM_PAST_DUE, {"id": meter_id}).fetchone()


def advance_past(
    tx: Transaction, meter_id: UUID, *, counted: int, skipped: int, position: LogPosition | None, is_done: bool
) -> None:
    """Note how far the past is counted."""
    tx.execute(
        ADVANCE_PAST,
        {
            "id": meter_id,
            "counted": counted,
            "skipped": skipped,
            "at": None if position is None else position.received_at,
            "place": None if position is None else position.place,
            "past_id": None if position is None else position.id,
            "is_done": is_done,
        },
    )


SUM_COUNTED: LiteralString = """
    SELECT r.id AS resource_id, r.attributes,
        CASE %(aggregation)s
            WHEN 'max' THEN max(m.exact)
            WHEN 'last' THEN (array_agg(m.exact ORDER BY m.observed_at DESC, m.boot_epoch DESC))[1]
            ELSE sum(m.exact)
        END AS quantity,
        count(*)::bigint AS event_count, min(m.observed_at) AS first_observed_at, max(m.observed_at) AS last_observed_at
    FROM (
        SELECT id, attributes FROM resource
        WHERE project_id = %(project_id)s AND resource_type = %(resource_type)s
            AND (%(after)s::uuid IS NULL OR id > %(after)s)
            AND (%(subject)s::jsonb IS NULL OR attributes @> %(subject)s)
            AND EXISTS (SELECT FROM metric WHERE resource_id = resource.id AND name = %(meter)s)
        ORDER BY id
    ) r
    CROSS JOIN LATERAL (
        SELECT DISTINCT ON (v.observed_at, v.boot_epoch) v.observed_at, v.boot_epoch,
            CASE WHEN v.value = trunc(v.value) AND abs(v.value) < 9.2e18
                THEN v.value::bigint::numeric ELSE v.value::text::numeric END AS exact
        FROM metric c
        CROSS JOIN LATERAL (
            SELECT observed_at, boot_epoch, value FROM measure
            WHERE metric_key = c.key AND observed_at >= %(start)s AND observed_at < %(end)s
                AND observed_at >= (SELECT archived_until FROM retention)
            UNION ALL
            SELECT observed_at, boot_epoch, value FROM sealed_sample
            WHERE metric_key = c.key AND observed_at >= %(start)s AND observed_at < %(end)s
        ) v
        WHERE c.resource_id = r.id AND c.name = %(meter)s
        ORDER BY v.observed_at, v.boot_epoch, c.key
    ) m
    GROUP BY r.id, r.attributes
    ORDER BY r.id LIMIT %(limit)s
"""


def sum_counted(
    tx: Transaction,
    meter: EventMeter,
    *,
    project_id: str,
    subject: str | None,
    start: datetime,
    end: datetime,
    after: UUID | None,
    limit: int,
) -> Sequence[SubjectUsage]:
    """Return what a meter counted in [start, end) for each subject and group of a project that had any, exact."""
    parameters = {
        "project_id": project_id,
        "resource_type": SUBJECT_TYPE,
        "meter": meter.name,
        "aggregation": meter.aggregation,
        "subject": None if subject is None else Jsonb({"subject": subject}),
        "start": start,
        "end": end,
        "after": after,
        "limit": limit,
    }
    with tx.cursor(row_factory=class_row(SubjectUsage)) as cursor:
        return cursor.execute(SUM_COUNTED, parameters, prepare=False).fetchall()
