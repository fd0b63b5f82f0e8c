"""Aggregates over many metrics, in the operations language."""

import math
from typing import Annotated, Any, cast, get_args

import numpy as np
from fastapi import Depends, Query, Request, Response

from api.body import JsonBody, new_router
from api.context import context_of
from api.gnocchi.answers import answer, is_true
from api.gnocchi.wire import (
    from_wire_granularity,
    from_wire_object,
    from_wire_text,
    from_wire_timestamp,
    to_wire_metric,
    to_wire_points,
    to_wire_resource,
    to_wire_values,
)
from api.reads import answer_read
from foundation.database import Transaction
from foundation.errors import Invalid
from identity.model import Caller
from metering.aggregates import Series
from metering.filters import Filter, parse_json_filter, parse_string_filter
from metering.operations import Matrix
from metering.operations_syntax import parse_operations
from metering.service import aggregating, policies
from metering.service.aggregating import AggregateGroup
from metering.service.referencing import AggregatesRequest, Filling

router = new_router("/v1")
GRANULARITIES_MAX = 20
GROUPS_MAX = 20

Fill = float | Filling | None


async def read_aggregates_request(
    request: Request,
    body: JsonBody,
    *,
    start: Annotated[str | None, Query()] = None,
    stop: Annotated[str | None, Query()] = None,
    granularity: Annotated[list[str] | None, Query()] = None,
    needed_overlap: Annotated[str | None, Query()] = None,
    fill: Annotated[str | None, Query()] = None,
    groupby: Annotated[list[str] | None, Query()] = None,
    use_history: Annotated[str | None, Query()] = None,
) -> AggregatesRequest:
    """Read what is asked: the operations and the search from the body, the rest from the query."""
    now = context_of(request).clock()
    fields = from_wire_object(
        body, allowed=frozenset({"operations", "resource_type", "search"}), required=("operations",)
    )
    widths = {from_wire_granularity(one, "granularity") for one in granularity or ()} - {None}
    names = from_wire_groupby(groupby)
    if len(widths) > GRANULARITIES_MAX:
        raise Invalid(f"at most {GRANULARITIES_MAX} granularities", field="granularity")
    if names and "search" not in fields and "resource_type" not in fields:
        raise Invalid("groupby needs a search of resources", field="groupby")
    by_resource = "search" in fields or "resource_type" in fields
    return AggregatesRequest(
        expression=parse_operations(fields["operations"]),
        now=now,
        resource_type=(from_wire_text(fields, "resource_type") or "generic") if by_resource else None,
        search=from_wire_search(fields.get("search")),
        start=from_wire_timestamp(start, now=now, field="start") if start else None,
        stop=from_wire_timestamp(stop, now=now, field="stop") if stop else None,
        granularities_us=tuple(width for width in widths if width is not None),
        needed_overlap=from_wire_percent(needed_overlap),
        fill=from_wire_fill(fill, is_default=needed_overlap is None),
        groupby=names,
        use_history=is_true(use_history),
    )


def from_wire_groupby(groupby: list[str] | None) -> tuple[str, ...]:
    """Read the attributes to group by, given several times or joined by commas."""
    names = tuple(dict.fromkeys(name.strip() for part in groupby or () for name in part.split(",") if name.strip()))
    if len(names) > GROUPS_MAX:
        raise Invalid(f"at most {GROUPS_MAX} attributes to group by", field="groupby")
    return names


RequestAggregates = Annotated[AggregatesRequest, Depends(read_aggregates_request)]


def from_wire_search(value: object) -> Filter | None:
    """Read a search in either syntax."""
    if value is None:
        return None
    return parse_string_filter(value) if isinstance(value, str) else parse_json_filter(value)


def from_wire_percent(text: str | None) -> float:
    """Read the percentage of instants that all series must have."""
    try:
        percent = float(text) if text else 100.0
    except ValueError:
        percent = math.nan
    if not 0 <= percent <= 100:
        raise Invalid("needed_overlap must be a number of 0 to 100", field="needed_overlap")
    return percent


def from_wire_fill(text: str | None, *, is_default: bool) -> Fill:
    """Read what stands where a series has no value; with neither fill nor needed_overlap such values are left out."""
    if not text:
        return "dropna" if is_default else None
    if text in get_args(Filling):
        return cast(Filling, text)
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise Invalid(f"fill must be a float or one of {', '.join(get_args(Filling))}", field="fill")
    return number


@router.post("/aggregates")
async def show_aggregates(
    request: Request, wanted: RequestAggregates, details: Annotated[str | None, Query()] = None
) -> Response:
    """Evaluate operations over metrics."""

    def respond(tx: Transaction, caller: Caller) -> Response:
        groups = aggregating.aggregate(tx, caller, wanted)
        bodies = [to_wire_group(tx, group, wanted, with_references=is_true(details)) for group in groups]
        if not wanted.groupby:
            return answer(bodies[0])
        named = zip(groups, bodies, strict=True)
        return answer([{"group": to_wire_values(group.group), "measures": body} for group, body in named])

    return await answer_read(request, respond)


def to_wire_group(
    tx: Transaction, group: AggregateGroup, wanted: AggregatesRequest, *, with_references: bool
) -> dict[str, Any]:
    """Write one answer, with what went into it if wanted."""
    tree: dict[str, Any] = {}
    for matrix in group.matrices:
        add_matrix(tree, matrix, wanted)
    body: dict[str, Any] = {"measures": tree}
    if with_references and wanted.resource_type is not None:
        types = {one.name: one for one in policies.list_resource_types(tx)}
        body["references"] = [to_wire_resource(one, types.get(one.resource_type)) for one in group.resources]
    elif with_references:
        policy_of = {one.name: one for one in policies.list_archive_policies(tx)}
        body["references"] = [to_wire_metric(one, policy_of[one.archive_policy_name]) for one in group.metrics]
    return body


def add_matrix(tree: dict[str, Any], matrix: Matrix, wanted: AggregatesRequest) -> None:
    """Add a matrix's series to the tree: aggregated, or by resource, metric and aggregation, or by metric and aggregation."""
    for place, column in enumerate(matrix.columns):
        values = matrix.values[:, place]
        series = Series(matrix.times_us, values)
        if wanted.fill != "null":
            present = np.isfinite(values)
            series = Series(matrix.times_us[present], values[present])
        points = to_wire_points(matrix.width, series)
        if matrix.is_aggregated:
            tree.setdefault("aggregated", []).extend(points)
            return
        branch = tree.setdefault(column.owner, {}) if column.owner else tree
        branch.setdefault(column.metric, {}).setdefault(column.wanted.aggregation, []).extend(points)
