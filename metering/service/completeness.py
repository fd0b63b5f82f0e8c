"""Completeness: received against expected readings, by resource and hour with gaps, or by resource over a whole period."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from foundation.database import Transaction
from foundation.errors import Invalid
from foundation.interval import TimeInterval
from metering.completeness import (
    METERS,
    Cadence,
    Completeness,
    Expectation,
    MissedSlot,
    Poll,
    RunningStretch,
    expect,
    gaps_of,
    hours_of,
    running_stretches,
    without_source_before,
)
from metering.errors import ResourceNotFound
from metering.store import completeness as store
from metering.store import lifecycle
from metering.store.completeness import ExpectedSlots, PolledResource
from metering.store.retention import read_state

PERIOD_DAYS_MAX = 32
"""A month, wherever its days begin."""
RESOURCES_A_LOOK = 200
MISSED_A_PAGE_MAX = 50_000
"""A page ends early where it would have to name more missed readings than this."""


@dataclass(frozen=True, slots=True)
class CompletenessQuery:
    """What is asked: the resources of a project, or one of them, by the meter that stands for each type unless one is named."""

    project_id: str
    interval: TimeInterval
    resource_id: UUID | None = None
    meter: str | None = None


def record_poll(tx: Transaction, poll: Poll) -> None:
    """Keep that a host was read, in the transaction that keeps what was read."""
    store.insert_poll(tx, poll)


def hourly_completeness(
    tx: Transaction, query: CompletenessQuery, *, now: datetime, after: tuple[UUID, datetime] | None, limit: int
) -> tuple[Sequence[Completeness], bool]:
    """Return at most `limit` hours by resource and time after a known one, and whether there are more.

    Every hour in which the instance existed is answered, also one in which nothing is expected, since it was stopped, in error or
    on a host that was down. Raises ResourceNotFound, and Invalid for a period that is too long.
    """
    view = open_view(tx, query, now=now)
    asked: list[tuple[PolledResource, TimeInterval, Expectation]] = []
    for resource in view.resources(tx, from_id=after[0] if after else None):
        for hour in view.hours(resource):
            if after is None or (resource.id, hour.start) > after:
                asked.append((resource, hour, view.expectation(resource, hour)))
        if len(asked) > limit:
            break
    page = asked[:limit]
    answered = answer(tx, page, with_gaps=True)
    return answered, len(answered) < len(asked)


def period_completeness(
    tx: Transaction, query: CompletenessQuery, *, now: datetime, after: UUID | None, limit: int
) -> tuple[Sequence[Completeness], bool]:
    """Return at most `limit` resources' completeness over the whole period, by id, without gaps, and whether there are more."""
    view = open_view(tx, query, now=now)
    asked: list[tuple[PolledResource, TimeInterval, Expectation]] = []
    for resource in view.resources(tx, from_id=after):
        if resource.id != after:
            asked.append((resource, query.interval, view.expectation(resource, query.interval)))
        if len(asked) > limit:
            break
    return answer(tx, asked[:limit], with_gaps=False), len(asked) > limit


@dataclass(frozen=True, slots=True)
class View:
    """What decides the expectations of a query: when instances existed and ran, and how often their hosts were read."""

    query: CompletenessQuery
    now: datetime
    stretches: Mapping[UUID, list[RunningStretch]]
    existed: Mapping[UUID, TimeInterval]
    cadences: Mapping[str, Sequence[Cadence]]

    def resources(self, tx: Transaction, *, from_id: UUID | None) -> Iterator[PolledResource]:
        """Yield the resources by id, from one on, a bounded number at a look."""
        meters = [(kind, self.query.meter or meter) for kind, meter in METERS.items()]
        is_first = True
        while True:
            page = store.list_polled_resources(
                tx,
                project_id=self.query.project_id,
                instance_ids=list(self.existed),
                meters=meters,
                is_named=self.query.meter is not None,
                resource_id=self.query.resource_id,
                from_id=from_id,
                limit=RESOURCES_A_LOOK,
            )
            yield from page if is_first else page[1:]
            if len(page) < RESOURCES_A_LOOK:
                return
            from_id, is_first = page[-1].id, False

    def hours(self, resource: PolledResource) -> Iterator[TimeInterval]:
        """Yield the hours in which the resource's instance existed, up to now."""
        existed = self.existed[resource.instance_id]
        for hour in hours_of(self.query.interval):
            if hour.start < self.now and hour.intersection(existed) is not None:
                yield hour

    def expectation(self, resource: PolledResource, within: TimeInterval) -> Expectation:
        """Return the readings expected of a resource: its instance's."""
        return expect(self.stretches[resource.instance_id], self.cadences, within=within, now=self.now)


