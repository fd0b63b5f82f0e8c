"""Rollups computed a second time, from readings one by one in order of time, to be compared with the stored ones to the bit. Pure.

It shares no statement with the roller, so that a fault in the roller's SQL shows as a difference.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from struct import pack
from typing import TypeAlias
from uuid import UUID

from metering.counters import EPOCH, Reading, increase_of
from metering.model import BOOT_SKEW_MAX_S, MeterType
from metering.rollups import bucket_start_us
from metering.samples import MICROSECOND, instant_of, microseconds_of

DAY_US = 86_400_000_000
FindPrevious: TypeAlias = Callable[[Reading], Reading | None]


@dataclass(frozen=True, slots=True)
class BucketStatistics:
    """What a rollup holds of one bucket, by the names of its columns."""

    count: int
    sum: float
    min: float
    max: float
    first: float
    last: float
    deviation_sq: float
    increase_count: int
    increase_sum: float | None
    increase_min: float | None
    increase_max: float | None
    increase_first: float | None
    increase_last: float | None
    increase_deviation_sq: float | None
    increase_elapsed_s: float | None


COLUMNS = tuple(column.name for column in fields(BucketStatistics))


@dataclass(frozen=True, slots=True)
class Difference:
    """A column of a bucket that is not what its readings say; the column is `bucket` where one side has no such bucket."""

    metric_id: UUID
    metric_key: int
    metric_name: str | None
    granularity_us: int
    bucket: datetime
    column: str
    stored: str | None
    recomputed: str | None


@dataclass(frozen=True, slots=True)
class Recomputed:
    """A bucket from its readings; `is_dirty` tells that a mark touches it, so that its stored rollup may still be older."""

    bucket: datetime
    statistics: BucketStatistics
    is_dirty: bool


@dataclass(slots=True)
class Fold:
    """Sums of numbers in the order in which they come, by the steps by which PostgreSQL's sum and regr_sxx add them."""

    count: int = 0
    total: float = 0.0
    least: float = 0.0
    greatest: float = 0.0
    first: float = 0.0
    last: float = 0.0
    deviation_sq: float = 0.0

    def add(self, number: float) -> None:
        """Add one number; squares by Youngs and Cramer's updating formula."""
        former = float(self.count)
        self.count += 1
        self.total += number
        self.last = number
        if self.count == 1:
            self.least = self.greatest = self.first = number
            return
        self.least = min(self.least, number)
        self.greatest = max(self.greatest, number)
        apart = number * float(self.count) - self.total
        self.deviation_sq += apart * apart * (1.0 / (float(self.count) * former))


@dataclass(slots=True)
class OpenBucket:
    """A bucket whose readings are still coming."""

    start_us: int
    values: Fold = field(default_factory=Fold)
    increases: Fold = field(default_factory=Fold)
    elapsed: Fold = field(default_factory=Fold)
    is_dirty: bool = False

    def closed(self) -> Recomputed:
        """Return the bucket's statistics."""
        values, increases = self.values, self.increases
        has_increase = increases.count > 0
        return Recomputed(
            instant_of(self.start_us),
            BucketStatistics(
                count=values.count,
                sum=values.total,
                min=values.least,
                max=values.greatest,
                first=values.first,
                last=values.last,
                deviation_sq=values.deviation_sq,
                increase_count=increases.count,
                increase_sum=increases.total if has_increase else None,
                increase_min=increases.least if has_increase else None,
                increase_max=increases.greatest if has_increase else None,
                increase_first=increases.first if has_increase else None,
                increase_last=increases.last if has_increase else None,
                increase_deviation_sq=increases.deviation_sq if has_increase else None,
                increase_elapsed_s=self.elapsed.total if has_increase else None,
            ),
            self.is_dirty,
        )


class MarkedTimes:
    """The stretches of a metric that marks name, ends included."""

    def __init__(self, ranges: Iterable[tuple[datetime, datetime]]) -> None:
        self._starts: list[datetime] = []
        self._ends: list[datetime] = []
        for start, end in sorted(ranges):
            if self._ends and start <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._starts.append(start)
                self._ends.append(end)

    def holds(self, instant: datetime) -> bool:
        """Tell whether a mark names the instant."""
        place = bisect_right(self._starts, instant)
        return place > 0 and instant <= self._ends[place - 1]

    def meets(self, start: datetime, end: datetime) -> bool:
        """Tell whether a mark names any instant in [start, end)."""
        place = bisect_right(self._starts, end - MICROSECOND)
        return place > 0 and start <= self._ends[place - 1]


