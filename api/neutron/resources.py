"""Networks, subnets, ports, security groups and their rules, read only for now."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import HTTPException, Request, Response

from api.authentication import AdminCaller, RequestCaller
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


class RouterNotFound(NotFound):
    """No such router: there are none."""


class FloatingIPNotFound(NotFound):
    """No such floating address: there are none."""


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


def read_ports(request: Request, tx: Transaction, caller: Caller) -> Sequence[dict[str, Any]]:
    """Return the caller's ports."""
    del request
    return [to_wire_port(port, is_admin=policy.is_admin(caller)) for port in service.list_ports(tx, caller=caller)]


@dataclass(frozen=True, slots=True)
class Collection:
    """One kind of resource: its place, its name in answers, how it is read, and what is said of one that is not there."""

    path: str
    name: str
    read: Callable[[Request, Transaction, Caller], Sequence[dict[str, Any]]]
    missing: Callable[[str], NotFound]

    @property
    def names(self) -> str:
        """The key of its lists."""
        return f"{self.name}s"


COLLECTIONS = (
    Collection("networks", "network", read_networks, lambda id_: NetworkNotFound(f"Network {id_} could not be found.")),
    Collection("subnets", "subnet", read_subnets, lambda id_: SubnetNotFound(f"Subnet {id_} could not be found.")),
    Collection("ports", "port", read_ports, lambda id_: PortNotFound(f"Port {id_} could not be found.")),
    Collection(
        "security-groups",
        "security_group",
        read_groups,
        lambda id_: SecurityGroupNotFound(f"Security group {id_} does not exist"),
    ),
    Collection(
        "security-group-rules",
        "security_group_rule",
        read_rules,
        lambda id_: RuleNotFound(f"Security group rule {id_} does not exist"),
    ),
)


def serve(collection: Collection) -> None:
    """List a kind of resource and show one of it."""

    @router.get(f"/{collection.path}")
    def list_resources(
        request: Request, tx: RequestTransaction, caller: RequestCaller, page: RequestPage
    ) -> dict[str, Any]:
        found = collection.read(request, tx, caller)
        return answer_list(request, collection.names, resources=found, page=page, own_project_id=caller.project_id)

    @router.get(f"/{collection.path}/{{id_}}")
    def show_resource(id_: str, request: Request, tx: RequestTransaction, caller: RequestCaller) -> dict[str, Any]:
        for resource in collection.read(request, tx, caller):
            if resource["id"] == id_.lower():
                return {collection.name: chosen(resource, request.query_params)}
        raise collection.missing(id_[:64])


for each in COLLECTIONS:
    serve(each)


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


@router.delete("/quotas/{project}", status_code=204)
def reset_quota(project: str, _: AdminCaller) -> Response:
    """Give a project the default limits again: it never had others."""
    del project
    return Response(status_code=204)


@router.get("/routers/{id_}")
def show_router(id_: str, _: RequestCaller) -> None:
    """Answer that there is no such router."""
    raise RouterNotFound(f"Router {id_[:64]} could not be found")


@router.get("/floatingips/{id_}")
def show_floating_ip(id_: str, _: RequestCaller) -> None:
    """Answer that there is no such floating address."""
    raise FloatingIPNotFound(f"Floating IP {id_[:64]} could not be found")


@router.get("/{rest:path}")
def answer_nothing(rest: str, _: RequestCaller) -> None:
    """Answer of a resource that is not offered that it is not there, as a Neutron without its extension does."""
    raise HTTPException(
        404, f"The resource could not be found: {rest.split('/')[0][:64]} are not offered by this cloud."
    )


@router.api_route("/{rest:path}", methods=["POST", "PUT", "DELETE"])
def refuse_change(rest: str, caller: RequestCaller) -> None:
    """Refuse what would change a network: they are read only for now."""
    del caller
    raise HTTPException(403, f"{rest.split('/')[0][:64]} are read only here: networks come with the project.")
