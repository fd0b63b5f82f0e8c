"""What a hypervisor driver promises: the nouns between agent and host, and the operations, idempotent by UUID.

A driver is made for one installation and one host. It lists and touches only what carries that installation's id.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Literal, Protocol
from uuid import UUID

from foundation.errors import Conflict, Invalid, Unavailable

CONSOLE_BYTES_MAX = 256 * 1024
"""How much of a guest's serial console is ever read back at once."""


class HypervisorUnavailable(Unavailable):
    """The host does not answer: what runs on it is unknown, which is never the same as stopped."""


class HypervisorRefusal(Conflict):
    """The host answered, and did not do what was asked of it."""


class LaunchFailure(HypervisorRefusal):
    """The guest could not be made or started; the sentence becomes the instance's fault."""


class SpecRefused(Invalid):
    """A spec that must never reach a hypervisor: a text with control characters, a path outside our folders."""


class PowerState(StrEnum):
    """What a guest is doing, as far as its host knows."""

    RUNNING = "running"
    PAUSED = "paused"
    SHUTOFF = "shutoff"
    CRASHED = "crashed"


class StopReason(StrEnum):
    """Why a guest is not running."""

    NONE = "none"
    NEVER_STARTED = "never started"
    GUEST_SHUTDOWN = "the guest shut itself down"
    STOPPED = "stopped from the host"
    CRASHED = "its hypervisor process ended unexpectedly"
    FAILED = "it failed to start"
    HOST_DOWN = "its host went down"
    UNSEEN = "nobody saw it end, or it never began"
    DISK_FULL = "its host had no room left to write its disk"
    """The guest is held still where it was, and loses nothing when it goes on."""


class NoticeKind(StrEnum):
    """What a driver tells its subscriber; a notice is a reason to look again, never itself the truth."""

    STARTED = "started"
    SHUTTING_DOWN = "shutting down"
    STOPPED = "stopped"
    CRASHED = "crashed"
    STALLED = "stalled"
    """The guest was held still, since its host could not write its disk."""
    RESUMED = "resumed"
    CHANGED = "changed"
    REMOVED = "removed"
    DISCONNECTED = "disconnected"
    RECONNECTED = "reconnected"


@dataclass(frozen=True, slots=True)
class HostCapacity:
    """What a host has in all, guests or no guests; `virt_type` is kvm or qemu (emulation)."""

    hostname: str
    architecture: str
    virt_type: str
    hypervisor_version: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    cpu_model: str = ""


@dataclass(frozen=True, slots=True)
class DiskSpec:
    """The root disk: a private overlay of `size_gib` over an image file that is never written to.

    With kernel and ramdisk the guest boots by direct kernel boot, as Glance's `kernel_id` and `ramdisk_id` say.
    `size_gib` 0 keeps the image's own size.
    """

    image_path: Path
    image_format: Literal["qcow2", "raw"]
    size_gib: int
    kernel_path: Path | None = None
    ramdisk_path: Path | None = None
    kernel_command_line: str = ""


@dataclass(frozen=True, slots=True)
class PortSpec:
    """A guest's network card; only this MAC with this address may speak through it."""

    port_id: UUID
    network_id: UUID
    mac_address: str
    ip_address: IPv4Address


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """A network of a project (`project_id` None: shared by all): a bridge with DHCP, and NAT to the world outside."""

    network_id: UUID
    project_id: str | None
    cidr: IPv4Network
    gateway_ip: IPv4Address
    is_routed: bool = True
    name_servers: tuple[IPv4Address, ...] = ()


@dataclass(frozen=True, slots=True)
class InstanceSpec:
    """All that a host needs to make a guest; user text is data in it, never markup and never a path."""

    instance_id: UUID
    project_id: str
    user_id: str
    name: str
    vcpus: int
    memory_mib: int
    disk: DiskSpec
    ports: tuple[PortSpec, ...] = ()
    flavor_name: str = ""
    hostname: str = ""
    user_data: bytes | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    public_keys: tuple[tuple[str, str], ...] = ()
    availability_zone: str = "nova"


