"""Writing the rows of instances: what is wanted of them, and what was seen of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from compute.lifecycle import FAULT_CODE, Transition
from compute.model import Desired, InstanceAction
from foundation.database import Transaction


@dataclass(frozen=True, slots=True)
class NewInstance:
    """An instance to write, wanted active and not made yet."""

    id: UUID
    project_id: str
    user_id: str
    name: str
    hostname: str
    description: str | None
    reservation_id: str
    host_id: UUID
    availability_zone: str
    flavor_id: str
    flavor_name: str
    vcpus: int
    ram_mib: int
    disk_gib: int
    extra_specs: Mapping[str, str]
    image_id: UUID
    key_name: str | None
    public_key: str | None
    user_data: bytes | None
    metadata: Mapping[str, str]
    tags: Sequence[str]


INSERT_INSTANCE: LiteralString = """
    INSERT INTO instance (id, project_id, user_id, name, hostname, description, reservation_id, host_id, availability_zone,
        flavor_id, flavor_name, vcpus, ram_mib, disk_gib, extra_specs, image_id, key_name, public_key, user_data, metadata,
        tags, desired, vm_state, power_state, created_at, updated_at, state_at)
    VALUES (%(id)s, %(project_id)s, %(user_id)s, %(name)s, %(hostname)s, %(description)s, %(reservation_id)s, %(host_id)s,
        %(availability_zone)s, %(flavor_id)s, %(flavor_name)s, %(vcpus)s, %(ram_mib)s, %(disk_gib)s, %(extra_specs)s,
        %(image_id)s, %(key_name)s, %(public_key)s, %(user_data)s, %(metadata)s, %(tags)s, 'active', 'building', 'unknown',
        %(now)s, %(now)s, %(now)s)
"""


def insert_instances(tx: Transaction, instances: Sequence[NewInstance], *, now: datetime) -> None:
    """Write new instances, all or none."""
    rows = [
        {
            "id": new.id,
            "project_id": new.project_id,
            "user_id": new.user_id,
            "name": new.name,
            "hostname": new.hostname,
            "description": new.description,
            "reservation_id": new.reservation_id,
            "host_id": new.host_id,
            "availability_zone": new.availability_zone,
            "flavor_id": new.flavor_id,
            "flavor_name": new.flavor_name,
            "vcpus": new.vcpus,
            "ram_mib": new.ram_mib,
            "disk_gib": new.disk_gib,
            "extra_specs": Jsonb(dict(new.extra_specs)),
            "image_id": new.image_id,
            "key_name": new.key_name,
            "public_key": new.public_key,
            "user_data": new.user_data,
            "metadata": Jsonb(dict(new.metadata)),
            "tags": list(new.tags),
            "now": now,
        }
        for new in instances
    ]
    with tx.cursor() as cursor:
        cursor.executemany(INSERT_INSTANCE, rows)


UPDATE_DESIRED: LiteralString = """
    UPDATE instance SET desired = %(desired)s, generation = generation + 1, failures = 0, retry_at = NULL,
        updated_at = %(now)s
    WHERE id = %(id)s
"""


def update_desired(tx: Transaction, instance_id: UUID, *, desired: Desired, now: datetime) -> None:
    """Change what is wanted; what failed before gets a new chance."""
    tx.execute(UPDATE_DESIRED, {"desired": desired, "now": now, "id": instance_id})


REQUEST_REBOOT: LiteralString = """
    UPDATE instance SET desired = 'active', generation = generation + 1, failures = 0, retry_at = NULL,
        reboot_from_epoch = boot_epoch, is_reboot_hard = %(is_hard)s, updated_at = %(now)s
    WHERE id = %(id)s
"""


def request_reboot(tx: Transaction, instance_id: UUID, *, is_hard: bool, now: datetime) -> None:
    """Want another boot than the one that is known now; until one is seen the reboot is pending."""
    tx.execute(REQUEST_REBOOT, {"is_hard": is_hard, "now": now, "id": instance_id})


APPLY_TRANSITION: LiteralString = """
    UPDATE instance SET
        desired = %(desired)s, vm_state = %(vm_state)s, power_state = %(power_state)s, boot_epoch = %(boot_epoch)s,
        is_interrupted = %(is_interrupted)s, reboot_from_epoch = %(reboot_from_epoch)s,
        generation = generation + CASE WHEN desired <> %(desired)s THEN 1 ELSE 0 END,
        state_at = CASE WHEN %(is_told)s THEN %(at)s ELSE state_at END,
        launched_at = CASE WHEN %(vm_state)s = 'active' THEN coalesce(launched_at, %(at)s) ELSE launched_at END,
        deleted_at = CASE WHEN %(vm_state)s = 'deleted' THEN %(at)s END,
        failures = CASE WHEN %(is_told)s THEN 0 ELSE failures END,
        retry_at = CASE WHEN %(is_told)s THEN NULL ELSE retry_at END,
        fault_code = CASE WHEN %(fault)s::text IS NOT NULL THEN %(fault_code)s WHEN %(is_well)s THEN NULL ELSE fault_code END,
        fault_message = CASE WHEN %(is_well)s THEN NULL ELSE coalesce(%(fault)s, fault_message) END,
        fault_details = CASE WHEN %(is_well)s OR %(fault)s::text IS NOT NULL THEN NULL ELSE fault_details END,
        fault_at = CASE WHEN %(fault)s::text IS NOT NULL THEN %(at)s WHEN %(is_well)s THEN NULL ELSE fault_at END,
        updated_at = %(now)s
    WHERE id = %(id)s
