"""The SQL of scaling groups and their members."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from foundation.database import Transaction
from scaling.model import GroupId, GroupSpec, GroupState, LaunchTemplate, ScalingGroup, VictimOrder


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group as the table has it."""

    id: UUID
    project_id: str
    user_id: str | None
    name: str
    launch: dict[str, Any]
    size_min: int
    size_max: int
    size_desired: int
    cooldown_s: int
    victim_order: str
    state: str
    cooldown_until: datetime | None
    failures: int
    retry_at: datetime | None
    launched_count: int
    converge_at: datetime | None
    created_at: datetime
    updated_at: datetime


def _launch_document(launch: LaunchTemplate) -> dict[str, Any]:
    document = asdict(launch)
    return {
        **document,
        "image_id": str(launch.image_id),
        "network_ids": [str(network_id) for network_id in launch.network_ids],
    }


def _launch_from_document(document: Mapping[str, Any]) -> LaunchTemplate:
    return LaunchTemplate(
        image_id=UUID(document["image_id"]),
        flavor_id=document["flavor_id"],
        network_ids=tuple(UUID(network_id) for network_id in document["network_ids"]),
        user_data=document["user_data"],
        metadata=document["metadata"],
        security_groups=tuple(document["security_groups"]),
        key_name=document["key_name"],
        availability_zone=document["availability_zone"],
    )


