"""How an agent takes one step of reconciliation: which call of the driver it is, and that nothing ends unread."""

from collections.abc import Callable
from typing import assert_never
from uuid import UUID

from compute.hypervisor.contract import Hypervisor
from compute.reconciliation import (
    AskToShutDown,
    CreateInstance,
    DeleteInstance,
    EnsureNetwork,
    RebootInstance,
    RemoveNetwork,
    RemoveOrphan,
    StartInstance,
    Step,
    StopInstance,
)


def take_step(
    hypervisor: Hypervisor,
    step: Step,
    *,
    keep_reading: Callable[[UUID], None],
    keep_last_reading: Callable[[UUID], None],
) -> None:
    """Take a step; the readings of a guest that may or shall end are made durable, or raise and so keep it from ending."""
    match step:
        case EnsureNetwork(spec):
            hypervisor.ensure_network(spec)
        case CreateInstance(spec):
            hypervisor.create_instance(spec)
        case StartInstance(spec):
            hypervisor.start_instance(spec)
        case AskToShutDown(instance_id, _, request):
            keep_reading(instance_id)
            hypervisor.request_shutdown(instance_id, request)
        case StopInstance(instance_id):
            keep_last_reading(instance_id)
            hypervisor.stop_instance(instance_id)
        case RebootInstance(spec):
            keep_last_reading(spec.instance_id)
            hypervisor.reboot_instance(spec)
        case DeleteInstance(instance_id) | RemoveOrphan(instance_id):
            keep_last_reading(instance_id)
            hypervisor.delete_instance(instance_id)
        case RemoveNetwork(network_id):
            hypervisor.delete_network(network_id)
        case _:
            assert_never(step)


def subject_of(step: Step) -> UUID:
    """Return the id of what a step is about."""
    match step:
        case EnsureNetwork(spec):
            return spec.network_id
        case RemoveNetwork(network_id):
            return network_id
        case CreateInstance(spec) | StartInstance(spec) | RebootInstance(spec):
            return spec.instance_id
        case (
            AskToShutDown(instance_id)
            | StopInstance(instance_id)
            | DeleteInstance(instance_id)
            | RemoveOrphan(instance_id)
        ):
            return instance_id
        case _:
            assert_never(step)
