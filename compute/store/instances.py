"""Reading the rows of instances; compute.store.instance_changes writes them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from compute.lifecycle import HOST_SILENCE_S_MAX
from compute.model import Desired, Instance, InstanceFilters, InstancePage, Port, VmState
from compute.store import ports as port_store
from foundation.database import Transaction

COLUMNS: LiteralString = """
    SELECT i.id, i.project_id, i.user_id, i.name, i.hostname, i.description, i.reservation_id, i.host_id,
        h.name AS host_name, h.seen_at AS host_seen_at, i.availability_zone, i.flavor_id, i.flavor_name, i.vcpus, i.ram_mib,
        i.disk_gib, i.extra_specs, i.image_id, m.name AS image_name, i.key_name, i.metadata, i.tags, i.desired,
        i.generation, i.reboot_from_epoch, i.is_reboot_hard, i.vm_state, i.power_state, i.is_interrupted, i.boot_epoch,
        i.failures, i.retry_at, i.fault_code, i.fault_message, i.fault_details, i.fault_at, i.created_at, i.updated_at,
        i.state_at, i.launched_at, i.deleted_at
    FROM instance i JOIN host h ON h.id = i.host_id JOIN image m ON m.id = i.image_id
"""

FIND_INSTANCE: LiteralString = (
    COLUMNS
    + """
    WHERE i.id = %(id)s AND (%(project_id)s::text IS NULL OR i.project_id = %(project_id)s)
    """
)

LOCK_INSTANCE: LiteralString = FIND_INSTANCE + " FOR NO KEY UPDATE OF i"


def find_instance(
    tx: Transaction, instance_id: UUID, *, project_id: str | None, is_locked: bool = False
) -> Instance | None:
    """Return the instance with its ports if it is the project's (None: any), deleted ones too; lock it to change it."""
    with tx.cursor(row_factory=class_row(Instance)) as cursor:
        statement = LOCK_INSTANCE if is_locked else FIND_INSTANCE
        row = cursor.execute(statement, {"id": instance_id, "project_id": project_id}).fetchone()
    return None if row is None else with_ports(tx, [row])[0]


def with_ports(tx: Transaction, rows: Sequence[Instance]) -> Sequence[Instance]:
    """Attach the ports of all the instances in one query."""
    if not rows:
        return rows
    ports: defaultdict[UUID, list[Port]] = defaultdict(list)
    for port in port_store.list_ports(tx, project_id=None, instance_ids=[row.id for row in rows]):
        ports[port.instance_id].append(port)
    return [replace(row, ports=tuple(ports[row.id])) for row in rows]


LOCK_OF_HOST: LiteralString = (
    COLUMNS + " WHERE i.host_id = %s AND i.deleted_at IS NULL ORDER BY i.id FOR NO KEY UPDATE OF i"
)


def lock_instances_of_host(tx: Transaction, host_id: UUID) -> Sequence[Instance]:
    """Lock all living instances of a host, without their ports."""
    with tx.cursor(row_factory=class_row(Instance)) as cursor:
        return cursor.execute(LOCK_OF_HOST, (host_id,)).fetchall()


LIST_BY_IDS: LiteralString = COLUMNS + " WHERE i.id = ANY(%s) LIMIT 10000"


def list_by_ids(tx: Transaction, ids: Sequence[UUID]) -> Sequence[Instance]:
    """Return the instances of these ids with their ports, in no order."""
    with tx.cursor(row_factory=class_row(Instance)) as cursor:
        rows = cursor.execute(LIST_BY_IDS, (list(ids),)).fetchall()
    return with_ports(tx, rows)


