"""Events and what was refused of them: kept once, looked up, and listed newest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

import orjson
import psycopg
from psycopg.rows import class_row

from foundation.database import Transaction
from metering.cloud_events import identity_of
from metering.event_model import CloudEvent, EventFilter, KeptEvent, LoggedEvent, LogPosition

SEARCHED_MAX = 20_000
"""How many events one page looks through for those that a filter means."""


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to keep, with its identity (the bytes of its id) and a digest of what it says."""

    identity: bytes
    event: CloudEvent
    content_digest: int


@dataclass(frozen=True, slots=True)
class Reception:
    """What the events of one request share: whose they are, who sent them, and when they came."""

    project_id: str
    sent_by: str
    may_lower: bool
    received_at: datetime


COPY_EVENTS: LiteralString = """
    COPY event (id, project_id, source, event_id, type, subject, observed_at, received_at, sent_by, may_lower, place,
        content_digest, attributes, data, is_binary) FROM STDIN (FORMAT text, NULL '')
"""
"""No text in it is ever empty, so that an empty one can stand for null."""


def try_keep_events(tx: Transaction, events: Sequence[NewEvent], *, reception: Reception) -> bool:
    """Keep events; False, with none kept, where one of them is there already.

    They are written in the order of their ids, so that two writers of the same events never wait for each other in a circle.
    Where another transaction is about to keep one of them, this waits until that has ended.
    """
    received_at, sent_by = reception.received_at.isoformat(), reception.sent_by or "-"
    shared = f"{received_at}\t{sent_by}\t{reception.may_lower}"
    ordered = sorted(events, key=lambda new: new.identity)
    rows = "".join([row_of(new, reception.project_id, shared=shared) for new in ordered])
    try:
        with tx.transaction(), tx.cursor() as cursor, cursor.copy(COPY_EVENTS) as copy:
            copy.write(rows)
    except psycopg.errors.UniqueViolation:
        return False
    return True


def row_of(new: NewEvent, project_id: str, *, shared: str) -> str:
    """Write an event as a line of COPY: its texts hold no control characters, so only the backslash is to be escaped."""
    event = new.event
    attributes = orjson.dumps(dict(event.attributes)).decode() if event.attributes else ""
    line = (
        f"{new.identity.hex()}\t{project_id}\t{event.source}\t{event.event_id}\t{event.type}\t{event.subject or ''}\t"
        f"{event.observed_at.isoformat()}\t{shared}\t{event.place}\t{new.content_digest}\t{attributes}\t"
        f"{event.data_text}\t{event.is_binary}\n"
    )
    return line.replace("\\", "\\\\") if "\\" in line else line


MERGE_EVENTS: LiteralString = """
    INSERT INTO event (id, project_id, source, event_id, type, subject, observed_at, received_at, sent_by, may_lower, place,
        content_digest, attributes, data, is_binary)
    SELECT id, %(project_id)s, source, event_id, type, subject, observed_at, %(received_at)s, %(sent_by)s, %(may_lower)s,
        place, content_digest, attributes, data, is_binary
    FROM json_to_recordset(%(rows)s::json) AS r (id uuid, source text, event_id text, type text, subject text,
        observed_at timestamptz, place integer, content_digest bigint, attributes json, data json, is_binary boolean)
    ORDER BY id
    ON CONFLICT (id) DO NOTHING
    RETURNING id
"""


def merge_events(tx: Transaction, events: Sequence[NewEvent], *, reception: Reception) -> set[bytes]:
    """Keep those of the events that are not kept, waiting for whoever is about to keep one; return the identities of those."""
    rows = [
        {
            "id": new.identity.hex(),
            "source": new.event.source,
            "event_id": new.event.event_id,
            "type": new.event.type,
            "subject": new.event.subject,
            "observed_at": new.event.observed_at,
            "place": new.event.place,
            "content_digest": new.content_digest,
            "attributes": dict(new.event.attributes) or None,
            "data": orjson.Fragment(new.event.data_text) if new.event.data_text else None,
            "is_binary": new.event.is_binary,
        }
        for new in events
    ]
    parameters = {
        "project_id": reception.project_id,
        "received_at": reception.received_at,
        "sent_by": reception.sent_by or "-",
        "may_lower": reception.may_lower,
        "rows": orjson.dumps(rows).decode(),
    }
    return {row[0].bytes for row in tx.execute(MERGE_EVENTS, parameters)}


@dataclass(frozen=True, slots=True)
class KnownEvent:
    """An event that is kept already: since when, and a digest of what it says."""

    id: UUID
    received_at: datetime
    content_digest: int


FIND_KNOWN_EVENTS: LiteralString = "SELECT id, received_at, content_digest FROM event WHERE id = ANY(%s::uuid[])"


