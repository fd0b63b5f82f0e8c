"""What an operator looks at: hypervisors, services, zones; and lists that are empty because their things are not offered."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from fastapi import HTTPException, Request

from api.authentication import AdminCaller, RequestCaller
from api.body import new_router
from api.nova.servers import RequestView
from api.nova.servers_wire import to_wire_micros
from api.nova.versions import Microversion
from api.transaction import RequestTransaction
from compute import service
from compute.errors import HostNotFound
from compute.lifecycle import HOST_SILENCE_S_MAX
from compute.model import Host
from foundation.database import Transaction

router = new_router("/v2.1")

TRIMMED_SINCE = (2, 88)
UUID_IDS_SINCE = (2, 53)
SUMMED = (
    "vcpus", "vcpus_used", "memory_mb", "memory_mb_used", "free_ram_mb", "local_gb", "local_gb_used", "free_disk_gb",
    "current_workload", "running_vms",
)  # fmt: skip


def state_of(host: Host, now: datetime) -> str:
    """Return up, or down for a host that is stopped or has been silent."""
    is_silent = now - host.seen_at > timedelta(seconds=HOST_SILENCE_S_MAX)
    return "down" if is_silent or host.stopping_session is not None else "up"


def wire_id(host_id: UUID, microversion: Microversion) -> str | int:
    """Write a host's id: a UUID since 2.53, a number before, which we take from the UUID."""
    return str(host_id) if microversion >= UUID_IDS_SINCE else host_id.int % 2_147_483_647


def version_number(text: str) -> int:
    """Write 7.2.22 as 7002022, as libvirt does."""
    numbers = [int(part) for part in text.split(".")[:3] if part.isdigit()]
    major, minor, micro = [*numbers, 0, 0, 0][:3]
    return major * 1_000_000 + minor * 1_000 + micro


def to_wire_hypervisor(host: Host, view: RequestView, *, is_detailed: bool) -> dict[str, Any]:
    """Write a host as Nova's hypervisor."""
    host_id = wire_id(host.id, view.microversion)
    brief: dict[str, Any] = {
        "id": host_id,
        "hypervisor_hostname": host.name,
        "state": state_of(host, view.now),
        "status": "enabled",
    }
    if not is_detailed:
        return brief
    detail = brief | {
        "host_ip": "127.0.0.1",
        "hypervisor_type": "QEMU",
        "hypervisor_version": version_number(host.hypervisor_version),
        "service": {"id": host_id, "host": host.name, "disabled_reason": None},
    }
    if view.microversion >= TRIMMED_SINCE:
        return detail | {"uptime": None}
    return detail | {
        "vcpus": host.vcpus,
        "vcpus_used": host.vcpus_used,
        "memory_mb": host.ram_mib,
        "memory_mb_used": host.ram_mib_used,
        "free_ram_mb": host.ram_mib - host.ram_mib_used,
        "local_gb": host.disk_gib,
        "local_gb_used": host.disk_gib_used,
        "free_disk_gb": host.disk_gib - host.disk_gib_used,
        "disk_available_least": None,
        "current_workload": 0,
        "running_vms": host.instances,
        "cpu_info": {"arch": host.architecture, "model": host.cpu_model},
    }


@router.get("/os-hypervisors")
def list_hypervisors(request: Request, tx: RequestTransaction, _: AdminCaller, view: RequestView) -> dict[str, Any]:
    """List the hosts by name and state."""
    hosts = matching_hosts(request, tx)
    return {"hypervisors": [to_wire_hypervisor(host, view, is_detailed=False) for host in hosts]}


@router.get("/os-hypervisors/detail")
def list_hypervisors_in_detail(
    request: Request, tx: RequestTransaction, _: AdminCaller, view: RequestView
) -> dict[str, Any]:
    """List the hosts in full."""
    hosts = matching_hosts(request, tx)
    return {"hypervisors": [to_wire_hypervisor(host, view, is_detailed=True) for host in hosts]}


def matching_hosts(request: Request, tx: Transaction) -> list[Host]:
    """Return the hosts whose name holds the pattern; 404 where a pattern matches none, as Nova does."""
    pattern = request.query_params.get("hypervisor_hostname_pattern")
    hosts = [host for host in service.list_hosts(tx) if pattern is None or pattern in host.name]
    if pattern is not None and not hosts:
        raise HostNotFound(f"No hypervisor matching '{pattern[:64]}' could be found.")
    return hosts


