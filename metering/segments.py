"""State segments from lifecycle events: the stretches of an instance's life that are billed by time. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from foundation.interval import TimeInterval
from metering.model import LifecycleEvent, StateSegment


def segments_of(events: Iterable[LifecycleEvent], interval: TimeInterval) -> Sequence[StateSegment]:
    """Return the segments that meet the interval, clipped to it, by instance and time.

    Events are ordered by (observed_at, event_id), so the order of arrival does not matter. An event that changes nothing
    on the bill (a reboot, a new name) ends no segment; deletion is final. A segment that goes on has no end where the
    interval has not ended it; here the interval's end closes it with closed_by None.
    """
    ordered = sorted(events, key=lambda event: (event.instance_id, event.observed_at, event.event_id))
    segments: list[StateSegment] = []
    for _, group in groupby(ordered, key=lambda event: event.instance_id):
        segments.extend(clipped(life_of(group), interval))
    return segments


def life_of(events: Iterable[LifecycleEvent]) -> list[StateSegment]:
    """Return one instance's whole segments from its events in order; the last is open unless the instance was deleted."""
    life: list[StateSegment] = []
    current: StateSegment | None = None
    for event in events:
        following = opened_by(event)
        if current is not None and following is not None and is_same_charge(current, following):
            continue
        if current is not None:
            life.append(replace(current, ended_at=event.observed_at, closed_by=event.event_id))
        current = following
        if following is None:
            break
    return [*life, current] if current is not None else life


def opened_by(event: LifecycleEvent) -> StateSegment | None:
    """Return the open segment that begins with an event, or None where the instance ends."""
    if event.state == "deleted":
        return None
    return StateSegment(
        resource_id=event.instance_id,
        project_id=event.project_id,
        started_at=event.observed_at,
        ended_at=None,
        state=event.state,
        flavor_id=event.flavor_id,
        flavor_name=event.flavor_name,
        vcpus=event.vcpus,
        ram_mib=event.ram_mib,
        disk_gib=event.disk_gib,
        name=event.name,
        opened_by=event.event_id,
        closed_by=None,
    )


def is_same_charge(one: StateSegment, other: StateSegment) -> bool:
    """Tell whether two segments would be charged alike."""
    return charge_key(one) == charge_key(other)


def charge_key(segment: StateSegment) -> tuple[object, ...]:
    """Return everything that a price may depend on."""
    return (
        segment.project_id,
        segment.state,
        segment.flavor_id,
        segment.flavor_name,
        segment.vcpus,
        segment.ram_mib,
        segment.disk_gib,
    )


def clipped(life: Iterable[StateSegment], interval: TimeInterval) -> Iterable[StateSegment]:
    """Cut segments to an interval; one that goes on past its end is cut there and closed by no event."""
    for segment in life:
        ended_at = segment.ended_at
        start = max(segment.started_at, interval.start)
        end = interval.end if ended_at is None else min(ended_at, interval.end)
        if start < end:
            closed_by = segment.closed_by if ended_at is not None and ended_at <= interval.end else None
            yield replace(segment, started_at=start, ended_at=end, closed_by=closed_by)