def _to_group(row: GroupRow) -> ScalingGroup:
    return ScalingGroup(
        id=GroupId(row.id),
        project_id=row.project_id,
        user_id=row.user_id,
        spec=GroupSpec(
            name=row.name,
            launch=_launch_from_document(row.launch),
            size_min=row.size_min,
            size_max=row.size_max,
            size_desired=row.size_desired,
            cooldown_s=row.cooldown_s,
            victim_order=VictimOrder(row.victim_order),
        ),
        state=GroupState(row.state),
        cooldown_until=row.cooldown_until,
        failures=row.failures,
        retry_at=row.retry_at,
        launched_count=row.launched_count,
        converge_at=row.converge_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _spec_parameters(spec: GroupSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "launch": Jsonb(_launch_document(spec.launch)),
        "size_min": spec.size_min,
        "size_max": spec.size_max,
        "size_desired": spec.size_desired,
        "cooldown_s": spec.cooldown_s,
        "victim_order": spec.victim_order.value,
    }


INSERT_GROUP: LiteralString = """
    INSERT INTO scaling_group (
        id, project_id, user_id, name, launch, size_min, size_max, size_desired, cooldown_s, victim_order, state,
        converge_at, created_at, updated_at)
    VALUES (
        %(id)s, %(project_id)s, %(user_id)s, %(name)s, %(launch)s, %(size_min)s, %(size_max)s, %(size_desired)s,
        %(cooldown_s)s, %(victim_order)s, 'active', %(now)s, %(now)s, %(now)s)
"""


def insert_group(
    tx: Transaction, group_id: UUID, *, project_id: str, user_id: str | None, spec: GroupSpec, now: datetime
) -> None:
    """Keep a new group, due to be brought to its size."""
    parameters = {**_spec_parameters(spec), "id": group_id, "project_id": project_id, "user_id": user_id, "now": now}
    tx.execute(INSERT_GROUP, parameters)


LOCK_PROJECT: LiteralString = "SELECT pg_advisory_xact_lock(hashtextextended('scaling-groups ' || %s, 0))"
COUNT_GROUPS: LiteralString = "SELECT count(*) FROM scaling_group WHERE project_id = %s"


def count_groups_locked(tx: Transaction, project_id: str) -> int:
    """Count a project's groups, holding its lock until the transaction ends."""
    tx.execute(LOCK_PROJECT, (project_id,))
    row = tx.execute(COUNT_GROUPS, (project_id,)).fetchone()
    assert row is not None
    return int(row[0])


FIND_GROUP: LiteralString = "SELECT * FROM scaling_group WHERE id = %s"
LOCK_GROUP: LiteralString = "SELECT * FROM scaling_group WHERE id = %s FOR UPDATE"


def find_group(tx: Transaction, group_id: UUID, *, for_update: bool = False) -> ScalingGroup | None:
    """Read a group of whatever project, locked where it is about to change."""
    with tx.cursor(row_factory=class_row(GroupRow)) as cursor:
        row = cursor.execute(LOCK_GROUP if for_update else FIND_GROUP, (group_id,)).fetchone()
    return None if row is None else _to_group(row)


LIST_GROUPS: LiteralString = """
    SELECT * FROM scaling_group
    WHERE project_id = %(project_id)s AND (%(marker)s::uuid IS NULL OR id > %(marker)s)
    ORDER BY id LIMIT %(limit)s
"""


def list_groups(tx: Transaction, *, project_id: str, marker: UUID | None, limit: int) -> Sequence[ScalingGroup]:
    """List a project's groups, oldest first."""
    parameters = {"project_id": project_id, "marker": marker, "limit": limit}
    with tx.cursor(row_factory=class_row(GroupRow)) as cursor:
        return [_to_group(row) for row in cursor.execute(LIST_GROUPS, parameters).fetchall()]


UPDATE_SPEC: LiteralString = """
    UPDATE scaling_group SET
        name = %(name)s, launch = %(launch)s, size_min = %(size_min)s, size_max = %(size_max)s,
        size_desired = %(size_desired)s, cooldown_s = %(cooldown_s)s, victim_order = %(victim_order)s,
        failures = 0, retry_at = NULL, converge_at = %(now)s, updated_at = %(now)s
    WHERE id = %(id)s
"""


def update_spec(tx: Transaction, group_id: UUID, *, spec: GroupSpec, now: datetime) -> None:
    """Keep a group's new settings; what failed with the old ones is forgotten."""
    tx.execute(UPDATE_SPEC, {**_spec_parameters(spec), "id": group_id, "now": now})


RESIZE: LiteralString = """
    UPDATE scaling_group SET size_desired = %(size)s, cooldown_until = %(cooldown_until)s, converge_at = %(now)s, updated_at = %(now)s
    WHERE id = %(id)s
"""


def resize(tx: Transaction, group_id: UUID, *, size: int, cooldown_until: datetime | None, now: datetime) -> None:
    """Set a group's desired size, and have it brought there at once."""
    tx.execute(RESIZE, {"id": group_id, "size": size, "cooldown_until": cooldown_until, "now": now})


MARK_DELETING: LiteralString = """
    UPDATE scaling_group SET state = 'deleting', size_min = 0, size_desired = 0, converge_at = %(now)s, updated_at = %(now)s
    WHERE id = %(id)s
"""


def mark_deleting(tx: Transaction, group_id: UUID, *, now: datetime) -> None:
    """Send a group on its way to nothing."""
    tx.execute(MARK_DELETING, {"id": group_id, "now": now})


DELETE_GROUP: LiteralString = "DELETE FROM scaling_group WHERE id = %s"


def delete_group(tx: Transaction, group_id: UUID) -> None:
    """Forget a group and its policies; its activities stay."""
    tx.execute(DELETE_GROUP, (group_id,))


HAS_DUE: LiteralString = "SELECT EXISTS (SELECT FROM scaling_group WHERE converge_at <= %s)"


def has_due(tx: Transaction, now: datetime) -> bool:
    """Tell whether any group is to be looked at."""
    row = tx.execute(HAS_DUE, (now,)).fetchone()
    return row is not None and bool(row[0])


CLAIM_DUE: LiteralString = """
    SELECT * FROM scaling_group WHERE converge_at <= %(now)s
    ORDER BY converge_at LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
"""


def claim_due(tx: Transaction, now: datetime, *, limit: int) -> Sequence[ScalingGroup]:
    """Claim groups to look at; the transaction is the lease."""
    with tx.cursor(row_factory=class_row(GroupRow)) as cursor:
        return [_to_group(row) for row in cursor.execute(CLAIM_DUE, {"now": now, "limit": limit}).fetchall()]


RECORD_CONVERGENCE: LiteralString = """
    UPDATE scaling_group SET failures = %(failures)s, retry_at = %(retry_at)s, launched_count = %(launched)s, converge_at = %(at)s
    WHERE id = %(id)s
"""


def record_convergence(
    tx: Transaction, group_id: UUID, *, failures: int, retry_at: datetime | None, launched: int, look_again_at: datetime
) -> None:
    """Write what a look at the group left behind, and when it is looked at again."""
    tx.execute(
        RECORD_CONVERGENCE,
        {"id": group_id, "failures": failures, "retry_at": retry_at, "launched": launched, "at": look_again_at},
    )


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A membership that has not ended."""

    instance_id: UUID
    group_id: UUID
    joined_at: datetime


LIST_MEMBERS: LiteralString = """
    SELECT instance_id, group_id, joined_at FROM scaling_member
    WHERE group_id = ANY(%s) AND left_at IS NULL ORDER BY joined_at, instance_id
"""


def list_members(tx: Transaction, group_ids: Sequence[UUID]) -> Sequence[MemberRow]:
    """List the members of some groups, oldest first."""
    with tx.cursor(row_factory=class_row(MemberRow)) as cursor:
        return cursor.execute(LIST_MEMBERS, (list(group_ids),)).fetchall()


INSERT_MEMBER: LiteralString = "INSERT INTO scaling_member (instance_id, group_id, joined_at) VALUES (%s, %s, %s)"


def insert_member(tx: Transaction, group_id: UUID, *, instance_id: UUID, now: datetime) -> None:
    """Take an instance into a group."""
    tx.execute(INSERT_MEMBER, (instance_id, group_id, now))


END_MEMBERSHIPS: LiteralString = (
    "UPDATE scaling_member SET left_at = %s WHERE instance_id = ANY(%s) AND left_at IS NULL"
)


def end_memberships(tx: Transaction, instance_ids: Sequence[UUID], *, now: datetime) -> None:
    """Let instances that are gone leave their groups."""
    tx.execute(END_MEMBERSHIPS, (now, list(instance_ids)))


WAKE_GROUP_OF: LiteralString = """
    UPDATE scaling_group SET converge_at = %(now)s
    FROM scaling_member WHERE scaling_member.instance_id = %(instance_id)s AND scaling_group.id = group_id
"""


def wake_group_of(tx: Transaction, instance_id: UUID, *, now: datetime) -> bool:
    """Have the group of an instance looked at now; false where it belongs to none."""
    return tx.execute(WAKE_GROUP_OF, {"instance_id": instance_id, "now": now}).rowcount > 0
