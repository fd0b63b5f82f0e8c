"""The life of an instance: which acts its state allows, what an observation of its host means for it, and what is told about it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from compute.errors import InstanceStateConflict
from compute.hypervisor.contract import ObservedInstance, PowerState, StopReason
from compute.model import Desired, Instance, InstanceStatus, Power, VmState

HOST_SILENCE_S_MAX = 180
"""After this long without a word from its agent, what a host runs is unknown; no bill and no scaling follows from that."""

FAILURES_MAX = 5
RETRY_DELAY_S_MIN = 2
RETRY_DELAY_S_MAX = 300

STALL_FAULT = (
    f"The guest is held still: {StopReason.DISK_FULL.value}. It goes on where it was when there is room again."
)

FAULT_CODE = 500
"""Nova's code of a fault that is not the caller's."""


class LifecycleKind(StrEnum):
    """What happened to an instance, in the words of the `instance.lifecycle` topic."""

    CREATE = "create"
    START = "start"
    STOP = "stop"
    DELETE = "delete"
    HOST_DOWN = "host_down"
    FAULT = "fault"


LIFECYCLE_STATES: Mapping[LifecycleKind, str] = {
    LifecycleKind.CREATE: "active",
    LifecycleKind.START: "active",
    LifecycleKind.STOP: "stopped",
    LifecycleKind.DELETE: "deleted",
    LifecycleKind.HOST_DOWN: "host_down",
    LifecycleKind.FAULT: "error",
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one instance at `observed_at`: its guest (None: its host has none), and whether anything of it is left.

    `proof_of_life_at` is when its host was observed before; `stopped_at` the exact end, where the agent heard it.
    """

    observed_at: datetime
    guest: ObservedInstance | None
    is_anything_left: bool
    is_host_stopping: bool = False
    proof_of_life_at: datetime | None = None
    stopped_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """What an observation changes in an instance's record; `kind` is what happened, None when nothing that is told."""

    desired: Desired
    vm_state: VmState
    power_state: Power
    boot_epoch: int
    is_interrupted: bool
    reboot_from_epoch: int | None
    kind: LifecycleKind | None
    at: datetime
    fault: str | None


def derive_task(instance: Instance) -> str | None:
    """Return what is being done to the instance, in Nova's words, or None."""
    if instance.vm_state == "deleted":
        return None
    if instance.desired == "deleted":
        return "deleting"
    if instance.vm_state == "building":
        return "spawning"
    if instance.reboot_from_epoch is not None:
        return "rebooting_hard" if instance.is_reboot_hard else "rebooting"
    if instance.vm_state == "active" and instance.desired == "stopped":
        return "powering-off"
    is_starting = instance.vm_state == "stopped" or (instance.vm_state == "active" and instance.is_interrupted)
    return "powering-on" if is_starting and instance.desired == "active" else None


def derive_status(instance: Instance, now: datetime) -> InstanceStatus:
    """Return what the project sees: off while its host rests, and UNKNOWN, never off, while its host is silent."""
    if instance.vm_state == "active":
        if now - instance.host_seen_at > timedelta(seconds=HOST_SILENCE_S_MAX):
            return InstanceStatus.UNKNOWN
        if instance.is_interrupted:
            return InstanceStatus.SHUTOFF
        if instance.reboot_from_epoch is not None:
            return InstanceStatus.HARD_REBOOT if instance.is_reboot_hard else InstanceStatus.REBOOT
    return STATUS_BY_VM_STATE[instance.vm_state]


STATUS_BY_VM_STATE: Mapping[VmState, InstanceStatus] = {
    "building": InstanceStatus.BUILD,
    "active": InstanceStatus.ACTIVE,
    "stopped": InstanceStatus.SHUTOFF,
    "error": InstanceStatus.ERROR,
    "deleted": InstanceStatus.DELETED,
}


def require_startable(instance: Instance) -> None:
    """Raise InstanceStateConflict unless the instance is stopped and nothing is being done to it."""
    require_state(instance, act="start", vm_states=frozenset({"stopped"}), tasks=frozenset())


def require_stoppable(instance: Instance) -> None:
    """Raise InstanceStateConflict unless the instance runs and nothing is being done to it."""
    require_state(instance, act="stop", vm_states=frozenset({"active"}), tasks=frozenset())


def require_rebootable(instance: Instance, *, is_hard: bool) -> None:
    """Raise InstanceStateConflict; a hard reboot also wakes an instance that is stopped or in error, as in Nova."""
    if is_hard:
        states: frozenset[VmState] = frozenset({"active", "stopped", "error"})
        tasks = frozenset({"rebooting", "rebooting_hard"})
        require_state(instance, act="reboot", vm_states=states, tasks=tasks)
    else:
        require_state(instance, act="reboot", vm_states=frozenset({"active"}), tasks=frozenset())


