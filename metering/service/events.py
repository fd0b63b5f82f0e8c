"""Taking in events: each kept once for ever, counted by the meters of its type, and answered; and the page of what was answered."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import numpy as np
import orjson

from foundation.database import Transaction
from foundation.ids import new_id
from foundation.instruments import counter
from identity.model import Caller
from identity.policy import is_admin
from metering.cloud_events import content_digest_of, identity_of, mark_of
from metering.event_meters import count_event, counted_event, meters_by_type, resource_name_of
from metering.event_model import (
    SUBJECT_TYPE,
    CloudEvent,
    CountedEvent,
    EventAnswer,
    EventFault,
    EventFilter,
    EventMeter,
    EventNotFound,
    LoggedEvent,
    LogPosition,
    ReceivedEvents,
    RejectedEvent,
)
from metering.model import Sample, resource_id_of
from metering.samples import microseconds_of
from metering.service.ingest import ensure_metrics
from metering.store import event_meters as meter_store
from metering.store import events as store
from metering.store import intake
from metering.store.events import KnownEvent, NewEvent, Reception, Refusal
from metering.store.measures import MeasureColumns, WriteCounts, require_few_chunks, write_measures

EVENTS = counter("nephoscope_events_total", "CloudEvents that came, by what was answered.", "outcome")

REFUSALS_OF_REQUEST_MAX = 1_000
REFUSALS_OF_PROJECT_MAX = 10_000
REFUSALS_KEPT = timedelta(days=7)
REFUSALS_DROPPED_AT_ONCE = 10_000
REFUSAL_CONTENT_MAX = 4_096
SUBJECTS_REMEMBERED_MAX = 20_000


@dataclass(slots=True)
class Sorting:
    """A request's events on their way: what is answered already, what is to be kept, and what its meters make of it."""

    answers: dict[int, EventAnswer] = field(default_factory=dict[int, EventAnswer])
    new: dict[bytes, NewEvent] = field(default_factory=dict[bytes, NewEvent])
    counted: dict[bytes, list[CountedEvent]] = field(default_factory=dict[bytes, list[CountedEvent]])
    uncountable: list[tuple[bytes, CloudEvent, EventFault]] = field(
        default_factory=list[tuple[bytes, CloudEvent, EventFault]]
    )


def ingest_events(
    tx: Transaction, caller: Caller, received: ReceivedEvents, *, project_id: str
) -> Sequence[EventAnswer]:
    """Keep a project's events once each and count them, all in this transaction; answer each in the order in which they came.

    One that is kept already is a duplicate however long ago it came. One that is wrong, or that a meter of its type cannot
    count, is rejected alone and not kept, so that it can be mended and sent again under its id.
    """
    reception = Reception(project_id, caller.user_id, is_admin(caller), received.received_at)
    meter_store.share_meters(tx)
    meters = meters_by_type(meter_store.list_meters(tx, project_id))
    sorting = sort_events(received.events, meters=meters, reception=reception)
    counted = [sorting.new[one].event.observed_at for one, counts in sorting.counted.items() if counts]
    require_few_chunks(
        np.array([*map(microseconds_of, counted)], dtype=np.int64), what="events that are counted", field="time"
    )
    known = keep_new(tx, sorting.new, reception=reception)
    answer_kept(sorting, known)
    answer_uncountable(tx, sorting)
    write_counts(
        tx, [(project_id, sorting.new[one].event.observed_at, one, counts) for one, counts in sorting.counted.items()]
    )
    answers = [sorting.answers[event.place] for event in received.events]
    keep_refusals(tx, received.events, answers, reception=reception)
    for outcome, count in Counter(answer.outcome for answer in answers).items():
        EVENTS.add(count, outcome)
    return answers


def sort_events(
    events: Sequence[CloudEvent | RejectedEvent], *, meters: Mapping[str, list[EventMeter]], reception: Reception
) -> Sorting:
    """Tell the events that can be kept and counted from those that are wrong, or come twice in one request."""
    sorting = Sorting()
    for event in events:
        if isinstance(event, RejectedEvent):
            sorting.answers[event.place] = EventAnswer(
                event.place, "rejected", event.event_id, event.reason, event.field
            )
            continue
        identity = identity_of(reception.project_id, event.source, event_id=event.event_id)
        former = sorting.new.get(identity)
        if former is not None:
            digest = content_digest_of(event)
            reason = duplicate_reason(
                f"comes at place {former.event.place} of this batch already", is_same=digest == former.content_digest
            )
            sorting.answers[event.place] = EventAnswer(event.place, "duplicate", event.event_id, reason)
            continue
        try:
            counts = count_event(
                meters.get(event.type, ()),
                source=event.source,
                subject=event.subject,
                data=event.data,
                may_lower=reception.may_lower,
            )
        except EventFault as fault:
            sorting.uncountable.append((identity, event, fault))
            continue
        sorting.new[identity] = NewEvent(identity, event, content_digest_of(event))
        sorting.counted[identity] = counts
    return sorting


