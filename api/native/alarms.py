"""Alarms in the native API: CPU percent of a scaling group or an instance against a threshold, their state, and why."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from alarms import service
from alarms.cpu_percent import cpu_percent_rule
from alarms.documents import rule_document
from alarms.model import (
    Actions,
    Alarm,
    AlarmFilter,
    AlarmSpec,
    AlarmState,
    ComparisonOperator,
    HistoryEvent,
    HistoryType,
    Severity,
)
from api.authentication import RequestCaller
from api.body import new_router
from api.context import context_of
from api.native.cursors import id_after, split_page
from api.pagination import RequestCursorPage
from api.transaction import RequestTransaction, SnapshotTransaction
from foundation.database import Transaction
from foundation.errors import Invalid
from orchestration import alarm_actions
from orchestration.alarm_actions import GoneAction

router = new_router("/alarms")

StateName = Literal["ok", "alarm", "insufficient data"]


class NewAlarm(BaseModel):
    """An alarm on the CPU percent of all instances of a scaling group, or of one instance."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=255)
    description: str = Field("", max_length=1024)
    group_id: UUID | None = None
    instance_id: UUID | None = None
    threshold: float = Field(allow_inf_nan=False, description="percent of the vCPUs, 0 to 100")
    comparison_operator: ComparisonOperator = ComparisonOperator.GT
    granularity_s: int = Field(60, ge=1, le=31_536_000)
    evaluation_periods: int = Field(1, ge=1, le=100)
    evaluation_interval_s: int | None = Field(None, ge=1, le=86_400)
    severity: Severity = Severity.LOW
    enabled: bool = True
    ok_actions: list[str] = Field(default_factory=list, max_length=10)
    alarm_actions: list[str] = Field(default_factory=list, max_length=10)
    insufficient_data_actions: list[str] = Field(default_factory=list, max_length=10)
    repeat_actions: bool | None = Field(
        None,
        description="whether actions are taken at each evaluation; left out: where all of them are scaling policies",
    )


class AlarmChange(BaseModel):
    """What is to change about an alarm; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, min_length=1, max_length=255)
    description: str | None = Field(None, max_length=1024)
    threshold: float | None = Field(None, allow_inf_nan=False)
    comparison_operator: ComparisonOperator | None = None
    evaluation_periods: int | None = Field(None, ge=1, le=100)
    evaluation_interval_s: int | None = Field(None, ge=1, le=86_400)
    severity: Severity | None = None
    enabled: bool | None = None
    ok_actions: list[str] | None = Field(None, max_length=10)
    alarm_actions: list[str] | None = Field(None, max_length=10)
    insufficient_data_actions: list[str] | None = Field(None, max_length=10)
    repeat_actions: bool | None = None


class GoneActionBody(BaseModel):
    """An action that does nothing any more, and why."""

    action: str
    reason: str


class AlarmBody(BaseModel):
    """An alarm and what its last evaluation said."""

    id: UUID
    name: str
    description: str
    type: str
    rule: dict[str, Any]
    state: StateName
    state_reason: str
    state_reason_data: dict[str, Any]
    state_at: datetime
    severity: str
    threshold: float
    comparison_operator: str
    granularity_s: int
    evaluation_periods: int
    evaluation_interval_s: int
    enabled: bool
    ok_actions: list[str]
    alarm_actions: list[str]
    insufficient_data_actions: list[str]
    gone_actions: list[GoneActionBody]
    repeat_actions: bool
    last_value: float | None
    evaluated_at: datetime | None
    created_at: datetime
    updated_at: datetime


class AlarmPage(BaseModel):
    """A page of alarms."""

    items: list[AlarmBody]
    next: str | None


class TransitionBody(BaseModel):
    """A change of an alarm's state, with the datapoints that decided it."""

    id: UUID
    at: datetime
    previous: str
    current: str
    reason: str
    reason_data: dict[str, Any]


class TransitionPage(BaseModel):
    """A page of changes."""

    items: list[TransitionBody]
    next: str | None


def to_bodies(tx: Transaction, found: Sequence[Alarm]) -> list[AlarmBody]:
    """Write alarms, each with those of its actions that do nothing any more."""
    gone = alarm_actions.gone_actions(tx, found)
    return [to_body(alarm, gone=gone.get(alarm.id, ())) for alarm in found]


def to_body(alarm: Alarm, *, gone: Sequence[GoneAction]) -> AlarmBody:
    """Write an alarm."""
    spec = alarm.spec
    return AlarmBody(
        id=alarm.id,
        name=spec.name,
        description=spec.description,
        type=spec.rule.type.value,
        rule=rule_document(spec.rule),
        state=alarm.state.value,
        state_reason=alarm.state_reason,
        state_reason_data=dict(alarm.state_reason_data),
        state_at=alarm.state_at,
        severity=spec.severity.value,
        threshold=spec.rule.threshold,
        comparison_operator=spec.rule.comparison_operator.value,
        granularity_s=spec.rule.granularity_s,
        evaluation_periods=spec.rule.evaluation_periods,
        evaluation_interval_s=spec.interval_s,
        enabled=spec.enabled,
        ok_actions=list(spec.actions.ok),
        alarm_actions=list(spec.actions.alarm),
        insufficient_data_actions=list(spec.actions.insufficient_data),
        gone_actions=[GoneActionBody(action=one.action, reason=one.reason) for one in gone],
        repeat_actions=spec.repeat_actions,
        last_value=alarm.last_value,
        evaluated_at=alarm.evaluated_at,
        created_at=alarm.created_at,
        updated_at=alarm.updated_at,
    )


