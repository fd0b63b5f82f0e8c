"""The nouns of compute: hosts, flavors, images, networks and instances, as the database keeps them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from typing import Literal, TypeAlias
from uuid import UUID

from compute.hypervisor.contract import InstanceSpec, Leftovers, ObservedInstance

Desired: TypeAlias = Literal["active", "stopped", "deleted"]
VmState: TypeAlias = Literal["building", "active", "stopped", "error", "deleted"]
Power: TypeAlias = Literal["unknown", "running", "paused", "shutoff", "crashed"]
Visibility: TypeAlias = Literal["public", "private"]


class InstanceStatus(StrEnum):
    """What a project sees of an instance, in Nova's words."""

    BUILD = "BUILD"
    ACTIVE = "ACTIVE"
    SHUTOFF = "SHUTOFF"
    REBOOT = "REBOOT"
    HARD_REBOOT = "HARD_REBOOT"
    ERROR = "ERROR"
    UNKNOWN = "UNKNOWN"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class Host:
    """A machine that runs guests; `session` rises with each agent that registers for it, and fences the one before."""

    id: UUID
    name: str
    hypervisor_uri: str
    virt_type: str
    hypervisor_version: str
    architecture: str
    cpu_model: str
    availability_zone: str
    vcpus: int
    ram_mib: int
    disk_gib: int
    cpu_allocation_ratio: float
    ram_allocation_ratio: float
    session: int
    stopping_session: int | None
    registered_at: datetime
    seen_at: datetime
    observed_at: datetime | None
    vcpus_used: int = 0
    ram_mib_used: int = 0
    disk_gib_used: int = 0
    instances: int = 0


@dataclass(frozen=True, slots=True)
class HostSession:
    """An agent's right to speak for a host, until another registers."""

    host_id: UUID
    session: int


@dataclass(frozen=True, slots=True)
class Flavor:
    """A size of instance."""

    id: str
    name: str
    vcpus: int
    ram_mib: int
    disk_gib: int
    is_public: bool
    description: str | None
    extra_specs: Mapping[str, str]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Image:
    """What an instance boots from; `file_path` is relative to the image store of each host.

    A kernel and its ramdisk are images of their own, hidden from lists, named by the image that boots with them.
    """

    id: UUID
    project_id: str
    name: str
    visibility: Visibility
    is_hidden: bool
    disk_format: str
    container_format: str
    file_path: str
    file_format: Literal["qcow2", "raw"]
    size_bytes: int
    virtual_size_bytes: int | None
    sha256: str
    min_disk_gib: int
    min_ram_mib: int
    kernel_id: UUID | None
    ramdisk_id: UUID | None
    kernel_command_line: str
    properties: Mapping[str, str]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Network:
    """A layer-2 segment: a project's own, or one that all share."""

    id: UUID
    project_id: str
    name: str
    is_shared: bool
    mtu: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Subnet:
    """The addresses of a network; `pool_start` to `pool_end` (both included) are given to instances."""

    id: UUID
    network_id: UUID
    project_id: str
    is_shared: bool
    name: str
    cidr: IPv4Network
    gateway_ip: IPv4Address
    pool_start: IPv4Address
    pool_end: IPv4Address
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Port:
    """An instance's place on a network."""

    id: UUID
    project_id: str
    network_id: UUID
    network_name: str
    subnet_id: UUID
    instance_id: UUID
    position: int
    mac_address: str
    ip_address: IPv4Address
    security_group_ids: Sequence[UUID]
    vm_state: VmState
    host_name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SecurityGroup:
    """A named set of rules of one project."""

    id: UUID
    project_id: str
    name: str
    description: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SecurityGroupRule:
    """One permission of a security group; what no rule permits is refused."""

    id: UUID
    security_group_id: UUID
    project_id: str
    direction: Literal["ingress", "egress"]
    ethertype: Literal["IPv4", "IPv6"]
    protocol: str | None
    port_range_min: int | None
    port_range_max: int | None
    remote_ip_prefix: str | None
    remote_group_id: UUID | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Keypair:
    """A user's public key for SSH; we never hold the private half."""

    user_id: str
    name: str
    public_key: str
    fingerprint: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Instance:
    """A guest as its project asked for it (`desired`) and as its host last reported it (`vm_state`, `power_state`).

    The flavor's numbers are copied at launch: a flavor that is deleted or redefined changes no instance.
    """

    id: UUID
    project_id: str
    user_id: str
    name: str
    hostname: str
    description: str | None
    reservation_id: str
    host_id: UUID
    host_name: str
    host_seen_at: datetime
    availability_zone: str
    flavor_id: str
    flavor_name: str
    vcpus: int
    ram_mib: int
    disk_gib: int
    extra_specs: Mapping[str, str]
    image_id: UUID
    image_name: str
    key_name: str | None
    metadata: Mapping[str, str]
    tags: Sequence[str]
    desired: Desired
    generation: int
    reboot_from_epoch: int | None
    is_reboot_hard: bool
    vm_state: VmState
    power_state: Power
    is_interrupted: bool
    boot_epoch: int
    failures: int
    retry_at: datetime | None
    fault_code: int | None
    fault_message: str | None
    fault_details: str | None
    fault_at: datetime | None
    created_at: datetime
    updated_at: datetime
    state_at: datetime
    launched_at: datetime | None
    deleted_at: datetime | None
    ports: tuple[Port, ...] = ()


