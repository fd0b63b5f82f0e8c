"""Writing measures as Gnocchi's callers do: to metrics by id, or to the metrics of resources by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from foundation.database import Transaction
from foundation.errors import Invalid
from identity.model import Caller
from metering.errors import MeasuresRefused, MetricNotFound, ResourceNotFound, SeveralUnknown
from metering.model import FUTURE_SKEW_MAX_S, VALUE_MAX, Metric, Resource, owned_resource_id, resource_id_of
from metering.samples import (
    FIRST_INSTANT_US,
    LAST_INSTANT_US,
    fault_of_time,
    fault_of_value,
    instant_of,
    microseconds_of,
)
from metering.service.metrics import MetricRequest, make_named_metrics, require_change
from metering.service.resources import require_change as require_resource_change
from metering.store import metrics, resources
from metering.store.measures import MeasureColumns, WriteCounts, require_few_chunks, write_measures
from metering.visibility import Viewer, may_change_made_by, viewer_of

MEASURES_MAX = 500_000


@dataclass(frozen=True, slots=True)
class Measures:
    """Parallel arrays of instants (microseconds since 1970) and values; those of several metrics one after another."""

    times_us: NDArray[np.int64]
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class NamedMeasures:
    """Values of a resource's metric, and what the metric is made with where it is not there."""

    request: MetricRequest
    measures: Measures


def post_measures(
    tx: Transaction,
    caller: Caller,
    metric_ids: Sequence[UUID],
    measures: Measures,
    *,
    sizes: Sequence[int],
    received_at: datetime,
) -> WriteCounts:
    """Write measures to metrics, so many to each; all of them, or none where one is unknown, forbidden or wrong."""
    keys = np.zeros(len(metric_ids), dtype=np.int64)
    for found in metrics.find_metric_keys(tx, metric_ids, viewer_of(caller)):
        if not may_change_made_by(caller, user_id=found.user_id, project_id=found.project_id):
            raise MeasuresRefused
        keys[np.array(found.places) - 1] = found.keys
    missing = {str(metric_id) for metric_id, key in zip(metric_ids, keys.tolist(), strict=True) if not key}
    if missing:
        raise SeveralUnknown("Unknown metrics", sorted(missing))
    return write(tx, keys, measures, sizes=sizes, received_at=received_at)


def post_metric_measures(
    tx: Transaction, caller: Caller, metric: Metric, measures: Measures, *, received_at: datetime
) -> WriteCounts:
    """Write measures to one metric."""
    require_change(caller, metric)
    keys = np.array([metric.key], dtype=np.int64)
    return write(tx, keys, measures, sizes=[len(measures.times_us)], received_at=received_at)


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
    owned = {name: owned_resource_id(name, creator=viewer.creator) for name in measures}
    known = resources.find_resource_ids(tx, [*owned.values(), *map(resource_id_of, measures)], viewer)
    shared = {name: resource_id_of(name) for name in measures}
    ids = {
        shared[name] if shared[name] in known and owned[name] not in known else owned[name]: name for name in measures
    }
    if len(ids) != len(measures):
        raise Invalid("a batch names each resource once; here two of the names mean the same")
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
    for pair in wanted:
        require_change(caller, found[pair])
    if not wanted:
        return WriteCounts(0, 0, 0)
    parts = [own.measures for own in wanted.values()]
    return write(
        tx,
        np.array([found[pair].key for pair in wanted], dtype=np.int64),
        Measures(np.concatenate([one.times_us for one in parts]), np.concatenate([one.values for one in parts])),
        sizes=[len(one.times_us) for one in parts],
        received_at=received_at,
    )


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
    """Make the metrics that a batch names and that are not there."""
    for resource_id in {pair[0] for pair in requests}:
        resource: Resource | None = resources.find_resource(tx, resource_id, viewer)
        if resource is None:
            raise ResourceNotFound(resource_id)
        require_resource_change(caller, resource)
    make_named_metrics(tx, caller, requests)


def write(
    tx: Transaction,
    keys: NDArray[np.int64],
    measures: Measures,
    *,
    sizes: Sequence[int],
    received_at: datetime,
) -> WriteCounts:
    """Check and write the measures of several metrics, so many to each key."""
    count = len(measures.times_us)
    if count > MEASURES_MAX:
        raise Invalid(f"a batch has at most {MEASURES_MAX} measures, not {count}")
    if not count:
        return WriteCounts(0, 0, 0)
    values = measures.values + 0.0
    check_measures(measures.times_us, values, received_at=received_at)
    require_few_chunks(measures.times_us)
    return write_measures(
        tx,
        MeasureColumns(
            np.repeat(keys, sizes),
            measures.times_us,
            np.zeros(count, dtype=np.int64),
            values,
            np.zeros(count, dtype=np.bool_),
        ),
    )


def check_measures(times_us: NDArray[np.int64], values: NDArray[np.float64], *, received_at: datetime) -> None:
    """Raise Invalid for the first time or value that cannot be kept."""
    latest = microseconds_of(received_at) + FUTURE_SKEW_MAX_S * 1_000_000
    wrong_times = np.flatnonzero((times_us < 0) | (times_us > latest))
    if len(wrong_times):
        wrong = instant_of(min(max(int(times_us[wrong_times[0]]), FIRST_INSTANT_US), LAST_INSTANT_US))
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
