"""Which series the operations of `aggregates` are about: metrics by id, or by name on the resources of a search, in groups."""

import fnmatch
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Literal, TypeAlias
from uuid import UUID

from foundation.database import Transaction
from foundation.errors import Invalid
from identity.model import Caller
from metering.errors import MetricsNotFound, NamedMetricsNotFound
from metering.event_model import SUBJECT_TYPE
from metering.filters import Filter
from metering.model import Listing, Metric, Resource
from metering.operations import Column, MetricWanted
from metering.operations_syntax import Expression
from metering.service import policies
from metering.service.metrics import find_metrics
from metering.service.resources import search_resources, search_states

RESOURCES_MAX = 10_000
SERIES_MAX = 50_000
Filling: TypeAlias = Literal["null", "dropna", "ffill", "bfill", "full_ffill", "full_bfill"]
GROUPED_BY = {
    **{name: name for name in ("id", "project_id", "user_id", "original_resource_id", "creator")},
    **{name: name for name in ("started_at", "ended_at", "revision_start")},
    "type": "resource_type",
}
"""What every resource has to be grouped by, and where it stands."""


@dataclass(frozen=True, slots=True)
class AggregatesRequest:
    """What `aggregates` is asked: operations over metrics by id, or by name on the resources that a search finds."""

    expression: Expression
    now: datetime
    resource_type: str | None = None
    search: Filter | None = None
    start: datetime | None = None
    stop: datetime | None = None
    granularities_us: tuple[int, ...] = ()
    needed_overlap: float = 100.0
    fill: "float | Filling | None" = "dropna"
    groupby: tuple[str, ...] = ()
    use_history: bool = False


@dataclass(frozen=True, slots=True)
class Reference:
    """A series that the operations are about: the metric, what it is called in them, whose it is, and its name where a pattern found it."""

    metric: Metric
    wanted: MetricWanted
    owner: str = ""
    matched: str = ""

    @property
    def column(self) -> Column:
        """Its place in the matrix."""
        return Column(self.wanted, self.owner, self.matched)


@dataclass(slots=True)
class References:
    """The series of one group."""

    group: Mapping[str, object]
    references: list[Reference] = field(default_factory=list[Reference])
    resources: list[Resource] = field(default_factory=list[Resource])
    spans: dict[str, list[tuple[int, int]]] = field(default_factory=dict[str, list[tuple[int, int]]])
    """With history: when each resource was in the group."""


def find_groups(
    tx: Transaction, caller: Caller, request: AggregatesRequest, wanted: Sequence[MetricWanted]
) -> list[References]:
    """Find the metrics that the operations name, by id, or by name on the resources of the search."""
    if request.resource_type is None:
        return [References({}, by_id(tx, caller, wanted))]
    return by_resource(tx, caller, request, wanted)


def by_id(tx: Transaction, caller: Caller, wanted: Sequence[MetricWanted]) -> list[Reference]:
    """Find the metrics that operations name by id."""
    ids: dict[str, UUID] = {}
    for one in wanted:
        try:
            ids[one.metric] = UUID(one.metric)
        except ValueError:
            raise Invalid(f"Invalid operations: '{one.metric}' is not a metric's id", field="operations") from None
    found = find_metrics(tx, caller, list(ids.values()))
    missing = sorted({str(metric_id) for metric_id in ids.values() if metric_id not in found})
    if missing:
        raise MetricsNotFound(missing)
    return [Reference(found[ids[one.metric]], one) for one in wanted]


