"""The nouns of metering: samples, resources, metrics, segments, usage, and what is asked of and answered by the series store."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, NewType, TypeAlias
from uuid import UUID, uuid5

from metering.filters import Filter

ResourceId = NewType("ResourceId", UUID)
MetricId = NewType("MetricId", UUID)
MetricKey = NewType("MetricKey", int)

Snapshot: TypeAlias = str
"""What a transaction could see, as PostgreSQL writes pg_current_snapshot(): an invoice keeps it and reads as of it again."""

MeterType: TypeAlias = Literal["gauge", "delta", "cumulative"]
SegmentState: TypeAlias = Literal["active", "paused", "suspended", "shelved", "stopped", "error", "host_down"]
LifecycleState: TypeAlias = Literal[
    "active", "paused", "suspended", "shelved", "stopped", "deleted", "error", "host_down"
]

RESOURCE_NAMESPACE = UUID("0a7a15ff-aa13-4ac2-897c-9bdf30ce175b")
"""Gnocchi's name space for resource ids, so that a name gives the same id here as there."""

SHARD_COUNT = 8
"""Rollups are shared out by metric key; so many rollers can work at once."""

FUTURE_SKEW_MAX_S = 300
BOOT_SKEW_MAX_S = 86_400
VALUE_MAX = 1e140
"""Values beyond this are refused: their squares could not be summed."""

CURRENT_REVISION = 2**63 - 1
"""A resource's state of now comes after all its former ones."""

BUCKET_METHODS = frozenset(
    f"{rate}{method}"
    for rate in ("", "rate:")
    for method in ("mean", "sum", "min", "max", "first", "last", "count", "std")
) | {"rate:per_second"}
"""Aggregation methods that derive from a rollup; rate:per_second is ours: the increase over the seconds it really took."""


def resource_id_of(name: str) -> UUID:
    """Return the id of a resource by any name: the UUID that it is, or Gnocchi's uuid5 of it."""
    try:
        return UUID(name)
    except ValueError:
        return uuid5(RESOURCE_NAMESPACE, name)


def owned_resource_id(name: str, *, creator: str) -> UUID:
    """Return the id of a resource by a name that is its creator's own: the UUID that it is, or Gnocchi's uuid5 of both."""
    try:
        return UUID(name)
    except ValueError:
        return uuid5(RESOURCE_NAMESPACE, f"{name}\0{creator}")


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading as collected; (resource_id, meter, boot_epoch, observed_at) is its identity, fixed before it is spooled.

    boot_epoch is the guest's boot in microseconds since 1970, 0 where it is unknown. The first reading of a known boot
    counts whole, unless `adopted` says that the guest was found running: then it counts zero.
    """

    resource_id: UUID
    resource_type: str
    original_resource_id: str
    project_id: str
    user_id: str | None
    meter: str
    meter_type: MeterType
    unit: str
    observed_at: datetime
    value: float
    boot_epoch: int = 0
    adopted: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class RejectedSample:
    """A sample that cannot be kept, by its place in the batch, and the sentence that says why."""

    position: int
    reason: str


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What became of a batch: kept anew, known already, or put in the place of another value; the rest was rejected."""

    accepted: int
    repeated: int
    superseded: int
    rejected: tuple[RejectedSample, ...] = ()


@dataclass(frozen=True, slots=True)
class LifecycleEvent:
    """A fact about an instance's life, as the compute core or a notification told it; (event_id) is its identity."""

    event_id: UUID
    instance_id: UUID
    project_id: str
    user_id: str | None
    kind: str
    state: LifecycleState
    observed_at: datetime
    name: str
    flavor_id: str
    flavor_name: str
    vcpus: int
    ram_mib: int
    disk_gib: int
    image_id: str | None = None
    host: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    """More of the resource by which it may be found and grouped, as a foreign cloud tells it; not kept with the event."""


@dataclass(frozen=True, slots=True)
class StateSegment:
    """A stretch of an instance's life with one state and one flavor; ended_at is None where it is not over yet."""

    resource_id: UUID
    project_id: str
    started_at: datetime
    ended_at: datetime | None
    state: SegmentState
    flavor_id: str
    flavor_name: str
    vcpus: int
    ram_mib: int
    disk_gib: int
    name: str
    opened_by: UUID
    closed_by: UUID | None


