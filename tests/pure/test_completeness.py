"""What was expected of a resource and what is missing: slots of polls, runs of instances, gaps."""

from datetime import datetime, timedelta
from itertools import pairwise
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from foundation.ids import new_id
from foundation.interval import TimeInterval
from metering.completeness import (
    Cadence,
    GapReason,
    MissedSlot,
    RunningStretch,
    expect,
    gaps_of,
    hours_of,
    running_stretches,
)
from metering.model import LifecycleEvent
from metering.samples import microseconds_of
from tests.metering_builders import an_event, at

DAY = TimeInterval(at(0), at(86_400))
FAR = at(10 * 86_400)
MINUTE = 60_000_000


def ran(start: float, end: float, source: str | None = "kvm1") -> RunningStretch:
    return RunningStretch(TimeInterval(at(start), at(end)), source)


def every(interval_s: float, since: float = -86_400) -> Cadence:
    return Cadence(at(since), round(interval_s * 1_000_000))


def count(*stretches: RunningStretch, cadences: tuple[Cadence, ...] = (every(60),), now: datetime = FAR) -> int:
    return expect(stretches, {"kvm1": cadences}, within=DAY, now=now).count


def events(instance: UUID, *facts: tuple[float, str]) -> list[LifecycleEvent]:
    return [an_event(second, state, instance_id=instance, host="kvm1") for second, state in facts]


def test_a_reading_is_expected_in_each_slot_in_which_the_instance_ran_from_end_to_end() -> None:
    assert count(ran(0, 3600)) == 60
    assert count(ran(30, 330)) == 4
    assert count(ran(30, 89)) == 0
    assert count(ran(0, 3600), cadences=(every(7),)) == 513, "slots are counted from 1970, not from the hour"


def test_a_slot_that_is_not_over_yet_is_not_expected_yet() -> None:
    assert count(ran(0, 3600), now=at(119)) == 1
    assert count(ran(0, 3600), now=at(120)) == 2
    assert count(ran(0, 3600), now=at(-1)) == 0


def test_a_change_of_the_poll_interval_holds_from_its_first_poll_on() -> None:
    assert count(ran(0, 3600), cadences=(every(60), every(10, since=1800.4))) == 30 + 180


def test_before_the_first_poll_and_without_a_host_the_expectation_is_unknown_and_not_nothing() -> None:
    found = expect([ran(0, 3600)], {"kvm1": [every(60, since=1800.3)]}, within=DAY, now=FAR)
    assert (found.count, found.unknown) == (30, timedelta(seconds=1800))
    homeless = expect([ran(0, 3600, source=None)], {"kvm1": [every(60)]}, within=DAY, now=FAR)
    assert (homeless.count, homeless.unknown) == (0, timedelta(hours=1))


def test_only_a_running_instance_is_expected_to_be_read() -> None:
    instance = new_id()
    facts = (
        (0, "active"),
        (3600, "stopped"),
        (7200, "active"),
        (9000, "host_down"),
        (10_800, "error"),
        (14_400, "deleted"),
    )
    stretches = running_stretches(events(instance, *facts), DAY)[instance]
    assert stretches == [ran(0, 3600), ran(7200, 9000)]


def test_an_event_that_stops_nothing_cuts_no_slot() -> None:
    instance = new_id()
    found = running_stretches(events(instance, (0, "active"), (90, "active"), (150, "active")), DAY)
    assert found == {instance: [ran(0, 86_400)]}


def test_what_comes_after_deletion_is_not_expected() -> None:
    instance = new_id()
    found = running_stretches(events(instance, (0, "active"), (60, "deleted"), (120, "active")), DAY)
    assert found == {instance: [ran(0, 60)]}


stretches = st.lists(st.tuples(st.integers(0, 40_000), st.integers(1, 20_000)), max_size=4).map(
    lambda pairs: [ran(start, start + length) for start, length in pairs]
)
cadences = st.lists(st.tuples(st.integers(-5000, 60_000), st.sampled_from([1, 7, 60, 61.5, 3600])), max_size=3).map(
    lambda pairs: sorted((every(s, since) for since, s in pairs), key=lambda cadence: cadence.since)
)


@given(stretches, cadences, st.integers(0, 90_000), st.lists(st.integers(1, 86_399), max_size=5, unique=True))
def test_what_is_expected_in_the_parts_adds_up_to_what_is_expected_in_the_whole(
    stretches: list[RunningStretch], cadences: list[Cadence], now: int, cuts: list[int]
) -> None:
    bounds = [0, *sorted(cuts), 86_400]
    parts = [TimeInterval(at(one), at(other)) for one, other in pairwise(bounds)]
    given_ = {"kvm1": cadences}
    whole = expect(stretches, given_, within=DAY, now=at(now))
    shares = [expect(stretches, given_, within=part, now=at(now)) for part in parts]
    assert sum(share.count for share in shares) == whole.count
    assert sum((share.unknown for share in shares), timedelta(0)) == whole.unknown


@given(stretches, cadences)
def test_every_expected_slot_lies_within_a_run_of_the_instance(
    stretches: list[RunningStretch], cadences: list[Cadence]
) -> None:
    for slots in expect(stretches, {"kvm1": cadences}, within=DAY, now=FAR).slots:
        assert slots.first_us % slots.interval_us == 0
        assert any(
            one.interval.start <= slots.interval.start and slots.interval.end <= one.interval.end for one in stretches
        )


def test_hours_are_those_of_the_clock_cut_to_the_interval() -> None:
    hours = list(hours_of(TimeInterval(at(1800), at(7300))))
    assert hours == [
        TimeInterval(at(1800), at(3600)),
        TimeInterval(at(3600), at(7200)),
        TimeInterval(at(7200), at(7300)),
    ]


def test_missed_slots_that_follow_each_other_for_one_reason_are_one_gap() -> None:
    def missed(second: float, reason: GapReason) -> MissedSlot:
        return MissedSlot(microseconds_of(at(second)), MINUTE, reason)

    silent, absent = GapReason.HOST_SILENT, GapReason.RESOURCE_ABSENT
    gaps = gaps_of([missed(120, silent), missed(60, silent), missed(180, absent), missed(300, absent)])
    assert [(gap.interval, gap.reason) for gap in gaps] == [
        (TimeInterval(at(60), at(180)), silent),
        (TimeInterval(at(180), at(240)), absent),
        (TimeInterval(at(300), at(360)), absent),
    ]
