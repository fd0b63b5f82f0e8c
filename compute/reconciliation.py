"""What a host must do next so that it becomes what is desired of it. Pure, and safe to repeat from any point.

A decision rests on what the host has now, never on what was decided before: after a crash the agent looks and decides again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from compute.hypervisor.contract import InstanceSpec, NetworkSpec, ObservedInstance, PowerState
from compute.model import DesiredInstance, HostObservation


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
class StopInstance:
    """Read the guest a last time and power it off."""

    instance_id: UUID
    generation: int


@dataclass(frozen=True, slots=True)
class RebootInstance:
    """Read the guest a last time and give it a new boot."""

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
) -> tuple[Step, ...]:
    """Return the steps in the order in which to take them: what frees room comes first, networks before their guests."""
    guests = {guest.instance_id: guest for guest in observation.instances}
    present = frozenset(guests) | observation.leftovers.instance_ids
    wanted = {instance.instance_id for instance in desired}
    wanted_networks = {network.network_id for network in networks}
    frees: list[Step] = [RemoveOrphan(instance_id) for instance_id in sorted(present - wanted)]
    makes: list[Step] = []
    for instance in desired:
        if instance.retry_at is not None and now < instance.retry_at:
            continue
        steps = steps_of_instance(
            instance, guests.get(instance.instance_id), is_present=instance.instance_id in present
        )
        for step in steps:
            (frees if isinstance(step, StopInstance | DeleteInstance) else makes).append(step)
    ensures = [EnsureNetwork(network) for network in networks if network.network_id not in observation.network_ids]
    found_networks = observation.network_ids | observation.leftovers.network_ids
    removals = [RemoveNetwork(network_id) for network_id in sorted(found_networks - wanted_networks)]
    return (*frees, *ensures, *makes, *removals)


def steps_of_instance(instance: DesiredInstance, guest: ObservedInstance | None, *, is_present: bool) -> list[Step]:
    """Return what brings one guest to its desired state; nothing where the record must first say what happened."""
    if instance.desired == "deleted":
        return [DeleteInstance(instance.instance_id, instance.generation)] if is_present else []
    is_on = guest is not None and guest.power_state in (PowerState.RUNNING, PowerState.PAUSED)
    if instance.desired == "stopped":
        return [StopInstance(instance.instance_id, instance.generation)] if is_on else []
    return steps_to_active(instance, guest)


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
        is_same_boot = is_rebooting and guest.boot_epoch == instance.reboot_from_epoch
        return [RebootInstance(instance.spec, instance.generation)] if is_same_boot else []
    may_start = instance.vm_state in ("building", "stopped") or instance.is_interrupted or is_rebooting
    return [start] if may_start else []
