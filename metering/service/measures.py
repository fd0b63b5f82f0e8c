"""Writing measures as Gnocchi's callers do: to metrics by id, or to the metrics of resources by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from foundation.database import Transaction
from foundation.errors import Invalid
from foundation.ids import new_id
from identity.model import Caller
from metering.errors import MetricNotFound, ResourceNotFound, SeveralUnknown
from metering.model import FUTURE_SKEW_MAX_S, VALUE_MAX, Metric, Resource, resource_id_of
from metering.samples import fault_of_time, fault_of_value, instant_of, microseconds_of
from metering.service.metrics import MetricRequest, archive_policy_for, require_change
from metering.service.resources import require_change as require_resource_change
from metering.store import intake, metrics, resources
from metering.store.intake import NewMetric
from metering.store.measures import MeasureColumns, WriteCounts, write_measures
from metering.visibility import Viewer, viewer_of

MEASURES_MAX = 500_000


@dataclass(frozen=True, slots=True)
class Measures:
    """Values of one metric: parallel lists of instants (microseconds since 1970) and values."""

    times_us: list[int]
    values: list[float]


@dataclass(frozen=True, slots=True)
class NamedMeasures:
    """Values of a resource's metric, and what the metric is made with where it is not there."""

    request: MetricRequest
    measures: Measures


def post_measures(
    tx: Transaction, caller: Caller, measures: Mapping[UUID, Measures], *, received_at: datetime
) -> WriteCounts:
    """Write measures to metrics; all of them, or none where one is unknown, forbidden or wrong."""
    found = metrics.find_metrics(tx, list(measures), viewer_of(caller))
    missing = [metric_id for metric_id in measures if metric_id not in found]
    if missing:
        raise SeveralUnknown("Unknown metrics", sorted(str(metric_id) for metric_id in missing))
    return write(tx, caller, [(found[metric_id], own) for metric_id, own in measures.items()], received_at=received_at)


def post_metric_measures(
    tx: Transaction, caller: Caller, metric: Metric, measures: Measures, *, received_at: datetime
) -> WriteCounts:
    """Write measures to one metric."""
    return write(tx, caller, [(metric, measures)], received_at=received_at)


def post_resource_measures(
    tx: Transaction,
    caller: Caller,
    measures: Mapping[str, Mapping[str, NamedMeasures]],
    *,
    create_metrics: bool,
    received_at: datetime,
) -> WriteCounts:
    """Write measures to the metrics of resources by name, making missing metrics if so asked."""
    viewer = viewer_of(caller)
    ids = {resource_id_of(name): name for name in measures}
    known = resources.find_resource_ids(tx, list(ids), viewer)
    unknown = [
        {"resource_id": str(resource_id), "original_resource_id": name}
        for resource_id, name in ids.items()
        if resource_id not in known
    ]
    if unknown:
        raise SeveralUnknown("Unknown resources", unknown)
    wanted = {
        (resource_id, name): own for resource_id, original in ids.items() for name, own in measures[original].items()
    }
    found = metrics.find_named_metrics(tx, list(wanted), viewer)
    missing = [pair for pair in wanted if pair not in found]
    if missing and not create_metrics:
        raise SeveralUnknown("Unknown metrics", unknown_by_resource(missing, ids))
    if missing:
        make_missing(tx, caller, {pair: wanted[pair].request for pair in missing}, viewer)
        found |= metrics.find_named_metrics(tx, missing, viewer)
    return write(tx, caller, [(found[pair], own.measures) for pair, own in wanted.items()], received_at=received_at)


def unknown_by_resource(missing: Sequence[tuple[UUID, str]], ids: Mapping[UUID, str]) -> list[dict[str, object]]:
    """Return the unknown metrics as Gnocchi lists them, a resource each."""
    names: dict[UUID, list[str]] = {}
    for resource_id, name in missing:
        names.setdefault(resource_id, []).append(name)
    return [
        {"resource_id": str(resource_id), "original_resource_id": ids[resource_id], "metrics": sorted(own)}
        for resource_id, own in names.items()
    ]


def make_missing(
    tx: Transaction, caller: Caller, requests: Mapping[tuple[UUID, str], MetricRequest], viewer: Viewer
) -> None:
    """Make the metrics that a batch names and that are not there, in one statement."""
    for resource_id in {pair[0] for pair in requests}:
        resource: Resource | None = resources.find_resource(tx, resource_id, viewer)
        if resource is None:
            raise ResourceNotFound(resource_id)
        require_resource_change(caller, resource)
    chosen: dict[tuple[str | None, str], str] = {}
    for (_, name), request in requests.items():
        wanted = (request.archive_policy_name, name)
        if wanted not in chosen:
            chosen[wanted] = archive_policy_for(tx, MetricRequest(name, None, request.archive_policy_name))
    intake.make_metrics(
        tx,
        [
            NewMetric(
                id=new_id(),
                resource_id=resource_id,
                name=name,
                unit=request.unit or "",
                meter_type=request.meter_type,
                archive_policy_name=chosen[request.archive_policy_name, name],
                created_by_user_id=caller.user_id,
                created_by_project_id=caller.project_id,
            )
            for (resource_id, name), request in requests.items()
        ],
    )


def write(
    tx: Transaction, caller: Caller, batch: Sequence[tuple[Metric, Measures]], *, received_at: datetime
) -> WriteCounts:
    """Check and write the measures of several metrics."""
    for metric, _ in batch:
        require_change(caller, metric)
    sizes = [len(own.times_us) for _, own in batch]
    if sum(sizes) > MEASURES_MAX:
        raise Invalid(f"a batch has at most {MEASURES_MAX} measures, not {sum(sizes)}")
    if not sum(sizes):
        return WriteCounts(0, 0, 0)
    times = np.array([time for _, own in batch for time in own.times_us], dtype=np.int64)
    values = np.array([value for _, own in batch for value in own.values], dtype=np.float64) + 0.0
    check_measures(times, values, received_at=received_at)
    return write_measures(
        tx,
        MeasureColumns(
            np.repeat(np.array([metric.key for metric, _ in batch], dtype=np.int64), sizes),
            times,
            np.zeros(len(times), dtype=np.int64),
            values,
            np.zeros(len(times), dtype=np.bool_),
        ),
    )


def check_measures(times_us: NDArray[np.int64], values: NDArray[np.float64], *, received_at: datetime) -> None:
    """Raise Invalid for the first time or value that cannot be kept."""
    latest = microseconds_of(received_at) + FUTURE_SKEW_MAX_S * 1_000_000
    wrong_times = np.flatnonzero((times_us < 0) | (times_us > latest))
    if len(wrong_times):
        wrong = instant_of(int(times_us[wrong_times[0]]))
        raise Invalid(fault_of_time(wrong, received_at=received_at) or "", field="timestamp")
    wrong_values = np.flatnonzero(~(np.abs(values) <= VALUE_MAX))
    if len(wrong_values):
        raise Invalid(fault_of_value(float(values[wrong_values[0]])) or "", field="value")


def metric_of_resource(resource: Resource, name: str) -> UUID:
    """Return the id of a resource's metric; raise MetricNotFound."""
    metric = resource.metrics.get(name)
    if metric is None:
        raise MetricNotFound(name)
    return UUID(metric)
