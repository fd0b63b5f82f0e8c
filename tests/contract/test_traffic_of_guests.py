"""What every driver tells of its ports' traffic with the outside, and of a real guest to the byte."""

import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import pytest

from compute.domain_xml import tap_name
from compute.hypervisor.contract import InstanceSpec
from compute.hypervisor.libvirt_driver import LibvirtHypervisor
from compute.hypervisor.simulated import SimulatedHypervisor
from tests.contract.test_hypervisor import Bench, libvirt_bench, simulated_bench
from tests.contract.test_network_counters import inside

PING = """#!/bin/sh
ping -c 3 -s 1000 -W 5 {outside}
ping -c 2 -s 500 -W 5 {gateway}
echo trial: over
"""
ASKS_FOR_A_NAME = """#!/bin/sh
nslookup hello. {outside}
"""
FIRST_WORD_WAIT_S = 300
PING_BYTES = 20 + 8 + 1000


@pytest.fixture(params=["simulated", pytest.param("libvirt", marks=pytest.mark.guests)])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Each driver in turn, with one network."""
    yield from simulated_bench() if request.param == "simulated" else libvirt_bench(tmp_path)


@dataclass(frozen=True, slots=True)
class Outside:
    """An address outside the cloud that answers, and the namespace in which it is."""

    namespace: str
    address: str


@pytest.fixture
def outside() -> Iterator[Outside]:
    """A world beside the host."""
    mark = uuid4().hex[:6]
    namespace, device = f"nepho-{mark}-outside", f"no{mark}"
    subnet = f"198.18.{int(mark[:2], 16)}"
    for command in (
        f"ip netns add {namespace}",
        f"ip link add {device} type veth peer name eth0 netns {namespace}",
        f"ip addr add {subnet}.1/24 dev {device}",
        f"ip link set {device} up",
        f"ip -n {namespace} addr add {subnet}.2/24 dev eth0",
        f"ip -n {namespace} link set eth0 up",
    ):
        subprocess.run(command.split(), check=True, capture_output=True)
    yield Outside(namespace, f"{subnet}.2")
    subprocess.run(["ip", "netns", "delete", namespace], check=True)
    subprocess.run(["ip", "link", "delete", device], check=False, capture_output=True)


def counted(bench: Bench, spec: InstanceSpec) -> dict[str, list[int]]:
    """The bytes that the port has exchanged with the outside, one a counter."""
    found: dict[str, list[int]] = {"outgoing": [], "incoming": []}
    for traffic in bench.driver.read_traffic():
        if traffic.device == tap_name(spec.ports[0].port_id):
            found[traffic.direction].append(traffic.bytes)
    return found


def epochs(bench: Bench, spec: InstanceSpec) -> set[int]:
    device = tap_name(spec.ports[0].port_id)
    return {traffic.counter_epoch for traffic in bench.driver.read_traffic() if traffic.device == device}


def test_a_ports_counters_begin_with_the_port_outlive_a_boot_and_end_with_it(bench: Bench) -> None:
    spec = bench.spec()
    bench.driver.create_instance(spec)
    assert counted(bench, spec) == {"outgoing": [0], "incoming": [0]}
    first = epochs(bench, spec)
    assert all(epoch > 0 for epoch in first)
    bench.driver.start_instance(spec)
    bench.wait(0.1)
    bench.driver.reboot_instance(spec)
    bench.driver.stop_instance(spec.instance_id)
    assert epochs(bench, spec) == first
    bench.driver.delete_instance(spec.instance_id)
    assert counted(bench, spec) == {"outgoing": [], "incoming": []}


def test_counters_that_were_reset_from_outside_have_a_new_epoch(bench: Bench) -> None:
    spec = bench.running()
    first = epochs(bench, spec)
    if isinstance(bench.driver, LibvirtHypervisor):
        table = bench.driver.networks.packet_filter.table
        subprocess.run(["nft", "reset", "counters", "table", "inet", table], check=True, capture_output=True)
    else:
        assert isinstance(bench.driver, SimulatedHypervisor)
        bench.driver.reset_traffic()
    assert min(epochs(bench, spec)) > max(first)
    bench.driver.delete_instance(spec.instance_id)


def test_the_hosts_interfaces_have_counters_of_their_own(bench: Bench) -> None:
    spec = bench.running()
    interfaces = bench.driver.read_interfaces()
    assert tap_name(spec.ports[0].port_id) not in {interface.device for interface in interfaces}
    assert all(interface.boot_epoch > 0 and interface.incoming_bytes >= 0 for interface in interfaces)
    if isinstance(bench.driver, LibvirtHypervisor):
        assert interfaces
    bench.driver.delete_instance(spec.instance_id)


@pytest.mark.guests
@pytest.mark.parametrize("bench", ["libvirt"], indirect=True)
def test_a_real_guests_pings_to_the_outside_are_counted_and_those_to_its_gateway_are_not(
    bench: Bench, outside: Outside
) -> None:
    spec = bench.running(PING.format(outside=outside.address, gateway=bench.network.gateway_ip).encode())
    bench.wait_until(lambda: "trial: over" in bench.driver.console_output(spec.instance_id))
    assert counted(bench, spec) == {"outgoing": [3 * PING_BYTES], "incoming": [3 * PING_BYTES]}
    assert isinstance(bench.driver, LibvirtHypervisor)
    bench.driver.networks.packet_filter.remove()
    assert counted(bench, spec) == {"outgoing": [0], "incoming": [0]}


@pytest.mark.guests
@pytest.mark.parametrize("bench", ["libvirt"], indirect=True)
def test_a_guest_that_gets_a_deleted_ones_address_gets_nothing_of_what_is_still_sent_to_that_one(
    bench: Bench, outside: Outside
) -> None:
    with inside(outside.namespace):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sender:
        sender.bind((outside.address, 53))
        sender.settimeout(FIRST_WORD_WAIT_S)
        first = bench.running(ASKS_FOR_A_NAME.format(outside=outside.address).encode())
        question, way_back = sender.recvfrom(512)
        assert b"hello" in question
        sender.sendto(bytes(100), way_back)
        bench.wait_until(lambda: counted(bench, first)["incoming"] == [128])
        bench.driver.delete_instance(first.instance_id)
        sender.sendto(bytes(100), way_back)
        heir = bench.spec()
        heir = replace(heir, ports=(replace(heir.ports[0], ip_address=first.ports[0].ip_address),))
        bench.driver.create_instance(heir)
        sender.sendto(bytes(100), way_back)
        bench.driver.start_instance(heir)
        bench.wait(1)
        sender.sendto(bytes(100), way_back)
        assert counted(bench, heir) == {"outgoing": [0], "incoming": [0]}
