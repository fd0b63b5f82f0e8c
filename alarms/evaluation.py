"""Judges an alarm: its rule, a window of points and its present state give a verdict with the points that decided it (pure).

The semantics are Aodh's threshold evaluator's: all periods breach, alarm; none, ok; a mixed window keeps a known state and
follows its last point only from an unknown one; fewer points than periods are insufficient data.
"""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeAlias

from alarms.model import AlarmState, ComparisonOperator, MetricsTarget, ResourceTarget, Rule

Point: TypeAlias = tuple[datetime, float]

COMPARE: Mapping[ComparisonOperator, Callable[[float, float], bool]] = {
    ComparisonOperator.LT: operator.lt,
    ComparisonOperator.LE: operator.le,
    ComparisonOperator.EQ: operator.eq,
    ComparisonOperator.NE: operator.ne,
    ComparisonOperator.GE: operator.ge,
    ComparisonOperator.GT: operator.gt,
}

LOOK_BACK_PERIODS = 1
"""Aodh's window is one granule longer than the periods: the newest bucket may have no point yet."""


class Missing(StrEnum):
    """Which part of what a rule names is not there, so that its owner need not guess."""

    METRIC = "metric"
    RESOURCE = "resource"
    GRANULARITY = "granularity"
    RECENT_POINTS = "recent points"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One judgement: the state, why, the points that decided, and whether a repeating alarm tells it again."""

    state: AlarmState
    reason: str
    reason_data: Mapping[str, Any]
    last_value: float | None
    is_repeatable: bool


def window_start(rule: Rule, now: datetime) -> datetime:
    """The first instant whose points count: granularity x (periods + 1) before now, on a bucket's edge."""
    length = timedelta(seconds=rule.granularity_s * (rule.evaluation_periods + LOOK_BACK_PERIODS))
    epoch_s = math.floor((now - length).timestamp() / rule.granularity_s) * rule.granularity_s
    return datetime.fromtimestamp(epoch_s, tz=now.tzinfo)


def evaluate(rule: Rule, state: AlarmState, *, points: Sequence[Point], missing: Missing | None = None) -> Verdict:
    """Judge the newest points of a window (oldest first) against the rule, given the alarm's present state."""
    finite = [(at, value) for at, value in points if math.isfinite(value)]
    deciding = finite[-rule.evaluation_periods :]
    if len(deciding) < rule.evaluation_periods:
        return _insufficient(rule, deciding, missing)
    breaches = [COMPARE[rule.comparison_operator](value, rule.threshold) for _, value in deciding]
    if all(breaches):
        return _verdict(rule, state, AlarmState.ALARM, points=deciding, breaches=breaches)
    if not any(breaches):
        return _verdict(rule, state, AlarmState.OK, points=deciding, breaches=breaches)
    if state is AlarmState.INSUFFICIENT_DATA:
        trending = AlarmState.ALARM if breaches[-1] else AlarmState.OK
        return _verdict(rule, state, trending, points=deciding, breaches=breaches)
    return _verdict(rule, state, state, points=deciding, breaches=breaches)


def _verdict(
    rule: Rule, before: AlarmState, after: AlarmState, *, points: Sequence[Point], breaches: Sequence[bool]
) -> Verdict:
    outside = sum(breaches)
    is_alarm = after is AlarmState.ALARM
    count = outside if is_alarm else len(breaches) - outside
    disposition = "outside" if is_alarm else "inside"
    newest = points[-1][1]
    verb = "Remaining as" if after is before else "Transition to"
    reason = f"{verb} {after.value} due to {count} samples {disposition} threshold, most recent: {newest}"
    return Verdict(
        after, reason, _reason_data(rule, disposition, count=count, points=points), newest, is_repeatable=True
    )


def _reason_data(rule: Rule, disposition: str, *, count: int, points: Sequence[Point]) -> dict[str, Any]:
    """Aodh's four keys, and ours: the datapoints that decided and what they were compared with."""
    return {
        "type": "threshold",
        "disposition": disposition,
        "count": count,
        "most_recent": points[-1][1] if points else None,
        "threshold": rule.threshold,
        "comparison_operator": rule.comparison_operator.value,
        "granularity": rule.granularity_s,
        "datapoints": [[at.isoformat(), value] for at, value in points],
    }


def _insufficient(rule: Rule, points: Sequence[Point], missing: Missing | None) -> Verdict:
    unknown = rule.evaluation_periods - len(points)
    part = missing or Missing.RECENT_POINTS
    reason = f"{unknown} of {rule.evaluation_periods} datapoints are unknown: {_explain(rule, part)}"
    reason_data = {**_reason_data(rule, "unknown", count=rule.evaluation_periods, points=points), "missing": part.value}
    newest = points[-1][1] if points else None
    return Verdict(AlarmState.INSUFFICIENT_DATA, reason, reason_data, newest, is_repeatable=False)


def _explain(rule: Rule, part: Missing) -> str:
    """Say which part is missing and what would mend it."""
    match part:
        case Missing.METRIC:
            return f"{_subject(rule)} has no such metric; look at the names of the resource's metrics"
        case Missing.RESOURCE:
            return (
                f"no resource is found for {_subject(rule)}; look at the resource id or the query, and at the project"
            )
        case Missing.GRANULARITY:
            return (
                f"{_subject(rule)} has points further apart than {rule.granularity_s} s; "
                "choose a longer granularity, or have the source report more often"
            )
        case Missing.RECENT_POINTS:
            window_s = rule.granularity_s * (rule.evaluation_periods + LOOK_BACK_PERIODS)
            return (
                f"{_subject(rule)} has too few points in the last {window_s} s; "
                "is the source running, and does it report at least once each granularity?"
            )


def _subject(rule: Rule) -> str:
    match rule.target:
        case MetricsTarget(metric_ids):
            return f"metric {', '.join(str(metric_id) for metric_id in metric_ids[:3])}"
        case ResourceTarget(metric, resource_type, resource_id):
            return f"{metric} of {resource_type} {resource_id}"
        case target:
            return f"{target.metric} of the {target.resource_type} resources of the query"
