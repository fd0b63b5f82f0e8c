"""What every hypervisor driver must do, asked of the simulated driver and, with real guests, of libvirt."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from compute.domain_xml import domain_name
from compute.hypervisor.contract import (
    DiskSpec,
    Hypervisor,
    InstanceSpec,
    LaunchFailure,
    NetworkSpec,
    NoticeKind,
    ObservedInstance,
    PortSpec,
    PowerState,
    ShutdownRequest,
    StopReason,
)
from compute.hypervisor.libvirt_driver import LibvirtHypervisor
from compute.hypervisor.simulated import SimulatedHypervisor

ROOT = Path(__file__).parents[2]
GUEST_IMAGE = ROOT / "var" / "images" / "guest"
BOOT_WAIT_S = 120
WRITES_ONCE = b"""#!/bin/sh
if [ -e kept ]; then echo "kept from before: $(cat kept)"; else echo precious >kept && echo written and not synced; fi
"""


@dataclass
class Bench:
    """A driver under test, and how time passes on its host."""

    driver: Hypervisor
    wait: Callable[[float], None]
    network: NetworkSpec
    crash: Callable[[InstanceSpec], None]
    reopened: Callable[[], Hypervisor]

    def spec(self, user_data: bytes | None = None) -> InstanceSpec:
        """A small guest on the bench's network."""
        ends = uuid4().bytes
        port = PortSpec(
            port_id=uuid4(),
            network_id=self.network.network_id,
            mac_address=f"52:54:00:{ends[0]:02x}:{ends[1]:02x}:{ends[2]:02x}",
            ip_address=self.network.cidr[10 + ends[3] % 200],
        )
        manifest: dict[str, str] = (
            json.loads((GUEST_IMAGE / "manifest.json").read_text()) if GUEST_IMAGE.exists() else {}
        )
        disk = DiskSpec(
            image_path=Path("guest/disk"),
            image_format="qcow2",
            size_gib=1,
            kernel_path=Path("guest/kernel"),
            ramdisk_path=Path("guest/initramfs"),
            kernel_command_line=manifest.get("kernel_command_line", "console=ttyS0"),
        )
        return InstanceSpec(
            instance_id=uuid4(),
            project_id="p",
            user_id="u",
            name='a <name> & "more" 測雲',
            vcpus=1,
            memory_mib=96,
            disk=disk,
            ports=(port,),
            hostname="bench",
            user_data=user_data,
        )

    def running(self, user_data: bytes | None = None) -> InstanceSpec:
        """A guest that was created and started."""
        spec = self.spec(user_data)
        self.driver.create_instance(spec)
        self.driver.start_instance(spec)
        return spec

    def obeying(self) -> InstanceSpec:
        """A running guest that hears its power button, and tells at its next boot what it had written in this one."""
        spec = self.running(WRITES_ONCE)
        if isinstance(self.driver, SimulatedHypervisor):
            self.driver.set_shutdown(spec.instance_id, 3)
        else:
            self.wait_until(lambda: "written and not synced" in self.driver.console_output(spec.instance_id))
        return spec

    def ignoring(self) -> InstanceSpec:
        """A running guest that does not mind its power button."""
        spec = self.running(b"#!/bin/sh\nkillall acpid && echo deaf now\n")
        if isinstance(self.driver, SimulatedHypervisor):
            self.driver.set_shutdown(spec.instance_id, None)
        else:
            self.wait_until(lambda: "deaf now" in self.driver.console_output(spec.instance_id))
        return spec

    def observed(self, spec: InstanceSpec) -> ObservedInstance:
        """The guest as the driver lists it."""
        return next(guest for guest in self.driver.list_instances() if guest.instance_id == spec.instance_id)

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Let time pass on the host until something holds."""
        for _ in range(BOOT_WAIT_S * 2):
            if holds():
                return
            self.wait(0.5)
        pytest.fail(f"it did not come true within {BOOT_WAIT_S} s")


def simulated_bench() -> Iterator[Bench]:
    driver = SimulatedHypervisor(now=datetime(2026, 1, 1, tzinfo=UTC))
    network = NetworkSpec(uuid4(), "p", IPv4Network("10.200.0.0/24"), IPv4Address("10.200.0.1"))

    def wait(seconds: float) -> None:
        driver.advance(driver.now + timedelta(seconds=seconds))

    driver.ensure_network(network)
    yield Bench(driver, wait, network, crash=lambda spec: driver.crash(spec.instance_id), reopened=lambda: driver)


def libvirt_bench(root: Path) -> Iterator[Bench]:
    if not GUEST_IMAGE.exists():
        pytest.fail("the guest image is missing: run `make` first")
    shutil.copytree(GUEST_IMAGE, root / "images" / "guest")
    installation = f"t{uuid4().hex[:8]}"
    driver = LibvirtHypervisor("qemu:///system", installation=installation, root=root)
    taken = driver.occupied_subnets()
    cidr = next(
        subnet
        for subnet in IPv4Network("10.128.0.0/9").subnets(new_prefix=24)
        if not any(subnet.overlaps(other) for other in taken)
    )
    network = NetworkSpec(uuid4(), "p", cidr, cidr[1])

    def reopened() -> Hypervisor:
        return LibvirtHypervisor("qemu:///system", installation=installation, root=root)

    def crash(spec: InstanceSpec) -> None:
        name = domain_name(installation, spec.instance_id)
        pid = Path(f"/run/libvirt/qemu/{name}.pid").read_text().strip()
        subprocess.run(["kill", "-9", pid], check=True)

    driver.ensure_network(network)
    try:
        yield Bench(driver, time.sleep, network, crash, reopened)
    finally:
        for instance_id in driver.find_leftovers().instance_ids:
            driver.delete_instance(instance_id)
        driver.release_host()
        driver.close()


@pytest.fixture(scope="module", params=["simulated", pytest.param("libvirt", marks=pytest.mark.guests)])
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Each driver in turn, with one network."""
    yield from simulated_bench() if request.param == "simulated" else libvirt_bench(tmp_path_factory.mktemp("host"))


