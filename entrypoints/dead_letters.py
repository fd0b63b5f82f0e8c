"""`nepho dead-letters`: looks at notifications that could not be taken, tries them again, throws them away."""

import sys
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from collectors.dead_letters import (
    DeadLetter,
    DeadLetterState,
    discard_dead_letter,
    get_dead_letter,
    list_dead_letters,
    replay_dead_letter,
)
from collectors.definitions.files import DefinitionsInvalid, load_catalogue
from entrypoints.listener import ListenerSettings
from entrypoints.sample_data import find_database_url
from foundation.clock import utc_now
from foundation.database import Pool, open_pool, transaction
from foundation.errors import DomainError

COULD_NOT_LOOK = 2
PAGE = 500
REPLAYED_MAX = 100_000


def with_database(do: Callable[[Pool, ListenerSettings], int]) -> int:
    """Do something with the database that the settings name, or the running installation's; returns the exit code."""
    settings = ListenerSettings()
    url = find_database_url(settings)
    if url is None:
        print("nephoscope: No installation runs here: start `make run`, or set NEPHO_DATABASE_URL.", file=sys.stderr)
        return COULD_NOT_LOOK
    pool = open_pool(url, size_max=1, application_name="nephoscope-dead-letters")
    try:
        return do(pool, settings)
    except DefinitionsInvalid as error:
        print("\n".join(f"nephoscope: {problem}" for problem in error.problems), file=sys.stderr)
    except DomainError as error:
        print(f"nephoscope: {error.message}", file=sys.stderr)
    finally:
        pool.close()
    return COULD_NOT_LOOK


def show(state: DeadLetterState | None, limit: int) -> int:
    """Print letters, the newest first."""

    def do(pool: Pool, _: ListenerSettings) -> int:
        with transaction(pool) as tx:
            letters = list_dead_letters(tx, state=state, after=None, limit=limit)
        for letter in letters:
            print(described(letter))
        if not letters:
            print("no dead letters")
        return 0

    return with_database(do)


def described(letter: DeadLetter) -> str:
    """Describe a letter in two lines: which it is, and why it could not be taken."""
    seen = letter.last_seen_at.strftime("%Y-%m-%d %H:%M:%SZ")
    often = "" if letter.times_seen == 1 else f" ({letter.times_seen} times)"
    return f"{letter.id} {letter.state} {seen}{often} {letter.exchange} {letter.event_type or '?'}\n    {letter.reason}"


def show_body(letter_id: UUID) -> int:
    """Print the message itself, as it came."""

    def do(pool: Pool, _: ListenerSettings) -> int:
        with transaction(pool) as tx:
            letter = get_dead_letter(tx, letter_id)
        sys.stdout.write(letter.body.decode("utf-8", "backslashreplace") + "\n")
        return 0

    return with_database(do)


def replay(letter_id: UUID | None) -> int:
    """Try one letter again, or all that wait; 1 where one still cannot be taken."""

    def do(pool: Pool, settings: ListenerSettings) -> int:
        catalogue = load_catalogue(Path(settings.definitions) if settings.definitions else None)
        ids = [letter_id] if letter_id is not None else waiting_ids(pool)
        left = 0
        for one in ids:
            with transaction(pool) as tx:
                letter = replay_dead_letter(tx, one, catalogue=catalogue, now=utc_now())
            print(told(letter))
            left += letter.state == "waiting"
        if not ids:
            print("no dead letters")
        return 1 if left else 0

    return with_database(do)


def waiting_ids(pool: Pool) -> list[UUID]:
    """Return the letters that wait, the oldest first, up to a bound."""
    ids: list[UUID] = []
    after: UUID | None = None
    while len(ids) < REPLAYED_MAX:
        with transaction(pool) as tx:
            page = list_dead_letters(tx, state="waiting", after=after, limit=PAGE)
        ids.extend(letter.id for letter in page if letter.is_whole)
        if len(page) < PAGE:
            break
        after = page[-1].id
    return ids[::-1]


def told(letter: DeadLetter) -> str:
    """Say what became of a letter."""
    return f"{letter.id} {letter.state if letter.state != 'waiting' else f'still waits: {letter.reason}'}"


def discard(letter_id: UUID) -> int:
    """Throw a letter away."""

    def do(pool: Pool, _: ListenerSettings) -> int:
        with transaction(pool) as tx:
            print(told(discard_dead_letter(tx, letter_id, now=utc_now())))
        return 0

    return with_database(do)