@dataclass(frozen=True, slots=True)
class ShutdownRequest:
    """That a guest was asked to shut itself down: for the wish of which `generation`, when first and when last."""

    generation: int
    asked_at: datetime
    repeated_at: datetime

    def __post_init__(self) -> None:
        if not self.asked_at <= self.repeated_at:
            raise ValueError("a request is repeated after it was first made")


@dataclass(frozen=True, slots=True)
class ObservedInstance:
    """What a host knows of a guest of ours.

    `boot_epoch` is the microsecond since 1970 at which this boot began: stable while it lasts, new with each boot,
    0 while the guest is off. `started_at` is the same instant. `shutdown` is what this boot was last asked, if anything.
    """

    instance_id: UUID
    power_state: PowerState
    boot_epoch: int = 0
    started_at: datetime | None = None
    reason: StopReason = StopReason.NONE
    shutdown: ShutdownRequest | None = None

    @property
    def is_stalled(self) -> bool:
        """Whether it is held still until its host can write its disk."""
        return self.power_state is PowerState.PAUSED and self.reason is StopReason.DISK_FULL


@dataclass(frozen=True, slots=True)
class DiskStats:
    """Counters of one disk since the boot began (bytes, requests, ns) and its sizes (bytes); None: unknown."""

    device: str
    read_bytes: int | None = None
    read_requests: int | None = None
    read_latency_ns: int | None = None
    write_bytes: int | None = None
    write_requests: int | None = None
    write_latency_ns: int | None = None
    capacity_bytes: int | None = None
    allocation_bytes: int | None = None
    usage_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class PortStats:
    """Counters of one network card since the boot began, as the guest sees them: incoming is received."""

    device: str
    mac_address: str = ""
    incoming_bytes: int | None = None
    incoming_packets: int | None = None
    incoming_drops: int | None = None
    incoming_errors: int | None = None
    outgoing_bytes: int | None = None
    outgoing_packets: int | None = None
    outgoing_drops: int | None = None
    outgoing_errors: int | None = None


@dataclass(frozen=True, slots=True)
class InstanceStats:
    """One reading of one guest, all of it from the same bulk call; memory in KiB as the balloon driver tells it."""

    instance_id: UUID
    power_state: PowerState
    boot_epoch: int
    cpu_time_ns: int | None = None
    vcpus: int | None = None
    memory_available_kib: int | None = None
    memory_usable_kib: int | None = None
    memory_unused_kib: int | None = None
    memory_resident_kib: int | None = None
    swap_in_kib: int | None = None
    swap_out_kib: int | None = None
    disks: tuple[DiskStats, ...] = ()
    ports: tuple[PortStats, ...] = ()


@dataclass(frozen=True, slots=True)
class PortTraffic:
    """What passed between a port and the world outside the cloud since `counter_epoch`, in bytes of IP packets.

    Outside is what is neither a network of this installation nor the host itself. `counter_epoch` is in microseconds since 1970
    and new after each reset; it does not depend on the guest's boots. Right after a reset one port may have two epochs.
    """

    device: str
    direction: Literal["incoming", "outgoing"]
    bytes: int
    counter_epoch: int


@dataclass(frozen=True, slots=True)
class InterfaceStats:
    """Counters of one network interface of the host itself since `boot_epoch` (microseconds since 1970).

    `is_adopted` says that it was counting already when we first saw it.
    """

    device: str
    boot_epoch: int
    is_adopted: bool
    incoming_bytes: int
    incoming_packets: int
    incoming_errors: int
    incoming_drops: int
    outgoing_bytes: int
    outgoing_packets: int
    outgoing_errors: int
    outgoing_drops: int


