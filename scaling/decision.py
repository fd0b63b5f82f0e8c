"""Decides sizes: what a policy does to a group, and what brings a group to its size (pure).

The adjustment's arithmetic and its refusals are Heat's (AutoScalingGroup, ScalingPolicy).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never
from uuid import UUID

from scaling.model import (
    AdjustmentType,
    Condition,
    GroupState,
    Member,
    PolicySpec,
    Refusal,
    Resize,
    ScalingGroup,
    ScalingPolicy,
    VictimOrder,
    extended,
)

FAILURES_BEFORE_OPEN = 5
BACKOFF_S_FIRST = 5
BACKOFF_S_MAX = 600
CIRCUIT_OPEN_S = 600
HEALTHY_AFTER_S = 60
"""A member that has run so long was a good launch: the count of failures begins anew."""
LAUNCH_BATCH_MAX = 50
RECHECK_S = 30


def decide_adjustment(
    group: ScalingGroup, policy: ScalingPolicy, *, members: Sequence[Member], now: datetime
) -> Resize | Refusal:
    """Decide what executing a policy does: a new size within the bounds, or a refusal that says why not."""
    size = group.spec.size_desired
    blocked = _why_blocked(group, policy, members=members, now=now)
    if blocked is not None:
        return Refusal(size, blocked)
    wished = adjusted_size(size, policy.spec)
    after = min(max(wished, group.spec.size_min), group.spec.size_max)
    if after == size:
        return Refusal(size, _why_unchanged(group, wished))
    if after > size and is_circuit_open(group, now):
        return Refusal(
            size, f"the last {group.failures} launches failed; no more are tried before {_time(group.retry_at)}"
        )
    bound = "" if after == wished else f", bounded from {wished}"
    return Resize(
        size_before=size,
        size_after=after,
        reason=f"{policy.spec.name}: {_describe(policy.spec)} changes the size from {size} to {after}{bound}",
        group_cooldown_until=extended(group.cooldown_until, now=now, cooldown_s=group.spec.cooldown_s),
        policy_cooldown_until=extended(policy.cooldown_until, now=now, cooldown_s=policy.spec.cooldown_s or 0),
    )


def adjusted_size(size: int, policy: PolicySpec) -> int:
    """The size that a policy wishes for, not yet bounded.

    Percent of a size below one rounds away from zero, else toward zero, then the least step holds (Heat).
    """
    match policy.adjustment_type:
        case AdjustmentType.CHANGE_IN_CAPACITY:
            return size + policy.adjustment
        case AdjustmentType.EXACT_CAPACITY:
            return policy.adjustment
        case AdjustmentType.PERCENT_CHANGE_IN_CAPACITY:
            hundredths = abs(size * policy.adjustment)
            sign = 1 if policy.adjustment > 0 else -1
            step = 1 if 0 < hundredths < 100 else hundredths // 100
            if policy.min_adjustment_step is not None and step < policy.min_adjustment_step and policy.adjustment != 0:
                step = policy.min_adjustment_step
            return size + sign * step
    assert_never(policy.adjustment_type)


def _why_blocked(group: ScalingGroup, policy: ScalingPolicy, *, members: Sequence[Member], now: datetime) -> str | None:
    if group.state is GroupState.DELETING:
        return "the group is being deleted"
    unknown = sum(member.condition is Condition.UNKNOWN for member in members)
    if unknown:
        return (
            f"the host of {unknown} of {len(members)} members does not answer; nothing is scaled on what is not known"
        )
    unsettled = _why_unsettled(group, members, now)
    if unsettled is not None:
        return f"scaling is in progress: {unsettled}"
    if group.cooldown_until is not None and now < group.cooldown_until:
        return f"the group cools down until {_time(group.cooldown_until)}"
    if policy.cooldown_until is not None and now < policy.cooldown_until:
        return f"the policy cools down until {_time(policy.cooldown_until)}"
    return None


def _why_unsettled(group: ScalingGroup, members: Sequence[Member], now: datetime) -> str | None:
    starting = sum(member.condition is Condition.STARTING for member in members)
    leaving = sum(member.condition is Condition.LEAVING for member in members)
    if starting or leaving:
        return f"{starting} members are starting and {leaving} leaving"
    present = len(present_members(members))
    if present != group.size_wanted and not is_circuit_open(group, now):
        return f"the group has {present} of {group.size_wanted} members"
    return None


def _why_unchanged(group: ScalingGroup, wished: int) -> str:
    size = group.spec.size_desired
    if wished > size:
        return f"the group has its largest size already: {group.spec.size_max}"
    if wished < size:
        return f"the group has its smallest size already: {group.spec.size_min}"
    return f"the policy asks for the size that the group has: {size}"


def _describe(policy: PolicySpec) -> str:
    match policy.adjustment_type:
        case AdjustmentType.CHANGE_IN_CAPACITY:
            return f"{policy.adjustment:+d}"
        case AdjustmentType.EXACT_CAPACITY:
            return f"exactly {policy.adjustment}"
        case AdjustmentType.PERCENT_CHANGE_IN_CAPACITY:
            return f"{policy.adjustment:+d} %"
    assert_never(policy.adjustment_type)


def _time(instant: datetime | None) -> str:
    return "a while" if instant is None else instant.strftime("%H:%M:%S UTC")


def is_circuit_open(group: ScalingGroup, now: datetime) -> bool:
    """Tell whether launches are held after too many failures in a row."""
    return group.failures >= FAILURES_BEFORE_OPEN and group.retry_at is not None and now < group.retry_at


def retry_after_failure(failures: int, now: datetime) -> datetime:
    """When to launch again after so many failures in a row: 5 s, doubling; from the fifth the circuit is open for ten minutes.

    Then one launch is tried at a time, so that a group that can never start makes at most a handful of attempts an hour.
    """
    if failures >= FAILURES_BEFORE_OPEN:
        return now + timedelta(seconds=CIRCUIT_OPEN_S)
    return now + timedelta(seconds=min(BACKOFF_S_MAX, BACKOFF_S_FIRST * 2 ** (failures - 1)))


def present_members(members: Sequence[Member]) -> Sequence[Member]:
    """The members that count toward the size: neither leaving nor lost."""
    return [member for member in members if member.condition not in {Condition.LEAVING, Condition.LOST}]


@dataclass(frozen=True, slots=True)
class Convergence:
    """What brings a group nearer to its size now: members to launch, members to remove, and when to look again."""

    launch: int
    remove: tuple[UUID, ...]
    lost: tuple[Member, ...]
    is_good_again: bool
    look_again_at: datetime


def decide_convergence(group: ScalingGroup, *, members: Sequence[Member], now: datetime) -> Convergence:
    """Decide the next step toward the desired size; while any member's host is unknown there is none (unknown is never gone).

    A group that is being deleted gives up every member, whatever is known of it: that was its owner's word, not a guess.
    """
    recheck = now + timedelta(seconds=RECHECK_S)
    if group.state is GroupState.DELETING:
        leaving = tuple(member.instance_id for member in members if member.condition is not Condition.LEAVING)
        return Convergence(0, leaving, (), is_good_again=False, look_again_at=recheck)
    if any(member.condition is Condition.UNKNOWN for member in members):
        return Convergence(0, (), (), is_good_again=False, look_again_at=recheck)
    lost = tuple(member for member in members if member.condition is Condition.LOST)
    present = present_members(members)
    surplus = len(present) - group.size_wanted
    victims = choose_victims(present, group.spec.victim_order, count=max(0, surplus))
    retry_at = group.retry_at if group.retry_at is not None and now < group.retry_at else None
    is_waiting = bool(lost) or retry_at is not None
    batch = 1 if group.failures > 1 else LAUNCH_BATCH_MAX
    return Convergence(
        launch=0 if is_waiting else min(max(0, -surplus), batch),
        remove=tuple(victim.instance_id for victim in victims),
        lost=lost,
        is_good_again=group.failures > 0 and surplus == 0 and not lost and _have_run_long_enough(present, now),
        look_again_at=recheck if retry_at is None else min(recheck, retry_at),
    )


def _have_run_long_enough(present: Sequence[Member], now: datetime) -> bool:
    healthy = timedelta(seconds=HEALTHY_AFTER_S)
    return all(member.condition is not Condition.STARTING and now - member.joined_at >= healthy for member in present)


def choose_victims(members: Sequence[Member], order: VictimOrder, *, count: int) -> Sequence[Member]:
    """Choose who leaves: those that do no work first (stopped, then starting), then by age in the group's order."""
    idle_first = {Condition.STOPPED: 0, Condition.STARTING: 1}
    newest_first = sorted(
        members, key=lambda member: (member.joined_at, member.instance_id), reverse=order is VictimOrder.NEWEST
    )
    return sorted(newest_first, key=lambda member: idle_first.get(member.condition, 2))[:count]
