"""Alarms on Aodh's wire: what its clients send becomes our settings, and our alarms what they expect back."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from alarms.documents import constraint_document, rule_document
from alarms.model import (
    SUPPORTED_TYPES,
    Actions,
    Alarm,
    AlarmSpec,
    AlarmState,
    ComparisonOperator,
    HistoryEvent,
    MetricsTarget,
    ResourcesTarget,
    ResourceTarget,
    Rule,
    RuleType,
    Severity,
    Target,
    TimeConstraint,
)
from api.body import parse_json, validated
from foundation.errors import Invalid


class WireRule(BaseModel):
    """What all rules have; numbers may come as text."""

    model_config = ConfigDict(extra="forbid")

    threshold: float = Field(allow_inf_nan=False)
    comparison_operator: ComparisonOperator | None = None
    evaluation_periods: int | None = None
    granularity: int | None = None
    aggregation_method: str = Field(max_length=64)


class WireResourceRule(WireRule):
    """gnocchi_resources_threshold_rule."""

    metric: str = Field(min_length=1, max_length=255)
    resource_id: str = Field(min_length=1, max_length=255)
    resource_type: str = Field(min_length=1, max_length=255)


class WireMetricsRule(WireRule):
    """gnocchi_aggregation_by_metrics_threshold_rule."""

    metrics: list[UUID] = Field(min_length=1, max_length=100)


class WireResourcesRule(WireRule):
    """gnocchi_aggregation_by_resources_threshold_rule; `operations` is ours: an expression over the metric."""

    metric: str = Field(min_length=1, max_length=255)
    query: str | dict[str, Any] = Field(max_length=20_000)
    resource_type: str = Field(min_length=1, max_length=255)
    operations: str | list[Any] | None = None


class WireTimeConstraint(BaseModel):
    """When an alarm is evaluated."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=255)
    start: str = Field(max_length=200)
    duration: int
    timezone: str | None = None
    description: str | None = None


class WireAlarm(BaseModel):
    """An alarm as a client sends it, with the read-only fields that it sends back after a GET."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=255)
    type: str
    description: str | None = None
    enabled: bool | None = None
    severity: Severity | None = None
    ok_actions: list[str] | None = None
    alarm_actions: list[str] | None = None
    insufficient_data_actions: list[str] | None = None
    repeat_actions: bool | None = None
    time_constraints: list[WireTimeConstraint] | None = None
    evaluation_interval_s: int | None = None
    project_id: str | None = None
    user_id: str | None = None
    state: AlarmState | None = None
    gnocchi_resources_threshold_rule: dict[str, Any] | None = None
    gnocchi_aggregation_by_metrics_threshold_rule: dict[str, Any] | None = None
    gnocchi_aggregation_by_resources_threshold_rule: dict[str, Any] | None = None
    alarm_id: str | None = None
    timestamp: str | None = None
    state_timestamp: str | None = None
    state_reason: str | None = None
    evaluate_timestamp: str | None = None


def from_wire(value: Any) -> WireAlarm:
    """Read an alarm's body; a type that we do not evaluate is refused with the names of those that we do."""
    if not isinstance(value, dict):
        raise Invalid("the body is an alarm: a JSON object")
    wire_type = str(value.get("type"))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    if wire_type not in set(RuleType):
        raise Invalid(f"alarm type {wire_type!r} is not supported; supported are {SUPPORTED_TYPES}", field="type")
    return validated(WireAlarm, value)


def to_spec(wire: WireAlarm) -> AlarmSpec:
    """Return the settings that an alarm's body asks for; what it leaves out has Aodh's defaults."""
    return AlarmSpec(
        name=wire.name,
        rule=to_rule(wire),
        description=wire.description or "",
        enabled=True if wire.enabled is None else wire.enabled,
        severity=wire.severity or Severity.LOW,
        actions=Actions(
            ok=tuple(wire.ok_actions or ()),
            alarm=tuple(wire.alarm_actions or ()),
            insufficient_data=tuple(wire.insufficient_data_actions or ()),
        ),
        repeat_actions=bool(wire.repeat_actions),
        time_constraints=tuple(
            TimeConstraint(one.name, one.start, one.duration, one.timezone or "UTC", one.description or "")
            for one in wire.time_constraints or ()
        ),
        evaluation_interval_s=wire.evaluation_interval_s,
    )