@dataclass(frozen=True, slots=True)
class DesiredInstance:
    """What an agent is told of one of its instances: what it shall be, what was recorded of it, and how to make it."""

    spec: InstanceSpec
    desired: Desired
    generation: int
    vm_state: VmState
    boot_epoch: int
    reboot_from_epoch: int | None
    is_reboot_hard: bool
    is_interrupted: bool
    failures: int
    retry_at: datetime | None
    state_at: datetime

    @property
    def instance_id(self) -> UUID:
        """The instance's id, by which every operation on a host is idempotent."""
        return self.spec.instance_id


@dataclass(frozen=True, slots=True)
class HostObservation:
    """All that an agent found on its host at one instant; `stopped_at` holds the ends that it knows to the moment.

    `parting` are guests that an earlier end of the service asked to shut down and did not see off. `free_disk_mib` is the room that is
    left for disks; None where nobody asked, since no guest waits for it.
    """

    observed_at: datetime
    instances: tuple[ObservedInstance, ...]
    leftovers: Leftovers
    network_ids: frozenset[UUID] = frozenset()
    stopped_at: Mapping[UUID, datetime] = field(default_factory=dict[UUID, datetime])
    parting: frozenset[UUID] = frozenset()
    free_disk_mib: int | None = None

    def __post_init__(self) -> None:
        if self.observed_at.tzinfo is None:
            raise ValueError("an observation needs an aware datetime")


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """One order for count_min to count_max instances of a kind; no networks means the project's own, no groups `default`."""

    name: str
    image_id: UUID
    flavor_id: str
    network_ids: Sequence[UUID] = ()
    is_networked: bool = True
    fixed_addresses: Mapping[UUID, IPv4Address] = field(default_factory=dict[UUID, IPv4Address])
    user_data: bytes | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    security_groups: Sequence[str] = ()
    key_name: str | None = None
    availability_zone: str | None = None
    count_min: int = 1
    count_max: int = 1
    tags: Sequence[str] = ()
    description: str | None = None
    hostname: str | None = None


@dataclass(frozen=True, slots=True)
class InstanceFilters:
    """What a list of instances is narrowed to; None and empty mean all.

    An instance has all of `tags` and one of `tags_any`; it has not all of `not_tags`, and none of `not_tags_any`.
    """

    name_pattern: str | None = None
    vm_states: frozenset[VmState] | None = None
    statuses: frozenset[InstanceStatus] | None = None
    flavor_id: str | None = None
    image_id: UUID | None = None
    host_name: str | None = None
    ids: frozenset[UUID] | None = None
    user_id: str | None = None
    reservation_id: str | None = None
    ip_pattern: str | None = None
    changed_since: datetime | None = None
    changed_before: datetime | None = None
    key_name: str | None = None
    availability_zone: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    tags: frozenset[str] = frozenset()
    tags_any: frozenset[str] = frozenset()
    not_tags: frozenset[str] = frozenset()
    not_tags_any: frozenset[str] = frozenset()
    is_deleted_shown: bool = False


SortKey: TypeAlias = Literal["created_at", "updated_at", "launched_at", "name", "id", "status"]


@dataclass(frozen=True, slots=True)
class InstancePage:
    """Which part of a list: after `marker`, at most `limit`, in the order of one key and then the id."""

    limit: int
    marker: UUID | None = None
    sort_key: SortKey = "created_at"
    is_descending: bool = True


@dataclass(frozen=True, slots=True)
class InstanceAction:
    """A user's act on an instance, as its history shows it."""

    request_id: str
    instance_id: UUID
    action: str
    user_id: str
    project_id: str
    message: str | None
    started_at: datetime


@dataclass(frozen=True, slots=True)
class InstanceLife:
    """From when to when an instance was there, and how large; `deleted_at` None: it still is."""

    id: UUID
    project_id: str
    name: str
    flavor_name: str
    vcpus: int
    ram_mib: int
    disk_gib: int
    vm_state: VmState
    launched_at: datetime
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class ConsoleOutput:
    """The tail of a serial console; `answered_at` is when the agent read it, None before the first time."""

    instance_id: UUID
    requested_at: datetime
    answered_at: datetime | None
    output: str
