"""What one poll of many guests costs beside Ceilometer's sequence of libvirt calls: `python -m benchmarks.collecting` (as root).

Real guests are made by our driver and paused, so that they use no processor while they are read. Ceilometer's sequence is the calls that
its libvirt inspector makes for the default pollsters of an instance: discovery lists the domains with their metadata, XML and state; each
pollster then looks the domain up, asks for its state, and reads statistics, interfaces one by one, or disks one by one.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any
from uuid import uuid4

import libvirt
from lxml import etree

from benchmarks.database import ROOT
from benchmarks.ingest import cpu_s
from compute.hypervisor.contract import DiskSpec, InstanceSpec, NetworkSpec, PortSpec
from compute.hypervisor.libvirt_driver import LibvirtHypervisor
from foundation.ids import new_hex_id

GUEST_IMAGE = ROOT / "var" / "images" / "guest"
URI = "qemu:///system"
MEMORY_MIB = 64
MEMORY_POLLSTERS = 4
"""memory.usage, memory.resident, memory.swap.in and .out: each asks for its own statistics; cpu and vcpus share theirs."""


def make_guests(driver: LibvirtHypervisor, count: int) -> tuple[NetworkSpec, list[InstanceSpec]]:
    """Start guests one by one and pause each at once."""
    taken = driver.occupied_subnets()
    pool = (IPv4Address("10.220.0.0") + 256 * n for n in range(250))
    cidr = next(net for start in pool if not any((net := network_of(start)).overlaps(one) for one in taken))
    network = NetworkSpec(uuid4(), "bench", cidr, cidr[1])
    driver.ensure_network(network)
    manifest: dict[str, str] = json.loads((GUEST_IMAGE / "manifest.json").read_text())
    disk = DiskSpec(
        image_path=Path("guest/disk"),
        image_format="qcow2",
        size_gib=1,
        kernel_path=Path("guest/kernel"),
        ramdisk_path=Path("guest/initramfs"),
        kernel_command_line=manifest["kernel_command_line"],
    )
    host = libvirt.open(URI)
    specs: list[InstanceSpec] = []
    for n in range(count):
        port = PortSpec(uuid4(), network.network_id, f"52:54:00:be:{n >> 8:02x}:{n & 255:02x}", cidr[10 + n])
        spec = InstanceSpec(
            instance_id=uuid4(), project_id="bench", user_id="bench", name=f"bench-{n}", vcpus=1, memory_mib=MEMORY_MIB,
            disk=disk, ports=(port,), hostname=f"bench-{n}", user_data=None,
        )  # fmt: skip
        specs.append(spec)
        driver.create_instance(spec)
        driver.start_instance(spec)
        host.lookupByUUID(spec.instance_id.bytes).suspend()
    host.close()
    return network, specs


def network_of(start: IPv4Address) -> IPv4Network:
    """Return the /24 that begins at an address."""
    return IPv4Network((start, 24))


def poll_as_ceilometer(host: Any) -> int:
    """Make the calls of one polling cycle; return how many readings they gave."""
    readings = 0
    found = host.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
    for domain in found:
        with suppress(libvirt.libvirtError):
            domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, "http://openstack.org/xmlns/libvirt/nova/1.1")
        domain.XMLDesc()
        domain.state()
    for one in found:
        name = one.UUIDString()
        for _ in range(1 + MEMORY_POLLSTERS):
            domain = look_up(host, name)
            readings += len(host.domainListGetStats([domain], 0)[0][1])
        domain = look_up(host, name)
        for interface in etree.fromstring(domain.XMLDesc()).findall("devices/interface/target"):
            readings += len(domain.interfaceStats(interface.get("dev")))
        domain = look_up(host, name)
        for disk in etree.fromstring(domain.XMLDesc()).findall("devices/disk/target"):
            readings += len(domain.blockStats(disk.get("dev"))) + len(domain.blockStatsFlags(disk.get("dev"), 0))
        domain = look_up(host, name)
        for disk in etree.fromstring(domain.XMLDesc()).findall("devices/disk/target"):
            readings += len(domain.blockInfo(disk.get("dev"), 0))
    return readings


def look_up(host: Any, name: str) -> Any:
    """Find a domain and make sure that it is not off, as each of the inspector's methods does."""
    domain = host.lookupByUUIDString(name)
    domain.info()
    return domain


def measure(poll: Callable[[], object], *, runs: int, daemon: int) -> tuple[float, float, float]:
    """Return the medians of wall time, the daemon's CPU and our own CPU of a poll, in milliseconds."""
    walls, daemons, own = list[float](), list[float](), list[float]()
    for _ in range(runs):
        began, ours, theirs = time.perf_counter(), time.process_time(), cpu_s([daemon])
        poll()
        walls.append(time.perf_counter() - began)
        own.append(time.process_time() - ours)
        daemons.append(cpu_s([daemon]) - theirs)
    return statistics.median(walls) * 1000, statistics.mean(daemons) * 1000, statistics.median(own) * 1000


def main() -> None:
    """Make the guests, poll both ways in turn, remove the guests, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--guests", type=int, default=50)
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    daemon = int(Path("/run/libvirtd.pid").read_text())
    root = Path(tempfile.mkdtemp(prefix="nephoscope-bench-"))
    root.chmod(0o755)
    shutil.copytree(GUEST_IMAGE, root / "images" / "guest")
    driver = LibvirtHypervisor(URI, installation=f"b{new_hex_id()[-8:]}", root=root)
    host = libvirt.open(URI)
    specs: list[InstanceSpec] = []
    try:
        _, specs = make_guests(driver, options.guests)
        print(f"{options.guests} paused guests, {options.runs} polls each way, load {os.getloadavg()[0]:.1f}")
        driver.read_stats()
        ours = measure(driver.read_stats, runs=options.runs, daemon=daemon)
        theirs = measure(lambda: poll_as_ceilometer(host), runs=options.runs, daemon=daemon)
        for name, (wall, served, own) in (("one bulk call", ours), ("Ceilometer's calls", theirs)):
            print(f"{name:20} wall {wall:8.1f} ms   libvirtd CPU {served:8.1f} ms   own CPU {own:8.1f} ms")
        print(f"{'ratio':20} wall {theirs[0] / ours[0]:8.1f}      libvirtd CPU {theirs[1] / max(ours[1], 0.001):8.1f}")
    finally:
        for spec in specs:
            driver.delete_instance(spec.instance_id)
        driver.release_host()
        driver.close()
        host.close()
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
