"""Reading the measures that are asked for, and the two batch forms of writing them."""

from collections.abc import Iterable
from itertools import chain
from typing import Annotated, Any, cast
from uuid import UUID

import msgspec
import orjson
from fastapi import Depends, Query, Request, Response

from api.authentication import WriterCaller
from api.body import UnreadableBody, check_text, new_router
from api.context import context_of
from api.gnocchi.answers import answer, is_true, uuid_or_none
from api.gnocchi.wire import (
    from_wire_columns,
    from_wire_granularity,
    from_wire_measures,
    from_wire_metric,
    from_wire_resample,
    from_wire_timestamp,
    to_wire_points,
)
from api.reads import answer_read
from api.transaction import RequestTransaction
from foundation.database import Transaction
from foundation.errors import Invalid
from identity.model import Caller
from metering.aggregates import Series
from metering.errors import MetricNotFound, SeveralUnknown
from metering.periods import Width
from metering.service import aggregating, measures
from metering.service.aggregating import MeasuresRequest
from metering.service.measures import NamedMeasures
from metering.service.metrics import MetricRequest

router = new_router("/v1")


async def read_raw(request: Request) -> bytes:
    """Read the body under its limit; it is parsed in the endpoint's thread."""
    return await request.body()


RawBody = Annotated[bytes, Depends(read_raw)]


def parse_measures_body(raw: bytes) -> Any:
    """Parse a body of measures, which may be large: strict JSON, without NaN."""
    if not raw:
        raise UnreadableBody("this needs a JSON body")
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise UnreadableBody(f"the body is not JSON: {str(error)[:200]}") from error


async def read_measures_request(
    request: Request,
    *,
    start: Annotated[str | None, Query()] = None,
    stop: Annotated[str | None, Query()] = None,
    aggregation: Annotated[str, Query()] = "mean",
    granularity: Annotated[str | None, Query()] = None,
    resample: Annotated[str | None, Query()] = None,
    refresh: Annotated[str | None, Query()] = None,
) -> MeasuresRequest:
    """Read which measures are asked for; `refresh` is accepted, but a read is never behind here."""
    now = context_of(request).clock()
    return MeasuresRequest(
        method=aggregation,
        start=from_wire_timestamp(start, now=now, field="start") if start else None,
        stop=from_wire_timestamp(stop, now=now, field="stop") if stop else None,
        granularity_us=from_wire_granularity(granularity, "granularity"),
        resample=from_wire_resample(resample),
        now=now,
    )


RequestMeasures = Annotated[MeasuresRequest, Depends(read_measures_request)]


def to_wire_series(series: Any) -> list[list[Any]]:
    """Write series of several granularities one after another."""
    pairs = cast("list[tuple[Width, Series]]", series)
    return [point for granularity, one in pairs for point in to_wire_points(granularity, one)]


@router.get("/metric/{metric_id}/measures")
async def show_measures(request: Request, metric_id: str, wanted: RequestMeasures) -> Response:
    """Show a metric's measures."""

    def respond(tx: Transaction, caller: Caller) -> Response:
        known = uuid_or_none(metric_id)
        if known is None:
            raise MetricNotFound(metric_id)
        return answer(to_wire_series(aggregating.get_measures_of(tx, caller, known, wanted)))

    return await answer_read(request, respond)


@router.post("/batch/metrics/measures")
def add_metrics_measures(request: Request, tx: RequestTransaction, caller: WriterCaller, raw: RawBody) -> Response:
    """Add measures to many metrics by id."""
    now = context_of(request).clock()
    body = parse_measures_body(raw)
    if not isinstance(body, dict):
        raise Invalid("Invalid input: expected an object of measures by metric id")
    by_metric = cast("dict[str, Any]", body)
    metric_ids = from_wire_metric_ids(by_metric)
    given: list[list[Any]] = []
    for own in by_metric.values():
        if not isinstance(own, list):
            raise Invalid("Invalid input: expected a list of {timestamp, value}")
        given.append(cast("list[Any]", own))
    columns = from_wire_columns([*chain.from_iterable(given)], now=now)
    measures.post_measures(tx, caller, metric_ids, columns, sizes=[*map(len, given)], received_at=now)
    return Response(status_code=202)


def from_wire_metric_ids(names: Iterable[str]) -> list[UUID]:
    """Read metric ids, thousands at once; what is no UUID names no metric."""
    try:
        return msgspec.convert([*names], list[UUID])
    except msgspec.ValidationError:
        found = {name: uuid_or_none(name) for name in names}
    wrong = [name[:60] for name, metric_id in found.items() if metric_id is None]
    if wrong:
        raise SeveralUnknown("Unknown metrics", wrong)
    return [metric_id for metric_id in found.values() if metric_id is not None]


@router.post("/batch/resources/metrics/measures")
def add_resources_measures(
    request: Request,
    tx: RequestTransaction,
    caller: WriterCaller,
    raw: RawBody,
    create_metrics: Annotated[str | None, Query()] = None,
) -> Response:
    """Add measures to the metrics of many resources by name, making missing metrics if so asked."""
    now = context_of(request).clock()
    body = parse_measures_body(raw)
    if not isinstance(body, dict):
        raise Invalid("Invalid input: expected an object of metrics by resource id")
    by_resource: dict[str, dict[str, NamedMeasures]] = {}
    for resource, own in cast("dict[str, Any]", body).items():
        check_text(resource)
        if not isinstance(own, dict):
            raise Invalid("Invalid input: expected an object of measures by metric name")
        by_resource[resource] = {
            name: from_wire_named(name, given, now=now) for name, given in cast("dict[str, Any]", own).items()
        }
    measures.post_resource_measures(tx, caller, by_resource, create_metrics=is_true(create_metrics), received_at=now)
    return Response(status_code=202)


def from_wire_named(name: str, given: Any, *, now: Any) -> NamedMeasures:
    """Read the measures of a named metric: a list, or an object that also says how the metric is made."""
    if isinstance(given, list):
        wanted: MetricRequest = from_wire_metric({"name": name})
        return NamedMeasures(wanted, from_wire_measures(given, now=now))  # pyright: ignore[reportUnknownArgumentType]
    if not isinstance(given, dict):
        raise Invalid("Invalid input: expected a list of measures, or an object with measures")
    fields = cast("dict[str, Any]", given)
    wanted = from_wire_metric({**{key: value for key, value in fields.items() if key != "measures"}, "name": name})
    check_text(name)
    return NamedMeasures(wanted, from_wire_measures(fields.get("measures"), now=now))
