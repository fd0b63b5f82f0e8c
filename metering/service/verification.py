"""Proving rollups: stored buckets against their readings, in bounded parts, each in the snapshot of the caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import cast
from uuid import UUID

from foundation.database import Transaction
from metering.counters import EPOCH, Reading
from metering.errors import MetricNotFound
from metering.measured import VERIFIED
from metering.model import BOOT_SKEW_MAX_S
from metering.rollups import SHARD_COUNT, DirtyRanges, bucket_start_us
from metering.samples import MICROSECOND, OLDEST, instant_of, microseconds_of
from metering.store import verification as store
from metering.store.measures import mark_dirty
from metering.store.retention import read_state
from metering.store.verification import Population, RolledMetric
from metering.verification import BucketStatistics, Compared, Difference, MarkedTimes, compare, recompute

BUCKETS_A_PART = 1_440
"""Buckets of one snapshot: a day of minutes, two months of hours."""
METRICS_A_PAGE = 500
TRIES_A_BUCKET = 20


@dataclass(frozen=True, slots=True)
class Part:
    """Buckets of one metric and width that begin in [start, stop), start being a bucket's beginning."""

    metric: RolledMetric
    granularity_us: int
    start: datetime
    stop: datetime


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a part: buckets compared, buckets that wait for a roller, and every difference."""

    checked: int
    waiting: int
    differences: tuple[Difference, ...]


def metrics_to_verify(tx: Transaction, *, after: int) -> Sequence[RolledMetric]:
    """Return a page of metrics by key; an empty one is the end."""
    return store.list_rolled_metrics(tx, after=after, limit=METRICS_A_PAGE)


def metric_to_verify(tx: Transaction, metric_id: UUID) -> RolledMetric:
    """Return one metric; raises MetricNotFound."""
    found = store.find_rolled_metric(tx, metric_id)
    if found is None:
        raise MetricNotFound(metric_id)
    return found


def count_metrics(tx: Transaction) -> Population:
    """Return how many metrics there are, and between which keys."""
    return store.count_metrics(tx)


def provable_since(tx: Transaction) -> datetime:
    """Return from when on readings are kept: what begins before is sealed and cannot be proven any more."""
    return read_state(tx).archived_until


def next_part(
    tx: Transaction, metric: RolledMetric, *, granularity_us: int, start: datetime, stop: datetime
) -> Part | None:
    """Return the next part of a metric that has a reading or a rollup in [start, stop), or None where there is no more."""
    candidates = (
        store.find_next_reading(tx, metric.key, start=start),
        store.find_next_stored(tx, metric.key, granularity_us=granularity_us, start=start),
    )
    found = [at for at in candidates if at is not None]
    if not found or min(found) >= stop:
        return None
    first_us = bucket_start_us(microseconds_of(min(found)), granularity_us)
    first = instant_of(first_us)
    if first < start:
        first = instant_of(first_us + granularity_us)
    last = min(stop, first + timedelta(microseconds=granularity_us * BUCKETS_A_PART))
    return Part(metric, granularity_us, first, last) if first < last else None


def choose_part(
    tx: Transaction, random: Random, *, of: RolledMetric | Population, within: tuple[datetime, datetime]
) -> Part | None:
    """Return one bucket by chance: a metric, a width, an instant, and the first bucket from there on with a reading or a rollup.

    Readings and rollups lead to buckets in turn, so that a rollup that is missing is found as one that is wrong or too much.
    """
    for _ in range(TRIES_A_BUCKET):
        chosen = of if isinstance(of, RolledMetric) else choose_metric(tx, random, of)
        if not chosen.granularities_us:
            continue
        granularity_us = random.choice(chosen.granularities_us)
        by_reading = random.random() < 0.5
        at = choose_instant(
            tx, random, chosen.key, granularity_us=granularity_us if not by_reading else None, within=within
        )
        if at is not None:
            start = instant_of(bucket_start_us(microseconds_of(at), granularity_us))
            if start < within[0]:
                continue
            return Part(chosen, granularity_us, start, start + MICROSECOND)
    return None


def choose_metric(tx: Transaction, random: Random, population: Population) -> RolledMetric:
    """Return a metric by chance; one that follows a gap of deleted ones is more likely."""
    key = random.randint(population.key_min, population.key_max)
    (chosen,) = store.list_rolled_metrics(tx, after=key - 1, limit=1)
    return chosen


def choose_instant(
    tx: Transaction, random: Random, metric_key: int, *, granularity_us: int | None, within: tuple[datetime, datetime]
) -> datetime | None:
    """Return a reading's instant by chance, or with a width a stored bucket's; None where there is none within the bounds."""

    def next_from(start: datetime) -> datetime | None:
        if granularity_us is None:
            return store.find_next_reading(tx, metric_key, start=start)
        return store.find_next_stored(tx, metric_key, granularity_us=granularity_us, start=start)

    first = next_from(within[0])
    if first is None or first >= within[1]:
        return None
    if granularity_us is None:
        last = store.find_last_reading(tx, metric_key)
    else:
        last = store.find_last_stored(tx, metric_key, granularity_us=granularity_us)
    assert last is not None, "what has a first one has a last one"
    span_us = (min(last, within[1] - MICROSECOND) - first) // MICROSECOND
    found = next_from(first + timedelta(microseconds=random.randint(0, max(0, span_us))))
    return found if found is not None and found < within[1] else first


def verify_part(tx: Transaction, part: Part) -> Verdict:
    """Compare a part's rollups with what its readings give; the transaction is one snapshot for marks, readings and rollups."""
    metric, granularity_us = part.metric, part.granularity_us
    start_us, stop_us = microseconds_of(part.start), microseconds_of(part.stop)
    end_us = bucket_start_us(stop_us - 1, granularity_us) + granularity_us
    assert bucket_start_us(start_us, granularity_us) == start_us, "a part begins where a bucket begins"
    marked = MarkedTimes(store.list_marked_ranges(tx, metric.key))

    def find_previous(reading: Reading) -> Reading | None:
        after = OLDEST
        if reading.boot_epoch:
            after = max(OLDEST, EPOCH + timedelta(microseconds=reading.boot_epoch, seconds=-BOOT_SKEW_MAX_S))
        return store.find_previous(tx, metric.key, reading=reading, after=after)

    rows = store.read_stored(tx, metric.key, granularity_us=granularity_us, start=part.start, stop=instant_of(end_us))
    stored = {row.bucket: cast(BucketStatistics, row) for row in rows}
    readings = store.read_readings(tx, metric.key, start=part.start, stop=instant_of(end_us))
    again = recompute(
        readings, metric.meter_type, granularity_us=granularity_us, find_previous=find_previous, marked=marked
    )
    verdict = verdict_of(part, compare(stored, again, granularity_us=granularity_us, marked=marked))
    differing = len({difference.bucket for difference in verdict.differences})
    VERIFIED.add(max(0, verdict.checked - differing), "holds")
    VERIFIED.add(differing, "differs")
    return verdict


def verdict_of(part: Part, compared: Compared) -> Verdict:
    """Name the metric beside each difference."""
    metric = part.metric
    return Verdict(
        compared.checked,
        compared.waiting,
        tuple(
            Difference(metric.id, metric.key, metric.name, part.granularity_us, bucket, column, stored, recomputed)
            for bucket, column, stored, recomputed in compared.differences
        ),
    )


def mark_for_repair(tx: Transaction, differences: Sequence[Difference]) -> int:
    """Mark the differing buckets that have readings dirty, so that a roller computes them again; return how many.

    A rollup without readings stays: what it was computed from is gone, and nothing could be put in its place.
    """
    chosen = sorted(
        {(d.metric_key, microseconds_of(d.bucket), d.granularity_us) for d in differences if d.recomputed is not None}
    )
    mark_dirty(
        tx, [DirtyRanges(key % SHARD_COUNT, [key], [start], [start + width - 1]) for key, start, width in chosen]
    )
    return len(chosen)
