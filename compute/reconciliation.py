"""What a host must do next so that it becomes what is desired of it. Pure, and safe to repeat from any point.

A decision rests on what the host has now, never on what was decided before: after a crash the agent looks and decides again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias
from uuid import UUID

from compute.hypervisor.contract import InstanceSpec, NetworkSpec, ObservedInstance, PowerState, ShutdownRequest
from compute.model import DesiredInstance, HostObservation

ASK_AGAIN_S = 10
"""A guest that is asked while it boots hears nothing, so it is asked again as often as Nova does."""

ROOM_MIB_MIN = 64
"""A guest that its host's full disk stalled goes on when there is this much room again, so that it gets somewhere."""

STALL_S_MIN = 30
"""It goes on after this long at the earliest, so that one that stalls again and again does so this often at most."""


@dataclass(frozen=True, slots=True)
class EnsureNetwork:
    """Make a network that an instance of this host needs."""

    spec: NetworkSpec


@dataclass(frozen=True, slots=True)
class CreateInstance:
    """Make the guest, off."""

    spec: InstanceSpec
    generation: int


@dataclass(frozen=True, slots=True)
class StartInstance:
    """Power the guest on, or let a paused one go on."""

    spec: InstanceSpec
    generation: int


@dataclass(frozen=True, slots=True)
class AskToShutDown:
    """Press the guest's power button; one that is still on when its grace is over is cut off."""

    instance_id: UUID
    generation: int
    request: ShutdownRequest


@dataclass(frozen=True, slots=True)
class StopInstance:
    """Read the guest a last time and cut its power."""

    instance_id: UUID
    generation: int


@dataclass(frozen=True, slots=True)
class RebootInstance:
    """Read the guest a last time, cut its power and give it a new boot."""

    spec: InstanceSpec
    generation: int


@dataclass(frozen=True, slots=True)
class DeleteInstance:
    """Read the guest a last time and remove all of it."""

    instance_id: UUID
    generation: int


@dataclass(frozen=True, slots=True)
class RemoveOrphan:
    """Remove what carries our mark and belongs to no instance that is alive."""

    instance_id: UUID


@dataclass(frozen=True, slots=True)
class RemoveNetwork:
    """Remove a network that no instance of this host needs any more."""

    network_id: UUID


Step: TypeAlias = (
    EnsureNetwork
    | CreateInstance
    | StartInstance
    | AskToShutDown
    | StopInstance
    | RebootInstance
    | DeleteInstance
    | RemoveOrphan
    | RemoveNetwork
)


def decide_steps(
    desired: Sequence[DesiredInstance],
    networks: Sequence[NetworkSpec],
    observation: HostObservation,
    *,
    now: datetime,
    grace_s: float,
) -> tuple[Step, ...]:
    """Return the steps in the order in which to take them: what frees room comes first, networks before their guests.

    A guest has `grace_s` to shut itself down when it shall be off or reboot softly; 0 cuts its power at once.
    """
    guests = {guest.instance_id: guest for guest in observation.instances}
    present = frozenset(guests) | observation.leftovers.instance_ids
    wanted = {instance.instance_id for instance in desired}
    wanted_networks = {network.network_id for network in networks}
    frees: list[Step] = [RemoveOrphan(instance_id) for instance_id in sorted(present - wanted)]
    makes: list[Step] = []
    for instance in desired:
        if instance.retry_at is not None and now < instance.retry_at:
            continue
        guest, is_present = guests.get(instance.instance_id), instance.instance_id in present
        steps = (
            steps_to_go_on(instance, free_disk_mib=observation.free_disk_mib, now=now)
            if guest is not None and is_waiting_for_room(instance, guest)
            else steps_of_instance(instance, guest, is_present=is_present, now=now, grace_s=grace_s)
        )
        for step in steps:
            (frees if isinstance(step, AskToShutDown | StopInstance | DeleteInstance) else makes).append(step)
    ensures = [EnsureNetwork(network) for network in networks if network.network_id not in observation.network_ids]
    found_networks = observation.network_ids | observation.leftovers.network_ids
    removals = [RemoveNetwork(network_id) for network_id in sorted(found_networks - wanted_networks)]
    return (*frees, *ensures, *makes, *removals)


def steps_of_instance(
    instance: DesiredInstance, guest: ObservedInstance | None, *, is_present: bool, now: datetime, grace_s: float
) -> list[Step]:
    """Return what brings one guest to its desired state; nothing where the record must first say what happened.

    A delete asks no guest: nothing of what it could still write is kept.
    """
    if instance.desired == "deleted":
        return [DeleteInstance(instance.instance_id, instance.generation)] if is_present else []
    if guest is not None and is_to_end(instance, guest):
        return [step] if (step := step_to_off(instance, guest, now=now, grace_s=grace_s)) is not None else []
    return [] if instance.desired == "stopped" else steps_to_active(instance, guest)


