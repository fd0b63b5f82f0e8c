"""What a host's agent asks and reports: its desired state, what it saw, what failed. Each report is fenced by the agent's session."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, cast
from uuid import UUID

from compute import lifecycle, placement
from compute.errors import StaleAgent
from compute.hypervisor.contract import DiskSpec, HostCapacity, InstanceSpec, NetworkSpec, PortSpec
from compute.lifecycle import Evidence, LifecycleKind, Transition
from compute.model import DesiredInstance, HostObservation, HostSession, Instance, Port
from compute.store import consoles, hosts, instance_changes, instances, networks, ports
from compute.store.instances import DesiredRow
from foundation import outbox
from foundation.database import Transaction
from foundation.ids import new_id

FAULT_TEXT_MAX = 1_000
LATE_LOOK_S_MAX = 120
"""A look this much older than the last is one that was overtaken; one that is older still comes from a clock that was set back."""
CONSOLE_CHARACTERS_MAX = 256 * 1024


def register_host(
    tx: Transaction,
    *,
    capacity: HostCapacity,
    hypervisor_uri: str,
    now: datetime,
    cpu_allocation_ratio: float = placement.CPU_ALLOCATION_RATIO,
    ram_allocation_ratio: float = placement.RAM_ALLOCATION_RATIO,
) -> HostSession:
    """Take a host, which ends the session of any agent before: what that one still reports is refused."""
    return hosts.upsert_host(
        tx,
        host_id=new_id(),
        name=capacity.hostname,
        hypervisor_uri=hypervisor_uri,
        capacity=capacity,
        cpu_allocation_ratio=cpu_allocation_ratio,
        ram_allocation_ratio=ram_allocation_ratio,
        now=now,
    )


def record_host_seen(tx: Transaction, *, session: HostSession, now: datetime) -> None:
    """Record that the agent and its host are alive. Raises StaleAgent."""
    if not hosts.update_seen(tx, session, now=now):
        raise stale_session(session)


def stale_session(session: HostSession) -> StaleAgent:
    """Return the refusal of an agent whose host another has taken."""
    return StaleAgent(f"session {session.session} of host {session.host_id} is over: another agent has taken the host")


def desired_instances(tx: Transaction, host_id: UUID, *, image_root: Path) -> Sequence[DesiredInstance]:
    """Return all that the host shall run, hold or get rid of, each with all that its driver needs to make it."""
    rows = instances.list_desired(tx, host_id)
    ports_by_instance: dict[UUID, list[Port]] = {row.id: [] for row in rows}
    if rows:
        for port in ports.list_ports(tx, project_id=None, instance_ids=list(ports_by_instance)):
            ports_by_instance[port.instance_id].append(port)
    return [desired_of_row(row, ports_by_instance[row.id], image_root=image_root) for row in rows]


def desired_of_row(row: DesiredRow, row_ports: Sequence[Port], *, image_root: Path) -> DesiredInstance:
    """Join a row, its ports and the place of the host's image store to what the agent works with."""
    spec = InstanceSpec(
        instance_id=row.id,
        project_id=row.project_id,
        user_id=row.user_id,
        name=row.name,
        vcpus=row.vcpus,
        memory_mib=row.ram_mib,
        disk=disk_of_row(row, image_root),
        ports=tuple(PortSpec(port.id, port.network_id, port.mac_address, port.ip_address) for port in row_ports),
        flavor_name=row.flavor_name,
        hostname=row.hostname,
        user_data=row.user_data,
        metadata=tuple(sorted(row.metadata.items())),
        public_keys=((row.key_name or "", row.public_key),) if row.public_key is not None else (),
        availability_zone=row.availability_zone,
    )
    return DesiredInstance(
        spec=spec,
        desired=row.desired,
        generation=row.generation,
        vm_state=row.vm_state,
        boot_epoch=row.boot_epoch,
        reboot_from_epoch=row.reboot_from_epoch,
        is_reboot_hard=row.is_reboot_hard,
        is_interrupted=row.is_interrupted,
        failures=row.failures,
        retry_at=row.retry_at,
        state_at=row.state_at,
    )


def disk_of_row(row: DesiredRow, image_root: Path) -> DiskSpec:
    """Return the root disk; paths are relative in the database, because each host has its image store where it likes."""
    return DiskSpec(
        image_path=image_root / row.file_path,
        image_format=cast(Literal["qcow2", "raw"], row.file_format),
        size_gib=row.disk_gib,
        kernel_path=None if row.kernel_path is None else image_root / row.kernel_path,
        ramdisk_path=None if row.ramdisk_path is None else image_root / row.ramdisk_path,
        kernel_command_line=row.kernel_command_line,
    )


def networks_wanted(tx: Transaction, host_id: UUID) -> Sequence[NetworkSpec]:
    """Return the networks on which the host has instances."""
    return networks.list_networks_wanted(tx, host_id)


