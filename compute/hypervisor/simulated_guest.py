"""A simulated guest: what it does each second, and what it has consumed since its boot began."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from compute.domain_xml import ROOT_DEVICE, tap_name
from compute.hypervisor.contract import (
    DiskStats,
    InstanceSpec,
    InstanceStats,
    PortStats,
    PowerState,
    ShutdownRequest,
    StopReason,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
GIB = 1024**3
NS_PER_S = 1_000_000_000
DEFAULT_LOAD = 0.05
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
    shutdown_s: float | None = 0.0
    shutdown: ShutdownRequest | None = None
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

    def read(self, now: datetime) -> InstanceStats:
        """Tell what the guest has consumed by now."""
        self.count_until(now)
        memory_kib = self.spec.memory_mib * 1024
        disk = DiskStats(
            device=ROOT_DEVICE,
            read_bytes=self.disk_read_bytes,
            read_requests=self.disk_read_bytes // 4_096,
            read_latency_ns=self.disk_read_bytes * 10,
            write_bytes=self.disk_write_bytes,
            write_requests=self.disk_write_bytes // 4_096,
            write_latency_ns=self.disk_write_bytes * 10,
            capacity_bytes=self.spec.disk.size_gib * GIB,
            allocation_bytes=self.disk_write_bytes,
            usage_bytes=self.disk_write_bytes,
        )
        card = PortStats(
            device="",
            incoming_bytes=self.incoming_bytes,
            incoming_packets=self.incoming_bytes // PACKET_BYTES,
            incoming_drops=0,
            incoming_errors=0,
            outgoing_bytes=self.outgoing_bytes,
            outgoing_packets=self.outgoing_bytes // PACKET_BYTES,
            outgoing_drops=0,
            outgoing_errors=0,
        )
        return InstanceStats(
            instance_id=self.spec.instance_id,
            power_state=self.power_state,
            boot_epoch=self.boot_epoch,
            cpu_time_ns=self.cpu_time_ns,
            vcpus=self.spec.vcpus,
            memory_available_kib=memory_kib,
            memory_usable_kib=memory_kib // 2,
            memory_unused_kib=memory_kib // 3,
            memory_resident_kib=memory_kib,
            swap_in_kib=0,
            swap_out_kib=0,
            disks=(disk,),
            ports=tuple(
                replace(card, device=tap_name(port.port_id), mac_address=port.mac_address) for port in self.spec.ports
            ),
        )
