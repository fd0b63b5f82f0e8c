"""Resources: what they are, what they were, and finding them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from foundation.database import Transaction
from foundation.errors import Forbidden, Invalid
from identity.model import Caller
from identity.policy import is_admin
from metering.attributes import checked_attributes
from metering.errors import NamedMetricExists, ResourceExists, ResourceNotFound, SeveralCalled
from metering.event_model import SUBJECT_TYPE
from metering.filters import (
    Comparison,
    Either,
    Every,
    Filter,
    FilterInvalid,
    Operator,
    attributes_named,
    equals,
    is_name,
    with_names,
)
from metering.model import CURRENT_REVISION, Listing, Resource, ResourceType, owned_resource_id, resource_id_of
from metering.samples import microseconds_of
from metering.service.metrics import (
    MetricRequest,
    archive_policies_for,
    attach_metrics,
    delete_metrics,
    make_named_metrics,
    require_attachable,
)
from metering.service.policies import get_resource_type, hold_resource_type
from metering.store import resources
from metering.store.search import SEARCHABLE
from metering.visibility import Viewer, creator_of, may_change_resource, may_place_in, viewer_of

BULK_DELETE_MAX = 10_000
LONG_AGO_US, FAR_AHEAD_US = -(2**60), 2**60


@dataclass(frozen=True, slots=True)
class ResourceRequest:
    """What a caller says of a resource; absent fields are None, and `stays` names none of them."""

    name: str
    project_id: str | None = None
    user_id: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None


def get_resource(tx: Transaction, caller: Caller, name: str, *, resource_type: str = "generic") -> Resource:
    """Return a resource by id or by name; another type's or another project's does not exist.

    A name means what the caller has made under it, else what was metered under it, else what others made that the caller
    may see. Raises SeveralCalled where that is more than one.
    """
    viewer = viewer_of(caller)
    own_id = owned_resource_id(name, creator=viewer.creator)
    for resource_id in dict.fromkeys((own_id, resource_id_of(name))):
        found = resources.find_resource(tx, resource_id, viewer)
        if found is not None and resource_type in ("generic", found.resource_type):
            return found
    called = resources.find_called(tx, name, viewer, resource_type=resource_type) if is_name(name) else ()
    if len(called) > 1:
        raise SeveralCalled(name, [one.id for one in called])
    found = resources.find_resource(tx, called[0].id, viewer) if called else None
    if found is None:
        raise ResourceNotFound(name)
    return found


def id_called(tx: Transaction, caller: Caller, name: str) -> UUID:
    """Return the id of the resource that a name means to the caller, whether or not there is one."""
    if not is_name(name):
        return UUID(name)
    try:
        return get_resource(tx, caller, name).id
    except ResourceNotFound:
        return owned_resource_id(name, creator=creator_of(caller))


def search_resources(
    tx: Transaction,
    caller: Caller,
    *,
    resource_type: str,
    search: Filter | None,
    listing: Listing,
    with_history: bool = False,
) -> Sequence[Resource]:
    """Return a page of resources of a type (generic: of all types); a name is whatever the caller may see under it."""
    require_searchable(get_resource_type(tx, resource_type), search)
    viewer = viewer_of(caller)

    def called(name: str) -> Filter:
        return Either((own_thing(viewer, name), equals("original_resource_id", name)))

    meant = None if search is None else with_names(search, called)
    return resources.search_resources(
        tx, viewer, resource_type=resource_type, search=meant, listing=listing, with_history=with_history
    )


def require_searchable(resource_type: ResourceType, search: Filter | None) -> None:
    """Raise FilterInvalid for an attribute that no resource of the type has: a slip of the pen would find nothing, or all but nothing.

    What is generic may have the attributes of any type, and what events are about has what their meters group by.
    """
    if search is None or resource_type.name in ("generic", SUBJECT_TYPE):
        return
    for name in sorted(attributes_named(search) - SEARCHABLE - resource_type.attributes.keys()):
        raise FilterInvalid(f"no resource of the type {resource_type.name} has a {name[:60]}")


def own_thing(viewer: Viewer, name: str) -> Filter:
    """Return the filter that finds what a viewer has made under a name."""
    return equals("id", str(owned_resource_id(name, creator=viewer.creator)))


def search_states(
    tx: Transaction, caller: Caller, *, resource_type: str, search: Filter | None, limit: int
) -> Sequence[tuple[Resource, int, int]]:
    """Return the states, former and present, that a filter matches, each with when it held in microseconds since 1970.

    A resource's first state holds for all the time before it, its last for all the time after.
    """
    found = search_resources(
        tx, caller, resource_type=resource_type, search=search, listing=Listing(limit=limit), with_history=True
    )
    first = resources.find_first_revisions(tx, [state.id for state in found])
    spans: list[tuple[Resource, int, int]] = []
    for state in found:
        is_first = state.revision == first.get(state.id, CURRENT_REVISION)
        start_us = LONG_AGO_US if is_first else microseconds_of(state.revision_start)
        stop_us = FAR_AHEAD_US if state.revision_end is None else microseconds_of(state.revision_end)
        spans.append((state, start_us, stop_us))
    return spans


def list_history(
    tx: Transaction, caller: Caller, name: str, *, resource_type: str, listing: Listing
) -> Sequence[Resource]:
    """Return a resource's states, the oldest first unless sorted otherwise."""
    found = get_resource(tx, caller, name, resource_type=resource_type)
    viewer = viewer_of(caller)
    ordered = listing if listing.sorts else replace(listing, sorts=(("revision_start", False),))
    return resources.search_resources(
        tx, viewer, resource_type="generic", search=equals("id", str(found.id)), listing=ordered, with_history=True
    )


