"""Networks, addresses and security groups: each project has its own network, and all share one."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network
from uuid import UUID

from compute.errors import LaunchInvalid, NetworkExhausted, NetworkNotFound, SecurityGroupNotFound
from compute.model import Network, Port, SecurityGroup, SecurityGroupRule, Subnet
from compute.store import networks, ports, security_groups
from compute.store.ports import NewPort
from foundation.database import Transaction
from foundation.ids import new_id
from identity import policy
from identity.model import Caller

OWN_NETWORK_NAME = "private"
SHARED_NETWORK_NAME = "shared"
DEFAULT_GROUP_NAME = "default"
MTU = 1500
NETWORKS_MAX = 8
"""How many ports an instance may have at launch."""


def bootstrap_networks(
    tx: Transaction,
    *,
    project_ids: Sequence[str],
    free_cidrs: Sequence[IPv4Network],
    shared_owner_id: str,
    now: datetime,
) -> None:
    """Make the shared network and each project's own, out of subnets that the host has free; the rest is kept for later projects."""
    networks.replace_free_subnets(tx, free_cidrs)
    if not any(network.is_shared for network in networks.list_networks(tx, project_id=None)):
        make_network(tx, project_id=shared_owner_id, name=SHARED_NETWORK_NAME, is_shared=True, now=now)
    for project_id in project_ids:
        ensure_project_network(tx, project_id, now=now)
        ensure_default_group(tx, project_id, now=now)


def ensure_project_network(tx: Transaction, project_id: str, *, now: datetime) -> Network:
    """Return the project's own network, made now if it has none. Raises NetworkExhausted when no subnet is free."""
    own = find_own(tx, project_id)
    return own or make_network(tx, project_id=project_id, name=OWN_NETWORK_NAME, is_shared=False, now=now)


def find_own(tx: Transaction, project_id: str) -> Network | None:
    """Return the project's own network, or None."""
    for network in networks.list_networks(tx, project_id=project_id):
        if not network.is_shared:
            return network
    return None


def make_network(tx: Transaction, *, project_id: str, name: str, is_shared: bool, now: datetime) -> Network:
    """Make a network with a subnet out of the pool; where another request made it meanwhile, return that one."""
    network = Network(new_id(), project_id, name, is_shared, MTU, now)
    if not networks.insert_network(tx, network):
        found = [other for other in networks.list_networks(tx, project_id=project_id) if other.is_shared == is_shared]
        return found[0]
    cidr = networks.take_free_subnet(tx)
    if cidr is None:
        raise NetworkExhausted("there is no free subnet for another network; the operator must give the pool more")
    networks.insert_subnet(tx, subnet_of_network(network, cidr))
    return network


def subnet_of_network(network: Network, cidr: IPv4Network) -> Subnet:
    """Lay a subnet out: the first address is the gateway, all others but the broadcast address are for instances."""
    return Subnet(
        id=new_id(),
        network_id=network.id,
        project_id=network.project_id,
        is_shared=network.is_shared,
        name=f"{network.name}-subnet",
        cidr=cidr,
        gateway_ip=cidr.network_address + 1,
        pool_start=cidr.network_address + 2,
        pool_end=cidr.broadcast_address - 1,
        created_at=network.created_at,
    )


def list_networks(tx: Transaction, *, caller: Caller, now: datetime) -> Sequence[Network]:
    """List the networks that the caller may see: its own, the shared ones, and for an admin the other projects' after them."""
    seen = networks.list_networks(tx, project_id=scope_of(caller))
    if not has_own(seen, caller) and make_own_at_first_look(tx, caller, now=now):
        seen = networks.list_networks(tx, project_id=scope_of(caller))
    return sorted(seen, key=lambda network: distance_of(network, caller))


def has_own(seen: Sequence[Network] | Sequence[Subnet], caller: Caller) -> bool:
    """Tell whether the caller's own network, or its subnet, is among those seen."""
    return any(one.project_id == caller.project_id and not one.is_shared for one in seen)


def make_own_at_first_look(tx: Transaction, caller: Caller, *, now: datetime) -> bool:
    """Make the network of a project that has none yet; False where no subnet is free."""
    try:
        with tx.transaction():
            ensure_project_network(tx, caller.project_id, now=now)
    except NetworkExhausted:
        return False
    return True


def distance_of(network: Network, caller: Caller) -> int:
    """Return how near a network is to the caller: its own, a shared one, another project's."""
    if network.is_shared:
        return 1
    return 0 if network.project_id == caller.project_id else 2


def scope_of(caller: Caller) -> str | None:
    """Return the project to which the caller's sight is limited; None for an admin."""
    return None if policy.is_admin(caller) else caller.project_id


def list_subnets(tx: Transaction, *, caller: Caller, now: datetime) -> Sequence[Subnet]:
    """List the subnets that the caller may see, its own network's too if this is its first look."""
    seen = networks.list_subnets(tx, project_id=scope_of(caller))
    if not has_own(seen, caller) and make_own_at_first_look(tx, caller, now=now):
        seen = networks.list_subnets(tx, project_id=scope_of(caller))
    return seen


