"""Scaling groups, their policies and every decision about them, in the native API."""

from dataclasses import asdict, replace
from datetime import datetime
from uuid import UUID

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.authentication import RequestCaller
from api.body import new_router
from api.context import context_of
from api.native.cursors import id_after, split_page
from api.pagination import RequestCursorPage, encode_cursor
from api.transaction import RequestTransaction, SnapshotTransaction
from foundation.errors import Invalid
from orchestration import alarm_actions
from scaling import service
from scaling.model import (
    Activity,
    AdjustmentType,
    DecisionKind,
    GroupSpec,
    LaunchTemplate,
    PolicySpec,
    ScalingPolicy,
    VictimOrder,
)
from scaling.service import GroupView

router = new_router("/scaling")


class LaunchBody(BaseModel):
    """What each member is launched from; user_data is plain text."""

    model_config = ConfigDict(extra="forbid")

    image_id: UUID
    flavor_id: str = Field(min_length=1, max_length=255)
    network_ids: list[UUID] = Field(default_factory=list[UUID], max_length=16)
    user_data: str | None = Field(None, max_length=65_535)
    metadata: dict[str, str] = Field(default_factory=dict[str, str], max_length=128)
    security_groups: list[str] = Field(default_factory=list[str], max_length=16)
    key_name: str | None = Field(None, max_length=255)
    availability_zone: str | None = Field(None, max_length=255)


class NewGroup(BaseModel):
    """A group to be made; without a desired size it begins at its smallest."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=255)
    launch: LaunchBody
    size_min: int = Field(ge=0, le=1000)
    size_max: int = Field(ge=0, le=1000)
    size_desired: int | None = Field(None, ge=0, le=1000)
    cooldown_s: int = Field(0, ge=0, le=86_400)
    victim_order: VictimOrder = VictimOrder.NEWEST


class GroupChange(BaseModel):
    """What is to change about a group; what is left out stays. A new bound moves the desired size inside it."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, min_length=1, max_length=255)
    launch: LaunchBody | None = None
    size_min: int | None = Field(None, ge=0, le=1000)
    size_max: int | None = Field(None, ge=0, le=1000)
    size_desired: int | None = Field(None, ge=0, le=1000)
    cooldown_s: int | None = Field(None, ge=0, le=86_400)
    victim_order: VictimOrder | None = None


class MemberBody(BaseModel):
    """An instance of the group, and how it is as far as scaling minds."""

    instance_id: UUID
    condition: str
    joined_at: datetime
    fault: str | None


class GroupBody(BaseModel):
    """A group with its members; its instances carry its id in their metadata as metering.server_group."""

    id: UUID
    name: str
    state: str
    size_min: int
    size_max: int
    size_desired: int
    size_current: int
    cooldown_s: int
    cooldown_until: datetime | None
    victim_order: str
    launch: LaunchBody
    failures: int
    retry_at: datetime | None
    members: list[MemberBody]
    created_at: datetime
    updated_at: datetime


class GroupPage(BaseModel):
    """A page of groups."""

    items: list[GroupBody]
    next: str | None


class NewPolicy(BaseModel):
    """A policy to be made; an alarm executes it by the action scaling:<its id>."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=255)
    adjustment_type: AdjustmentType = AdjustmentType.CHANGE_IN_CAPACITY
    adjustment: int = Field(ge=-100_000, le=100_000)
    min_adjustment_step: int | None = Field(None, ge=1, le=1000)
    cooldown_s: int | None = Field(None, ge=0, le=86_400)


class PolicyBody(BaseModel):
    """A policy, and the action that makes an alarm execute it."""

    id: UUID
    group_id: UUID
    name: str
    adjustment_type: str
    adjustment: int
    min_adjustment_step: int | None
    cooldown_s: int | None
    cooldown_until: datetime | None
    action: str
    created_at: datetime


class PolicyPage(BaseModel):
    """All policies of a group."""

    items: list[PolicyBody]
    next: str | None


class ActivityBody(BaseModel):
    """A decision about a group's size, with its reason and what caused it."""

    id: UUID
    at: datetime
    decision: DecisionKind
    reason: str
    cause: str
    size_before: int
    size_after: int
    policy_id: UUID | None
    alarm_id: UUID | None


class ActivityPage(BaseModel):
    """A page of decisions."""

    items: list[ActivityBody]
    next: str | None


