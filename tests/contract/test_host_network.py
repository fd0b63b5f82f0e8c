"""What a host says of its own network, asked of real routing tables in network namespaces."""

from collections.abc import Iterator
from ipaddress import IPv4Network

import pytest

from compute.hypervisor.host_network import read_mtu, read_routed_subnets
from tests.contract.test_network_counters import Lab, inside


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A host with one interface, `up0`, to the outside."""
    made = Lab()
    try:
        yield made
    finally:
        made.close()


def test_guests_send_no_larger_packets_than_every_way_out_takes(lab: Lab) -> None:
    lab.ip("link", "add", "up1", "mtu", "1380", "type", "veth", "peer", "name", "up1peer")
    lab.ip("link", "set", "up1peer", "up")
    lab.ip("addr", "add", "203.0.113.1/24", "dev", "up1")
    lab.ip("link", "set", "up1", "up")
    lab.ip("link", "set", "up0", "mtu", "1450")
    ways = ["nexthop", "via", "198.51.100.2", "dev", "up0", "nexthop", "via", "203.0.113.2", "dev", "up1"]
    lab.ip("route", "add", "default", *ways)
    with inside(lab.host):
        assert read_mtu() == 1380


def test_a_default_route_that_leads_nowhere_limits_nothing(lab: Lab) -> None:
    lab.ip("route", "add", "unreachable", "default", "metric", "4000")
    with inside(lab.host):
        assert read_mtu() == 1500
    lab.ip("link", "set", "up0", "mtu", "1450")
    lab.ip("route", "add", "default", "via", "198.51.100.2")
    with inside(lab.host):
        assert read_mtu() == 1450


def test_the_two_halves_of_a_default_route_use_no_subnet(lab: Lab) -> None:
    for half in ("0.0.0.0/1", "128.0.0.0/1"):
        lab.ip("route", "add", half, "via", "198.51.100.2")
    lab.ip("route", "add", "10.8.0.0/16", "via", "198.51.100.2")
    with inside(lab.host):
        routed = read_routed_subnets(except_devices=())
    assert IPv4Network("10.8.0.0/16") in routed
    assert IPv4Network("198.51.100.0/24") in routed
    assert not any(subnet.overlaps(IPv4Network("10.9.0.0/16")) for subnet in routed)