def find_known_events(tx: Transaction, identities: Sequence[bytes]) -> dict[bytes, KnownEvent]:
    """Return those of the events that are kept, by identity."""
    ids = [identity.hex() for identity in identities]
    with tx.cursor(binary=True, row_factory=class_row(KnownEvent)) as cursor:
        return {known.id.bytes: known for known in cursor.execute(FIND_KNOWN_EVENTS, (ids,))}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A repeat, or an event that could not be taken."""

    id: UUID
    project_id: str
    source: str | None
    event_id: str | None
    type: str | None
    received_at: datetime
    place: int
    sent_by: str
    outcome: str
    reason: str
    field: str | None
    content: str | None


COPY_REFUSALS: LiteralString = """
    COPY event_refusal (id, project_id, source, event_id, type, received_at, place, sent_by, outcome, reason, field,
        content) FROM STDIN
"""


def keep_refusals(tx: Transaction, refusals: Sequence[Refusal]) -> None:
    """Keep what was refused, so that its sender can see why."""
    with tx.cursor() as cursor, cursor.copy(COPY_REFUSALS) as copy:
        for one in refusals:
            copy.write_row(
                (
                    *(one.id, one.project_id, one.source, one.event_id, one.type, one.received_at, one.place),
                    *(one.sent_by, one.outcome, one.reason, one.field, one.content),
                )
            )


DROP_OVERFLOW: LiteralString = """
    WITH beyond AS MATERIALIZED (
        SELECT received_at, place FROM event_refusal WHERE project_id = %(project_id)s
        ORDER BY received_at DESC, place DESC OFFSET %(kept)s LIMIT 1
    )
    DELETE FROM event_refusal WHERE id IN (
        SELECT r.id FROM event_refusal r, beyond b
        WHERE r.project_id = %(project_id)s AND (r.received_at, r.place) <= (b.received_at, b.place)
        ORDER BY r.received_at, r.place LIMIT %(kept)s FOR UPDATE OF r SKIP LOCKED)
"""
DROP_EXPIRED: LiteralString = """
    DELETE FROM event_refusal WHERE id IN (
        SELECT id FROM event_refusal WHERE received_at < %(before)s ORDER BY received_at LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED)
"""


def drop_overflow(tx: Transaction, project_id: str, *, kept: int) -> None:
    """Forget a project's oldest refusals beyond so many."""
    tx.execute(DROP_OVERFLOW, {"project_id": project_id, "kept": kept})


def drop_expired(tx: Transaction, *, before: datetime, limit: int) -> int:
    """Forget refusals of long ago; return how many."""
    return tx.execute(DROP_EXPIRED, {"before": before, "limit": limit}).rowcount


LOGGED_EVENT: LiteralString = """
    SELECT id, project_id, source, event_id, type, subject, observed_at, received_at, place, sent_by,
        'accepted' AS outcome, NULL::text AS reason, NULL::text AS field, may_lower, attributes, data, is_binary,
        NULL::text AS content
    FROM event
"""
LOGGED_REFUSAL: LiteralString = """
    SELECT id, project_id, source, event_id, type, NULL AS subject, NULL::timestamptz AS observed_at, received_at, place,
        sent_by, outcome, reason, field, false AS may_lower, NULL::json AS attributes, NULL::json AS data,
        false AS is_binary, content
    FROM event_refusal
"""
WITHIN: LiteralString = """
    project_id = %(project_id)s
        AND (%(start)s::timestamptz IS NULL OR received_at >= %(start)s)
        AND (%(end)s::timestamptz IS NULL OR received_at < %(end)s)
        AND (%(at)s::timestamptz IS NULL OR received_at <= %(at)s
            AND (received_at, place, id) < (%(at)s, %(place)s::int, %(id)s::uuid))
    ORDER BY received_at DESC, place DESC, id DESC LIMIT %(searched)s
"""
IS_NAMED: LiteralString = " WHERE (%(identity)s::uuid IS NULL OR id = %(identity)s) AND "
"""With source and id an event is found by its identity, however long ago it came."""

LIST_LOG: LiteralString = (
    "WITH kept AS MATERIALIZED ("
    + LOGGED_EVENT
    + IS_NAMED
    + WITHIN
    + "), refused AS MATERIALIZED ("
    + LOGGED_REFUSAL
    + " WHERE "
    + WITHIN
    + """),
    searched AS (
        SELECT * FROM (SELECT * FROM kept WHERE %(with_kept)s
            UNION ALL SELECT * FROM refused WHERE %(with_refused)s) both_kinds
        ORDER BY received_at DESC, place DESC, id DESC LIMIT %(searched)s
    )
    SELECT * FROM searched
    WHERE (%(source)s::text IS NULL OR source = %(source)s)
        AND (%(event_id)s::text IS NULL OR event_id = %(event_id)s)
        AND (%(type)s::text IS NULL OR type = %(type)s)
        AND (%(outcome)s::text IS NULL OR outcome = %(outcome)s)
    ORDER BY received_at DESC, place DESC, id DESC LIMIT %(limit)s
"""
)
LAST_SEARCHED: LiteralString = (
    "WITH kept AS (SELECT received_at, place, id FROM event"
    + IS_NAMED
    + WITHIN
    + "), refused AS (SELECT received_at, place, id FROM event_refusal WHERE "
    + WITHIN
    + """)
    SELECT received_at, place, id FROM (SELECT * FROM kept WHERE %(with_kept)s
        UNION ALL SELECT * FROM refused WHERE %(with_refused)s) both_kinds
    ORDER BY received_at DESC, place DESC, id DESC OFFSET %(searched)s - 1 LIMIT 1
"""
)