def list_ports(tx: Transaction, *, caller: Caller) -> Sequence[Port]:
    """List the ports of the caller's project; an admin's are all."""
    return ports.list_ports(tx, project_id=scope_of(caller))


def ensure_default_group(tx: Transaction, project_id: str, *, now: datetime) -> None:
    """Make the group that every project has."""
    group = SecurityGroup(new_id(), project_id, DEFAULT_GROUP_NAME, "Default security group", now)
    if security_groups.insert_group(tx, group):
        security_groups.insert_default_rules(tx, group.id, rule_ids=[new_id() for _ in range(4)], now=now)


def list_security_groups(tx: Transaction, *, caller: Caller, now: datetime) -> Sequence[SecurityGroup]:
    """List the caller's security groups; the default one is made at the first look."""
    ensure_default_group(tx, caller.project_id, now=now)
    return security_groups.list_groups(tx, project_id=scope_of(caller))


def list_security_group_rules(tx: Transaction, *, caller: Caller) -> Sequence[SecurityGroupRule]:
    """List the rules of the caller's security groups."""
    return security_groups.list_rules(tx, project_id=scope_of(caller))


def choose_networks(
    tx: Transaction, project_id: str, *, network_ids: Sequence[UUID], now: datetime
) -> Sequence[Network]:
    """Return the networks of a launch, the project's own where none is named. Raises NetworkNotFound."""
    if not network_ids:
        return [ensure_project_network(tx, project_id, now=now)]
    if len(network_ids) > NETWORKS_MAX:
        raise LaunchInvalid(f"an instance has at most {NETWORKS_MAX} networks", field="networks")
    usable = {network.id: network for network in networks.list_networks(tx, project_id=project_id)}
    for network_id in network_ids:
        if network_id not in usable:
            raise NetworkNotFound(f"Network {network_id} could not be found.")
    return [usable[network_id] for network_id in network_ids]


def choose_groups(tx: Transaction, project_id: str, *, names: Sequence[str], now: datetime) -> Sequence[UUID]:
    """Return the security groups of a launch by name or id, the default one where none is named. Raises SecurityGroupNotFound."""
    ensure_default_group(tx, project_id, now=now)
    groups = security_groups.list_groups(tx, project_id=project_id)
    by_reference = {str(group.id): group.id for group in groups} | {group.name: group.id for group in groups}
    for name in names:
        if name not in by_reference:
            raise SecurityGroupNotFound(f"Security group {name} not found.")
    return sorted({by_reference[name] for name in names or [DEFAULT_GROUP_NAME]})


def attach_ports(
    tx: Transaction,
    instance_ids: Sequence[UUID],
    *,
    project_id: str,
    chosen: Sequence[Network],
    fixed_addresses: Mapping[UUID, IPv4Address],
    security_group_ids: Sequence[UUID],
    now: datetime,
) -> None:
    """Give every instance a port on every network, with an address of its own. Raises NetworkExhausted."""
    count = len(instance_ids)
    macs = iter(ports.take_mac_addresses(tx, count * len(chosen)))
    subnets = {subnet.network_id: subnet for subnet in networks.list_subnets(tx, project_id=None)}
    new: list[NewPort] = []
    # Two orders that name the same networks must lock their subnets in one order, or each could wait for the other.
    locked: dict[UUID, list[IPv4Address]] = {}
    for network in sorted({network.id: network for network in chosen}.values(), key=lambda network: network.id):
        wanted = count * sum(1 for other in chosen if other.id == network.id)
        addresses = networks.claim_free_addresses(tx, subnets[network.id].id, count=wanted + len(fixed_addresses))
        fixed = fixed_addresses.get(network.id)
        locked[network.id] = choose_addresses(addresses, fixed, subnet=subnets[network.id], count=wanted)
        if len(locked[network.id]) < wanted:
            raise NetworkExhausted(f"No more IP addresses available on network {network.id}.")
    for instance_id in instance_ids:
        for position, network in enumerate(chosen):
            new.append(
                NewPort(
                    id=new_id(),
                    project_id=project_id,
                    network_id=network.id,
                    subnet_id=subnets[network.id].id,
                    instance_id=instance_id,
                    position=position,
                    mac_address=next(macs),
                    ip_address=locked[network.id].pop(0),
                    security_group_ids=security_group_ids,
                )
            )
    ports.insert_ports(tx, new, now=now)


def choose_addresses(
    free: Sequence[IPv4Address], fixed: IPv4Address | None, *, subnet: Subnet, count: int
) -> list[IPv4Address]:
    """Return the fixed address where one is asked for (the database refuses one that is taken), else the lowest free ones."""
    if fixed is None:
        return list(free[:count])
    if count != 1:
        raise LaunchInvalid("a fixed address can be given to one instance only", field="fixed_ip")
    if not subnet.pool_start <= fixed <= subnet.pool_end:
        raise LaunchInvalid(f"Fixed IP address {fixed} is not an address of the subnet {subnet.cidr}", field="fixed_ip")
    return [fixed]
