"""CPU percent of instances over time: what `cpu_util` was, but right across resets, resizes and uneven polls."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import numpy as np

from foundation.database import Transaction
from foundation.errors import Invalid
from metering.aggregates import Series, aggregate_columns, grid_of
from metering.filters import Filter
from metering.rollups import bucket_start_us
from metering.samples import instant_of, microseconds_of
from metering.service.reading import SeriesWanted, read_series
from metering.store import resources
from metering.store.search import MetricSearch, find_metrics

BUCKETS_MAX = 2_000
INSTANCES_MAX = 200
NANOSECONDS_PER_PERCENT = 1e9 / 100


@dataclass(frozen=True, slots=True)
class CpuSeries:
    """One instance's CPU in percent of its vCPUs, bucket by bucket; None where nothing was read."""

    resource_id: UUID
    name: str
    points: Sequence[tuple[datetime, float | None]]


@dataclass(frozen=True, slots=True)
class CpuPercent:
    """Instances side by side, and their mean in each bucket where any of them was read."""

    granularity_s: int
    series: Sequence[CpuSeries]
    aggregate: Sequence[tuple[datetime, float]]


def cpu_percent(
    tx: Transaction,
    *,
    project_id: str | None,
    search: Filter,
    start: datetime,
    stop: datetime,
    granularity_s: int,
) -> CpuPercent:
    """Return the CPU percent of the instances that a filter matches, within a project (None: all).

    It is the increase of `cpu` over the seconds in which it arose, so it needs no even polling. At most INSTANCES_MAX
    instances, the first by id.
    """
    width_us = granularity_s * 1_000_000
    first_us = bucket_start_us(microseconds_of(start), width_us)
    axis = np.arange(first_us, microseconds_of(stop), width_us, dtype=np.int64)
    if not 1 <= len(axis) <= BUCKETS_MAX:
        raise Invalid(
            f"start, stop and granularity must make 1 to {BUCKETS_MAX} points, not {len(axis)}", field="granularity"
        )
    found = find_metrics(tx, [MetricSearch(project_id, "instance", "cpu", search)])[:INSTANCES_MAX]
    wanted = {one.resource_id: SeriesWanted(one.metric_key, "rate:per_second", width_us, start, stop) for one in found}
    read = read_series(tx, wanted.values())
    described = resources.describe_resources(tx, list(wanted))
    percents: dict[UUID, Series] = {}
    for resource_id, one in wanted.items():
        vcpus = vcpus_of(described[resource_id].vcpus)
        percents[resource_id] = Series(read[one].times_us, read[one].values / (NANOSECONDS_PER_PERCENT * vcpus))
    instants = [instant_of(us) for us in axis.tolist()]
    series = [
        CpuSeries(resource_id, described[resource_id].name, laid_on(axis, instants, percent))
        for resource_id, percent in percents.items()
        if not is_over(described[resource_id].ended_at, start) or len(percent.values)
    ]
    grid = grid_of(list(percents.values()))
    means = aggregate_columns(grid.values, "mean").tolist()
    mean = [(instant_of(us), value) for us, value in zip(grid.times_us.tolist(), means, strict=True) if value == value]
    return CpuPercent(granularity_s, series, mean)


def vcpus_of(text: str | None) -> int:
    """Read the attribute; an instance has at least one vCPU."""
    return max(1, int(text)) if text is not None and text.isdecimal() else 1


def is_over(ended_at: datetime | None, start: datetime) -> bool:
    """Tell whether an instance was gone before the interval began."""
    return ended_at is not None and ended_at < start


def laid_on(
    axis: np.ndarray[tuple[int], np.dtype[np.int64]], instants: Sequence[datetime], series: Series
) -> Sequence[tuple[datetime, float | None]]:
    """Lay a series on every bucket of the interval."""
    values = np.full(len(axis), np.nan)
    values[np.searchsorted(axis, series.times_us)] = series.values
    return [(at, None if value != value else value) for at, value in zip(instants, values.tolist(), strict=True)]
