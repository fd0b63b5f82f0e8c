"""Metrics: making, finding and deleting them."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from foundation.database import Transaction
from foundation.errors import Forbidden, Invalid
from foundation.ids import new_id
from identity.model import Caller
from metering.errors import MeasuresRefused, MetricNotFound, MetricUnknown, NamedMetricExists, NoRuleMatches
from metering.model import Listing, MeterType, Metric, Resource
from metering.samples import choose_archive_policy
from metering.service.policies import get_named_policy
from metering.store import intake, metrics, policies
from metering.store.intake import NewMetric
from metering.visibility import may_change_metric, may_change_resource, viewer_of

WAITING_MAX = 10_000


@dataclass(frozen=True, slots=True)
class MetricRequest:
    """What a caller says of a metric; without an archive policy the rules choose one by the name."""

    name: str | None = None
    unit: str | None = None
    archive_policy_name: str | None = None
    meter_type: MeterType = "gauge"


def get_metric(tx: Transaction, caller: Caller, metric_id: UUID) -> Metric:
    """Return a metric; another project's does not exist."""
    return get_metrics(tx, caller, [metric_id])[metric_id]


def get_metrics(tx: Transaction, caller: Caller, ids: Sequence[UUID]) -> Mapping[UUID, Metric]:
    """Return metrics by id; raise MetricNotFound for the first of them that is not there or another project's."""
    found = find_metrics(tx, caller, ids)
    missing = next((metric_id for metric_id in ids if metric_id not in found), None)
    if missing is not None:
        raise MetricNotFound(missing)
    return found


def find_metrics(tx: Transaction, caller: Caller, ids: Sequence[UUID]) -> Mapping[UUID, Metric]:
    """Return those of the metrics that the caller may see."""
    return metrics.find_metrics(tx, ids, viewer_of(caller))


def list_metrics(tx: Transaction, caller: Caller, filters: Mapping[str, Any], listing: Listing) -> Sequence[Metric]:
    """Return a page of the metrics that the caller may see. Raises Invalid for a marker that is none of them."""
    if listing.marker and not find_metrics(tx, caller, [UUID(listing.marker)]):
        raise Invalid(f"Invalid pagination: the marker {listing.marker} is not there", field="marker")
    return metrics.list_metrics(tx, viewer_of(caller), filters, listing)


def create_metric(
    tx: Transaction, caller: Caller, request: MetricRequest, *, resource: Resource | None = None
) -> Metric:
    """Make a metric, on its own or on a resource that the caller may change: what the product meters, nobody forges."""
    if resource is not None and not may_change_resource(caller, resource):
        raise Forbidden("only the creator of a resource or an admin may add metrics to it")
    made = metrics.insert_metric(
        tx,
        id=new_id(),
        name=request.name,
        unit=request.unit,
        meter_type=request.meter_type,
        archive_policy_name=archive_policy_for(tx, request),
        resource_id=resource.id if resource is not None else None,
        created_by_user_id=caller.user_id,
        created_by_project_id=caller.project_id,
    )
    if made is None:
        raise NamedMetricExists(request.name or "")
    return made


def archive_policy_for(tx: Transaction, request: MetricRequest) -> str:
    """Return the archive policy of a new metric: the one it names, or the one that a rule gives."""
    return archive_policies_for(tx, [request])[request]


def archive_policies_for(tx: Transaction, requests: Sequence[MetricRequest]) -> Mapping[MetricRequest, str]:
    """Return the archive policy of each of many new metrics; raise ArchivePolicyNotFound or NoRuleMatches."""
    named = {request.archive_policy_name for request in requests if request.archive_policy_name is not None}
    for name in sorted(named):
        get_named_policy(tx, name)
    rules = policies.list_rules(tx) if any(request.archive_policy_name is None for request in requests) else ()
    chosen: dict[MetricRequest, str] = {}
    by_rule: dict[str, str | None] = {}
    for request in requests:
        policy = request.archive_policy_name
        if policy is None:
            name = request.name or ""
            if name not in by_rule:
                by_rule[name] = choose_archive_policy(rules, name)
            policy = by_rule[name]
        if policy is None:
            raise NoRuleMatches(request.name)
        chosen[request] = policy
    return chosen


def make_named_metrics(
    tx: Transaction, caller: Caller, requests: Mapping[tuple[UUID, str], MetricRequest]
) -> Set[tuple[UUID, str]]:
    """Make metrics of resources under names in one statement; return those that were not there."""
    chosen = archive_policies_for(tx, [*requests.values()])
    return intake.make_metrics(
        tx,
        [
            NewMetric(
                id=new_id(),
                resource_id=resource_id,
                name=name,
                unit=request.unit or "",
                meter_type=request.meter_type,
                archive_policy_name=chosen[request],
                created_by_user_id=caller.user_id,
                created_by_project_id=caller.project_id,
            )
            for (resource_id, name), request in requests.items()
        ],
    )


def require_attachable(tx: Transaction, caller: Caller, ids: Sequence[UUID]) -> None:
    """Raise MetricUnknown for a metric that is not there to be given to a resource, MeasuresRefused for one that is not the caller's."""
    try:
        found = get_metrics(tx, caller, ids)
    except MetricNotFound as error:
        raise MetricUnknown(error.message) from error
    for metric in found.values():
        require_change(caller, metric)


def attach_metrics(tx: Transaction, resource_id: UUID, given: Mapping[str, UUID]) -> None:
    """Give metrics that require_attachable let pass to a resource under these names."""
    metrics.attach_metrics(tx, resource_id, given)


def delete_metric(tx: Transaction, caller: Caller, metric_id: UUID) -> None:
    """Hide a metric; its samples stay for the bill."""
    delete_metrics(tx, caller, [metric_id])


def delete_metrics(tx: Transaction, caller: Caller, ids: Sequence[UUID]) -> None:
    """Hide metrics, all of them or none; their samples stay for the bill."""
    for metric in get_metrics(tx, caller, ids).values():
        require_change(caller, metric)
    metrics.mark_metrics_deleted(tx, ids)


def require_change(caller: Caller, metric: Metric) -> None:
    """Raise MeasuresRefused unless the caller may write to the metric."""
    if not may_change_metric(caller, metric):
        raise MeasuresRefused


def count_metrics(tx: Transaction) -> int:
    """Count the metrics that are served."""
    return metrics.count_metrics(tx)


def list_waiting(tx: Transaction, *, limit: int = WAITING_MAX) -> Mapping[UUID, int]:
    """Return the metrics that wait to be rolled up, and in how many ranges of measures."""
    return metrics.list_waiting(tx, limit=limit)
