"""Sizes: Heat's arithmetic and refusals, and the laws that hold whatever happens."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.errors import Invalid
from scaling.decision import (
    FAILURES_BEFORE_OPEN,
    adjusted_size,
    choose_victims,
    decide_adjustment,
    decide_convergence,
    present_members,
    retry_after_failure,
)
from scaling.model import (
    AdjustmentType,
    Condition,
    GroupId,
    GroupSpec,
    GroupState,
    LaunchTemplate,
    Member,
    PolicyId,
    PolicySpec,
    Refusal,
    Resize,
    ScalingGroup,
    ScalingPolicy,
    VictimOrder,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CHANGE, EXACT, PERCENT = AdjustmentType


def a_group(*, minimum: int = 1, maximum: int = 5, desired: int = 2, cooldown_s: int = 60) -> ScalingGroup:
    launch = LaunchTemplate(image_id=UUID(int=1), flavor_id="1")
    return ScalingGroup(
        id=GroupId(UUID(int=7)),
        project_id="p",
        user_id="u",
        spec=GroupSpec("web", launch, minimum, maximum, desired, cooldown_s),
        state=GroupState.ACTIVE,
        cooldown_until=None,
        failures=0,
        retry_at=None,
        launched_count=0,
        converge_at=None,
        created_at=NOW,
        updated_at=NOW,
    )


def a_policy(
    adjustment: int = 1,
    adjustment_type: AdjustmentType = CHANGE,
    *,
    step: int | None = None,
    cooldown_s: int | None = None,
) -> ScalingPolicy:
    spec = PolicySpec("grow", adjustment_type, adjustment, step, cooldown_s)
    return ScalingPolicy(PolicyId(UUID(int=8)), GroupId(UUID(int=7)), spec, None, NOW)


def members(*conditions: Condition) -> Sequence[Member]:
    return [
        Member(UUID(int=100 + place), condition, NOW + timedelta(seconds=place))
        for place, condition in enumerate(conditions)
    ]


def running(count: int) -> Sequence[Member]:
    return members(*[Condition.RUNNING] * count)


def refused(decision: Resize | Refusal) -> str:
    assert isinstance(decision, Refusal)
    return decision.reason


@pytest.mark.parametrize(
    ("size", "kind", "adjustment", "step", "expected"),
    [
        (4, CHANGE, 2, None, 6),
        (4, CHANGE, -3, None, 1),
        (4, EXACT, 3, None, 3),
        (4, PERCENT, 50, None, 6),
        (4, PERCENT, -50, None, 2),
        (3, PERCENT, 50, None, 4),  # 1.5 rounds toward zero
        (3, PERCENT, -50, None, 2),
        (3, PERCENT, 10, None, 4),  # 0.3 rounds away from zero
        (3, PERCENT, -10, None, 2),
        (0, PERCENT, 50, None, 0),
        (10, PERCENT, 10, 3, 13),
        (10, PERCENT, -10, 3, 7),
        (10, PERCENT, 0, None, 10),
    ],
)
def test_adjustments_are_heats(
    size: int, kind: AdjustmentType, adjustment: int, step: int | None, expected: int
) -> None:
    assert adjusted_size(size, PolicySpec("p", kind, adjustment, step)) == expected


def test_a_resize_is_bounded_says_so_and_begins_the_cooldowns() -> None:
    decision = decide_adjustment(a_group(), a_policy(10, cooldown_s=30), members=running(2), now=NOW)
    assert isinstance(decision, Resize)
    assert (decision.size_before, decision.size_after) == (2, 5)
    assert decision.reason == "grow: +10 changes the size from 2 to 5, bounded from 12"
    assert decision.group_cooldown_until == NOW + timedelta(seconds=60)
    assert decision.policy_cooldown_until == NOW + timedelta(seconds=30)


def test_a_cooldown_is_never_shortened() -> None:
    group = replace(a_group(), cooldown_until=NOW - timedelta(seconds=1))
    policy = replace(a_policy(cooldown_s=5), cooldown_until=None)
    longer = replace(group, spec=replace(group.spec, cooldown_s=0))
    decision = decide_adjustment(longer, policy, members=running(2), now=NOW)
    assert isinstance(decision, Resize)
    assert decision.group_cooldown_until == longer.cooldown_until


def test_a_group_or_a_policy_that_cools_down_refuses_until_it_is_over() -> None:
    until = NOW + timedelta(seconds=10)
    cooling = replace(a_group(), cooldown_until=until)
    assert "the group cools down until 12:00:10 UTC" in refused(
        decide_adjustment(cooling, a_policy(), members=running(2), now=NOW)
    )
    assert isinstance(decide_adjustment(cooling, a_policy(), members=running(2), now=until), Resize)
    policy = replace(a_policy(), cooldown_until=until)
    assert "the policy cools down" in refused(decide_adjustment(a_group(), policy, members=running(2), now=NOW))


def test_a_group_in_the_middle_of_scaling_refuses() -> None:
    starting = members(Condition.RUNNING, Condition.STARTING)
    assert "in progress" in refused(decide_adjustment(a_group(), a_policy(), members=starting, now=NOW))
    assert "in progress" in refused(decide_adjustment(a_group(), a_policy(), members=running(1), now=NOW))


def test_a_host_that_does_not_answer_scales_nothing_in_either_direction() -> None:
    unsure = members(Condition.RUNNING, Condition.UNKNOWN)
    for adjustment in (1, -1):
        said = refused(decide_adjustment(a_group(), a_policy(adjustment), members=unsure, now=NOW))
        assert "does not answer" in said
    for desired in (1, 5):
        step = decide_convergence(a_group(desired=desired), members=unsure, now=NOW)
        assert (step.launch, step.remove, step.lost) == (0, (), ())


def test_at_its_bounds_a_group_refuses_and_names_the_bound() -> None:
    assert "largest size already: 5" in refused(
        decide_adjustment(a_group(desired=5), a_policy(), members=running(5), now=NOW)
    )
    assert "smallest size already: 1" in refused(
        decide_adjustment(a_group(desired=1), a_policy(-1), members=running(1), now=NOW)
    )


def test_an_open_circuit_refuses_to_grow_and_still_shrinks() -> None:
    failing = replace(a_group(desired=3), failures=FAILURES_BEFORE_OPEN, retry_at=NOW + timedelta(minutes=9))
    assert "launches failed" in refused(decide_adjustment(failing, a_policy(), members=running(1), now=NOW))
    assert isinstance(decide_adjustment(failing, a_policy(-1), members=running(1), now=NOW), Resize)


conditions = st.lists(st.sampled_from(Condition), max_size=8)


@st.composite
def adjustments(draw: st.DrawFn) -> PolicySpec:
    kind, number = draw(st.sampled_from(AdjustmentType)), draw(st.integers(-1000, 1000))
    return PolicySpec("p", kind, abs(number) if kind is EXACT else number)


@st.composite
def groups(draw: st.DrawFn) -> ScalingGroup:
    minimum = draw(st.integers(0, 5))
    maximum = draw(st.integers(minimum, 10))
    desired = draw(st.integers(minimum, maximum))
    group = a_group(minimum=minimum, maximum=maximum, desired=desired, cooldown_s=draw(st.integers(0, 100)))
    instants = st.none() | st.integers(-100, 100).map(lambda s: NOW + timedelta(seconds=s))
    return replace(group, cooldown_until=draw(instants), failures=draw(st.integers(0, 8)), retry_at=draw(instants))


@given(group=groups(), spec=adjustments(), found=conditions)
def test_a_size_stays_within_its_bounds_and_a_refusal_changes_nothing(
    group: ScalingGroup, spec: PolicySpec, found: list[Condition]
) -> None:
    policy = ScalingPolicy(PolicyId(UUID(int=8)), group.id, spec, None, NOW)
    decision = decide_adjustment(group, policy, members=members(*found), now=NOW)
    if isinstance(decision, Refusal):
        assert decision.size == group.spec.size_desired
        assert decision.reason
    else:
        assert group.spec.size_min <= decision.size_after <= group.spec.size_max
        assert decision.size_after != decision.size_before == group.spec.size_desired
        assert group.cooldown_until is None or decision.group_cooldown_until >= group.cooldown_until  # type: ignore[operator]


@given(group=groups(), found=conditions)
def test_a_step_never_launches_above_nor_removes_below_the_wanted_size(
    group: ScalingGroup, found: list[Condition]
) -> None:
    present = present_members(members(*found))
    step = decide_convergence(group, members=members(*found), now=NOW)
    assert not (step.launch and step.remove)
    assert step.launch == 0 or len(present) + step.launch <= group.size_wanted
    assert not step.remove or len(present) - len(step.remove) == group.size_wanted
    assert len(set(step.remove)) == len(step.remove)
    assert step.look_again_at > NOW or (group.retry_at is not None and group.retry_at > NOW)


@given(found=conditions, order=st.sampled_from(VictimOrder), count=st.integers(0, 8))
def test_victims_are_members_and_those_that_work_go_last(
    found: list[Condition], order: VictimOrder, count: int
) -> None:
    everyone = members(*found)
    victims = choose_victims(everyone, order, count=count)
    assert len(victims) == min(count, len(everyone))
    kept = [member for member in everyone if member not in victims]
    if any(victim.condition is Condition.RUNNING for victim in victims):
        assert not any(member.condition is Condition.STOPPED for member in kept)


def test_the_newest_or_the_oldest_leaves_first() -> None:
    everyone = running(3)
    assert choose_victims(everyone, VictimOrder.NEWEST, count=1) == [everyone[2]]
    assert choose_victims(everyone, VictimOrder.OLDEST, count=1) == [everyone[0]]


def test_a_launch_that_always_fails_is_tried_a_handful_of_times_an_hour() -> None:
    at, tries = NOW, 0
    while at < NOW + timedelta(hours=1):
        tries += 1
        at = retry_after_failure(tries, at)
    assert tries <= 11


def test_a_group_that_is_deleted_gives_up_every_member() -> None:
    group = replace(a_group(desired=2), state=GroupState.DELETING)
    step = decide_convergence(group, members=members(Condition.RUNNING, Condition.UNKNOWN, Condition.LEAVING), now=NOW)
    assert len(step.remove) == 2
    assert step.launch == 0


@pytest.mark.parametrize(("minimum", "maximum", "desired"), [(-1, 2, 1), (3, 2, 2), (1, 3, 4), (1, 3, 0), (0, 1001, 1)])
def test_a_group_out_of_bounds_cannot_be_made(minimum: int, maximum: int, desired: int) -> None:
    with pytest.raises(Invalid):
        a_group(minimum=minimum, maximum=maximum, desired=desired)
