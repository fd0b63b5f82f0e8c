"""Our packet counters asked of a real kernel: two guests, another network and a world outside, each in a network namespace of its own.

Every datagram's size is known, so that what is counted is compared to the byte.
"""

import json
import os
import socket
import subprocess
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyroute2.netns
import pytest

from compute.domain_xml import bridge_name, tap_name
from compute.hypervisor.contract import NetworkSpec, PortSpec
from compute.hypervisor.host_network import HostInterfaces
from compute.hypervisor.nft_command import list_table, run_nft
from compute.hypervisor.nftables import PacketFilter
from compute.hypervisor.packet_rules import build_tables

netns: Any = pyroute2.netns
IP_AND_UDP_HEADER = 28
ETHERNET_HEADER = 14
OUTSIDE = IPv4Address("198.51.100.2")
WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Guest:
    """A namespace that stands for a guest, and its port."""

    namespace: str
    port: PortSpec


class Lab:
    """A host in a namespace with the installation's packet rules; `now_us` only ever rises."""

    def __init__(self) -> None:
        self.mark = uuid4().hex[:6]
        self.namespaces: list[str] = []
        self.host = self.make("h")
        self.outside = self.make("o")
        self.guests: list[Guest] = []
        self.networks: list[NetworkSpec] = []
        self.now_us = 1_790_000_000_000_000
        self.packet_filter = PacketFilter(self.mark, now_us=self.tick)
        self.ip("link", "add", "up0", "type", "veth", "peer", "name", "eth0", "netns", self.outside)
        self.ip("addr", "add", "198.51.100.1/24", "dev", "up0")
        self.ip("link", "set", "up0", "up")
        self.ip("addr", "add", f"{OUTSIDE}/24", "dev", "eth0", of=self.outside)
        self.ip("link", "set", "eth0", "up", of=self.outside)
        with inside(self.host):
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")

    def tick(self) -> int:
        """Let time go on by a second."""
        self.now_us += 1_000_000
        return self.now_us

    def make(self, letter: str) -> str:
        """Make a namespace."""
        name = f"nepho-{self.mark}-{letter}"
        netns.create(name)
        self.namespaces.append(name)
        self.ip("link", "set", "lo", "up", of=name)
        return name

    def ip(self, *arguments: str, of: str | None = None) -> None:
        """Set a namespace's network."""
        subprocess.run(["ip", "-n", of or self.host, *arguments], check=True, capture_output=True, text=True)

    def network(self, number: int, *, is_routed: bool = True, project_id: str | None = "p") -> NetworkSpec:
        """Make a network's bridge with its gateway."""
        cidr = IPv4Network(f"10.99.{number}.0/24")
        spec = NetworkSpec(uuid4(), project_id, cidr, cidr[1], is_routed=is_routed)
        bridge = bridge_name(spec.network_id)
        self.ip("link", "add", bridge, "type", "bridge")
        self.ip("addr", "add", f"{cidr[1]}/24", "dev", bridge)
        self.ip("link", "set", bridge, "up")
        self.networks.append(spec)
        return spec

    def guest(self, network: NetworkSpec, number: int) -> Guest:
        """Make a guest on a network."""
        name = self.make(f"g{len(self.guests)}")
        mac = f"52:54:00:00:00:{len(self.guests) + 1:02x}"
        port = PortSpec(uuid4(), network.network_id, mac, network.cidr[number])
        tap = tap_name(port.port_id)
        self.ip("link", "add", tap, "type", "veth", "peer", "name", "eth0", "netns", name)
        self.ip("link", "set", tap, "master", bridge_name(network.network_id))
        self.ip("link", "set", tap, "up")
        self.ip("link", "set", "eth0", "address", mac, of=name)
        self.ip("addr", "add", f"{port.ip_address}/24", "dev", "eth0", of=name)
        self.ip("link", "set", "eth0", "up", of=name)
        self.ip("route", "add", "default", "via", str(network.gateway_ip), of=name)
        self.guests.append(Guest(name, port))
        return self.guests[-1]

    def converge(self, *guests: Guest) -> None:
        """Bring the rules to these guests, all if none is named."""
        with inside(self.host):
            self.packet_filter.converge(self.networks, [guest.port for guest in guests or self.guests])

    def counted(self, guest: Guest) -> dict[str, list[tuple[int, int]]]:
        """Read a guest's counters: (epoch, bytes) by direction, in order of epochs."""
        with inside(self.host):
            traffic = self.packet_filter.read_traffic()
        assert traffic is not None
        mine = [counted for counted in traffic if counted.device == tap_name(guest.port.port_id)]
        return {
            way: sorted((counted.counter_epoch, counted.bytes) for counted in mine if counted.direction == way)
            for way in ("outgoing", "incoming")
        }

    def bytes_of(self, guest: Guest) -> tuple[int, int]:
        """Read a guest's counters of a single epoch: outgoing, incoming."""
        found = self.counted(guest)
        (_, outgoing), (_, incoming) = found["outgoing"][0], found["incoming"][0]
        assert all(len(epochs) == 1 for epochs in found.values())
        return outgoing, incoming

    def close(self) -> None:
        """Take all namespaces away, and with them what is in them."""
        for name in reversed(self.namespaces):
            netns.remove(name)


