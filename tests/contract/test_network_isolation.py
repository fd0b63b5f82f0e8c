"""Our packet rules, asked of real guests: one network does not reach another, and nobody speaks by an address not its own."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import libvirt
import pytest

from compute.hypervisor.libvirt_driver import LibvirtHypervisor
from tests.contract.test_hypervisor import Bench, free_subnet, libvirt_bench

pytestmark = pytest.mark.guests

TRIAL = """#!/bin/sh
ping -c 1 -W 5 {gateway} >/dev/null && echo trial: the gateway answers
ping -c 1 -W 2 {neighbour} >/dev/null && echo trial: another network answers || echo trial: another network is silent
ip addr add {stolen}/24 dev eth0
ping -c 1 -W 2 -I {stolen} {gateway} >/dev/null && echo trial: a stolen address works || echo trial: a stolen address is mute
echo trial: over
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A libvirt host with one network."""
    yield from libvirt_bench(tmp_path)


def test_networks_are_apart_and_addresses_are_true(bench: Bench) -> None:
    driver = bench.driver
    assert isinstance(driver, LibvirtHypervisor)
    subnet = free_subnet(bench)
    other = replace(bench.network, network_id=uuid4(), project_id="q", cidr=subnet, gateway_ip=subnet[1])
    driver.ensure_network(other)
    trial = TRIAL.format(gateway=bench.network.gateway_ip, neighbour=subnet[7], stolen=bench.network.cidr[250])
    spec = bench.running(trial.encode())
    bench.wait_until(lambda: "trial: over" in driver.console_output(spec.instance_id))
    console = driver.console_output(spec.instance_id)
    assert "the gateway answers" in console
    assert "another network is silent" in console
    assert "a stolen address is mute" in console
    drops = driver.networks.packet_filter.count_drops()
    assert drops["isolated"] > 0
    assert drops["spoofed"] > 0


def test_the_rules_of_a_running_guest_come_back_when_somebody_removes_them(bench: Bench) -> None:
    driver = bench.driver
    assert isinstance(driver, LibvirtHypervisor)
    spec = bench.running()
    driver.networks.packet_filter.remove()
    driver.ensure_network(bench.network)
    present = driver.networks.packet_filter.read()
    assert present is not None
    assert any(str(spec.ports[0].ip_address) in element for elements in present.values() for element in elements)


def test_networks_of_others_that_come_and_go_meanwhile_hold_nothing_up(bench: Bench) -> None:
    driver, over = bench.driver, threading.Event()
    xml = f"<network><name>of-others-{uuid4().hex[:8]}</name><ip address='192.0.2.1' prefix='29'/></network>"

    def come_and_go() -> None:
        connection: Any = libvirt.open("qemu:///system")
        while not over.is_set():
            connection.networkDefineXML(xml).undefine()
        connection.close()

    another = threading.Thread(target=come_and_go)
    another.start()
    try:
        for _ in range(300):
            assert bench.network.cidr not in driver.occupied_subnets()
    finally:
        over.set()
        another.join()
