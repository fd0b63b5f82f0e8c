"""The outbox: an event is written in the transaction that makes it true, and handled by whoever hears its topic, at least once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from foundation.database import Transaction
from foundation.ids import first_id_at, new_id

CLAIM_EVENTS_MAX = 200
ATTEMPTS_MAX = 50
RETRY_DELAY_S_MAX = 300
ERROR_TEXT_MAX = 1_000
COUNTED_MAX = 10_000
FAILING_FROM_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """Something that became true: topic says what kind, key says of what, payload says the rest."""

    id: UUID
    topic: str
    key: str
    payload: dict[str, Any]
    created_at: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class OutboxBacklog:
    """Events that wait to be handled, those of them that failed again and again, and the age in seconds of the oldest."""

    events: int
    failing: int
    lag_s: float


APPEND_EVENT: LiteralString = "INSERT INTO outbox_event (id, topic, key, payload) VALUES (%s, %s, %s, %s)"


def append(tx: Transaction, topic: str, *, key: str, payload: Mapping[str, Any]) -> UUID:
    """Write an event in the caller's transaction, where the next tick finds it; return the event's id."""
    event_id = new_id()
    tx.execute(APPEND_EVENT, (event_id, topic, key, Jsonb(dict(payload))))
    return event_id


CLAIM_DUE_EVENTS: LiteralString = """
    SELECT id, topic, key, payload, created_at, attempts
    FROM outbox_event
    WHERE handled_at IS NULL AND next_attempt_at <= %(now)s
    ORDER BY id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
"""


def claim_due(tx: Transaction, *, now: datetime, limit: int = CLAIM_EVENTS_MAX) -> Sequence[OutboxEvent]:
    """Claim events in order of birth; the transaction is the lease, so that a crash gives them back."""
    with tx.cursor(row_factory=class_row(OutboxEvent)) as cursor:
        return cursor.execute(CLAIM_DUE_EVENTS, {"now": now, "limit": limit}).fetchall()


MARK_HANDLED: LiteralString = "UPDATE outbox_event SET handled_at = %s, attempts = attempts + 1 WHERE id = %s"


def mark_handled(tx: Transaction, event_id: UUID, *, now: datetime) -> None:
    """Record that every hearer of the event has done its part, in the transaction of that part."""
    tx.execute(MARK_HANDLED, (now, event_id))


MARK_FAILED: LiteralString = """
    UPDATE outbox_event SET attempts = attempts + 1, next_attempt_at = %(retry_at)s, last_error = %(error)s
    WHERE id = %(id)s
"""


def mark_failed(tx: Transaction, event: OutboxEvent, *, error: str, now: datetime) -> None:
    """Put an event back with a growing delay; it stays, and shows, however often it fails."""
    delay_s = min(RETRY_DELAY_S_MAX, 2 ** min(event.attempts, ATTEMPTS_MAX))
    parameters = {"retry_at": now + timedelta(seconds=delay_s), "error": error[:ERROR_TEXT_MAX], "id": event.id}
    tx.execute(MARK_FAILED, parameters)


HAS_DUE_EVENTS: LiteralString = """
    SELECT EXISTS (SELECT FROM outbox_event WHERE handled_at IS NULL AND next_attempt_at <= %s)
"""


def has_due(tx: Transaction, *, now: datetime) -> bool:
    """Tell whether the relay has something to do."""
    row = tx.execute(HAS_DUE_EVENTS, (now,)).fetchone()
    assert row is not None
    return bool(row[0])


READ_BACKLOG: LiteralString = """
    SELECT (SELECT count(*) FROM (SELECT FROM outbox_event WHERE handled_at IS NULL LIMIT %(limit)s) e)::int AS events,
        (SELECT count(*) FROM (
            SELECT FROM outbox_event WHERE handled_at IS NULL AND attempts >= %(attempts)s LIMIT %(limit)s
        ) f)::int AS failing,
        coalesce(extract(epoch FROM clock_timestamp() - (
            SELECT created_at FROM outbox_event WHERE handled_at IS NULL ORDER BY id LIMIT 1
        )), 0)::float8 AS lag_s
"""


def read_backlog(tx: Transaction) -> OutboxBacklog:
    """Read what waits to be handled, by the database's clock; at most COUNTED_MAX are counted."""
    with tx.cursor(row_factory=class_row(OutboxBacklog)) as cursor:
        parameters = {"limit": COUNTED_MAX, "attempts": FAILING_FROM_ATTEMPTS}
        backlog = cursor.execute(READ_BACKLOG, parameters).fetchone()
    assert backlog is not None
    return backlog


HAS_PENDING: LiteralString = """
    SELECT EXISTS (
        SELECT FROM outbox_event WHERE handled_at IS NULL AND topic = %(topic)s AND payload @> %(part)s
    )
"""


def has_pending(tx: Transaction, topic: str, *, part: Mapping[str, Any]) -> bool:
    """Tell whether an event of a topic, with this as a part of its payload, is not handled yet."""
    row = tx.execute(HAS_PENDING, {"topic": topic, "part": Jsonb(dict(part))}).fetchone()
    assert row is not None
    return bool(row[0])


DROP_HANDLED: LiteralString = """
    DELETE FROM outbox_event WHERE id IN (SELECT id FROM outbox_event WHERE handled_at < %s LIMIT 10000)
"""


def drop_handled(tx: Transaction, *, before: datetime) -> int:
    """Delete events handled before an instant, at most 10,000 a call; return how many."""
    return tx.execute(DROP_HANDLED, (before,)).rowcount


LIST_SINCE: LiteralString = """
    SELECT id, topic, key, payload, created_at, attempts
    FROM outbox_event
    WHERE id >= %(first)s AND topic = ANY (%(topics)s)
    ORDER BY id DESC
    LIMIT %(limit)s
"""


def list_since(tx: Transaction, *, since: datetime, topics: Sequence[str], limit: int) -> Sequence[OutboxEvent]:
    """Return the newest events of these topics born since an instant, handled or not, oldest first: for those who only watch."""
    parameters = {"first": first_id_at(since), "topics": list(topics), "limit": limit}
    with tx.cursor(row_factory=class_row(OutboxEvent)) as cursor:
        return cursor.execute(LIST_SINCE, parameters).fetchall()[::-1]
