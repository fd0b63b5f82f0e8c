"""Measures from sources that only name things: the resources and metrics that they name are made on the way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from foundation.database import Transaction
from foundation.errors import Invalid
from identity.model import Caller
from metering.attributes import checked_attributes
from metering.model import CURRENT_REVISION, Resource, ResourceType, owned_resource_id, resource_id_of
from metering.service.measures import Measures, NamedMeasures, post_resource_measures
from metering.service.metrics import MetricRequest
from metering.service.policies import hold_resource_type
from metering.store import resources
from metering.store.measures import WriteCounts
from metering.visibility import creator_of, may_change_resource, viewer_of

RESOURCES_MAX = 1_000


@dataclass(frozen=True, slots=True)
class PushedResource:
    """What a source tells of one resource: its attributes, where it has to be made, and measures by the metric's name."""

    name: str
    measures: Mapping[str, Measures]
    attributes: Mapping[str, str]


def push_measures(
    tx: Transaction, caller: Caller, pushed: Sequence[PushedResource], *, resource_type: str, received_at: datetime
) -> WriteCounts:
    """Write what a source tells, all of it or nothing; the resources that are missing become the caller's.

    A name is the caller's own, as in Gnocchi: two projects that both have a host `web1` have two resources.
    """
    if len(pushed) > RESOURCES_MAX:
        raise Invalid(f"at most {RESOURCES_MAX} resources at once, not {len(pushed)}")
    kind = hold_resource_type(tx, resource_type)
    ids = [ensure_resource(tx, caller, one, kind=kind, now=received_at) for one in pushed]
    by_resource = {
        str(resource_id): {name: NamedMeasures(MetricRequest(name), own) for name, own in one.measures.items()}
        for resource_id, one in zip(ids, pushed, strict=True)
    }
    return post_resource_measures(tx, caller, by_resource, create_metrics=True, received_at=received_at)


def ensure_resource(
    tx: Transaction, caller: Caller, pushed: PushedResource, *, kind: ResourceType, now: datetime
) -> UUID:
    """Return the id of the resource that the caller means by a name: one of this type that is there, else a new one."""
    own_id = owned_resource_id(pushed.name, creator=creator_of(caller))
    for resource_id in dict.fromkeys((own_id, resource_id_of(pushed.name))):
        found = resources.find_resource(tx, resource_id, viewer_of(caller))
        if found is not None and found.resource_type == kind.name and may_change_resource(caller, found):
            return resource_id
    made = Resource(
        id=own_id,
        resource_type=kind.name,
        original_resource_id=pushed.name,
        creator=creator_of(caller),
        project_id=caller.project_id,
        user_id=caller.user_id,
        started_at=now,
        ended_at=None,
        revision_start=now,
        revision_end=None,
        attributes=checked_attributes(kind, pushed.attributes, is_new=True),
        metrics={},
        revision=CURRENT_REVISION,
    )
    resources.insert_resource(tx, made)
    found = resources.find_resource(tx, own_id, viewer_of(caller))
    if found is None or found.resource_type != kind.name:
        raise Invalid(f"the resource {pushed.name[:255]} is of another type than {kind.name}, or is not yours")
    return own_id
