"""The SQL of the history of alarms: append-only, kept for ever."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from alarms.model import AlarmId, HistoryEvent, HistoryEventId, HistoryType, Severity
from foundation.database import Transaction

APPEND_HISTORY: LiteralString = """
    INSERT INTO alarm_history (id, alarm_id, project_id, user_id, type, detail, severity, at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""


def append_history(tx: Transaction, events: Sequence[HistoryEvent]) -> None:
    """Keep facts of alarms' lives."""
    rows = [
        (
            event.id,
            event.alarm_id,
            event.project_id,
            event.user_id,
            event.type.value,
            Jsonb(dict(event.detail)),
            event.severity.value,
            event.at,
        )
        for event in events
    ]
    with tx.cursor() as cursor:
        cursor.executemany(APPEND_HISTORY, rows)


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """An event as the table has it."""

    id: UUID
    alarm_id: UUID
    project_id: str
    user_id: str | None
    type: str
    detail: dict[str, Any]
    severity: str
    at: datetime


LIST_HISTORY: LiteralString = """
    SELECT id, alarm_id, project_id, user_id, type, detail, severity, at FROM alarm_history
    WHERE (%(project_id)s::text IS NULL OR project_id = %(project_id)s) AND alarm_id = %(alarm_id)s
      AND (%(only)s::text IS NULL OR type = %(only)s)
      AND (%(marker)s::uuid IS NULL OR id < %(marker)s)
    ORDER BY id DESC
    LIMIT %(limit)s
"""


def list_history(
    tx: Transaction,
    alarm_id: UUID,
    *,
    project_id: str | None,
    marker: UUID | None,
    limit: int,
    only: HistoryType | None = None,
) -> Sequence[HistoryEvent]:
    """List an alarm's history, newest first, before the event named by the marker; also of an alarm that is gone."""
    parameters = {
        "project_id": project_id,
        "alarm_id": alarm_id,
        "marker": marker,
        "limit": limit,
        "only": None if only is None else only.value,
    }
    with tx.cursor(row_factory=class_row(HistoryRow)) as cursor:
        rows = cursor.execute(LIST_HISTORY, parameters).fetchall()
    return [_to_event(row) for row in rows]


def _to_event(row: HistoryRow) -> HistoryEvent:
    return HistoryEvent(
        id=HistoryEventId(row.id),
        alarm_id=AlarmId(row.alarm_id),
        project_id=row.project_id,
        user_id=row.user_id,
        type=HistoryType(row.type),
        detail=row.detail,
        severity=Severity(row.severity),
        at=row.at,
    )


LIST_NEWEST: LiteralString = """
    SELECT id, alarm_id, project_id, user_id, type, detail, severity, at FROM alarm_history
    WHERE %(project_id)s::text IS NULL OR project_id = %(project_id)s
    ORDER BY id DESC
    LIMIT %(limit)s
"""


def list_newest(tx: Transaction, *, project_id: str | None, limit: int) -> Sequence[HistoryEvent]:
    """List the newest events of a project's alarms, or of all projects'."""
    with tx.cursor(row_factory=class_row(HistoryRow)) as cursor:
        rows = cursor.execute(LIST_NEWEST, {"project_id": project_id, "limit": limit}).fetchall()
    return [_to_event(row) for row in rows]