@contextmanager
def inside(namespace: str) -> Generator[None]:
    """Do something in a namespace; children and sockets made meanwhile belong to it."""
    netns.pushns(namespace)
    try:
        yield
    finally:
        netns.popns()


def udp_socket(namespace: str, port: int = 0) -> socket.socket:
    with inside(namespace):
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind(("0.0.0.0", port))
    opened.settimeout(WAIT_S)
    return opened


def exchange(client: str, server: str, address: IPv4Address, *, sizes: list[int], answers: list[int]) -> None:
    """Send datagrams of these payload sizes and have them answered by others; all of them arrive."""
    with udp_socket(client) as asking, udp_socket(server, 7000) as answering:
        asking.connect((str(address), 7000))
        sender: Any = None
        for size in sizes:
            asking.send(bytes(size))
            received, sender = answering.recvfrom(65_536)
            assert len(received) == size
        for size in answers:
            answering.sendto(bytes(size), sender)
            assert len(asking.recv(65_536)) == size


def send_in_vain(client: str, address: IPv4Address, *, size: int, port: int = 7000) -> None:
    with udp_socket(client) as asking:
        asking.sendto(bytes(size), (str(address), port))


def wire_bytes(sizes: list[int]) -> int:
    return sum(size + IP_AND_UDP_HEADER for size in sizes)


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


def test_what_leaves_the_cloud_and_comes_from_outside_is_counted_to_the_byte(lab: Lab) -> None:
    network = lab.network(1)
    guest, other = lab.guest(network, 5), lab.guest(network, 6)
    lab.converge()
    assert lab.bytes_of(guest) == (0, 0)
    sizes, answers = [1, 100, 1472, 700], [1000, 33]
    exchange(guest.namespace, lab.outside, OUTSIDE, sizes=sizes, answers=answers)
    assert lab.bytes_of(guest) == (wire_bytes(sizes), wire_bytes(answers))
    assert lab.bytes_of(other) == (0, 0)
    exchange(other.namespace, lab.outside, OUTSIDE, sizes=[10], answers=[20])
    assert lab.bytes_of(other) == (38, 48)
    assert lab.bytes_of(guest) == (wire_bytes(sizes), wire_bytes(answers))


def test_what_stays_inside_is_not_counted(lab: Lab) -> None:
    network, apart = lab.network(1), lab.network(2)
    guest, neighbour, stranger = lab.guest(network, 5), lab.guest(network, 6), lab.guest(apart, 5)
    lab.converge()
    exchange(guest.namespace, neighbour.namespace, neighbour.port.ip_address, sizes=[500, 600], answers=[700])
    with udp_socket(lab.host, 53) as names, udp_socket(guest.namespace) as asking:
        asking.connect((str(network.gateway_ip), 53))
        asking.send(bytes(40))
        question, sender = names.recvfrom(512)
        names.sendto(bytes(200), sender)
        assert (len(question), len(asking.recv(512))) == (40, 200)
    send_in_vain(guest.namespace, stranger.port.ip_address, size=300)
    for one in (guest, neighbour, stranger):
        assert lab.bytes_of(one) == (0, 0)
    ends = time.monotonic() + WAIT_S
    with inside(lab.host):
        while lab.packet_filter.count_drops()["isolated"] == 0 and time.monotonic() < ends:
            time.sleep(0.05)
        assert lab.packet_filter.count_drops()["isolated"] == 1


