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
    ShutdownRequest,
    StopReason,
)
from compute.hypervisor.simulated import SimulatedHypervisor
from compute.model import Desired, DesiredInstance, HostObservation, VmState
from compute.reconciliation import (
    ASK_AGAIN_S,
    AskToShutDown,
    DeleteInstance,
    RebootInstance,
    RemoveOrphan,
    StartInstance,
    Step,
    StopInstance,
    decide_steps,
    shutdown_deadlines,
)
from entrypoints.agent_steps import take_step

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NETWORK = NetworkSpec(UUID(int=1), "p", IPv4Network("10.9.0.0/24"), IPv4Address("10.9.0.1"))
ROUNDS_MAX = 6
GRACE_S = 60


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
    is_reboot_hard: bool = True,
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
        is_reboot_hard=is_reboot_hard,
        is_interrupted=is_interrupted,
        failures=0,
        retry_at=retry_at,
        state_at=NOW - timedelta(hours=1),
    )


def look(host: SimulatedHypervisor) -> HostObservation:
    return HostObservation(host.now, tuple(host.list_instances()), host.find_leftovers(), host.list_networks())


def execute(host: SimulatedHypervisor, steps: tuple[Step, ...]) -> None:
    for step in steps:
        take_step(host, step, keep_reading=lambda _: None, keep_last_reading=lambda _: None)
        host.advance(host.now + timedelta(seconds=1))


def plan(host: SimulatedHypervisor, desired: list[DesiredInstance], *, grace_s: float = GRACE_S) -> tuple[Step, ...]:
    needs_network = any(instance.desired != "deleted" for instance in desired)
    return decide_steps(desired, [NETWORK] if needs_network else [], look(host), now=host.now, grace_s=grace_s)


def deadlines(host: SimulatedHypervisor, desired: list[DesiredInstance]) -> dict[UUID, datetime]:
    return dict(shutdown_deadlines(desired, look(host), now=host.now, grace_s=GRACE_S))


def a_host() -> SimulatedHypervisor:
    return SimulatedHypervisor(now=NOW, guests_max=50)


def a_wish(
    desired: Desired, vm_state: VmState, is_interrupted: bool, is_rebooting: bool, is_reboot_hard: bool
) -> DesiredInstance:
    """A wish that the service can have written."""
    return a_desired(
        desired=desired,
        vm_state="stopped" if desired == "stopped" and vm_state == "building" else vm_state,
        is_interrupted=is_interrupted and vm_state == "active",
        reboot_from_epoch=0 if is_rebooting else None,
        is_reboot_hard=is_reboot_hard,
    )


VM_STATES: tuple[VmState, ...] = ("building", "active", "stopped")
DESIRED: tuple[Desired, ...] = get_args(Desired)
wishes = st.lists(
    st.builds(
        a_wish, st.sampled_from(DESIRED), st.sampled_from(VM_STATES), st.booleans(), st.booleans(), st.booleans()
    ),
    max_size=6,
).map(lambda found: [replace(wish, spec=a_spec(number)) for number, wish in enumerate(found)])


@settings(max_examples=300, deadline=None)
@given(
    wishes,
    st.lists(st.sampled_from(["made", "running", "paused", "absent"]), min_size=8, max_size=8),
    st.sampled_from([0.0, 3.0, 45.0, None]),
    st.data(),
)
def test_any_prefix_executed_and_decided_again_converges(
    desired: list[DesiredInstance], found: list[str], shutdown_s: float | None, data: st.DataObject
) -> None:
    host = a_host()
    host.default_shutdown_s = shutdown_s
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
    for _ in range(3):
        execute(host, plan(host, desired))
        host.advance(max(deadlines(host, desired).values(), default=host.now))
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
        grace_s=0,
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
    (step,) = decide_steps([wish], [], half, now=NOW, grace_s=GRACE_S)
    assert isinstance(step, DeleteInstance)


def a_running_host(*, shutdown_s: float | None) -> SimulatedHypervisor:
    host = a_host()
    host.default_shutdown_s = shutdown_s
    execute(host, plan(host, [a_desired()]))
    return host


def kinds(steps: tuple[Step, ...]) -> list[type[Step]]:
    return [type(step) for step in steps]