def observed_state(bench: Bench, spec: InstanceSpec) -> PowerState | None:
    found = [guest for guest in bench.driver.list_instances() if guest.instance_id == spec.instance_id]
    return found[0].power_state if found else None


def boot_epoch_of(bench: Bench, spec: InstanceSpec) -> int:
    return next(guest.boot_epoch for guest in bench.driver.list_instances() if guest.instance_id == spec.instance_id)


def test_a_host_says_what_it_has(bench: Bench) -> None:
    capacity = bench.driver.capacity()
    assert capacity.vcpus > 0
    assert capacity.memory_mib > 0
    assert capacity.disk_gib > 0
    assert capacity.virt_type in {"kvm", "qemu"}


def test_a_guest_lives_through_every_operation_and_each_may_be_repeated(bench: Bench) -> None:
    driver, spec = bench.driver, bench.spec()
    for _ in range(2):
        driver.create_instance(spec)
    assert observed_state(bench, spec) is PowerState.SHUTOFF
    for _ in range(2):
        driver.start_instance(spec)
    assert observed_state(bench, spec) is PowerState.RUNNING
    first_boot = boot_epoch_of(bench, spec)
    assert first_boot > 0
    assert boot_epoch_of(bench, spec) == first_boot
    bench.wait(0.1)
    driver.reboot_instance(spec)
    assert boot_epoch_of(bench, spec) > first_boot
    for _ in range(2):
        driver.stop_instance(spec.instance_id)
    assert observed_state(bench, spec) is PowerState.SHUTOFF
    assert boot_epoch_of(bench, spec) == 0
    for _ in range(2):
        driver.delete_instance(spec.instance_id)
    assert observed_state(bench, spec) is None
    assert spec.instance_id not in driver.find_leftovers().instance_ids


def test_operations_on_a_guest_that_is_not_there_change_nothing(bench: Bench) -> None:
    spec = bench.spec()
    now = datetime(2026, 1, 1, tzinfo=UTC)
    bench.driver.request_shutdown(spec.instance_id, ShutdownRequest(1, now, now))
    bench.driver.stop_instance(spec.instance_id)
    bench.driver.delete_instance(spec.instance_id)
    assert bench.driver.take_last_reading(spec.instance_id) is None
    assert bench.driver.console_output(spec.instance_id) == ""
    with pytest.raises(LaunchFailure):
        bench.driver.start_instance(spec)
    assert spec.instance_id not in bench.driver.find_leftovers().instance_ids