def test_what_goes_through_the_gateway_and_back_to_the_same_network_is_inside(lab: Lab) -> None:
    network = lab.network(1)
    guest, neighbour = lab.guest(network, 5), lab.guest(network, 6)
    lab.converge()
    for one, other in ((guest, neighbour), (neighbour, guest)):
        lab.ip("route", "add", f"{other.port.ip_address}/32", "via", str(network.gateway_ip), of=one.namespace)
    exchange(guest.namespace, neighbour.namespace, neighbour.port.ip_address, sizes=[300], answers=[400])
    assert [lab.bytes_of(one) for one in (guest, neighbour)] == [(0, 0), (0, 0)]


def test_a_shared_network_counts_each_port_for_itself_and_an_isolated_network_counts_nothing(lab: Lab) -> None:
    shared, closed = lab.network(1, project_id=None), lab.network(2, is_routed=False)
    first, second, third = lab.guest(shared, 5), lab.guest(shared, 6), lab.guest(closed, 7)
    lab.converge()
    exchange(first.namespace, lab.outside, OUTSIDE, sizes=[100], answers=[])
    exchange(first.namespace, second.namespace, second.port.ip_address, sizes=[100], answers=[100])
    send_in_vain(third.namespace, OUTSIDE, size=900)
    assert [lab.bytes_of(guest) for guest in (first, second, third)] == [(128, 0), (0, 0), (0, 0)]


def test_what_our_rules_refuse_is_not_counted(lab: Lab) -> None:
    guest = lab.guest(lab.network(1), 5)
    lab.converge()
    lab.ip("route", "add", "10.99.1.0/24", "via", "198.51.100.1", of=lab.outside)
    send_in_vain(lab.outside, guest.port.ip_address, size=400)
    lab.ip("addr", "add", "10.99.1.77/24", "dev", "eth0", of=guest.namespace)
    with inside(guest.namespace):
        forged = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with forged:
        forged.bind(("10.99.1.77", 0))
        forged.sendto(bytes(100), (str(OUTSIDE), 7000))
    assert lab.bytes_of(guest) == (0, 0)


def test_guests_that_come_and_go_leave_the_others_counters_alone(lab: Lab) -> None:
    network = lab.network(1)
    guest, leaving = lab.guest(network, 5), lab.guest(network, 6)
    lab.converge(guest)
    exchange(guest.namespace, lab.outside, OUTSIDE, sizes=[100], answers=[50])
    before = lab.counted(guest)
    lab.converge(guest, leaving)
    exchange(leaving.namespace, lab.outside, OUTSIDE, sizes=[7], answers=[])
    lab.converge(guest)
    assert lab.counted(guest) == before
    assert lab.counted(leaving) == {"outgoing": [], "incoming": []}
    lab.converge(guest, leaving)
    assert lab.bytes_of(leaving) == (0, 0)


def test_rules_written_anew_carry_the_counters_over(lab: Lab) -> None:
    guest = lab.guest(lab.network(1), 5)
    lab.converge()
    exchange(guest.namespace, lab.outside, OUTSIDE, sizes=[100], answers=[50])
    before = lab.counted(guest)
    with inside(lab.host):
        subprocess.run(["nft", "flush", "chain", "inet", lab.packet_filter.table, "counting"], check=True)
        assert lab.packet_filter.read_traffic() is None
    lab.converge()
    assert lab.counted(guest) == before
    exchange(guest.namespace, lab.outside, OUTSIDE, sizes=[100], answers=[50])
    assert lab.bytes_of(guest) == (256, 156)


def test_a_table_that_was_taken_away_comes_back_with_a_new_epoch(lab: Lab) -> None:
    guest = lab.guest(lab.network(1), 5)
    lab.converge()
    exchange(guest.namespace, lab.outside, OUTSIDE, sizes=[1000], answers=[])
    [(first_epoch, _)] = lab.counted(guest)["outgoing"]
    with inside(lab.host):
        run_nft([{"flush": {"ruleset": None}}])
        assert lab.packet_filter.read_traffic() is None
    lab.converge()
    exchange(guest.namespace, lab.outside, OUTSIDE, sizes=[10], answers=[])
    [(second_epoch, counted)] = lab.counted(guest)["outgoing"]
    assert second_epoch > first_epoch
    assert counted == 38


