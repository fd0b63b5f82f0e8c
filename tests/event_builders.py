"""Builders for the tests of events: an event as it was received, a meter, and a project that sends."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from foundation.database import Transaction
from foundation.ids import new_hex_id
from identity.model import Caller
from identity.policy import product_caller
from metering.cloud_events import read_event
from metering.event_model import EventAnswer, EventMeter, MeterDefinition, ReceivedEvents
from metering.service.event_meters import create_meter
from metering.service.events import ingest_events
from tests.metering_builders import at

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def a_sender(project_id: str) -> Caller:
    """Return a member of a project."""
    return replace(product_caller(project_id=project_id, user_id="u"), is_system=False)


def wire(event_id: object, *, seconds: float = 0, **changes: Any) -> dict[str, Any]:
    """Return an event of ten tokens as JSON, so many seconds after T0."""
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": str(event_id),
        "source": "/app",
        "type": "com.example.llm",
        "subject": "customer",
        "time": at(seconds).isoformat(),
        "data": {"tokens": 10, "model": "m"},
    }
    return {**event, **changes}


def received(events: Sequence[Any], *, now: datetime = NOW) -> ReceivedEvents:
    """Return a batch as the API hands it on."""
    return ReceivedEvents(
        tuple(read_event(event, place=place, received_at=now) for place, event in enumerate(events)),
        now,
        is_single=False,
    )


def send(
    tx: Transaction, project_id: str, events: Sequence[Any], *, now: datetime = NOW, caller: Caller | None = None
) -> Sequence[EventAnswer]:
    """Take in a batch of a project."""
    return ingest_events(tx, caller or a_sender(project_id), received(events, now=now), project_id=project_id)


def outcomes(answers: Sequence[EventAnswer]) -> list[str]:
    """Return what became of each event, in short."""
    return [answer.outcome[0] for answer in answers]


def make_meter(
    tx: Transaction, project_id: str | None, *, caller: Caller | None = None, now: datetime = NOW, **changes: Any
) -> EventMeter:
    """Make a meter that sums tokens by a name of its own unless told otherwise."""
    facts: dict[str, Any] = {
        "project_id": project_id,
        "name": f"tokens-{new_hex_id()}",
        "event_type": "com.example.llm",
        "aggregation": "sum",
        "value_path": "tokens",
        "unit": "token",
    }
    definition = MeterDefinition(**{**facts, **changes})
    return create_meter(tx, caller or a_sender(project_id or "admin"), definition, description="", now=now)[0]
