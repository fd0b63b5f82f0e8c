"""Resources other than instances: what is told about them, how long they were there, and what that comes to for the bill."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby, islice
from uuid import UUID

from foundation.database import Transaction
from foundation.errors import Invalid
from foundation.interval import TimeInterval
from metering.existence import (
    ExistenceSegment,
    ResourceEvent,
    TimeMeter,
    by_hours,
    existence_of,
    total_unit_seconds,
    unit_seconds,
)
from metering.model import ResourceUsage, SampleIncrease, Snapshot
from metering.samples import fault_of_time
from metering.store import existence, intake
from metering.store.resources import begin_earlier


def record_resource_event(tx: Transaction, event: ResourceEvent, *, received_at: datetime) -> None:
    """Keep a fact about a resource once; its segments are derived from all of them when they are read.

    The resource follows the latest fact, whatever the order of arrival. Raises Invalid for an absurd time or an unknown type.
    """
    fault = fault_of_time(event.observed_at, received_at=received_at)
    if fault:
        raise Invalid(fault, field="observed_at")
    if event.resource_type not in intake.list_resource_type_names(tx):
        raise Invalid(f"the resource type {event.resource_type} does not exist", field="resource_type")
    if not existence.insert_event(tx, event):
        return
    existence.hold_resource(tx, event)
    if existence.is_latest(tx, event):
        existence.follow_event(tx, event)
    else:
        begin_earlier(tx, event.resource_id, event.observed_at)


def find_resource_projects(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, str]:
    """Return whose the resources are, of those that are metered."""
    return existence.find_projects(tx, ids) if ids else {}


def existence_segments(
    tx: Transaction,
    *,
    project_id: str,
    meter: str,
    interval: TimeInterval,
    as_of: Snapshot | None = None,
    resource_id: UUID | None = None,
) -> Sequence[ExistenceSegment]:
    """Return when a project's resources were there, by the meter of their size, clipped to the interval."""
    events = existence.list_events(
        tx,
        project_id=project_id,
        meter=meter,
        resource_id=resource_id,
        start=interval.start,
        end=interval.end,
        as_of=as_of,
    )
    return [segment for segment in existence_of(events, interval) if segment.project_id == project_id]


def existence_usage(
    tx: Transaction, asked: TimeMeter, *, name: str, project_id: str, interval: TimeInterval, as_of: Snapshot | None
) -> list[ResourceUsage]:
    """Return each resource's size times its seconds, as usage of the time meter called `name`."""
    segments = existence_segments(tx, project_id=project_id, meter=asked.meter, interval=interval, as_of=as_of)
    wanted = [segment for segment in segments if asked.grade in (None, segment.grade)]
    by_unit = sorted(wanted, key=resource_and_unit)
    return [usage_of(list(group), name=name) for _, group in groupby(by_unit, key=resource_and_unit)]


def resource_and_unit(segment: ExistenceSegment) -> tuple[UUID, str]:
    """Return what is one usage: the sizes of a resource that were told in one unit."""
    return (segment.resource_id, segment.unit)


def time_unit(unit: str) -> str:
    """Return the unit of a size's time."""
    return f"{unit}*s"


def usage_of(segments: Sequence[ExistenceSegment], *, name: str) -> ResourceUsage:
    """Sum a resource's clipped segments, which are in order of time."""
    first, last = segments[0], segments[-1]
    assert last.ended_at is not None
    return ResourceUsage(
        resource_id=first.resource_id,
        original_resource_id=first.original_resource_id,
        instance_id=None,
        meter=name,
        unit=time_unit(first.unit),
        quantity=total_unit_seconds(segments),
        sample_count=len(segments),
        first_observed_at=first.started_at,
        last_observed_at=last.ended_at,
        name=last.name,
    )


def existence_increases(
    tx: Transaction,
    asked: TimeMeter,
    *,
    project_id: str,
    resource_id: UUID,
    interval: TimeInterval,
    as_of: Snapshot | None,
    limit: int,
    skipped: int = 0,
    unit: str | None = None,
) -> list[SampleIncrease]:
    """Return the same hour by hour, as increases that begin at the hour or where the segment does; a part of the list.

    Where a unit is named, only what was told in it.
    """
    segments = existence_segments(
        tx, project_id=project_id, meter=asked.meter, interval=interval, as_of=as_of, resource_id=resource_id
    )
    wanted = (
        segment
        for segment in segments
        if asked.grade in (None, segment.grade) and unit in (None, time_unit(segment.unit))
    )
    return [
        SampleIncrease(
            observed_at=piece.started_at,
            boot_epoch=0,
            value=float(piece.size),
            increase=unit_seconds(piece),
            previous_observed_at=None,
            written_xid=piece.written_xid,
        )
        for piece in islice(by_hours(wanted), skipped, skipped + limit)
    ]
