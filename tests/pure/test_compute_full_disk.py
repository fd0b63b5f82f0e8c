"""A guest that its host's full disk holds still: told as a fault, charged as an error, and let go on when there is room. Pure."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from collectors.lifecycle import HeardNotice, ends_after
from compute.hypervisor.contract import LaunchFailure, LifecycleNotice, NoticeKind, PowerState, StopReason
from compute.hypervisor.libvirt_stats import is_stalled
from compute.hypervisor.simulated import SimulatedHypervisor
from compute.lifecycle import STALL_FAULT, LifecycleKind, decide_transition, derive_status
from compute.model import Desired, DesiredInstance, HostObservation, Instance, InstanceStatus
from compute.reconciliation import (
    ROOM_MIB_MIN,
    STALL_S_MIN,
    RebootInstance,
    StartInstance,
    Step,
    StopInstance,
    decide_steps,
)
from entrypoints.agent_steps import take_step
from tests.pure.test_compute_decisions import NOW, a_guest, an_instance, applied, decided, seen
from tests.pure.test_reconciliation import NETWORK, a_desired, a_host, a_spec

STALLED = a_guest(PowerState.PAUSED, StopReason.DISK_FULL)
RUNNING = a_guest(PowerState.RUNNING)
SPEC = a_spec(0)


def a_stalled_instance() -> Instance:
    return applied(an_instance(), decided(an_instance(), seen(STALLED)))


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_a_stalled_guest_is_in_error_with_a_fault_that_says_why_from_when_it_was_last_seen_to_run() -> None:
    transition = decided(an_instance(), seen(STALLED, after_s=60))
    assert (transition.vm_state, transition.power_state, transition.desired) == ("error", "paused", "active")
    assert (transition.kind, transition.fault) == (LifecycleKind.FAULT, STALL_FAULT)
    assert StopReason.DISK_FULL.value in STALL_FAULT
    assert transition.at == after(30)
    assert derive_status(applied(an_instance(), transition), after(60)) is InstanceStatus.ERROR


def test_a_stall_that_was_heard_dates_from_that_moment_and_is_taken_back_by_going_on() -> None:
    stalled = LifecycleNotice(NoticeKind.STALLED, STALLED.instance_id, StopReason.DISK_FULL)
    ends = ends_after({}, [HeardNotice(stalled, after(59))])
    evidence = replace(seen(STALLED, after_s=60), stopped_at=ends[STALLED.instance_id])
    assert decided(an_instance(), evidence).at == after(59)
    resumed = LifecycleNotice(NoticeKind.RESUMED, STALLED.instance_id)
    assert ends_after(ends, [HeardNotice(resumed, after(61))]) == {}


def test_a_stalled_guest_that_goes_on_is_active_from_when_that_was_seen_and_pays_nothing_for_the_stall() -> None:
    transition = decided(a_stalled_instance(), seen(RUNNING, after_s=500))
    assert (transition.vm_state, transition.kind, transition.at) == ("active", LifecycleKind.START, after(500))
    assert transition.fault is None


def test_a_stall_is_told_once() -> None:
    assert decide_transition(a_stalled_instance(), seen(STALLED, after_s=600)) is None


@pytest.mark.parametrize(("desired", "stopping"), [("deleted", False), ("stopped", False), ("active", True)])
def test_a_stalled_guest_that_is_about_to_end_does_not_seem_to_go_on_first(desired: Desired, stopping: bool) -> None:
    assert decide_transition(replace(a_stalled_instance(), desired=desired), seen(STALLED, stopping=stopping)) is None


def test_a_guest_that_stalls_in_its_first_boot_is_in_error_and_created_when_it_goes_on() -> None:
    building = an_instance(vm_state="building")
    stalled = applied(building, decided(building, seen(STALLED)))
    assert (stalled.vm_state, stalled.launched_at) == ("error", None)
    assert decided(stalled, seen(RUNNING, after_s=90)).kind is LifecycleKind.CREATE


@pytest.mark.parametrize("is_there", [True, False])
def test_a_stalled_guest_whose_host_goes_down_goes_on_with_it(is_there: bool) -> None:
    off = a_guest(PowerState.SHUTOFF, StopReason.HOST_DOWN, boot_epoch=0) if is_there else None
    transition = decided(a_stalled_instance(), seen(off, after_s=90, stopping=not is_there))
    assert (transition.is_interrupted, transition.desired, transition.kind) == (True, "active", LifecycleKind.HOST_DOWN)


def test_a_stalled_guest_that_is_killed_says_that_instead() -> None:
    for guest in (a_guest(PowerState.SHUTOFF, StopReason.CRASHED, boot_epoch=0), None):
        transition = decided(a_stalled_instance(), seen(guest, after_s=90))
        assert (transition.vm_state, transition.kind) == ("error", LifecycleKind.FAULT)
        assert transition.fault not in {None, STALL_FAULT}


def a_stalled_host() -> SimulatedHypervisor:
    host = a_host()
    host.ensure_network(NETWORK)
    host.create_instance(SPEC)
    host.start_instance(SPEC)
    host.fill_disk(SPEC.instance_id)
    return host


def a_stalled_wish(**changes: object) -> DesiredInstance:
    return replace(a_desired(vm_state="error"), state_at=NOW, **changes)


def steps_of(host: SimulatedHypervisor, wish: DesiredInstance, *, after_s: float = STALL_S_MIN) -> tuple[Step, ...]:
    instances, now = tuple(host.list_instances()), after(after_s)
    room = host.free_disk_mib() if any(guest.is_stalled for guest in instances) else None
    look = HostObservation(now, instances, host.find_leftovers(), host.list_networks(), free_disk_mib=room)
    return decide_steps([wish], [NETWORK], look, now=now, grace_s=60)


def test_a_stalled_guest_waits_for_room_and_for_its_rest_and_then_goes_on() -> None:
    host, wish = a_stalled_host(), a_stalled_wish()
    assert steps_of(host, wish, after_s=9_000) == ()
    host.free_mib = ROOM_MIB_MIN - 1
    assert steps_of(host, wish, after_s=9_000) == ()
    host.free_mib = ROOM_MIB_MIN
    assert steps_of(host, wish, after_s=STALL_S_MIN - 1) == ()
    assert steps_of(host, wish) == (StartInstance(SPEC, 1),)
    assert steps_of(host, replace(wish, vm_state="active")) == ()
    assert steps_of(host, replace(wish, retry_at=after(9_000))) == ()
    epoch = host.guests[SPEC.instance_id].boot_epoch
    host.start_instance(SPEC)
    [guest] = host.list_instances()
    assert (guest.power_state, guest.boot_epoch, guest.reason) == (PowerState.RUNNING, epoch, StopReason.NONE)


def test_a_guest_that_stalls_again_at_once_is_a_failed_step() -> None:
    host = a_stalled_host()
    with pytest.raises(LaunchFailure, match="cannot go on"):
        take_step(host, StartInstance(SPEC, 1), keep_reading=lambda _: None, keep_last_reading=lambda _: None)


def test_a_stalled_guest_can_be_stopped_and_rebooted_hard_while_there_is_no_room() -> None:
    host = a_stalled_host()
    assert steps_of(host, a_stalled_wish(desired="stopped")) == (StopInstance(SPEC.instance_id, 1),)
    epoch = host.guests[SPEC.instance_id].boot_epoch
    assert steps_of(host, a_stalled_wish(reboot_from_epoch=epoch)) == (RebootInstance(SPEC, 1),)


@pytest.mark.parametrize(("state", "reason", "stalled"), [(3, 5, True), (3, 1, False), (1, 5, False), (5, 5, False)])
def test_only_a_pause_by_a_write_that_failed_is_a_stall(state: int, reason: int, stalled: bool) -> None:
    assert is_stalled({"state.state": state, "state.reason": reason}) is stalled
