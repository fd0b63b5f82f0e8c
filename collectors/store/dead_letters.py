"""Messages that could not be taken, each with the reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, LiteralString
from uuid import UUID

from psycopg.rows import class_row

from foundation.database import Transaction

DeadLetterState = Literal["waiting", "replayed", "discarded"]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that could not be taken; `body_bytes` is how long it was, `kept_bytes` less than that where it was very long."""

    id: UUID
    kept_bytes: int
    body_bytes: int
    exchange: str
    routing_key: str
    message_id: str | None
    event_type: str | None
    reason: str
    state: DeadLetterState
    times_seen: int
    first_seen_at: datetime
    last_seen_at: datetime
    settled_at: datetime | None

    @property
    def is_whole(self) -> bool:
        """Tell whether all of it was kept, so that it can be replayed."""
        return self.kept_bytes == self.body_bytes


@dataclass(frozen=True, slots=True)
class OpenedLetter(DeadLetter):
    """The same with the message itself, as far as it was kept."""

    body: bytes


@dataclass(frozen=True, slots=True)
class WaitingLetters:
    """How many letters wait, how much room they take, and since when the oldest does."""

    count: int
    bytes: int
    since: datetime | None


LETTER_BYTES = 1 << 10
"""What is reckoned for a letter beside its message."""

BURY: LiteralString = """
    INSERT INTO dead_letter AS d (id, digest, body, body_bytes, exchange, routing_key, message_id, event_type, reason,
        first_seen_at, last_seen_at)
    VALUES (%(id)s, sha256(%(whole)s), %(kept)s, %(body_bytes)s, %(exchange)s, %(routing_key)s, %(message_id)s,
        %(event_type)s, %(reason)s, %(now)s, %(now)s)
    ON CONFLICT (digest) WHERE state = 'waiting' DO UPDATE SET
        times_seen = d.times_seen + 1, last_seen_at = greatest(d.last_seen_at, EXCLUDED.last_seen_at), reason = EXCLUDED.reason
"""


@dataclass(frozen=True, slots=True)
class Burial:
    """What is kept of a message, and why it could not be taken."""

    id: UUID
    body: bytes
    kept_bytes: int
    exchange: str
    routing_key: str
    message_id: str | None
    event_type: str | None
    reason: str

    @property
    def room_bytes(self) -> int:
        """How much room it takes, reckoned as `measure_waiting` does."""
        return min(self.kept_bytes, len(self.body)) + LETTER_BYTES


def bury(tx: Transaction, burial: Burial, *, now: datetime) -> None:
    """Keep a message; the same bytes again are the same letter, seen once more."""
    tx.execute(
        BURY,
        {
            "id": burial.id,
            "whole": burial.body,
            "kept": burial.body[: burial.kept_bytes],
            "body_bytes": len(burial.body),
            "exchange": burial.exchange,
            "routing_key": burial.routing_key,
            "message_id": burial.message_id,
            "event_type": burial.event_type,
            "reason": burial.reason,
            "now": now,
        },
    )


COLUMNS: LiteralString = """
    id, octet_length(body) AS kept_bytes, body_bytes, exchange, routing_key, message_id, event_type, reason, state, times_seen, first_seen_at,
    last_seen_at, settled_at
"""
LIST_LETTERS: LiteralString = (
    "SELECT "
    + COLUMNS
    + """ FROM dead_letter
    WHERE (%(state)s::text IS NULL OR state = %(state)s) AND (%(after)s::uuid IS NULL OR id < %(after)s)
    ORDER BY id DESC LIMIT %(limit)s
"""
)


def list_letters(
    tx: Transaction, *, state: DeadLetterState | None, after: UUID | None, limit: int
) -> Sequence[DeadLetter]:
    """Return letters, the newest first, without their messages, which are long."""
    with tx.cursor(row_factory=class_row(DeadLetter)) as cursor:
        return cursor.execute(LIST_LETTERS, {"state": state, "after": after, "limit": limit}).fetchall()


OPEN_LETTER: LiteralString = "SELECT body, " + COLUMNS + " FROM dead_letter WHERE id = %s"
LOCK_LETTER: LiteralString = "SELECT FROM dead_letter WHERE id = %s FOR UPDATE"


def open_letter(tx: Transaction, letter_id: UUID, *, for_update: bool = False) -> OpenedLetter | None:
    """Return a letter with its message, locked where it is to be settled."""
    if for_update:
        tx.execute(LOCK_LETTER, (letter_id,))
    with tx.cursor(row_factory=class_row(OpenedLetter)) as cursor:
        return cursor.execute(OPEN_LETTER, (letter_id,)).fetchone()


SETTLE: LiteralString = "UPDATE dead_letter SET state = %(state)s, settled_at = %(now)s WHERE id = %(id)s"


def settle(tx: Transaction, letter_id: UUID, *, state: DeadLetterState, now: datetime) -> None:
    """Record that a letter was replayed or discarded."""
    tx.execute(SETTLE, {"id": letter_id, "state": state, "now": now})


RENAME_REASON: LiteralString = "UPDATE dead_letter SET reason = %(reason)s WHERE id = %(id)s"


def keep_reason(tx: Transaction, letter_id: UUID, reason: str) -> None:
    """Record why a letter still cannot be taken."""
    tx.execute(RENAME_REASON, {"id": letter_id, "reason": reason})


MEASURE_WAITING: LiteralString = """
    SELECT count(*) AS count, coalesce(sum(octet_length(body) + %s), 0)::bigint AS bytes, min(first_seen_at) AS since
    FROM dead_letter WHERE state = 'waiting'
"""


def measure_waiting(tx: Transaction) -> WaitingLetters:
    """Measure the letters that wait."""
    with tx.cursor(row_factory=class_row(WaitingLetters)) as cursor:
        row = cursor.execute(MEASURE_WAITING, (LETTER_BYTES,)).fetchone()
    assert row is not None
    return row


FORGET_SETTLED: LiteralString = """
    DELETE FROM dead_letter WHERE id IN (
        SELECT id FROM dead_letter WHERE state <> 'waiting' AND settled_at < %(before)s LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    )
"""


def forget_settled(tx: Transaction, *, before: datetime, limit: int) -> int:
    """Delete letters settled before an instant, at most `limit` a call; return how many."""
    return tx.execute(FORGET_SETTLED, {"before": before, "limit": limit}).rowcount
