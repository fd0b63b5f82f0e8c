"""CloudEvents on the native API: taken in with an answer for each, and a page of what was answered."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import Query, Request, Response
from pydantic import AwareDatetime, BaseModel

from api.authentication import RequestCaller, WriterCaller
from api.body import new_router
from api.native.billing import ReadProject, chosen_project
from api.native.event_bodies import BATCHED, STRUCTURED, EventsBody
from api.native.series import to_wire_instant, within_reason
from api.pagination import CursorPage, RequestCursorPage, encode_cursor
from api.transaction import RequestTransaction, SnapshotTransaction
from foundation.errors import Invalid
from identity.policy import is_admin
from metering.event_model import EventAnswer, EventFilter, LoggedEvent, LogPosition, Outcome
from metering.service import events as service
from metering.service.events import MeterNote

router = new_router("/events")

FilterText = Annotated[str | None, Query(min_length=1, max_length=1024)]
NO_METER = "kept; no meter reads events of this type yet, and one that is made later counts it too"


class EventAnswerBody(BaseModel):
    """What became of one event: accepted and counted by these meters, a duplicate, or rejected; the reason says why and how to mend it."""

    index: int
    id: str | None
    outcome: Outcome
    meters: list[str] | None = None
    note: str | None = None
    reason: str | None = None
    field: str | None = None


class IngestAnswer(BaseModel):
    """The answer to a request of events, in their order."""

    accepted: int
    duplicate: int
    rejected: int
    events: list[EventAnswerBody]


class MeterNoteBody(BaseModel):
    """What a meter counts of an event, or the reason why it counts nothing."""

    meter: str
    value: float | None
    unit: str
    subject: str | None
    groups: dict[str, str]
    reason: str | None


class LoggedEventBody(BaseModel):
    """An event and its answer. Of one that is kept, `event` is the CloudEvent; of one that is not, `content` is its text, cut."""

    id: UUID
    project_id: str
    received_at: str
    index: int
    outcome: Outcome
    reason: str | None
    field: str | None
    source: str | None
    event_id: str | None
    type: str | None
    time: str | None
    meters: list[MeterNoteBody]
    event: dict[str, Any] | None
    content: str | None


class LoggedEventPage(BaseModel):
    """A page of events, newest first; with filters it may hold few and still be followed by another."""

    items: list[LoggedEventBody]
    next: str | None


REQUEST_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "CloudEvents 1.0. In the binary form the attributes are ce-* headers and the body is the data.",
        "content": {
            STRUCTURED: {"schema": {"type": "object"}},
            BATCHED: {"schema": {"type": "array", "items": {"type": "object"}}},
        },
    }
}


@router.post("", operation_id="ingest_events", response_model=IngestAnswer, openapi_extra=REQUEST_BODY)
def ingest_events(
    request: Request,
    received: EventsBody,
    tx: RequestTransaction,
    caller: WriterCaller,
    project_id: ReadProject = None,
) -> Response:
    """Take in events, each kept and counted once however often it comes; an admin may name the project whose usage they are.

    Answers 200 with an answer for each event of a batch, whatever became of it; 400 only for a body that cannot be read, and
    for an event on its own that is rejected.
    """
    project = chosen_project(tx, caller, project_id=project_id)
    answers = service.ingest_events(tx, caller, received, project_id=project)
    counts = dict.fromkeys(("accepted", "duplicate", "rejected"), 0)
    for answer in answers:
        counts[answer.outcome] += 1
    body: dict[str, Any] = {**counts, "events": [to_answer(answer) for answer in answers]}
    if received.is_single and counts["rejected"]:
        body |= problem_of(answers[0], request_id=str(request.state.request_id))
        return Response(orjson.dumps(body), 400, media_type="application/problem+json")
    return Response(orjson.dumps(body), media_type="application/json")


def to_answer(answer: EventAnswer) -> dict[str, Any]:
    """Write an event's answer, without what does not concern it."""
    written: dict[str, Any] = {"index": answer.place, "id": answer.event_id, "outcome": answer.outcome}
    if answer.outcome == "accepted":
        written["meters"] = answer.meters
        if not answer.meters:
            written["note"] = NO_METER
        return written
    written["reason"] = answer.reason
    if answer.field is not None:
        written["field"] = answer.field
    return written


