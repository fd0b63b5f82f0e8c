"""The simulated driver: thousands of guests that exist only in memory, deterministic, with time passed in and failures on order.

For pure tests and scale runs; never what a served product or a journey uses.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network
from uuid import UUID

from compute.domain_xml import ROOT_DEVICE, tap_name
from compute.hypervisor.contract import (
    DiskStats,
    HostCapacity,
    HypervisorUnavailable,
    InstanceSpec,
    InstanceStats,
    InterfaceStats,
    LaunchFailure,
    Leftovers,
    LifecycleNotice,
    NetworkSpec,
    NoticeKind,
    ObservedInstance,
    PortStats,
    PortTraffic,
    PowerState,
    StopReason,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
GIB = 1024**3
NS_PER_S = 1_000_000_000
DEFAULT_LOAD = 0.05
VCPUS_PER_GUEST = 4
MEMORY_MIB_PER_GUEST = 8_192
DISK_GIB_PER_GUEST = 100
PACKET_BYTES = 500


@dataclass(frozen=True, slots=True)
class Load:
    """What a guest does each second: a share of all its vCPUs, and bytes through each disk and card; some of them go outside."""

    cpu_fraction: float = DEFAULT_LOAD
    disk_read_bytes: int = 4_096
    disk_write_bytes: int = 8_192
    incoming_bytes: int = 1_000
    outgoing_bytes: int = 2_000
    external_incoming_bytes: int = 600
    external_outgoing_bytes: int = 1_500


@dataclass(slots=True)
class SimulatedGuest:
    """One guest: its spec, its state, and what it has consumed since its boot began."""

    spec: InstanceSpec
    power_state: PowerState = PowerState.SHUTOFF
    reason: StopReason = StopReason.NEVER_STARTED
    boot_epoch: int = 0
    counted_until: datetime = EPOCH
    load: Load = field(default_factory=Load)
    cpu_time_ns: int = 0
    disk_read_bytes: int = 0
    disk_write_bytes: int = 0
    incoming_bytes: int = 0
    outgoing_bytes: int = 0
    external_incoming_bytes: int = 0
    external_outgoing_bytes: int = 0
    counter_epoch: int = 0
    console: str = ""

    def count_until(self, now: datetime) -> None:
        """Let the guest consume up to an instant."""
        elapsed_s = max(0.0, (now - self.counted_until).total_seconds())
        self.counted_until = max(now, self.counted_until)
        if self.power_state is not PowerState.RUNNING:
            return
        self.cpu_time_ns += round(elapsed_s * self.load.cpu_fraction * self.spec.vcpus * NS_PER_S)
        self.disk_read_bytes += round(elapsed_s * self.load.disk_read_bytes)
        self.disk_write_bytes += round(elapsed_s * self.load.disk_write_bytes)
        self.incoming_bytes += round(elapsed_s * self.load.incoming_bytes)
        self.outgoing_bytes += round(elapsed_s * self.load.outgoing_bytes)
        self.external_incoming_bytes += round(elapsed_s * self.load.external_incoming_bytes)
        self.external_outgoing_bytes += round(elapsed_s * self.load.external_outgoing_bytes)


class SimulatedHypervisor:
    """A host with room for `guests_max` guests; `advance(now)` moves its time, or a clock where one is given."""

    def __init__(
        self,
        *,
        now: datetime,
        guests_max: int = 1_000,
        hostname: str = "simulated",
        virt_type: str = "qemu",
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self.now = now
        self.guests: dict[UUID, SimulatedGuest] = {}
        self.network_specs: dict[UUID, NetworkSpec] = {}
        self.failures: dict[str, list[Exception]] = {}
        self.default_load = Load()
        self.subnets: tuple[IPv4Network, ...] = ()
        self._guests_max = guests_max
        self._hostname = hostname
        self._virt_type = virt_type
        self._clock = clock
        self._is_away = False
        self._last_epoch = 0
        self._callback: Callable[[LifecycleNotice], None] | None = None

    def advance(self, now: datetime) -> None:
        """Move the host's time on; a time that is past already changes nothing."""
        self.now = max(self.now, now)

    def fail_next(self, operation: str, error: Exception) -> None:
        """Let the next call of an operation fail, before it does anything; repeated orders queue up."""
        self.failures.setdefault(operation, []).append(error)

    def go_away(self) -> None:
        """Let the host stop answering; its guests run on."""
        self._is_away = True
        self._notify(LifecycleNotice(NoticeKind.DISCONNECTED))

    def come_back(self) -> None:
        """Let the host answer again."""
        self._is_away = False
        self._notify(LifecycleNotice(NoticeKind.RECONNECTED))

    def crash(self, instance_id: UUID) -> None:
        """End a guest's hypervisor process from outside."""
        self._end(self.guests[instance_id], StopReason.CRASHED)
        self._notify(LifecycleNotice(NoticeKind.STOPPED, instance_id, StopReason.CRASHED))

    def shut_down_inside(self, instance_id: UUID) -> None:
        """Let a guest shut itself down."""
        self._end(self.guests[instance_id], StopReason.GUEST_SHUTDOWN)
        self._notify(LifecycleNotice(NoticeKind.STOPPED, instance_id, StopReason.GUEST_SHUTDOWN))

    def lose_power(self) -> None:
        """End every guest as a crash of the host does."""
        for guest in self.guests.values():
            if guest.boot_epoch:
                self._end(guest, StopReason.HOST_DOWN)

    def reset_traffic(self) -> None:
        """Set the packet counters of all ports to zero, as somebody at the host may."""
        for guest in self.guests.values():
            guest.count_until(self.now)
            guest.external_incoming_bytes = guest.external_outgoing_bytes = 0
            guest.counter_epoch = self._new_epoch()

    def set_load(self, instance_id: UUID, load: Load) -> None:
        """Change what a guest does from now on."""
        guest = self.guests[instance_id]
        guest.count_until(self.now)
        guest.load = load

    def capacity(self) -> HostCapacity:
        """Say what the host has."""
        self._enter("capacity")
        return HostCapacity(
            hostname=self._hostname,
            architecture="x86_64",
            virt_type=self._virt_type,
            hypervisor_version="1.0.0",
            vcpus=self._guests_max * VCPUS_PER_GUEST,
            memory_mib=self._guests_max * MEMORY_MIB_PER_GUEST,
            disk_gib=self._guests_max * DISK_GIB_PER_GUEST,
            cpu_model="simulated",
        )

    def list_instances(self) -> Sequence[ObservedInstance]:
        """List every guest, running or not."""
        self._enter("list_instances")
        return [
            ObservedInstance(
                instance_id,
                guest.power_state,
                guest.boot_epoch,
                EPOCH + timedelta(microseconds=guest.boot_epoch) if guest.boot_epoch else None,
                guest.reason,
            )
            for instance_id, guest in self.guests.items()
        ]

    def find_leftovers(self) -> Leftovers:
        """Say of which instances and networks anything exists here."""
        self._enter("find_leftovers")
        return Leftovers(frozenset(self.guests), frozenset(self.network_specs))

    def read_stats(self, only: Collection[UUID] | None = None) -> Sequence[InstanceStats]:
        """Read all counters of the running guests."""
        self._enter("read_stats")
        return [
            self._read(guest)
            for instance_id, guest in self.guests.items()
            if guest.boot_epoch and (only is None or instance_id in only)
        ]

    def read_traffic(self) -> Sequence[PortTraffic]:
        """Read what passed between each port and the outside; counters outlive the guest's boots."""
        self._enter("read_traffic")
        for guest in self.guests.values():
            guest.count_until(self.now)
        return [
            traffic
            for guest in self.guests.values()
            for device in (tap_name(port.port_id) for port in guest.spec.ports)
            for traffic in (
                PortTraffic(device, "incoming", guest.external_incoming_bytes, guest.counter_epoch),
                PortTraffic(device, "outgoing", guest.external_outgoing_bytes, guest.counter_epoch),
            )
        ]

    def read_interfaces(self) -> Sequence[InterfaceStats]:
        """A simulated host has no interfaces of its own."""
        self._enter("read_interfaces")
        return []

    def take_last_reading(self, instance_id: UUID) -> InstanceStats | None:
        """Hold the guest still and read it."""
        self._enter("take_last_reading")
        guest = self.guests.get(instance_id)
        if guest is None or not guest.boot_epoch:
            return None
        guest.count_until(self.now)
        guest.power_state = PowerState.PAUSED
        return self._read(guest)

    def create_instance(self, spec: InstanceSpec) -> None:
        """Make the guest, off."""
        self._enter("create_instance")
        if len(self.guests) >= self._guests_max and spec.instance_id not in self.guests:
            raise LaunchFailure("the host is full")
        if spec.instance_id not in self.guests:
            epoch = self._new_epoch()
            self.guests[spec.instance_id] = SimulatedGuest(spec, load=self.default_load, counter_epoch=epoch)

    def start_instance(self, spec: InstanceSpec) -> None:
        """Start the guest, or let it go on when it was paused."""
        self._enter("start_instance")
        guest = self.guests.get(spec.instance_id)
        if guest is None:
            raise LaunchFailure("the guest's disk is gone from this host")
        if guest.power_state is PowerState.RUNNING:
            return
        guest.count_until(self.now)
        if guest.power_state is PowerState.PAUSED:
            guest.power_state = PowerState.RUNNING
            return
        missing = [port for port in spec.ports if port.network_id not in self.network_specs]
        if missing:
            raise LaunchFailure(f"the guest does not start: network {missing[0].network_id} is not there")
        self._boot(guest, spec)
        self._notify(LifecycleNotice(NoticeKind.STARTED, spec.instance_id))

    def stop_instance(self, instance_id: UUID) -> None:
        """Power the guest off; its disk stays."""
        self._enter("stop_instance")
        guest = self.guests.get(instance_id)
        if guest is not None and guest.boot_epoch:
            self._end(guest, StopReason.STOPPED)
            self._notify(LifecycleNotice(NoticeKind.STOPPED, instance_id, StopReason.STOPPED))

    def reboot_instance(self, spec: InstanceSpec) -> None:
        """Power the guest off and on again."""
        self.stop_instance(spec.instance_id)
        self.start_instance(spec)

    def delete_instance(self, instance_id: UUID) -> None:
        """Remove everything of the instance."""
        self._enter("delete_instance")
        if self.guests.pop(instance_id, None) is not None:
            self._notify(LifecycleNotice(NoticeKind.REMOVED, instance_id))

    def console_output(self, instance_id: UUID, *, lines_max: int | None = None) -> str:
        """Return the last lines of the serial console."""
        self._enter("console_output")
        guest = self.guests.get(instance_id)
        lines = guest.console.splitlines(keepends=True) if guest is not None else []
        return "".join(lines if lines_max is None else lines[max(0, len(lines) - lines_max) :])

    def ensure_network(self, spec: NetworkSpec) -> None:
        """Make the network."""
        self._enter("ensure_network")
        self.network_specs[spec.network_id] = spec

    def delete_network(self, network_id: UUID) -> None:
        """Remove the network."""
        self._enter("delete_network")
        self.network_specs.pop(network_id, None)

    def list_networks(self) -> frozenset[UUID]:
        """List our networks."""
        self._enter("list_networks")
        return frozenset(self.network_specs)

    def occupied_subnets(self) -> Sequence[IPv4Network]:
        """List the IPv4 networks that are not ours."""
        self._enter("occupied_subnets")
        return self.subnets

    def subscribe(self, callback: Callable[[LifecycleNotice], None]) -> None:
        """Hear of changes from now on, in the thread that causes them."""
        self._callback = callback

    def release_host(self) -> None:
        """Take down the networks."""
        self._enter("release_host")
        self.network_specs.clear()

    def close(self) -> None:
        """Let go; guests stay for the next driver only if it is this very object."""

    def loads(self) -> Mapping[UUID, Load]:
        """Say what each guest does now."""
        return {instance_id: guest.load for instance_id, guest in self.guests.items()}

    def _enter(self, operation: str) -> None:
        if self._clock is not None:
            self.advance(self._clock())
        if self._is_away:
            raise HypervisorUnavailable("the simulated host does not answer")
        queued = self.failures.get(operation)
        if queued:
            raise queued.pop(0)

    def _notify(self, notice: LifecycleNotice) -> None:
        if self._callback is not None and (not self._is_away or notice.kind is NoticeKind.DISCONNECTED):
            self._callback(notice)

    def _new_epoch(self) -> int:
        began_us = round((self.now - EPOCH) / timedelta(microseconds=1))
        self._last_epoch = max(began_us, self._last_epoch + 1)
        return self._last_epoch

    def _boot(self, guest: SimulatedGuest, spec: InstanceSpec) -> None:
        fresh = SimulatedGuest(spec, PowerState.RUNNING, StopReason.NONE, self._new_epoch(), self.now, guest.load)
        fresh.external_incoming_bytes, fresh.external_outgoing_bytes, fresh.counter_epoch = (
            guest.external_incoming_bytes,
            guest.external_outgoing_bytes,
            guest.counter_epoch,
        )
        user_data = (spec.user_data or b"").decode(errors="replace")
        fresh.console = f"{guest.console}Booting {spec.hostname or spec.name}\n{user_data}\n"
        self.guests[spec.instance_id] = fresh

    def _end(self, guest: SimulatedGuest, reason: StopReason) -> None:
        guest.count_until(self.now)
        guest.power_state, guest.reason, guest.boot_epoch = PowerState.SHUTOFF, reason, 0

    def _read(self, guest: SimulatedGuest) -> InstanceStats:
        guest.count_until(self.now)
        memory_kib = guest.spec.memory_mib * 1024
        disk = DiskStats(
            device=ROOT_DEVICE,
            read_bytes=guest.disk_read_bytes,
            read_requests=guest.disk_read_bytes // 4_096,
            read_latency_ns=guest.disk_read_bytes * 10,
            write_bytes=guest.disk_write_bytes,
            write_requests=guest.disk_write_bytes // 4_096,
            write_latency_ns=guest.disk_write_bytes * 10,
            capacity_bytes=guest.spec.disk.size_gib * GIB,
            allocation_bytes=guest.disk_write_bytes,
            usage_bytes=guest.disk_write_bytes,
        )
        card = PortStats(
            device="",
            incoming_bytes=guest.incoming_bytes,
            incoming_packets=guest.incoming_bytes // PACKET_BYTES,
            incoming_drops=0,
            incoming_errors=0,
            outgoing_bytes=guest.outgoing_bytes,
            outgoing_packets=guest.outgoing_bytes // PACKET_BYTES,
            outgoing_drops=0,
            outgoing_errors=0,
        )
        return InstanceStats(
            instance_id=guest.spec.instance_id,
            power_state=guest.power_state,
            boot_epoch=guest.boot_epoch,
            cpu_time_ns=guest.cpu_time_ns,
            vcpus=guest.spec.vcpus,
            memory_available_kib=memory_kib,
            memory_usable_kib=memory_kib // 2,
            memory_unused_kib=memory_kib // 3,
            memory_resident_kib=memory_kib,
            swap_in_kib=0,
            swap_out_kib=0,
            disks=(disk,),
            ports=tuple(
                replace(card, device=tap_name(port.port_id), mac_address=port.mac_address) for port in guest.spec.ports
            ),
        )
