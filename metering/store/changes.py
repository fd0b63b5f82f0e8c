"""Which intervals have facts that a snapshot of each did not hold: found by the transactions that wrote them, without summing anything."""

from collections.abc import Collection
from typing import LiteralString
from uuid import UUID

from foundation.database import Transaction
from metering.changes import SeenIntervals, oldest_unseen

LOOKED_AT: LiteralString = """
    WITH looked_at AS MATERIALIZED (
        SELECT place::int, key, started_at, ended_at, seen::pg_snapshot AS seen, unseen::xid8 AS unseen
        FROM unnest(%(keys)s::uuid[], %(starts)s::timestamptz[], %(ends)s::timestamptz[], %(snapshots)s::text[],
            %(unseen)s::text[]) WITH ORDINALITY AS t (key, started_at, ended_at, seen, unseen, place)
    )
"""

CHANGED_LIVES: LiteralString = (
    LOOKED_AT
    + """
    , fresh AS MATERIALIZED (
        SELECT event_id, instance_id, state, observed_at, written_xid FROM lifecycle_event
        WHERE project_id = %(project_id)s AND observed_at < %(last)s AND written_xid >= %(lowest)s::text::xid8
    )
    SELECT DISTINCT i.key
    FROM looked_at i JOIN fresh e ON e.observed_at < i.ended_at AND e.written_xid >= i.unseen
    WHERE NOT pg_visible_in_snapshot(e.written_xid, i.seen)
        AND (e.observed_at >= i.started_at OR e.state = 'deleted' OR NOT EXISTS (
            SELECT FROM lifecycle_event l
            WHERE l.instance_id = e.instance_id AND l.observed_at < i.started_at
                AND (l.observed_at, l.event_id) > (e.observed_at, e.event_id)))
"""
)
"""An event from before an interval matters to it where it is the last one before, or tells of the end."""


def changed_lives(tx: Transaction, *, project_id: str, intervals: SeenIntervals) -> set[UUID]:
    """Return the intervals for which an instance's event has come."""
    parameters = {"project_id": project_id, **parameters_of(intervals)}
    return {row[0] for row in tx.execute(CHANGED_LIVES, parameters)}


CHANGED_EXISTENCES: LiteralString = (
    LOOKED_AT
    + """
    , own AS (
        SELECT DISTINCT resource_id, meter FROM resource_event
        WHERE project_id = %(project_id)s AND meter = ANY(%(meters)s) AND observed_at < %(last)s
    ),
    fresh AS MATERIALIZED (
        SELECT e.event_id, e.resource_id, e.meter, e.is_end, e.observed_at, e.written_xid
        FROM resource_event e JOIN own USING (resource_id, meter)
        WHERE e.observed_at < %(last)s AND e.written_xid >= %(lowest)s::text::xid8
    )
    SELECT DISTINCT i.key
    FROM looked_at i JOIN fresh e ON e.observed_at < i.ended_at AND e.written_xid >= i.unseen
    WHERE NOT pg_visible_in_snapshot(e.written_xid, i.seen)
        AND (e.observed_at >= i.started_at OR e.is_end OR NOT EXISTS (
            SELECT FROM resource_event l
            WHERE l.resource_id = e.resource_id AND l.meter = e.meter AND l.observed_at < i.started_at
                AND (l.observed_at, l.event_id) > (e.observed_at, e.event_id)))
"""
)


def changed_existences(
    tx: Transaction, *, project_id: str, meters: Collection[str], intervals: SeenIntervals
) -> set[UUID]:
    """Return the intervals for which an event of a resource other than an instance has come, by the meters of their sizes."""
    parameters = {"project_id": project_id, "meters": sorted(meters), **parameters_of(intervals)}
    return {row[0] for row in tx.execute(CHANGED_EXISTENCES, parameters)}


