"""An agent whose host's disk fills up: its stalled guests are told and not charged, let go on when there is room, and never in haste."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from compute.hypervisor.contract import LaunchFailure, StopReason
from compute.hypervisor.simulated import SimulatedHypervisor
from compute.lifecycle import STALL_FAULT, derive_status
from compute.model import Instance, InstanceStatus
from compute.reconciliation import ROOM_MIB_MIN, STALL_S_MIN
from foundation.database import Pool, transaction
from foundation.ids import new_hex_id
from tests.compute_builders import NOW, a_cloud
from tests.conftest import own_pool
from tests.store.test_agent import Rig

HOUR_S = 3_600
LOOK_S = 10


@pytest.fixture(scope="module")
def pool(cluster_url: str) -> Iterator[Pool]:
    """A database of this module's own, since agents commit."""
    with own_pool(cluster_url) as opened:
        yield opened


@pytest.fixture
def rig(pool: Pool, tmp_path: Path) -> Rig:
    """An agent on a simulated host; hosts of the tests before take nothing."""
    hostname = f"host-{new_hex_id()}"
    with transaction(pool) as tx:
        cloud = a_cloud(tx, hostname=hostname)
    return Rig(pool, "", "", tmp_path, cloud, SimulatedHypervisor(now=NOW, hostname=hostname))


def status_of(rig: Rig, instance: Instance) -> InstanceStatus:
    return derive_status(rig.read(instance.id), rig.host.now)


def seconds(rig: Rig) -> float:
    return (rig.host.now - NOW).total_seconds()


def test_a_stalled_instance_is_an_error_from_that_moment_and_active_again_soon_after_there_is_room(rig: Rig) -> None:
    instance = rig.active()
    rig.run(25)
    boot = rig.read(instance.id).boot_epoch
    rig.host.fill_disk(instance.id)
    stalled_s = seconds(rig)
    rig.run(1)
    assert status_of(rig, instance) is InstanceStatus.ERROR
    assert rig.read(instance.id).fault_message == STALL_FAULT
    assert rig.last_event_s(instance.id) == stalled_s
    rig.run(600)
    assert rig.events(instance.id) == ["create", "fault"]
    rig.host.free_mib = ROOM_MIB_MIN
    freed_s = seconds(rig)
    rig.run(LOOK_S + 1)
    assert status_of(rig, instance) is InstanceStatus.ACTIVE
    assert rig.read(instance.id).fault_message is None
    assert rig.read(instance.id).boot_epoch == boot
    assert rig.events(instance.id) == ["create", "fault", "start"]
    assert freed_s <= rig.last_event_s(instance.id) <= freed_s + LOOK_S + 1


def test_a_guest_that_cannot_go_on_though_there_seems_to_be_room_is_tried_less_and_less_often(rig: Rig) -> None:
    instance = rig.active()
    rig.host.fill_disk(instance.id)
    rig.run(1)
    rig.host.free_mib = ROOM_MIB_MIN
    orders = [LaunchFailure(f"The guest cannot go on: {StopReason.DISK_FULL.value}.") for _ in range(1_000)]
    for order in orders:
        rig.host.fail_next("start_instance", order)
    rig.run(HOUR_S)
    tries = len(orders) - len(rig.host.failures["start_instance"])
    assert 5 <= tries <= 25
    assert status_of(rig, instance) is InstanceStatus.ERROR
    assert "cannot go on" in (rig.read(instance.id).fault_message or "")
    rig.host.failures.clear()
    rig.run(330)
    assert status_of(rig, instance) is InstanceStatus.ACTIVE


def test_a_guest_that_stalls_again_and_again_goes_on_no_more_often_than_its_rest_allows(rig: Rig) -> None:
    instance = rig.active()
    for _ in range(180):
        if rig.host.guests[instance.id].reason is not StopReason.DISK_FULL:
            rig.host.fill_disk(instance.id)
        rig.host.free_mib = ROOM_MIB_MIN
        rig.run(1)
    starts = rig.events(instance.id).count("start")
    assert 3 <= starts <= 180 / STALL_S_MIN


def test_a_stop_of_the_service_while_a_guest_is_stalled_lets_it_boot_again_at_the_next_start(rig: Rig) -> None:
    instance = rig.active()
    rig.host.fill_disk(instance.id)
    rig.run(1)
    rig.agent.stop(rig.host.now)
    assert status_of(rig, instance) is InstanceStatus.SHUTOFF
    rig.host.free_mib = ROOM_MIB_MIN
    rig.agent = rig.new_agent()
    rig.run(5)
    assert status_of(rig, instance) is InstanceStatus.ACTIVE
    assert rig.events(instance.id) == ["create", "fault", "host_down", "start"]


def test_a_stalled_instance_can_be_deleted_and_rebooted_hard_and_its_death_is_told(rig: Rig) -> None:
    deleted, rebooted, killed = (rig.active() for _ in range(3))
    for instance in (deleted, rebooted, killed):
        rig.host.fill_disk(instance.id)
    rig.run(1)
    rig.delete(deleted.id)
    rig.reboot(rebooted.id, is_hard=True)
    rig.host.crash(killed.id)
    rig.run(5)
    assert rig.events(deleted.id) == ["create", "fault", "delete"]
    assert deleted.id not in rig.host.guests
    assert status_of(rig, rebooted) is InstanceStatus.ACTIVE
    assert status_of(rig, killed) is InstanceStatus.ERROR
    assert rig.read(killed.id).fault_message == f"The guest ended unexpectedly: {StopReason.CRASHED.value}."
