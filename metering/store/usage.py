"""What counters and delta meters consumed, from raw samples, now or as of a snapshot."""

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row

from foundation.database import Transaction
from metering.model import ResourceUsage, SampleIncrease, Snapshot

TAKE_SNAPSHOT: LiteralString = """
    WITH taken AS (SELECT pg_current_snapshot() AS snapshot, pg_current_xact_id_if_assigned() AS own),
    running AS (
        SELECT pg_snapshot_xip(snapshot) AS xid FROM taken
        UNION SELECT own FROM taken WHERE own < pg_snapshot_xmax(snapshot)
    )
    SELECT concat_ws(':', (SELECT coalesce(min(xid), pg_snapshot_xmax(snapshot)) FROM running), pg_snapshot_xmax(snapshot),
        (SELECT coalesce(string_agg(xid::text, ',' ORDER BY xid), '') FROM running))
    FROM taken
"""
"""PostgreSQL leaves the transaction that asks out of those that run: it would count as seen as soon as a younger one had ended."""


def current_snapshot(tx: Transaction) -> Snapshot:
    """Return what this statement sees of others' writes."""
    row = tx.execute(TAKE_SNAPSHOT).fetchone()
    assert row is not None
    return str(row[0])


CONSUMED: LiteralString = """
    WITH chosen AS MATERIALIZED (
        SELECT c.key AS metric_key, c.meter_type, coalesce(c.unit, '') AS unit, c.name AS meter, r.id AS resource_id,
            r.original_resource_id, r.resource_type, r.attributes ->> 'instance_id' AS instance_id,
            array_agg(c.key) OVER (PARTITION BY r.id, c.meter_type) AS metric_keys
        FROM resource r JOIN metric c ON c.resource_id = r.id
        WHERE r.project_id = %(project_id)s AND c.name = %(meter)s
            AND (%(resource_id)s::uuid IS NULL OR r.id = %(resource_id)s)
    ),
    visible AS (
        SELECT c.resource_id, c.metric_key, c.metric_keys, c.meter_type, m.observed_at, m.boot_epoch, m.value, m.adopted, m.written_xid
        FROM chosen c
        CROSS JOIN LATERAL (
            SELECT observed_at, boot_epoch, value, adopted, written_xid FROM measure
            WHERE metric_key = c.metric_key AND observed_at >= %(start)s AND observed_at < %(end)s
                AND observed_at >= (SELECT archived_until FROM retention)
                AND (%(as_of)s::pg_snapshot IS NULL OR pg_visible_in_snapshot(written_xid, %(as_of)s::pg_snapshot))
            UNION ALL
            SELECT observed_at, boot_epoch, value, adopted, written_xid FROM archived_sample
            WHERE metric_key = c.metric_key AND observed_at >= %(start)s AND observed_at < %(end)s
                AND observed_at < (SELECT archived_until FROM retention)
                AND (%(as_of)s::pg_snapshot IS NULL OR pg_visible_in_snapshot(written_xid, %(as_of)s::pg_snapshot))
            UNION ALL
            SELECT observed_at, boot_epoch, value, adopted, written_xid FROM late_sample l
            WHERE NOT is_overwrite AND metric_key = c.metric_key AND observed_at >= %(start)s AND observed_at < %(end)s
                AND (%(as_of)s::pg_snapshot IS NULL OR pg_visible_in_snapshot(written_xid, %(as_of)s::pg_snapshot))
                AND NOT EXISTS (SELECT FROM measure k
                    WHERE k.metric_key = l.metric_key AND k.observed_at = l.observed_at AND k.boot_epoch = l.boot_epoch
                        AND k.observed_at >= %(start)s AND k.observed_at < %(end)s
                        AND (%(as_of)s::pg_snapshot IS NULL OR pg_visible_in_snapshot(k.written_xid, %(as_of)s::pg_snapshot)))
                AND NOT EXISTS (SELECT FROM archived_sample k
                    WHERE k.metric_key = l.metric_key AND k.observed_at = l.observed_at AND k.boot_epoch = l.boot_epoch
                        AND (%(as_of)s::pg_snapshot IS NULL OR pg_visible_in_snapshot(k.written_xid, %(as_of)s::pg_snapshot)))
            UNION ALL
            SELECT observed_at, boot_epoch, value, adopted, written_xid FROM superseded
            WHERE metric_key = c.metric_key AND observed_at >= %(start)s AND observed_at < %(end)s
                AND pg_visible_in_snapshot(written_xid, %(as_of)s::pg_snapshot)
                AND NOT pg_visible_in_snapshot(superseded_xid, %(as_of)s::pg_snapshot)
        ) m
    ),
    following AS (
        SELECT v.*, lag(value) OVER earlier AS lag_value, lag(observed_at) OVER earlier AS lag_at
        FROM visible v
        WINDOW earlier AS (PARTITION BY resource_id, meter_type, boot_epoch ORDER BY observed_at, metric_key)
    ),
    compared AS (
        SELECT f.metric_key, f.meter_type, f.observed_at, f.boot_epoch, f.value, f.adopted, f.written_xid,
            coalesce(f.lag_value, p.value) AS previous_value, coalesce(f.lag_at, p.observed_at) AS previous_at
        FROM following f
        LEFT JOIN LATERAL (
            SELECT e.observed_at, e.value
            FROM unnest(f.metric_keys) AS k (metric_key)
            CROSS JOIN LATERAL (
                (SELECT observed_at, value, 0 AS place FROM measure
                WHERE f.lag_at IS NULL AND metric_key = k.metric_key AND boot_epoch = f.boot_epoch
                    AND observed_at < f.observed_at
                    AND observed_at >= CASE WHEN f.boot_epoch = 0 THEN '-infinity'
                        ELSE TIMESTAMPTZ 'epoch' + f.boot_epoch * INTERVAL '1 microsecond' - INTERVAL '24 hours' END
                    AND (%(as_of)s::pg_snapshot IS NULL OR pg_visible_in_snapshot(written_xid, %(as_of)s::pg_snapshot))
                ORDER BY observed_at DESC LIMIT 1)
                UNION ALL
                (SELECT observed_at, value, 0 FROM archived_sample
                WHERE f.lag_at IS NULL AND metric_key = k.metric_key AND boot_epoch = f.boot_epoch
                    AND observed_at < f.observed_at AND observed_at < (SELECT archived_until FROM retention)
                    AND (%(as_of)s::pg_snapshot IS NULL OR pg_visible_in_snapshot(written_xid, %(as_of)s::pg_snapshot))
                ORDER BY observed_at DESC LIMIT 1)
                UNION ALL
                (SELECT observed_at, value, 1 FROM late_sample
                WHERE f.lag_at IS NULL AND NOT is_overwrite AND metric_key = k.metric_key AND boot_epoch = f.boot_epoch
                    AND observed_at < f.observed_at
                    AND (%(as_of)s::pg_snapshot IS NULL OR pg_visible_in_snapshot(written_xid, %(as_of)s::pg_snapshot))
                ORDER BY observed_at DESC LIMIT 1)
                UNION ALL
                (SELECT observed_at, value, 0 FROM superseded
                WHERE f.lag_at IS NULL AND metric_key = k.metric_key AND boot_epoch = f.boot_epoch
                    AND observed_at < f.observed_at
                    AND pg_visible_in_snapshot(written_xid, %(as_of)s::pg_snapshot)
                    AND NOT pg_visible_in_snapshot(superseded_xid, %(as_of)s::pg_snapshot)
                ORDER BY observed_at DESC LIMIT 1)
            ) e
            ORDER BY e.observed_at DESC, k.metric_key DESC, e.place LIMIT 1
        ) p ON f.meter_type <> 'delta'
    ),
    counted AS (
        SELECT c.*,
            CASE
                WHEN meter_type = 'delta' THEN CASE WHEN previous_at = observed_at THEN 0 ELSE value END
                WHEN previous_at IS NULL THEN
                    CASE WHEN boot_epoch <> 0 AND NOT adopted THEN greatest(0, value) ELSE 0 END
                WHEN value >= previous_value THEN value - previous_value
                WHEN boot_epoch = 0 THEN greatest(0, value)
                ELSE 0
            END AS increase
        FROM compared c
        WHERE meter_type <> 'gauge'
    ),
    exact AS (
        SELECT c.*,
            CASE WHEN increase = trunc(increase) AND abs(increase) < 9.2e18
                THEN increase::bigint::numeric ELSE increase::text::numeric END AS exact_increase
        FROM counted c
    )
"""
"""A resource's metric that was deleted and made anew is one with its successor: the guest's counter went on, and a repeat counts once.
Where raw samples are dropped, the archived ones speak, and those that came too late for it beside; an earlier snapshot sees only the first.
A late one with another value for the same instant speaks only as long as no first one is seen: that was still being written when it came.
Each increase is counters.increase_of, made numeric before it is summed; a float8 holds a counter's whole numbers exactly below 2**53."""

