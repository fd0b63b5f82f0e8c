"""Networks, subnets, ports and security groups as Neutron shows them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from compute.model import Network, Port, SecurityGroup, SecurityGroupRule, Subnet


def to_wire_time(instant: datetime) -> str:
    """Write an instant as Neutron does."""
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def to_wire_stamp(project_id: str, created_at: datetime) -> dict[str, Any]:
    """Write what every Neutron resource carries."""
    return {
        "project_id": project_id,
        "tenant_id": project_id,
        "description": "",
        "tags": [],
        "revision_number": 1,
        "created_at": to_wire_time(created_at),
        "updated_at": to_wire_time(created_at),
    }


def to_wire_network(network: Network, subnets: Sequence[Subnet]) -> dict[str, Any]:
    """Write a network with the ids of its subnets."""
    return to_wire_stamp(network.project_id, network.created_at) | {
        "id": str(network.id),
        "name": network.name,
        "admin_state_up": True,
        "status": "ACTIVE",
        "shared": network.is_shared,
        "router:external": False,
        "mtu": network.mtu,
        "port_security_enabled": True,
        "subnets": [str(subnet.id) for subnet in subnets if subnet.network_id == network.id],
        "availability_zone_hints": [],
        "availability_zones": ["nova"],
        "ipv4_address_scope": None,
        "ipv6_address_scope": None,
        "is_default": False,
    }


def to_wire_subnet(subnet: Subnet) -> dict[str, Any]:
    """Write a subnet."""
    return to_wire_stamp(subnet.project_id, subnet.created_at) | {
        "id": str(subnet.id),
        "name": subnet.name,
        "network_id": str(subnet.network_id),
        "cidr": str(subnet.cidr),
        "ip_version": 4,
        "gateway_ip": str(subnet.gateway_ip),
        "enable_dhcp": True,
        "allocation_pools": [{"start": str(subnet.pool_start), "end": str(subnet.pool_end)}],
        "dns_nameservers": [],
        "host_routes": [],
        "service_types": [],
        "subnetpool_id": None,
        "ipv6_address_mode": None,
        "ipv6_ra_mode": None,
        "segment_id": None,
    }


def to_wire_port(port: Port, *, is_admin: bool) -> dict[str, Any]:
    """Write a port; which host it is on is for an operator."""
    wire = to_wire_stamp(port.project_id, port.created_at) | {
        "id": str(port.id),
        "name": "",
        "network_id": str(port.network_id),
        "mac_address": port.mac_address,
        "fixed_ips": [{"subnet_id": str(port.subnet_id), "ip_address": str(port.ip_address)}],
        "device_id": str(port.instance_id),
        "device_owner": "compute:nova",
        "status": "ACTIVE" if port.vm_state == "active" else "DOWN",
        "admin_state_up": True,
        "security_groups": [str(group_id) for group_id in port.security_group_ids],
        "port_security_enabled": True,
        "allowed_address_pairs": [],
        "extra_dhcp_opts": [],
        "binding:vnic_type": "normal",
        "qos_policy_id": None,
    }
    if is_admin:
        wire |= {
            "binding:host_id": port.host_name,
            "binding:vif_type": "bridge",
            "binding:vif_details": {},
            "binding:profile": {},
        }
    return wire


def to_wire_group(group: SecurityGroup, rules: Sequence[SecurityGroupRule]) -> dict[str, Any]:
    """Write a security group with its rules."""
    return to_wire_stamp(group.project_id, group.created_at) | {
        "id": str(group.id),
        "name": group.name,
        "description": group.description,
        "stateful": True,
        "shared": False,
        "security_group_rules": [to_wire_rule(rule) for rule in rules if rule.security_group_id == group.id],
    }


def to_wire_rule(rule: SecurityGroupRule) -> dict[str, Any]:
    """Write a rule of a security group."""
    return to_wire_stamp(rule.project_id, rule.created_at) | {
        "id": str(rule.id),
        "security_group_id": str(rule.security_group_id),
        "direction": rule.direction,
        "ethertype": rule.ethertype,
        "protocol": rule.protocol,
        "port_range_min": rule.port_range_min,
        "port_range_max": rule.port_range_max,
        "remote_ip_prefix": rule.remote_ip_prefix,
        "remote_group_id": None if rule.remote_group_id is None else str(rule.remote_group_id),
        "remote_address_group_id": None,
        "normalized_cidr": rule.remote_ip_prefix,
    }