def test_a_stop_asks_the_guest_waits_and_cuts_what_is_still_on_when_the_grace_is_over() -> None:
    host, wish = a_running_host(shutdown_s=None), [a_desired(desired="stopped", vm_state="active")]
    asked_at = host.now
    steps = plan(host, wish)
    assert kinds(steps) == [AskToShutDown]
    execute(host, steps)
    assert plan(host, wish) == ()
    assert deadlines(host, wish) == {wish[0].instance_id: asked_at + timedelta(seconds=GRACE_S)}
    host.advance(asked_at + timedelta(seconds=GRACE_S))
    assert kinds(plan(host, wish)) == [StopInstance]


def test_a_guest_is_asked_again_and_its_grace_counts_from_the_first_time() -> None:
    host, wish = a_running_host(shutdown_s=None), [a_desired(desired="stopped", vm_state="active")]
    first_at = host.now
    execute(host, plan(host, wish))
    host.advance(first_at + timedelta(seconds=ASK_AGAIN_S))
    (again,) = plan(host, wish)
    assert isinstance(again, AskToShutDown)
    assert (again.request.asked_at, again.request.repeated_at) == (first_at, host.now)
    execute(host, (again,))
    host.advance(first_at + timedelta(seconds=GRACE_S))
    assert kinds(plan(host, wish)) == [StopInstance]


def test_a_guest_that_obeys_is_not_cut() -> None:
    host, wish = a_running_host(shutdown_s=5), [a_desired(desired="stopped", vm_state="active")]
    execute(host, plan(host, wish))
    host.advance(host.now + timedelta(seconds=5))
    assert plan(host, wish) == ()
    assert [(guest.power_state, guest.reason) for guest in host.list_instances()] == [
        (PowerState.SHUTOFF, StopReason.GUEST_SHUTDOWN)
    ]


def test_no_grace_cuts_at_once_and_so_does_a_guest_that_is_held_still() -> None:
    host, wish = a_running_host(shutdown_s=5), [a_desired(desired="stopped", vm_state="active")]
    assert kinds(plan(host, wish, grace_s=0)) == [StopInstance]
    host.take_last_reading(wish[0].instance_id)
    assert kinds(plan(host, wish)) == [StopInstance]


def test_a_delete_asks_no_guest() -> None:
    host = a_running_host(shutdown_s=5)
    assert kinds(plan(host, [a_desired(desired="deleted", vm_state="active")]))[0] is DeleteInstance


def test_a_soft_reboot_asks_and_starts_again_and_a_hard_one_cuts_at_once() -> None:
    host = a_running_host(shutdown_s=5)
    (guest,) = host.list_instances()
    soft = a_desired(vm_state="active", reboot_from_epoch=guest.boot_epoch, is_reboot_hard=False)
    assert kinds(plan(host, [replace(soft, is_reboot_hard=True)])) == [RebootInstance]
    execute(host, plan(host, [soft]))
    assert plan(host, [soft]) == ()
    host.advance(host.now + timedelta(seconds=5))
    steps = plan(host, [soft])
    assert kinds(steps) == [StartInstance]
    execute(host, steps)
    assert plan(host, [soft]) == ()


def test_a_soft_reboot_of_a_guest_that_ignores_it_becomes_a_hard_one_after_the_grace() -> None:
    host = a_running_host(shutdown_s=None)
    (guest,) = host.list_instances()
    soft = [a_desired(vm_state="active", reboot_from_epoch=guest.boot_epoch, is_reboot_hard=False)]
    execute(host, plan(host, soft))
    host.advance(host.now + timedelta(seconds=GRACE_S))
    assert kinds(plan(host, soft)) == [RebootInstance]


def test_what_a_guest_was_asked_for_an_earlier_wish_or_in_a_time_to_come_does_not_count() -> None:
    host, wish = a_running_host(shutdown_s=None), a_desired(desired="stopped", vm_state="active")
    host.request_shutdown(wish.instance_id, ShutdownRequest(0, NOW, NOW))
    host.advance(NOW + timedelta(hours=1))
    assert kinds(plan(host, [wish])) == [AskToShutDown]
    later = host.now + timedelta(hours=1)
    host.request_shutdown(wish.instance_id, ShutdownRequest(wish.generation, later, later))
    assert deadlines(host, [wish]) == {}
    (step,) = plan(host, [wish])
    assert isinstance(step, AskToShutDown)
    assert step.request.asked_at == host.now