def to_transition(event: HistoryEvent) -> TransitionBody:
    """Write a change of state."""
    return TransitionBody(
        id=event.id,
        at=event.at,
        previous=event.detail["previous"],
        current=event.detail["state"],
        reason=event.detail["transition_reason"],
        reason_data=event.detail["reason_data"],
    )


def from_body(body: NewAlarm) -> AlarmSpec:
    """Read a new alarm."""
    if (body.group_id is None) == (body.instance_id is None):
        raise Invalid("name either a scaling group (group_id) or an instance (instance_id)", field="group_id")
    rule = cpu_percent_rule(
        group_id=body.group_id,
        instance_id=body.instance_id,
        threshold=body.threshold,
        comparison_operator=body.comparison_operator,
        evaluation_periods=body.evaluation_periods,
        granularity_s=body.granularity_s,
    )
    return AlarmSpec(
        name=body.name,
        rule=rule,
        description=body.description,
        enabled=body.enabled,
        severity=body.severity,
        actions=Actions(
            ok=tuple(body.ok_actions),
            alarm=tuple(body.alarm_actions),
            insufficient_data=tuple(body.insufficient_data_actions),
        ),
        repeat_actions=repeats(body),
        evaluation_interval_s=body.evaluation_interval_s,
    )


def repeats(body: NewAlarm) -> bool:
    """Whether the actions are repeated: as said, else as Heat has it for policies, so that one refused in a cooldown is taken after it."""
    if body.repeat_actions is not None:
        return body.repeat_actions
    actions = [*body.ok_actions, *body.alarm_actions, *body.insufficient_data_actions]
    return bool(actions) and all(action.startswith("scaling:") for action in actions)


def changed(spec: AlarmSpec, change: AlarmChange) -> AlarmSpec:
    """Apply a change to an alarm's settings."""
    given = change.model_dump(exclude_unset=True, exclude_none=True)
    rule_fields = {"threshold", "comparison_operator", "evaluation_periods"}
    action_fields = {"ok_actions": "ok", "alarm_actions": "alarm", "insufficient_data_actions": "insufficient_data"}
    rule = replace(spec.rule, **{name: value for name, value in given.items() if name in rule_fields})
    actions = replace(
        spec.actions, **{action_fields[name]: tuple(value) for name, value in given.items() if name in action_fields}
    )
    rest = {name: value for name, value in given.items() if name not in rule_fields and name not in action_fields}
    return replace(spec, rule=rule, actions=actions, **rest)


@router.get("", operation_id="list_alarms")
def list_alarms(
    tx: SnapshotTransaction,
    caller: RequestCaller,
    page: RequestCursorPage,
    state: Annotated[AlarmState | None, Query()] = None,
) -> AlarmPage:
    """List the project's alarms, oldest first."""
    wanted = AlarmFilter(project_id=caller.project_id, state=None if state is None else state.value)
    rows = service.list_alarms(
        tx, wanted, caller=caller, sorts=[("alarm_id", False)], marker=id_after(page), limit=page.limit + 1
    )
    shown, cursor = split_page(rows, page)
    return AlarmPage(items=to_bodies(tx, shown), next=cursor)


@router.post("", operation_id="create_alarm", status_code=201)
def create_alarm(tx: RequestTransaction, caller: RequestCaller, body: NewAlarm, request: Request) -> AlarmBody:
    """Make an alarm; it is evaluated within seconds."""
    alarm = alarm_actions.create_alarm(tx, from_body(body), caller=caller, now=context_of(request).clock())
    return to_bodies(tx, [alarm])[0]


@router.get("/{alarm_id}", operation_id="get_alarm")
def get_alarm(tx: SnapshotTransaction, caller: RequestCaller, alarm_id: UUID) -> AlarmBody:
    """Show an alarm."""
    return to_bodies(tx, [service.get_alarm(tx, alarm_id, caller=caller)])[0]


@router.patch("/{alarm_id}", operation_id="update_alarm")
def update_alarm(
    tx: RequestTransaction, caller: RequestCaller, alarm_id: UUID, body: AlarmChange, request: Request
) -> AlarmBody:
    """Change an alarm; it is evaluated anew within seconds."""
    alarm = service.get_alarm(tx, alarm_id, caller=caller, for_update=True)
    spec = changed(alarm.spec, body)
    now = context_of(request).clock()
    return to_bodies(tx, [alarm_actions.update_alarm(tx, alarm_id, spec=spec, caller=caller, now=now)])[0]


@router.delete("/{alarm_id}", operation_id="delete_alarm", status_code=204)
def delete_alarm(tx: RequestTransaction, caller: RequestCaller, alarm_id: UUID, request: Request) -> Response:
    """Delete an alarm; its history stays."""
    service.delete_alarm(tx, alarm_id, caller=caller, now=context_of(request).clock())
    return Response(status_code=204)


@router.get("/{alarm_id}/history", operation_id="list_alarm_history")
def list_alarm_history(
    tx: SnapshotTransaction, caller: RequestCaller, alarm_id: UUID, page: RequestCursorPage
) -> TransitionPage:
    """List an alarm's changes of state, newest first, each with the datapoints that decided it."""
    rows = service.list_history(
        tx, alarm_id, caller=caller, marker=id_after(page), limit=page.limit + 1, only=HistoryType.STATE_TRANSITION
    )
    shown, cursor = split_page(rows, page)
    return TransitionPage(items=[to_transition(event) for event in shown], next=cursor)
