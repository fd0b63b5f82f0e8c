"""Where an instance goes: the host with the most free memory that has room. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from compute.lifecycle import HOST_SILENCE_S_MAX
from compute.model import Host

CPU_ALLOCATION_RATIO = 16.0
"""Virtual processors a physical one, as Nova has it by default: guests are mostly idle."""
RAM_ALLOCATION_RATIO = 1.0
"""Guest memory a real MiB: memory that is promised is there."""


@dataclass(frozen=True, slots=True)
class Placed:
    """The hosts for as many instances as fit, in the order of the instances; never more than asked for."""

    host_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class NoRoom:
    """Not one fits; `reason` says for each host what it lacks."""

    reason: str


@dataclass(frozen=True, slots=True)
class Room:
    """What a host can still take."""

    host_id: UUID
    vcpus: float
    ram_mib: float


def place_instances(
    hosts: Sequence[Host], *, vcpus: int, ram_mib: int, count: int, availability_zone: str | None, now: datetime
) -> Placed | NoRoom:
    """Choose a host for each of up to `count` equal instances, spreading them by free memory."""
    refusals = {
        host.name: refusal_of_host(host, vcpus, ram_mib, availability_zone=availability_zone, now=now) for host in hosts
    }
    rooms = {host.id: free_room(host) for host in hosts if refusals[host.name] is None}
    chosen: list[UUID] = []
    for _ in range(count):
        fitting = [room for room in rooms.values() if room.vcpus >= vcpus and room.ram_mib >= ram_mib]
        if not fitting:
            break
        best = max(fitting, key=lambda room: (room.ram_mib, room.vcpus, room.host_id))
        rooms[best.host_id] = replace(best, vcpus=best.vcpus - vcpus, ram_mib=best.ram_mib - ram_mib)
        chosen.append(best.host_id)
    if chosen:
        return Placed(tuple(chosen))
    return NoRoom(
        "; ".join(f"{name}: {refusal}" for name, refusal in refusals.items() if refusal) or "no host has registered"
    )


def free_room(host: Host) -> Room:
    """Return what the host's allocation ratios leave."""
    return Room(
        host.id,
        host.vcpus * host.cpu_allocation_ratio - host.vcpus_used,
        host.ram_mib * host.ram_allocation_ratio - host.ram_mib_used,
    )


def refusal_of_host(
    host: Host, vcpus: int, ram_mib: int, *, availability_zone: str | None, now: datetime
) -> str | None:
    """Return why the host cannot take one such instance, or None."""
    room = free_room(host)
    if availability_zone is not None and host.availability_zone != availability_zone:
        return f"is in the availability zone {host.availability_zone}"
    if host.stopping_session is not None:
        return "is stopped"
    if now - host.seen_at > timedelta(seconds=HOST_SILENCE_S_MAX):
        return f"has not been heard of since {host.seen_at.isoformat(timespec='seconds')}"
    if room.vcpus < vcpus:
        return f"{vcpus} vCPU asked, {max(0, int(room.vcpus))} free"
    if room.ram_mib < ram_mib:
        return f"{ram_mib} MiB of memory asked, {max(0, int(room.ram_mib))} free"
    return None
