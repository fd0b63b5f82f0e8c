"""Rows of networks and subnets, and the pool of subnets that are free to give."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row

from compute.hypervisor.contract import NetworkSpec
from compute.model import Network, Subnet
from foundation.database import Transaction

SELECT_NETWORKS: LiteralString = """
    SELECT id, project_id, name, is_shared, mtu, created_at
    FROM network
    WHERE (%(project_id)s::text IS NULL OR is_shared OR project_id = %(project_id)s)
    ORDER BY is_shared, created_at, id
    LIMIT 10000
"""


def list_networks(tx: Transaction, *, project_id: str | None) -> Sequence[Network]:
    """List the networks that a project may use (None: all), its own before the shared ones."""
    with tx.cursor(row_factory=class_row(Network)) as cursor:
        return cursor.execute(SELECT_NETWORKS, {"project_id": project_id}).fetchall()


INSERT_NETWORK: LiteralString = """
    INSERT INTO network (id, project_id, name, is_shared, mtu, created_at)
    VALUES (%(id)s, %(project_id)s, %(name)s, %(is_shared)s, %(mtu)s, %(created_at)s)
    ON CONFLICT DO NOTHING
"""


def insert_network(tx: Transaction, network: Network) -> bool:
    """Write a network; False when the project has its own already, or a shared one has the name."""
    parameters = {
        "id": network.id,
        "project_id": network.project_id,
        "name": network.name,
        "is_shared": network.is_shared,
        "mtu": network.mtu,
        "created_at": network.created_at,
    }
    return tx.execute(INSERT_NETWORK, parameters).rowcount == 1


INSERT_SUBNET: LiteralString = """
    INSERT INTO subnet (id, network_id, name, cidr, gateway_ip, pool_start, pool_end, created_at)
    VALUES (%(id)s, %(network_id)s, %(name)s, %(cidr)s, %(gateway_ip)s, %(pool_start)s, %(pool_end)s, %(created_at)s)
"""


def insert_subnet(tx: Transaction, subnet: Subnet) -> None:
    """Write a network's subnet; the database refuses one that overlaps another."""
    parameters = {
        "id": subnet.id,
        "network_id": subnet.network_id,
        "name": subnet.name,
        "cidr": subnet.cidr,
        "gateway_ip": subnet.gateway_ip,
        "pool_start": subnet.pool_start,
        "pool_end": subnet.pool_end,
        "created_at": subnet.created_at,
    }
    tx.execute(INSERT_SUBNET, parameters)


SELECT_SUBNETS: LiteralString = """
    SELECT s.id, s.network_id, n.project_id, n.is_shared, s.name, s.cidr, s.gateway_ip, s.pool_start, s.pool_end,
        s.created_at
    FROM subnet s JOIN network n ON n.id = s.network_id
    WHERE (%(project_id)s::text IS NULL OR n.is_shared OR n.project_id = %(project_id)s)
        AND (%(network_ids)s::uuid[] IS NULL OR s.network_id = ANY(%(network_ids)s))
    ORDER BY n.is_shared, s.created_at, s.id
    LIMIT 10000
"""


def list_subnets(
    tx: Transaction, *, project_id: str | None, network_ids: Sequence[UUID] | None = None
) -> Sequence[Subnet]:
    """List the subnets that a project may use (None: all), of some networks or of all."""
    ids = None if network_ids is None else list(network_ids)
    with tx.cursor(row_factory=class_row(Subnet)) as cursor:
        return cursor.execute(SELECT_SUBNETS, {"project_id": project_id, "network_ids": ids}).fetchall()


LOCK_SUBNET: LiteralString = "SELECT 1 FROM subnet WHERE id = %s FOR NO KEY UPDATE"

SELECT_FREE_ADDRESSES: LiteralString = """
    SELECT address
    FROM (
        SELECT s.pool_start + step AS address
        FROM subnet s CROSS JOIN LATERAL generate_series(0::bigint, s.pool_end - s.pool_start) AS step
        WHERE s.id = %(subnet_id)s
    ) candidate
    WHERE NOT EXISTS (SELECT 1 FROM port p WHERE p.subnet_id = %(subnet_id)s AND p.ip_address = candidate.address)
    ORDER BY address
    LIMIT %(count)s
"""


def claim_free_addresses(tx: Transaction, subnet_id: UUID, *, count: int) -> Sequence[IPv4Address]:
    """Return up to `count` free addresses of a subnet and hold the subnet until the transaction ends, so that none is given twice."""
    tx.execute(LOCK_SUBNET, (subnet_id,))
    rows = tx.execute(SELECT_FREE_ADDRESSES, {"subnet_id": subnet_id, "count": count}).fetchall()
    return [row[0] for row in rows]


INSERT_FREE_SUBNETS: LiteralString = """
    INSERT INTO free_subnet (cidr)
    SELECT given.cidr FROM unnest(%s::cidr[]) AS given (cidr)
    WHERE NOT EXISTS (SELECT 1 FROM subnet s WHERE s.cidr && given.cidr)
    ON CONFLICT DO NOTHING
"""

DELETE_FREE_SUBNETS: LiteralString = "DELETE FROM free_subnet WHERE NOT cidr = ANY(%s::cidr[])"


def replace_free_subnets(tx: Transaction, cidrs: Sequence[IPv4Network]) -> None:
    """Say which subnets may be given from now on; those that are in use are left out."""
    given = [str(cidr) for cidr in cidrs]
    tx.execute(DELETE_FREE_SUBNETS, (given,))
    tx.execute(INSERT_FREE_SUBNETS, (given,))


TAKE_FREE_SUBNET: LiteralString = """
    DELETE FROM free_subnet WHERE cidr = (
        SELECT f.cidr FROM free_subnet f
        WHERE NOT EXISTS (SELECT 1 FROM subnet s WHERE s.cidr && f.cidr)
        ORDER BY f.cidr LIMIT 1 FOR UPDATE SKIP LOCKED
    ) RETURNING cidr
"""


def take_free_subnet(tx: Transaction) -> IPv4Network | None:
    """Take the lowest free subnet out of the pool, or None when it is empty."""
    row = tx.execute(TAKE_FREE_SUBNET).fetchone()
    return None if row is None else row[0]


SELECT_NETWORKS_WANTED: LiteralString = """
    SELECT n.id AS network_id, CASE WHEN n.is_shared THEN NULL ELSE n.project_id END AS project_id, s.cidr, s.gateway_ip
    FROM network n JOIN subnet s ON s.network_id = n.id
    WHERE EXISTS (
        SELECT 1 FROM port p JOIN instance i ON i.id = p.instance_id
        WHERE p.network_id = n.id AND i.host_id = %s AND i.deleted_at IS NULL
    )
    ORDER BY n.created_at, n.id
"""


def list_networks_wanted(tx: Transaction, host_id: UUID) -> Sequence[NetworkSpec]:
    """List the networks on which a host has instances, as its driver builds them."""
    with tx.cursor(row_factory=class_row(NetworkSpec)) as cursor:
        return cursor.execute(SELECT_NETWORKS_WANTED, (host_id,)).fetchall()
