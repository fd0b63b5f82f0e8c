"""A change of state becomes one row of history and one outbox event, in the transaction that changes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from alarms.model import Alarm, AlarmState, HistoryEvent, HistoryEventId, HistoryType
from alarms.store import history
from foundation import outbox
from foundation.database import Transaction
from foundation.ids import new_id

TRANSITION_TOPIC = "alarm.transition"


@dataclass(frozen=True, slots=True)
class Transition:
    """An alarm that changed state, or repeats its actions in the state it is in; `alarm` is as it was before."""

    alarm: Alarm
    state: AlarmState
    reason: str
    reason_data: Mapping[str, Any]
    at: datetime
    user_id: str | None
    actions: tuple[str, ...]

    @property
    def is_change(self) -> bool:
        """Whether the state changed; a repetition is told but is no history."""
        return self.state is not self.alarm.state


def publish_transition(tx: Transaction, transition: Transition) -> None:
    """Write the history of a change and the event that its hearers act on."""
    event_id = new_id()
    alarm = transition.alarm
    if transition.is_change:
        event = HistoryEvent(
            id=HistoryEventId(event_id),
            alarm_id=alarm.id,
            project_id=alarm.project_id,
            user_id=transition.user_id,
            type=HistoryType.STATE_TRANSITION,
            detail={
                "state": transition.state.value,
                "previous": alarm.state.value,
                "transition_reason": transition.reason,
                "reason_data": dict(transition.reason_data),
            },
            severity=alarm.spec.severity,
            at=transition.at,
        )
        history.append_history(tx, [event])
    payload = {
        "event_id": str(event_id),
        "alarm_id": str(alarm.id),
        "alarm_name": alarm.spec.name,
        "project_id": alarm.project_id,
        "severity": alarm.spec.severity.value,
        "previous": alarm.state.value,
        "current": transition.state.value,
        "reason": transition.reason,
        "reason_data": dict(transition.reason_data),
        "at": transition.at.isoformat(),
        "actions": list(transition.actions),
    }
    outbox.append(tx, TRANSITION_TOPIC, key=str(alarm.id), payload=payload)
