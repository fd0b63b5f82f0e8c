"""The host's own network counters made into samples: what each port exchanged with the outside, and the host's interfaces. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from collectors.polling import port_identity
from compute.domain_xml import tap_name
from compute.hypervisor.contract import InstanceSpec, InterfaceStats, PortStats, PortTraffic
from metering.model import Sample, resource_id_of

METERS: Mapping[Literal["incoming", "outgoing"], str] = {
    "incoming": "network.external.incoming.bytes",
    "outgoing": "network.external.outgoing.bytes",
}
"""By direction as the guest sees it. Bytes of IP packets, without the Ethernet header that network.outgoing.bytes includes."""

NO_PROJECT = ""
"""The host's own interfaces are no project's."""


def samples_of_traffic(
    traffic: Iterable[PortTraffic], specs: Mapping[UUID, InstanceSpec], *, observed_at: datetime
) -> list[Sample]:
    """Make the samples of ports; a port of which nobody knows whose it is makes none.

    They belong to the same resource as the port's other counters, but their epoch is the packet counter's, not the guest's boot.
    """
    owners = {tap_name(port.port_id): (spec, port) for spec in specs.values() for port in spec.ports}
    samples: list[Sample] = []
    for counted in traffic:
        if counted.device not in owners:
            continue
        spec, port = owners[counted.device]
        identity = port_identity(PortStats(counted.device, port.mac_address), spec)
        samples.append(
            Sample(
                resource_id=identity.id,
                resource_type=identity.resource_type,
                original_resource_id=identity.original_id,
                project_id=spec.project_id,
                user_id=spec.user_id,
                meter=METERS[counted.direction],
                meter_type="cumulative",
                unit="B",
                observed_at=observed_at,
                value=float(counted.bytes),
                boot_epoch=counted.counter_epoch,
                attributes=identity.attributes,
            )
        )
    return samples


def samples_of_interfaces(interfaces: Iterable[InterfaceStats], *, host: str, observed_at: datetime) -> list[Sample]:
    """Make the samples of the host's own interfaces, with Ceilometer's names where it has one for them."""
    return [
        Sample(
            resource_id=resource_id_of(f"{host}.{interface.device}"),
            resource_type="host_network_interface",
            original_resource_id=f"{host}.{interface.device}",
            project_id=NO_PROJECT,
            user_id=None,
            meter=meter,
            meter_type="cumulative",
            unit=unit,
            observed_at=observed_at,
            value=float(value),
            boot_epoch=interface.boot_epoch,
            adopted=interface.is_adopted,
            attributes={"host_name": host, "device_name": interface.device},
        )
        for interface in interfaces
        for meter, unit, value in interface_readings(interface)
    ]


def interface_readings(interface: InterfaceStats) -> Sequence[tuple[str, str, int]]:
    """Read meter, unit and value of one interface."""
    return (
        ("hardware.network.incoming.bytes", "B", interface.incoming_bytes),
        ("hardware.network.incoming.packets", "packet", interface.incoming_packets),
        ("hardware.network.incoming.errors", "packet", interface.incoming_errors),
        ("hardware.network.incoming.drops", "packet", interface.incoming_drops),
        ("hardware.network.outgoing.bytes", "B", interface.outgoing_bytes),
        ("hardware.network.outgoing.packets", "packet", interface.outgoing_packets),
        ("hardware.network.outgoing.errors", "packet", interface.outgoing_errors),
        ("hardware.network.outgoing.drops", "packet", interface.outgoing_drops),
    )
