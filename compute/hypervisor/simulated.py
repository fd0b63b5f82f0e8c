"""The simulated driver: thousands of guests that exist only in memory, deterministic, with time passed in and failures on order.

For pure tests and scale runs; never what a served product or a journey uses.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from ipaddress import IPv4Network
from uuid import UUID

from compute.domain_xml import tap_name
from compute.hypervisor.contract import (
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
    PortTraffic,
    PowerState,
    ShutdownRequest,
    StopReason,
)
from compute.hypervisor.simulated_guest import EPOCH, Load, SimulatedGuest

VCPUS_PER_GUEST = 4
MEMORY_MIB_PER_GUEST = 8_192
DISK_GIB_PER_GUEST = 100


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
        self.default_shutdown_s: float | None = 0.0
        self.subnets: tuple[IPv4Network, ...] = ()
        self.free_mib = guests_max * DISK_GIB_PER_GUEST * 1024
        self._guests_max = guests_max
        self._hostname = hostname
        self._virt_type = virt_type
        self._clock = clock
        self._is_away = False
        self._last_epoch = 0
        self._off_at: dict[UUID, datetime] = {}
        self._callback: Callable[[LifecycleNotice], None] | None = None

    def advance(self, now: datetime) -> None:
        """Move the host's time on; a time that is past already changes nothing. Guests that shut down end on the way."""
        for instance_id, off_at in sorted(self._off_at.items(), key=lambda item: item[1]):
            if off_at <= now:
                self.now = max(self.now, off_at)
                del self._off_at[instance_id]
                if instance_id in self.guests and self.guests[instance_id].power_state is PowerState.RUNNING:
                    self.shut_down_inside(instance_id)
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
        self._notify(LifecycleNotice(NoticeKind.SHUTTING_DOWN, instance_id))
        self._end(self.guests[instance_id], StopReason.GUEST_SHUTDOWN)
        self._notify(LifecycleNotice(NoticeKind.STOPPED, instance_id, StopReason.GUEST_SHUTDOWN))

    def set_shutdown(self, instance_id: UUID, seconds: float | None) -> None:
        """Say how long a guest takes to shut itself down when it is asked; None: it ignores that."""
        self.guests[instance_id].shutdown_s = seconds

    def fill_disk(self, instance_id: UUID) -> None:
        """Let the host's disk be full while a guest writes."""
        self.free_mib, guest = 0, self.guests[instance_id]
        guest.count_until(self.now)
        guest.power_state, guest.reason = PowerState.PAUSED, StopReason.DISK_FULL
        self._notify(LifecycleNotice(NoticeKind.STALLED, instance_id, StopReason.DISK_FULL))

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
                guest.shutdown,
            )
            for instance_id, guest in self.guests.items()
        ]

    def free_disk_mib(self) -> int:
        """Say how much room is left."""
        self._enter("free_disk_mib")
        return self.free_mib

    def find_leftovers(self) -> Leftovers:
        """Say of which instances and networks anything exists here."""
        self._enter("find_leftovers")
        return Leftovers(frozenset(self.guests), frozenset(self.network_specs))

    def read_stats(self, only: Collection[UUID] | None = None) -> Sequence[InstanceStats]:
        """Read all counters of the running guests."""
        self._enter("read_stats")
        return [
            guest.read(self.now)
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
        return guest.read(self.now)

    def create_instance(self, spec: InstanceSpec) -> None:
        """Make the guest, off."""
        self._enter("create_instance")
        if len(self.guests) >= self._guests_max and spec.instance_id not in self.guests:
            raise LaunchFailure("the host is full")
        if spec.instance_id not in self.guests:
            epoch = self._new_epoch()
            self.guests[spec.instance_id] = SimulatedGuest(
                spec, load=self.default_load, shutdown_s=self.default_shutdown_s, counter_epoch=epoch
            )

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
            if guest.reason is StopReason.DISK_FULL and self.free_mib == 0:
                raise LaunchFailure(f"The guest cannot go on: {StopReason.DISK_FULL.value}.")
            guest.power_state, guest.reason = PowerState.RUNNING, StopReason.NONE
            self._notify(LifecycleNotice(NoticeKind.RESUMED, spec.instance_id))
            return
        missing = [port for port in spec.ports if port.network_id not in self.network_specs]
        if missing:
            raise LaunchFailure(f"the guest does not start: network {missing[0].network_id} is not there")
        self._boot(guest, spec)
        self._notify(LifecycleNotice(NoticeKind.STARTED, spec.instance_id))

    def request_shutdown(self, instance_id: UUID, request: ShutdownRequest) -> None:
        """Press the power button of a guest that runs."""
        self._enter("request_shutdown")
        guest = self.guests.get(instance_id)
        if guest is None or not guest.boot_epoch:
            return
        guest.shutdown = request
        if guest.shutdown_s is not None:
            self._off_at.setdefault(instance_id, self.now + timedelta(seconds=guest.shutdown_s))
            self.advance(self.now)

    def stop_instance(self, instance_id: UUID) -> None:
        """Cut the guest's power; its disk stays."""
        self._enter("stop_instance")
        guest = self.guests.get(instance_id)
        if guest is not None and guest.boot_epoch:
            self._end(guest, StopReason.STOPPED)
            self._notify(LifecycleNotice(NoticeKind.STOPPED, instance_id, StopReason.STOPPED))

    def reboot_instance(self, spec: InstanceSpec) -> None:
        """Cut the guest's power and start it again."""
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
        fresh.shutdown_s = guest.shutdown_s
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
        guest.shutdown = None
        self._off_at.pop(guest.spec.instance_id, None)
