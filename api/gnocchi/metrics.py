"""Metrics and their measures, by id."""

from collections.abc import Container
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response

from api.authentication import RequestCaller, WriterCaller
from api.body import JsonBody, new_router
from api.context import context_of
from api.gnocchi.answers import RequestListing, answer, link_header, location_of, uuid_or_none
from api.gnocchi.measures import RawBody, RequestMeasures, parse_measures_body, to_wire_series
from api.gnocchi.resources import from_wire_metrics
from api.gnocchi.wire import from_wire_measures, from_wire_metric, to_wire_metric, to_wire_resource
from api.transaction import RequestTransaction, SnapshotTransaction
from foundation.database import Transaction
from foundation.errors import Invalid
from identity.model import Caller
from metering.errors import MetricNotFound, NamedMetricExists
from metering.measure_search import parse_measure_search
from metering.model import Metric, resource_id_of
from metering.service import aggregating, measures, metrics, policies, resources

router = new_router("/v1")
FILTERS = frozenset(
    {"id", "name", "unit", "resource_id", "archive_policy_name", "creator", "status", "user_id", "project_id"}
)
SEARCHED_MAX = 1_000
PAGE_PARAMETERS = frozenset({"limit", "marker", "sort"})


def metric_by_text(tx: Transaction, caller: Caller, text: str) -> Metric:
    """Return a metric by the text in a path."""
    return metrics.get_metric(tx, caller, metric_id_of(text))


def metric_id_of(text: str) -> UUID:
    """Read a metric's id; what is no UUID does not exist."""
    metric_id = uuid_or_none(text)
    if metric_id is None:
        raise MetricNotFound(text)
    return metric_id


@router.get("/metric")
def list_metrics(request: Request, tx: SnapshotTransaction, caller: RequestCaller, listing: RequestListing) -> Response:
    """List metrics, filtered by any of their attributes."""
    filters: dict[str, Any] = {}
    for name, value in request.query_params.items():
        if name in FILTERS:
            filters |= filter_of(tx, caller, name, value)
        elif name not in PAGE_PARAMETERS:
            raise Invalid(f"Invalid filter: '{name[:60]}' is not an attribute of a metric", field=name[:60])
    if listing.marker is not None and uuid_or_none(listing.marker) is None:
        raise Invalid("Invalid pagination: the marker is not a metric's id", field="marker")
    found = metrics.list_metrics(tx, caller, filters, listing)
    policy_of = {policy.name: policy for policy in policies.list_archive_policies(tx)}
    body = [to_wire_metric(metric, policy_of[metric.archive_policy_name]) for metric in found]
    return answer(body, headers=link_header(request, listing, count=len(body), marker=body[-1]["id"]) if body else None)


def filter_of(tx: Transaction, caller: Caller, name: str, value: str) -> dict[str, Any]:
    """Read one filter of the list."""
    if name == "resource_id":
        return {name: resources.id_called(tx, caller, value)}
    if name == "id":
        return {name: uuid_or_none(value) or resource_id_of(value)}
    if name == "creator":
        user, _, project = value.partition(":")
        return {"created_by_user_id": user, **({"created_by_project_id": project} if project else {})}
    if name in ("user_id", "project_id"):
        return {f"created_by_{name}": value}
    return {} if name == "status" else {name: value}


@router.post("/metric")
def create_metric(request: Request, tx: RequestTransaction, caller: WriterCaller, body: JsonBody) -> Response:
    """Make a metric, on a resource if it names one."""
    wanted = from_wire_metric(body)
    resource = None
    if isinstance(body, dict) and body.get("resource_id") is not None:  # pyright: ignore[reportUnknownMemberType]
        resource = resources.get_resource(tx, caller, str(body["resource_id"]))  # pyright: ignore[reportUnknownArgumentType]
        if wanted.name is None:
            raise Invalid("A metric of a resource needs a name", field="name")
    if wanted.name is None and wanted.archive_policy_name is None:
        raise Invalid("Invalid input: archive_policy_name or a name that a rule matches is needed")
    try:
        made = metrics.create_metric(tx, caller, wanted, resource=resource)
    except NamedMetricExists as error:
        raise Invalid(error.message, field="name") from error
    policy = policies.get_archive_policy(tx, made.archive_policy_name)
    body = {**to_wire_metric(made, policy), "archive_policy_name": policy.name}
    return answer(body, 201, location_of(request, "metric", made.id))


@router.get("/metric/{metric_id}")
def show_metric(tx: SnapshotTransaction, caller: RequestCaller, metric_id: str) -> Response:
    """Show a metric with its resource."""
    return answer(to_wire_whole_metric(tx, caller, metric_by_text(tx, caller, metric_id)))


def to_wire_whole_metric(tx: Transaction, caller: Caller, metric: Metric) -> dict[str, Any]:
    """Write a metric with the resource that it belongs to."""
    body = to_wire_metric(metric, policies.get_archive_policy(tx, metric.archive_policy_name))
    del body["resource_id"]
    if metric.resource_id is None:
        return {**body, "resource": None}
    resource = resources.get_resource(tx, caller, str(metric.resource_id))
    return {**body, "resource": to_wire_resource(resource, None)}


@router.delete("/metric/{metric_id}")
def delete_metric(tx: RequestTransaction, caller: WriterCaller, metric_id: str) -> Response:
    """Delete a metric."""
    metrics.delete_metric(tx, caller, metric_by_text(tx, caller, metric_id).id)
    return Response(status_code=204)


