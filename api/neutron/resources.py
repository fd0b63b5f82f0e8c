"""Networks, subnets, ports, security groups and their rules, read only for now."""

from collections.abc import Sequence
from typing import Any

from fastapi import HTTPException, Request

from api.authentication import RequestCaller
from api.body import new_router
from api.context import context_of
from api.neutron.lists import answer_list, chosen
from api.neutron.wire import to_wire_group, to_wire_network, to_wire_port, to_wire_rule, to_wire_subnet
from api.pagination import RequestPage
from api.transaction import RequestTransaction
from compute import service
from compute.errors import NetworkNotFound, PortNotFound, SecurityGroupNotFound, SubnetNotFound
from foundation.database import Transaction
from foundation.errors import NotFound
from identity import policy
from identity.model import Caller

router = new_router("/v2.0")

QUOTAS = ("network", "subnet", "port", "security_group", "security_group_rule", "router", "floatingip")
OFFERED = frozenset({"port", "security_group", "security_group_rule"})


class RuleNotFound(NotFound):
    """No such rule in the caller's groups."""


def read_networks(request: Request, tx: Transaction, caller: Caller) -> Sequence[dict[str, Any]]:
    """Return the networks that the caller may use, its own first."""
    now = context_of(request).clock()
    networks = service.list_networks(tx, caller=caller, now=now)
    subnets = service.list_subnets(tx, caller=caller, now=now)
    return [to_wire_network(network, subnets) for network in networks]


def read_subnets(request: Request, tx: Transaction, caller: Caller) -> Sequence[dict[str, Any]]:
    """Return the subnets that the caller may use."""
    subnets = service.list_subnets(tx, caller=caller, now=context_of(request).clock())
    return [to_wire_subnet(subnet) for subnet in subnets]


def read_groups(request: Request, tx: Transaction, caller: Caller) -> Sequence[dict[str, Any]]:
    """Return the caller's security groups."""
    groups = service.list_security_groups(tx, caller=caller, now=context_of(request).clock())
    rules = service.list_security_group_rules(tx, caller=caller)
    return [to_wire_group(group, rules) for group in groups]


def read_rules(request: Request, tx: Transaction, caller: Caller) -> Sequence[dict[str, Any]]:
    """Return the rules of the caller's security groups."""
    service.list_security_groups(tx, caller=caller, now=context_of(request).clock())
    return [to_wire_rule(rule) for rule in service.list_security_group_rules(tx, caller=caller)]


def one(resources: Sequence[dict[str, Any]], id_: str, *, missing: NotFound, request: Request) -> dict[str, Any]:
    """Return the resource of an id with the fields asked for, or raise."""
    for resource in resources:
        if resource["id"] == id_.lower():
            return chosen(resource, request.query_params)
    raise missing


@router.get("/networks")
def list_networks(request: Request, tx: RequestTransaction, caller: RequestCaller, page: RequestPage) -> dict[str, Any]:
    """List networks."""
    return answer_list(
        request, "networks", resources=read_networks(request, tx, caller), page=page, own_project_id=caller.project_id
    )


@router.get("/networks/{network}")
def show_network(network: str, request: Request, tx: RequestTransaction, caller: RequestCaller) -> dict[str, Any]:
    """Show one network."""
    missing = NetworkNotFound(f"Network {network[:64]} could not be found.")
    return {"network": one(read_networks(request, tx, caller), network, missing=missing, request=request)}


@router.get("/subnets")
def list_subnets(request: Request, tx: RequestTransaction, caller: RequestCaller, page: RequestPage) -> dict[str, Any]:
    """List subnets."""
    return answer_list(
        request, "subnets", resources=read_subnets(request, tx, caller), page=page, own_project_id=caller.project_id
    )


@router.get("/subnets/{subnet}")
def show_subnet(subnet: str, request: Request, tx: RequestTransaction, caller: RequestCaller) -> dict[str, Any]:
    """Show one subnet."""
    missing = SubnetNotFound(f"Subnet {subnet[:64]} could not be found.")
    return {"subnet": one(read_subnets(request, tx, caller), subnet, missing=missing, request=request)}


@router.get("/ports")
def list_ports(request: Request, tx: RequestTransaction, caller: RequestCaller, page: RequestPage) -> dict[str, Any]:
    """List ports."""
    ports = [to_wire_port(port, is_admin=policy.is_admin(caller)) for port in service.list_ports(tx, caller=caller)]
    return answer_list(request, "ports", resources=ports, page=page, own_project_id=caller.project_id)


