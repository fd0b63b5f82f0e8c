"""What is wrong with the sources of readings: hosts that fell silent, metrics that stopped, clocks that are off, readings sent twice. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby
from uuid import UUID

STOPPED_AFTER_INTERVALS = 5
STOPPED_AFTER_MIN = timedelta(seconds=30)
"""Polls may be late by a few seconds, however short their interval."""
CLOCK_AHEAD_MAX = timedelta(seconds=2)
CLOCK_BEHIND_MAX = timedelta(seconds=10)
"""What a poll takes to read a host and to be stored is not the clock's fault."""
POLLS_TO_JUDGE_A_CLOCK = 3
REPEATED_SHARE_MAX = 0.02
REPEATED_MIN = 20


class FindingKind(StrEnum):
    """What a finding is about."""

    HOST_SILENT = "host_silent"
    METRIC_STOPPED = "metric_stopped"
    CLOCK_AHEAD = "clock_ahead"
    CLOCK_BEHIND = "clock_behind"
    SOURCE_REPEATS = "source_repeats"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, in one sentence that ends with how to mend it; `since` is when it was last right, if ever."""

    kind: FindingKind
    subject: str
    sentence: str
    since: datetime | None
    resource_id: UUID | None = None
    metrics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceObservation:
    """A host as its polls of the last day show it; the delays are from reading to database, of the latest polls that did not wait on disk."""

    source: str
    polled_at: datetime | None
    interval_us: int | None
    running_instances: int
    samples: int
    repeated: int
    delays: tuple[timedelta, ...]


@dataclass(frozen=True, slots=True)
class LastReading:
    """A polled metric of a running instance, and when it was last read."""

    resource_id: UUID
    resource_type: str
    instance_id: UUID
    instance_name: str
    running_since: datetime
    source: str
    metric: str
    read_at: datetime


def stopped_after(interval_us: int) -> timedelta:
    """Return how old a last reading may be before it counts as stopped."""
    return max(STOPPED_AFTER_INTERVALS * timedelta(microseconds=interval_us), STOPPED_AFTER_MIN)


def is_silent(source: SourceObservation, now: datetime) -> bool:
    """Tell whether a host on which instances should run has not been read for too long."""
    if source.running_instances == 0:
        return False
    if source.polled_at is None or source.interval_us is None:
        return True
    return now - source.polled_at > stopped_after(source.interval_us)


def findings_of_source(source: SourceObservation, *, now: datetime) -> list[Finding]:
    """Judge one host."""
    found: list[Finding] = []
    if is_silent(source, now):
        found.append(silence_of(source))
    clock = fault_of_clock(source)
    if clock is not None:
        found.append(clock)
    if source.repeated >= max(REPEATED_MIN, REPEATED_SHARE_MAX * source.samples):
        sentence = (
            f"{source.source} sent {source.repeated:,} of its {source.samples:,} samples of the last day a second time; they count"
            " once, but look whether two agents read this host (one agent a host)"
        )
        found.append(Finding(FindingKind.SOURCE_REPEATS, source.source, sentence, None))
    return found


def silence_of(source: SourceObservation) -> Finding:
    """Say since when a host is silent."""
    running = "1 instance" if source.running_instances == 1 else f"{source.running_instances} instances"
    if source.polled_at is None or source.interval_us is None:
        what = f"{source.source} has never been read, though {running} should run there"
    else:
        every = f"{source.interval_us / 1e6:g} s"
        what = f"{source.source} was last read at {written(source.polled_at)} and should be every {every}; {running} should run there"
    sentence = f"{what}: look whether its agent runs and reaches libvirt and the database (var/log/agent.log)"
    return Finding(FindingKind.HOST_SILENT, source.source, sentence, source.polled_at)


def fault_of_clock(source: SourceObservation) -> Finding | None:
    """Judge a host's clock by its latest polls against the database's clock; the quickest of them says the least wrong."""
    if len(source.delays) < POLLS_TO_JUDGE_A_CLOCK:
        return None
    quickest = min(source.delays)
    if quickest < -CLOCK_AHEAD_MAX:
        sentence = (
            f"the clock of {source.source} is at least {-quickest.total_seconds():.1f} s ahead of the database's:"
            " synchronize it (chrony), since readings are filed under its time"
        )
        return Finding(FindingKind.CLOCK_AHEAD, source.source, sentence, None)
    if quickest > CLOCK_BEHIND_MAX:
        sentence = (
            f"every reading of {source.source} arrives {quickest.total_seconds():.1f} s or more after the time it names:"
            " synchronize its clock (chrony), or look what holds its agent up (var/log/agent.log)"
        )
        return Finding(FindingKind.CLOCK_BEHIND, source.source, sentence, None)
    return None


def findings_of_metrics(
    readings: Sequence[LastReading], sources: Mapping[str, SourceObservation], *, now: datetime
) -> list[Finding]:
    """Name the metrics that stopped while their instance runs on a host that is read; one finding a resource."""
    stopped = [one for one in readings if is_stopped(one, sources.get(one.source), now=now)]
    stopped.sort(key=lambda one: (one.resource_id, one.metric))
    found: list[Finding] = []
    for resource_id, group in groupby(stopped, key=lambda one: one.resource_id):
        own = list(group)
        first = own[0]
        metrics = tuple(one.metric for one in own)
        last_at = max(one.read_at for one in own)
        what = f"{', '.join(metrics)} of {first.resource_type} {resource_id}"
        verb = "was" if len(metrics) == 1 else "were"
        sentence = (
            f"{what} (instance {first.instance_name}) {verb} last read at {written(last_at)}, though it runs and {first.source} is read:"
            " look for it in the agent's log there (var/log/agent.log)"
        )
        found.append(Finding(FindingKind.METRIC_STOPPED, str(resource_id), sentence, last_at, resource_id, metrics))
    return found


def is_stopped(reading: LastReading, source: SourceObservation | None, *, now: datetime) -> bool:
    """Tell whether a metric is behind while its host is not; an instance that has only just started is given its time."""
    if source is None or source.interval_us is None or is_silent(source, now):
        return False
    due_since = now - stopped_after(source.interval_us)
    return reading.read_at < due_since and reading.running_since < due_since


def written(instant: datetime) -> str:
    """Write an instant to the second."""
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"