def duplicate_reason(known_how: str, *, is_same: bool) -> str:
    """Say what is repeated, and whether a repeat says something else, which is not taken."""
    if is_same:
        return f"an event of this source and id {known_how}"
    return f"an event of this source and id {known_how} and says something else; give every event an id of its own"


def keep_new(tx: Transaction, new: Mapping[bytes, NewEvent], *, reception: Reception) -> dict[bytes, KnownEvent]:
    """Keep the events that are not kept yet; return the others.

    Those that are there are looked up first, which costs a fraction of a COPY that fails half-way; the rest is copied. Where another
    request comes between, the rest is merged, which waits for that one event by event.
    """
    known = store.find_known_events(tx, list(new))
    left = [event for identity, event in new.items() if identity not in known]
    if not left or store.try_keep_events(tx, left, reception=reception):
        return known
    kept = store.merge_events(tx, left, reception=reception)
    return known | store.find_known_events(tx, [event.identity for event in left if event.identity not in kept])


def answer_kept(sorting: Sorting, known: Mapping[bytes, KnownEvent]) -> None:
    """Answer the events that were to be kept; what was known already is counted no more."""
    for identity, new in sorting.new.items():
        event, former = new.event, known.get(identity)
        if former is None:
            names = tuple(count.meter.name for count in sorting.counted[identity])
            sorting.answers[event.place] = EventAnswer(event.place, "accepted", event.event_id, meters=names)
            continue
        del sorting.counted[identity]
        sorting.answers[event.place] = repeat_of(former, event, digest=new.content_digest)


def repeat_of(former: KnownEvent, event: CloudEvent, *, digest: int) -> EventAnswer:
    """Answer an event that was kept before."""
    when = f"was accepted at {former.received_at.isoformat().replace('+00:00', 'Z')}"
    reason = duplicate_reason(when, is_same=digest == former.content_digest)
    return EventAnswer(event.place, "duplicate", event.event_id, reason)


def answer_uncountable(tx: Transaction, sorting: Sorting) -> None:
    """Reject what a meter cannot count, unless it was kept before there was that meter: then it is a duplicate."""
    if not sorting.uncountable:
        return
    known = store.find_known_events(tx, [identity for identity, _, _ in sorting.uncountable])
    for identity, event, fault in sorting.uncountable:
        former = known.get(identity)
        if former is not None:
            sorting.answers[event.place] = repeat_of(former, event, digest=content_digest_of(event))
        else:
            sorting.answers[event.place] = EventAnswer(
                event.place, "rejected", event.event_id, fault.reason, fault.field
            )


def write_counts(
    tx: Transaction, counted: Iterable[tuple[str, datetime, bytes, Sequence[CountedEvent]]]
) -> WriteCounts:
    """Write what meters made of events, given with their project, instant and identity, into the series.

    Each event has a measure of its own, told from others of its instant by its mark; the same event again is no news.
    """
    examples: dict[tuple[UUID, str], Sample] = {}
    rows: list[tuple[tuple[UUID, str], int, int, float]] = []
    for project_id, observed_at, identity, counts in counted:
        observed_us, mark = microseconds_of(observed_at), mark_of(identity)
        for count in counts:
            resource_id, name = subject_resource(project_id, count.subject, groups=count.groups)
            pair = (resource_id, count.meter.name)
            if pair not in examples:
                examples[pair] = example_of(count, project_id, resource=(resource_id, name), observed_at=observed_at)
            rows.append((pair, observed_us, mark, count.value))
    if not rows:
        return WriteCounts(0, 0, 0)
    keys = intake.find_metric_keys(tx, list(examples))
    missing = [example for pair, example in examples.items() if pair not in keys]
    if missing:
        keys |= ensure_metrics(tx, missing)
    return write_measures(
        tx,
        MeasureColumns(
            np.array([keys[row[0]] for row in rows], dtype=np.int64),
            np.array([row[1] for row in rows], dtype=np.int64),
            np.array([row[2] for row in rows], dtype=np.int64),
            np.array([row[3] for row in rows], dtype=np.float64),
            np.zeros(len(rows), dtype=np.bool_),
        ),
    )


@lru_cache(maxsize=SUBJECTS_REMEMBERED_MAX)
def subject_resource(project_id: str, subject: str, *, groups: tuple[tuple[str, str], ...]) -> tuple[UUID, str]:
    """Return the id and the name of the resource that a subject is in a project and group."""
    name = resource_name_of(project_id, subject, groups=groups)
    return resource_id_of(name), name


