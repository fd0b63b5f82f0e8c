"""Polls as they were run, and which expected slots have a reading."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row

from foundation.database import Transaction
from metering.completeness import Cadence, GapReason, MissedSlot, Poll, Slots
from metering.samples import microseconds_of
from metering.store.planning import many_small_probes

INSERT_POLL: LiteralString = """
    INSERT INTO poll AS p (source, observed_at, interval_us, is_spooled, samples, repeated)
    VALUES (%(source)s, %(observed_at)s, %(interval_us)s, %(is_spooled)s, %(samples)s, %(repeated)s)
    ON CONFLICT (source, observed_at) DO UPDATE SET samples = p.samples + EXCLUDED.samples,
        repeated = p.repeated + EXCLUDED.repeated
"""


def insert_poll(tx: Transaction, poll: Poll) -> None:
    """Keep a look at a host; one that comes again adds its samples and repeats to the first."""
    tx.execute(
        INSERT_POLL,
        {
            "source": poll.source,
            "observed_at": poll.observed_at,
            "interval_us": poll.interval_us,
            "is_spooled": poll.is_spooled,
            "samples": poll.samples,
            "repeated": poll.repeated,
        },
    )


LIST_CADENCES: LiteralString = """
    SELECT s.source, c.observed_at AS since, c.interval_us
    FROM unnest(%(sources)s::text[]) AS s (source)
    CROSS JOIN LATERAL (
        (SELECT observed_at, interval_us FROM poll
        WHERE source = s.source AND observed_at < %(start)s ORDER BY observed_at DESC LIMIT 1)
        UNION ALL
        (SELECT observed_at, interval_us FROM (
            SELECT observed_at, interval_us, lag(interval_us) OVER (ORDER BY observed_at) AS former_us
            FROM poll WHERE source = s.source AND observed_at >= %(start)s AND observed_at < %(end)s
        ) p WHERE former_us IS DISTINCT FROM interval_us)
    ) c
    ORDER BY s.source, c.observed_at
"""


def list_cadences(
    tx: Transaction, sources: Sequence[str], *, start: datetime, end: datetime
) -> dict[str, list[Cadence]]:
    """Return how often each host was read in [start, end), and just before it."""
    found: dict[str, list[Cadence]] = {}
    for source, since, interval_us in tx.execute(LIST_CADENCES, {"sources": list(sources), "start": start, "end": end}):
        found.setdefault(source, []).append(Cadence(since, interval_us))
    return found


@dataclass(frozen=True, slots=True)
class PolledResource:
    """A resource that polls read, the instance that it belongs to, and the meter that stands for it."""

    id: UUID
    resource_type: str
    instance_id: UUID
    meter: str


LIST_POLLED: LiteralString = """
    SELECT r.id, r.resource_type, i.instance_id, r.meter
    FROM (
        SELECT r.id, r.resource_type, t.meter,
            CASE WHEN r.resource_type = 'instance' THEN r.id::text ELSE r.attributes ->> 'instance_id' END AS instance
        FROM unnest(%(types)s::text[], %(meters)s::text[]) AS t (resource_type, meter)
        JOIN resource r ON r.resource_type = t.resource_type
        WHERE r.project_id = %(project_id)s AND (%(resource_id)s::uuid IS NULL OR r.id = %(resource_id)s)
            AND (%(from)s::uuid IS NULL OR r.id >= %(from)s)
            AND (NOT %(is_named)s OR EXISTS (SELECT FROM metric WHERE resource_id = r.id AND name = t.meter))
    ) r
    JOIN unnest(%(instances)s::uuid[]) AS i (instance_id) ON i.instance_id::text = r.instance
    ORDER BY r.id LIMIT %(limit)s
"""


def list_polled_resources(
    tx: Transaction,
    *,
    project_id: str,
    instance_ids: Sequence[UUID],
    meters: Sequence[tuple[str, str]],
    is_named: bool,
    resource_id: UUID | None,
    from_id: UUID | None,
    limit: int,
) -> Sequence[PolledResource]:
    """Return, by id, a project's resources of the types named with a meter each, that are or belong to these instances.

    With `is_named` only those that have a metric of that name: not everything has what somebody asks for.
    """
    parameters = {
        "types": [resource_type for resource_type, _ in meters],
        "meters": [meter for _, meter in meters],
        "is_named": is_named,
        "project_id": project_id,
        "instances": list(instance_ids),
        "resource_id": resource_id,
        "from": from_id,
        "limit": limit,
    }
    with tx.cursor(row_factory=class_row(PolledResource)) as cursor:
        return cursor.execute(LIST_POLLED, parameters).fetchall()


IS_RESOURCE: LiteralString = "SELECT EXISTS (SELECT FROM resource WHERE id = %s AND project_id = %s)"


def is_resource_of(tx: Transaction, resource_id: UUID, *, project_id: str) -> bool:
    """Tell whether a project has or had a resource."""
    row = tx.execute(IS_RESOURCE, (resource_id, project_id)).fetchone()
    return row is not None and bool(row[0])


@dataclass(frozen=True, slots=True)
class ExpectedSlots:
    """Slots of one resource's meter, numbered for the answer."""

    number: int
    resource: PolledResource
    slots: Slots


