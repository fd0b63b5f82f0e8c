"""What was consumed: state segments and counter usage, now or as of an earlier snapshot."""

from collections.abc import Sequence
from uuid import UUID

from foundation.database import Transaction
from foundation.interval import TimeInterval
from metering.model import ResourceUsage, SampleIncrease, Snapshot, StateSegment


def take_snapshot(tx: Transaction) -> Snapshot:
    """Return what this transaction can see, to read as of it again later."""
    raise NotImplementedError


def state_segments(
    tx: Transaction, *, project_id: str, interval: TimeInterval, as_of: Snapshot | None = None
) -> Sequence[StateSegment]:
    """Return the segments of a project's instances that meet the interval, clipped to it."""
    raise NotImplementedError


def counter_usage(
    tx: Transaction, *, project_id: str, meter: str, interval: TimeInterval, as_of: Snapshot | None = None
) -> Sequence[ResourceUsage]:
    """Return what each resource of a project consumed: reset-aware increases of a cumulative meter, sums of a delta meter."""
    raise NotImplementedError


def counter_samples(
    tx: Transaction,
    *,
    project_id: str,
    resource_id: UUID,
    meter: str,
    interval: TimeInterval,
    limit: int,
    as_of: Snapshot | None = None,
) -> Sequence[SampleIncrease]:
    """Return the readings behind a usage in order of time, at most `limit`, each with its increase."""
    raise NotImplementedError
