"""Measures of one metric, and Gnocchi's `aggregates` over many: which buckets of them, then the operations."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import numpy as np

from foundation.database import Transaction
from foundation.errors import Invalid
from identity.model import Caller
from metering.aggregates import CARRYING, Floats, Grid, Series, carried, grid_of, resample, shares_of
from metering.archive_policies import METHODS_ALL, ArchivePolicy
from metering.errors import (
    AggregationNotFound,
    CannotAggregate,
    GranularityMissing,
    MetricNotFound,
    SearchedWidthUnknown,
    WidthNotFound,
)
from metering.model import Metric, Resource
from metering.operations import Matrix, evaluate, metrics_wanted
from metering.periods import Width
from metering.samples import OLDEST
from metering.service import policies
from metering.service.reading import SeriesWanted, read_series
from metering.service.referencing import AggregatesRequest, Reference, References, find_groups
from metering.service.resources import FAR_AHEAD_US, LONG_AGO_US
from metering.store.metrics import find_served_metric
from metering.visibility import viewer_of

POINTS_MAX = 1_000_000
ALWAYS = (LONG_AGO_US, FAR_AHEAD_US)
FUTURE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class MeasuresRequest:
    """Which measures of a metric: without a granularity, all that its archive policy keeps."""

    method: str
    start: datetime | None
    stop: datetime | None
    granularity_us: int | None
    resample: Width | None
    now: datetime

    @property
    def stop_at(self) -> datetime:
        """Where to stop; nothing is kept from further in the future than a few minutes."""
        return self.stop or self.now + FUTURE


def get_measures_of(
    tx: Transaction, caller: Caller, metric_id: UUID, request: MeasuresRequest
) -> Sequence[tuple[Width, Series]]:
    """Return a metric's measures by its id; raise MetricNotFound where the caller does not see it."""
    served = find_served_metric(tx, metric_id, viewer_of(caller))
    if served is None:
        raise MetricNotFound(metric_id)
    return measures_of(tx, served.metric, served.policy, request=request)


def get_measures(tx: Transaction, metric: Metric, request: MeasuresRequest) -> Sequence[tuple[Width, Series]]:
    """Return a metric's measures, coarsest granularity first, each with its width."""
    return measures_of(tx, metric, policies.get_archive_policy(tx, metric.archive_policy_name), request=request)


def measures_of(
    tx: Transaction, metric: Metric, policy: ArchivePolicy, *, request: MeasuresRequest
) -> Sequence[tuple[Width, Series]]:
    """Return at most as many measures of each width as the archive policy keeps points, the latest. Raises AggregationNotFound."""
    check_method(metric, policy, request.method)
    granularities = granularities_of(metric, policy, request)
    start, stop = request.start or OLDEST, request.stop_at
    wanted = [
        SeriesWanted(metric.key, request.method, granularity, start, stop)
        for granularity in granularities
        if start < stop
    ]
    read = read_series(tx, wanted)
    answers: list[tuple[Width, Series]] = []
    for one in wanted:
        points = policy.points[policy.granularities_us.index(one.granularity_us)]
        series = Series(read[one].times_us[-points:], read[one].values[-points:])
        if request.resample is not None:
            grid = resample(
                Grid(series.times_us, series.values[:, None]),
                width=request.resample,
                method=request.method.removeprefix("rate:"),
            )
            answers.append((request.resample, Series(grid.times_us, grid.values[:, 0])))
        else:
            answers.append((one.granularity_us, series))
    return answers


def search_measures(
    tx: Transaction, chosen: Sequence[Metric], request: MeasuresRequest, condition: Callable[[Floats], Floats]
) -> Mapping[UUID, Sequence[tuple[int, Series]]]:
    """Return of each metric the measures that a condition finds, coarsest granularity first. Raises SearchedWidthUnknown."""
    policy_of = {policy.name: policy for policy in policies.list_archive_policies(tx)}
    start, stop = request.start or OLDEST, request.stop_at
    wanted: dict[UUID, list[SeriesWanted]] = {}
    for metric in chosen:
        policy = policy_of[metric.archive_policy_name]
        check_method(metric, policy, request.method)
        try:
            widths = granularities_of(metric, policy, request) if start < stop else []
        except WidthNotFound as missing:
            raise SearchedWidthUnknown(missing) from missing
        wanted[metric.id] = [SeriesWanted(metric.key, request.method, width, start, stop) for width in widths]
    read = read_series(tx, [one for own in wanted.values() for one in own])
    check_size(read.values())
    found: dict[UUID, Sequence[tuple[int, Series]]] = {}
    for metric_id, own in wanted.items():
        parts: list[tuple[int, Series]] = []
        for one in own:
            series = read[one]
            matches = condition(series.values) != 0
            parts.append((one.granularity_us, Series(series.times_us[matches], series.values[matches])))
        found[metric_id] = parts
    return found


def check_size(read: Iterable[Series]) -> None:
    """Raise Invalid where more was read than one answer may hold."""
    if sum(len(one.values) for one in read) > POINTS_MAX:
        raise Invalid(f"more than {POINTS_MAX} points; ask for a shorter time or a coarser granularity")


def check_method(metric: Metric, policy: ArchivePolicy, method: str) -> None:
    """Raise AggregationNotFound where the metric's policy does not serve the method, or nothing does."""
    if method not in METHODS_ALL:
        raise AggregationNotFound(metric.id, method[:60])
    if method not in policy.aggregation_methods:
        raise AggregationNotFound(metric.id, method, policy.granularities_us[-1] / 1e6)


