"""Who hears what: joins the packages by handing each outbox event to those who act on it, in the relay's transaction."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

import structlog
from pydantic import TypeAdapter

from alarms import service as alarms
from foundation import outbox
from foundation.database import Pool, Transaction, transaction
from foundation.errors import NotFound
from foundation.outbox import OutboxEvent
from metering import service as metering
from metering.model import LifecycleEvent
from scaling import service as scaling
from scaling.model import Cause

log = structlog.get_logger()

LIFECYCLE_EVENT = TypeAdapter(LifecycleEvent)
"""Reads the payload of `instance.lifecycle`; one that does not fit stays in the outbox with the reason."""

Hearer: TypeAlias = Callable[[Transaction, OutboxEvent, datetime], None]


def meter_lifecycle(tx: Transaction, event: OutboxEvent, now: datetime) -> None:
    """An instance started, stopped, was resized or deleted: metering keeps that as the truth behind billed time."""
    metering.record_lifecycle_event(tx, LIFECYCLE_EVENT.validate_python(event.payload))


def scale_after_lifecycle(tx: Transaction, event: OutboxEvent, now: datetime) -> None:
    """A member of a scaling group changed: the group may have to replace it, or has reached its size."""
    scaling.on_instance_lifecycle(tx, event.payload, now=now)


def act_on_transition(tx: Transaction, event: OutboxEvent, now: datetime) -> None:
    """An alarm changed state: each of its actions goes to the sender of its scheme."""
    for action in event.payload["actions"]:
        scheme = str(action).partition(":")[0]
        ACTION_SENDERS[scheme](tx, event, Action(str(action), now))


@dataclass(frozen=True, slots=True)
class Action:
    """One action of an alarm, and when it is taken."""

    url: str
    taken_at: datetime


def send_webhook(tx: Transaction, event: OutboxEvent, action: Action) -> None:
    """Queue a signed delivery; it is sent outside this transaction."""
    alarms.enqueue_delivery(tx, event.payload, url=action.url, now=action.taken_at)


def run_policy(tx: Transaction, event: OutboxEvent, action: Action) -> None:
    """Run a scaling policy of the alarm's own project; a policy that is gone, or another project's, is only noted."""
    payload = event.payload
    cause = Cause(
        alarm_id=UUID(payload["alarm_id"]),
        project_id=payload["project_id"],
        description=f"alarm {payload['alarm_name']} went to {payload['current']}: {payload['reason']}",
    )
    try:
        scaling.execute_policy(tx, UUID(action.url.partition(":")[2]), cause=cause, now=action.taken_at)
    except NotFound:
        log.warning("alarm.action.policy_not_found", alarm_id=payload["alarm_id"], action=action.url)


def write_log(tx: Transaction, event: OutboxEvent, action: Action) -> None:
    """Write the transition to the service's log."""
    payload = event.payload
    log.info("alarm.transition", alarm_id=payload["alarm_id"], previous=payload["previous"], current=payload["current"])


ACTION_SENDERS: Mapping[str, Callable[[Transaction, OutboxEvent, Action], None]] = {
    "http": send_webhook,
    "https": send_webhook,
    "trust+http": send_webhook,
    "trust+https": send_webhook,
    "scaling": run_policy,
    "log": write_log,
}

HEARERS: Mapping[str, tuple[Hearer, ...]] = {
    "instance.lifecycle": (meter_lifecycle, scale_after_lifecycle),
    "alarm.transition": (act_on_transition,),
    "scaling.activity": (),
}


def relay_outbox(pool: Pool, *, now: datetime) -> int:
    """Hand the due events to their hearers, oldest first; return how many were handled.

    Each event is a savepoint of its own: one that fails is put back with its error and does not hold up the rest.
    """
    handled = 0
    with transaction(pool) as tx:
        for event in outbox.claim_due(tx, now=now):
            try:
                with tx.transaction():
                    for hear in HEARERS[event.topic]:
                        hear(tx, event, now)
                    outbox.mark_handled(tx, event.id, now=now)
            except Exception as error:
                log.exception("outbox.event_failed", event_id=str(event.id), topic=event.topic)
                outbox.mark_failed(tx, event, error=f"{type(error).__name__}: {error}", now=now)
            else:
                handled += 1
    return handled
