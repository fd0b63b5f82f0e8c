"""The nouns of scaling: group, policy, member, activity; size_min <= size_desired <= size_max holds from birth."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType
from uuid import UUID

from foundation.errors import Conflict, Invalid, NotFound

GroupId = NewType("GroupId", UUID)
PolicyId = NewType("PolicyId", UUID)
ActivityId = NewType("ActivityId", UUID)

SIZE_MAX = 1_000
COOLDOWN_S_MAX = 86_400
NAME_LENGTH_MAX = 255
GROUPS_PER_PROJECT_MAX = 100
POLICIES_PER_GROUP_MAX = 50
USER_DATA_BYTES_MAX = 65_535
GROUP_METADATA_KEY = "metering.server_group"
"""Ceilometer's key, by which the instances of a group are measured together."""


class GroupNotFound(NotFound):
    """No such scaling group in the caller's project."""


class PolicyNotFound(NotFound):
    """No such scaling policy in the caller's project."""


class GroupConflict(Conflict):
    """The group is not in a state for what was asked."""


class GroupState(StrEnum):
    """Whether a group is kept at its size, or is on its way to nothing."""

    ACTIVE = "active"
    DELETING = "deleting"


class VictimOrder(StrEnum):
    """Which members leave first when a group shrinks."""

    NEWEST = "newest"
    OLDEST = "oldest"


class AdjustmentType(StrEnum):
    """How a policy's number is meant; the words are Heat's."""

    CHANGE_IN_CAPACITY = "change_in_capacity"
    EXACT_CAPACITY = "exact_capacity"
    PERCENT_CHANGE_IN_CAPACITY = "percent_change_in_capacity"


class DecisionKind(StrEnum):
    """What an activity records: a new size, a refusal, a member put in the place of a lost one, a launch that failed, the circuit."""

    RESIZE = "resize"
    REFUSAL = "refusal"
    REPLACEMENT = "replacement"
    LAUNCH_FAILURE = "launch_failure"


@dataclass(frozen=True, slots=True)
class LaunchTemplate:
    """What each member is launched from; names of members are the group's name and a number."""

    image_id: UUID
    flavor_id: str
    network_ids: tuple[UUID, ...] = ()
    user_data: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    security_groups: tuple[str, ...] = ()
    key_name: str | None = None
    availability_zone: str | None = None

    def __post_init__(self) -> None:
        if self.user_data is not None and len(self.user_data.encode()) > USER_DATA_BYTES_MAX:
            raise Invalid(f"user data has at most {USER_DATA_BYTES_MAX} bytes", field="launch.user_data")
        if GROUP_METADATA_KEY in self.metadata:
            raise Invalid(f"{GROUP_METADATA_KEY} is set by the group itself; leave it out", field="launch.metadata")


@dataclass(frozen=True, slots=True)
class GroupSpec:
    """What the owner of a group decides about it."""

    name: str
    launch: LaunchTemplate
    size_min: int
    size_max: int
    size_desired: int
    cooldown_s: int = 0
    victim_order: VictimOrder = VictimOrder.NEWEST

    def __post_init__(self) -> None:
        if not 1 <= len(self.name) <= NAME_LENGTH_MAX:
            raise Invalid(f"a name has 1 to {NAME_LENGTH_MAX} characters", field="name")
        if not 0 <= self.size_min <= self.size_max <= SIZE_MAX:
            raise Invalid(f"sizes hold 0 <= size_min <= size_max <= {SIZE_MAX}", field="size_max")
        if not self.size_min <= self.size_desired <= self.size_max:
            raise Invalid("size_desired lies between size_min and size_max", field="size_desired")
        if not 0 <= self.cooldown_s <= COOLDOWN_S_MAX:
            raise Invalid(f"a cooldown is between 0 and {COOLDOWN_S_MAX} seconds", field="cooldown_s")


@dataclass(frozen=True, slots=True)
class ScalingGroup:
    """Instances of one kind, kept at a size; `failures` counts launches that came to nothing since the last good one."""

    id: GroupId
    project_id: str
    user_id: str | None
    spec: GroupSpec
    state: GroupState
    cooldown_until: datetime | None
    failures: int
    retry_at: datetime | None
    launched_count: int
    converge_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def size_wanted(self) -> int:
        """How many members it shall have: the desired size, or none once it is being deleted."""
        return 0 if self.state is GroupState.DELETING else self.spec.size_desired


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """What the owner of a policy decides about it; without a cooldown of its own only the group's holds."""

    name: str
    adjustment_type: AdjustmentType
    adjustment: int
    min_adjustment_step: int | None = None
    cooldown_s: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.name) <= NAME_LENGTH_MAX:
            raise Invalid(f"a name has 1 to {NAME_LENGTH_MAX} characters", field="name")
        if not -100_000 <= self.adjustment <= 100_000:
            raise Invalid("an adjustment is between -100000 and 100000", field="adjustment")
        if self.adjustment_type is AdjustmentType.EXACT_CAPACITY and self.adjustment < 0:
            raise Invalid("an exact capacity is not negative", field="adjustment")
        if self.min_adjustment_step is not None:
            if self.adjustment_type is not AdjustmentType.PERCENT_CHANGE_IN_CAPACITY:
                raise Invalid("min_adjustment_step goes with percent_change_in_capacity", field="min_adjustment_step")
            if not 1 <= self.min_adjustment_step <= SIZE_MAX:
                raise Invalid(f"min_adjustment_step is between 1 and {SIZE_MAX}", field="min_adjustment_step")
        if self.cooldown_s is not None and not 0 <= self.cooldown_s <= COOLDOWN_S_MAX:
            raise Invalid(f"a cooldown is between 0 and {COOLDOWN_S_MAX} seconds", field="cooldown_s")


@dataclass(frozen=True, slots=True)
class ScalingPolicy:
    """How a group's size changes when the policy is executed."""

    id: PolicyId
    group_id: GroupId
    spec: PolicySpec
    cooldown_until: datetime | None
    created_at: datetime


class Condition(StrEnum):
    """How a member is, as far as scaling minds: LOST counts for nothing, UNKNOWN stops every decision."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPED = "stopped"
    LEAVING = "leaving"
    LOST = "lost"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Member:
    """An instance of a group."""

    instance_id: UUID
    condition: Condition
    joined_at: datetime
    has_run: bool = False
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a policy is executed: by which alarm, for which project, in words."""

    project_id: str
    description: str
    alarm_id: UUID | None = None
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class Resize:
    """The group changes its size, and cools down until then."""

    size_before: int
    size_after: int
    reason: str
    group_cooldown_until: datetime | None
    policy_cooldown_until: datetime | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The group keeps its size."""

    size: int
    reason: str


@dataclass(frozen=True, slots=True)
class Activity:
    """One decision about a group, with its reason; kept when group and policy are gone."""

    id: ActivityId
    group_id: GroupId
    project_id: str
    policy_id: PolicyId | None
    alarm_id: UUID | None
    decision: DecisionKind
    reason: str
    cause: str
    size_before: int
    size_after: int
    at: datetime


def extended(until: datetime | None, *, now: datetime, cooldown_s: int) -> datetime | None:
    """Begin a cooldown; one that lasts longer already is never shortened."""
    if cooldown_s == 0:
        return until
    begun = now + timedelta(seconds=cooldown_s)
    return begun if until is None else max(until, begun)
