"""The log of webhook deliveries in the native API: every attempt and its answer, sending again, a test event, the signing secret."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from alarms import service
from alarms.delivery import Attempt, AttemptOutcome, Delivery, DeliveryState, SigningSecret, secret_text
from api.authentication import RequestCaller
from api.body import new_router
from api.context import context_of
from api.native.cursors import id_after
from api.pagination import RequestCursorPage, encode_cursor
from api.transaction import RequestTransaction, SnapshotTransaction

router = new_router("/deliveries")


class AttemptBody(BaseModel):
    """One attempt; without an outcome it is under way."""

    attempt: int
    started_at: datetime
    finished_at: datetime | None
    outcome: AttemptOutcome | None
    status_code: int | None
    latency_ms: int | None
    answer: str | None
    error: str | None


class DeliveryBody(BaseModel):
    """A message to one URL; `webhook_id` is the same in every attempt."""

    id: UUID
    webhook_id: str
    alarm_id: UUID | None
    event_id: UUID
    url: str
    body: str
    state: DeliveryState
    next_attempt_at: datetime | None
    created_at: datetime
    finished_at: datetime | None
    attempts: list[AttemptBody]


class DeliveryPage(BaseModel):
    """A page of deliveries."""

    items: list[DeliveryBody]
    next: str | None


class TestEvent(BaseModel):
    """Where a test event goes."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=1, max_length=2048)


class SecretBody(BaseModel):
    """What verifies our signatures (Standard Webhooks); the old secret signs too until then."""

    secret: str
    previous_secret: str | None
    previous_until: datetime | None


def to_body(delivery: Delivery, attempts: list[Attempt]) -> DeliveryBody:
    """Write a delivery with its attempts."""
    return DeliveryBody(
        id=delivery.id,
        webhook_id=f"msg_{delivery.id.hex}",
        alarm_id=delivery.alarm_id,
        event_id=delivery.event_id,
        url=delivery.url,
        body=delivery.body,
        state=delivery.state,
        next_attempt_at=delivery.next_attempt_at if delivery.state == "pending" else None,
        created_at=delivery.created_at,
        finished_at=delivery.finished_at,
        attempts=[
            AttemptBody(
                attempt=attempt.attempt,
                started_at=attempt.started_at,
                finished_at=attempt.finished_at,
                outcome=attempt.outcome,
                status_code=attempt.status_code,
                latency_ms=attempt.latency_ms,
                answer=attempt.answer,
                error=attempt.error,
            )
            for attempt in attempts
        ],
    )


def to_secret(secret: SigningSecret, *, now: datetime) -> SecretBody:
    """Write a signing secret as whsec_ text, with the one before it while that one signs."""
    newest, *before = (secret_text(one) for one in secret.active(now))
    return SecretBody(
        secret=newest,
        previous_secret=before[0] if before else None,
        previous_until=secret.previous_until if before else None,
    )


@router.get("", operation_id="list_deliveries")
def list_deliveries(
    tx: SnapshotTransaction,
    caller: RequestCaller,
    page: RequestCursorPage,
    alarm_id: Annotated[UUID | None, Query()] = None,
    state: Annotated[DeliveryState | None, Query()] = None,
) -> DeliveryPage:
    """List the project's deliveries with every attempt, newest first."""
    rows = service.list_deliveries(
        tx, caller=caller, alarm_id=alarm_id, state=state, marker=id_after(page), limit=page.limit + 1
    )
    shown = rows[: page.limit]
    cursor = encode_cursor([str(shown[-1][0].id)]) if len(rows) > page.limit else None
    return DeliveryPage(items=[to_body(delivery, list(attempts)) for delivery, attempts in shown], next=cursor)


@router.post("/test", operation_id="send_test_event", status_code=202)
def send_test_event(tx: RequestTransaction, caller: RequestCaller, body: TestEvent, request: Request) -> DeliveryBody:
    """Send a signed test event to a URL; the delivery shows what came of it."""
    return to_body(service.send_test_event(tx, body.url, caller=caller, now=context_of(request).clock()), [])


@router.get("/secret", operation_id="get_signing_secret")
def get_signing_secret(
    tx: RequestTransaction, caller: RequestCaller, request: Request, response: Response
) -> SecretBody:
    """Show the project's signing secret."""
    now = context_of(request).clock()
    response.headers["Cache-Control"] = "no-store"
    return to_secret(service.get_signing_secret(tx, caller=caller, now=now), now=now)


@router.post("/secret/rotate", operation_id="rotate_signing_secret")
def rotate_signing_secret(
    tx: RequestTransaction, caller: RequestCaller, request: Request, response: Response
) -> SecretBody:
    """Make a new signing secret; for a day messages carry a signature of each."""
    now = context_of(request).clock()
    response.headers["Cache-Control"] = "no-store"
    return to_secret(service.rotate_signing_secret(tx, caller=caller, now=now), now=now)


@router.get("/{delivery_id}", operation_id="get_delivery")
def get_delivery(tx: SnapshotTransaction, caller: RequestCaller, delivery_id: UUID) -> DeliveryBody:
    """Show a delivery with its attempts."""
    delivery, attempts = service.get_delivery(tx, delivery_id, caller=caller)
    return to_body(delivery, list(attempts))


@router.post("/{delivery_id}/redeliver", operation_id="redeliver", status_code=202)
def redeliver(tx: RequestTransaction, caller: RequestCaller, delivery_id: UUID, request: Request) -> DeliveryBody:
    """Send a finished delivery again under its old webhook-id."""
    service.redeliver(tx, delivery_id, caller=caller, now=context_of(request).clock())
    delivery, attempts = service.get_delivery(tx, delivery_id, caller=caller)
    return to_body(delivery, list(attempts))
