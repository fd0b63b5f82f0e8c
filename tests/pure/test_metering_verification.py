"""Rollups computed a second time: what a bucket holds, which buckets wait, and which numbers differ."""

import math
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from metering.counters import Reading, increases_of
from metering.verification import (
    BucketStatistics,
    MarkedTimes,
    Recomputed,
    compare,
    differing_columns,
    elapsed_s,
    is_same_bits,
    recompute,
)
from tests.metering_builders import at

MINUTE_US = 60_000_000
readings = st.lists(
    st.tuples(st.integers(0, 600), st.sampled_from([0, 1_700_000_000_000_000]), st.floats(0, 1e18)),
    max_size=40,
    unique_by=lambda r: (r[0], r[1]),
).map(lambda rows: sorted(Reading(at(second), boot, value + 0.0) for second, boot, value in rows))


def find_nothing(reading: Reading) -> Reading | None:
    """Look before the first reading, where nothing is."""


def recomputed(rows: list[Reading], marked: MarkedTimes | None = None) -> list[Recomputed]:
    found = recompute(
        rows,
        "cumulative",
        granularity_us=MINUTE_US,
        find_previous=find_nothing,
        marked=marked or MarkedTimes([]),
    )
    return list(found)


@given(readings)
def test_every_reading_is_in_one_bucket_and_every_increase_is_counted_once(rows: list[Reading]) -> None:
    buckets = recomputed(rows)
    assert sum(bucket.statistics.count for bucket in buckets) == len(rows)
    increases = [increase for _, increase in increases_of(rows, "cumulative") if increase is not None]
    assert sum(bucket.statistics.increase_count for bucket in buckets) == len(increases)
    total = sum(bucket.statistics.increase_sum or 0 for bucket in buckets)
    assert math.isclose(total, sum(increase.amount for increase in increases), rel_tol=1e-9, abs_tol=1e-9)
    assert [bucket.bucket for bucket in buckets] == sorted({bucket.bucket for bucket in buckets})


@given(readings, st.integers(1, 39))
def test_a_part_that_begins_later_finds_the_predecessors_and_is_the_same(rows: list[Reading], cut: int) -> None:
    boundary = at(60 * (cut // 4))
    earlier = [reading for reading in rows if reading.observed_at < boundary]

    def find_previous(reading: Reading) -> Reading | None:
        own = [one for one in earlier if one.boot_epoch == reading.boot_epoch]
        return own[-1] if own else None

    later = recompute(
        [reading for reading in rows if reading.observed_at >= boundary],
        "cumulative",
        granularity_us=MINUTE_US,
        find_previous=find_previous,
        marked=MarkedTimes([]),
    )
    assert list(later) == [bucket for bucket in recomputed(rows) if bucket.bucket >= boundary]


def test_the_order_of_a_sum_is_the_order_of_time() -> None:
    rows = [Reading(at(n), 0, value) for n, value in enumerate((1e16, 1.0, -1e16, 1.0))]
    assert recomputed(rows)[0].statistics.sum == ((1e16 + 1.0) - 1e16) + 1.0 == 1.0


def test_a_bucket_waits_where_a_mark_names_its_reading_or_the_one_before() -> None:
    rows = [Reading(at(second), 0, second) for second in (30, 90, 150)]

    def waiting(start: float, end: float) -> list[bool]:
        return [bucket.is_dirty for bucket in recomputed(rows, MarkedTimes([(at(start), at(end))]))]

    assert waiting(30, 30) == [True, True, False]
    assert waiting(31, 89) == [False, False, False]
    assert waiting(90, 150) == [False, True, True]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 10)), max_size=10), st.integers(0, 70), st.integers(1, 10))
def test_marked_times_hold_what_any_of_them_holds(ranges: list[tuple[int, int]], instant: int, width: int) -> None:
    marked = MarkedTimes([(at(start), at(start + length)) for start, length in ranges])
    assert marked.holds(at(instant)) == any(start <= instant <= start + length for start, length in ranges)
    met = any(start < instant + width and start + length >= instant for start, length in ranges)
    assert marked.meets(at(instant), at(instant + width)) == met


def test_numbers_are_the_same_only_to_the_bit() -> None:
    assert is_same_bits(0.1 + 0.2, 0.30000000000000004)
    assert not is_same_bits(0.1 + 0.2, 0.3)
    assert not is_same_bits(0.0, -0.0)
    assert is_same_bits(None, None)
    assert not is_same_bits(None, 0.0)


def a_bucket(start: datetime, *, is_dirty: bool = False) -> Recomputed:
    return Recomputed(start, statistics(), is_dirty)


def statistics(**changes: float) -> BucketStatistics:
    facts = {"count": 1, "sum": 1.0, "min": 1.0, "max": 1.0, "first": 1.0, "last": 1.0, "deviation_sq": 0.0}
    none = dict.fromkeys(("sum", "min", "max", "first", "last", "deviation_sq", "elapsed_s"))
    increases = {f"increase_{name}": value for name, value in none.items()}
    return BucketStatistics(**{**facts, "increase_count": 0, **increases, **changes})  # pyright: ignore[reportArgumentType]


def test_a_difference_names_the_column_and_both_numbers() -> None:
    assert differing_columns(statistics(sum=1.5), statistics()) == [("sum", "1.5", "1.0")]


def test_a_rollup_that_is_missing_or_has_no_readings_is_a_difference_unless_it_waits() -> None:
    found = compare({at(60): statistics()}, [a_bucket(at(0))], granularity_us=MINUTE_US, marked=MarkedTimes([]))
    assert found.differences == ((at(0), "bucket", None, "1 readings"), (at(60), "bucket", "1 readings", None))
    marked = MarkedTimes([(at(100), at(100))])
    waiting = compare({at(60): statistics()}, [a_bucket(at(0), is_dirty=True)], granularity_us=MINUTE_US, marked=marked)
    assert (waiting.checked, waiting.waiting, waiting.differences) == (0, 2, ())


def test_an_increase_runs_from_the_reading_before_or_from_the_boot_and_never_backwards() -> None:
    boot = int((at(0) - datetime.fromisoformat("1970-01-01T00:00:00+00:00")) / timedelta(microseconds=1))
    assert elapsed_s(Reading(at(90_000.25), boot, 1), None) == 90_000.25
    assert elapsed_s(Reading(at(-5), boot, 1), None) == 0.0
    assert elapsed_s(Reading(at(90), boot, 1), Reading(at(30), boot, 1)) == 60.0