"""


def apply_transition(tx: Transaction, instance_id: UUID, *, transition: Transition, now: datetime) -> None:
    """Write what an observation means for an instance; a guest that runs has no fault any more."""
    parameters = {
        "desired": transition.desired,
        "vm_state": transition.vm_state,
        "power_state": transition.power_state,
        "boot_epoch": transition.boot_epoch,
        "is_interrupted": transition.is_interrupted,
        "reboot_from_epoch": transition.reboot_from_epoch,
        "is_told": transition.kind is not None,
        "is_well": transition.vm_state == "active" and transition.kind is not None,
        "at": transition.at,
        "fault": transition.fault,
        "fault_code": FAULT_CODE,
        "now": now,
        "id": instance_id,
    }
    tx.execute(APPLY_TRANSITION, parameters)


RECORD_FAILURE: LiteralString = """
    UPDATE instance SET failures = failures + 1, retry_at = %(retry_at)s, fault_code = %(fault_code)s,
        fault_message = %(message)s, fault_details = %(details)s, fault_at = %(now)s, updated_at = %(now)s
    WHERE id = %(id)s
"""


def record_failure(
    tx: Transaction, instance_id: UUID, *, message: str, details: str | None, retry_at: datetime, now: datetime
) -> None:
    """Count a failed attempt and say when the next may be."""
    parameters = {
        "retry_at": retry_at,
        "fault_code": FAULT_CODE,
        "message": message,
        "details": details,
        "now": now,
        "id": instance_id,
    }
    tx.execute(RECORD_FAILURE, parameters)


GIVE_UP: LiteralString = """
    UPDATE instance SET vm_state = 'error', retry_at = NULL, reboot_from_epoch = NULL, is_interrupted = false,
        power_state = 'unknown', generation = generation + 1, state_at = %(at)s, updated_at = %(now)s
    WHERE id = %(id)s
"""


def give_up(tx: Transaction, instance_id: UUID, *, at: datetime, now: datetime) -> None:
    """Put an instance into error: no more attempts until somebody asks for one."""
    tx.execute(GIVE_UP, {"at": at, "now": now, "id": instance_id})


RENAME: LiteralString = """
    UPDATE instance SET name = coalesce(%(name)s, name),
        description = CASE WHEN %(is_described)s THEN %(description)s ELSE description END, updated_at = %(now)s
    WHERE id = %(id)s
"""


def rename(
    tx: Transaction, instance_id: UUID, *, name: str | None, is_described: bool, description: str | None, now: datetime
) -> None:
    """Change the display name or the description; the host name stays."""
    parameters = {
        "name": name,
        "is_described": is_described,
        "description": description,
        "now": now,
        "id": instance_id,
    }
    tx.execute(RENAME, parameters)


UPDATE_METADATA: LiteralString = "UPDATE instance SET metadata = %(metadata)s, updated_at = %(now)s WHERE id = %(id)s"


def update_metadata(tx: Transaction, instance_id: UUID, *, metadata: Mapping[str, str], now: datetime) -> None:
    """Replace an instance's metadata."""
    tx.execute(UPDATE_METADATA, {"metadata": Jsonb(dict(metadata)), "now": now, "id": instance_id})


UPDATE_TAGS: LiteralString = "UPDATE instance SET tags = %(tags)s, updated_at = %(now)s WHERE id = %(id)s"


def update_tags(tx: Transaction, instance_id: UUID, *, tags: Sequence[str], now: datetime) -> None:
    """Replace an instance's tags."""
    tx.execute(UPDATE_TAGS, {"tags": list(tags), "now": now, "id": instance_id})


INSERT_ACTION: LiteralString = """
    INSERT INTO instance_action (request_id, instance_id, action, user_id, project_id, message, started_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""


def insert_actions(tx: Transaction, actions: Sequence[InstanceAction]) -> None:
    """Remember who asked for what."""
    rows = [(a.request_id, a.instance_id, a.action, a.user_id, a.project_id, a.message, a.started_at) for a in actions]
    with tx.cursor() as cursor:
        cursor.executemany(INSERT_ACTION, rows)


SELECT_ACTIONS: LiteralString = """
    SELECT request_id, instance_id, action, user_id, project_id, message, started_at FROM instance_action
    WHERE instance_id = %s ORDER BY started_at DESC, request_id DESC LIMIT 1000
"""


def list_actions(tx: Transaction, instance_id: UUID) -> Sequence[InstanceAction]:
    """List what was asked of an instance, the latest first."""
    with tx.cursor(row_factory=class_row(InstanceAction)) as cursor:
        return cursor.execute(SELECT_ACTIONS, (instance_id,)).fetchall()


DROP_DELETED: LiteralString = """
    DELETE FROM instance WHERE id IN (SELECT id FROM instance WHERE deleted_at < %s ORDER BY deleted_at LIMIT 10000)
"""


def drop_deleted(tx: Transaction, *, before: datetime) -> int:
    """Delete the rows of instances that ended before an instant, at most 10,000 a call; return how many."""
    return tx.execute(DROP_DELETED, (before,)).rowcount
