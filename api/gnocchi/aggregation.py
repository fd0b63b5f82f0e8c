"""The older aggregation endpoints, which `openstack metric measures aggregation` still calls."""

from dataclasses import dataclass, replace
from typing import Annotated, Any, cast

import numpy as np
from fastapi import Depends, Query, Request, Response

from api.authentication import RequestCaller
from api.body import JsonBody, new_router
from api.context import context_of
from api.gnocchi.aggregates import from_wire_fill, from_wire_groupby, from_wire_percent
from api.gnocchi.answers import answer, uuid_or_none
from api.gnocchi.resources import RequestFilter
from api.gnocchi.wire import (
    from_wire_granularity,
    from_wire_resample,
    from_wire_timestamp,
    to_wire_points,
    to_wire_values,
)
from api.transaction import SnapshotTransaction
from foundation.database import Transaction
from foundation.errors import Invalid
from identity.model import Caller
from metering.aggregates import Series, method_of
from metering.archive_policies import METHODS_ALL
from metering.errors import AggregationUnknown, GranularityMissing, NamedMetricsNotFound
from metering.operations_syntax import Expression
from metering.periods import Width
from metering.service import aggregating, metrics
from metering.service.aggregating import AggregateGroup
from metering.service.referencing import AggregatesRequest

router = new_router("/v1/aggregation")
METRICS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class AggregationRequest:
    """What is asked of the metrics, whichever they are: `frame` is a request without its operations."""

    frame: AggregatesRequest
    aggregation: str
    reaggregation: str
    resample: Width | None

    def over(self, names: list[str]) -> AggregatesRequest:
        """Return the request over metrics by id, or by one name on resources."""
        chosen: list[Expression] = [[name, self.aggregation] for name in names]
        expression: Expression = ["metric", *chosen]
        if len(names) > 1 or self.frame.resource_type is not None:
            expression = ["aggregate", self.reaggregation, expression]
        if self.resample is not None:
            width = self.resample / 1e6 if isinstance(self.resample, int) else self.resample
            expression = ["resample", self.aggregation.removeprefix("rate:"), width, expression]
        return replace(self.frame, expression=expression)


def read_aggregation_request(
    request: Request,
    *,
    start: Annotated[str | None, Query()] = None,
    stop: Annotated[str | None, Query()] = None,
    aggregation: Annotated[str, Query()] = "mean",
    reaggregation: Annotated[str | None, Query()] = None,
    granularity: Annotated[str | None, Query()] = None,
    needed_overlap: Annotated[str | None, Query()] = None,
    fill: Annotated[str | None, Query()] = None,
    resample: Annotated[str | None, Query()] = None,
) -> AggregationRequest:
    """Read the query; metrics are aggregated again as they were aggregated, unless `reaggregation` says otherwise."""
    now = context_of(request).clock()
    if aggregation not in METHODS_ALL:
        raise AggregationUnknown(aggregation[:60])
    again = (reaggregation or aggregation).removeprefix("rate:")
    method_of(again)
    width = from_wire_granularity(granularity, "granularity")
    width_again = from_wire_resample(resample)
    if width_again is not None and width is None:
        raise Invalid("A granularity must be specified to resample", field="granularity")
    frame = AggregatesRequest(
        expression=0.0,
        now=now,
        start=from_wire_timestamp(start, now=now, field="start") if start else None,
        stop=from_wire_timestamp(stop, now=now, field="stop") if stop else None,
        granularities_us=() if width is None else (width,),
        needed_overlap=from_wire_percent(needed_overlap),
        fill=from_wire_fill(fill, is_default=False),
    )
    return AggregationRequest(frame, aggregation, again, width_again)


RequestAggregation = Annotated[AggregationRequest, Depends(read_aggregation_request)]


@router.get("/metric")
def aggregate_metrics(
    tx: SnapshotTransaction,
    caller: RequestCaller,
    wanted: RequestAggregation,
    metric: Annotated[list[str] | None, Query()] = None,
) -> Response:
    """Aggregate metrics by id into one series."""
    return answer_metrics(tx, caller, wanted, names=list(dict.fromkeys(metric or ())))


@router.post("/metric")
def aggregate_listed_metrics(
    tx: SnapshotTransaction, caller: RequestCaller, wanted: RequestAggregation, body: JsonBody
) -> Response:
    """Aggregate metrics by id, listed in the body since there are more than an address may hold."""
    if not isinstance(body, list):
        raise Invalid("Invalid input: expected a list of metric ids")
    names = [str(one) for one in cast("list[object]", body)]
    return answer_metrics(tx, caller, wanted, names=list(dict.fromkeys(names)))


def answer_metrics(tx: Transaction, caller: Caller, wanted: AggregationRequest, *, names: list[str]) -> Response:
    """Aggregate the metrics of these ids."""
    if len(names) > METRICS_MAX:
        raise Invalid(f"at most {METRICS_MAX} metrics", field="metric")
    ids = [uuid_or_none(name) for name in names]
    wrong = next((name for name, one in zip(names, ids, strict=True) if one is None), None)
    if wrong is not None:
        raise Invalid(f"Invalid input: '{wrong[:60]}' is not a metric's id", field="metric")
    metrics.get_metrics(tx, caller, [one for one in ids if one is not None])
    if not names:
        return answer([])
    try:
        group = aggregating.aggregate(tx, caller, wanted.over(names))[0]
    except GranularityMissing as error:
        raise error.of_metric from error
    return answer(to_wire_aggregation(group, wanted))


@router.post("/resource/{resource_type}/metric/{name}")
def aggregate_resources(
    tx: SnapshotTransaction,
    caller: RequestCaller,
    *,
    resource_type: str,
    name: str,
    wanted: RequestAggregation,
    search: RequestFilter,
    groupby: Annotated[list[str] | None, Query()] = None,
) -> Response:
    """Aggregate the metric of this name over the resources that a filter matches, or over each group of them."""
    names = from_wire_groupby(groupby)
    frame = replace(wanted.frame, resource_type=resource_type, search=search, groupby=names)
    asked = replace(wanted, frame=frame)
    try:
        groups = aggregating.aggregate(tx, caller, asked.over([name]))
    except NamedMetricsNotFound:
        return answer([])
    except GranularityMissing as error:
        raise error.of_metric from error
    bodies = [to_wire_aggregation(group, wanted) for group in groups]
    if names:
        return answer(
            [
                {"group": to_wire_values(group.group), "measures": body}
                for group, body in zip(groups, bodies, strict=True)
            ]
        )
    return answer(bodies[0])


def to_wire_aggregation(group: AggregateGroup, wanted: AggregationRequest) -> list[list[Any]]:
    """Write one series of each granularity, one after another."""
    points: list[list[Any]] = []
    for matrix in group.matrices:
        series = Series(matrix.times_us, matrix.values[:, 0])
        if wanted.frame.fill != "null":
            is_known = np.isfinite(series.values)
            series = Series(series.times_us[is_known], series.values[is_known])
        points.extend(to_wire_points(matrix.width, series))
    return points