def is_to_end(instance: DesiredInstance, guest: ObservedInstance) -> bool:
    """Tell whether this boot of the guest shall end: for a stop, or for a reboot that waits for another boot."""
    if instance.desired == "stopped":
        return guest.power_state in (PowerState.RUNNING, PowerState.PAUSED)
    is_rebooting = instance.reboot_from_epoch is not None and guest.boot_epoch == instance.reboot_from_epoch
    is_on = guest.power_state is PowerState.RUNNING or guest.is_stalled
    return instance.desired == "active" and is_on and is_rebooting


def step_to_off(
    instance: DesiredInstance, guest: ObservedInstance, *, now: datetime, grace_s: float
) -> AskToShutDown | StopInstance | RebootInstance | None:
    """Ask the guest, ask it again, and cut its power when its grace is over; None is to wait.

    One that is held still hears nothing, and a hard reboot asks nothing.
    """
    is_soft = instance.desired == "stopped" or not instance.is_reboot_hard
    asked = valid_request(instance, guest, now)
    if guest.power_state is PowerState.RUNNING and is_soft and grace_s > 0:
        if asked is None:
            return AskToShutDown(
                instance.instance_id, instance.generation, ShutdownRequest(instance.generation, now, now)
            )
        if now < asked.asked_at + timedelta(seconds=grace_s):
            if now < asked.repeated_at + timedelta(seconds=ASK_AGAIN_S):
                return None
            again = ShutdownRequest(instance.generation, asked.asked_at, now)
            return AskToShutDown(instance.instance_id, instance.generation, again)
    if instance.desired == "stopped":
        return StopInstance(instance.instance_id, instance.generation)
    return RebootInstance(instance.spec, instance.generation)


def valid_request(instance: DesiredInstance, guest: ObservedInstance, now: datetime) -> ShutdownRequest | None:
    """Return what the guest was asked for this wish; a request of a time to come is of a clock that was set back."""
    asked = guest.shutdown
    return asked if asked is not None and asked.generation == instance.generation and asked.repeated_at <= now else None


def shutdown_deadlines(
    desired: Sequence[DesiredInstance], observation: HostObservation, *, now: datetime, grace_s: float
) -> Mapping[UUID, datetime]:
    """Return the guests that are waited for, each with the time at which its power is cut."""
    guests = {guest.instance_id: guest for guest in observation.instances}
    deadlines: dict[UUID, datetime] = {}
    for instance in desired:
        guest = guests.get(instance.instance_id)
        if guest is None or not is_to_end(instance, guest):
            continue
        asked = valid_request(instance, guest, now)
        if asked is not None:
            deadlines[instance.instance_id] = asked.asked_at + timedelta(seconds=grace_s)
    return deadlines


def is_waiting_for_room(instance: DesiredInstance, guest: ObservedInstance) -> bool:
    """Tell whether a guest shall run, and is held still until its host can write its disk."""
    return guest.is_stalled and instance.desired == "active" and not is_to_end(instance, guest)


def steps_to_go_on(instance: DesiredInstance, *, free_disk_mib: int | None, now: datetime) -> list[Step]:
    """Let a stalled guest go on when its stall is on record, there is room, and it has not just stalled."""
    is_told = instance.vm_state == "error"
    has_room = free_disk_mib is not None and free_disk_mib >= ROOM_MIB_MIN
    is_rested = not timedelta(0) <= now - instance.state_at < timedelta(seconds=STALL_S_MIN)
    return [StartInstance(instance.spec, instance.generation)] if is_told and has_room and is_rested else []


def steps_to_active(instance: DesiredInstance, guest: ObservedInstance | None) -> list[Step]:
    """Return what makes the guest run; a guest that ended from outside is left alone, its record will say so."""
    is_rebooting = instance.reboot_from_epoch is not None
    if instance.vm_state == "error" and not is_rebooting:
        return []
    start = StartInstance(instance.spec, instance.generation)
    if guest is None:
        may_make = instance.vm_state == "building" or instance.is_interrupted or is_rebooting
        return [CreateInstance(instance.spec, instance.generation), start] if may_make else []
    if guest.power_state is PowerState.PAUSED:
        return [start]
    if guest.power_state is PowerState.RUNNING:
        return []
    may_start = instance.vm_state in ("building", "stopped") or instance.is_interrupted or is_rebooting
    return [start] if may_start else []