SUM_USAGE: LiteralString = (
    CONSUMED
    + """
    SELECT h.resource_id, h.original_resource_id,
        CASE WHEN h.resource_type = 'instance' THEN h.resource_id
            WHEN pg_input_is_valid(h.instance_id, 'uuid') THEN h.instance_id::uuid END AS instance_id,
        h.meter, h.unit, sum(e.exact_increase) AS quantity, count(*)::int AS sample_count,
        min(e.observed_at) AS first_observed_at, max(e.observed_at) AS last_observed_at
    FROM exact e JOIN chosen h ON h.metric_key = e.metric_key
    GROUP BY h.resource_id, h.original_resource_id, h.resource_type, h.instance_id, h.meter, h.unit
    ORDER BY h.resource_id, h.unit
"""
)


def sum_usage(
    tx: Transaction, *, project_id: str, meter: str, start: datetime, end: datetime, as_of: Snapshot | None
) -> Sequence[ResourceUsage]:
    """Return what each resource of a project consumed in [start, end), each unit on its own; a deleted metric still counts."""
    parameters = {
        "project_id": project_id,
        "meter": meter,
        "resource_id": None,
        "start": start,
        "end": end,
        "as_of": as_of,
    }
    with tx.cursor(row_factory=class_row(ResourceUsage)) as cursor:
        return cursor.execute(SUM_USAGE, parameters).fetchall()