FILTERED: LiteralString = (
    "WITH filtered AS (SELECT f.*, "
    + """
        CASE
            WHEN f.vm_state = 'active' AND f.host_seen_at < %(silent_before)s THEN 'UNKNOWN'
            WHEN f.vm_state = 'active' AND f.is_interrupted THEN 'SHUTOFF'
            WHEN f.vm_state = 'active' AND f.reboot_from_epoch IS NOT NULL AND f.is_reboot_hard THEN 'HARD_REBOOT'
            WHEN f.vm_state = 'active' AND f.reboot_from_epoch IS NOT NULL THEN 'REBOOT'
            WHEN f.vm_state = 'active' THEN 'ACTIVE'
            WHEN f.vm_state = 'building' THEN 'BUILD'
            WHEN f.vm_state = 'stopped' THEN 'SHUTOFF'
            ELSE upper(f.vm_state)
        END AS status
    FROM ("""
    + COLUMNS
    + """) f
    WHERE (%(project_id)s::text IS NULL OR f.project_id = %(project_id)s)
        AND (f.deleted_at IS NULL OR %(is_deleted_shown)s OR (%(changed_since)s::timestamptz IS NOT NULL))
        AND (%(changed_since)s::timestamptz IS NULL OR f.updated_at >= %(changed_since)s)
        AND (%(changed_before)s::timestamptz IS NULL OR f.updated_at <= %(changed_before)s)
        AND (%(name_pattern)s::text IS NULL OR f.name ~ %(name_pattern)s)
        AND (%(vm_states)s::text[] IS NULL OR f.vm_state = ANY(%(vm_states)s))
        AND (%(flavor_id)s::text IS NULL OR f.flavor_id = %(flavor_id)s)
        AND (%(image_id)s::uuid IS NULL OR f.image_id = %(image_id)s)
        AND (%(host_name)s::text IS NULL OR f.host_name = %(host_name)s)
        AND (%(ids)s::uuid[] IS NULL OR f.id = ANY(%(ids)s))
        AND (%(user_id)s::text IS NULL OR f.user_id = %(user_id)s)
        AND (%(reservation_id)s::text IS NULL OR f.reservation_id = %(reservation_id)s)
        AND (%(key_name)s::text IS NULL OR f.key_name = %(key_name)s)
        AND (%(availability_zone)s::text IS NULL OR f.availability_zone = %(availability_zone)s)
        AND f.metadata @> %(metadata)s::jsonb
        AND f.tags @> %(tags)s::text[]
        AND (%(tags_any)s::text[] = '{}' OR f.tags && %(tags_any)s)
        AND (%(not_tags)s::text[] = '{}' OR NOT f.tags @> %(not_tags)s)
        AND NOT f.tags && %(not_tags_any)s::text[]
        AND (%(ip_pattern)s::text IS NULL OR EXISTS (
            SELECT 1 FROM port p WHERE p.instance_id = f.id AND host(p.ip_address) ~ %(ip_pattern)s
        ))
), keyed AS (
    SELECT filtered.*, CASE %(sort_key)s
        WHEN 'name' THEN name
        WHEN 'id' THEN id::text
        WHEN 'status' THEN status
        WHEN 'updated_at' THEN to_char(updated_at, 'YYYYMMDDHH24MISSUS')
        WHEN 'launched_at' THEN coalesce(to_char(launched_at, 'YYYYMMDDHH24MISSUS'), '')
        ELSE to_char(created_at, 'YYYYMMDDHH24MISSUS')
    END COLLATE "C" AS sort_text
    FROM filtered
    WHERE %(statuses)s::text[] IS NULL OR status = ANY(%(statuses)s)
)
SELECT id, project_id, user_id, name, hostname, description, reservation_id, host_id, host_name, host_seen_at,
    availability_zone, flavor_id, flavor_name, vcpus, ram_mib, disk_gib, extra_specs, image_id, image_name, key_name,
    metadata, tags, desired, generation, reboot_from_epoch, is_reboot_hard, vm_state, power_state, is_interrupted,
    boot_epoch, failures, retry_at, fault_code, fault_message, fault_details, fault_at, created_at, updated_at, state_at,
    launched_at, deleted_at
FROM keyed
"""
)

LIST_ASCENDING: LiteralString = (
    FILTERED
    + """
    WHERE %(marker)s::uuid IS NULL OR (sort_text, id) > (
        coalesce((SELECT k.sort_text FROM keyed k WHERE k.id = %(marker)s), %(marker)s::text), %(marker)s
    )
    ORDER BY sort_text, id LIMIT %(limit)s
    """
)

