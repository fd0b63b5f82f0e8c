"""What every driver does with a guest whose host's disk is full; for libvirt a real guest, on a real file system that is too small."""

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from compute.hypervisor.contract import (
    InstanceSpec,
    LaunchFailure,
    LifecycleNotice,
    NoticeKind,
    PowerState,
    StopReason,
)
from compute.hypervisor.simulated import SimulatedHypervisor
from tests.contract.test_hypervisor import Bench, libvirt_bench, simulated_bench

SMALL_MIB, LARGE_MIB = 24, 240
ONE_WRITE_MIB = 4
"""A guest is stalled by a write that does not fit, and what is left may be less than that."""
WRITES_MUCH = b"""#!/bin/sh
echo "room of $(($(df -m / | awk 'END {print $2}') / 100)) times 100 MiB"
dd if=/dev/zero of=much bs=1M count=60 conv=fsync 2>/dev/null && echo "all written: $(wc -c <much)"
"""
WRITTEN = "all written: 62914560"
AS_FLAVOR_SAYS = "room of 10 times 100 MiB"
"""The image has 256 MiB and the bench's guests have 1 GiB, of which the file system itself takes some."""


@dataclass(frozen=True, slots=True)
class FullHost:
    """A driver under test, and how its disk becomes full, and large enough again."""

    bench: Bench
    fill: Callable[[InstanceSpec], None]
    make_room: Callable[[], None]


def simulated_host() -> Iterator[FullHost]:
    for bench in simulated_bench():
        driver = bench.driver
        assert isinstance(driver, SimulatedHypervisor)

        def make_room(driver: SimulatedHypervisor = driver) -> None:
            driver.free_mib = LARGE_MIB

        yield FullHost(bench, fill=lambda spec, driver=driver: driver.fill_disk(spec.instance_id), make_room=make_room)


def libvirt_host(root: Path) -> Iterator[FullHost]:
    """The guest fills the file system by itself: nothing else has to be done."""
    disks = root / "instances"
    disks.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL_MIB}m,mode=0711", "disks", disks], check=True)

    def make_room() -> None:
        subprocess.run(["mount", "-o", f"remount,size={LARGE_MIB}m", disks], check=True)

    try:
        for bench in libvirt_bench(root):
            yield FullHost(bench, fill=lambda _: None, make_room=make_room)
    finally:
        subprocess.run(["umount", disks], check=True)


@pytest.fixture(params=["simulated", pytest.param("libvirt", marks=pytest.mark.guests)])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FullHost]:
    """Each driver in turn, with one network and little room."""
    yield from simulated_host() if request.param == "simulated" else libvirt_host(tmp_path)


def test_a_guest_that_its_hosts_full_disk_stalls_says_so_and_goes_on_in_the_same_boot_when_there_is_room(
    host: FullHost,
) -> None:
    bench, notices = host.bench, list[LifecycleNotice]()
    bench.driver.subscribe(notices.append)
    spec = bench.running(WRITES_MUCH)
    boot = bench.observed(spec).boot_epoch
    host.fill(spec)
    bench.wait_until(lambda: bench.observed(spec).is_stalled)
    bench.wait_until(lambda: LifecycleNotice(NoticeKind.STALLED, spec.instance_id, StopReason.DISK_FULL) in notices)
    assert bench.observed(spec).boot_epoch == boot
    assert bench.driver.free_disk_mib() < ONE_WRITE_MIB

    with pytest.raises(LaunchFailure, match="cannot go on: its host had no room left to write its disk"):
        bench.driver.start_instance(spec)
    assert bench.driver.take_last_reading(spec.instance_id) is not None
    assert bench.observed(spec).is_stalled
    assert [guest.is_stalled for guest in bench.reopened().list_instances()] == [True]

    host.make_room()
    assert bench.driver.free_disk_mib() > 0
    bench.driver.start_instance(spec)
    now = bench.observed(spec)
    assert (now.power_state, now.reason, now.boot_epoch) == (PowerState.RUNNING, StopReason.NONE, boot)
    bench.wait_until(lambda: LifecycleNotice(NoticeKind.RESUMED, spec.instance_id) in notices)
    if not isinstance(bench.driver, SimulatedHypervisor):
        bench.wait_until(lambda: WRITTEN in bench.driver.console_output(spec.instance_id))
        assert AS_FLAVOR_SAYS in bench.driver.console_output(spec.instance_id)
    bench.driver.delete_instance(spec.instance_id)