def to_launch(body: LaunchBody) -> LaunchTemplate:
    """Read a launch template."""
    return LaunchTemplate(
        image_id=body.image_id,
        flavor_id=body.flavor_id,
        network_ids=tuple(body.network_ids),
        user_data=body.user_data,
        metadata=body.metadata,
        security_groups=tuple(body.security_groups),
        key_name=body.key_name,
        availability_zone=body.availability_zone,
    )


def to_group(view: GroupView) -> GroupBody:
    """Write a group."""
    group = view.group
    return GroupBody(
        id=group.id,
        name=group.spec.name,
        state=group.state.value,
        size_min=group.spec.size_min,
        size_max=group.spec.size_max,
        size_desired=group.spec.size_desired,
        size_current=view.size_current,
        cooldown_s=group.spec.cooldown_s,
        cooldown_until=group.cooldown_until,
        victim_order=group.spec.victim_order.value,
        launch=LaunchBody.model_validate(asdict(group.spec.launch)),
        failures=group.failures,
        retry_at=group.retry_at,
        members=[
            MemberBody(
                instance_id=member.instance_id,
                condition=member.condition.value,
                joined_at=member.joined_at,
                fault=member.fault,
            )
            for member in view.members
        ],
        created_at=group.created_at,
        updated_at=group.updated_at,
    )


def to_policy(policy: ScalingPolicy) -> PolicyBody:
    """Write a policy."""
    return PolicyBody(
        id=policy.id,
        group_id=policy.group_id,
        name=policy.spec.name,
        adjustment_type=policy.spec.adjustment_type.value,
        adjustment=policy.spec.adjustment,
        min_adjustment_step=policy.spec.min_adjustment_step,
        cooldown_s=policy.spec.cooldown_s,
        cooldown_until=policy.cooldown_until,
        action=f"scaling:{policy.id}",
        created_at=policy.created_at,
    )


def to_activity(activity: Activity) -> ActivityBody:
    """Write a decision."""
    return ActivityBody(
        id=activity.id,
        at=activity.at,
        decision=activity.decision,
        reason=activity.reason,
        cause=activity.cause,
        size_before=activity.size_before,
        size_after=activity.size_after,
        policy_id=activity.policy_id,
        alarm_id=activity.alarm_id,
    )


def from_policy(body: NewPolicy) -> PolicySpec:
    """Read a policy's settings."""
    return PolicySpec(body.name, body.adjustment_type, body.adjustment, body.min_adjustment_step, body.cooldown_s)


def changed(spec: GroupSpec, change: GroupChange) -> GroupSpec:
    """Apply a change to a group's settings; a bound that moves takes the desired size along unless that is given too."""
    given = change.model_dump(exclude_unset=True, exclude_none=True, exclude={"launch"})
    launch = spec.launch if change.launch is None else to_launch(change.launch)
    size_min, size_max = given.get("size_min", spec.size_min), given.get("size_max", spec.size_max)
    if size_min > size_max:
        raise Invalid("size_min is at most size_max", field="size_min")
    desired = given.get("size_desired", min(max(spec.size_desired, size_min), size_max))
    return replace(spec, **{**given, "launch": launch, "size_desired": desired})


@router.get("/groups", operation_id="list_scaling_groups")
def list_groups(tx: SnapshotTransaction, caller: RequestCaller, page: RequestCursorPage, request: Request) -> GroupPage:
    """List the project's scaling groups with their members."""
    rows = service.list_groups(
        tx, caller=caller, now=context_of(request).clock(), marker=id_after(page), limit=page.limit + 1
    )
    shown = rows[: page.limit]
    cursor = encode_cursor([str(shown[-1].group.id)]) if len(rows) > page.limit else None
    return GroupPage(items=[to_group(view) for view in shown], next=cursor)


@router.post("/groups", operation_id="create_scaling_group", status_code=201)
def create_group(tx: RequestTransaction, caller: RequestCaller, body: NewGroup, request: Request) -> GroupBody:
    """Make a scaling group; its instances are launched right after."""
    spec = GroupSpec(
        name=body.name,
        launch=to_launch(body.launch),
        size_min=body.size_min,
        size_max=body.size_max,
        size_desired=body.size_min if body.size_desired is None else body.size_desired,
        cooldown_s=body.cooldown_s,
        victim_order=body.victim_order,
    )
    return to_group(service.create_group(tx, spec, caller=caller, now=context_of(request).clock()))


