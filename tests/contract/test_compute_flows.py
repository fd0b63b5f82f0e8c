"""A port begins without flows: what the host tracked of an address's former guest is forgotten, and nothing of anybody else's."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pyroute2.netlink.nfnetlink.nfctsocket as nfct
import pytest
from structlog.testing import capture_logs

from compute.domain_xml import tap_name
from compute.hypervisor.flow_table import FlowTable
from compute.hypervisor.nft_command import run_nft
from tests.contract.test_network_counters import OUTSIDE, Guest, Lab, exchange, inside, udp_socket

conntrack: Any = nfct
ADDRESS, NEIGHBOUR = IPv4Address("10.99.1.5"), IPv4Address("10.99.1.6")
UDP = socket.IPPROTO_UDP
TRIES_MAX = 60


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A host without guests."""
    if os.geteuid() != 0:
        pytest.fail("this test makes network namespaces: run it as root")
    made = Lab()
    try:
        yield made
    finally:
        made.close()


def flows(lab: Lab) -> list[tuple[str, str, int, int]]:
    """The exchanges by UDP that the host tracks: source, destination and their ports as the first packet had them.

    A bridge's own reports of multicast groups come when they come.
    """
    opened = conntrack.NFCTSocket(netns=lab.host, flags=0)
    found: list[tuple[str, str, int, int]] = []
    try:
        for entry in opened.dump():
            one = conntrack.NFCTAttrTuple.from_netlink(socket.AF_INET, entry.get_attr("CTA_TUPLE_ORIG"))
            if one.proto == UDP:
                found.append((one.saddr, one.daddr, one.sport, one.dport))
    finally:
        opened.close()
    return sorted(found)


def add_flow(
    lab: Lab, source: str, target: str, *, sport: int, turned_to: str | None = None, zone: int | None = None
) -> None:
    """Let the host track a flow that nobody sent."""
    there = conntrack.NFCTAttrTuple(saddr=source, daddr=target, proto=UDP, sport=sport, dport=7000)
    back = conntrack.NFCTAttrTuple(saddr=target, daddr=source, proto=UDP, sport=7000, dport=sport)
    more: dict[str, Any] = {} if zone is None else {"zone": zone}
    if turned_to is not None:
        more["nat_dst"] = {"attrs": [["CTA_NAT_V4_MINIP", turned_to], ["CTA_NAT_V4_MAXIP", turned_to]]}
    opened = conntrack.NFCTSocket(netns=lab.host, flags=0)
    try:
        opened.entry("add", timeout=600, tuple_orig=there, tuple_reply=back, **more)
    finally:
        opened.close()


def forget(lab: Lab, *addresses: IPv4Address) -> int:
    with inside(lab.host):
        return FlowTable().forget(addresses)


def successor_of(lab: Lab, guest: Guest) -> Guest:
    """A guest with another's address, on a card and a port of its own."""
    made = lab.guest(lab.networks[0], 200)
    lab.ip("addr", "flush", "dev", "eth0", of=made.namespace)
    lab.ip("addr", "add", f"{guest.port.ip_address}/24", "dev", "eth0", of=made.namespace)
    lab.ip("route", "add", "default", "via", str(lab.networks[0].gateway_ip), of=made.namespace)
    return replace(made, port=replace(made.port, ip_address=guest.port.ip_address))


def unplug(lab: Lab, guest: Guest) -> None:
    """Take a guest's end away, as the end of its hypervisor process does."""
    lab.ip("link", "delete", tap_name(guest.port.port_id))


@pytest.mark.parametrize("is_told", [True, False], ids=["the agent saw it go", "the rules went without the agent"])
def test_who_gets_a_gone_guests_address_receives_and_pays_nothing_of_what_is_still_sent_to_it(
    lab: Lab, *, is_told: bool
) -> None:
    network = lab.network(1)
    gone, neighbour = lab.guest(network, 5), lab.guest(network, 6)
    lab.converge()
    exchange(neighbour.namespace, lab.outside, OUTSIDE, sizes=[10], answers=[20])
    with udp_socket(lab.outside, 7001) as sender:
        with udp_socket(gone.namespace, 6000) as asking:
            asking.sendto(bytes(10), (str(OUTSIDE), 7001))
            _, way_back = sender.recvfrom(100)
            sender.sendto(bytes(100), way_back)
            assert len(asking.recv(200)) == 100
        unplug(lab, gone)
        if is_told:
            lab.converge(neighbour)
        else:
            families = ("inet", "bridge")
            with inside(lab.host):
                run_nft([{"delete": {"table": {"family": f, "name": lab.packet_filter.table}}} for f in families])
                lab.packet_filter.converge(lab.networks, [neighbour.port], running=[neighbour.port.port_id])
        sender.sendto(bytes(200), way_back)
        lab.ip(
            "neigh", "flush", "to", str(gone.port.ip_address)
        )  # what waits for a card to answer would reach the heir's
        heir = successor_of(lab, gone)
        with inside(lab.host):
            ports = [neighbour.port, heir.port]
            lab.packet_filter.converge(lab.networks, ports, running=[neighbour.port.port_id])
        with udp_socket(heir.namespace, 6000) as listening:
            sender.sendto(bytes(300), way_back)
            listening.settimeout(0.3)
            with pytest.raises(TimeoutError):
                listening.recv(1000)
    assert lab.bytes_of(heir) == (0, 0)
    assert (str(NEIGHBOUR), str(OUTSIDE)) in {flow[:2] for flow in flows(lab)}
    exchange(heir.namespace, lab.outside, OUTSIDE, sizes=[1], answers=[2])
    assert lab.bytes_of(heir) == (29, 30)