def is_plain(asked: EventFilter) -> bool:
    """Tell whether a page shows all there is, so that it need not look further than it shows."""
    return asked.source is None and asked.event_id is None and asked.type is None and asked.outcome is None


def log_parameters(asked: EventFilter, *, after: LogPosition | None, limit: int) -> dict[str, Any]:
    """Return the parameters that name a page."""
    identity = None
    if asked.source is not None and asked.event_id is not None:
        identity = UUID(bytes=identity_of(asked.project_id, asked.source, event_id=asked.event_id))
    return {
        "project_id": asked.project_id,
        "source": asked.source,
        "event_id": asked.event_id,
        "type": asked.type,
        "outcome": asked.outcome,
        "identity": identity,
        "start": asked.start,
        "end": asked.end,
        "at": None if after is None else after.received_at,
        "place": None if after is None else after.place,
        "id": None if after is None else after.id,
        "with_kept": asked.outcome in (None, "accepted"),
        "with_refused": asked.outcome != "accepted",
        "searched": limit if is_plain(asked) else SEARCHED_MAX,
        "limit": limit,
    }


def list_log(tx: Transaction, asked: EventFilter, *, after: LogPosition | None, limit: int) -> Sequence[LoggedEvent]:
    """Return a project's events with their answers, newest first, from among the next SEARCHED_MAX."""
    with tx.cursor(row_factory=class_row(LoggedEvent)) as cursor:
        return cursor.execute(LIST_LOG, log_parameters(asked, after=after, limit=limit), prepare=False).fetchall()


def last_searched(tx: Transaction, asked: EventFilter, *, after: LogPosition | None) -> LogPosition | None:
    """Return where a page that was not filled stopped looking, None where it has seen all there is."""
    if is_plain(asked):
        return None
    parameters = {**log_parameters(asked, after=after, limit=SEARCHED_MAX), "searched": SEARCHED_MAX}
    with tx.cursor(row_factory=class_row(LogPosition)) as cursor:
        return cursor.execute(LAST_SEARCHED, parameters, prepare=False).fetchone()


FIND_LOGGED: LiteralString = (
    LOGGED_EVENT
    + " WHERE id = %(id)s AND (%(project_id)s::text IS NULL OR project_id = %(project_id)s) UNION ALL "
    + LOGGED_REFUSAL
    + " WHERE id = %(id)s AND (%(project_id)s::text IS NULL OR project_id = %(project_id)s)"
)


def find_logged(tx: Transaction, event_id: UUID, *, project_id: str | None) -> LoggedEvent | None:
    """Return one event with its answer, of a project or (None) of any."""
    with tx.cursor(row_factory=class_row(LoggedEvent)) as cursor:
        return cursor.execute(FIND_LOGGED, {"id": event_id, "project_id": project_id}).fetchone()


LIST_PAST_OF_PROJECT: LiteralString = """
    SELECT id, project_id, source, event_id, type, subject, observed_at, received_at, place, sent_by, may_lower,
        attributes, CASE WHEN type = %(type)s THEN data END AS data, is_binary
    FROM event
    WHERE project_id = %(project_id)s AND received_at <= %(until)s
        AND (%(at)s::timestamptz IS NULL OR received_at >= %(at)s
            AND (received_at, place, id) > (%(at)s, %(place)s::int, %(id)s::uuid))
    ORDER BY received_at, place, id LIMIT %(limit)s
"""
LIST_PAST_OF_ALL: LiteralString = """
    SELECT id, project_id, source, event_id, type, subject, observed_at, received_at, place, sent_by, may_lower,
        attributes, CASE WHEN type = %(type)s THEN data END AS data, is_binary
    FROM event
    WHERE %(id)s::uuid IS NULL OR id > %(id)s
    ORDER BY id LIMIT %(limit)s
"""


def list_past_events(
    tx: Transaction,
    *,
    project_id: str | None,
    event_type: str,
    until: datetime,
    after: LogPosition | None,
    limit: int,
) -> Sequence[KeptEvent]:
    """Return the next events, of whatever type, after a position: a project's as they came, those of all projects by id."""
    parameters = {
        "project_id": project_id,
        "type": event_type,
        "until": until,
        "at": None if after is None else after.received_at,
        "place": None if after is None else after.place,
        "id": None if after is None else after.id,
        "limit": limit,
    }
    with tx.cursor(row_factory=class_row(KeptEvent)) as cursor:
        if project_id is None:
            return cursor.execute(LIST_PAST_OF_ALL, parameters, prepare=False).fetchall()
        return cursor.execute(LIST_PAST_OF_PROJECT, parameters, prepare=False).fetchall()