def create_resource(
    tx: Transaction,
    caller: Caller,
    request: ResourceRequest,
    *,
    resource_type: str,
    attributes: Mapping[str, Any],
    metrics: Mapping[str, "MetricRequest | UUID"],
    now: datetime,
) -> Resource:
    """Make a resource, with metrics that are made for it or given to it; only an admin makes one for another project.

    A name is its creator's own, as in Gnocchi: two creators may both have a web1.
    """
    kind = hold_resource_type(tx, resource_type)
    project_id = request.project_id if request.project_id is not None else ""
    if project_id and not may_place_in(caller, project_id):
        raise Forbidden("only an admin may make a resource for another project")
    started_at = request.started_at or now
    check_order(started_at, request.ended_at)
    check_not_made_before(tx, caller, request.name)
    resource = Resource(
        id=owned_resource_id(request.name, creator=creator_of(caller)),
        resource_type=resource_type,
        original_resource_id=request.name,
        creator=creator_of(caller),
        project_id=project_id,
        user_id=request.user_id or "",
        started_at=started_at,
        ended_at=request.ended_at,
        revision_start=now,
        revision_end=None,
        attributes=checked_attributes(kind, attributes, is_new=True),
        metrics={},
    )
    if not resources.insert_resources(tx, [resource]):
        raise ResourceExists(resource.id)
    set_metrics(tx, caller, resource, metrics)
    return get_resource(tx, caller, str(resource.id))


def check_not_made_before(tx: Transaction, caller: Caller, name: str) -> None:
    """Raise ResourceExists where the caller made a resource by this name while a name still was one id for everybody."""
    known = resources.find_resource(tx, resource_id_of(name), viewer_of(caller))
    if known is not None and known.creator == creator_of(caller):
        raise ResourceExists(known.id)


def lock_resource(tx: Transaction, caller: Caller, name: str, *, resource_type: str) -> Resource:
    """Return a resource that nobody else changes until the transaction ends; raise Forbidden for one not to be changed."""
    found = get_resource(tx, caller, name, resource_type=resource_type)
    require_change(caller, found)
    hold_resource_type(tx, found.resource_type)
    resources.lock_resource(tx, found.id)
    return get_resource(tx, caller, name, resource_type=resource_type)


