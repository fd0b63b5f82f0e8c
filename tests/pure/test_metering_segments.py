"""State segments: they part an instance's life without gap or overlap, whatever the order of the facts."""

from itertools import pairwise
from random import Random
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from foundation.ids import new_id
from foundation.interval import TimeInterval
from metering.model import LifecycleEvent
from metering.segments import segments_of
from tests.metering_builders import an_event, at

INSTANCE = UUID("018f0000-0000-7000-8000-000000000001")
WHOLE = TimeInterval(at(-10), at(10_000))

events = st.lists(
    st.tuples(
        st.integers(0, 1000),
        st.sampled_from(["active", "stopped", "error", "host_down", "deleted"]),
        st.sampled_from("12"),
    ),
    min_size=1,
    max_size=15,
).map(lambda rows: [an_event(s, state, instance_id=INSTANCE, flavor_id=flavor) for s, state, flavor in rows])


@given(events, st.randoms())
def test_segments_follow_each_other_without_gap_or_overlap_in_any_order_of_facts(
    facts: list[LifecycleEvent], random: Random
) -> None:
    segments = segments_of(facts, WHOLE)
    shuffled = list(facts)
    random.shuffle(shuffled)
    assert segments_of(shuffled, WHOLE) == segments
    for one, following in pairwise(segments):
        assert one.ended_at == following.started_at
    ends = [e.observed_at for e in facts if e.state == "deleted"]
    if segments and ends:
        assert segments[-1].ended_at == min(ends)


@given(events, st.integers(1, 999))
def test_parts_of_an_interval_add_up_to_the_whole(facts: list[LifecycleEvent], cut: int) -> None:
    def seconds(interval: TimeInterval) -> float:
        return sum((s.ended_at - s.started_at).total_seconds() for s in segments_of(facts, interval) if s.ended_at)

    parts = TimeInterval(WHOLE.start, at(cut)), TimeInterval(at(cut), WHOLE.end)
    assert seconds(parts[0]) + seconds(parts[1]) == seconds(WHOLE)


def test_a_reboot_ends_no_segment_and_a_resize_does() -> None:
    facts = [
        an_event(0, "active", instance_id=INSTANCE),
        an_event(10, "active", instance_id=INSTANCE, kind="reboot", name="renamed"),
        an_event(20, "active", instance_id=INSTANCE, kind="resize", flavor_id="2", vcpus=2),
    ]
    segments = segments_of(facts, TimeInterval(at(0), at(30)))
    assert [(s.started_at, s.ended_at, s.vcpus) for s in segments] == [(at(0), at(20), 1), (at(20), at(30), 2)]
    assert segments[0].closed_by == facts[2].event_id
    assert segments[1].closed_by is None


def test_nothing_comes_after_deletion() -> None:
    facts = [
        an_event(0, "active", instance_id=INSTANCE),
        an_event(10, "deleted", instance_id=INSTANCE),
        an_event(20, "active", instance_id=INSTANCE),
    ]
    assert len(segments_of(facts, WHOLE)) == 1


def test_instances_are_kept_apart() -> None:
    other = new_id()
    facts = [an_event(0, "active", instance_id=INSTANCE), an_event(5, "stopped", instance_id=other)]
    assert {s.resource_id for s in segments_of(facts, WHOLE)} == {INSTANCE, other}
