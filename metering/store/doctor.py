"""What the doctor looks at: hosts and their polls of the last day, and the last reading of each metric of a running instance."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from psycopg.rows import class_row

from foundation.database import Transaction
from metering.doctor import LastReading, SourceObservation
from metering.store.planning import many_small_probes

RUNNING: LiteralString = """
    WITH running AS MATERIALIZED (
        SELECT e.instance_id, e.name, e.host, e.observed_at AS since
        FROM resource r
        CROSS JOIN LATERAL (
            SELECT instance_id, name, host, state, kind, observed_at FROM lifecycle_event
            WHERE instance_id = r.id ORDER BY observed_at DESC, event_id DESC LIMIT 1
        ) e
        WHERE r.resource_type = 'instance' AND r.ended_at IS NULL AND r.deleted_at IS NULL
            AND e.state = 'active' AND e.host IS NOT NULL AND strpos(e.kind, '.') = 0
        ORDER BY r.id LIMIT %(instances_max)s
    )
"""
"""Instances of our own hosts that run now. What an OpenStack tells has its event type as its kind, with dots: no agent of ours reads that."""

LIST_SOURCES: LiteralString = (
    RUNNING
    + """,
    expected AS (
        SELECT host AS source, count(*)::int AS running_instances FROM running GROUP BY host
    ),
    polled AS (
        SELECT source, sum(samples)::bigint AS samples, sum(repeated)::bigint AS repeated
        FROM poll WHERE observed_at >= %(look_back)s GROUP BY source
    )
    SELECT source, l.observed_at AS polled_at, l.interval_us, coalesce(e.running_instances, 0) AS running_instances,
        coalesce(p.samples, 0) AS samples, coalesce(p.repeated, 0) AS repeated,
        ARRAY(
            SELECT received_at - observed_at FROM (
                SELECT received_at, observed_at FROM poll
                WHERE source = s.source AND observed_at >= %(look_back)s AND NOT is_spooled
                ORDER BY observed_at DESC LIMIT %(polls_max)s
            ) d
        ) AS delays
    FROM (SELECT source FROM expected UNION SELECT source FROM polled) s
    LEFT JOIN expected e USING (source)
    LEFT JOIN polled p USING (source)
    LEFT JOIN LATERAL (
        SELECT observed_at, interval_us FROM poll WHERE source = s.source ORDER BY observed_at DESC LIMIT 1
    ) l ON true
    ORDER BY source LIMIT %(sources_max)s
"""
)


def list_sources(
    tx: Transaction, *, look_back: datetime, instances_max: int, polls_max: int, sources_max: int
) -> Sequence[SourceObservation]:
    """Return the hosts on which instances should run or that were read since `look_back`."""
    parameters = {
        "look_back": look_back,
        "instances_max": instances_max,
        "polls_max": polls_max,
        "sources_max": sources_max,
    }
    with tx.cursor(row_factory=class_row(SourceObservation)) as cursor:
        return cursor.execute(LIST_SOURCES, parameters).fetchall()


FOLLOWED: LiteralString = (
    RUNNING
    + """,
    polled AS (
        SELECT r.id, r.resource_type, n.*
        FROM running n JOIN resource r ON r.id = n.instance_id
        UNION ALL
        SELECT r.id, r.resource_type, n.*
        FROM running n
        JOIN resource r ON r.resource_type = ANY(%(types)s) AND r.attributes ->> 'instance_id' = n.instance_id::text
    ),
    followed AS MATERIALIZED (
        SELECT p.*, c.key, c.name AS metric
        FROM polled p JOIN metric c ON c.resource_id = p.id
        WHERE c.status = 'active' AND c.created_by_user_id = '' AND c.name IS NOT NULL
        ORDER BY c.key LIMIT %(metrics_max)s
    )
"""
)

READ_LAST: LiteralString = (
    FOLLOWED
    + """,
    last_reading AS (
        SELECT f.id AS resource_id, f.resource_type, f.instance_id, f.name AS instance_name, f.since AS running_since,
            f.host AS source, f.metric, m.observed_at AS read_at
        FROM followed f
        CROSS JOIN LATERAL (
            SELECT observed_at FROM measure WHERE metric_key = f.key ORDER BY observed_at DESC LIMIT 1
        ) m
        WHERE m.observed_at < %(read_before)s
            AND EXISTS (SELECT FROM poll WHERE source = f.host AND observed_at = m.observed_at)
        LIMIT %(readings_max)s
    )
    SELECT n.instances, n.metrics, l.*
    FROM (SELECT (SELECT count(*) FROM running) AS instances, (SELECT count(*) FROM followed) AS metrics) n
    LEFT JOIN last_reading l ON true
"""
)
"""Only what a poll brought is expected from the next one: a metric that comes once, at an event, has not stopped."""


@dataclass(frozen=True, slots=True)
class Followed:
    """How many instances run and how many metrics they have, as far as they are looked at, and the last readings asked for."""

    instances: int
    metrics: int
    last_readings: Sequence[LastReading]


def read_last(
    tx: Transaction,
    *,
    types: Sequence[str],
    read_before: datetime,
    instances_max: int,
    metrics_max: int,
    readings_max: int,
) -> Followed:
    """Return the polled metrics of running instances, and of what belongs to them, whose last reading is before an instant."""
    parameters = {
        "types": list(types),
        "read_before": read_before,
        "instances_max": instances_max,
        "metrics_max": metrics_max,
        "readings_max": readings_max,
    }
    with many_small_probes(tx):
        rows = tx.execute(READ_LAST, parameters, prepare=False).fetchall()
    last_readings = [LastReading(*row[2:]) for row in rows if row[2] is not None]
    return Followed(int(rows[0][0]), int(rows[0][1]), last_readings)
