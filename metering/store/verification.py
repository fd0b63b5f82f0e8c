"""What is read to prove rollups: metrics, readings one by one, stored rollups and marks, by statements of its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row, scalar_row

from foundation.database import Transaction
from metering.counters import Reading
from metering.model import MeterType
from metering.rollups import shard_of
from metering.verification import BucketStatistics

READINGS_FETCHED = 5_000


@dataclass(frozen=True, slots=True)
class RolledMetric:
    """A metric and the widths of bucket that its archive policy keeps."""

    key: int
    id: UUID
    name: str | None
    meter_type: MeterType
    granularities_us: list[int]


LIST_ROLLED_METRICS: LiteralString = """
    SELECT c.key, c.id, c.name, c.meter_type,
        ARRAY(SELECT g.granularity_us FROM archive_policy_granularity g
            WHERE g.archive_policy_name = c.archive_policy_name ORDER BY g.granularity_us) AS granularities_us
    FROM metric c WHERE c.status = 'active' AND c.key > %(after)s ORDER BY c.key LIMIT %(limit)s
"""


def list_rolled_metrics(tx: Transaction, *, after: int, limit: int) -> Sequence[RolledMetric]:
    """Return a page of the metrics that are rolled up, by key."""
    with tx.cursor(row_factory=class_row(RolledMetric)) as cursor:
        return cursor.execute(LIST_ROLLED_METRICS, {"after": after, "limit": limit}).fetchall()


FIND_ROLLED_METRIC: LiteralString = """
    SELECT c.key, c.id, c.name, c.meter_type,
        ARRAY(SELECT g.granularity_us FROM archive_policy_granularity g
            WHERE g.archive_policy_name = c.archive_policy_name ORDER BY g.granularity_us) AS granularities_us
    FROM metric c WHERE c.status = 'active' AND c.id = %s
"""


def find_rolled_metric(tx: Transaction, metric_id: UUID) -> RolledMetric | None:
    """Return a metric by its id."""
    with tx.cursor(row_factory=class_row(RolledMetric)) as cursor:
        return cursor.execute(FIND_ROLLED_METRIC, (metric_id,)).fetchone()


@dataclass(frozen=True, slots=True)
class Population:
    """How many metrics there are, and between which keys."""

    count: int
    key_min: int
    key_max: int


COUNT_METRICS: LiteralString = """
    SELECT count(*) AS count, coalesce(min(key), 0) AS key_min, coalesce(max(key), 0) AS key_max
    FROM metric WHERE status = 'active'
"""


def count_metrics(tx: Transaction) -> Population:
    """Return how many metrics are rolled up."""
    with tx.cursor(row_factory=class_row(Population)) as cursor:
        found = cursor.execute(COUNT_METRICS).fetchone()
    assert found is not None
    return found


LIST_READINGS: LiteralString = """
    SELECT observed_at, boot_epoch, value, adopted FROM measure
    WHERE metric_key = %s AND observed_at >= %s AND observed_at < %s ORDER BY observed_at, boot_epoch
"""


def read_readings(tx: Transaction, metric_key: int, *, start: datetime, stop: datetime) -> Iterator[Reading]:
    """Yield a metric's readings in [start, stop) in order of time, a few at a time, so that any number of them fits."""
    with tx.cursor(name="readings_to_verify", row_factory=class_row(Reading)) as cursor:
        cursor.itersize = READINGS_FETCHED
        yield from cursor.execute(LIST_READINGS, (metric_key, start, stop))


FIND_PREVIOUS: LiteralString = """
    (SELECT observed_at, boot_epoch, value, adopted FROM measure
    WHERE metric_key = %(key)s AND boot_epoch = %(boot)s AND observed_at < %(before)s AND observed_at >= %(after)s
    ORDER BY observed_at DESC LIMIT 1)
    UNION ALL
    (SELECT observed_at, boot_epoch, value, adopted FROM archived_sample
    WHERE metric_key = %(key)s AND boot_epoch = %(boot)s AND observed_at < %(before)s AND observed_at >= %(after)s
    ORDER BY observed_at DESC LIMIT 1)
    ORDER BY observed_at DESC LIMIT 1
"""