def test_one_reading_holds_the_counters_of_every_running_guest(bench: Bench) -> None:
    running, off = bench.running(), bench.spec()
    bench.driver.create_instance(off)
    bench.wait_until(lambda: outgoing_bytes(bench, running) > 0)
    stats = {reading.instance_id: reading for reading in bench.driver.read_stats()}
    assert off.instance_id not in stats
    reading = stats[running.instance_id]
    assert reading.boot_epoch == boot_epoch_of(bench, running)
    assert reading.cpu_time_ns is not None
    assert reading.cpu_time_ns > 0
    assert [disk.device for disk in reading.disks] == ["vda"]
    assert reading.disks[0].capacity_bytes == 1024**3
    assert [port.mac_address for port in reading.ports] == [running.ports[0].mac_address]
    assert reading.memory_resident_kib
    bench.driver.delete_instance(running.instance_id)
    bench.driver.delete_instance(off.instance_id)


def outgoing_bytes(bench: Bench, spec: InstanceSpec) -> int:
    readings = bench.driver.read_stats(only={spec.instance_id})
    return (readings[0].ports[0].outgoing_bytes or 0) if readings else 0


def test_nothing_is_consumed_after_the_last_reading(bench: Bench) -> None:
    spec = bench.running()
    bench.wait(0.5)
    last = bench.driver.take_last_reading(spec.instance_id)
    bench.wait(0.5)
    again = bench.driver.take_last_reading(spec.instance_id)
    assert last is not None
    assert again is not None
    assert again.cpu_time_ns is not None
    assert last.cpu_time_ns is not None
    assert again.cpu_time_ns - last.cpu_time_ns < 20_000_000  # QEMU's own answer to the question, not the guest
    assert again.ports == last.ports
    assert observed_state(bench, spec) is PowerState.PAUSED
    bench.driver.start_instance(spec)
    assert observed_state(bench, spec) is PowerState.RUNNING
    bench.driver.delete_instance(spec.instance_id)


def test_a_guest_that_is_asked_shuts_itself_down_and_loses_nothing(bench: Bench) -> None:
    notices: list[NoticeKind] = []
    bench.driver.subscribe(lambda notice: notices.append(notice.kind))
    spec, now = bench.obeying(), datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert bench.observed(spec).shutdown is None
    for repeated_at in (now, now + timedelta(seconds=1)):
        bench.driver.request_shutdown(spec.instance_id, ShutdownRequest(7, now, repeated_at))
    asked = bench.observed(spec)
    assert (asked.power_state, asked.shutdown) == (
        PowerState.RUNNING,
        ShutdownRequest(7, now, now + timedelta(seconds=1)),
    )
    bench.wait_until(lambda: bench.observed(spec).power_state is PowerState.SHUTOFF)
    assert bench.observed(spec).reason is StopReason.GUEST_SHUTDOWN
    assert bench.observed(spec).shutdown is None
    bench.wait_until(lambda: NoticeKind.STOPPED in notices)
    assert NoticeKind.SHUTTING_DOWN in notices
    bench.driver.subscribe(lambda _: None)
    bench.driver.request_shutdown(spec.instance_id, ShutdownRequest(7, now, now))
    bench.driver.start_instance(spec)
    assert bench.observed(spec).shutdown is None, "a new boot was asked nothing"
    kept = "precious" if isinstance(bench.driver, SimulatedHypervisor) else "kept from before: precious"
    bench.wait_until(lambda: kept in bench.driver.console_output(spec.instance_id))
    bench.driver.delete_instance(spec.instance_id)


