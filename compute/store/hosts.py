"""Rows of hosts: what each has, what is promised of it, and which agent may speak for it."""

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row

from compute.hypervisor.contract import HostCapacity
from compute.model import Host, HostSession
from foundation.database import Transaction

SELECT_HOSTS: LiteralString = """
    SELECT h.id, h.name, h.hypervisor_uri, h.virt_type, h.hypervisor_version, h.architecture, h.cpu_model,
        h.availability_zone, h.vcpus, h.ram_mib, h.disk_gib, h.cpu_allocation_ratio, h.ram_allocation_ratio,
        h.session, h.stopping_session, h.registered_at, h.seen_at, h.observed_at,
        coalesce(used.vcpus, 0)::int AS vcpus_used, coalesce(used.ram_mib, 0)::int AS ram_mib_used,
        coalesce(used.disk_gib, 0)::int AS disk_gib_used, coalesce(used.instances, 0)::int AS instances
    FROM host h LEFT JOIN LATERAL (
        SELECT sum(i.vcpus) AS vcpus, sum(i.ram_mib) AS ram_mib, sum(i.disk_gib) AS disk_gib, count(*) AS instances
        FROM instance i WHERE i.host_id = h.id AND i.deleted_at IS NULL
    ) used ON true
    WHERE %(id)s::uuid IS NULL OR h.id = %(id)s
    ORDER BY h.name
    LIMIT 10000
"""


def list_hosts(tx: Transaction, *, host_id: UUID | None = None) -> Sequence[Host]:
    """List the hosts with what is promised of them to instances."""
    with tx.cursor(row_factory=class_row(Host)) as cursor:
        return cursor.execute(SELECT_HOSTS, {"id": host_id}).fetchall()


UPSERT_HOST: LiteralString = """
    INSERT INTO host (id, name, hypervisor_uri, virt_type, hypervisor_version, architecture, cpu_model, vcpus, ram_mib,
        disk_gib, cpu_allocation_ratio, ram_allocation_ratio, session, registered_at, seen_at)
    VALUES (%(id)s, %(name)s, %(uri)s, %(virt_type)s, %(version)s, %(architecture)s, %(cpu_model)s, %(vcpus)s,
        %(ram_mib)s, %(disk_gib)s, %(cpu_ratio)s, %(ram_ratio)s, 1, %(now)s, %(now)s)
    ON CONFLICT (name) DO UPDATE SET hypervisor_uri = excluded.hypervisor_uri, virt_type = excluded.virt_type,
        hypervisor_version = excluded.hypervisor_version, architecture = excluded.architecture,
        cpu_model = excluded.cpu_model, vcpus = excluded.vcpus, ram_mib = excluded.ram_mib, disk_gib = excluded.disk_gib,
        cpu_allocation_ratio = excluded.cpu_allocation_ratio, ram_allocation_ratio = excluded.ram_allocation_ratio,
        session = host.session + 1, registered_at = excluded.registered_at
    RETURNING id AS host_id, session
"""


def upsert_host(
    tx: Transaction,
    *,
    host_id: UUID,
    name: str,
    hypervisor_uri: str,
    capacity: HostCapacity,
    cpu_allocation_ratio: float,
    ram_allocation_ratio: float,
    now: datetime,
) -> HostSession:
    """Register a host or take it over, which ends the session of the agent before."""
    parameters = {
        "id": host_id,
        "name": name,
        "uri": hypervisor_uri,
        "virt_type": capacity.virt_type,
        "version": capacity.hypervisor_version,
        "architecture": capacity.architecture,
        "cpu_model": capacity.cpu_model,
        "vcpus": capacity.vcpus,
        "ram_mib": capacity.memory_mib,
        "disk_gib": capacity.disk_gib,
        "cpu_ratio": cpu_allocation_ratio,
        "ram_ratio": ram_allocation_ratio,
        "now": now,
    }
    with tx.cursor(row_factory=class_row(HostSession)) as cursor:
        row = cursor.execute(UPSERT_HOST, parameters).fetchone()
    assert row is not None
    return row


LOCK_HOST: LiteralString = """
    SELECT observed_at, stopping_session, seen_at FROM host WHERE id = %s AND session = %s FOR NO KEY UPDATE
"""


def lock_session(tx: Transaction, session: HostSession) -> tuple[datetime | None, int | None, datetime] | None:
    """Lock the host for an agent's report; None when another agent has taken the host over."""
    return tx.execute(LOCK_HOST, (session.host_id, session.session)).fetchone()


UPDATE_SEEN: LiteralString = """
    UPDATE host SET seen_at = greatest(seen_at, %(now)s) WHERE id = %(id)s AND session = %(session)s
"""


def update_seen(tx: Transaction, session: HostSession, *, now: datetime) -> bool:
    """Record that the agent was heard; False when its session is over."""
    return tx.execute(UPDATE_SEEN, {"now": now, "id": session.host_id, "session": session.session}).rowcount == 1


UPDATE_OBSERVED: LiteralString = """
    UPDATE host SET observed_at = %(at)s, seen_at = greatest(seen_at, %(at)s), stopping_session = %(stopping)s
    WHERE id = %(id)s
"""


def update_observed(tx: Transaction, host_id: UUID, *, at: datetime, stopping_session: int | None) -> None:
    """Record when the host was last looked at, and whether it is being stopped in order."""
    tx.execute(UPDATE_OBSERVED, {"at": at, "stopping": stopping_session, "id": host_id})


MARK_STOPPING: LiteralString = "UPDATE host SET stopping_session = session WHERE id = %s AND session = %s"


def mark_stopping(tx: Transaction, session: HostSession) -> bool:
    """Record that the host is being stopped in order; False when the session is over."""
    return tx.execute(MARK_STOPPING, (session.host_id, session.session)).rowcount == 1


NOTIFY_HOST: LiteralString = "SELECT pg_notify('nephoscope_host', %s)"


def notify_host(tx: Transaction, host_id: UUID) -> None:
    """Wake the host's agent when this transaction commits."""
    tx.execute(NOTIFY_HOST, (str(host_id),))


LOCK_PLACEMENT: LiteralString = "SELECT pg_advisory_xact_lock(hashtext('compute.placement'))"


def lock_placement(tx: Transaction) -> None:
    """Let one placement after the other look at what the hosts have left, so that no room is given away twice."""
    tx.execute(LOCK_PLACEMENT)