def recompute(
    readings: Iterable[Reading],
    meter_type: MeterType,
    *,
    granularity_us: int,
    find_previous: FindPrevious,
    marked: MarkedTimes,
) -> Iterator[Recomputed]:
    """Yield the buckets of readings that come in order of time; `find_previous` looks before the first reading of each boot.

    A bucket is dirty where a mark names one of its readings or the predecessor of one, since that changes its increase.
    """
    latest: dict[int, Reading | None] = {}
    bucket: OpenBucket | None = None
    for reading in readings:
        boot = reading.boot_epoch
        previous = None
        if may_have_previous(reading):
            previous = latest[boot] if boot in latest else find_previous(reading)
            latest[boot] = reading
        start_us = bucket_start_us(microseconds_of(reading.observed_at), granularity_us)
        if bucket is not None and bucket.start_us != start_us:
            yield bucket.closed()
            bucket = None
        if bucket is None:
            bucket = OpenBucket(start_us)
        bucket.values.add(reading.value)
        increase = increase_of(reading, previous, meter_type)
        if increase is not None:
            bucket.increases.add(increase.amount)
            bucket.elapsed.add(elapsed_s(reading, previous))
        if marked.holds(reading.observed_at) or (previous is not None and marked.holds(previous.observed_at)):
            bucket.is_dirty = True
    if bucket is not None:
        yield bucket.closed()


def may_have_previous(reading: Reading) -> bool:
    """Tell whether a reading can follow another: an event's mark stands where a boot does, far in the future, and is its own."""
    return reading.boot_epoch <= microseconds_of(reading.observed_at) + BOOT_SKEW_MAX_S * 1_000_000


def elapsed_s(reading: Reading, previous: Reading | None) -> float:
    """Return over how long an increase ran, rounded as PostgreSQL rounds an interval's epoch: whole days apart from the rest."""
    booted_at = EPOCH + timedelta(microseconds=reading.boot_epoch)
    since = previous.observed_at if previous is not None else min(booted_at, reading.observed_at)
    days, rest_us = divmod((reading.observed_at - since) // MICROSECOND, DAY_US)
    return rest_us / 1_000_000.0 + 86_400.0 * float(days)


def is_same_bits(one: float | None, other: float | None) -> bool:
    """Tell whether two numbers are the same to the bit; None is only None."""
    if one is None or other is None:
        return one is other
    return pack(">d", one) == pack(">d", other)


def differing_columns(stored: BucketStatistics, recomputed: BucketStatistics) -> Sequence[tuple[str, str, str]]:
    """Return the columns that differ, each with the stored and the recomputed number written so that it reads back as itself."""
    pairs = ((name, getattr(stored, name), getattr(recomputed, name)) for name in COLUMNS)
    return [(name, repr(one), repr(other)) for name, one, other in pairs if not is_same_bits(one, other)]


@dataclass(frozen=True, slots=True)
class Compared:
    """What comparing some buckets gave: how many were compared, how many wait for a roller, and what differs."""

    checked: int
    waiting: int
    differences: tuple[tuple[datetime, str, str | None, str | None], ...]


def compare(
    stored: Mapping[datetime, BucketStatistics],
    recomputed: Iterable[Recomputed],
    *,
    granularity_us: int,
    marked: MarkedTimes,
) -> Compared:
    """Compare stored buckets with recomputed ones; those that a mark touches are left out, and only counted."""
    checked = waiting = 0
    differences: list[tuple[datetime, str, str | None, str | None]] = []
    seen: set[datetime] = set()
    for bucket in recomputed:
        seen.add(bucket.bucket)
        if bucket.is_dirty:
            waiting += 1
            continue
        checked += 1
        row = stored.get(bucket.bucket)
        if row is None:
            differences.append((bucket.bucket, "bucket", None, f"{bucket.statistics.count} readings"))
        else:
            found = differing_columns(row, bucket.statistics)
            differences.extend((bucket.bucket, *column) for column in found)
    for start, row in stored.items():
        if start in seen:
            continue
        if marked.meets(start, start + timedelta(microseconds=granularity_us)):
            waiting += 1
        else:
            checked += 1
            differences.append((start, "bucket", f"{row.count} readings", None))
    return Compared(checked, waiting, tuple(sorted(differences, key=lambda found: found[:2])))