@dataclass(frozen=True, slots=True)
class ResourceUsage:
    """How much one resource consumed in an interval, in the meter's unit, exact."""

    resource_id: UUID
    original_resource_id: str
    instance_id: UUID | None
    meter: str
    unit: str
    quantity: Decimal
    sample_count: int
    first_observed_at: datetime
    last_observed_at: datetime
    name: str = ""
    """What the resource is called, where its meter knows."""


@dataclass(frozen=True, slots=True)
class SampleIncrease:
    """One reading behind a usage, and by how much it raised it."""

    observed_at: datetime
    boot_epoch: int
    value: float
    increase: Decimal
    previous_observed_at: datetime | None
    written_xid: int


@dataclass(frozen=True, slots=True)
class WindowQuery:
    """One alarm's question: the points of a window, one value a bucket, over all metrics that it selects.

    It selects by `metric_ids`, or by the metric's name on the resources of `resource_type` that `search` matches, always
    within `project_id` (None: every project, for the operator). With `operations` (Gnocchi's operations language, as a
    string or as nested lists) that expression gives the points; else the metrics' `aggregation_method`, re-aggregated.
    Buckets are [start, stop) by their beginning. Any granularity is served.
    """

    key: UUID
    project_id: str | None
    metric: str
    resource_type: str
    search: Filter | None
    aggregation_method: str
    granularity_s: float
    start: datetime
    stop: datetime
    reaggregation: str = "mean"
    metric_ids: tuple[UUID, ...] = ()
    operations: object | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """The answer to a WindowQuery: buckets in order of time, those without a sample left out."""

    query_key: UUID
    points: tuple[tuple[datetime, float], ...]


@dataclass(frozen=True, slots=True)
class RollUpResult:
    """What one pass over a shard did: marks taken, buckets written; `more` tells that marks are left."""

    marks: int
    buckets: int
    more: bool


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits to be rolled up: marks, ranges of metrics in them, and metrics."""

    marks: int
    ranges: int
    metrics: int


@dataclass(frozen=True, slots=True)
class Resource:
    """A thing that can be measured, as it is now or as it was in one revision; empty project and user are unknown ones."""

    id: UUID
    resource_type: str
    original_resource_id: str
    creator: str
    project_id: str
    user_id: str
    started_at: datetime
    ended_at: datetime | None
    revision_start: datetime
    revision_end: datetime | None
    attributes: dict[str, Any]
    metrics: dict[str, str]
    revision: int = CURRENT_REVISION


@dataclass(frozen=True, slots=True)
class Metric:
    """One stored series: its id for the world, its key for the store, and who made it."""

    id: UUID
    key: int
    name: str | None
    unit: str | None
    meter_type: MeterType
    archive_policy_name: str
    resource_id: UUID | None
    created_by_user_id: str
    created_by_project_id: str


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A kind of resource and the attributes that it has, each with its type and bounds as Gnocchi writes them."""

    name: str
    attributes: dict[str, dict[str, Any]]
    state: str = "active"


PRODUCT_RESOURCE_TYPES = frozenset(
    (
        *("generic", "instance", "instance_disk", "instance_network_interface", "image", "volume", "volume_provider"),
        *("volume_provider_pool", "network", "subnet", "router", "port", "security_group", "loadbalancer", "dns_zone"),
        *("swift_account", "ceph_account", "identity", "ipmi", "stack", "host", "host_disk", "host_network_interface"),
        *("nova_compute", "manila_share", "switch", "switch_port", "switch_table", "database_instance", "data_cluster"),
        *("baremetal_node", "request_account", "event_subject"),
    )
)
"""The types that are there from the start: what is metered is of them, so they stay."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What part of a list: at most `limit` rows after the one named `marker`, by (attribute, descending) in order."""

    limit: int
    marker: str | None = None
    sorts: tuple[tuple[str, bool], ...] = ()
