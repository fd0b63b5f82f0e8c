"""Placement, quota and the life of an instance: the pure decisions of compute."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.errors import InstanceStateConflict
from compute.hypervisor.contract import ObservedInstance, PowerState, StopReason
from compute.lifecycle import (
    HOST_SILENCE_S_MAX,
    RETRY_DELAY_S_MAX,
    Evidence,
    LifecycleKind,
    Transition,
    decide_transition,
    derive_status,
    lifecycle_payload,
    require_rebootable,
    require_startable,
    require_stoppable,
    retry_delay_s,
)
from compute.model import Flavor, Host, Instance, InstanceStatus
from compute.placement import NoRoom, Placed, place_instances
from compute.quota import Allowed, Quota, QuotaUsage, Refused, decide_count

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def a_host(number: int = 1, *, vcpus: int = 4, ram_mib: int = 4096, used: int = 0, seen_at: datetime = NOW) -> Host:
    return Host(
        id=UUID(int=number),
        name=f"host-{number}",
        hypervisor_uri="simulated:1",
        virt_type="qemu",
        hypervisor_version="7.2.0",
        architecture="x86_64",
        cpu_model="",
        availability_zone="nova",
        vcpus=vcpus,
        ram_mib=ram_mib,
        disk_gib=100,
        cpu_allocation_ratio=4.0,
        ram_allocation_ratio=1.0,
        session=1,
        stopping_session=None,
        registered_at=NOW,
        seen_at=seen_at,
        observed_at=None,
        ram_mib_used=used,
    )


def an_instance(
    *,
    vm_state: str = "active",
    desired: str = "active",
    reboot_from_epoch: int | None = None,
    interrupted: bool = False,
) -> Instance:
    return Instance(
        id=UUID(int=9),
        project_id="p",
        user_id="u",
        name="web",
        hostname="web",
        description=None,
        reservation_id="r-1",
        host_id=UUID(int=1),
        host_name="host-1",
        host_seen_at=NOW,
        availability_zone="nova",
        flavor_id="0",
        flavor_name="n1.nano",
        vcpus=1,
        ram_mib=96,
        disk_gib=1,
        extra_specs={},
        image_id=UUID(int=2),
        image_name="guest",
        key_name=None,
        metadata={},
        tags=(),
        desired=desired,  # pyright: ignore[reportArgumentType]
        generation=1,
        reboot_from_epoch=reboot_from_epoch,
        is_reboot_hard=False,
        vm_state=vm_state,  # pyright: ignore[reportArgumentType]
        power_state="running" if vm_state == "active" else "unknown",
        is_interrupted=interrupted,
        boot_epoch=1 if vm_state == "active" else 0,
        failures=0,
        retry_at=None,
        fault_code=None,
        fault_message=None,
        fault_details=None,
        fault_at=None,
        created_at=NOW,
        updated_at=NOW,
        state_at=NOW,
        launched_at=None if vm_state == "building" else NOW,
        deleted_at=None,
    )


def a_guest(power: PowerState, reason: StopReason = StopReason.NONE, *, boot_epoch: int = 1) -> ObservedInstance:
    return ObservedInstance(UUID(int=9), power, boot_epoch, NOW if boot_epoch else None, reason)


def seen(
    guest: ObservedInstance | None, *, after_s: float = 60, is_left: bool = False, stopping: bool = False
) -> Evidence:
    return Evidence(
        observed_at=NOW + timedelta(seconds=after_s),
        guest=guest,
        is_anything_left=guest is not None or is_left,
        is_host_stopping=stopping,
        proof_of_life_at=NOW + timedelta(seconds=after_s / 2),
    )


def decided(instance: Instance, evidence: Evidence) -> Transition:
    transition = decide_transition(instance, evidence)
    assert transition is not None
    return transition


def applied(instance: Instance, transition: Transition | None) -> Instance:
    if transition is None:
        return instance
    return replace(
        instance,
        desired=transition.desired,
        vm_state=transition.vm_state,
        power_state=transition.power_state,
        boot_epoch=transition.boot_epoch,
        is_interrupted=transition.is_interrupted,
        reboot_from_epoch=transition.reboot_from_epoch,
        state_at=transition.at if transition.kind else instance.state_at,
        launched_at=instance.launched_at or (transition.at if transition.vm_state == "active" else None),
    )


guests = st.none() | st.builds(
    a_guest,
    st.sampled_from(PowerState),
    st.sampled_from(StopReason),
    boot_epoch=st.integers(0, 2),
)
instances = st.builds(
    an_instance,
    vm_state=st.sampled_from(["building", "active", "stopped", "error"]),
    desired=st.sampled_from(["active", "stopped", "deleted"]),
    reboot_from_epoch=st.none() | st.integers(0, 2),
    interrupted=st.booleans(),
).filter(lambda instance: not instance.is_interrupted or instance.vm_state == "active")


@given(instances, guests, st.booleans(), st.booleans())
def test_the_same_evidence_twice_tells_nothing_the_second_time(
    instance: Instance, guest: ObservedInstance | None, is_left: bool, stopping: bool
) -> None:
    evidence = seen(guest, is_left=is_left, stopping=stopping)
    after = applied(instance, decide_transition(instance, evidence))
    if after.vm_state != "deleted":
        again = decide_transition(after, evidence)
        assert again is None or again.kind is None


@given(instances, guests, st.booleans(), st.booleans())
def test_time_never_runs_backwards_and_a_delete_is_never_taken_back(
    instance: Instance, guest: ObservedInstance | None, is_left: bool, stopping: bool
) -> None:
    transition = decide_transition(instance, seen(guest, is_left=is_left, stopping=stopping))
    if transition is None:
        return
    if transition.kind is not None:
        assert instance.state_at <= transition.at <= NOW + timedelta(seconds=60)
    assert (instance.desired == "deleted") == (transition.desired == "deleted")
    if transition.vm_state == "deleted":
        assert instance.desired == "deleted"
        assert guest is None
        assert not is_left


@given(guests, st.booleans())
def test_a_host_that_is_being_stopped_puts_nothing_into_error(guest: ObservedInstance | None, is_left: bool) -> None:
    transition = decide_transition(an_instance(), seen(guest, is_left=is_left, stopping=True))
    assert transition is None or (transition.vm_state, transition.desired) == ("active", "active")


@pytest.mark.parametrize(
    ("reason", "vm_state", "kind"),
    [
        (StopReason.CRASHED, "error", LifecycleKind.FAULT),
        (StopReason.FAILED, "error", LifecycleKind.FAULT),
        (StopReason.UNSEEN, "error", LifecycleKind.FAULT),
        (StopReason.GUEST_SHUTDOWN, "stopped", LifecycleKind.STOP),
        (StopReason.STOPPED, "stopped", LifecycleKind.STOP),
    ],
)
def test_an_end_from_outside_says_why_and_dates_from_the_last_proof_of_life(
    reason: StopReason, vm_state: str, kind: LifecycleKind
) -> None:
    transition = decided(an_instance(), seen(a_guest(PowerState.SHUTOFF, reason, boot_epoch=0)))
    assert (transition.vm_state, transition.kind, transition.desired) == (vm_state, kind, "stopped")
    assert transition.at == NOW + timedelta(seconds=30)
    assert transition.fault is not None
    assert reason.value in transition.fault


def test_a_launch_that_was_cut_short_before_its_guest_ran_goes_on() -> None:
    launched = an_instance(vm_state="building")
    assert decide_transition(launched, seen(a_guest(PowerState.SHUTOFF, StopReason.UNSEEN, boot_epoch=0))) == (
        decide_transition(launched, seen(a_guest(PowerState.SHUTOFF, StopReason.NEVER_STARTED, boot_epoch=0)))
    )
    crashed = decided(launched, seen(a_guest(PowerState.SHUTOFF, StopReason.CRASHED, boot_epoch=0)))
    assert crashed.vm_state == "error"


def test_a_wanted_end_that_nobody_saw_dates_from_the_last_proof_of_life() -> None:
    transition = decided(
        an_instance(desired="stopped"), seen(a_guest(PowerState.SHUTOFF, StopReason.UNSEEN, boot_epoch=0))
    )
    assert (transition.kind, transition.vm_state) == (LifecycleKind.STOP, "stopped")
    assert transition.at == NOW + timedelta(seconds=30)


def test_a_guest_whose_host_lost_power_stays_wanted() -> None:
    transition = decided(an_instance(), seen(a_guest(PowerState.SHUTOFF, StopReason.HOST_DOWN, boot_epoch=0)))
    assert (transition.kind, transition.desired, transition.is_interrupted) == (LifecycleKind.HOST_DOWN, "active", True)


def test_a_guest_that_is_off_in_the_middle_of_a_reboot_was_not_stopped_from_outside() -> None:
    instance = an_instance(reboot_from_epoch=1)
    transition = decide_transition(instance, seen(a_guest(PowerState.SHUTOFF, StopReason.STOPPED, boot_epoch=0)))
    assert transition is None or (transition.kind is None and transition.vm_state == "active")


def test_a_reboot_that_the_end_of_its_host_overtakes_is_an_interruption() -> None:
    """Else the segment would stay open while the host is down."""
    off = a_guest(PowerState.SHUTOFF, StopReason.STOPPED, boot_epoch=0)
    transition = decided(an_instance(reboot_from_epoch=1), seen(off, stopping=True))
    assert (transition.kind, transition.desired, transition.is_interrupted) == (LifecycleKind.HOST_DOWN, "active", True)
    assert transition.reboot_from_epoch is None


@pytest.mark.parametrize(
    ("reason", "heard_after_s", "ended_after_s"),
    [
        (StopReason.GUEST_SHUTDOWN, 42, 42),
        (StopReason.GUEST_SHUTDOWN, None, 30),
        (StopReason.STOPPED, 42, 42),
        (StopReason.STOPPED, None, 60),
    ],
)
def test_a_stop_ends_when_the_host_said_so_and_unheard_at_the_last_proof_of_life_or_at_our_cut(
    reason: StopReason, heard_after_s: float | None, ended_after_s: float
) -> None:
    evidence = seen(a_guest(PowerState.SHUTOFF, reason, boot_epoch=0))
    if heard_after_s is not None:
        evidence = replace(evidence, stopped_at=NOW + timedelta(seconds=heard_after_s))
    transition = decided(an_instance(desired="stopped"), evidence)
    assert (transition.kind, transition.vm_state, transition.fault) == (LifecycleKind.STOP, "stopped", None)
    assert transition.at == NOW + timedelta(seconds=ended_after_s)


def test_a_silent_host_makes_its_running_instances_unknown_and_no_others() -> None:
    late = NOW + timedelta(seconds=HOST_SILENCE_S_MAX + 1)
    assert derive_status(an_instance(), late) is InstanceStatus.UNKNOWN
    assert derive_status(an_instance(vm_state="stopped", desired="stopped"), late) is InstanceStatus.SHUTOFF


def test_only_a_hard_reboot_wakes_what_is_off() -> None:
    stopped = an_instance(vm_state="stopped", desired="stopped")
    require_rebootable(stopped, is_hard=True)
    require_startable(stopped)
    with pytest.raises(InstanceStateConflict, match=r"Cannot 'reboot' instance .* while it is in vm_state stopped"):
        require_rebootable(stopped, is_hard=False)
    with pytest.raises(InstanceStateConflict, match="task_state deleting"):
        require_stoppable(an_instance(desired="deleted"))


@given(st.integers(1, 10_000))
def test_the_delay_after_failures_grows_and_is_bounded(failures: int) -> None:
    assert 0 < retry_delay_s(failures) <= retry_delay_s(failures + 1) <= RETRY_DELAY_S_MAX


@given(
    st.lists(st.tuples(st.integers(1, 64), st.integers(64, 65_536), st.integers(0, 4096)), max_size=5),
    st.integers(1, 8),
    st.integers(1, 4096),
    st.integers(1, 60),
)
def test_no_host_is_ever_promised_more_than_it_has(
    given_hosts: list[tuple[int, int, int]], vcpus: int, ram_mib: int, count: int
) -> None:
    hosts = [a_host(n, vcpus=v, ram_mib=r, used=u) for n, (v, r, u) in enumerate(given_hosts, start=1)]
    placed = place_instances(hosts, vcpus=vcpus, ram_mib=ram_mib, count=count, availability_zone=None, now=NOW)
    if isinstance(placed, NoRoom):
        assert placed.reason
        return
    assert 1 <= len(placed.host_ids) <= count
    for host in hosts:
        here = placed.host_ids.count(host.id)
        assert here * vcpus <= host.vcpus * host.cpu_allocation_ratio
        assert here == 0 or host.ram_mib_used + here * ram_mib <= host.ram_mib * host.ram_allocation_ratio


def test_a_silent_or_stopped_host_or_another_zone_is_not_chosen() -> None:
    silent = a_host(1, seen_at=NOW - timedelta(hours=1))
    stopped = replace(a_host(2), stopping_session=1)
    placed = place_instances([silent, stopped], vcpus=1, ram_mib=1, count=1, availability_zone=None, now=NOW)
    assert isinstance(placed, NoRoom)
    assert "host-1: has not been heard of" in placed.reason
    assert "host-2: is stopped" in placed.reason
    elsewhere = place_instances([a_host()], vcpus=1, ram_mib=1, count=1, availability_zone="mars", now=NOW)
    assert isinstance(elsewhere, NoRoom)


def test_a_refusal_says_what_each_host_lacks() -> None:
    placed = place_instances([a_host()], vcpus=17, ram_mib=1, count=1, availability_zone=None, now=NOW)
    assert placed == NoRoom("host-1: 17 vCPU asked, 16 free")


def test_instances_are_spread_over_equal_hosts() -> None:
    placed = place_instances([a_host(1), a_host(2)], vcpus=1, ram_mib=96, count=4, availability_zone=None, now=NOW)
    assert isinstance(placed, Placed)
    assert {placed.host_ids.count(UUID(int=n)) for n in (1, 2)} == {2}


def a_flavor(vcpus: int = 1, ram_mib: int = 96) -> Flavor:
    return Flavor("0", "n1.nano", vcpus, ram_mib, 1, True, None, {}, NOW)


limits = st.integers(-1, 500)


@given(limits, limits, limits, st.integers(0, 300), st.integers(1, 8), st.integers(1, 50), st.integers(0, 50))
def test_a_quota_is_never_passed_and_never_refuses_what_fits(
    instances_max: int, cores_max: int, ram_max: int, used: int, vcpus: int, count_min: int, more: int
) -> None:
    quota, usage = Quota(instances_max, cores_max, ram_max, 10, 10), QuotaUsage(used, used, used)
    flavor = a_flavor(vcpus, 3)
    decision = decide_count(flavor, quota, usage, count_min=count_min, count_max=count_min + more)

    def fits(count: int) -> bool:
        pairs = ((instances_max, count), (cores_max, count * vcpus), (ram_max, count * 3))
        return all(limit == -1 or used + taken <= limit for limit, taken in pairs)

    if isinstance(decision, Allowed):
        assert count_min <= decision.count <= count_min + more
        assert fits(decision.count)
        assert decision.count == count_min + more or not fits(decision.count + 1)
    else:
        assert not fits(count_min)


def test_a_refusal_names_every_limit_in_novas_words() -> None:
    quota, usage = Quota(10, 4, 51200, 10, 10), QuotaUsage(9, 4, 100)
    decision = decide_count(a_flavor(2), quota, usage, count_min=2, count_max=2)
    assert isinstance(decision, Refused)
    assert decision.message == (
        "Quota exceeded for cores, instances: Requested 4, 2, but already used 4, 9 of 4, 10 cores, instances"
    )


@pytest.mark.parametrize(
    ("kind", "launched_at", "told"),
    [
        (LifecycleKind.CREATE, None, {"created_at": 0, "launched_at": 9}),
        (LifecycleKind.STOP, 3, {"created_at": 0, "launched_at": 3}),
        (LifecycleKind.DELETE, 3, {"created_at": 0, "launched_at": 3, "deleted_at": 9}),
        (LifecycleKind.DELETE, None, {"created_at": 0, "deleted_at": 9}),
    ],
)
def test_an_event_tells_when_the_instance_was_ordered_first_ran_and_ended(
    kind: LifecycleKind, launched_at: int | None, told: dict[str, int]
) -> None:
    launched = None if launched_at is None else NOW + timedelta(seconds=launched_at)
    instance = replace(an_instance(), launched_at=launched)
    payload = lifecycle_payload(instance, kind, at=NOW + timedelta(seconds=9), event_id=UUID(int=1))
    seconds = {name: (datetime.fromisoformat(at) - NOW).total_seconds() for name, at in payload["attributes"].items()}
    assert seconds == told