def find_previous(tx: Transaction, metric_key: int, *, reading: Reading, after: datetime) -> Reading | None:
    """Return the last reading of the same boot before a reading and not before `after`."""
    parameters = {"key": metric_key, "boot": reading.boot_epoch, "before": reading.observed_at, "after": after}
    with tx.cursor(row_factory=class_row(Reading)) as cursor:
        return cursor.execute(FIND_PREVIOUS, parameters).fetchone()


@dataclass(frozen=True, slots=True)
class StoredBucket(BucketStatistics):
    """A rollup as stored, and its bucket."""

    bucket: datetime


LIST_STORED: LiteralString = """
    SELECT bucket, count, sum, min, max, first, last, deviation_sq, increase_count, increase_sum, increase_min,
        increase_max, increase_first, increase_last, increase_deviation_sq, increase_elapsed_s
    FROM rollup WHERE metric_key = %s AND granularity_us = %s AND bucket >= %s AND bucket < %s
"""


def read_stored(
    tx: Transaction, metric_key: int, *, granularity_us: int, start: datetime, stop: datetime
) -> Sequence[StoredBucket]:
    """Return a metric's rollups of one width that begin in [start, stop)."""
    with tx.cursor(row_factory=class_row(StoredBucket)) as cursor:
        return cursor.execute(LIST_STORED, (metric_key, granularity_us, start, stop)).fetchall()


LIST_MARKED: LiteralString = """
    SELECT u.first_at, u.last_at FROM dirty_mark d
    CROSS JOIN LATERAL unnest(d.metric_keys, d.first_ats, d.last_ats) AS u (metric_key, first_at, last_at)
    WHERE d.shard = %s AND u.metric_key = %s
"""


def list_marked_ranges(tx: Transaction, metric_key: int) -> Sequence[tuple[datetime, datetime]]:
    """Return the stretches of a metric that marks name."""
    return [(row[0], row[1]) for row in tx.execute(LIST_MARKED, (shard_of(metric_key), metric_key))]


NEXT_READING: LiteralString = """
    SELECT observed_at FROM measure WHERE metric_key = %s AND observed_at >= %s ORDER BY observed_at LIMIT 1
"""
NEXT_STORED: LiteralString = """
    SELECT bucket FROM rollup WHERE metric_key = %s AND granularity_us = %s AND bucket >= %s ORDER BY bucket LIMIT 1
"""
LAST_READING: LiteralString = """
    SELECT observed_at FROM measure WHERE metric_key = %s ORDER BY observed_at DESC LIMIT 1
"""
LAST_STORED: LiteralString = """
    SELECT bucket FROM rollup WHERE metric_key = %s AND granularity_us = %s ORDER BY bucket DESC LIMIT 1
"""


def find_next_reading(tx: Transaction, metric_key: int, *, start: datetime) -> datetime | None:
    """Return when a metric was first read from an instant on."""
    with tx.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(NEXT_READING, (metric_key, start)).fetchone()


def find_next_stored(tx: Transaction, metric_key: int, *, granularity_us: int, start: datetime) -> datetime | None:
    """Return the first bucket of a width that is stored from an instant on."""
    with tx.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(NEXT_STORED, (metric_key, granularity_us, start)).fetchone()


def find_last_reading(tx: Transaction, metric_key: int) -> datetime | None:
    """Return when a metric was last read."""
    with tx.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(LAST_READING, (metric_key,)).fetchone()


def find_last_stored(tx: Transaction, metric_key: int, *, granularity_us: int) -> datetime | None:
    """Return the last bucket of a width that is stored."""
    with tx.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(LAST_STORED, (metric_key, granularity_us)).fetchone()
