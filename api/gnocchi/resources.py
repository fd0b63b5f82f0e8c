"""Resources, their history, and searching them."""

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Annotated, Any, cast
from uuid import UUID

from fastapi import Depends, Query, Request, Response

from api.authentication import RequestCaller, WriterCaller
from api.body import JsonBody, new_router, parse_json
from api.context import context_of
from api.gnocchi.answers import RequestListing, answer, is_true, link_header, location_of, url_of, uuid_or_none
from api.gnocchi.measures import RawBody
from api.gnocchi.preconditions import has_precondition, is_unchanged, require_change_allowed, tag_headers
from api.gnocchi.wire import from_wire_metric, from_wire_text, from_wire_timestamp, to_wire_resource
from api.transaction import RequestTransaction, SnapshotTransaction
from foundation.database import Transaction
from foundation.errors import Invalid
from identity.model import Caller
from metering.filters import Filter, parse_json_filter, parse_string_filter
from metering.model import CURRENT_REVISION, Listing, Resource
from metering.samples import OLDEST
from metering.service import policies, resources
from metering.service.metrics import MetricRequest
from metering.service.resources import ResourceRequest

router = new_router("/v1")
EPOCH = OLDEST
RESOURCE_ID_LENGTH_MAX = 289
"""As in Gnocchi."""
SORTS_DEFAULT = (("revision_start", False), ("started_at", False))
TOLD_FIELDS = frozenset({"project_id", "user_id", "started_at", "ended_at", "metrics"})


def read_filter(raw: RawBody, filter: Annotated[str | None, Query()] = None) -> Filter | None:
    """Read a search: the query parameter in the string syntax, or a body in JSON syntax."""
    if filter is not None:
        return parse_string_filter(filter)
    body: object = parse_json(raw) if raw.strip() else None
    return parse_json_filter(body) if body is not None else None


RequestFilter = Annotated[Filter | None, Depends(read_filter)]


def from_wire_metrics(value: object) -> dict[str, "MetricRequest | UUID"]:
    """Read {name: metric id, or what the metric is made with}."""
    if not isinstance(value, dict):
        raise Invalid("Invalid input: expected an object of metrics by name", field="metrics")
    wanted: dict[str, MetricRequest | UUID] = {}
    for name, given in cast("dict[str, Any]", value).items():
        metric_id = uuid_or_none(given) if isinstance(given, str) else None
        if metric_id is None and not isinstance(given, dict):
            raise Invalid(f"Invalid input: expected a metric's id or an object @ data['metrics']['{name[:60]}']")
        fields = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
        own = from_wire_metric({**fields, "name": name})
        wanted[name] = metric_id if metric_id is not None else own
    return wanted


