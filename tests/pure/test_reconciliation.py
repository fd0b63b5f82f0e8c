"""Reconciliation converges from anywhere: any prefix of the steps may be executed, and the decision made again ends in the same place."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import get_args
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from compute.hypervisor.contract import (
    DiskSpec,
    HypervisorUnavailable,
    InstanceSpec,
    Leftovers,
    NetworkSpec,
    PortSpec,
    PowerState,
)
from compute.hypervisor.simulated import SimulatedHypervisor
from compute.model import Desired, DesiredInstance, HostObservation, VmState
from compute.reconciliation import DeleteInstance, RemoveOrphan, Step, StopInstance, decide_steps
from entrypoints.agent_steps import take_step

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NETWORK = NetworkSpec(UUID(int=1), "p", IPv4Network("10.9.0.0/24"), IPv4Address("10.9.0.1"))
ROUNDS_MAX = 6


def a_spec(number: int) -> InstanceSpec:
    port = PortSpec(
        UUID(int=500 + number), NETWORK.network_id, f"fa:16:3e:00:00:{number:02x}", IPv4Address(f"10.9.0.{number + 2}")
    )
    return InstanceSpec(
        UUID(int=100 + number), "p", "u", f"i{number}", 1, 96, DiskSpec(Path("/d"), "qcow2", 1), (port,)
    )


def a_desired(
    number: int = 0,
    *,
    desired: Desired = "active",
    vm_state: VmState = "building",
    reboot_from_epoch: int | None = None,
    is_interrupted: bool = False,
    retry_at: datetime | None = None,
) -> DesiredInstance:
    return DesiredInstance(
        spec=a_spec(number),
        desired=desired,
        generation=1,
        vm_state=vm_state,
        boot_epoch=0,
        reboot_from_epoch=reboot_from_epoch,
        is_interrupted=is_interrupted,
        failures=0,
        retry_at=retry_at,
    )


def look(host: SimulatedHypervisor) -> HostObservation:
    return HostObservation(host.now, tuple(host.list_instances()), host.find_leftovers(), host.list_networks())


def execute(host: SimulatedHypervisor, steps: tuple[Step, ...]) -> None:
    for step in steps:
        take_step(host, step, keep_last_reading=lambda _: None)
        host.advance(host.now + timedelta(seconds=1))


def plan(host: SimulatedHypervisor, desired: list[DesiredInstance]) -> tuple[Step, ...]:
    needs_network = any(instance.desired != "deleted" for instance in desired)
    return decide_steps(desired, [NETWORK] if needs_network else [], look(host), now=host.now)


def a_host() -> SimulatedHypervisor:
    return SimulatedHypervisor(now=NOW, guests_max=50)


def a_wish(desired: Desired, vm_state: VmState, is_interrupted: bool, is_rebooting: bool) -> DesiredInstance:
    """A wish that the service can have written."""
    return a_desired(
        desired=desired,
        vm_state="stopped" if desired == "stopped" and vm_state == "building" else vm_state,
        is_interrupted=is_interrupted and vm_state == "active",
        reboot_from_epoch=0 if is_rebooting else None,
    )


VM_STATES: tuple[VmState, ...] = ("building", "active", "stopped")
DESIRED: tuple[Desired, ...] = get_args(Desired)
wishes = st.lists(
    st.builds(a_wish, st.sampled_from(DESIRED), st.sampled_from(VM_STATES), st.booleans(), st.booleans()), max_size=6
).map(lambda found: [replace(wish, spec=a_spec(number)) for number, wish in enumerate(found)])


@settings(max_examples=300, deadline=None)
@given(wishes, st.lists(st.sampled_from(["made", "running", "paused", "absent"]), min_size=8, max_size=8), st.data())
def test_any_prefix_executed_and_decided_again_converges(
    desired: list[DesiredInstance], found: list[str], data: st.DataObject
) -> None:
    host = a_host()
    host.ensure_network(NETWORK)
    for number, state in enumerate(found):
        if state != "absent":
            host.create_instance(a_spec(number))
        if state in ("running", "paused"):
            host.start_instance(a_spec(number))
        if state == "paused":
            host.take_last_reading(a_spec(number).instance_id)
    for _ in range(ROUNDS_MAX):
        steps = plan(host, desired)
        execute(host, steps[: data.draw(st.integers(0, len(steps)), label="killed after")])
    for _ in range(2):
        execute(host, plan(host, desired))
    assert plan(host, desired) == ()
    assert_as_wished(host, desired)


def assert_as_wished(host: SimulatedHypervisor, desired: list[DesiredInstance]) -> None:
    guests = {guest.instance_id: guest for guest in host.list_instances()}
    assert set(guests) <= {wish.instance_id for wish in desired}, "an orphan is left"
    for wish in desired:
        guest = guests.get(wish.instance_id)
        if wish.desired == "deleted":
            assert guest is None
        elif wish.desired == "stopped":
            assert guest is None or guest.power_state is PowerState.SHUTOFF
        elif wish.vm_state == "building" or wish.is_interrupted or wish.reboot_from_epoch is not None:
            assert guest is not None
            assert guest.power_state is PowerState.RUNNING


def test_a_launch_makes_the_network_first_then_the_guest_then_starts_it() -> None:
    names = [type(step).__name__ for step in plan(a_host(), [a_desired()])]
    assert names == ["EnsureNetwork", "CreateInstance", "StartInstance"]


def test_what_frees_room_comes_before_what_takes_it() -> None:
    host = a_host()
    host.ensure_network(NETWORK)
    for number in (0, 1, 7):
        host.create_instance(a_spec(number))
        host.start_instance(a_spec(number))
    steps = plan(
        host,
        [
            a_desired(0, desired="deleted", vm_state="active"),
            a_desired(1, desired="stopped", vm_state="active"),
            a_desired(2),
        ],
    )
    assert [type(step) for step in steps[:3]] == [RemoveOrphan, DeleteInstance, StopInstance]


def test_a_guest_that_ended_from_outside_is_left_to_its_record() -> None:
    host = a_host()
    host.ensure_network(NETWORK)
    execute(host, plan(host, [a_desired()]))
    host.crash(a_spec(0).instance_id)
    assert plan(host, [a_desired(vm_state="active")]) == ()
    assert plan(host, [a_desired(vm_state="error")]) == ()


def test_a_pending_reboot_is_done_once() -> None:
    host = a_host()
    execute(host, plan(host, [a_desired()]))
    (guest,) = host.list_instances()
    wish = a_desired(vm_state="active", reboot_from_epoch=guest.boot_epoch)
    execute(host, plan(host, [wish]))
    (again,) = host.list_instances()
    assert again.boot_epoch > guest.boot_epoch
    assert plan(host, [wish]) == ()


def test_a_guest_that_was_held_still_for_a_reading_goes_on() -> None:
    host = a_host()
    execute(host, plan(host, [a_desired()]))
    host.take_last_reading(a_spec(0).instance_id)
    wish = a_desired(vm_state="active")
    execute(host, plan(host, [wish]))
    assert [guest.power_state for guest in host.list_instances()] == [PowerState.RUNNING]
    assert plan(host, [wish]) == ()


def test_nothing_is_tried_before_its_time() -> None:
    wish = a_desired(retry_at=NOW + timedelta(seconds=5))
    host = a_host()
    assert [type(step).__name__ for step in plan(host, [wish])] == ["EnsureNetwork"]
    host.advance(NOW + timedelta(seconds=5))
    assert "CreateInstance" in [type(step).__name__ for step in plan(host, [wish])]


def test_an_empty_look_at_a_host_that_is_away_is_never_taken() -> None:
    host = a_host()
    host.go_away()
    try:
        look(host)
    except HypervisorUnavailable:
        return
    raise AssertionError("a host that does not answer must not look empty")


def test_half_made_leftovers_of_a_deleted_instance_are_removed() -> None:
    wish = a_desired(desired="deleted", vm_state="building")
    half = HostObservation(NOW, (), Leftovers(frozenset({wish.instance_id})))
    (step,) = decide_steps([wish], [], half, now=NOW)
    assert isinstance(step, DeleteInstance)
