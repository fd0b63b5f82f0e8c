"""What was consumed: state segments and counter usage, now or as of an earlier snapshot."""

from collections.abc import Sequence
from uuid import UUID

from foundation.database import Transaction
from foundation.interval import TimeInterval
from metering.existence import time_meter_of
from metering.model import ResourceUsage, SampleIncrease, Snapshot, StateSegment
from metering.segments import segments_of
from metering.service.existence import existence_increases, existence_usage
from metering.store import lifecycle, projects, usage

INCREASES_MAX = 10_000


def take_snapshot(tx: Transaction) -> Snapshot:
    """Return what this transaction can see, to read as of it again later; its own writes are not part of it."""
    return usage.current_snapshot(tx)


def metered_projects(tx: Transaction, ids: Sequence[str]) -> frozenset[str]:
    """Return for which projects anything was ever metered, whether or not they still are ones."""
    return projects.metered_projects(tx, ids)


def state_segments(
    tx: Transaction, *, project_id: str, interval: TimeInterval, as_of: Snapshot | None = None
) -> Sequence[StateSegment]:
    """Return the segments of a project's instances that meet the interval, clipped to it."""
    events = lifecycle.list_events(tx, project_id=project_id, start=interval.start, end=interval.end, as_of=as_of)
    return segments_of(events, interval)


def counter_usage(
    tx: Transaction, *, project_id: str, meter: str, interval: TimeInterval, as_of: Snapshot | None = None
) -> Sequence[ResourceUsage]:
    """Return what each resource of a project consumed: reset-aware increases of a cumulative meter, sums of a delta meter.

    An increase belongs to the instant of the reading that shows it, so parts of an interval add up to the whole. A meter of
    time (`volume.size.time`) gives the sizes of resources times the seconds that they were there.
    """
    counted = usage.sum_usage(
        tx, project_id=project_id, meter=meter, start=interval.start, end=interval.end, as_of=as_of
    )
    asked = time_meter_of(meter)
    if asked is None:
        return counted
    return [*counted, *existence_usage(tx, asked, name=meter, project_id=project_id, interval=interval, as_of=as_of)]


def counter_samples(
    tx: Transaction,
    *,
    project_id: str,
    resource_id: UUID,
    meter: str,
    interval: TimeInterval,
    limit: int,
    skipped: int = 0,
    unit: str | None = None,
    as_of: Snapshot | None = None,
) -> Sequence[SampleIncrease]:
    """Return the readings behind a usage in order of time, at most `limit` after so many skipped, each with its increase.

    Where a unit is named, only those that came in it.
    """
    asked = time_meter_of(meter)
    if asked is not None:
        pieces = existence_increases(
            tx,
            asked,
            project_id=project_id,
            resource_id=resource_id,
            interval=interval,
            as_of=as_of,
            limit=min(limit, INCREASES_MAX),
            skipped=skipped,
            unit=unit,
        )
        if pieces:
            return pieces
    return usage.list_increases(
        tx,
        project_id=project_id,
        resource_id=resource_id,
        meter=meter,
        start=interval.start,
        end=interval.end,
        as_of=as_of,
        limit=min(limit, INCREASES_MAX),
        skipped=skipped,
        unit=unit,
    )