LIST_DESCENDING: LiteralString = (
    FILTERED
    + """
    WHERE %(marker)s::uuid IS NULL OR (sort_text, id) < (
        coalesce((SELECT k.sort_text FROM keyed k WHERE k.id = %(marker)s), %(marker)s::text), %(marker)s
    )
    ORDER BY sort_text DESC, id DESC LIMIT %(limit)s
    """
)


def list_instances(
    tx: Transaction, *, project_id: str | None, filters: InstanceFilters, page: InstancePage, now: datetime
) -> Sequence[Instance]:
    """List one page of a project's instances (None: all projects') with their ports."""
    parameters: dict[str, Any] = {
        "project_id": project_id,
        "silent_before": now - timedelta(seconds=HOST_SILENCE_S_MAX),
        "is_deleted_shown": filters.is_deleted_shown,
        "changed_since": filters.changed_since,
        "changed_before": filters.changed_before,
        "key_name": filters.key_name,
        "availability_zone": filters.availability_zone,
        "name_pattern": filters.name_pattern,
        "vm_states": None if filters.vm_states is None else sorted(filters.vm_states),
        "statuses": None if filters.statuses is None else sorted(status.value for status in filters.statuses),
        "flavor_id": filters.flavor_id,
        "image_id": filters.image_id,
        "host_name": filters.host_name,
        "ids": None if filters.ids is None else list(filters.ids),
        "user_id": filters.user_id,
        "reservation_id": filters.reservation_id,
        "ip_pattern": filters.ip_pattern,
        "metadata": Jsonb(dict(filters.metadata)),
        "tags": sorted(filters.tags),
        "tags_any": sorted(filters.tags_any),
        "not_tags": sorted(filters.not_tags),
        "not_tags_any": sorted(filters.not_tags_any),
        "sort_key": page.sort_key,
        "marker": page.marker,
        "limit": page.limit,
    }
    with tx.cursor(row_factory=class_row(Instance)) as cursor:
        rows = cursor.execute(LIST_DESCENDING if page.is_descending else LIST_ASCENDING, parameters).fetchall()
    return with_ports(tx, rows)


@dataclass(frozen=True, slots=True)
class DesiredRow:
    """All that is needed to tell an agent of an instance; the service makes a DesiredInstance of it."""

    id: UUID
    project_id: str
    user_id: str
    name: str
    hostname: str
    availability_zone: str
    flavor_name: str
    vcpus: int
    ram_mib: int
    disk_gib: int
    key_name: str | None
    public_key: str | None
    user_data: bytes | None
    metadata: dict[str, str]
    desired: Desired
    generation: int
    vm_state: VmState
    boot_epoch: int
    reboot_from_epoch: int | None
    is_reboot_hard: bool
    is_interrupted: bool
    failures: int
    retry_at: datetime | None
    state_at: datetime
    file_path: str
    file_format: str
    kernel_command_line: str
    kernel_path: str | None
    ramdisk_path: str | None


SELECT_DESIRED: LiteralString = """
    SELECT i.id, i.project_id, i.user_id, i.name, i.hostname, i.availability_zone, i.flavor_name, i.vcpus, i.ram_mib,
        i.disk_gib, i.key_name, i.public_key, i.user_data, i.metadata, i.desired, i.generation, i.vm_state, i.boot_epoch,
        i.reboot_from_epoch, i.is_reboot_hard, i.is_interrupted, i.failures, i.retry_at, i.state_at, m.file_path, m.file_format,
        m.kernel_command_line, k.file_path AS kernel_path, r.file_path AS ramdisk_path
    FROM instance i JOIN image m ON m.id = i.image_id LEFT JOIN image k ON k.id = m.kernel_id
        LEFT JOIN image r ON r.id = m.ramdisk_id
    WHERE i.host_id = %s AND i.deleted_at IS NULL
    ORDER BY i.created_at, i.id
"""


def list_desired(tx: Transaction, host_id: UUID) -> Sequence[DesiredRow]:
    """List all that a host shall run, hold, or still get rid of."""
    with tx.cursor(row_factory=class_row(DesiredRow)) as cursor:
        return cursor.execute(SELECT_DESIRED, (host_id,)).fetchall()