COUNT_READ: LiteralString = """
    SELECT p.number,
        count(DISTINCT date_bin(p.interval_us * INTERVAL '1 microsecond', m.observed_at, TIMESTAMPTZ 'epoch'))
    FROM unnest(%(numbers)s::bigint[], %(resources)s::uuid[], %(meters)s::text[], %(starts)s::timestamptz[],
        %(ends)s::timestamptz[], %(intervals)s::bigint[])
        AS p (number, resource_id, meter, start_at, end_at, interval_us)
    JOIN metric c ON c.resource_id = p.resource_id AND c.name = p.meter
    CROSS JOIN LATERAL (
        SELECT observed_at FROM measure
        WHERE metric_key = c.key AND observed_at >= p.start_at AND observed_at < p.end_at OFFSET 0
    ) m
    GROUP BY p.number
"""
"""A deleted metric counts with the one that was made anew under its name."""


def count_read_slots(tx: Transaction, asked: Sequence[ExpectedSlots]) -> dict[int, int]:
    """Return in how many of its slots each has a reading, by number; those without any are left out."""
    with many_small_probes(tx):
        return {row[0]: row[1] for row in tx.execute(COUNT_READ, columns_of(asked), prepare=False)}


LIST_MISSED: LiteralString = """
    SELECT s.number, s.start_at, s.interval_us, EXISTS (
        SELECT FROM poll WHERE source = s.source AND observed_at >= s.start_at AND observed_at < s.start_at + s.width
    ) AS is_host_read
    FROM (
        SELECT p.number, p.resource_id, p.meter, p.source, p.interval_us,
            p.interval_us * INTERVAL '1 microsecond' AS width,
            p.start_at + k * p.interval_us * INTERVAL '1 microsecond' AS start_at
        FROM unnest(%(numbers)s::bigint[], %(resources)s::uuid[], %(meters)s::text[], %(starts)s::timestamptz[],
            %(counts)s::bigint[], %(intervals)s::bigint[], %(sources)s::text[])
            AS p (number, resource_id, meter, start_at, slots, interval_us, source)
        CROSS JOIN LATERAL generate_series(0, p.slots - 1) k
    ) s
    WHERE NOT EXISTS (
        SELECT FROM metric c
        CROSS JOIN LATERAL (
            SELECT FROM measure
            WHERE metric_key = c.key AND observed_at >= s.start_at AND observed_at < s.start_at + s.width LIMIT 1
        ) m
        WHERE c.resource_id = s.resource_id AND c.name = s.meter
    )
"""


def list_missed_slots(tx: Transaction, asked: Sequence[ExpectedSlots]) -> dict[int, list[MissedSlot]]:
    """Return the slots without a reading, by number."""
    missed: dict[int, list[MissedSlot]] = {}
    with many_small_probes(tx):
        for number, start, interval_us, is_host_read in tx.execute(LIST_MISSED, columns_of(asked), prepare=False):
            reason = GapReason.RESOURCE_ABSENT if is_host_read else GapReason.HOST_SILENT
            missed.setdefault(number, []).append(MissedSlot(microseconds_of(start), interval_us, reason))
    return missed


def columns_of(asked: Sequence[ExpectedSlots]) -> dict[str, list[object]]:
    """Return slots as the parameters of a statement that unnests them."""
    intervals = [one.slots.interval for one in asked]
    return {
        "numbers": [one.number for one in asked],
        "resources": [one.resource.id for one in asked],
        "meters": [one.resource.meter for one in asked],
        "starts": [interval.start for interval in intervals],
        "ends": [interval.end for interval in intervals],
        "counts": [one.slots.count for one in asked],
        "intervals": [one.slots.interval_us for one in asked],
        "sources": [one.slots.source for one in asked],
    }
