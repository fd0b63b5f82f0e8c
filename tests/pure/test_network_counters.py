"""Packet and interface counters as samples: whose they are, on which resource, and with which epoch."""

from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from uuid import UUID

from collectors.network_counters import samples_of_interfaces, samples_of_traffic
from collectors.polling import port_identity
from compute.domain_xml import tap_name
from compute.hypervisor.contract import DiskSpec, InstanceSpec, InterfaceStats, PortSpec, PortStats, PortTraffic
from compute.hypervisor.host_network import INTERFACES_MAX, interfaces_of

AT = datetime(2026, 3, 1, tzinfo=UTC)
PORT = PortSpec(UUID(int=7), UUID(int=8), "52:54:00:00:00:07", IPv4Address("10.0.0.7"))
SPEC = InstanceSpec(
    instance_id=UUID(int=1),
    project_id="p",
    user_id="u",
    name="web",
    vcpus=1,
    memory_mib=64,
    disk=DiskSpec(image_path=Path("a"), image_format="qcow2", size_gib=1),
    ports=(PORT, replace(PORT, port_id=UUID(int=9))),
)
DEVICE = tap_name(PORT.port_id)


def test_a_ports_traffic_belongs_to_the_resource_and_the_project_of_its_other_counters() -> None:
    traffic = [PortTraffic(DEVICE, "outgoing", 128, 1000), PortTraffic(DEVICE, "incoming", 64, 1001)]
    samples = samples_of_traffic(traffic, {SPEC.instance_id: SPEC}, observed_at=AT)
    identity = port_identity(PortStats(DEVICE, PORT.mac_address), SPEC)
    assert {(s.meter, s.value, s.boot_epoch) for s in samples} == {
        ("network.external.outgoing.bytes", 128.0, 1000),
        ("network.external.incoming.bytes", 64.0, 1001),
    }
    for sample in samples:
        assert (sample.resource_id, sample.original_resource_id) == (identity.id, identity.original_id)
        assert (sample.resource_type, sample.project_id, sample.user_id) == ("instance_network_interface", "p", "u")
        assert (sample.meter_type, sample.unit, sample.adopted) == ("cumulative", "B", False)
        assert sample.attributes == identity.attributes


def test_a_port_of_which_nobody_knows_whose_it_is_makes_no_sample() -> None:
    assert samples_of_traffic([PortTraffic("nt0", "outgoing", 1, 1)], {SPEC.instance_id: SPEC}, observed_at=AT) == []


def test_the_hosts_interfaces_are_no_projects_and_have_ceilometers_names() -> None:
    interface = InterfaceStats("eth0", 5, True, 1, 2, 3, 4, 5, 6, 7, 8)
    samples = samples_of_interfaces([interface], host="h", observed_at=AT)
    told = {s.meter: (s.unit, s.value) for s in samples}
    assert told["hardware.network.incoming.bytes"] == ("B", 1.0)
    assert told["hardware.network.outgoing.bytes"] == ("B", 5.0)
    assert told["hardware.network.outgoing.errors"] == ("packet", 7.0)
    assert len(told) == len(samples) == 8
    assert {(s.resource_type, s.original_resource_id, s.project_id, s.user_id) for s in samples} == {
        ("host_network_interface", "h.eth0", "", None)
    }
    assert all(s.adopted and s.boot_epoch == 5 for s in samples)


def a_link(index: int, name: str, *, kind: str = "", master: int | None = None) -> dict[str, Any]:
    """One link of a netlink dump."""
    counted = ("bytes", "packets", "errors", "dropped")
    counters = {f"{way}_{what}": index for way in ("rx", "tx") for what in counted}
    attributes: list[tuple[str, object]] = [("IFLA_IFNAME", name), ("IFLA_STATS64", counters)]
    attributes += [("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", kind)]})] if kind else []
    attributes += [("IFLA_MASTER", master)] if master is not None else []
    return {"index": index, "flags": 0, "attrs": attributes}


def test_an_interface_of_the_host_is_read_however_many_guests_came_before_it():
    taps = [a_link(10 + n, f"nt{n}", kind="tun", master=5) for n in range(2 * INTERFACES_MAX)]
    links = [a_link(2, "eth0"), *taps, a_link(9_000, "bond0", kind="bond")]
    found = interfaces_of(links, epoch=0, is_adopted=False)
    assert [interface.device for interface in found] == ["eth0", "bond0"]


def test_no_more_interfaces_are_read_than_the_bound():
    links = [a_link(n, f"eth{n}") for n in range(1, INTERFACES_MAX + 10)]
    assert len(interfaces_of(links, epoch=0, is_adopted=False)) == INTERFACES_MAX
