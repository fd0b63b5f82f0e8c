"""The SQL of scaling policies."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row

from foundation.database import Transaction
from scaling.model import AdjustmentType, GroupId, PolicyId, PolicySpec, ScalingPolicy


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """A policy as the table has it."""

    id: UUID
    group_id: UUID
    name: str
    adjustment_type: str
    adjustment: int
    min_adjustment_step: int | None
    cooldown_s: int | None
    cooldown_until: datetime | None
    created_at: datetime


def _to_policy(row: PolicyRow) -> ScalingPolicy:
    return ScalingPolicy(
        id=PolicyId(row.id),
        group_id=GroupId(row.group_id),
        spec=PolicySpec(
            name=row.name,
            adjustment_type=AdjustmentType(row.adjustment_type),
            adjustment=row.adjustment,
            min_adjustment_step=row.min_adjustment_step,
            cooldown_s=row.cooldown_s,
        ),
        cooldown_until=row.cooldown_until,
        created_at=row.created_at,
    )


INSERT_POLICY: LiteralString = """
    INSERT INTO scaling_policy (id, group_id, name, adjustment_type, adjustment, min_adjustment_step, cooldown_s, created_at)
    VALUES (%(id)s, %(group_id)s, %(name)s, %(type)s, %(adjustment)s, %(step)s, %(cooldown_s)s, %(now)s)
"""


def insert_policy(tx: Transaction, policy_id: UUID, *, group_id: UUID, spec: PolicySpec, now: datetime) -> None:
    """Keep a new policy."""
    tx.execute(
        INSERT_POLICY,
        {
            "id": policy_id,
            "group_id": group_id,
            "name": spec.name,
            "type": spec.adjustment_type.value,
            "adjustment": spec.adjustment,
            "step": spec.min_adjustment_step,
            "cooldown_s": spec.cooldown_s,
            "now": now,
        },
    )


UPDATE_POLICY: LiteralString = """
    UPDATE scaling_policy SET
        name = %(name)s, adjustment_type = %(type)s, adjustment = %(adjustment)s, min_adjustment_step = %(step)s,
        cooldown_s = %(cooldown_s)s
    WHERE id = %(id)s
"""


def update_policy(tx: Transaction, policy_id: UUID, *, spec: PolicySpec) -> None:
    """Keep a policy's new settings."""
    tx.execute(
        UPDATE_POLICY,
        {
            "id": policy_id,
            "name": spec.name,
            "type": spec.adjustment_type.value,
            "adjustment": spec.adjustment,
            "step": spec.min_adjustment_step,
            "cooldown_s": spec.cooldown_s,
        },
    )


FIND_POLICY: LiteralString = "SELECT * FROM scaling_policy WHERE id = %s"


def find_policy(tx: Transaction, policy_id: UUID) -> ScalingPolicy | None:
    """Read a policy of whatever project."""
    with tx.cursor(row_factory=class_row(PolicyRow)) as cursor:
        row = cursor.execute(FIND_POLICY, (policy_id,)).fetchone()
    return None if row is None else _to_policy(row)


FIND_POLICIES: LiteralString = """
    SELECT p.id FROM scaling_policy p JOIN scaling_group g ON g.id = p.group_id
    WHERE p.id = ANY (%s) AND g.project_id = %s AND g.state <> 'deleting'
"""


def find_policies(tx: Transaction, policy_ids: Collection[UUID], *, project_id: str) -> frozenset[UUID]:
    """Return those of the ids that are policies of groups that the project has and is not deleting."""
    return frozenset(row[0] for row in tx.execute(FIND_POLICIES, (list(policy_ids), project_id)))


LIST_POLICIES: LiteralString = "SELECT * FROM scaling_policy WHERE group_id = %s ORDER BY id LIMIT %s"


def list_policies(tx: Transaction, group_id: UUID, *, limit: int) -> Sequence[ScalingPolicy]:
    """List a group's policies, oldest first."""
    with tx.cursor(row_factory=class_row(PolicyRow)) as cursor:
        return [_to_policy(row) for row in cursor.execute(LIST_POLICIES, (group_id, limit)).fetchall()]


SET_COOLDOWN: LiteralString = "UPDATE scaling_policy SET cooldown_until = %s WHERE id = %s"


def set_cooldown(tx: Transaction, policy_id: UUID, *, until: datetime | None) -> None:
    """Write until when a policy is not executed again."""
    tx.execute(SET_COOLDOWN, (until, policy_id))


DELETE_POLICY: LiteralString = "DELETE FROM scaling_policy WHERE id = %s"


def delete_policy(tx: Transaction, policy_id: UUID) -> None:
    """Forget a policy."""
    tx.execute(DELETE_POLICY, (policy_id,))
