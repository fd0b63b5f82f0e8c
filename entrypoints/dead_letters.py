"""`nepho dead-letters`: looks at notifications that could not be taken, tries them again, throws them away."""

import sys
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from collectors.dead_letters import (
    DeadLetter,
    DeadLetterState,
    WaitingLetters,
    discard_dead_letter,
    get_dead_letter,
    list_dead_letters,
    measure_dead_letters,
    replay_dead_letter,
)
from collectors.definitions.files import Catalogue, load_catalogue
from entrypoints.installed_database import chosen_settings, give_up, installed_database
from entrypoints.listener import ListenerSettings
from foundation.clock import utc_now
from foundation.database import Pool, transaction
from foundation.errors import Conflict, NotFound, Unavailable

STILL_WAITING = 1
PAGE = 500
LETTERS_MAX = 100_000
"""So many are replayed or discarded in one run."""
MIB = 1 << 20


def show(state: DeadLetterState | None, limit: int) -> int:
    """Print letters, the newest first, and how many wait in all."""
    settings = chosen_settings(ListenerSettings)
    with installed_database(settings, "dead-letters") as pool, transaction(pool) as tx:
        letters = list_dead_letters(tx, state=state, after=None, limit=limit)
        waiting = measure_dead_letters(tx)
    for letter in letters:
        print(described(letter))
    if not letters:
        print("no dead letters")
    if waiting.count:
        print(summed_up(waiting, mib_max=settings.dead_letters_mib_max))
    return 0


def described(letter: DeadLetter) -> str:
    """Describe a letter in two lines: which it is, and why it could not be taken."""
    seen = letter.last_seen_at.strftime("%Y-%m-%d %H:%M:%SZ")
    often = "" if letter.times_seen == 1 else f" ({letter.times_seen} times)"
    return f"{letter.id} {letter.state} {seen}{often} {letter.exchange} {letter.event_type or '?'}\n    {letter.reason}"


def summed_up(waiting: WaitingLetters, *, mib_max: int) -> str:
    """Say how many letters wait, since when, and how much room is left for more."""
    since = f"; the oldest since {waiting.since:%Y-%m-%d %H:%M:%SZ}" if waiting.since else ""
    return f"{waiting.count} wait and take {waiting.bytes / MIB:.1f} of {mib_max} MiB{since}"


def show_body(letter_id: UUID) -> int:
    """Print the message itself, as it came."""
    with installed_database(chosen_settings(ListenerSettings), "dead-letters") as pool, transaction(pool) as tx:
        letter = get_dead_letter(tx, letter_id)
    sys.stdout.write(letter.body.decode("utf-8", "backslashreplace") + "\n")
    return 0


def replay(letter_id: UUID | None) -> int:
    """Try one letter again, or all that wait; 1 where one still cannot be taken."""
    settings = chosen_settings(ListenerSettings)
    left = 0
    with installed_database(settings, "dead-letters") as pool:
        catalogue = load_catalogue(Path(settings.definitions) if settings.definitions else None)
        chosen = [letter_id] if letter_id is not None else waiting_ids(pool)
        for one in chosen:
            left += not (replay_one if letter_id is not None else replay_of_many)(pool, one, catalogue)
    if not chosen:
        print("no dead letters")
    return STILL_WAITING if left else 0


def replay_one(pool: Pool, letter_id: UUID, catalogue: Catalogue) -> bool:
    """Try a letter again, say what became of it, and return whether it is settled."""
    with transaction(pool) as tx:
        letter = replay_dead_letter(tx, letter_id, catalogue=catalogue, now=utc_now())
    print(told(letter))
    return letter.state != "waiting"


def replay_of_many(pool: Pool, letter_id: UUID, catalogue: Catalogue) -> bool:
    """Do the same, and let what goes wrong with this one keep no other from its turn."""
    try:
        return replay_one(pool, letter_id, catalogue)
    except NotFound:
        return True
    except Unavailable:
        raise
    except Conflict as error:
        print(f"{letter_id} {error.message}")
    except Exception as error:  # noqa: BLE001 (what failed unforeseen in the listener fails so again, and is said)
        print(f"{letter_id} still waits: {type(error).__name__}: {error}")
    return False


def waiting_ids(pool: Pool) -> list[UUID]:
    """Return the letters that wait, the oldest first, up to a bound."""
    ids: list[UUID] = []
    after: UUID | None = None
    while len(ids) < LETTERS_MAX:
        with transaction(pool) as tx:
            page = list_dead_letters(tx, state="waiting", after=after, limit=PAGE)
        ids.extend(letter.id for letter in page)
        if len(page) < PAGE:
            break
        after = page[-1].id
    return ids[::-1]


def told(letter: DeadLetter) -> str:
    """Say what became of a letter."""
    return f"{letter.id} {letter.state if letter.state != 'waiting' else f'still waits: {letter.reason}'}"


def discard(letter_id: UUID | None, *, every: bool) -> int:
    """Throw one letter away, or all that wait."""
    if (letter_id is None) is not every:
        give_up("say which letter to discard, by its id, or --all")
    with installed_database(chosen_settings(ListenerSettings), "dead-letters") as pool:
        chosen: Sequence[UUID] = [letter_id] if letter_id is not None else waiting_ids(pool)
        for one in chosen:
            with transaction(pool) as tx:
                print(told(discard_dead_letter(tx, one, now=utc_now())))
    return 0