def require_state(instance: Instance, *, act: str, vm_states: frozenset[VmState], tasks: frozenset[str]) -> None:
    """Raise InstanceStateConflict in Nova's own words."""
    if instance.vm_state not in vm_states:
        raise InstanceStateConflict(
            f"Cannot '{act}' instance {instance.id} while it is in vm_state {instance.vm_state}"
        )
    task = derive_task(instance)
    if task is not None and task not in tasks:
        raise InstanceStateConflict(f"Cannot '{act}' instance {instance.id} while it is in task_state {task}")


def retry_delay_s(failures: int) -> int:
    """Return how long to wait after so many failures in a row: doubling, bounded."""
    return min(RETRY_DELAY_S_MAX, RETRY_DELAY_S_MIN * 2 ** min(max(failures - 1, 0), 16))


def decide_transition(instance: Instance, evidence: Evidence) -> Transition | None:
    """Say what the evidence changes in the record, or None when the record already says so."""
    guest = evidence.guest
    if guest is None:
        transition = transition_of_absent(instance, evidence)
    elif guest.power_state in (PowerState.RUNNING, PowerState.PAUSED):
        transition = transition_of_running(instance, evidence, guest)
    else:
        transition = transition_of_off(instance, evidence, guest)
    if transition.kind is None and transition == unchanged(instance, transition.at):
        return None
    return transition


def unchanged(
    instance: Instance,
    at: datetime,
    *,
    power_state: Power | None = None,
    boot_epoch: int | None = None,
) -> Transition:
    """Return the transition that keeps the record, apart from what the host says of power and boot."""
    return Transition(
        desired=instance.desired,
        vm_state=instance.vm_state,
        power_state=instance.power_state if power_state is None else power_state,
        boot_epoch=instance.boot_epoch if boot_epoch is None else boot_epoch,
        is_interrupted=instance.is_interrupted,
        reboot_from_epoch=instance.reboot_from_epoch,
        kind=None,
        at=at,
        fault=None,
    )


def transition_of_running(instance: Instance, evidence: Evidence, guest: ObservedInstance) -> Transition:
    """A guest that runs is active from the start of its boot on, or since it was seen to go on; a reboot is done when the boot is another one."""
    is_to_run = instance.desired == "active" and not evidence.is_host_stopping
    if guest.is_stalled and (is_to_run or is_stalled(instance)):
        return transition_of_stalled(instance, evidence, guest)
    is_new = instance.vm_state != "active" or instance.is_interrupted
    kind = None
    if is_new:
        kind = LifecycleKind.CREATE if instance.launched_at is None else LifecycleKind.START
    is_reboot_done = instance.reboot_from_epoch is not None and guest.boot_epoch != instance.reboot_from_epoch
    goes_on = is_stalled(instance) and instance.boot_epoch == guest.boot_epoch
    started_at = None if goes_on else guest.started_at
    began_at = min(started_at or evidence.observed_at, evidence.observed_at)
    return Transition(
        desired=instance.desired,
        vm_state="active",
        power_state="paused" if guest.power_state is PowerState.PAUSED else "running",
        boot_epoch=guest.boot_epoch,
        is_interrupted=False,
        reboot_from_epoch=None if is_reboot_done else instance.reboot_from_epoch,
        kind=kind,
        at=max(instance.state_at, began_at),
        fault=None,
    )


def is_stalled(instance: Instance) -> bool:
    """Tell whether the record says that the guest is held still, since its host's disk is full: no other error leaves one paused."""
    return instance.vm_state == "error" and instance.power_state == "paused"


def transition_of_stalled(instance: Instance, evidence: Evidence, guest: ObservedInstance) -> Transition:
    """A guest that is held still, since its host's disk is full, is in error from the moment that was heard, or from when it was last seen to run.

    It is wanted as before, and goes on in the same boot.
    """
    is_new = not is_stalled(instance)
    at = evidence.stopped_at or evidence.proof_of_life_at or evidence.observed_at
    return Transition(
        desired=instance.desired,
        vm_state="error",
        power_state="paused",
        boot_epoch=guest.boot_epoch,
        is_interrupted=False,
        reboot_from_epoch=instance.reboot_from_epoch,
        kind=LifecycleKind.FAULT if is_new else None,
        at=max(instance.state_at, min(at, evidence.observed_at)) if is_new else evidence.observed_at,
        fault=STALL_FAULT if is_new else None,
    )


def transition_of_off(instance: Instance, evidence: Evidence, guest: ObservedInstance) -> Transition:
    """A guest that is off was stopped by us, by its host going down, or from outside."""
    power: Power = "crashed" if guest.power_state is PowerState.CRASHED else "shutoff"
    still = unchanged(instance, evidence.observed_at, power_state=power)
    ended_itself = guest.reason in (StopReason.GUEST_SHUTDOWN, StopReason.CRASHED)
    was_on = instance.vm_state == "active" or is_stalled(instance)
    was_running = was_on or (instance.vm_state == "building" and ended_itself)
    if not was_running or instance.is_interrupted:
        return still
    if instance.desired == "stopped":
        is_ours = not ended_itself and guest.reason is not StopReason.UNSEEN
        return ended(instance, evidence, power, kind=LifecycleKind.STOP, vm_state="stopped", is_ours=is_ours)
    if instance.desired == "deleted":
        return still
    if evidence.is_host_stopping or guest.reason is StopReason.HOST_DOWN:
        return interrupted(instance, evidence, power)
    if instance.reboot_from_epoch is not None:
        return still
    if guest.reason in (StopReason.CRASHED, StopReason.FAILED, StopReason.UNSEEN) or power == "crashed":
        fault = f"The guest ended unexpectedly: {guest.reason.value}."
        return ended(instance, evidence, power, kind=LifecycleKind.FAULT, vm_state="error", fault=fault)
    fault = f"The guest is off although nobody asked for it here: {guest.reason.value}."
    return ended(instance, evidence, power, kind=LifecycleKind.STOP, vm_state="stopped", fault=fault)