def update_resource(
    tx: Transaction,
    caller: Caller,
    name: str,
    *,
    resource_type: str,
    changes: Mapping[str, Any],
    attributes: Mapping[str, Any],
    metrics: Mapping[str, "MetricRequest | UUID"] | None,
    now: datetime,
) -> Resource:
    """Change a resource; `changes` holds any of project_id, user_id, started_at and ended_at."""
    former = lock_resource(tx, caller, name, resource_type=resource_type)
    project_id = changes.get("project_id", former.project_id)
    if project_id != former.project_id and not may_place_in(caller, project_id):
        raise Forbidden("only an admin may give a resource to another project")
    kind = get_resource_type(tx, former.resource_type)
    told = checked_attributes(kind, attributes, is_new=False)
    updated = replace(former, attributes={**former.attributes, **told}, **changes)
    check_order(updated.started_at, updated.ended_at)
    if updated != former:
        resources.update_resource(tx, updated, now=now)
    if metrics is not None:
        replace_metrics(tx, caller, updated, metrics)
    return get_resource(tx, caller, str(former.id))


def check_order(started_at: datetime, ended_at: datetime | None) -> None:
    """Refuse a resource that ends before it starts."""
    if ended_at is not None and ended_at < started_at:
        raise Invalid("Start timestamp cannot be after end timestamp", field="ended_at")


def require_change(caller: Caller, resource: Resource) -> None:
    """Raise Forbidden unless the caller may change the resource."""
    if not may_change_resource(caller, resource):
        raise Forbidden("only the creator of a resource or an admin may change it")


def set_metrics(
    tx: Transaction, caller: Caller, resource: Resource, metrics: Mapping[str, "MetricRequest | UUID"]
) -> None:
    """Make or attach a resource's metrics; that they can be is looked at before whether their names are free, as in Gnocchi."""
    given = {name: metric for name, metric in metrics.items() if isinstance(metric, UUID)}
    asked = {
        (resource.id, name): replace(metric, name=name)
        for name, metric in metrics.items()
        if isinstance(metric, MetricRequest)
    }
    archive_policies_for(tx, [*asked.values()])
    require_attachable(tx, caller, [*given.values()])
    taken = [name for name in metrics if name in resource.metrics]
    if taken:
        raise NamedMetricExists(taken[0])
    missed = asked.keys() - make_named_metrics(tx, caller, asked) if asked else set[tuple[UUID, str]]()
    if missed:
        raise NamedMetricExists(min(missed)[1])
    if given:
        attach_metrics(tx, resource.id, given)


def replace_metrics(
    tx: Transaction, caller: Caller, resource: Resource, metrics: Mapping[str, "MetricRequest | UUID"]
) -> None:
    """Give a resource just these metrics: those it has stay, those not named are deleted, the others made or attached."""
    dropped = [UUID(metric_id) for name, metric_id in resource.metrics.items() if name not in metrics]
    if dropped:
        delete_metrics(tx, caller, dropped)
    stays = {name for name, metric in metrics.items() if resource.metrics.get(name) == str(metric)}
    left = replace(resource, metrics={name: own for name, own in resource.metrics.items() if name in metrics})
    set_metrics(tx, caller, left, {name: metric for name, metric in metrics.items() if name not in stays})


def delete_resource(tx: Transaction, caller: Caller, name: str, *, resource_type: str, now: datetime) -> None:
    """Hide a resource with its metrics; what was metered stays for the bill."""
    found = get_resource(tx, caller, name, resource_type=resource_type)
    require_change(caller, found)
    resources.mark_resources_deleted(tx, [found.id], now=now)


def delete_resources(
    tx: Transaction, caller: Caller, *, resource_type: str, search: Filter | None, now: datetime
) -> int:
    """Hide all resources that a filter matches and the caller may change; return how many.

    Here a name means only what the caller has made under it: what others gave the same name goes by its id alone.
    """
    if search is None:
        raise Invalid("caution: the query can not be empty, or it will delete entire database")
    own = search if is_admin(caller) else Every((search, Comparison(Operator.EQ, "creator", creator_of(caller))))
    require_searchable(get_resource_type(tx, resource_type), search)
    viewer = viewer_of(caller)
    meant = with_names(own, partial(own_thing, viewer))
    listing = Listing(limit=BULK_DELETE_MAX)
    found = resources.search_resources(tx, viewer, resource_type=resource_type, search=meant, listing=listing)
    resources.mark_resources_deleted(tx, [resource.id for resource in found], now=now)
    return len(found)
