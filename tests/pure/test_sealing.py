"""How far raw samples may go: whole chunks, no bucket computed from remains, nothing that anything still needs."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from metering.rollups import bucket_start_us
from metering.samples import microseconds_of
from metering.sealing import Chunk, Hold, binding_holds, decide_boundary, sealing_boundary
from tests.metering_builders import at

DAY = 86_400
WEEK = 7 * DAY
MINUTE_US, HOUR_US, MONTH_US = 60_000_000, 3_600_000_000, 30 * DAY * 1_000_000
CHUNKS = [Chunk(at(n * WEEK), at((n + 1) * WEEK), 1) for n in range(10)]


def test_whole_chunks_go_up_to_what_is_needed() -> None:
    assert decide_boundary(CHUNKS, [MINUTE_US], [Hold(at(3 * WEEK + 5), "x")]) == sealing_boundary(at(3 * WEEK), [1])
    assert decide_boundary(CHUNKS, [MINUTE_US], [Hold(at(WEEK - 1), "x")]) is None
    assert decide_boundary([], [MINUTE_US], []) is None


def test_the_strictest_hold_decides_and_is_told_first() -> None:
    holds = [Hold(at(5 * WEEK), "loose"), Hold(at(2 * WEEK), "strict"), Hold(at(9 * WEEK), "looser")]
    found = decide_boundary(CHUNKS, [MINUTE_US], holds)
    assert found is not None
    assert found.drop_before == at(2 * WEEK)
    assert [hold.reason for hold in binding_holds(holds, limit=2)] == ["strict", "loose"]


def test_a_wide_bucket_that_the_drop_cuts_is_sealed_to_its_end_or_keeps_the_chunk() -> None:
    found = decide_boundary(CHUNKS, [MINUTE_US, MONTH_US], [Hold(at(9 * WEEK), "x")])
    assert found is not None
    assert found.drop_before < found.seal_before <= at(9 * WEEK)
    assert microseconds_of(found.seal_before) % MONTH_US == 0


widths = st.lists(
    st.sampled_from([MINUTE_US, 300_000_000, HOUR_US, 7 * HOUR_US, DAY * 1_000_000, MONTH_US]), min_size=1
)


@given(widths, st.integers(0, 50), st.integers(0, 400 * DAY))
def test_from_the_seal_on_no_bucket_holds_a_reading_from_before_the_drop(
    widths: list[int], week: int, later_s: int
) -> None:
    found = sealing_boundary(at(week * WEEK), widths)
    assert found.seal_before >= found.drop_before
    reading_us = microseconds_of(found.seal_before + timedelta(seconds=later_s))
    assert all(bucket_start_us(reading_us, width) >= microseconds_of(found.drop_before) for width in widths)


@given(widths, st.lists(st.integers(0, 12 * WEEK), max_size=4))
def test_nothing_is_sealed_that_is_held(widths: list[int], needed: list[int]) -> None:
    found = decide_boundary(CHUNKS, widths, [Hold(at(second), "x") for second in needed])
    assert found is None or all(found.seal_before <= at(second) for second in needed)
