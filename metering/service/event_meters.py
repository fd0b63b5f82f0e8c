"""Meters of events: making them, which counts what came before too, and asking what they counted."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from foundation.database import Transaction
from foundation.errors import Forbidden
from foundation.ids import new_id
from foundation.interval import TimeInterval
from identity.model import Caller
from identity.policy import is_admin
from metering.event_meters import checked_definition, counted_event
from metering.event_model import (
    METERS_MAX,
    CountedEvent,
    EventFault,
    EventMeter,
    LogPosition,
    MeterDefinition,
    MeterExists,
    MeterNotFound,
    SubjectUsage,
    TooManyMeters,
)
from metering.service.events import write_counts
from metering.store import event_meters as store
from metering.store.events import list_past_events

PAST_AT_ONCE = 20_000
"""Past events that one step of the worker looks through."""
PAST_AT_BIRTH = 2_000
"""Past events that are looked through while a meter is made, and events wait."""
CLOCK_SKEW = timedelta(minutes=10)


def create_meter(
    tx: Transaction, caller: Caller, definition: MeterDefinition, *, description: str, now: datetime
) -> tuple[EventMeter, bool]:
    """Make a meter, and begin to count what came before it; return it and whether it is new.

    The same definition again is the meter that is there, one that was deleted goes on with all that came meanwhile. A name
    that ever counted otherwise stays taken, since usage rests on it: MeterExists. Only an admin makes one for every project.
    """
    definition = checked_definition(definition)
    if definition.project_id is None and not is_admin(caller):
        raise Forbidden("only an admin makes a meter for every project")
    store.hold_meters(tx)
    named = store.find_meters_named(tx, definition.name, project_id=definition.project_id)
    for former in named:
        check_same(former, definition)
        if former.deleted_at is None:
            return former, False
        store.revive_meter(tx, former.id, past_until=now + CLOCK_SKEW)
        count_past_events(tx, meter_id=former.id, limit=PAST_AT_BIRTH)
        return get_meter(tx, definition.name, project_id=definition.project_id), True
    if store.count_meters(tx, definition.project_id) >= METERS_MAX:
        raise TooManyMeters
    meter = new_meter(definition, description=description, created_by=caller.user_id, now=now)
    store.insert_meter(tx, meter)
    count_past_events(tx, meter_id=meter.id, limit=PAST_AT_BIRTH)
    return get_meter(tx, definition.name, project_id=definition.project_id), True


def check_same(former: EventMeter, definition: MeterDefinition) -> None:
    """Raise MeterExists unless a meter of the name counts just what is asked."""
    if former.project_id != definition.project_id:
        whose = "a meter of every project" if former.project_id is None else f"a meter of project {former.project_id}"
        raise MeterExists(f"{definition.name} is the name of {whose}; choose another")
    if former.definition != definition:
        state = "is" if former.deleted_at is None else "was"
        raise MeterExists(
            f"{definition.name} {state} a meter that counts otherwise, and usage rests on it; choose another name"
        )


def new_meter(definition: MeterDefinition, *, description: str, created_by: str, now: datetime) -> EventMeter:
    """Return a meter that has the whole past to count."""
    return EventMeter(
        id=new_id(),
        project_id=definition.project_id,
        name=definition.name,
        event_type=definition.event_type,
        aggregation=definition.aggregation,
        value_path=definition.value_path,
        unit=definition.unit,
        group_by=dict(definition.group_by),
        description=description,
        created_at=now,
        created_by=created_by,
        deleted_at=None,
        past_until=now + CLOCK_SKEW,
        past_received_at=None,
        past_place=None,
        past_id=None,
        past_counted=0,
        past_skipped=0,
    )


def list_meters(tx: Transaction, project_id: str, *, after: UUID | None, limit: int) -> Sequence[EventMeter]:
    """Return the meters that count a project's events, those of every project among them, oldest first."""
    return store.list_meters(tx, project_id, after=after, limit=limit)


def get_meter(tx: Transaction, name: str, *, project_id: str | None) -> EventMeter:
    """Return a meter that counts a project's events, or (None) those of every project."""
    if "\0" in name:
        raise MeterNotFound("of such a name")
    for meter in store.find_meters_named(tx, name, project_id=project_id):
        if meter.deleted_at is None and meter.project_id in (None, project_id):
            return meter
    raise MeterNotFound(name)


def describe_meter(tx: Transaction, caller: Caller, name: str, *, project_id: str, description: str) -> EventMeter:
    """Change what is said of a meter; what it counts never changes."""
    meter = changeable(tx, caller, name, project_id=project_id)
    store.describe_meter(tx, meter.id, description=description)
    return replace(meter, description=description)


def delete_meter(tx: Transaction, caller: Caller, name: str, *, project_id: str, now: datetime) -> None:
    """Let a meter count no more; what it counted stays, and so does its name."""
    store.mark_meter_deleted(tx, changeable(tx, caller, name, project_id=project_id).id, now=now)


def changeable(tx: Transaction, caller: Caller, name: str, *, project_id: str) -> EventMeter:
    """Return a meter that the caller may change: those of every project are an admin's."""
    meter = get_meter(tx, name, project_id=project_id)
    if meter.project_id is None and not is_admin(caller):
        raise Forbidden(f"{name} is a meter of every project, which only an admin may change")
    return meter


def has_past_events_due(tx: Transaction) -> bool:
    """Tell whether a meter has past events left to count."""
    return store.has_past_due(tx)


def count_past_events(tx: Transaction, *, meter_id: UUID | None = None, limit: int = PAST_AT_ONCE) -> int:
    """Count the next past events of a meter that has some left; return how many meters that were: one, or none.

    An event that the meter counts already, since it came in meanwhile, is no news; so this needs no lock against them.
    """
    meter = store.claim_past_due(tx, meter_id)
    if meter is None:
        return 0
    assert meter.past_until is not None
    events = list_past_events(
        tx,
        project_id=meter.project_id,
        event_type=meter.event_type,
        until=meter.past_until,
        after=past_position(meter),
        limit=limit,
    )
    counted: list[tuple[str, datetime, bytes, Sequence[CountedEvent]]] = []
    skipped = 0
    for event in events:
        if event.type != meter.event_type:
            continue
        try:
            count = counted_event(
                meter, source=event.source, subject=event.subject, data=event.data, may_lower=event.may_lower
            )
            counted.append((event.project_id, event.observed_at, event.id.bytes, [count]))
        except EventFault:
            skipped += 1
    write_counts(tx, counted)
    last = events[-1] if events else None
    position = None if last is None else LogPosition(last.received_at, last.place, last.id)
    is_done = len(events) < limit
    store.advance_past(tx, meter.id, counted=len(counted), skipped=skipped, position=position, is_done=is_done)
    return 1


def past_position(meter: EventMeter) -> LogPosition | None:
    """Return how far a meter has counted the past."""
    if meter.past_received_at is None or meter.past_place is None or meter.past_id is None:
        return None
    return LogPosition(meter.past_received_at, meter.past_place, meter.past_id)


def meter_usage(
    tx: Transaction,
    meter: EventMeter,
    *,
    project_id: str,
    interval: TimeInterval,
    subject: str | None,
    after: UUID | None,
    limit: int,
) -> Sequence[SubjectUsage]:
    """Return what a meter counted for each subject and group of a project in an interval, exact."""
    return store.sum_counted(
        tx,
        meter,
        project_id=project_id,
        subject=subject,
        start=interval.start,
        end=interval.end,
        after=after,
        limit=limit,
    )
