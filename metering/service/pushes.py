"""Measures from sources that only name things: the resources and metrics that they name are made on the way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import numpy as np

from foundation.database import Transaction
from foundation.errors import Invalid
from identity.model import Caller
from metering.attributes import checked_attributes
from metering.errors import ResourceExists
from metering.model import CURRENT_REVISION, Resource, ResourceType, owned_resource_id, resource_id_of
from metering.service.measures import Measures, NamedMeasures, post_resource_measures
from metering.service.metrics import MetricRequest
from metering.service.policies import hold_resource_type
from metering.store import resources
from metering.store.measures import WriteCounts
from metering.visibility import creator_of, may_change_created_by, viewer_of

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
    by_resource: dict[str, dict[str, NamedMeasures]] = {}
    for resource_id, one in zip(ensure_resources(tx, caller, pushed, kind=kind, now=received_at), pushed, strict=True):
        own = by_resource.setdefault(str(resource_id), {})
        for name, told in one.measures.items():
            measures = joined(own[name].measures, told) if name in own else told
            own[name] = NamedMeasures(MetricRequest(name), measures)
    return post_resource_measures(tx, caller, by_resource, create_metrics=True, received_at=received_at)


def joined(first: Measures, second: Measures) -> Measures:
    """Put measures of one metric together."""
    return Measures(np.concatenate([first.times_us, second.times_us]), np.concatenate([first.values, second.values]))


def ensure_resources(
    tx: Transaction, caller: Caller, pushed: Sequence[PushedResource], *, kind: ResourceType, now: datetime
) -> list[UUID]:
    """Return the id of the resource that the caller means by each name: one of this type that is there, else a new one."""
    creator, viewer = creator_of(caller), viewer_of(caller)
    meant = [
        tuple(dict.fromkeys((owned_resource_id(one.name, creator=creator), resource_id_of(one.name)))) for one in pushed
    ]
    found = resources.find_owned(tx, [resource_id for ids in meant for resource_id in ids], viewer)

    def is_meant(resource_id: UUID) -> bool:
        one = found.get(resource_id)
        return one is not None and one.resource_type == kind.name and may_change_created_by(caller, one.creator)

    chosen = [next(filter(is_meant, ids), None) for ids in meant]
    missing = {ids[0]: one for ids, known, one in zip(meant, chosen, pushed, strict=True) if known is None}
    if missing:
        made = [new_resource(caller, one, id=resource_id, kind=kind, now=now) for resource_id, one in missing.items()]
        resources.insert_resources(tx, made)
        there = resources.find_owned(tx, list(missing), viewer)
        for resource_id, one in missing.items():
            if resource_id not in there or there[resource_id].resource_type != kind.name:
                why = f": {one.name[:255]} is of another type than {kind.name}, or is not yours"
                raise ResourceExists(resource_id, why=why)
    return [ids[0] if known is None else known for ids, known in zip(meant, chosen, strict=True)]


def new_resource(caller: Caller, pushed: PushedResource, *, id: UUID, kind: ResourceType, now: datetime) -> Resource:
    """Return the resource that is made of a name; raise Invalid where its attributes are not those of the type."""
    return Resource(
        id=id,
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
