"""Evaluating what is due: one transaction claims the alarms, reads all their windows at once, and writes what they say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from alarms.evaluation import Missing, Verdict, evaluate
from alarms.model import Alarm, AlarmTooSlow
from alarms.service.deadlines import Deadline, OutOfTime, within
from alarms.service.diagnosis import find_missing
from alarms.service.transitions import Transition, publish_transition
from alarms.service.windows import find_window_query, read_points
from alarms.store import alarms as store
from alarms.time_constraint import is_within
from foundation.database import Transaction

EVALUATE_MAX = 10_000
SHRINK_BY = 8
"""What is left of a batch whose windows took too long: from 10,000 to one in five steps."""
SLOW_AGAIN_AFTER = timedelta(minutes=10)
AHEAD_MAX = SLOW_AGAIN_AFTER + timedelta(minutes=1)
"""No alarm is planned further ahead than this and its interval: what is was planned before the clock was set back."""
REASON_LENGTH_MAX = 1_000

log = structlog.get_logger("alarms")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a statement may take that reads the windows of all due alarms, and of some of them; how long the whole may.

    Of the whole, so much is kept for a last alarm read alone: it is called slow only after it had the time of one.
    """

    all_s: float = 10.0
    some_s: float = 3.0
    diagnosis_s: float = 5.0
    whole_s: float = 25.0

    @property
    def alone_s(self) -> float:
        """How long an alarm has that is read alone because many took too long."""
        return min(self.some_s, self.whole_s / 2)


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """How many alarms were judged, how many of them changed state, and which one took too long and waits."""

    evaluated: int
    transitions: int
    slow: UUID | None = None


def has_due(tx: Transaction, now: datetime) -> bool:
    """Tell whether any alarm is to be evaluated."""
    return store.has_due(tx, now)


def evaluate_due(
    tx: Transaction, now: datetime, *, limit: int = EVALUATE_MAX, patience: Patience | None = None
) -> EvaluationResult:
    """Judge the due alarms; state, history, next evaluation and outbox event of each are committed together or not at all.

    Where their windows take too long to read, only the first of them are judged and the others stay due; one that takes
    too long alone, or cannot be read at all, waits for SLOW_AGAIN_AFTER in the state that it has with the reason told, so that
    it stops no other.
    """
    patience = patience or Patience()
    claimed = store.claim_due(tx, now, limit=min(limit, EVALUATE_MAX))
    if claimed.unreadable:
        log.error("alarms.unreadable", faults={str(one.alarm_id): one.fault for one in claimed.unreadable})
        _put_off(tx, {one.alarm_id: one.message for one in claimed.unreadable}, now=now)
    if not claimed.alarms:
        return EvaluationResult(0, 0)
    asleep = [alarm for alarm in claimed.alarms if not is_within(alarm.spec.time_constraints, now)]
    sleeping = {alarm.id for alarm in asleep}
    awake = [alarm for alarm in claimed.alarms if alarm.id not in sleeping]
    store.postpone(tx, [(alarm.id, next_evaluation(alarm, now)) for alarm in asleep])
    judged, verdicts = judge_in_time(tx, awake, now=now, patience=patience)
    if verdicts is None:
        _put_off(tx, {judged[0].id: AlarmTooSlow(patience.alone_s).message}, now=now)
        return EvaluationResult(0, 0, slow=judged[0].id)
    store.record_judged(tx, [_to_judged(alarm, verdicts[alarm.id], now) for alarm in judged], now=now)
    transitions = [_to_transition(alarm, verdicts[alarm.id], now) for alarm in judged]
    for transition in transitions:
        if transition.is_change or _is_repeated(transition, verdicts[transition.alarm.id]):
            publish_transition(tx, transition)
    return EvaluationResult(len(judged), sum(transition.is_change for transition in transitions))


def bring_forward(tx: Transaction, *, now: datetime) -> int:
    """Make alarms due that wait for a time of before the clock was set back; return how many there were, at most EVALUATE_MAX."""
    return store.bring_forward(tx, now=now, ahead_max=AHEAD_MAX, limit=EVALUATE_MAX)


def _put_off(tx: Transaction, reasons: Mapping[UUID, str], *, now: datetime) -> None:
    next_at = now + SLOW_AGAIN_AFTER
    head = f"Not judged at {now:%H:%M:%S} UTC, and next tried at {next_at:%H:%M:%S}: "
    told = {alarm_id: (head + why)[:REASON_LENGTH_MAX] for alarm_id, why in reasons.items()}
    store.put_off(tx, told, next_at=next_at)


def judge_in_time(
    tx: Transaction, alarms: Sequence[Alarm], *, now: datetime, patience: Patience
) -> tuple[Sequence[Alarm], Mapping[UUID, Verdict] | None]:
    """Judge as many of the first alarms as can be read in time; where even one cannot, return it alone and no verdict."""
    with within(tx, whole_s=patience.whole_s - patience.alone_s, statement_s=patience.all_s) as of_all:
        of_some = replace(of_all, statement_s=patience.some_s)
        of_one = replace(of_some, until=of_all.until + timedelta(seconds=patience.alone_s))
        deadline = of_all
        while True:
            try:
                return alarms, judge(tx, alarms, now=now, deadline=deadline, diagnosis_s=patience.diagnosis_s)
            except OutOfTime:
                if len(alarms) == 1:
                    return alarms, None
            alarms = alarms[: max(1, len(alarms) // SHRINK_BY)]
            deadline = of_one if len(alarms) == 1 else of_some


def judge(
    tx: Transaction, alarms: Sequence[Alarm], *, now: datetime, deadline: Deadline, diagnosis_s: float
) -> Mapping[UUID, Verdict]:
    """Read the windows of all alarms set-based and judge each; nothing is written. Raises OutOfTime."""
    queries = [query for alarm in alarms if (query := find_window_query(alarm, now)) is not None]
    windows = read_points(tx, queries, deadline=deadline)
    short = [alarm for alarm in alarms if len(windows.get(alarm.id, ())) < alarm.spec.rule.evaluation_periods]
    missing: Mapping[UUID, Missing] = {}
    if short:
        missing = find_missing(tx, short, now=now, deadline=deadline.shorter(tx, whole_s=diagnosis_s))
    return {
        alarm.id: evaluate(
            alarm.spec.rule, alarm.state, points=windows.get(alarm.id, ()), missing=missing.get(alarm.id)
        )
        for alarm in alarms
    }


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


def _is_repeated(transition: Transition, verdict: Verdict) -> bool:
    return transition.alarm.spec.repeat_actions and verdict.is_repeatable and bool(transition.actions)


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
