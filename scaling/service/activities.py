"""Recording decisions: each is a row with its reason and an event for whoever watches."""

from datetime import datetime
from uuid import UUID

from foundation import outbox
from foundation.database import Transaction
from foundation.ids import new_id
from scaling.model import Activity, ActivityId, Cause, DecisionKind, PolicyId, ScalingGroup
from scaling.store import activities as store

ACTIVITY_TOPIC = "scaling.activity"
REASON_LENGTH_MAX = 1_000


def record_activity(
    tx: Transaction,
    group: ScalingGroup,
    *,
    decision: DecisionKind,
    reason: str,
    cause: Cause,
    size_after: int,
    now: datetime,
    policy_id: PolicyId | None = None,
) -> Activity:
    """Keep a decision about a group, a refusal too, and tell those who watch."""
    activity = Activity(
        id=ActivityId(new_id()),
        group_id=group.id,
        project_id=group.project_id,
        policy_id=policy_id,
        alarm_id=cause.alarm_id,
        decision=decision,
        reason=reason[:REASON_LENGTH_MAX],
        cause=cause.description[:REASON_LENGTH_MAX],
        size_before=group.spec.size_desired,
        size_after=size_after,
        at=now,
    )
    store.insert_activity(tx, activity)
    outbox.append(tx, ACTIVITY_TOPIC, key=str(group.id), payload=to_payload(activity))
    return activity


def to_payload(activity: Activity) -> dict[str, object]:
    """Write an activity as the topic's payload."""
    return {
        "event_id": str(activity.id),
        "group_id": str(activity.group_id),
        "project_id": activity.project_id,
        "policy_id": _text(activity.policy_id),
        "alarm_id": _text(activity.alarm_id),
        "decision": activity.decision.value,
        "reason": activity.reason,
        "cause": activity.cause,
        "size_before": activity.size_before,
        "size_after": activity.size_after,
        "at": activity.at.isoformat(),
    }


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