def record_observation(
    tx: Transaction, *, session: HostSession, observation: HostObservation, now: datetime
) -> Sequence[UUID]:
    """Write what a full look at a host means for each of its instances, with its lifecycle events; return who changed.

    Raises StaleAgent when another agent has taken the host, or has reported a later look. The first look of a new session after
    an orderly stop takes guests that are off as stopped by that.
    """
    locked = hosts.lock_session(tx, session)
    if locked is None:
        raise stale_session(session)
    observed_before_at, stopping_session, seen_at = locked
    if observed_before_at is not None and is_overtaken(observation, observed_before_at):
        raise StaleAgent(f"host {session.host_id} was already seen at {observed_before_at.isoformat()}, which is later")
    guests = {guest.instance_id: guest for guest in observation.instances}
    changed: list[UUID] = []
    for instance in instances.lock_instances_of_host(tx, session.host_id):
        evidence = Evidence(
            observed_at=observation.observed_at,
            guest=guests.get(instance.id),
            is_anything_left=instance.id in guests or instance.id in observation.leftovers.instance_ids,
            is_host_stopping=stopping_session is not None or instance.id in observation.parting,
            proof_of_life_at=observed_before_at or seen_at,
            stopped_at=observation.stopped_at.get(instance.id),
        )
        transition = lifecycle.decide_transition(instance, evidence)
        if transition is not None:
            apply_transition(tx, instance, transition=transition, now=now)
            changed.append(instance.id)
    still_stopping = stopping_session if stopping_session == session.session else None
    hosts.update_observed(tx, session.host_id, at=observation.observed_at, stopping_session=still_stopping)
    return changed


def is_overtaken(observation: HostObservation, observed_before_at: datetime) -> bool:
    """Tell whether a later look has been recorded; after a clock was set back the agent must not be refused until it has caught up."""
    lateness = observed_before_at - observation.observed_at
    return timedelta(0) < lateness <= timedelta(seconds=LATE_LOOK_S_MAX)


def apply_transition(tx: Transaction, instance: Instance, *, transition: Transition, now: datetime) -> None:
    """Write a transition and what is told of it; an instance that ended gives back its addresses."""
    instance_changes.apply_transition(tx, instance.id, transition=transition, now=now)
    if transition.vm_state == "deleted":
        ports.delete_ports(tx, [instance.id])
    if transition.kind is not None:
        announce(tx, instance, kind=transition.kind, at=transition.at)


def announce(tx: Transaction, instance: Instance, *, kind: LifecycleKind, at: datetime) -> None:
    """Write the lifecycle event in the transaction that makes it true."""
    payload = lifecycle.lifecycle_payload(instance, kind, at=at, event_id=new_id())
    outbox.append(tx, "instance.lifecycle", key=str(instance.id), payload=payload)


def record_failure(
    tx: Transaction,
    *,
    session: HostSession,
    instance_id: UUID,
    generation: int,
    message: str,
    now: datetime,
    details: str | None = None,
) -> bool:
    """Count a failed step and put off the next attempt; after FAILURES_MAX in a row the instance is in error.

    False when the wish has changed since (another generation): what failed is not wanted any more. A delete is tried for ever, since
    giving it up would leave an orphan. Raises StaleAgent.
    """
    if hosts.lock_session(tx, session) is None:
        raise stale_session(session)
    instance = instances.find_instance(tx, instance_id, project_id=None, is_locked=True)
    if instance is None or instance.generation != generation or instance.vm_state == "deleted":
        return False
    failures = instance.failures + 1
    retry_at = now + timedelta(seconds=lifecycle.retry_delay_s(failures))
    text = message[:FAULT_TEXT_MAX]
    instance_changes.record_failure(tx, instance_id, message=text, details=details, retry_at=retry_at, now=now)
    if failures >= lifecycle.FAILURES_MAX and instance.desired != "deleted" and instance.vm_state != "error":
        at = max(instance.state_at, now)
        instance_changes.give_up(tx, instance_id, at=at, now=now)
        announce(tx, replace(instance, ports=()), kind=LifecycleKind.FAULT, at=at)
    return True


def begin_host_stop(tx: Transaction, *, session: HostSession) -> None:
    """Say that this host is being stopped in order: from now on a guest that is off was interrupted, and goes on with the host.

    The agent says so, stops its guests with a last reading each, and then records what it sees. Raises StaleAgent.
    """
    if not hosts.mark_stopping(tx, session):
        raise stale_session(session)


def console_requests(tx: Transaction, host_id: UUID) -> Sequence[tuple[UUID, datetime]]:
    """Return the consoles that somebody waits for, each with the time of the request, to be given back with the answer."""
    return consoles.list_requests(tx, host_id)


def record_consoles(tx: Transaction, answers: Mapping[UUID, tuple[datetime, str]]) -> None:
    """Write the consoles' tails, each with the time of the request that it answers."""
    for instance_id, (requested_at, output) in sorted(answers.items()):
        text = output.replace("\0", "\ufffd")[-CONSOLE_CHARACTERS_MAX:]
        consoles.answer_request(tx, instance_id, output=text, answered_at=requested_at)


def drop_deleted_instances(tx: Transaction, *, before: datetime) -> int:
    """Forget instances that ended before an instant; return how many."""
    return instance_changes.drop_deleted(tx, before=before)
