"""Rows of ports: an instance's MAC and address on a network; they end with the instance."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row

from compute.model import Port
from foundation.database import Transaction

MAC_PREFIX = "fa:16:3e"
"""OpenStack's own prefix of locally administered addresses."""


@dataclass(frozen=True, slots=True)
class NewPort:
    """A port to write."""

    id: UUID
    project_id: str
    network_id: UUID
    subnet_id: UUID
    instance_id: UUID
    position: int
    mac_address: str
    ip_address: IPv4Address
    security_group_ids: Sequence[UUID]


TAKE_MAC_NUMBERS: LiteralString = """
    SELECT number FROM (SELECT nextval('port_mac_number') AS number FROM generate_series(1, %(tries)s)) taken
    WHERE NOT EXISTS (
        SELECT 1 FROM port WHERE mac_address = %(prefix)s || ':' || lpad(to_hex(number >> 16), 2, '0') || ':'
            || lpad(to_hex((number >> 8) & 255), 2, '0') || ':' || lpad(to_hex(number & 255), 2, '0')
    )
    LIMIT %(count)s
"""

MAC_TRIES_SPARE = 64
"""How many numbers beyond those needed are looked at, once the sequence has gone round and some are still in use."""


def take_mac_addresses(tx: Transaction, count: int) -> Sequence[str]:
    """Return MAC addresses that no port has."""
    parameters = {"tries": count + MAC_TRIES_SPARE, "prefix": MAC_PREFIX, "count": count}
    numbers = [int(row[0]) for row in tx.execute(TAKE_MAC_NUMBERS, parameters).fetchall()]
    assert len(numbers) == count, "the MAC numbers are used up"
    return [f"{MAC_PREFIX}:{n >> 16:02x}:{(n >> 8) & 255:02x}:{n & 255:02x}" for n in numbers]


INSERT_PORT: LiteralString = """
    INSERT INTO port (id, project_id, network_id, subnet_id, instance_id, position, mac_address, ip_address, created_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""

INSERT_PORT_GROUP: LiteralString = "INSERT INTO port_security_group (port_id, security_group_id) VALUES (%s, %s)"


def insert_ports(tx: Transaction, ports: Sequence[NewPort], *, now: datetime) -> None:
    """Write ports with their security groups."""
    rows = [
        (p.id, p.project_id, p.network_id, p.subnet_id, p.instance_id, p.position, p.mac_address, p.ip_address, now)
        for p in ports
    ]
    groups = [(port.id, group_id) for port in ports for group_id in port.security_group_ids]
    with tx.cursor() as cursor:
        cursor.executemany(INSERT_PORT, rows)
        if groups:
            cursor.executemany(INSERT_PORT_GROUP, groups)


SELECT_PORTS: LiteralString = """
    SELECT p.id, p.project_id, p.network_id, n.name AS network_name, p.subnet_id, p.instance_id, p.position, p.mac_address,
        p.ip_address, i.vm_state, h.name AS host_name, p.created_at,
        ARRAY(SELECT g.security_group_id FROM port_security_group g WHERE g.port_id = p.id ORDER BY 1) AS security_group_ids
    FROM port p JOIN network n ON n.id = p.network_id JOIN instance i ON i.id = p.instance_id JOIN host h ON h.id = i.host_id
    WHERE (%(project_id)s::text IS NULL OR p.project_id = %(project_id)s)
        AND (%(instance_ids)s::uuid[] IS NULL OR p.instance_id = ANY(%(instance_ids)s))
    ORDER BY p.instance_id, p.position
    LIMIT 100000
"""


def list_ports(
    tx: Transaction, *, project_id: str | None, instance_ids: Sequence[UUID] | None = None
) -> Sequence[Port]:
    """List the ports of a project (None: all), of some instances or of all."""
    ids = None if instance_ids is None else list(instance_ids)
    with tx.cursor(row_factory=class_row(Port)) as cursor:
        return cursor.execute(SELECT_PORTS, {"project_id": project_id, "instance_ids": ids}).fetchall()


DELETE_PORTS: LiteralString = "DELETE FROM port WHERE instance_id = ANY(%s)"


def delete_ports(tx: Transaction, instance_ids: Sequence[UUID]) -> None:
    """Free the addresses of instances that are gone."""
    tx.execute(DELETE_PORTS, (list(instance_ids),))