@router.get("/groups/{group_id}", operation_id="get_scaling_group")
def get_group(tx: SnapshotTransaction, caller: RequestCaller, group_id: UUID, request: Request) -> GroupBody:
    """Show a scaling group with its members."""
    return to_group(service.get_group(tx, group_id, caller=caller, now=context_of(request).clock()))


@router.patch("/groups/{group_id}", operation_id="update_scaling_group")
def update_group(
    tx: RequestTransaction, caller: RequestCaller, group_id: UUID, body: GroupChange, request: Request
) -> GroupBody:
    """Change a scaling group."""
    now = context_of(request).clock()
    before = service.get_group(tx, group_id, caller=caller, now=now, for_update=True)
    spec = changed(before.group.spec, body)
    return to_group(service.update_group(tx, group_id, spec=spec, caller=caller, now=now))


@router.delete("/groups/{group_id}", operation_id="delete_scaling_group", status_code=202)
def delete_group(
    tx: RequestTransaction, caller: RequestCaller, group_id: UUID, request: Request, with_alarms: bool = False
) -> Response:
    """Begin to delete a scaling group: its members first, then it; with_alarms also the alarms that do nothing but execute its policies."""
    now = context_of(request).clock()
    alarm_actions.delete_group(tx, group_id, caller=caller, with_alarms=with_alarms, now=now)
    return Response(status_code=202)


@router.get("/groups/{group_id}/policies", operation_id="list_scaling_policies")
def list_policies(tx: SnapshotTransaction, caller: RequestCaller, group_id: UUID) -> PolicyPage:
    """List a group's policies."""
    found = service.list_policies(tx, group_id, caller=caller)
    return PolicyPage(items=[to_policy(policy) for policy in found], next=None)


@router.post("/groups/{group_id}/policies", operation_id="create_scaling_policy", status_code=201)
def create_policy(
    tx: RequestTransaction, caller: RequestCaller, group_id: UUID, body: NewPolicy, request: Request
) -> PolicyBody:
    """Add a policy to a group."""
    now = context_of(request).clock()
    return to_policy(service.create_policy(tx, group_id, spec=from_policy(body), caller=caller, now=now))


@router.get("/groups/{group_id}/activities", operation_id="list_scaling_activities")
def list_activities(
    tx: SnapshotTransaction, caller: RequestCaller, group_id: UUID, page: RequestCursorPage
) -> ActivityPage:
    """List the decisions about a group, refusals too, newest first; also when the group is gone."""
    rows = service.list_activities(tx, group_id, caller=caller, marker=id_after(page), limit=page.limit + 1)
    shown, cursor = split_page(rows, page)
    return ActivityPage(items=[to_activity(activity) for activity in shown], next=cursor)


@router.get("/policies/{policy_id}", operation_id="get_scaling_policy")
def get_policy(tx: SnapshotTransaction, caller: RequestCaller, policy_id: UUID) -> PolicyBody:
    """Show a policy."""
    return to_policy(service.get_policy(tx, policy_id, caller=caller))


@router.put("/policies/{policy_id}", operation_id="update_scaling_policy")
def update_policy(tx: RequestTransaction, caller: RequestCaller, policy_id: UUID, body: NewPolicy) -> PolicyBody:
    """Put new settings in the place of a policy's old ones."""
    return to_policy(service.update_policy(tx, policy_id, spec=from_policy(body), caller=caller))


@router.delete("/policies/{policy_id}", operation_id="delete_scaling_policy", status_code=204)
def delete_policy(tx: RequestTransaction, caller: RequestCaller, policy_id: UUID) -> Response:
    """Delete a policy."""
    service.delete_policy(tx, policy_id, caller=caller)
    return Response(status_code=204)


@router.post("/policies/{policy_id}/execute", operation_id="execute_scaling_policy")
def execute_policy(tx: RequestTransaction, caller: RequestCaller, policy_id: UUID, request: Request) -> ActivityBody:
    """Execute a policy by hand; the answer is the decision, a refusal too."""
    return to_activity(service.execute_own_policy(tx, policy_id, caller=caller, now=context_of(request).clock()))