def test_a_reset_from_outside_is_a_new_epoch_even_when_the_counter_has_passed_its_former_value(lab: Lab) -> None:
    guest = lab.guest(lab.network(1), 5)
    lab.converge()
    exchange(guest.namespace, lab.outside, OUTSIDE, sizes=[100], answers=[])
    [(epoch, before)] = lab.counted(guest)["outgoing"]
    with inside(lab.host):
        subprocess.run(["nft", "reset", "counters"], check=True, capture_output=True)
    exchange(guest.namespace, lab.outside, OUTSIDE, sizes=[1000], answers=[])
    [(after_reset, since)] = lab.counted(guest)["outgoing"]
    assert (before, since) == (128, 1028)
    assert after_reset == epoch + 1
    exchange(guest.namespace, lab.outside, OUTSIDE, sizes=[2000 - 28], answers=[])
    told_once_more, renewed = lab.counted(guest)["outgoing"]
    assert told_once_more == (after_reset, 1028)
    assert renewed[0] > after_reset
    assert renewed[1] == 2000
    assert lab.counted(guest)["outgoing"] == [renewed]


def test_the_hosts_interfaces_are_read_in_one_dump_and_keep_their_epoch_over_a_restart(
    lab: Lab, tmp_path: Path
) -> None:
    lab.guest(lab.network(1), 5)
    lab.converge()
    with inside(lab.host):
        first = HostInterfaces(tmp_path, now_us=lab.tick).read()
    exchange(lab.host, lab.outside, OUTSIDE, sizes=[1000], answers=[])
    with inside(lab.host):
        [after] = HostInterfaces(tmp_path, now_us=lab.tick).read()
    assert [interface.device for interface in first] == ["up0"]
    assert after.boot_epoch == first[0].boot_epoch
    assert after.is_adopted
    assert after.outgoing_bytes - first[0].outgoing_bytes >= 1028 + ETHERNET_HEADER
    (tmp_path / "host-boot.json").write_text('{"boot_id": "another", "epoch": 1, "is_adopted": true}')
    with inside(lab.host):
        [rebooted] = HostInterfaces(tmp_path, now_us=lab.tick).read()
    assert rebooted.boot_epoch > after.boot_epoch
    assert not rebooted.is_adopted


def test_true_addresses_that_are_no_longer_held_are_noticed_at_the_next_reading(lab: Lab) -> None:
    guest = lab.guest(lab.network(1), 5)
    lab.converge()
    exchange(guest.namespace, lab.outside, OUTSIDE, sizes=[100], answers=[50])
    before = lab.counted(guest)
    with inside(lab.host):
        run_nft([{"delete": {"table": {"family": "bridge", "name": lab.packet_filter.table}}}])
        assert lab.packet_filter.read_traffic() is None
    lab.converge()
    assert lab.counted(guest) == before


def test_rules_of_another_edition_are_replaced_though_they_are_as_many_and_the_counters_go_on(lab: Lab) -> None:
    guest = lab.guest(lab.network(1), 5)
    lab.converge()
    exchange(guest.namespace, lab.outside, OUTSIDE, sizes=[100], answers=[50])
    before, table = lab.counted(guest), lab.packet_filter.table
    former: list[Any] = json.loads(json.dumps(build_tables(table)).replace('"echo-request"', '"timestamp-request"'))
    assert former != build_tables(table)
    rules = [command for command in former if command["add"].get("rule", {}).get("chain") == "input"]
    editions = [
        {"delete": command["add"]}
        for command in build_tables(table)
        if command["add"].get("chain", {}).get("name", "").startswith("edition_")
    ]
    with inside(lab.host):
        run_nft([{"flush": {"chain": {"family": "inet", "table": table, "name": "input"}}}, *rules, *editions])
        assert lab.packet_filter.read() is None
    lab.converge()
    assert lab.counted(guest) == before
    with inside(lab.host):
        listed = json.dumps(list_table("inet", table))
        assert lab.packet_filter.read() is not None
    assert "echo-request" in listed
    assert "timestamp-request" not in listed


def test_tables_that_are_made_whole_for_a_further_network_go_on_holding_and_counting_the_guests_that_run(
    lab: Lab,
) -> None:
    guest = lab.guest(lab.network(1), 5)
    lab.converge()
    exchange(guest.namespace, lab.outside, OUTSIDE, sizes=[100], answers=[50])
    with inside(lab.host):
        held = lab.packet_filter.read()
        subprocess.run(["nft", "flush", "chain", "inet", lab.packet_filter.table, "counting"], check=True)
        lab.packet_filter.ensure()
        assert lab.packet_filter.read() == held
    exchange(guest.namespace, lab.outside, OUTSIDE, sizes=[100], answers=[50])
    assert lab.bytes_of(guest) == (256, 156)