@router.get("/os-hypervisors/statistics")
def show_hypervisor_statistics(tx: RequestTransaction, _: AdminCaller, view: RequestView) -> dict[str, Any]:
    """Sum all hosts up; later microversions have no such thing."""
    if view.microversion >= TRIMMED_SINCE:
        raise HTTPException(404, "The resource could not be found.")
    details = [to_wire_hypervisor(host, view, is_detailed=True) for host in service.list_hosts(tx)]
    sums = {name: sum(int(detail[name]) for detail in details) for name in SUMMED}
    return {"hypervisor_statistics": {"count": len(details), "disk_available_least": 0, **sums}}


@router.get("/os-hypervisors/{hypervisor}")
def show_hypervisor(hypervisor: str, tx: RequestTransaction, _: AdminCaller, view: RequestView) -> dict[str, Any]:
    """Show one host."""
    for host in service.list_hosts(tx):
        if str(wire_id(host.id, view.microversion)) == hypervisor:
            return {"hypervisor": to_wire_hypervisor(host, view, is_detailed=True)}
    raise HostNotFound(f"Compute host {hypervisor[:64]} could not be found.")


@router.get("/os-services")
def list_services(tx: RequestTransaction, _: AdminCaller, view: RequestView) -> dict[str, Any]:
    """List the agents as Nova's compute services."""
    services: list[dict[str, Any]] = []
    for host in service.list_hosts(tx):
        wire: dict[str, Any] = {
            "id": wire_id(host.id, view.microversion),
            "binary": "nova-compute",
            "host": host.name,
            "zone": host.availability_zone,
            "status": "enabled",
            "state": state_of(host, view.now),
            "updated_at": to_wire_micros(host.seen_at),
            "disabled_reason": None,
        }
        services.append(wire | ({"forced_down": False} if view.microversion >= (2, 11) else {}))
    return {"services": services}


@router.get("/os-availability-zone")
def list_zones(tx: RequestTransaction, caller: RequestCaller, view: RequestView) -> dict[str, Any]:
    """List the zones; one is available while any of its hosts is up."""
    del caller
    return {"availabilityZoneInfo": to_wire_zones(tx, view, is_detailed=False)}


@router.get("/os-availability-zone/detail")
def list_zones_in_detail(tx: RequestTransaction, _: AdminCaller, view: RequestView) -> dict[str, Any]:
    """List the zones with their hosts."""
    return {"availabilityZoneInfo": to_wire_zones(tx, view, is_detailed=True)}


def to_wire_zones(tx: Transaction, view: RequestView, *, is_detailed: bool) -> list[dict[str, Any]]:
    """Write the zones."""
    zones: dict[str, list[Host]] = {"nova": []}
    for host in service.list_hosts(tx):
        zones.setdefault(host.availability_zone, []).append(host)
    wire: list[dict[str, Any]] = []
    for name, hosts in sorted(zones.items()):
        is_up = any(state_of(host, view.now) == "up" for host in hosts)
        detail = {host.name: {"nova-compute": to_wire_zone_service(host, view)} for host in hosts}
        wire.append({"zoneName": name, "zoneState": {"available": is_up}, "hosts": detail if is_detailed else None})
    return wire


def to_wire_zone_service(host: Host, view: RequestView) -> dict[str, Any]:
    """Write a host's agent as a zone shows it."""
    is_up = state_of(host, view.now) == "up"
    return {"available": is_up, "active": True, "updated_at": to_wire_micros(host.seen_at)}


@router.get("/os-server-groups")
def list_server_groups(_: RequestCaller) -> dict[str, Any]:
    """List server groups: none, since they are not offered."""
    return {"server_groups": []}


@router.get("/os-aggregates")
def list_aggregates(_: AdminCaller) -> dict[str, Any]:
    """List host aggregates: none, since they are not offered."""
    return {"aggregates": []}


@router.get("/extensions")
def list_extensions(_: RequestCaller) -> dict[str, Any]:
    """List extensions: none beside the API itself."""
    return {"extensions": []}