def test_running_guests_keep_their_flows_when_all_rules_are_written_anew(lab: Lab) -> None:
    guest = lab.guest(lab.network(1), 5)
    lab.converge()
    exchange(guest.namespace, lab.outside, OUTSIDE, sizes=[10], answers=[20])
    before = flows(lab)
    assert len(before) == 1
    with inside(lab.host):
        run_nft([{"flush": {"ruleset": None}}])
        lab.packet_filter.converge(lab.networks, [guest.port], running=[guest.port.port_id])
        lab.packet_filter.converge(lab.networks, [guest.port])
    assert flows(lab) == before


@pytest.mark.parametrize("how_many", [1, 5])
def test_only_flows_of_the_address_are_forgotten_in_whichever_place_it_stands(lab: Lab, how_many: int) -> None:
    add_flow(lab, str(ADDRESS), "198.51.100.7", sport=1)
    add_flow(lab, "198.51.100.7", str(ADDRESS), sport=2)
    add_flow(lab, "198.51.100.7", "198.51.100.1", sport=3, turned_to=str(ADDRESS))
    others = [(str(NEIGHBOUR), "198.51.100.7", 4, 7000), ("10.99.1.50", "10.99.1.55", 5, 7000)]
    for source, target, sport, _ in others:
        add_flow(lab, source, target, sport=sport)
    add_flow(lab, str(ADDRESS), "198.51.100.7", sport=6, zone=9)
    others.append((str(ADDRESS), "198.51.100.7", 6, 7000))
    asked = [ADDRESS, *(IPv4Address(f"10.99.1.{200 + number}") for number in range(how_many - 1))]
    assert forget(lab, *asked) == 3
    assert flows(lab) == sorted(others)
    assert forget(lab, *asked) == 0
    assert forget(lab) == 0


def test_a_network_that_is_not_ours_keeps_its_flows_though_our_rules_once_named_the_address(lab: Lab) -> None:
    guest = lab.guest(lab.network(1), 5)
    lab.converge()
    add_flow(lab, str(ADDRESS), "198.51.100.7", sport=1)
    with inside(lab.host):
        lab.packet_filter.converge([], [])
    assert [flow[0] for flow in flows(lab)] == [str(guest.port.ip_address)]


def track_thousands(lab: Lab, guest: Guest) -> None:
    """Let a guest send to three thousand ports until the host tracks each: while no gateway has answered, the kernel drops what waits."""
    before = len(flows(lab))
    with udp_socket(guest.namespace) as sender:
        for _ in range(TRIES_MAX):
            for port in range(20_000, 23_000):
                sender.sendto(b"", (str(OUTSIDE), port))
            if len(flows(lab)) == before + 3_000:
                return
            time.sleep(1)
    pytest.fail(f"the host tracks {len(flows(lab)) - before} of a guest's 3,000 flows")


def test_thousands_of_flows_of_a_guest_are_forgotten_and_thousands_of_others_are_not(lab: Lab) -> None:
    network = lab.network(1)
    guest, neighbour = lab.guest(network, 5), lab.guest(network, 6)
    lab.converge()
    with inside(lab.host):
        Path("/proc/sys/net/netfilter/nf_conntrack_udp_timeout").write_text("600")
    for one in (guest, neighbour):
        track_thousands(lab, one)
    assert forget(lab, ADDRESS) == 3_000
    assert {flow[0] for flow in flows(lab)} == {str(NEIGHBOUR)}


CHILD = """
import json, sys
from ipaddress import IPv4Address
import structlog
from structlog.testing import capture_logs
from compute.hypervisor.flow_table import FlowTable
with capture_logs() as said:
    table = FlowTable()
    forgotten = [table.forget([IPv4Address("10.99.1.5")]) for _ in range(3)]
print(json.dumps([forgotten, said]))
"""


def test_a_host_that_lets_nothing_be_forgotten_is_told_of_once_and_stops_nobody(lab: Lab) -> None:
    add_flow(lab, str(ADDRESS), "198.51.100.7", sport=1)
    powerless = ["setpriv", "--reuid=0", "--bounding-set=-net_admin", "--inh-caps=-net_admin"]
    with inside(lab.host):
        done = subprocess.run(
            [*powerless, sys.executable, "-c", CHILD], capture_output=True, text=True, check=True, timeout=60
        )
    forgotten, said = json.loads(done.stdout)
    assert forgotten == [0, 0, 0]
    assert [line["event"] for line in said] == ["flows.not_forgotten"]
    assert "Operation not permitted" in said[0]["reason"]
    assert len(flows(lab)) == 1


def test_a_table_too_slow_to_be_searched_holds_nobody_up(lab: Lab) -> None:
    add_flow(lab, str(ADDRESS), "198.51.100.7", sport=1)
    with inside(lab.host), capture_logs() as said:
        assert FlowTable(seconds_max=-1.0).forget([ADDRESS]) == 0
    assert [line["event"] for line in said] == ["flows.not_forgotten"]