@dataclass(frozen=True, slots=True)
class LifecycleNotice:
    """Something happened on the host; `instance_id` is None for what concerns all (disconnected, reconnected)."""

    kind: NoticeKind
    instance_id: UUID | None = None
    reason: StopReason = StopReason.NONE


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Instances and networks of this installation of which a host still holds anything: guest, disk, log, bridge."""

    instance_ids: frozenset[UUID] = field(default_factory=frozenset[UUID])
    network_ids: frozenset[UUID] = field(default_factory=frozenset[UUID])


class Hypervisor(Protocol):
    """One host. Every operation may be repeated, in whole or after it was killed half-way, and ends in the same state.

    All raise HypervisorUnavailable when the host does not answer. The driver may be used from one thread at a
    time; notices come from a thread of its own.
    """

    def capacity(self) -> HostCapacity:
        """Say what the host has."""
        ...

    def list_instances(self) -> Sequence[ObservedInstance]:
        """List every guest of this installation, running or not."""
        ...

    def free_disk_mib(self) -> int:
        """Say how much room there is left for the guests' disks."""
        ...

    def find_leftovers(self) -> Leftovers:
        """Say of which instances and networks anything exists here, also what a killed operation left half made."""
        ...

    def read_stats(self, only: Collection[UUID] | None = None) -> Sequence[InstanceStats]:
        """Read all counters of the running guests in one bulk call; `only` limits the answer to some of them."""
        ...

    def read_traffic(self) -> Sequence[PortTraffic]:
        """Read in one call what passed between each port, its guest running or not, and the world outside the cloud."""
        ...

    def read_interfaces(self) -> Sequence[InterfaceStats]:
        """Read in one call the counters of the host's own network interfaces, those of guests and of our bridges left out."""
        ...

    def take_last_reading(self, instance_id: UUID) -> InstanceStats | None:
        """Hold the guest still and read it, so that nothing it consumes escapes the reading; None when it does not run.

        The caller makes the reading durable, then stops, reboots or deletes the guest.
        """
        ...

    def create_instance(self, spec: InstanceSpec) -> None:
        """Make disk, config drive and definition, not started; its ports begin without flows. Raises LaunchFailure or SpecRefused."""
        ...

    def start_instance(self, spec: InstanceSpec) -> None:
        """Start the guest from its existing disk, or let it go on when it was paused.

        Raises LaunchFailure, also for a stalled guest whose disk still cannot be written.
        """
        ...

    def request_shutdown(self, instance_id: UUID, request: ShutdownRequest) -> None:
        """Press the guest's power button, and note the request on the guest for as long as this boot lasts.

        Nothing waits: the guest shuts itself down when it likes, or never. One that does not run, or whose hypervisor passes
        the press not on, is no error.
        """
        ...

    def stop_instance(self, instance_id: UUID) -> None:
        """Cut the guest's power; its disk stays, what it had not written yet is lost."""
        ...

    def reboot_instance(self, spec: InstanceSpec) -> None:
        """Cut the guest's power and start it again: a new boot with a new epoch. Raises LaunchFailure."""
        ...

    def delete_instance(self, instance_id: UUID) -> None:
        """Remove everything of the instance: guest, disk, config drive, console log, addresses and what the host tracks of their flows."""
        ...

    def console_output(self, instance_id: UUID, *, lines_max: int | None = None) -> str:
        """Return the last lines of the serial console (at most CONSOLE_BYTES_MAX), empty when there is none."""
        ...

    def ensure_network(self, spec: NetworkSpec) -> None:
        """Make the network, or put right what differs, without disturbing the guests on it."""
        ...

    def delete_network(self, network_id: UUID) -> None:
        """Remove the network, its bridge, its addresses and its packet rules."""
        ...

    def list_networks(self) -> frozenset[UUID]:
        """List the networks of this installation that exist on the host."""
        ...

    def occupied_subnets(self) -> Sequence[IPv4Network]:
        """List the IPv4 networks that the host routes for anything not ours: new subnets keep clear of them."""
        ...

    def subscribe(self, callback: Callable[[LifecycleNotice], None]) -> None:
        """Hear of changes from now on; after a lost connection a RECONNECTED notice says: list everything again."""
        ...

    def release_host(self) -> None:
        """Take down the networks, packet rules and settings that we made on the host; guests are stopped before."""
        ...

    def close(self) -> None:
        """Let go of the connection; everything on the host goes on."""
        ...
