"""How long resources were there: laws that hold whatever is told, in whatever order."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from random import Random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.interval import TimeInterval
from metering.existence import (
    ResourceEvent,
    TimeMeter,
    by_hours,
    existence_of,
    time_meter_of,
    total_unit_seconds,
    unit_seconds,
)

START = datetime(2026, 11, 1, tzinfo=UTC)
DAY = TimeInterval(START, START + timedelta(days=1))


def an_event(
    at_s: float, *, size: str = "10", end: bool = False, grade: str = "", project: str = "p", number: int = 0
) -> ResourceEvent:
    return ResourceEvent(
        event_id=UUID(int=number or int(at_s * 1000) + 1),
        resource_id=UUID(int=7),
        resource_type="volume",
        original_resource_id="7",
        project_id=project,
        user_id=None,
        kind="volume.told",
        meter="volume.size",
        unit="GiB",
        is_end=end,
        size=Decimal(0) if end else Decimal(size),
        grade=grade,
        name="data",
        observed_at=START + timedelta(seconds=at_s),
    )


def test_a_resize_and_an_end_cut_a_life_into_its_sizes():
    told = [an_event(3600), an_event(7200, size="20"), an_event(10800, end=True)]
    first, second = existence_of(told, DAY)
    assert (first.size, first.started_at, first.ended_at) == (
        10,
        START + timedelta(hours=1),
        START + timedelta(hours=2),
    )
    assert (second.size, second.ended_at, second.closed_by) == (20, START + timedelta(hours=3), told[2].event_id)
    assert total_unit_seconds([first, second]) == 10 * 3600 + 20 * 3600


def test_what_changes_nothing_on_the_bill_ends_no_segment_and_an_open_life_runs_to_the_interval():
    (only,) = existence_of([an_event(0), an_event(60), an_event(120)], DAY)
    assert (only.opened_by, only.ended_at, only.closed_by) == (UUID(int=1), DAY.end, None)


def test_an_end_is_final_and_a_grade_or_a_project_that_changes_is_a_segment():
    told = [an_event(0), an_event(60, grade="ssd"), an_event(120, grade="ssd", project="q"), an_event(180, end=True)]
    segments = existence_of([*told, an_event(240)], DAY)
    assert [(s.grade, s.project_id) for s in segments] == [("", "p"), ("ssd", "p"), ("ssd", "q")]


events = st.lists(
    st.builds(
        an_event,
        st.floats(-90_000, 90_000, allow_nan=False),
        size=st.sampled_from(["0", "1", "2.5", "1099511627776", "0.000001"]),
        grade=st.sampled_from(["", "ssd"]),
        project=st.sampled_from(["p", "q"]),
        number=st.integers(1, 2**64),
    ),
    max_size=12,
    unique_by=lambda event: event.event_id,
)


@given(events, st.randoms(use_true_random=False), st.integers(1, 86_399))
def test_the_order_of_arrival_does_not_matter_and_parts_add_up_to_the_whole(
    told: list[ResourceEvent], order: Random, cut_s: int
):
    shuffled = list(told)
    order.shuffle(shuffled)
    whole = existence_of(told, DAY)
    assert existence_of(shuffled, DAY) == whole
    cut = START + timedelta(seconds=cut_s)
    parts = [*existence_of(told, TimeInterval(START, cut)), *existence_of(told, TimeInterval(cut, DAY.end))]
    assert total_unit_seconds(parts) == total_unit_seconds(whole)
    assert total_unit_seconds(by_hours(whole)) == total_unit_seconds(whole)


@given(events)
def test_segments_of_a_resource_never_overlap_and_none_is_empty(told: list[ResourceEvent]):
    segments = existence_of(told, DAY)
    for segment in segments:
        assert segment.ended_at is not None
        assert DAY.start <= segment.started_at < segment.ended_at <= DAY.end
    for earlier, later in pairwise(segments):
        assert earlier.ended_at is not None
        assert earlier.ended_at <= later.started_at
        assert unit_seconds(earlier) >= 0


def test_a_time_meter_names_the_meter_of_a_size_and_perhaps_a_grade():
    assert time_meter_of("volume.size.time") == TimeMeter("volume.size", None)
    assert time_meter_of("volume.size.time@ssd") == TimeMeter("volume.size", "ssd")
    assert time_meter_of("volume.size") is None
    assert time_meter_of(".time") is None


def test_what_is_gone_has_no_size():
    with pytest.raises(ValueError, match="what is gone has none"):
        replace(an_event(0), is_end=True)
