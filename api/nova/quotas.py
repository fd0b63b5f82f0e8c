"""Limits and quotas."""

from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import Response

from api.authentication import RequestCaller
from api.body import body_of, new_router
from api.nova.requests import QuotaSetBody
from api.nova.servers import RequestView
from api.nova.versions import Microversion
from api.transaction import RequestTransaction
from compute import service
from compute.quota import QUOTA_DEFAULT, Quota, QuotaUsage

router = new_router("/v2.1")

SERVER_GROUPS = 0
"""Server groups are not offered, so none may be made."""
NETWORK_NAMES_UNTIL = (2, 35)
INJECTION_NAMES_UNTIL = (2, 56)


@router.get("/limits")
def show_limits(request: Request, tx: RequestTransaction, caller: RequestCaller, view: RequestView) -> dict[str, Any]:
    """Show a project's limits and what it uses of them."""
    project_id = request.query_params.get("tenant_id") or caller.project_id
    service.require_sight(caller, project_id)
    quota, usage = service.get_quota(tx, project_id), service.get_usage(tx, project_id)
    absolute: dict[str, int] = {
        "maxTotalInstances": quota.instances,
        "maxTotalCores": quota.cores,
        "maxTotalRAMSize": quota.ram_mib,
        "maxTotalKeypairs": quota.key_pairs,
        "maxServerMeta": quota.metadata_items,
        "maxServerGroups": SERVER_GROUPS,
        "maxServerGroupMembers": SERVER_GROUPS,
        "totalInstancesUsed": usage.instances,
        "totalCoresUsed": usage.cores,
        "totalRAMUsed": usage.ram_mib,
        "totalServerGroupsUsed": 0,
    }
    if view.microversion <= INJECTION_NAMES_UNTIL:
        absolute |= {"maxImageMeta": quota.metadata_items, "maxPersonality": 0, "maxPersonalitySize": 0}
    if view.microversion <= NETWORK_NAMES_UNTIL:
        absolute |= {"maxSecurityGroups": -1, "maxSecurityGroupRules": -1, "maxTotalFloatingIps": 0}
        absolute |= {"totalSecurityGroupsUsed": 0, "totalFloatingIpsUsed": 0}
    return {"limits": {"rate": [], "absolute": absolute}}


def to_wire_quota(quota: Quota, microversion: Microversion) -> dict[str, int]:
    """Write the limits under Nova's names, with those of what is not offered where the microversion still has them."""
    wire = {
        "instances": quota.instances,
        "cores": quota.cores,
        "ram": quota.ram_mib,
        "key_pairs": quota.key_pairs,
        "metadata_items": quota.metadata_items,
        "server_groups": SERVER_GROUPS,
        "server_group_members": SERVER_GROUPS,
    }
    if microversion <= NETWORK_NAMES_UNTIL:
        wire |= {"fixed_ips": -1, "floating_ips": 0, "security_groups": -1, "security_group_rules": -1}
    if microversion <= INJECTION_NAMES_UNTIL:
        wire |= {"injected_files": 0, "injected_file_content_bytes": 0, "injected_file_path_bytes": 0}
    return wire


def to_wire_quota_detail(quota: Quota, usage: QuotaUsage, microversion: Microversion) -> dict[str, dict[str, int]]:
    """Write each limit with what is used of it."""
    used = {"instances": usage.instances, "cores": usage.cores, "ram": usage.ram_mib}
    limits = to_wire_quota(quota, microversion)
    return {name: {"limit": limit, "in_use": used.get(name, 0), "reserved": 0} for name, limit in limits.items()}


@router.get("/os-quota-sets/{project}")
def show_quota(project: str, tx: RequestTransaction, caller: RequestCaller, view: RequestView) -> dict[str, Any]:
    """Show a project's limits."""
    service.require_sight(caller, project)
    return {"quota_set": {"id": project} | to_wire_quota(service.get_quota(tx, project), view.microversion)}


@router.get("/os-quota-sets/{project}/defaults")
def show_default_quota(project: str, caller: RequestCaller, view: RequestView) -> dict[str, Any]:
    """Show the limits of a project that has none of its own."""
    service.require_sight(caller, project)
    return {"quota_set": {"id": project} | to_wire_quota(QUOTA_DEFAULT, view.microversion)}


@router.get("/os-quota-sets/{project}/detail")
def show_quota_in_detail(
    project: str, tx: RequestTransaction, caller: RequestCaller, view: RequestView
) -> dict[str, Any]:
    """Show a project's limits and what it uses of them."""
    service.require_sight(caller, project)
    quota, usage = service.get_quota(tx, project), service.get_usage(tx, project)
    return {"quota_set": {"id": project} | to_wire_quota_detail(quota, usage, view.microversion)}


@router.put("/os-quota-sets/{project}")
def change_quota(
    project: str,
    tx: RequestTransaction,
    caller: RequestCaller,
    view: RequestView,
    body: Annotated[QuotaSetBody, Depends(body_of(QuotaSetBody))],
) -> dict[str, Any]:
    """Change a project's limits; for an admin."""
    asked = body.quota_set
    change = service.QuotaChange(
        instances=asked.instances,
        cores=asked.cores,
        ram_mib=asked.ram,
        key_pairs=asked.key_pairs,
        metadata_items=asked.metadata_items,
        is_forced=asked.force,
    )
    quota = service.change_quota(tx, project, caller=caller, change=change)
    return {"quota_set": to_wire_quota(quota, view.microversion)}


@router.delete("/os-quota-sets/{project}", status_code=202)
def reset_quota(project: str, tx: RequestTransaction, caller: RequestCaller) -> Response:
    """Give a project the default limits again; for an admin."""
    service.reset_quota(tx, project, caller=caller)
    return Response(status_code=202)