@router.get("/ports/{port}")
def show_port(port: str, request: Request, tx: RequestTransaction, caller: RequestCaller) -> dict[str, Any]:
    """Show one port."""
    ports = [to_wire_port(found, is_admin=policy.is_admin(caller)) for found in service.list_ports(tx, caller=caller)]
    missing = PortNotFound(f"Port {port[:64]} could not be found.")
    return {"port": one(ports, port, missing=missing, request=request)}


@router.get("/security-groups")
def list_groups(request: Request, tx: RequestTransaction, caller: RequestCaller, page: RequestPage) -> dict[str, Any]:
    """List security groups."""
    return answer_list(
        request,
        "security_groups",
        resources=read_groups(request, tx, caller),
        page=page,
        own_project_id=caller.project_id,
    )


@router.get("/security-groups/{group}")
def show_group(group: str, request: Request, tx: RequestTransaction, caller: RequestCaller) -> dict[str, Any]:
    """Show one security group."""
    missing = SecurityGroupNotFound(f"Security group {group[:64]} does not exist")
    return {"security_group": one(read_groups(request, tx, caller), group, missing=missing, request=request)}


@router.get("/security-group-rules")
def list_rules(request: Request, tx: RequestTransaction, caller: RequestCaller, page: RequestPage) -> dict[str, Any]:
    """List the rules of security groups."""
    return answer_list(
        request,
        "security_group_rules",
        resources=read_rules(request, tx, caller),
        page=page,
        own_project_id=caller.project_id,
    )


@router.get("/security-group-rules/{rule}")
def show_rule(rule: str, request: Request, tx: RequestTransaction, caller: RequestCaller) -> dict[str, Any]:
    """Show one rule of a security group."""
    missing = RuleNotFound(f"Security group rule {rule[:64]} does not exist")
    return {"security_group_rule": one(read_rules(request, tx, caller), rule, missing=missing, request=request)}


@router.get("/routers")
def list_routers(_: RequestCaller) -> dict[str, Any]:
    """List routers: none, since every network is routed by its host."""
    return {"routers": []}


@router.get("/floatingips")
def list_floating_ips(_: RequestCaller) -> dict[str, Any]:
    """List floating addresses: none for now."""
    return {"floatingips": []}


@router.get("/agents")
def list_agents(_: RequestCaller) -> dict[str, Any]:
    """List network agents: none, the host's agent is Nova's service."""
    return {"agents": []}


@router.get("/availability_zones")
def list_zones(_: RequestCaller) -> dict[str, Any]:
    """List the zones of networks and routers."""
    zones = [{"name": "nova", "resource": resource, "state": "available"} for resource in ("network", "router")]
    return {"availability_zones": zones}


def limits() -> dict[str, int]:
    """Return the limits: none for what comes with instances, which have their own, and zero for what is not offered."""
    return {name: -1 if name in OFFERED else 1 if name in ("network", "subnet") else 0 for name in QUOTAS}


@router.get("/quotas")
def list_quotas(_: RequestCaller) -> dict[str, Any]:
    """List the quotas that differ from the default: none."""
    return {"quotas": []}


@router.get("/quotas/{project}")
def show_quota(project: str, caller: RequestCaller) -> dict[str, Any]:
    """Show a project's limits."""
    service.require_sight(caller, project)
    return {"quota": limits() | {"project_id": project}}


@router.get("/quotas/{project}/default")
def show_default_quota(project: str, caller: RequestCaller) -> dict[str, Any]:
    """Show the limits of a project that has none of its own."""
    service.require_sight(caller, project)
    return {"quota": limits() | {"project_id": project}}


@router.get("/quotas/{project}/details")
@router.get("/quotas/{project}/details.json")
def show_quota_details(project: str, tx: RequestTransaction, caller: RequestCaller) -> dict[str, Any]:
    """Show a project's limits and what it uses of them."""
    service.require_sight(caller, project)
    ports = [port for port in service.list_ports(tx, caller=caller) if port.project_id == project]
    used = {"port": len(ports), "network": 1, "subnet": 1}
    quota = {name: {"limit": limit, "used": used.get(name, 0), "reserved": 0} for name, limit in limits().items()}
    return {"quota": quota}


@router.api_route("/{rest:path}", methods=["POST", "PUT", "DELETE"])
def refuse_change(rest: str, caller: RequestCaller) -> None:
    """Refuse what would change a network: they are read only for now."""
    del caller
    raise HTTPException(403, f"{rest.split('/')[0][:64]} are read only here: networks come with the project.")
