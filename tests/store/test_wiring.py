"""The relay on a real database: every event reaches those who hear it, and one that fails holds up no other."""

from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from entrypoints.wiring import relay_outbox
from foundation import outbox
from foundation.database import Pool, Transaction, transaction
from foundation.ids import new_hex_id, new_id
from foundation.interval import TimeInterval
from metering import service as metering
from tests.conftest import own_pool

STARTED_AT = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def pool(cluster_url: str) -> Generator[Pool]:
    """A database of these tests alone: they mind what others have left."""
    with own_pool(cluster_url) as opened:
        yield opened


def soon() -> datetime:
    """An instant at which everything written so far is due."""
    return datetime.now(UTC) + timedelta(minutes=1)


def a_lifecycle(project_id: str, **changes: Any) -> dict[str, Any]:
    """The payload of an instance that started."""
    payload: dict[str, Any] = {
        "event_id": str(new_id()),
        "instance_id": str(new_id()),
        "project_id": project_id,
        "user_id": new_hex_id(),
        "kind": "create",
        "state": "active",
        "observed_at": STARTED_AT.isoformat(),
        "name": "web",
        "flavor_id": "1",
        "flavor_name": "m1.tiny",
        "vcpus": 1,
        "ram_mib": 512,
        "disk_gib": 1,
        "image_id": str(new_id()),
        "host": "host-1",
        "metadata": {},
    }
    return payload | changes


def a_transition(project_id: str, actions: list[str]) -> dict[str, Any]:
    """The payload of an alarm that fired."""
    return {
        "event_id": str(new_id()),
        "alarm_id": str(new_id()),
        "alarm_name": "cpu-high",
        "project_id": project_id,
        "severity": "low",
        "previous": "ok",
        "current": "alarm",
        "reason": "it is so",
        "reason_data": {},
        "at": STARTED_AT.isoformat(),
        "actions": actions,
    }


def append(pool: Pool, topic: str, payload: dict[str, Any]) -> str:
    """Write an event and return its id."""
    with transaction(pool) as tx:
        return str(outbox.append(tx, topic, key="test", payload=payload))


def unhandled_error(tx: Transaction, event_id: str) -> str | None:
    """Return why an event is not handled; None where it is."""
    row = tx.execute("SELECT handled_at, last_error FROM outbox_event WHERE id = %s", (event_id,)).fetchone()
    assert row is not None
    return None if row[0] is not None else str(row[1])


def test_a_start_becomes_a_segment_that_can_be_billed(pool: Pool) -> None:
    project = new_hex_id()
    append(pool, "instance.lifecycle", a_lifecycle(project))
    assert relay_outbox(pool, now=soon()) >= 1
    with transaction(pool) as tx:
        hour = TimeInterval(STARTED_AT, STARTED_AT + timedelta(hours=1))
        segments = metering.state_segments(tx, project_id=project, interval=hour)
    assert [(segment.state, segment.started_at) for segment in segments] == [("active", STARTED_AT)]


def test_an_event_that_cannot_be_read_keeps_its_reason_and_holds_up_no_other(pool: Pool) -> None:
    project = new_hex_id()
    poison = append(pool, "instance.lifecycle", a_lifecycle(project, observed_at="not a time"))
    good = append(pool, "instance.lifecycle", a_lifecycle(project))
    relay_outbox(pool, now=soon())
    with transaction(pool) as tx:
        assert unhandled_error(tx, good) is None
        assert "observed_at" in (unhandled_error(tx, poison) or "")
        outbox.mark_handled(tx, UUID(poison), now=soon())


def test_a_webhook_action_becomes_one_signed_delivery_however_often_the_relay_runs(pool: Pool) -> None:
    project = new_hex_id()
    append(pool, "alarm.transition", a_transition(project, ["https://hooks.example.org/a", "log:"]))
    relay_outbox(pool, now=soon())
    relay_outbox(pool, now=soon())
    with transaction(pool) as tx:
        rows = tx.execute("SELECT url FROM delivery WHERE project_id = %s", (project,)).fetchall()
        tx.execute("DELETE FROM delivery WHERE project_id = %s", (project,))
    assert rows == [("https://hooks.example.org/a",)]


def test_a_policy_that_is_gone_is_noted_and_the_event_is_done(pool: Pool) -> None:
    event_id = append(pool, "alarm.transition", a_transition(new_hex_id(), [f"scaling:{new_id()}"]))
    relay_outbox(pool, now=soon())
    with transaction(pool) as tx:
        assert unhandled_error(tx, event_id) is None