LIST_INCREASES: LiteralString = (
    CONSUMED
    + """
    SELECT observed_at, boot_epoch, value, exact_increase AS increase, previous_at AS previous_observed_at,
        written_xid::text::bigint AS written_xid
    FROM exact JOIN chosen USING (metric_key)
    WHERE %(unit)s::text IS NULL OR unit = %(unit)s
    ORDER BY observed_at, boot_epoch, metric_key LIMIT %(limit)s OFFSET %(skipped)s
"""
)


def list_increases(
    tx: Transaction,
    *,
    project_id: str,
    resource_id: UUID,
    meter: str,
    start: datetime,
    end: datetime,
    as_of: Snapshot | None,
    limit: int,
    skipped: int = 0,
    unit: str | None = None,
) -> Sequence[SampleIncrease]:
    """Return a resource's readings in [start, end) with their increases, after so many of them; their sum is its usage."""
    parameters = {
        "project_id": project_id,
        "meter": meter,
        "resource_id": resource_id,
        "start": start,
        "end": end,
        "as_of": as_of,
        "limit": limit,
        "skipped": skipped,
        "unit": unit,
    }
    with tx.cursor(row_factory=class_row(SampleIncrease)) as cursor:
        return cursor.execute(LIST_INCREASES, parameters).fetchall()
