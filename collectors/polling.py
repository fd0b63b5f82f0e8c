"""A host's reading made into samples, with Ceilometer's names, types and units to the letter. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from compute.hypervisor.contract import DiskStats, InstanceSpec, InstanceStats, PortStats, PowerState
from metering.model import MeterType, Sample, resource_id_of

KIB_PER_MIB = 1024
SERVER_GROUP_KEY = "metering.server_group"

POWER_STATE_NUMBERS: Mapping[PowerState, int] = {
    PowerState.RUNNING: 1,
    PowerState.PAUSED: 3,
    PowerState.SHUTOFF: 5,
    PowerState.CRASHED: 6,
}
"""The numbers of libvirt's virDomainState, which `power.state` carries."""

Reading: TypeAlias = tuple[str, MeterType, str, float | None]
"""Meter, type, unit and value; None is what the host did not tell, and makes no sample."""


@dataclass(frozen=True, slots=True)
class ResourceIdentity:
    """What all samples of one resource share."""

    resource_type: str
    original_id: str
    attributes: Mapping[str, str]

    @property
    def id(self) -> UUID:
        """The resource's id in the series store."""
        return resource_id_of(self.original_id)


def samples_of_host(
    readings: Iterable[InstanceStats], specs: Mapping[UUID, InstanceSpec], *, host: str, observed_at: datetime
) -> list[Sample]:
    """Make the samples of one look at a host; a guest of which nobody knows whose it is makes none."""
    return [
        sample
        for reading in readings
        if reading.instance_id in specs
        for sample in samples_of_instance(reading, specs[reading.instance_id], host=host, observed_at=observed_at)
    ]


def samples_of_instance(
    reading: InstanceStats, spec: InstanceSpec, *, host: str, observed_at: datetime
) -> Iterator[Sample]:
    """Make the samples of one guest: of the instance, of each disk and of each network card."""
    found = [(instance_identity(spec, host=host), instance_readings(reading, spec))]
    found += [(disk_identity(disk, spec), disk_readings(disk)) for disk in reading.disks]
    found += [(port_identity(port, spec), port_readings(port)) for port in reading.ports]
    for identity, values in found:
        yield from _samples(identity, values, reading=reading, spec=spec, observed_at=observed_at)


def instance_identity(spec: InstanceSpec, *, host: str) -> ResourceIdentity:
    """Name an instance as a resource, with the attributes by which it is grouped."""
    attributes = {"display_name": spec.name, "host": host, "flavor_name": spec.flavor_name}
    group = dict(spec.metadata).get(SERVER_GROUP_KEY)
    return ResourceIdentity(
        "instance", str(spec.instance_id), attributes if group is None else {**attributes, "server_group": group}
    )


def disk_identity(disk: DiskStats, spec: InstanceSpec) -> ResourceIdentity:
    """Name a disk as a resource, as Ceilometer does: the instance and the device."""
    attributes = {"name": disk.device, "instance_id": str(spec.instance_id)}
    return ResourceIdentity("instance_disk", f"{spec.instance_id}-{disk.device}", attributes)


def port_identity(port: PortStats, spec: InstanceSpec) -> ResourceIdentity:
    """Name a network card as a resource, as Ceilometer does: the instance's name on its host, its id and the device."""
    attributes = {"name": port.device, "instance_id": str(spec.instance_id), "mac": port.mac_address}
    original_id = f"{instance_name(spec.instance_id)}-{spec.instance_id}-{port.device}"
    return ResourceIdentity("instance_network_interface", original_id, attributes)


def instance_name(instance_id: UUID) -> str:
    """Name an instance as Nova's OS-EXT-SRV-ATTR:instance_name does, by the last digits of its id."""
    return f"instance-{instance_id.hex[-8:]}"


def instance_readings(reading: InstanceStats, spec: InstanceSpec) -> Sequence[Reading]:
    """Read what an instance consumes as a whole."""
    return (
        ("cpu", "cumulative", "ns", reading.cpu_time_ns),
        ("vcpus", "gauge", "vcpu", spec.vcpus),
        ("memory", "gauge", "MiB", spec.memory_mib),
        ("memory.usage", "gauge", "MiB", memory_usage_mib(reading)),
        ("memory.available", "gauge", "MiB", _mib(reading.memory_available_kib)),
        ("memory.resident", "gauge", "MiB", _mib(reading.memory_resident_kib)),
        ("memory.swap.in", "cumulative", "MiB", _mib(reading.swap_in_kib)),
        ("memory.swap.out", "cumulative", "MiB", _mib(reading.swap_out_kib)),
        ("power.state", "gauge", "state", POWER_STATE_NUMBERS[reading.power_state]),
        ("disk.root.size", "gauge", "GiB", spec.disk.size_gib),
    )


def memory_usage_mib(reading: InstanceStats) -> float | None:
    """Return what the guest uses: available less usable, or less unused where its kernel does not tell what is usable."""
    left = reading.memory_unused_kib if reading.memory_usable_kib is None else reading.memory_usable_kib
    if reading.memory_available_kib is None or left is None:
        return None
    return (reading.memory_available_kib - left) / KIB_PER_MIB


def disk_readings(disk: DiskStats) -> Sequence[Reading]:
    """Read the counters and sizes of one disk."""
    return (
        ("disk.device.read.requests", "cumulative", "request", disk.read_requests),
        ("disk.device.write.requests", "cumulative", "request", disk.write_requests),
        ("disk.device.read.bytes", "cumulative", "B", disk.read_bytes),
        ("disk.device.write.bytes", "cumulative", "B", disk.write_bytes),
        ("disk.device.read.latency", "cumulative", "ns", disk.read_latency_ns),
        ("disk.device.write.latency", "cumulative", "ns", disk.write_latency_ns),
        ("disk.device.capacity", "gauge", "B", disk.capacity_bytes),
        ("disk.device.allocation", "gauge", "B", disk.allocation_bytes),
        ("disk.device.usage", "gauge", "B", disk.usage_bytes),
    )


def port_readings(port: PortStats) -> Sequence[Reading]:
    """Read the counters of one network card; incoming is what the guest received."""
    return (
        ("network.incoming.bytes", "cumulative", "B", port.incoming_bytes),
        ("network.incoming.packets", "cumulative", "packet", port.incoming_packets),
        ("network.incoming.packets.drop", "cumulative", "packet", port.incoming_drops),
        ("network.incoming.packets.error", "cumulative", "packet", port.incoming_errors),
        ("network.outgoing.bytes", "cumulative", "B", port.outgoing_bytes),
        ("network.outgoing.packets", "cumulative", "packet", port.outgoing_packets),
        ("network.outgoing.packets.drop", "cumulative", "packet", port.outgoing_drops),
        ("network.outgoing.packets.error", "cumulative", "packet", port.outgoing_errors),
    )


def _mib(kib: int | None) -> float | None:
    return None if kib is None else kib / KIB_PER_MIB


def _samples(
    identity: ResourceIdentity,
    readings: Sequence[Reading],
    *,
    reading: InstanceStats,
    spec: InstanceSpec,
    observed_at: datetime,
) -> Iterator[Sample]:
    resource_id = identity.id
    for meter, meter_type, unit, value in readings:
        if value is None:
            continue
        yield Sample(
            resource_id=resource_id,
            resource_type=identity.resource_type,
            original_resource_id=identity.original_id,
            project_id=spec.project_id,
            user_id=spec.user_id,
            meter=meter,
            meter_type=meter_type,
            unit=unit,
            observed_at=observed_at,
            value=float(value),
            boot_epoch=reading.boot_epoch,
            attributes=identity.attributes,
        )
