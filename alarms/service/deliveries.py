"""Telling others: deliveries queued, leased, settled, listed, sent again; and the secret that signs them."""

import json
import secrets as random_secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from alarms.delivery import (
    ATTEMPTS_MAX_DEFAULT,
    LEASE_LENGTH,
    SECRET_BYTES,
    SECRET_OVERLAP,
    Attempt,
    Delivered,
    Delivery,
    DeliveryNotFound,
    DeliveryPending,
    GiveUp,
    Outcome,
    Retry,
    SigningSecret,
    decide_next,
)
from alarms.model import check_action
from alarms.store import deliveries as store
from foundation.database import Transaction
from foundation.errors import Invalid
from foundation.ids import new_id
from identity import policy
from identity.model import Caller

BODY_KEYS = ("alarm_name", "alarm_id", "severity", "previous", "current", "reason", "reason_data")
LIST_MAX = 1_001
"""The largest page, and one more that tells whether another follows."""
DROPPED_MAX = 10_000


def enqueue_delivery(tx: Transaction, payload: Mapping[str, Any], *, url: str, now: datetime) -> None:
    """Queue Aodh's message about a transition for one URL, once however often the event is relayed."""
    store.insert_delivery(
        tx,
        new_id(),
        project_id=payload["project_id"],
        alarm_id=UUID(payload["alarm_id"]),
        event_id=UUID(payload["event_id"]),
        url=url,
        body=json.dumps({key: payload[key] for key in BODY_KEYS}),
        attempts_max=ATTEMPTS_MAX_DEFAULT,
        now=now,
    )


def send_test_event(tx: Transaction, url: str, *, caller: Caller, now: datetime) -> Delivery:
    """Queue a message that says it is a test, to see that a receiver takes and verifies ours."""
    policy.require_writer(caller)
    check_action(url)
    if url.removeprefix("trust+").partition(":")[0] not in {"http", "https"}:
        raise Invalid("a test event goes to an http or https URL", field="url")
    delivery_id, event_id = new_id(), new_id()
    body = {
        "alarm_name": "test event",
        "alarm_id": str(event_id),
        "severity": "low",
        "previous": "ok",
        "current": "ok",
        "reason": "This is a test event; nothing happened.",
        "reason_data": {"type": "test"},
    }
    store.insert_delivery(
        tx,
        delivery_id,
        project_id=caller.project_id,
        alarm_id=None,
        event_id=event_id,
        url=url,
        body=json.dumps(body),
        attempts_max=1,
        now=now,
    )
    return _get_own(tx, delivery_id, caller)


def has_due_deliveries(tx: Transaction, now: datetime) -> bool:
    """Tell whether anything is to be sent now."""
    return store.has_due(tx, now)


def lease_deliveries(tx: Transaction, owner: str, *, now: datetime, limit: int) -> Sequence[Delivery]:
    """Take due deliveries for one attempt each; commit before sending. The lease (owner, until, attempt) fences a late sender."""
    return store.lease_due(tx, owner, now=now, until=now + LEASE_LENGTH, limit=limit)


def record_delivery_outcome(tx: Transaction, delivery: Delivery, *, outcome: Outcome, now: datetime) -> bool:
    """Record what came of the leased attempt and what follows; false, and nothing settled, where the lease was lost meanwhile."""
    store.record_attempt(tx, delivery, outcome=outcome, now=now)
    match decide_next(delivery, outcome, now=now):
        case Delivered():
            return store.settle(tx, delivery, state="delivered", retry_at=None, now=now)
        case GiveUp():
            return store.settle(tx, delivery, state="failed", retry_at=None, now=now)
        case Retry(at):
            return store.settle(tx, delivery, state="pending", retry_at=at, now=now)


def _get_own(tx: Transaction, delivery_id: UUID, caller: Caller) -> Delivery:
    delivery = store.find_delivery(tx, delivery_id)
    if delivery is None or not policy.may_read(caller, delivery.project_id):
        raise DeliveryNotFound(f"delivery {delivery_id} not found")
    return delivery


def get_delivery(tx: Transaction, delivery_id: UUID, *, caller: Caller) -> tuple[Delivery, Sequence[Attempt]]:
    """Read a delivery and its attempts; raises DeliveryNotFound for another project's too."""
    delivery = _get_own(tx, delivery_id, caller)
    return delivery, store.list_attempts(tx, [delivery.id])


def list_deliveries(
    tx: Transaction,
    *,
    caller: Caller,
    alarm_id: UUID | None = None,
    state: str | None = None,
    marker: UUID | None = None,
    limit: int = LIST_MAX,
) -> Sequence[tuple[Delivery, Sequence[Attempt]]]:
    """List the project's deliveries with their attempts, newest first."""
    found = store.list_deliveries(
        tx, project_id=caller.project_id, alarm_id=alarm_id, state=state, marker=marker, limit=min(limit, LIST_MAX)
    )
    attempts: dict[UUID, list[Attempt]] = {delivery.id: [] for delivery in found}
    for attempt in store.list_attempts(tx, list(attempts)):
        attempts[attempt.delivery_id].append(attempt)
    return [(delivery, attempts[delivery.id]) for delivery in found]


def redeliver(tx: Transaction, delivery_id: UUID, *, caller: Caller, now: datetime) -> Delivery:
    """Send a finished delivery again, under its old webhook-id so that the receiver can tell; raises DeliveryPending otherwise."""
    delivery = _get_own(tx, delivery_id, caller)
    policy.require_writer(caller)
    if not store.reopen(tx, delivery.id, more=ATTEMPTS_MAX_DEFAULT, now=now):
        raise DeliveryPending(
            f"delivery {delivery_id} is still being tried; the next attempt is at {delivery.next_attempt_at}"
        )
    return _get_own(tx, delivery_id, caller)


def drop_finished_deliveries(tx: Transaction, *, before: datetime) -> int:
    """Forget deliveries that ended before an instant, at most DROPPED_MAX a call; return how many. Those under way stay."""
    return store.drop_finished(tx, before=before, limit=DROPPED_MAX)


def signing_secrets(tx: Transaction, project_ids: Sequence[str], *, now: datetime) -> Mapping[str, Sequence[bytes]]:
    """The secrets that sign for these projects now; a project's first is made at its first use."""
    wanted = list(dict.fromkeys(project_ids))
    found = store.find_secrets(tx, wanted)
    missing = [project_id for project_id in wanted if project_id not in found]
    for project_id in missing:
        store.insert_secret(tx, project_id, secret=random_secrets.token_bytes(SECRET_BYTES))
    if missing:
        found = store.find_secrets(tx, wanted)
    return {project_id: secret.active(now) for project_id, secret in found.items()}


def get_signing_secret(tx: Transaction, *, caller: Caller, now: datetime) -> SigningSecret:
    """Read the project's signing secret, for those who may write: it lets its holder forge our messages."""
    policy.require_writer(caller)
    signing_secrets(tx, [caller.project_id], now=now)
    return store.find_secrets(tx, [caller.project_id])[caller.project_id]


def rotate_signing_secret(tx: Transaction, *, caller: Caller, now: datetime) -> SigningSecret:
    """Make a new secret; for a day both sign, so that receivers can change over without losing a message."""
    get_signing_secret(tx, caller=caller, now=now)
    secret = random_secrets.token_bytes(SECRET_BYTES)
    store.rotate_secret(tx, caller.project_id, secret=secret, previous_until=now + SECRET_OVERLAP)
    return store.find_secrets(tx, [caller.project_id])[caller.project_id]
