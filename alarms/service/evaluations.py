"""Evaluating what is due: one transaction claims the alarms, reads all their windows at once, and writes what they say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from alarms.evaluation import Point, Verdict, evaluate, window_start
from alarms.model import Alarm, MetricsTarget, ResourcesTarget, ResourceTarget
from alarms.service.diagnosis import find_missing
from alarms.service.transitions import Transition, publish_transition
from alarms.store import alarms as store
from alarms.time_constraint import is_within
from foundation.database import Transaction
from foundation.errors import Invalid
from metering import service as metering
from metering.filters import equals, parse_json_filter
from metering.model import WindowQuery, resource_id_of

EVALUATE_MAX = 10_000


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """How many alarms were judged, and how many of them changed state."""

    evaluated: int
    transitions: int


def has_due(tx: Transaction, now: datetime) -> bool:
    """Tell whether any alarm is to be evaluated."""
    return store.has_due(tx, now)


def evaluate_due(tx: Transaction, now: datetime, *, limit: int = EVALUATE_MAX) -> EvaluationResult:
    """Judge the due alarms; state, history, next evaluation and outbox event of each are committed together or not at all."""
    claimed = store.claim_due(tx, now, limit=min(limit, EVALUATE_MAX))
    if not claimed:
        return EvaluationResult(0, 0)
    awake = [alarm for alarm in claimed if is_within(alarm.spec.time_constraints, now)]
    asleep = [alarm for alarm in claimed if not is_within(alarm.spec.time_constraints, now)]
    store.postpone(tx, [(alarm.id, next_evaluation(alarm, now)) for alarm in asleep])
    verdicts = judge(tx, awake, now)
    store.record_judged(tx, [_to_judged(alarm, verdicts[alarm.id], now) for alarm in awake], now=now)
    transitions = [_to_transition(alarm, verdicts[alarm.id], now) for alarm in awake]
    for transition in transitions:
        if transition.is_change or (
            transition.alarm.spec.repeat_actions and verdicts[transition.alarm.id].is_repeatable
        ):
            publish_transition(tx, transition)
    return EvaluationResult(len(awake), sum(transition.is_change for transition in transitions))


def judge(tx: Transaction, alarms: Sequence[Alarm], now: datetime) -> Mapping[UUID, Verdict]:
    """Read the windows of all alarms set-based and judge each; nothing is written."""
    windows = read_points(tx, [to_window_query(alarm, now) for alarm in alarms])
    short = [alarm for alarm in alarms if len(windows.get(alarm.id, ())) < alarm.spec.rule.evaluation_periods]
    missing = find_missing(tx, short)
    return {
        alarm.id: evaluate(
            alarm.spec.rule, alarm.state, points=windows.get(alarm.id, ()), missing=missing.get(alarm.id)
        )
        for alarm in alarms
    }


def read_points(tx: Transaction, queries: Sequence[WindowQuery]) -> Mapping[UUID, Sequence[Point]]:
    """Read all windows at once; where one of them cannot be evaluated, halve them until it stands alone and harms no other."""
    try:
        with tx.transaction():
            return {window.query_key: window.points for window in metering.read_windows(tx, queries)}
    except Invalid:
        if len(queries) <= 1:
            return {}
    middle = len(queries) // 2
    return {**read_points(tx, queries[:middle]), **read_points(tx, queries[middle:])}


def to_window_query(alarm: Alarm, now: datetime) -> WindowQuery:
    """Ask for an alarm's window, always within its own project."""
    rule = alarm.spec.rule
    match rule.target:
        case MetricsTarget(metric_ids):
            metric, resource_type, search, operations = "", "generic", None, None
        case ResourceTarget(metric, resource_type, resource_id):
            metric_ids, search, operations = (), equals("id", str(resource_id_of(resource_id))), None
        case ResourcesTarget(metric, resource_type, document, operations):
            metric_ids, search = (), parse_json_filter(document)
    return WindowQuery(
        key=alarm.id,
        project_id=alarm.project_id,
        metric=metric,
        resource_type=resource_type,
        search=search,
        aggregation_method=rule.aggregation_method,
        granularity_s=rule.granularity_s,
        start=window_start(rule, now),
        stop=now,
        metric_ids=metric_ids,
        operations=operations,
    )


def next_evaluation(alarm: Alarm, now: datetime) -> datetime:
    """When the alarm is due again: an interval after it was due, or after now where we are behind by more than one."""
    interval = timedelta(seconds=alarm.spec.interval_s)
    planned = alarm.next_evaluation_at + interval
    return planned if planned > now else now + interval


def _to_judged(alarm: Alarm, verdict: Verdict, now: datetime) -> store.Judged:
    return store.Judged(
        alarm_id=alarm.id,
        state=verdict.state,
        state_reason=verdict.reason,
        state_reason_data=dict(verdict.reason_data),
        last_value=verdict.last_value,
        is_transition=verdict.state is not alarm.state,
        next_evaluation_at=next_evaluation(alarm, now),
    )


def _to_transition(alarm: Alarm, verdict: Verdict, now: datetime) -> Transition:
    return Transition(
        alarm=alarm,
        state=verdict.state,
        reason=verdict.reason,
        reason_data=verdict.reason_data,
        at=now,
        user_id=None,
        actions=alarm.spec.actions.for_state(verdict.state),
    )