def split_fields(body: object, *, told: Set[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Part a resource's body into the fields that are told of every resource and the attributes of its type."""
    if not isinstance(body, dict):
        raise Invalid("Invalid input: expected an object")
    fields = cast("dict[str, Any]", body)
    common = {name: value for name, value in fields.items() if name in told}
    return common, {name: value for name, value in fields.items() if name not in told}


def to_wire(tx: Transaction, resource: Resource) -> dict[str, Any]:
    """Write a resource with all attributes of its type."""
    return to_wire_resource(resource, policies.get_resource_type(tx, resource.resource_type))


def answer_resource(
    tx: Transaction, resource: Resource, *, status: int = 200, place: Mapping[str, str] | None = None
) -> Response:
    """Write a resource with its entity tag."""
    body = to_wire(tx, resource)
    return answer(body, status, {**tag_headers(body, resource), **(place or {})})


def check_precondition(request: Request, tx: Transaction, caller: Caller, *, resource_type: str, name: str) -> None:
    """Hold the resource still and compare its state, where the request asks for one."""
    if has_precondition(request):
        held = resources.lock_resource(tx, caller, name, resource_type=resource_type)
        require_change_allowed(request, tag_headers(to_wire(tx, held), held))


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A page of resources: which part, with former states or not, and which of their attributes (none named: all)."""

    listing: Listing
    with_history: bool
    with_details: bool
    attributes: frozenset[str]


def read_page_request(
    listing: RequestListing,
    *,
    history: Annotated[str | None, Query()] = None,
    details: Annotated[str | None, Query()] = None,
    attrs: Annotated[list[str] | None, Query()] = None,
) -> PageRequest:
    """Read how a list of resources is wanted; `attrs` may be given several times or joined by commas."""
    names = frozenset(name.strip() for part in attrs or () for name in part.split(",") if name.strip())
    ordered = replace(listing, sorts=listing.sorts or SORTS_DEFAULT)
    return PageRequest(checked_marker(ordered), is_true(history), is_true(details), names)


RequestedPage = Annotated[PageRequest, Depends(read_page_request)]


def to_wire_page(
    request: Request, tx: Transaction, found: Sequence[Resource], *, page: PageRequest, resource_type: str
) -> Response:
    """Write a page of resources; those of the generic type have their own type's attributes only with details."""
    types = {one.name: one for one in policies.list_resource_types(tx)}
    is_whole = page.with_details or resource_type != "generic"
    body = [
        to_wire_resource(one, types.get(one.resource_type))
        if is_whole
        else to_wire_resource(replace(one, attributes={}), None)
        for one in found
    ]
    if page.attributes:
        body = [{name: value for name, value in one.items() if name in page.attributes} for one in body]
    if not body:
        return answer([])
    last = found[-1]
    number = -1 if last.revision == CURRENT_REVISION else last.revision
    marker = f"{last.id}@{number}" if page.with_history else str(last.id)
    return answer(body, headers=link_header(request, page.listing, count=len(body), marker=marker))


def checked_marker(listing: Listing) -> Listing:
    """Read a marker: a resource's id, or id@revision, where the state of now is the revision -1."""
    if listing.marker is None:
        return listing
    name, _, revision = listing.marker.partition("@")
    if uuid_or_none(name) is None or not re.fullmatch(r"(-1|[0-9]{1,18})?", revision):
        raise Invalid("Invalid pagination: the marker is not a resource's id, or id@revision", field="marker")
    return replace(listing, marker=name if revision in ("", "-1") else listing.marker)


@router.get("/resource")
def list_types_with_resources(request: Request, tx: SnapshotTransaction, _: RequestCaller) -> Response:
    """Say where the resources of each type are."""
    return answer({one.name: url_of(request, "resource", one.name) for one in policies.list_resource_types(tx)})


@router.get("/resource/{resource_type}")
def list_resources(
    request: Request,
    tx: SnapshotTransaction,
    caller: RequestCaller,
    resource_type: str,
    page: RequestedPage,
) -> Response:
    """List the resources of a type; generic is every type."""
    found = resources.search_resources(
        tx,
        caller,
        resource_type=resource_type,
        search=None,
        listing=page.listing,
        with_history=page.with_history,
    )
    return to_wire_page(request, tx, found, page=page, resource_type=resource_type)


@router.post("/search/resource/{resource_type}")
def search_resources(
    request: Request,
    tx: SnapshotTransaction,
    caller: RequestCaller,
    resource_type: str,
    page: RequestedPage,
    search: RequestFilter,
) -> Response:
    """Find the resources of a type that a filter matches."""
    found = resources.search_resources(
        tx,
        caller,
        resource_type=resource_type,
        search=search,
        listing=page.listing,
        with_history=page.with_history,
    )
    return to_wire_page(request, tx, found, page=page, resource_type=resource_type)


@router.post("/resource/{resource_type}")
def create_resource(
    request: Request, tx: RequestTransaction, caller: WriterCaller, resource_type: str, body: JsonBody
) -> Response:
    """Make a resource."""
    now = context_of(request).clock()
    common, attributes = split_fields(body, told=TOLD_FIELDS | {"id"})
    name = from_wire_text(common, "id", length_max=RESOURCE_ID_LENGTH_MAX)
    if name is None:
        raise Invalid("Invalid input: required key not provided @ data['id']", field="id")
    if "/" in name:
        raise Invalid("'/' is not supported in resource id", field="id")
    wanted = ResourceRequest(
        name=name,
        project_id=from_wire_text(common, "project_id"),
        user_id=from_wire_text(common, "user_id"),
        started_at=from_wire_instant(common, "started_at", now),
        ended_at=from_wire_instant(common, "ended_at", now),
    )
    made = resources.create_resource(
        tx,
        caller,
        wanted,
        resource_type=resource_type,
        attributes=attributes,
        metrics=from_wire_metrics(common.get("metrics", {})),
        now=now,
    )
    return answer_resource(tx, made, status=201, place=location_of(request, "resource", resource_type, made.id))


def from_wire_instant(fields: Mapping[str, Any], name: str, now: Any) -> Any:
    """Read an optional time."""
    value = fields.get(name)
    return from_wire_timestamp(value, now=now, field=name) if value is not None else None


@router.get("/resource/{resource_type}/{name}")
def show_resource(
    request: Request, tx: SnapshotTransaction, caller: RequestCaller, resource_type: str, name: str
) -> Response:
    """Show a resource, unless the client has this state of it already."""
    found = resources.get_resource(tx, caller, name, resource_type=resource_type)
    body = to_wire(tx, found)
    headers = tag_headers(body, found)
    return Response(status_code=304, headers=headers) if is_unchanged(request, headers) else answer(body, 200, headers)


@router.patch("/resource/{resource_type}/{name}")
def update_resource(
    request: Request, tx: RequestTransaction, caller: WriterCaller, resource_type: str, name: str, body: JsonBody
) -> Response:
    """Change a resource."""
    now = context_of(request).clock()
    check_precondition(request, tx, caller, resource_type=resource_type, name=name)
    common, attributes = split_fields(body, told=TOLD_FIELDS)
    changes: dict[str, Any] = {
        field: from_wire_text(common, field) or "" for field in ("project_id", "user_id") if field in common
    }
    changes |= {field: from_wire_instant(common, field, now) for field in ("started_at", "ended_at") if field in common}
    if changes.get("started_at", now) is None:
        raise Invalid("Invalid input: started_at is a time", field="started_at")
    updated = resources.update_resource(
        tx,
        caller,
        name,
        resource_type=resource_type,
        changes=changes,
        attributes=attributes,
        metrics=from_wire_metrics(common["metrics"]) if "metrics" in common else None,
        now=now,
    )
    return answer_resource(tx, updated)


@router.delete("/resource/{resource_type}/{name}")
def delete_resource(
    request: Request, tx: RequestTransaction, caller: WriterCaller, resource_type: str, name: str
) -> Response:
    """Delete a resource with its metrics."""
    check_precondition(request, tx, caller, resource_type=resource_type, name=name)
    resources.delete_resource(tx, caller, name, resource_type=resource_type, now=context_of(request).clock())
    return Response(status_code=204)


@router.delete("/resource/{resource_type}")
def delete_resources(
    request: Request, tx: RequestTransaction, caller: WriterCaller, resource_type: str, search: RequestFilter
) -> Response:
    """Delete all resources that a filter matches."""
    now = context_of(request).clock()
    return answer(
        {"deleted": resources.delete_resources(tx, caller, resource_type=resource_type, search=search, now=now)}
    )


@router.get("/resource/{resource_type}/{name}/history")
def show_history(
    request: Request,
    tx: SnapshotTransaction,
    caller: RequestCaller,
    resource_type: str,
    name: str,
    page: RequestedPage,
) -> Response:
    """Show a resource's states, the oldest first."""
    asked = replace(page, with_history=True)
    found = resources.list_history(tx, caller, name, resource_type=resource_type, listing=asked.listing)
    return to_wire_page(request, tx, found, page=asked, resource_type=resource_type)