def test_a_guest_that_ignores_its_power_button_runs_on_until_it_is_cut(bench: Bench) -> None:
    spec, now = bench.ignoring(), datetime(2026, 1, 1, 12, tzinfo=UTC)
    request = ShutdownRequest(3, now, now)
    bench.driver.request_shutdown(spec.instance_id, request)
    bench.wait(4)
    assert bench.observed(spec).power_state is PowerState.RUNNING
    other = bench.reopened()
    found = [guest for guest in other.list_instances() if guest.instance_id == spec.instance_id]
    assert [guest.shutdown for guest in found] == [request], "another process finds what was asked"
    other.close()
    bench.driver.stop_instance(spec.instance_id)
    assert (bench.observed(spec).power_state, bench.observed(spec).reason) == (PowerState.SHUTOFF, StopReason.STOPPED)
    bench.driver.delete_instance(spec.instance_id)


def test_the_user_data_runs_and_speaks_on_the_console(bench: Bench) -> None:
    spec = bench.running(b"#!/bin/sh\necho $((6 * 7)) is the answer of the user data\n")
    bench.wait_until(lambda: "the answer of the user data" in bench.driver.console_output(spec.instance_id))
    assert len(bench.driver.console_output(spec.instance_id, lines_max=1).splitlines()) <= 1
    bench.driver.delete_instance(spec.instance_id)


def test_a_guest_killed_from_outside_is_told_as_crashed(bench: Bench) -> None:
    notices: list[NoticeKind] = []
    bench.driver.subscribe(lambda notice: notices.append(notice.kind))
    spec = bench.running()
    bench.wait(0.2)
    bench.crash(spec)
    bench.wait_until(lambda: observed_state(bench, spec) in {PowerState.SHUTOFF, PowerState.CRASHED})
    guest = next(guest for guest in bench.driver.list_instances() if guest.instance_id == spec.instance_id)
    assert guest.reason is StopReason.CRASHED
    bench.wait_until(lambda: bool({NoticeKind.STOPPED, NoticeKind.CRASHED} & set(notices)))
    assert NoticeKind.STARTED in notices
    bench.driver.subscribe(lambda _: None)
    bench.driver.delete_instance(spec.instance_id)


class Killed(BaseException):
    """The agent's end, between two of its calls."""


class DriverKilledBeforeItsGuestStarts(LibvirtHypervisor):
    """Ends when the guest is defined for its boot and not yet powered on."""

    def _converge_addresses(self, *, without: UUID | None = None) -> None:
        del without
        raise Killed


@pytest.fixture
def own_libvirt_bench(tmp_path: Path) -> Iterator[Bench]:
    """A host on which no other test has guests."""
    yield from libvirt_bench(tmp_path)


@pytest.mark.guests
def test_a_start_that_was_cut_short_is_not_told_as_a_crash(own_libvirt_bench: Bench, tmp_path: Path) -> None:
    bench = own_libvirt_bench
    assert isinstance(bench.driver, LibvirtHypervisor)
    spec = bench.spec()
    bench.driver.create_instance(spec)
    killed = DriverKilledBeforeItsGuestStarts("qemu:///system", installation=bench.driver.installation, root=tmp_path)
    with pytest.raises(Killed):
        killed.start_instance(spec)
    killed.close()
    after = bench.reopened()
    assert [guest.reason for guest in after.list_instances()] == [StopReason.UNSEEN]
    after.start_instance(spec)
    assert [guest.power_state for guest in after.list_instances()] == [PowerState.RUNNING]
    after.close()


def test_a_network_may_be_asked_for_twice_and_goes_when_it_is_not_needed(bench: Bench) -> None:
    bench.driver.ensure_network(bench.network)
    assert bench.network.network_id in bench.driver.list_networks()
    free = free_subnet(bench)
    other = replace(bench.network, network_id=uuid4(), cidr=free, gateway_ip=free[1])
    bench.driver.ensure_network(other)
    assert other.network_id in bench.driver.list_networks()
    for _ in range(2):
        bench.driver.delete_network(other.network_id)
    assert other.network_id not in bench.driver.find_leftovers().network_ids


def free_subnet(bench: Bench) -> IPv4Network:
    taken = [*bench.driver.occupied_subnets(), bench.network.cidr]
    candidates = IPv4Network("10.128.0.0/9").subnets(new_prefix=24)
    return next(subnet for subnet in candidates if not any(subnet.overlaps(other) for other in taken))