def problem_of(answer: EventAnswer, *, request_id: str) -> dict[str, Any]:
    """Write the members of a problem document (RFC 9457) for an event on its own."""
    told = {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": answer.reason}
    told |= {"instance": request_id}
    return told if answer.field is None else {**told, "field": answer.field}


@router.get("", operation_id="list_events")
def list_events(
    tx: SnapshotTransaction,
    caller: RequestCaller,
    page: RequestCursorPage,
    project_id: ReadProject = None,
    source: FilterText = None,
    event_id: Annotated[str | None, Query(alias="id", min_length=1, max_length=255)] = None,
    event_type: Annotated[str | None, Query(alias="type", min_length=1, max_length=255)] = None,
    outcome: Annotated[Outcome | None, Query()] = None,
    start: Annotated[AwareDatetime | None, Query(alias="from", description="received at or after")] = None,
    end: Annotated[AwareDatetime | None, Query(alias="to", description="received before")] = None,
) -> LoggedEventPage:
    """List a project's events with their answers, newest first. Repeats and rejected ones are shown for 7 days, 10,000 at most."""
    asked = EventFilter(
        project_id=chosen_project(tx, caller, project_id=project_id),
        source=without_nul(source, "source"),
        event_id=without_nul(event_id, "id"),
        type=without_nul(event_type, "type"),
        outcome=outcome,
        start=None if start is None else within_reason(start, "from"),
        end=None if end is None else within_reason(end, "to"),
    )
    found = service.list_events(tx, asked, after=position_after(page), limit=page.limit)
    following = None
    if found.next is not None:
        following = encode_cursor([found.next.received_at.isoformat(), found.next.place, str(found.next.id)])
    return LoggedEventPage(items=[to_logged(event, notes) for event, notes in found.events], next=following)


@router.get("/{event_id}", operation_id="get_event")
def get_event(tx: SnapshotTransaction, caller: RequestCaller, event_id: UUID) -> LoggedEventBody:
    """Show one event with its answer and what each meter makes of it, by the id that the list gives it."""
    return to_logged(*service.get_event(tx, event_id, project_id=None if is_admin(caller) else caller.project_id))


def without_nul(text: str | None, field: str) -> str | None:
    """Refuse a filter that no text in the database can match."""
    if text is not None and "\0" in text:
        raise Invalid(f"{field} holds a NUL character", field=field)
    return text


def position_after(page: CursorPage) -> LogPosition | None:
    """Return the position after which the page begins."""
    if page.after is None:
        return None
    try:
        received_at, place, event_id = page.after
        position = LogPosition(datetime.fromisoformat(received_at), int(place), UUID(event_id))
    except (ValueError, TypeError, AttributeError) as error:
        raise Invalid("the cursor is not one that this list gave", field="cursor") from error
    if position.received_at.tzinfo is None or not 0 <= position.place < 2**31:
        raise Invalid("the cursor is not one that this list gave", field="cursor")
    return position


def to_logged(event: LoggedEvent, notes: Sequence[MeterNote]) -> LoggedEventBody:
    """Write an event with its answer."""
    return LoggedEventBody(
        id=event.id,
        project_id=event.project_id,
        received_at=to_wire_instant(event.received_at),
        index=event.place,
        outcome=event.outcome,
        reason=event.reason,
        field=event.field,
        source=event.source,
        event_id=event.event_id,
        type=event.type,
        time=None if event.observed_at is None else to_wire_instant(event.observed_at),
        meters=[to_note(note) for note in notes],
        event=to_cloud_event(event) if event.outcome == "accepted" else None,
        content=event.content,
    )


def to_note(note: MeterNote) -> MeterNoteBody:
    """Write what a meter makes of an event."""
    return MeterNoteBody(
        meter=note.meter.name,
        value=None if note.counted is None else note.counted.value,
        unit=note.meter.unit,
        subject=None if note.counted is None else note.counted.subject,
        groups={} if note.counted is None else dict(note.counted.groups),
        reason=note.reason,
    )


def to_cloud_event(event: LoggedEvent) -> dict[str, Any]:
    """Write a kept event as the CloudEvent that came; one that came without a time has that of its receipt."""
    written: dict[str, Any] = {
        "specversion": "1.0",
        "id": event.event_id,
        "source": event.source,
        "type": event.type,
    }
    if event.subject is not None:
        written["subject"] = event.subject
    if event.observed_at is not None:
        written["time"] = to_wire_instant(event.observed_at)
    written |= event.attributes or {}
    if event.data is not None:
        written["data_base64" if event.is_binary else "data"] = event.data
    return written