def example_of(count: CountedEvent, project_id: str, *, resource: tuple[UUID, str], observed_at: datetime) -> Sample:
    """Return a sample that tells of the resource and the metric that a count belongs to."""
    return Sample(
        resource_id=resource[0],
        resource_type=SUBJECT_TYPE,
        original_resource_id=resource[1],
        project_id=project_id,
        user_id=None,
        meter=count.meter.name,
        meter_type="delta" if count.meter.is_additive else "gauge",
        unit=count.meter.unit,
        observed_at=observed_at,
        value=count.value,
        attributes={"subject": count.subject, **dict(count.groups)},
    )


def keep_refusals(
    tx: Transaction,
    events: Sequence[CloudEvent | RejectedEvent],
    answers: Sequence[EventAnswer],
    *,
    reception: Reception,
) -> None:
    """Keep the first refusals of a request for a while, at most so many of a project."""
    refused = [pair for pair in zip(events, answers, strict=True) if pair[1].outcome != "accepted"]
    if not refused:
        return
    store.keep_refusals(
        tx,
        [
            Refusal(
                new_id(),
                reception.project_id,
                event.source,
                event.event_id,
                event.type,
                reception.received_at,
                event.place,
                reception.sent_by,
                answer.outcome,
                answer.reason or "",
                answer.field,
                event.content if isinstance(event, RejectedEvent) else text_of(event),
            )
            for event, answer in refused[:REFUSALS_OF_REQUEST_MAX]
        ],
    )
    store.drop_overflow(tx, reception.project_id, kept=REFUSALS_OF_PROJECT_MAX)


def text_of(event: CloudEvent) -> str:
    """Write an event that was not kept, cut where it is long."""
    written: dict[str, Any] = {"id": event.event_id, "source": event.source, "type": event.type}
    written |= {"subject": event.subject, "time": event.written_time, **event.attributes}
    if event.data_text:
        written["data_base64" if event.is_binary else "data"] = orjson.Fragment(event.data_text)
    shown = {name: value for name, value in written.items() if value is not None}
    return orjson.dumps(shown).decode()[:REFUSAL_CONTENT_MAX]


def drop_expired_refusals(tx: Transaction, *, now: datetime) -> int:
    """Forget refusals that are older than REFUSALS_KEPT; return how many."""
    return store.drop_expired(tx, before=now - REFUSALS_KEPT, limit=REFUSALS_DROPPED_AT_ONCE)


@dataclass(frozen=True, slots=True)
class MeterNote:
    """What one meter makes of an event: a value for a subject and group, or why it counts nothing of it."""

    meter: EventMeter
    counted: CountedEvent | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class EventPage:
    """A page of events with their answers, and where the next one begins."""

    events: Sequence[tuple[LoggedEvent, Sequence[MeterNote]]]
    next: LogPosition | None


def list_events(tx: Transaction, asked: EventFilter, *, after: LogPosition | None, limit: int) -> EventPage:
    """Return a project's events, newest first. A page may hold fewer than `limit` and still be followed by another."""
    rows = store.list_log(tx, asked, after=after, limit=limit + 1)
    shown = rows[:limit]
    if len(rows) > limit:
        following = LogPosition(shown[-1].received_at, shown[-1].place, shown[-1].id)
    else:
        following = store.last_searched(tx, asked, after=after)
    meters = meters_by_type(meter_store.list_meters(tx, asked.project_id))
    return EventPage([(event, notes_on(event, meters)) for event in shown], following)


def get_event(tx: Transaction, event_id: UUID, *, project_id: str | None) -> tuple[LoggedEvent, Sequence[MeterNote]]:
    """Return one event with its answer, of a project or (None, for an admin) of any."""
    found = store.find_logged(tx, event_id, project_id=project_id)
    if found is None:
        raise EventNotFound(event_id)
    return found, notes_on(found, meters_by_type(meter_store.list_meters(tx, found.project_id)))


def notes_on(event: LoggedEvent, meters: Mapping[str, list[EventMeter]]) -> Sequence[MeterNote]:
    """Say what each meter of its type makes of an accepted event."""
    if event.outcome != "accepted" or event.source is None or event.type is None:
        return ()
    notes: list[MeterNote] = []
    for meter in meters.get(event.type, ()):
        try:
            count = counted_event(
                meter, source=event.source, subject=event.subject, data=event.data, may_lower=event.may_lower
            )
            notes.append(MeterNote(meter, count, None))
        except EventFault as fault:
            notes.append(MeterNote(meter, None, fault.reason))
    return notes
