"""How complete the readings of a resource are: the polls that were due while it ran, against those that read it. Pure.

Hosts are read at multiples of their poll interval since 1970. A *slot* is the time from one such instant to the next. A reading is
expected in each slot in which the instance ran from its beginning to its end, on a host whose poll interval is known.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby, pairwise
from uuid import UUID

from foundation.interval import TimeInterval
from metering.model import LifecycleEvent
from metering.samples import instant_of, microseconds_of

HOUR_US = 3_600_000_000
METERS: Mapping[str, str] = {
    "instance": "cpu",
    "instance_disk": "disk.device.read.bytes",
    "instance_network_interface": "network.outgoing.bytes",
}
"""By type of resource, the meter that every poll of it reads: it stands for all that the poll reads of the resource."""


@dataclass(frozen=True, slots=True)
class Poll:
    """One look at a host: how many samples it made, and how many of them were known already; `is_spooled` tells that they waited on disk."""

    source: str
    observed_at: datetime
    interval_us: int
    samples: int
    repeated: int
    is_spooled: bool = False


@dataclass(frozen=True, slots=True)
class Cadence:
    """How often a host is read from an instant on."""

    since: datetime
    interval_us: int


@dataclass(frozen=True, slots=True)
class RunningStretch:
    """A stretch in which an instance ran, and the host that it ran on as far as it is known."""

    interval: TimeInterval
    source: str | None


@dataclass(frozen=True, slots=True)
class Slots:
    """Slots that follow each other, in each of which one reading is expected."""

    first_us: int
    interval_us: int
    count: int
    source: str

    @property
    def interval(self) -> TimeInterval:
        """The time from the first slot's beginning to the last one's end."""
        return TimeInterval(instant_of(self.first_us), instant_of(self.first_us + self.count * self.interval_us))


@dataclass(frozen=True, slots=True)
class Expectation:
    """The readings that are expected of a resource in an interval, and how long it ran without a known poll interval."""

    slots: tuple[Slots, ...]
    unknown: timedelta

    @property
    def count(self) -> int:
        """How many readings are expected."""
        return sum(slots.count for slots in self.slots)


class GapReason(StrEnum):
    """Why a reading may be missing."""

    HOST_SILENT = "host_silent"
    """Nothing came from the host at that time: its agent, the host or the way to the database was down."""
    RESOURCE_ABSENT = "resource_absent"
    """The host was read, but not this resource."""


@dataclass(frozen=True, slots=True)
class MissedSlot:
    """A slot without the reading that was expected in it."""

    start_us: int
    interval_us: int
    reason: GapReason


@dataclass(frozen=True, slots=True)
class Gap:
    """Missed slots that follow each other for one reason."""

    interval: TimeInterval
    reason: GapReason


@dataclass(frozen=True, slots=True)
class Completeness:
    """How complete one meter of a resource is in an interval; received + missing is expected."""

    resource_id: UUID
    resource_type: str
    meter: str
    interval: TimeInterval
    expected: int
    received: int
    unknown: timedelta
    gaps: tuple[Gap, ...]

    @property
    def missing(self) -> int:
        """How many expected readings are not there."""
        return self.expected - self.received


def running_stretches(events: Iterable[LifecycleEvent], interval: TimeInterval) -> Mapping[UUID, list[RunningStretch]]:
    """Return when each instance that existed in the interval ran, clipped to it; one that was there and never ran has none."""
    ordered = sorted(events, key=lambda event: (event.instance_id, event.observed_at, event.event_id))
    found: dict[UUID, list[RunningStretch]] = {}
    for instance_id, group in groupby(ordered, key=lambda event: event.instance_id):
        own = list(group)
        found[instance_id] = []
        for event, following in [*pairwise(own), (own[-1], None)]:
            if event.state == "deleted":
                break
            end = interval.end if following is None else min(following.observed_at, interval.end)
            start = max(event.observed_at, interval.start)
            if event.state == "active" and start < end:
                found[instance_id].append(RunningStretch(TimeInterval(start, end), event.host))
    return {instance_id: joined(stretches) for instance_id, stretches in found.items()}


def joined(stretches: Iterable[RunningStretch]) -> list[RunningStretch]:
    """Join stretches that follow each other on one host, so that an event that stops nothing (a new name) cuts no slot."""
    whole: list[RunningStretch] = []
    for stretch in stretches:
        last = whole[-1] if whole else None
        if last is not None and (last.interval.end, last.source) == (stretch.interval.start, stretch.source):
            whole[-1] = RunningStretch(TimeInterval(last.interval.start, stretch.interval.end), stretch.source)
        else:
            whole.append(stretch)
    return whole


def without_source_before(stretches: Iterable[RunningStretch], instant: datetime) -> list[RunningStretch]:
    """Cut stretches at an instant and forget the host of what lies before: readings of then are gone, so nothing can be expected."""
    cut: list[RunningStretch] = []
    for stretch in stretches:
        start, end = stretch.interval.start, stretch.interval.end
        if start < instant:
            cut.append(RunningStretch(TimeInterval(start, min(end, instant)), None))
        if end > instant:
            cut.append(RunningStretch(TimeInterval(max(start, instant), end), stretch.source))
    return cut


def expect(
    stretches: Iterable[RunningStretch],
    cadences: Mapping[str, Sequence[Cadence]],
    *,
    within: TimeInterval,
    now: datetime,
) -> Expectation:
    """Return the readings expected in the slots that begin in an interval and are over by now.

    The expectations of the parts of an interval add up to that of the whole.
    """
    slots: list[Slots] = []
    unknown = timedelta(0)
    begins_before = microseconds_of(within.end)
    for stretch in stretches:
        if now <= stretch.interval.start:
            continue
        ran = TimeInterval(stretch.interval.start, min(stretch.interval.end, now))
        known = cadences.get(stretch.source or "", ())
        for part, cadence in by_cadence(ran, known):
            if cadence is None:
                shared = part.intersection(within)
                unknown += shared.duration if shared is not None else timedelta(0)
                continue
            every_us = cadence.interval_us
            first_us = -(-microseconds_of(max(part.start, within.start)) // every_us) * every_us
            whole = (microseconds_of(part.end) - first_us) // every_us
            beginning = -(-(begins_before - first_us) // every_us)
            if min(whole, beginning) > 0:
                slots.append(Slots(first_us, every_us, min(whole, beginning), stretch.source or ""))
    return Expectation(tuple(slots), unknown)


def by_cadence(interval: TimeInterval, cadences: Sequence[Cadence]) -> Iterator[tuple[TimeInterval, Cadence | None]]:
    """Cut an interval where the poll interval changes; before it is known there is none."""
    starts: list[datetime] = []
    for each in cadences:
        since = instant_of(slot_start_us(microseconds_of(each.since), each.interval_us))
        starts.append(max(since, starts[-1]) if starts else since)
    place = bisect_right(starts, interval.start)
    start = interval.start
    for following in [*starts[place:], interval.end]:
        end = min(following, interval.end)
        if start < end:
            yield TimeInterval(start, end), cadences[place - 1] if place else None
        start, place = end, place + 1


def slot_start_us(instant_us: int, interval_us: int) -> int:
    """Return the beginning of the slot that an instant lies in."""
    return instant_us - instant_us % interval_us


def hours_of(interval: TimeInterval) -> Iterator[TimeInterval]:
    """Cut an interval at the full hours of UTC."""
    start_us, end_us = microseconds_of(interval.start), microseconds_of(interval.end)
    while start_us < end_us:
        stop_us = min(end_us, slot_start_us(start_us, HOUR_US) + HOUR_US)
        yield TimeInterval(instant_of(start_us), instant_of(stop_us))
        start_us = stop_us


def gaps_of(missed: Iterable[MissedSlot]) -> tuple[Gap, ...]:
    """Join missed slots that follow each other and have one reason."""
    gaps: list[Gap] = []
    for slot in sorted(missed, key=lambda slot: slot.start_us):
        start, end = instant_of(slot.start_us), instant_of(slot.start_us + slot.interval_us)
        last = gaps[-1] if gaps else None
        if last is not None and last.interval.end == start and last.reason is slot.reason:
            gaps[-1] = Gap(TimeInterval(last.interval.start, end), slot.reason)
        else:
            gaps.append(Gap(TimeInterval(start, end), slot.reason))
    return tuple(gaps)
