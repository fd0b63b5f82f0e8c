"""How long a resource was there and how large: segments of the resources that are no instances, from what is told about them. Pure.

A resource's size is measured by a meter (a volume's by `volume.size` in GiB). Its time is that meter's name with `.time` in
unit-seconds, so that a price of the kind `counter` can charge it: `volume.size.time` in `GiB*s`, or `volume.size.time@ssd` for
those of one grade alone.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Context, Decimal, Inexact
from itertools import groupby
from uuid import UUID

from foundation.interval import TimeInterval

TIME_SUFFIX = ".time"
GRADE_MARK = "@"
SIZE_DECIMALS = 6
"""So many decimal places of a size are kept; with the six of a second that makes the twelve of a quantity on the bill."""
EXACT = Context(prec=60, traps=[Inexact])
MICROSECOND_EXPONENT = -6
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class ResourceEvent:
    """A fact about a resource: it is there in this size, or it is gone. (event_id) is its identity; size is in the meter's unit."""

    event_id: UUID
    resource_id: UUID
    resource_type: str
    original_resource_id: str
    project_id: str
    user_id: str | None
    kind: str
    meter: str
    unit: str
    is_end: bool
    size: Decimal
    grade: str
    name: str
    observed_at: datetime
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    written_xid: int = 0

    def __post_init__(self) -> None:
        if self.observed_at.tzinfo is None:
            raise ValueError("a fact needs an aware instant")
        if not self.size.is_finite() or self.size < 0 or (self.is_end and self.size):
            raise ValueError("a resource's size is not negative, and what is gone has none")


@dataclass(frozen=True, slots=True)
class ExistenceSegment:
    """A stretch of a resource's life in one size, one grade and one project; ended_at is None where it is not over yet."""

    resource_id: UUID
    original_resource_id: str
    resource_type: str
    project_id: str
    meter: str
    unit: str
    size: Decimal
    grade: str
    name: str
    started_at: datetime
    ended_at: datetime | None
    opened_by: UUID
    closed_by: UUID | None
    written_xid: int = 0


@dataclass(frozen=True, slots=True)
class TimeMeter:
    """What a meter's name asks for: the time of sizes measured by `meter`, of one grade or (None) of all."""

    meter: str
    grade: str | None


def time_meter_of(name: str) -> TimeMeter | None:
    """Read `volume.size.time` and `volume.size.time@ssd`; None for a name that asks for no time."""
    stem, mark, grade = name.partition(GRADE_MARK)
    if not stem.endswith(TIME_SUFFIX) or stem == TIME_SUFFIX:
        return None
    return TimeMeter(stem.removesuffix(TIME_SUFFIX), grade if mark else None)


def existence_of(events: Iterable[ResourceEvent], interval: TimeInterval) -> Sequence[ExistenceSegment]:
    """Return the segments that meet the interval, clipped to it, by resource, meter and time.

    Events are ordered by (observed_at, event_id), so the order of arrival does not matter. An event that changes neither size
    nor grade nor project ends no segment; an end is final.
    """
    ordered = sorted(events, key=lambda e: (e.resource_id, e.meter, e.observed_at, e.event_id))
    segments: list[ExistenceSegment] = []
    for _, group in groupby(ordered, key=lambda e: (e.resource_id, e.meter)):
        segments.extend(clipped(life_of(group), interval))
    return segments


def life_of(events: Iterable[ResourceEvent]) -> list[ExistenceSegment]:
    """Return one resource's whole segments from its events in order; the last is open unless the resource is gone."""
    life: list[ExistenceSegment] = []
    current: ExistenceSegment | None = None
    for event in events:
        following = None if event.is_end else opened_by(event)
        if current is not None and following is not None and charge_key(current) == charge_key(following):
            continue
        if current is not None:
            life.append(replace(current, ended_at=event.observed_at, closed_by=event.event_id))
        current = following
        if event.is_end:
            break
    return [*life, current] if current is not None else life


def opened_by(event: ResourceEvent) -> ExistenceSegment:
    """Return the open segment that begins with an event."""
    return ExistenceSegment(
        resource_id=event.resource_id,
        original_resource_id=event.original_resource_id,
        resource_type=event.resource_type,
        project_id=event.project_id,
        meter=event.meter,
        unit=event.unit,
        size=event.size,
        grade=event.grade,
        name=event.name,
        started_at=event.observed_at,
        ended_at=None,
        opened_by=event.event_id,
        closed_by=None,
        written_xid=event.written_xid,
    )


def charge_key(segment: ExistenceSegment) -> tuple[object, ...]:
    """Return everything that a price may depend on."""
    return (segment.project_id, segment.size, segment.grade, segment.unit)


def clipped(life: Iterable[ExistenceSegment], interval: TimeInterval) -> Iterator[ExistenceSegment]:
    """Cut segments to an interval; one that goes on past its end is cut there and closed by no event."""
    for segment in life:
        start = max(segment.started_at, interval.start)
        is_over = segment.ended_at is not None and segment.ended_at <= interval.end
        end = segment.ended_at if segment.ended_at is not None and is_over else interval.end
        if start < end:
            yield replace(segment, started_at=start, ended_at=end, closed_by=segment.closed_by if is_over else None)


def unit_seconds(segment: ExistenceSegment) -> Decimal:
    """Return the size times the seconds of a segment that was clipped, exact."""
    assert segment.ended_at is not None, "an open segment has no length yet: clip it first"
    microseconds = (segment.ended_at - segment.started_at) // timedelta(microseconds=1)
    return EXACT.scaleb(EXACT.multiply(segment.size, Decimal(microseconds)), MICROSECOND_EXPONENT)


def total_unit_seconds(segments: Iterable[ExistenceSegment]) -> Decimal:
    """Return the sum over clipped segments, exact."""
    total = Decimal(0)
    for segment in segments:
        total = EXACT.add(total, unit_seconds(segment))
    return total


def by_hours(segments: Iterable[ExistenceSegment]) -> Iterator[ExistenceSegment]:
    """Cut clipped segments at the full hours, so that the evidence of a line can be read hour by hour."""
    for segment in segments:
        assert segment.ended_at is not None, "an open segment has no end yet: clip it first"
        start = segment.started_at
        while start < segment.ended_at:
            full_hour = start.replace(minute=0, second=0, microsecond=0) + HOUR
            end = min(full_hour, segment.ended_at)
            yield replace(segment, started_at=start, ended_at=end)
            start = end
