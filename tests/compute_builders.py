"""Builders of what compute's tests need: a host, an image, a project with a network, a launch."""

from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Network
from typing import Any, LiteralString
from uuid import UUID

from compute import service
from compute.hypervisor.contract import HostCapacity, Leftovers, ObservedInstance, PowerState, StopReason
from compute.model import HostObservation, HostSession, Image, Instance, LaunchRequest
from foundation.database import Transaction
from identity.model import Caller
from tests.identity_builders import a_caller

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FREE_CIDRS = tuple(IPv4Network(f"10.77.{number}.0/24") for number in range(128))
MANIFEST: dict[str, Any] = {
    "name": "test-guest",
    "recipe": "0123456789abcdef",
    "kernel_version": "6.1.0-1-cloud-amd64",
    "kernel_command_line": "console=ttyS0 quiet",
    "kernel": {"file": "kernel", "format": "raw", "size_bytes": 100, "sha256": "a" * 64},
    "initramfs": {"file": "initramfs", "format": "raw", "size_bytes": 200, "sha256": "b" * 64},
    "disk": {"file": "disk", "format": "qcow2", "size_bytes": 300, "sha256": "c" * 64},
}


INSERT_DOMAIN: LiteralString = (
    "INSERT INTO identity_domain (id, name) VALUES ('default', 'Default') ON CONFLICT DO NOTHING"
)
INSERT_PROJECT: LiteralString = """
    INSERT INTO project (id, name, domain_id, description, enabled, created_at)
    VALUES (%(id)s, %(id)s, 'default', '', true, %(now)s)
    ON CONFLICT DO NOTHING
"""


def a_project(tx: Transaction, project_id: str, *, now: datetime = NOW) -> None:
    """Let identity know of a project; only such a one can launch."""
    tx.execute(INSERT_DOMAIN)
    tx.execute(INSERT_PROJECT, {"id": project_id, "now": now})


def a_capacity(hostname: str = "host-1", *, vcpus: int = 64, memory_mib: int = 262_144) -> HostCapacity:
    """What a host has."""
    return HostCapacity(
        hostname=hostname,
        architecture="x86_64",
        virt_type="qemu",
        hypervisor_version="7.2.0",
        vcpus=vcpus,
        memory_mib=memory_mib,
        disk_gib=1000,
    )


@dataclass(frozen=True, slots=True)
class Cloud:
    """A cloud of one host, ready for a first launch."""

    caller: Caller
    session: HostSession
    image: Image


def a_cloud(tx: Transaction, *, now: datetime = NOW, hostname: str = "host-1") -> Cloud:
    """Make flavors, networks, an image, and a host with its agent's session; other tests' hosts take nothing meanwhile."""
    caller = a_caller()
    a_project(tx, caller.project_id, now=now)
    tx.execute("UPDATE host SET stopping_session = session")
    service.bootstrap_flavors(tx, now=now)
    service.bootstrap_networks(
        tx, project_ids=[caller.project_id], free_cidrs=FREE_CIDRS, shared_owner_id=caller.project_id, now=now
    )
    image = service.register_image(tx, MANIFEST, project_id=caller.project_id, now=now)
    session = service.register_host(tx, capacity=a_capacity(hostname), hypervisor_uri="simulated:1", now=now)
    return Cloud(caller, session, image)


def a_launch(cloud: Cloud, *, name: str = "web", count: int = 1, flavor_id: str = "0") -> LaunchRequest:
    """An order for instances of the smallest flavor."""
    return LaunchRequest(name=name, image_id=cloud.image.id, flavor_id=flavor_id, count_min=count, count_max=count)


def launched(tx: Transaction, cloud: Cloud, *, now: datetime = NOW) -> Instance:
    """One instance, ordered and not made yet."""
    return service.create_instances(tx, caller=cloud.caller, request=a_launch(cloud), now=now)[0]


def a_guest(
    instance_id: UUID,
    *,
    power: PowerState = PowerState.RUNNING,
    boot_epoch: int = 1,
    reason: StopReason = StopReason.NONE,
    started_at: datetime | None = None,
) -> ObservedInstance:
    """What a host says of a guest."""
    is_on = power in (PowerState.RUNNING, PowerState.PAUSED)
    return ObservedInstance(instance_id, power, boot_epoch if is_on else 0, started_at, reason)


def an_observation(*guests: ObservedInstance, at: datetime) -> HostObservation:
    """A full look at a host that has these guests."""
    ids = frozenset(guest.instance_id for guest in guests)
    return HostObservation(at, guests, Leftovers(ids))
