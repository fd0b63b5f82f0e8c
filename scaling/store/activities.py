"""The SQL of scaling activities: append-only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row

from foundation.database import Transaction
from scaling.model import Activity, ActivityId, DecisionKind, GroupId, PolicyId

INSERT_ACTIVITY: LiteralString = """
    INSERT INTO scaling_activity
        (id, group_id, project_id, policy_id, alarm_id, decision, reason, cause, size_before, size_after, at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


def insert_activity(tx: Transaction, activity: Activity) -> None:
    """Keep a decision."""
    tx.execute(
        INSERT_ACTIVITY,
        (
            activity.id,
            activity.group_id,
            activity.project_id,
            activity.policy_id,
            activity.alarm_id,
            activity.decision.value,
            activity.reason,
            activity.cause,
            activity.size_before,
            activity.size_after,
            activity.at,
        ),
    )


@dataclass(frozen=True, slots=True)
class ActivityRow:
    """An activity as the table has it."""

    id: UUID
    group_id: UUID
    project_id: str
    policy_id: UUID | None
    alarm_id: UUID | None
    decision: str
    reason: str
    cause: str
    size_before: int
    size_after: int
    at: datetime


LIST_ACTIVITIES: LiteralString = """
    SELECT id, group_id, project_id, policy_id, alarm_id, decision, reason, cause, size_before, size_after, at
    FROM scaling_activity
    WHERE project_id = %(project_id)s AND group_id = %(group_id)s AND (%(marker)s::uuid IS NULL OR id < %(marker)s)
    ORDER BY id DESC LIMIT %(limit)s
"""


def list_activities(
    tx: Transaction, group_id: UUID, *, project_id: str, marker: UUID | None, limit: int
) -> Sequence[Activity]:
    """List a group's activities, newest first; also of a group that is gone."""
    parameters = {"group_id": group_id, "project_id": project_id, "marker": marker, "limit": limit}
    with tx.cursor(row_factory=class_row(ActivityRow)) as cursor:
        rows = cursor.execute(LIST_ACTIVITIES, parameters).fetchall()
    return [_to_activity(row) for row in rows]


def _to_activity(row: ActivityRow) -> Activity:
    return Activity(
        id=ActivityId(row.id),
        group_id=GroupId(row.group_id),
        project_id=row.project_id,
        policy_id=None if row.policy_id is None else PolicyId(row.policy_id),
        alarm_id=row.alarm_id,
        decision=DecisionKind(row.decision),
        reason=row.reason,
        cause=row.cause,
        size_before=row.size_before,
        size_after=row.size_after,
        at=row.at,
    )


def find_newest(tx: Transaction, group_id: UUID, *, project_id: str) -> Activity | None:
    """Read the last decision about a group."""
    found = list_activities(tx, group_id, project_id=project_id, marker=None, limit=1)
    return found[0] if found else None
