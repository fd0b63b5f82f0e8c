"""How an alarm's rule and settings are written as JSON documents in the database and in its history, and read back."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from alarms.model import (
    Actions,
    AlarmSpec,
    ComparisonOperator,
    MetricsTarget,
    ResourcesTarget,
    ResourceTarget,
    Rule,
    RuleType,
    Severity,
    Target,
    TimeConstraint,
)
from alarms.time_constraint import check_constraint


def rule_document(rule: Rule) -> dict[str, Any]:
    """Write a rule; the keys are Gnocchi's and Aodh's words."""
    shared = {
        "threshold": rule.threshold,
        "comparison_operator": rule.comparison_operator.value,
        "evaluation_periods": rule.evaluation_periods,
        "granularity": rule.granularity_s,
        "aggregation_method": rule.aggregation_method,
    }
    match rule.target:
        case ResourceTarget(metric, resource_type, resource_id):
            return {"metric": metric, "resource_type": resource_type, "resource_id": resource_id, **shared}
        case MetricsTarget(metric_ids):
            return {"metrics": [str(metric_id) for metric_id in metric_ids], **shared}
        case ResourcesTarget(metric, resource_type, search, operations):
            document = {"metric": metric, "resource_type": resource_type, "query": dict(search), **shared}
            return document if operations is None else {**document, "operations": operations}


def rule_from_document(rule_type: RuleType, document: Mapping[str, Any]) -> Rule:
    """Read a rule back."""
    return Rule(
        target=_target_from_document(rule_type, document),
        threshold=float(document["threshold"]),
        comparison_operator=ComparisonOperator(document["comparison_operator"]),
        evaluation_periods=int(document["evaluation_periods"]),
        granularity_s=int(document["granularity"]),
        aggregation_method=str(document["aggregation_method"]),
    )


def _target_from_document(rule_type: RuleType, document: Mapping[str, Any]) -> Target:
    match rule_type:
        case RuleType.RESOURCE:
            return ResourceTarget(
                _text(document, "metric"), _text(document, "resource_type"), _text(document, "resource_id")
            )
        case RuleType.METRICS:
            return MetricsTarget(tuple(UUID(metric_id) for metric_id in document["metrics"]))
        case RuleType.RESOURCES:
            return ResourcesTarget(
                _text(document, "metric"),
                _text(document, "resource_type"),
                document["query"],
                document.get("operations"),
            )


def _text(document: Mapping[str, Any], name: str) -> str:
    """Return a field that a statement compares with a text: another value in it would end the statement for all alarms."""
    value = document[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is not a text")
    return value


def constraint_document(constraint: TimeConstraint) -> dict[str, Any]:
    """Write a time constraint in Aodh's words."""
    return {
        "name": constraint.name,
        "description": constraint.description,
        "start": constraint.start,
        "duration": constraint.duration_s,
        "timezone": constraint.timezone,
    }


def constraint_from_document(document: Mapping[str, Any]) -> TimeConstraint:
    """Read a time constraint back; raise Invalid for a cron line or a zone that what reads them knows no more."""
    return check_constraint(
        TimeConstraint(
            name=document["name"],
            start=document["start"],
            duration_s=int(document["duration"]),
            timezone=document["timezone"],
            description=document["description"],
        )
    )


def spec_document(spec: AlarmSpec) -> dict[str, Any]:
    """Write all that the owner decides about an alarm, as its history keeps it."""
    return {
        "name": spec.name,
        "description": spec.description,
        "enabled": spec.enabled,
        "type": spec.rule.type.value,
        "rule": rule_document(spec.rule),
        "severity": spec.severity.value,
        "ok_actions": list(spec.actions.ok),
        "alarm_actions": list(spec.actions.alarm),
        "insufficient_data_actions": list(spec.actions.insufficient_data),
        "repeat_actions": spec.repeat_actions,
        "time_constraints": [constraint_document(constraint) for constraint in spec.time_constraints],
        "evaluation_interval_s": spec.evaluation_interval_s,
    }


def spec_from_document(document: Mapping[str, Any]) -> AlarmSpec:
    """Read an alarm's settings back."""
    return AlarmSpec(
        name=document["name"],
        rule=rule_from_document(RuleType(document["type"]), document["rule"]),
        description=document["description"],
        enabled=document["enabled"],
        severity=Severity(document["severity"]),
        actions=Actions(
            ok=tuple(document["ok_actions"]),
            alarm=tuple(document["alarm_actions"]),
            insufficient_data=tuple(document["insufficient_data_actions"]),
        ),
        repeat_actions=document["repeat_actions"],
        time_constraints=tuple(constraint_from_document(constraint) for constraint in document["time_constraints"]),
        evaluation_interval_s=document["evaluation_interval_s"],
    )


def changed_settings(before: AlarmSpec, after: AlarmSpec) -> dict[str, Any]:
    """The settings that an update changed, with their new values, as Aodh's history shows a rule change."""
    old, new = spec_document(before), spec_document(after)
    return {key: value for key, value in new.items() if old[key] != value}