def granularities_of(metric: Metric, policy: ArchivePolicy, request: MeasuresRequest) -> list[int]:
    """Return the widths to answer with, coarsest first."""
    if request.granularity_us is None:
        if request.resample is not None:
            raise Invalid("A granularity must be specified to resample", field="granularity")
        return policy.granularities_us[::-1]
    if request.granularity_us not in policy.granularities_us:
        raise WidthNotFound(metric.id, request.method, request.granularity_us / 1e6)
    return [request.granularity_us]


@dataclass(frozen=True, slots=True)
class AggregateGroup:
    """One answer of `aggregates`: a matrix a granularity, coarsest first, and what went into it."""

    group: Mapping[str, object]
    matrices: Sequence[Matrix]
    metrics: Sequence[Metric] = ()
    resources: Sequence[Resource] = ()


def aggregate(tx: Transaction, caller: Caller, request: AggregatesRequest) -> Sequence[AggregateGroup]:
    """Evaluate operations over metrics; with groupby one answer a group, else exactly one."""
    wanted = metrics_wanted(request.expression)
    groups = find_groups(tx, caller, request, wanted)
    policy_of = {policy.name: policy for policy in policies.list_archive_policies(tx)}
    widths = [common_granularities(group.references, policy_of, request) for group in groups]
    asked = {
        (reference, width): series_wanted(reference, width, request)
        for group, own in zip(groups, widths, strict=True)
        for reference in group.references
        for width in own
    }
    read = read_series(tx, asked.values())
    check_size(read.values())
    series = {name: read[one] for name, one in asked.items()}
    answers: list[AggregateGroup] = []
    for group, own in zip(groups, widths, strict=True):
        laid = [laid_out(group, width, series=series, request=request) for width in own]
        matrices = [evaluate(request.expression, matrix) for matrix in laid]
        used = list({reference.metric.id: reference.metric for reference in group.references}.values())
        answers.append(AggregateGroup(group.group, matrices, used, group.resources))
    return answers


def series_wanted(reference: Reference, width: int, request: AggregatesRequest) -> SeriesWanted:
    """Return the series of one reference in buckets of one width."""
    stop = request.stop or request.now + FUTURE
    start = min(request.start or OLDEST, stop)
    return SeriesWanted(reference.metric.key, reference.wanted.aggregation, width, start, stop)


def common_granularities(
    references: Sequence[Reference], policy_of: Mapping[str, ArchivePolicy], request: AggregatesRequest
) -> list[int]:
    """Return the widths to evaluate, coarsest first: those asked for, or those that all metrics keep."""
    kept: list[set[int]] = []
    for reference in references:
        policy = policy_of[reference.metric.archive_policy_name]
        method = reference.wanted.aggregation
        check_method(reference.metric, policy, method)
        for width in request.granularities_us:
            if width not in policy.granularities_us:
                raise GranularityMissing(reference.metric.id, method, width / 1e6)
        kept.append(set(policy.granularities_us))
    if request.granularities_us:
        return sorted(request.granularities_us, reverse=True)
    common = sorted(kept[0].intersection(*kept[1:]), reverse=True)
    if not common:
        raise CannotAggregate("No granularity match", named(references))
    return common


def named(references: Iterable[Reference]) -> list[list[str]]:
    """Return references as Gnocchi names them in its faults."""
    return [
        [*([reference.owner] if reference.owner else []), reference.column.metric, reference.wanted.aggregation]
        for reference in references
    ]


def laid_out(
    group: References,
    width: int,
    *,
    series: Mapping[tuple[Reference, int], Series],
    request: AggregatesRequest,
) -> Matrix:
    """Lay the series of a group side by side, and fill or check what is missing as `fill` and `needed_overlap` say."""
    references = group.references
    filler = float(request.fill) if isinstance(request.fill, int | float) else np.nan
    grid = grid_of([series[reference, width] for reference in references], filler=filler)
    if request.use_history:
        for place, reference in enumerate(references):
            share = shares_of(grid.times_us, width_us=width, spans=group.spans.get(reference.owner, [ALWAYS]))
            grid.values[:, place] = np.where(share > 0, grid.values[:, place] * share, filler)
    if isinstance(request.fill, str) and request.fill in CARRYING:
        grid = carried(grid, request.fill)
    if request.fill is None:
        grid = overlapping(grid, request, named(references))
    columns = tuple(reference.column for reference in references)
    return Matrix(width, grid.times_us, grid.values, columns)


def overlapping(grid: Grid, request: AggregatesRequest, names: Sequence[object]) -> Grid:
    """Cut a grid to where all series begin and end, and raise CannotAggregate where too few instants have all of them."""
    complete = np.flatnonzero(~np.isnan(grid.values).any(axis=1))
    if len(complete) == 0:
        if request.needed_overlap > 0 and len(grid.times_us):
            raise CannotAggregate("No overlap", names)
        return grid
    last = complete[-1] + 1 if request.stop is None else len(grid.times_us)
    first = complete[0] if request.start is None else 0
    cut = Grid(grid.times_us[first:last], grid.values[first:last])
    overlap = len(complete) * 100.0 / len(cut.times_us)
    if overlap < request.needed_overlap:
        raise CannotAggregate(
            f"Less than {request.needed_overlap:f}% of datapoints overlap in this timespan ({overlap:.2f}%)", names
        )
    return cut
