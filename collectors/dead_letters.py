"""Messages that could not be taken: looked at, tried again once the reason is mended, or thrown away."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import psycopg

from collectors.definitions.files import Catalogue
from collectors.listening import Message, read_message, reason_kept, reason_of, record
from collectors.notifications import Malformed
from collectors.store import dead_letters, heard
from collectors.store.dead_letters import DeadLetter, DeadLetterState, OpenedLetter, WaitingLetters
from foundation.database import Transaction
from foundation.errors import Conflict, Invalid, NotFound


class DeadLetterNotFound(NotFound):
    """No such dead letter."""

    def __init__(self, letter_id: UUID) -> None:
        super().__init__(f"there is no dead letter {letter_id}")


class DeadLetterSettled(Conflict):
    """It was replayed or discarded already."""

    def __init__(self, letter: DeadLetter) -> None:
        super().__init__(f"the dead letter {letter.id} was {letter.state} already")


class DeadLetterCut(Conflict):
    """It was too long to be kept whole."""

    def __init__(self, letter: DeadLetter) -> None:
        super().__init__(
            f"only {letter.kept_bytes} of the message's {letter.body_bytes} bytes were kept, so it cannot be replayed; discard it"
        )


def list_dead_letters(
    tx: Transaction, *, state: DeadLetterState | None, after: UUID | None, limit: int
) -> Sequence[DeadLetter]:
    """Return letters without their messages, the newest first, those after one that is known."""
    return dead_letters.list_letters(tx, state=state, after=after, limit=limit)


def get_dead_letter(tx: Transaction, letter_id: UUID) -> OpenedLetter:
    """Return a letter with its message. Raises DeadLetterNotFound."""
    letter = dead_letters.open_letter(tx, letter_id)
    if letter is None:
        raise DeadLetterNotFound(letter_id)
    return letter


def replay_dead_letter(tx: Transaction, letter_id: UUID, *, catalogue: Catalogue, now: datetime) -> DeadLetter:
    """Try to take a message again, by the definitions as they are now.

    Returns it as replayed, or as still waiting with what is wrong with it now. A message that was taken meanwhile counts once.
    Raises DeadLetterNotFound, DeadLetterSettled and DeadLetterCut.
    """
    letter = waiting_letter(tx, letter_id)
    if not letter.is_whole:
        raise DeadLetterCut(letter)
    try:
        with tx.transaction():
            take_again(tx, letter, catalogue=catalogue, now=now)
    except (Malformed, Invalid, psycopg.DataError, psycopg.IntegrityError) as error:
        reason = reason_kept(reason_of(error))
        dead_letters.keep_reason(tx, letter_id, reason)
        return replace(letter, reason=reason)
    dead_letters.settle(tx, letter_id, state="replayed", now=now)
    return replace(letter, state="replayed", settled_at=now)


def take_again(tx: Transaction, letter: OpenedLetter, *, catalogue: Catalogue, now: datetime) -> None:
    """Record what the message says unless that was done. Raises Malformed and Invalid; what was done by then is to be undone."""
    read = read_message(Message(letter.body, letter.exchange, letter.routing_key), catalogue)
    told = read.notification
    if not read.facts or not heard.note_heard(tx, {told.message_id: told.event_type}, now=now):
        return
    for _, fault in record(tx, [read], now=now):
        raise fault


def discard_dead_letter(tx: Transaction, letter_id: UUID, *, now: datetime) -> DeadLetter:
    """Throw a letter away: it stays in the list as discarded. Raises DeadLetterNotFound and DeadLetterSettled."""
    letter = waiting_letter(tx, letter_id)
    dead_letters.settle(tx, letter_id, state="discarded", now=now)
    return replace(letter, state="discarded", settled_at=now)


def waiting_letter(tx: Transaction, letter_id: UUID) -> OpenedLetter:
    """Return a letter that waits, locked until the transaction ends."""
    letter = dead_letters.open_letter(tx, letter_id, for_update=True)
    if letter is None:
        raise DeadLetterNotFound(letter_id)
    if letter.state != "waiting":
        raise DeadLetterSettled(letter)
    return letter


def measure_dead_letters(tx: Transaction) -> WaitingLetters:
    """Measure the letters that wait."""
    return dead_letters.measure_waiting(tx)