CHANGED_COUNTERS: LiteralString = (
    LOOKED_AT
    + """
    , chosen AS MATERIALIZED (
        SELECT c.key AS metric_key, array_agg(c.key) OVER (PARTITION BY r.id, c.name, c.meter_type) AS metric_keys
        FROM resource r JOIN metric c ON c.resource_id = r.id
        WHERE r.project_id = %(project_id)s AND c.name = ANY(%(meters)s) AND c.meter_type <> 'gauge'
    ),
    fresh AS MATERIALIZED (
        SELECT c.metric_key, c.metric_keys, m.observed_at, m.boot_epoch, m.written_xid,
            width_bucket(m.observed_at, %(starts)s::timestamptz[]) AS place
        FROM chosen c
        CROSS JOIN LATERAL (
            SELECT observed_at, boot_epoch, written_xid FROM measure
            WHERE metric_key = c.metric_key AND observed_at >= %(first)s AND observed_at < %(last)s
                AND observed_at >= (SELECT archived_until FROM retention)
                AND written_xid >= (%(floors)s::text[]::xid8[])[width_bucket(observed_at, %(starts)s::timestamptz[])]
            UNION ALL
            SELECT observed_at, boot_epoch, written_xid FROM sealed_sample
            WHERE metric_key = c.metric_key AND observed_at >= %(first)s AND observed_at < %(last)s
                AND written_xid >= (%(floors)s::text[]::xid8[])[width_bucket(observed_at, %(starts)s::timestamptz[])]
        ) m
    ),
    latest AS (
        SELECT DISTINCT ON (metric_key, boot_epoch, place) * FROM fresh
        ORDER BY metric_key, boot_epoch, place, observed_at DESC
    ),
    touched AS (
        SELECT observed_at, written_xid FROM fresh
        UNION ALL
        SELECT n.observed_at, f.written_xid FROM latest f
        CROSS JOIN LATERAL (
            SELECT min(s.observed_at) AS observed_at FROM unnest(f.metric_keys) AS k (metric_key)
            CROSS JOIN LATERAL (
                (SELECT observed_at FROM measure
                WHERE metric_key = k.metric_key AND boot_epoch = f.boot_epoch
                    AND observed_at > f.observed_at AND observed_at < %(last)s
                ORDER BY observed_at LIMIT 1)
                UNION ALL
                (SELECT observed_at FROM sealed_sample
                WHERE metric_key = k.metric_key AND boot_epoch = f.boot_epoch
                    AND observed_at > f.observed_at AND observed_at < %(last)s
                ORDER BY observed_at LIMIT 1)
            ) s
        ) n
        UNION ALL
        SELECT %(first)s, p.written_xid FROM chosen c
        CROSS JOIN LATERAL (
            SELECT boot_epoch FROM measure
            WHERE metric_key = c.metric_key AND observed_at >= %(first)s AND observed_at < %(first_end)s
            UNION
            SELECT boot_epoch FROM sealed_sample
            WHERE metric_key = c.metric_key AND observed_at >= %(first)s AND observed_at < %(first_end)s
        ) b
        CROSS JOIN LATERAL (
            SELECT e.written_xid FROM unnest(c.metric_keys) AS k (metric_key)
            CROSS JOIN LATERAL (
                (SELECT observed_at, written_xid FROM measure
                WHERE metric_key = k.metric_key AND boot_epoch = b.boot_epoch AND observed_at < %(first)s
                    AND observed_at >= CASE WHEN b.boot_epoch = 0 THEN '-infinity'
                        ELSE TIMESTAMPTZ 'epoch' + b.boot_epoch * INTERVAL '1 microsecond' - INTERVAL '24 hours' END
                ORDER BY observed_at DESC LIMIT 1)
                UNION ALL
                (SELECT observed_at, written_xid FROM sealed_sample
                WHERE metric_key = k.metric_key AND boot_epoch = b.boot_epoch AND observed_at < %(first)s
                ORDER BY observed_at DESC LIMIT 1)
            ) e
        ) p
    )
    SELECT DISTINCT i.key
    FROM touched t JOIN looked_at i
        ON i.place = width_bucket(t.observed_at, %(starts)s::timestamptz[]) AND t.observed_at < i.ended_at
    WHERE NOT pg_visible_in_snapshot(t.written_xid, i.seen)
"""
)
"""A reading matters where it lies, and where the next one of its boot lies, whose increase it changes. The next one is looked for behind the last
of those that may be unseen between two starts: where that one was seen, nothing before it has changed what follows. Before the first interval
the last reading of each boot that goes on is looked at."""


def changed_counters(
    tx: Transaction, *, project_id: str, meters: Collection[str], intervals: SeenIntervals
) -> set[UUID]:
    """Return the intervals in which a reading of these meters has come or changed, or the one before their first."""
    parameters = {"project_id": project_id, "meters": sorted(meters), **parameters_of(intervals)}
    return {row[0] for row in tx.execute(CHANGED_COUNTERS, parameters, prepare=False)}


def parameters_of(intervals: SeenIntervals) -> dict[str, object]:
    """Name the intervals' values as the statements do; there is at least one."""
    ordered, floors = intervals.ordered, [str(lowest) for lowest in intervals.oldest_unseen]
    return {
        "keys": [one.key for one in ordered],
        "starts": [one.interval.start for one in ordered],
        "ends": [one.interval.end for one in ordered],
        "snapshots": [one.seen for one in ordered],
        "unseen": [str(oldest_unseen(one.seen)) for one in ordered],
        "floors": floors,
        "lowest": floors[0],
        "first": ordered[0].interval.start,
        "first_end": ordered[0].interval.end,
        "last": ordered[-1].interval.end,
    }