@router.post("/search/metric")
def search_measures(
    tx: SnapshotTransaction,
    caller: RequestCaller,
    *,
    wanted: RequestMeasures,
    body: JsonBody,
    metric_id: Annotated[list[str] | None, Query()] = None,
) -> Response:
    """Find the measures of metrics whose values a condition fits."""
    condition = parse_measure_search(body)
    names = list(dict.fromkeys(metric_id or ()))
    if not 1 <= len(names) <= SEARCHED_MAX:
        raise Invalid(f"name 1 to {SEARCHED_MAX} metrics as metric_id", field="metric_id")
    found = metrics.get_metrics(tx, caller, [metric_id_of(name) for name in names])
    searched = aggregating.search_measures(tx, list(found.values()), wanted, condition)
    return answer({str(one): to_wire_series(series) for one, series in searched.items()})


@router.post("/metric/{metric_id}/measures")
def add_measures(
    request: Request, tx: RequestTransaction, caller: WriterCaller, metric_id: str, raw: RawBody
) -> Response:
    """Add measures to a metric."""
    now = context_of(request).clock()
    metric = metric_by_text(tx, caller, metric_id)
    own = from_wire_measures(parse_measures_body(raw), now=now)
    measures.post_metric_measures(tx, caller, metric, own, received_at=now)
    return Response(status_code=202)


@router.get("/resource/{resource_type}/{name}/metric")
def list_resource_metrics(tx: SnapshotTransaction, caller: RequestCaller, resource_type: str, name: str) -> Response:
    """List a resource's metrics."""
    resource = resources.get_resource(tx, caller, name, resource_type=resource_type)
    return answer(
        to_wire_metrics_of(tx, caller, [measures.metric_of_resource(resource, one) for one in resource.metrics])
    )


def to_wire_metrics_of(
    tx: Transaction, caller: Caller, ids: list[Any], *, first: Container[str | None] = ()
) -> list[dict[str, Any]]:
    """Write metrics by id: those named first, then the others, each in order of name."""
    found = metrics.find_metrics(tx, caller, ids)
    policy_of = {policy.name: policy for policy in policies.list_archive_policies(tx)}
    ordered = sorted(found.values(), key=lambda metric: (metric.name not in first, metric.name or ""))
    return [to_wire_metric(metric, policy_of[metric.archive_policy_name]) for metric in ordered]


@router.post("/resource/{resource_type}/{name}/metric")
def create_resource_metrics(
    tx: RequestTransaction, caller: WriterCaller, resource_type: str, name: str, body: JsonBody
) -> Response:
    """Make metrics of a resource, or give it existing ones; answer with all that it has then, as Gnocchi does.

    What was asked for comes first: the client shows the first one as what it has made.
    """
    resource = resources.get_resource(tx, caller, name, resource_type=resource_type)
    resources.require_change(caller, resource)
    wanted = from_wire_metrics(body)
    resources.set_metrics(tx, caller, resource, wanted)
    changed = resources.get_resource(tx, caller, name)
    ids = [measures.metric_of_resource(changed, one) for one in changed.metrics]
    return answer(to_wire_metrics_of(tx, caller, ids, first=wanted))


@router.get("/resource/{resource_type}/{name}/metric/{metric_name}")
def show_resource_metric(
    tx: SnapshotTransaction, caller: RequestCaller, resource_type: str, name: str, metric_name: str
) -> Response:
    """Show a resource's metric."""
    return answer(
        to_wire_whole_metric(
            tx, caller, named_metric(tx, caller, resource_type=resource_type, name=name, metric_name=metric_name)
        )
    )


def named_metric(tx: Transaction, caller: Caller, *, resource_type: str, name: str, metric_name: str) -> Metric:
    """Return a metric by its resource and name."""
    resource = resources.get_resource(tx, caller, name, resource_type=resource_type)
    return metrics.get_metric(tx, caller, measures.metric_of_resource(resource, metric_name))


@router.delete("/resource/{resource_type}/{name}/metric/{metric_name}")
def delete_resource_metric(
    tx: RequestTransaction, caller: WriterCaller, resource_type: str, name: str, metric_name: str
) -> Response:
    """Delete a resource's metric."""
    metrics.delete_metric(
        tx, caller, named_metric(tx, caller, resource_type=resource_type, name=name, metric_name=metric_name).id
    )
    return Response(status_code=204)


@router.get("/resource/{resource_type}/{name}/metric/{metric_name}/measures")
def show_resource_measures(
    tx: SnapshotTransaction,
    caller: RequestCaller,
    resource_type: str,
    name: str,
    metric_name: str,
    wanted: RequestMeasures,
) -> Response:
    """Show the measures of a resource's metric."""
    metric = named_metric(tx, caller, resource_type=resource_type, name=name, metric_name=metric_name)
    return answer(to_wire_series(aggregating.get_measures(tx, metric, wanted)))


@router.post("/resource/{resource_type}/{name}/metric/{metric_name}/measures")
def add_resource_measures(
    request: Request,
    tx: RequestTransaction,
    caller: WriterCaller,
    resource_type: str,
    name: str,
    metric_name: str,
    raw: RawBody,
) -> Response:
    """Add measures to a resource's metric."""
    now = context_of(request).clock()
    metric = named_metric(tx, caller, resource_type=resource_type, name=name, metric_name=metric_name)
    own = from_wire_measures(parse_measures_body(raw), now=now)
    measures.post_metric_measures(tx, caller, metric, own, received_at=now)
    return Response(status_code=202)