def to_rule(wire: WireAlarm) -> Rule:
    """Read the rule that belongs to the alarm's type."""
    rule_type = RuleType(wire.type)
    given: dict[str, Any] | None = getattr(wire, f"{rule_type}_rule")
    if given is None:
        raise Invalid(f"{rule_type}_rule must be set for {rule_type} type alarm", field=f"{rule_type}_rule")
    target: Target
    match rule_type:
        case RuleType.RESOURCE:
            rule = validated(WireResourceRule, given)
            target = ResourceTarget(rule.metric, rule.resource_type, rule.resource_id)
        case RuleType.METRICS:
            rule = validated(WireMetricsRule, given)
            target = MetricsTarget(tuple(rule.metrics))
        case RuleType.RESOURCES:
            rule = validated(WireResourcesRule, given)
            target = ResourcesTarget(rule.metric, rule.resource_type, _read_query(rule.query), rule.operations)
    return Rule(
        target=target,
        threshold=rule.threshold,
        comparison_operator=rule.comparison_operator or ComparisonOperator.EQ,
        evaluation_periods=1 if rule.evaluation_periods is None else rule.evaluation_periods,
        granularity_s=60 if rule.granularity is None else rule.granularity,
        aggregation_method=rule.aggregation_method,
    )


def parse_inner(text: str, *, field: str) -> Any:
    """Read JSON that a body holds as text; what is wrong is said of that field."""
    try:
        return parse_json(text.encode())
    except Invalid as error:
        raise Invalid(error.message.replace("the body", field, 1), field=field) from None


def _read_query(query: str | dict[str, Any]) -> Mapping[str, Any]:
    read = parse_inner(query, field="query") if isinstance(query, str) else query
    if not isinstance(read, dict):
        raise Invalid("query is a JSON object in Gnocchi's search language, written as a string", field="query")
    return read  # pyright: ignore[reportUnknownVariableType]


def to_wire_time(instant: datetime | None) -> str | None:
    """Write an instant as Aodh does: UTC without saying so."""
    return None if instant is None else instant.astimezone(UTC).replace(tzinfo=None).isoformat()


def to_wire_rule(rule: Rule) -> dict[str, Any]:
    """Write a rule; its query is a string of JSON."""
    document = rule_document(rule)
    if isinstance(rule.target, ResourcesTarget):
        document["query"] = json.dumps(document["query"])
    return document


def to_wire(alarm: Alarm) -> dict[str, Any]:
    """Write an alarm."""
    spec = alarm.spec
    return {
        "alarm_id": str(alarm.id),
        "name": spec.name,
        "description": spec.description,
        "enabled": spec.enabled,
        "type": spec.rule.type.value,
        f"{spec.rule.type.value}_rule": to_wire_rule(spec.rule),
        "severity": spec.severity.value,
        "ok_actions": list(spec.actions.ok),
        "alarm_actions": list(spec.actions.alarm),
        "insufficient_data_actions": list(spec.actions.insufficient_data),
        "repeat_actions": spec.repeat_actions,
        "time_constraints": [constraint_document(constraint) for constraint in spec.time_constraints],
        "evaluation_interval_s": spec.evaluation_interval_s,
        "project_id": alarm.project_id,
        "user_id": alarm.user_id,
        "timestamp": to_wire_time(alarm.updated_at),
        "state": alarm.state.value,
        "state_timestamp": to_wire_time(alarm.state_at),
        "state_reason": alarm.state_reason,
        "evaluate_timestamp": to_wire_time(alarm.evaluated_at),
    }


def to_wire_history(event: HistoryEvent) -> dict[str, Any]:
    """Write a row of history; its detail is a string of JSON."""
    return {
        "event_id": str(event.id),
        "alarm_id": str(event.alarm_id),
        "type": event.type.value,
        "detail": json.dumps(dict(event.detail)),
        "user_id": event.user_id,
        "project_id": event.project_id,
        "on_behalf_of": event.project_id,
        "timestamp": to_wire_time(event.at),
        "severity": event.severity.value,
    }