def transition_of_absent(instance: Instance, evidence: Evidence) -> Transition:
    """A guest that its host does not have was deleted by us, never made, or taken away from outside."""
    still = unchanged(instance, evidence.observed_at)
    if instance.desired == "deleted":
        if evidence.is_anything_left:
            return still
        was_running = instance.vm_state == "active" and not instance.is_interrupted
        return (
            ended(instance, evidence, "shutoff", kind=LifecycleKind.DELETE, vm_state="deleted", is_ours=True)
            if was_running
            else deleted(instance, evidence)
        )
    was_on = instance.vm_state == "active" or is_stalled(instance)
    is_expected = instance.is_interrupted or instance.reboot_from_epoch is not None
    if instance.vm_state == "building" or (instance.vm_state == "error" and not was_on) or is_expected:
        return still
    if evidence.is_host_stopping and was_on:
        return interrupted(instance, evidence, "shutoff")
    fault = "The guest disappeared from its host; a hard reboot makes it again from what is left of it."
    return ended(instance, evidence, "unknown", kind=LifecycleKind.FAULT, vm_state="error", fault=fault)


def ended(
    instance: Instance,
    evidence: Evidence,
    power_state: Power,
    *,
    kind: LifecycleKind,
    vm_state: VmState,
    is_ours: bool = False,
    fault: str | None = None,
) -> Transition:
    """A guest stopped: where we did it, when it was seen; else when it was heard, or at the last proof of its life."""
    seen = evidence.observed_at if is_ours else evidence.proof_of_life_at or evidence.observed_at
    at = evidence.stopped_at or seen
    return Transition(
        desired=instance.desired if instance.desired == "deleted" else "stopped",
        vm_state=vm_state,
        power_state=power_state,
        boot_epoch=0,
        is_interrupted=False,
        reboot_from_epoch=None,
        kind=kind,
        at=max(instance.state_at, min(at, evidence.observed_at)),
        fault=fault,
    )


def deleted(instance: Instance, evidence: Evidence) -> Transition:
    """The instance was off already; it ends now."""
    at = max(instance.state_at, evidence.observed_at)
    return Transition("deleted", "deleted", "shutoff", 0, False, None, LifecycleKind.DELETE, at, None)


def interrupted(instance: Instance, evidence: Evidence, power_state: Power) -> Transition:
    """Its host went down, or was stopped in order: it stays wanted, and goes on when the host does."""
    at = evidence.stopped_at or (evidence.observed_at if evidence.is_host_stopping else evidence.proof_of_life_at)
    return Transition(
        desired=instance.desired,
        vm_state="active",
        power_state=power_state,
        boot_epoch=0,
        is_interrupted=True,
        reboot_from_epoch=None,
        kind=LifecycleKind.HOST_DOWN,
        at=max(instance.state_at, min(at or evidence.observed_at, evidence.observed_at)),
        fault=None,
    )


def lifecycle_payload(instance: Instance, kind: LifecycleKind, *, at: datetime, event_id: UUID) -> dict[str, Any]:
    """Return the payload of the `instance.lifecycle` topic: all that metering and scaling need, so that they ask nothing back."""
    return {
        "event_id": str(event_id),
        "instance_id": str(instance.id),
        "project_id": instance.project_id,
        "user_id": instance.user_id,
        "kind": kind.value,
        "state": LIFECYCLE_STATES[kind],
        "observed_at": at.isoformat(),
        "name": instance.name,
        "flavor_id": instance.flavor_id,
        "flavor_name": instance.flavor_name,
        "vcpus": instance.vcpus,
        "ram_mib": instance.ram_mib,
        "disk_gib": instance.disk_gib,
        "image_id": str(instance.image_id),
        "host": instance.host_name,
        "metadata": dict(instance.metadata),
        "attributes": {name: moment.isoformat() for name, moment in moments_of(instance, kind, at=at).items()},
    }


def moments_of(instance: Instance, kind: LifecycleKind, *, at: datetime) -> dict[str, datetime]:
    """Return when an instance was ordered, first ran and ended, under the names that Ceilometer's users look for; what is not yet is left out."""
    launched_at = at if kind is LifecycleKind.CREATE else instance.launched_at
    moments = {
        "created_at": instance.created_at,
        "launched_at": launched_at,
        "deleted_at": at if kind is LifecycleKind.DELETE else None,
    }
    return {name: moment for name, moment in moments.items() if moment is not None}
