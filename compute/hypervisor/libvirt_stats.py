"""libvirt's flat statistics record of a guest, read into our nouns. Pure."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from compute.domain_xml import CONFIG_DEVICE
from compute.hypervisor.contract import DiskStats, InstanceStats, PortStats, PowerState

POWER_STATES = {
    0: PowerState.SHUTOFF,
    1: PowerState.RUNNING,
    2: PowerState.RUNNING,
    3: PowerState.PAUSED,
    4: PowerState.RUNNING,
    5: PowerState.SHUTOFF,
    6: PowerState.CRASHED,
    7: PowerState.PAUSED,
}
"""virDomainState: no state, running, blocked, paused, being shut down, shut off, crashed, suspended by the guest."""

PAUSED, PAUSED_BY_DISK = 3, 5
"""VIR_DOMAIN_PAUSED, and its reason VIR_DOMAIN_PAUSED_IOERROR: QEMU holds a guest still only when there is no room (ENOSPC)."""

DEVICES_MAX = 256


def read_power_state(record: Mapping[str, Any]) -> PowerState:
    """Read the power state; a record without one is of a guest that is off."""
    return POWER_STATES.get(int(record.get("state.state", 5)), PowerState.SHUTOFF)


def is_stalled(record: Mapping[str, Any]) -> bool:
    """Tell whether a guest is held still, since its disk could not be written."""
    return (record.get("state.state"), record.get("state.reason")) == (PAUSED, PAUSED_BY_DISK)


def read_instance_stats(
    instance_id: UUID, record: Mapping[str, Any], *, boot_epoch: int, macs: Mapping[str, str]
) -> InstanceStats:
    """Read one guest's record; `macs` gives the MAC of each of its devices on the host.

    Memory is in KiB, times in ns. What QEMU did not tell in time is None and makes no sample.
    """
    return InstanceStats(
        instance_id=instance_id,
        power_state=read_power_state(record),
        boot_epoch=boot_epoch,
        cpu_time_ns=record.get("cpu.time"),
        vcpus=record.get("vcpu.current"),
        memory_available_kib=record.get("balloon.available"),
        memory_usable_kib=record.get("balloon.usable"),
        memory_unused_kib=record.get("balloon.unused"),
        memory_resident_kib=record.get("balloon.rss"),
        swap_in_kib=record.get("balloon.swap_in"),
        swap_out_kib=record.get("balloon.swap_out"),
        disks=tuple(
            _read_disk(record, f"block.{index}")
            for index in range(_count(record, "block.count"))
            if record.get(f"block.{index}.name") not in {None, CONFIG_DEVICE}
        ),
        ports=tuple(
            _read_port(record, f"net.{index}", macs)
            for index in range(_count(record, "net.count"))
            if record.get(f"net.{index}.name") is not None
        ),
    )


def _count(record: Mapping[str, Any], key: str) -> int:
    return min(DEVICES_MAX, int(record.get(key, 0)))


def _read_disk(record: Mapping[str, Any], prefix: str) -> DiskStats:
    return DiskStats(
        device=str(record[f"{prefix}.name"]),
        read_bytes=record.get(f"{prefix}.rd.bytes"),
        read_requests=record.get(f"{prefix}.rd.reqs"),
        read_latency_ns=record.get(f"{prefix}.rd.times"),
        write_bytes=record.get(f"{prefix}.wr.bytes"),
        write_requests=record.get(f"{prefix}.wr.reqs"),
        write_latency_ns=record.get(f"{prefix}.wr.times"),
        capacity_bytes=record.get(f"{prefix}.capacity"),
        allocation_bytes=record.get(f"{prefix}.allocation"),
        usage_bytes=record.get(f"{prefix}.physical"),
    )


def _read_port(record: Mapping[str, Any], prefix: str, macs: Mapping[str, str]) -> PortStats:
    """libvirt turns a tap's counters round already: `rx` is what the guest received."""
    device = str(record[f"{prefix}.name"])
    return PortStats(
        device=device,
        mac_address=macs.get(device, ""),
        incoming_bytes=record.get(f"{prefix}.rx.bytes"),
        incoming_packets=record.get(f"{prefix}.rx.pkts"),
        incoming_drops=record.get(f"{prefix}.rx.drop"),
        incoming_errors=record.get(f"{prefix}.rx.errs"),
        outgoing_bytes=record.get(f"{prefix}.tx.bytes"),
        outgoing_packets=record.get(f"{prefix}.tx.pkts"),
        outgoing_drops=record.get(f"{prefix}.tx.drop"),
        outgoing_errors=record.get(f"{prefix}.tx.errs"),
    )