def by_resource(
    tx: Transaction, caller: Caller, request: AggregatesRequest, wanted: Sequence[MetricWanted]
) -> list[References]:
    """Find the metrics that operations name on the resources of a search, one group for each value of groupby."""
    assert request.resource_type is not None
    states = find_states(tx, caller, request, request.resource_type)
    found = [state for state, _, _ in states]
    require_groupable(tx, request.groupby, resource_type=request.resource_type, found=found)
    names = names_wanted(found, wanted)
    metric_ids = {
        UUID(resource.metrics[name]) for resource in found for one in wanted for name in names[resource.id, one.metric]
    }
    metrics = find_metrics(tx, caller, list(metric_ids))
    groups: dict[tuple[object, ...], References] = {}
    series_count = 0
    for resource, start_us, stop_us in states:
        values = tuple(attribute_of(resource, name) for name in request.groupby)
        group = groups.setdefault(values, References(dict(zip(request.groupby, values, strict=True))))
        owner = str(resource.id)
        if owner not in group.spans:
            own = [
                Reference(metrics[metric_id], one, owner, "" if name == one.metric else name)
                for one in wanted
                for name in names[resource.id, one.metric]
                if (metric_id := UUID(resource.metrics[name])) in metrics
            ]
            if not own:
                continue
            group.references.extend(own)
            series_count += len(own)
            require_few_series(series_count)
        group.resources.append(resource)
        group.spans.setdefault(owner, []).append((start_us, stop_us))
    filled = [groups[values] for values in sorted(groups, key=str) if groups[values].references]
    if not filled:
        raise NamedMetricsNotFound(sorted({one.metric for one in wanted}))
    return filled


def require_groupable(tx: Transaction, names: Sequence[str], *, resource_type: str, found: Sequence[Resource]) -> None:
    """Raise Invalid for what no resource of the type has; what is generic may have the attributes of any type.

    What events are about has what their meters group by, which its type does not name.
    """
    if not names or (resource_type == SUBJECT_TYPE and not found):
        return
    types = [one for one in policies.list_resource_types(tx) if resource_type in ("generic", one.name)]
    known = {*GROUPED_BY, *chain.from_iterable(one.attributes for one in (*types, *found))}
    for name in names:
        if name not in known:
            raise Invalid(
                f"Invalid groupby attribute: no resource of the type {resource_type} has a {name[:60]}", field="groupby"
            )


def names_wanted(found: Sequence[Resource], wanted: Sequence[MetricWanted]) -> Mapping[tuple[UUID, str], Sequence[str]]:
    """Return by resource and pattern the names that are found. Raises Invalid where they are more series than are read at once."""
    times_asked = Counter(one.metric for one in wanted)
    names: dict[tuple[UUID, str], Sequence[str]] = {}
    series_count = 0
    for resource in found:
        for pattern, times in times_asked.items():
            if (resource.id, pattern) not in names:
                own = names[resource.id, pattern] = matching(pattern, resource.metrics)
                series_count += times * len(own)
                require_few_series(series_count)
    return names


def require_few_series(count: int) -> None:
    """Raise Invalid for more series than are read at once; one metric is as many as the patterns, methods and groups that name it."""
    if count > SERIES_MAX:
        raise Invalid(
            f"the operations name more than {SERIES_MAX} series at once: narrow the search or the pattern",
            field="operations",
        )


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    """Return the names that a pattern with * and ? finds, in order; a name that is just like it goes before all others."""
    there = set(names)
    return [pattern] if pattern in there else sorted(fnmatch.filter(there, pattern))


def find_states(
    tx: Transaction, caller: Caller, request: AggregatesRequest, resource_type: str
) -> Sequence[tuple[Resource, int, int]]:
    """Return the resources of the search, as they are now and always, or with history each state with when it held."""
    if request.use_history:
        return search_states(tx, caller, resource_type=resource_type, search=request.search, limit=RESOURCES_MAX)
    listing = Listing(limit=RESOURCES_MAX)
    found = search_resources(tx, caller, resource_type=resource_type, search=request.search, listing=listing)
    return [(resource, 0, 0) for resource in found]


def attribute_of(resource: Resource, name: str) -> object:
    """Return what a resource is grouped by."""
    if name not in GROUPED_BY:
        return resource.attributes.get(name)
    value = getattr(resource, GROUPED_BY[name])
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if value not in ("", None) else None