def open_view(tx: Transaction, query: CompletenessQuery, *, now: datetime) -> View:
    """Read what decides the expectations."""
    interval = query.interval
    if interval.duration > timedelta(days=PERIOD_DAYS_MAX):
        raise Invalid(f"ask for at most {PERIOD_DAYS_MAX} days at a time", field="end")
    if query.resource_id is not None and not store.is_resource_of(tx, query.resource_id, project_id=query.project_id):
        raise ResourceNotFound(query.resource_id)
    events = lifecycle.list_events(tx, project_id=query.project_id, start=interval.start, end=interval.end, as_of=None)
    readings_since = read_state(tx).archived_until
    stretches = {
        instance_id: without_source_before(own, readings_since)
        for instance_id, own in running_stretches(events, interval).items()
    }
    existed: dict[UUID, TimeInterval] = {}
    for event in events:
        start = max(event.observed_at, interval.start)
        former = existed.get(event.instance_id)
        if event.state == "deleted":
            if former is not None and former.start < start:
                existed[event.instance_id] = TimeInterval(former.start, start)
        elif former is None:
            existed[event.instance_id] = TimeInterval(start, interval.end)
    sources = {stretch.source for own in stretches.values() for stretch in own if stretch.source is not None}
    cadences = store.list_cadences(tx, sorted(sources), start=interval.start, end=interval.end)
    return View(query, now, stretches, existed, cadences)


def answer(
    tx: Transaction, asked: Sequence[tuple[PolledResource, TimeInterval, Expectation]], *, with_gaps: bool
) -> Sequence[Completeness]:
    """Count the readings of what is asked; with gaps, as many of the first as have not too many missed readings together."""
    pieces = [
        ExpectedSlots(place, resource, slots)
        for place, (resource, _, expectation) in enumerate(asked)
        for slots in expectation.slots
    ]
    numbered = [ExpectedSlots(number, piece.resource, piece.slots) for number, piece in enumerate(pieces)]
    counts = store.count_read_slots(tx, numbered)
    received = [0] * len(asked)
    for number, piece in enumerate(pieces):
        received[piece.number] += counts.get(number, 0)
    missing = [expectation.count - received[place] for place, (_, _, expectation) in enumerate(asked)]
    shown = first_within(missing, MISSED_A_PAGE_MAX) if with_gaps else len(asked)
    missed: Mapping[int, list[MissedSlot]] = {}
    if with_gaps:
        missed = store.list_missed_slots(
            tx, [piece for piece in pieces if piece.number < shown and missing[piece.number]]
        )
    return [
        Completeness(
            resource_id=resource.id,
            resource_type=resource.resource_type,
            meter=resource.meter,
            interval=interval,
            expected=expectation.count,
            received=received[place],
            unknown=expectation.unknown,
            gaps=gaps_of(missed.get(place, ())),
        )
        for place, (resource, interval, expectation) in enumerate(asked[:shown])
    ]


def first_within(sizes: Sequence[int], size_max: int) -> int:
    """Return how many of the first together have at most that size, and at least one where there is any."""
    total = 0
    for place, size in enumerate(sizes):
        total += size
        if total > size_max and place:
            return place
    return len(sizes)
