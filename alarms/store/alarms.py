"""The SQL of alarms: what is watched, what is due, and how many a project may have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

from psycopg import sql
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from alarms.documents import constraint_document, rule_document, spec_from_document
from alarms.model import Alarm, AlarmFilter, AlarmId, AlarmSpec, AlarmState, AlarmUnreadable
from foundation.database import Transaction
from foundation.errors import Invalid


@dataclass(frozen=True, slots=True)
class AlarmRow:
    """An alarm as the table has it."""

    id: UUID
    project_id: str
    user_id: str | None
    name: str
    description: str
    enabled: bool
    type: str
    rule: dict[str, Any]
    severity: str
    ok_actions: list[str]
    alarm_actions: list[str]
    insufficient_data_actions: list[str]
    repeat_actions: bool
    time_constraints: list[dict[str, Any]]
    evaluation_interval_s: int | None
    state: str
    state_reason: str
    state_reason_data: dict[str, Any]
    state_at: datetime
    created_at: datetime
    updated_at: datetime
    evaluated_at: datetime | None
    next_evaluation_at: datetime
    last_value: float | None


SPEC_FIELDS = (
    "name", "description", "enabled", "type", "rule", "severity", "ok_actions", "alarm_actions",
    "insufficient_data_actions", "repeat_actions", "time_constraints", "evaluation_interval_s",
)  # fmt: skip


def _to_alarm(row: AlarmRow) -> Alarm:
    try:
        spec = spec_from_document({name: getattr(row, name) for name in SPEC_FIELDS})
    except (Invalid, ValueError, TypeError, LookupError, ArithmeticError) as error:
        raise AlarmUnreadable(row.id, project_id=row.project_id, fault=str(error)) from error
    return Alarm(
        id=AlarmId(row.id),
        project_id=row.project_id,
        user_id=row.user_id,
        spec=spec,
        state=AlarmState(row.state),
        state_reason=row.state_reason,
        state_reason_data=row.state_reason_data,
        state_at=row.state_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
        evaluated_at=row.evaluated_at,
        next_evaluation_at=row.next_evaluation_at,
        last_value=row.last_value,
    )


@dataclass(frozen=True, slots=True)
class ReadAlarms:
    """Alarms, and those that cannot be read."""

    alarms: Sequence[Alarm]
    unreadable: Sequence[AlarmUnreadable]


def _read(rows: Sequence[AlarmRow]) -> ReadAlarms:
    alarms: list[Alarm] = []
    unreadable: list[AlarmUnreadable] = []
    for row in rows:
        try:
            alarms.append(_to_alarm(row))
        except AlarmUnreadable as one:
            unreadable.append(one)
    return ReadAlarms(alarms, unreadable)


def _spec_parameters(spec: AlarmSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "description": spec.description,
        "enabled": spec.enabled,
        "type": spec.rule.type.value,
        "rule": Jsonb(rule_document(spec.rule)),
        "severity": spec.severity.value,
        "ok_actions": list(spec.actions.ok),
        "alarm_actions": list(spec.actions.alarm),
        "insufficient_data_actions": list(spec.actions.insufficient_data),
        "repeat_actions": spec.repeat_actions,
        "time_constraints": Jsonb([constraint_document(constraint) for constraint in spec.time_constraints]),
        "evaluation_interval_s": spec.evaluation_interval_s,
    }


INSERT_ALARM: LiteralString = """
    INSERT INTO alarm (
        id, project_id, user_id, name, description, enabled, type, rule, severity, ok_actions, alarm_actions,
        insufficient_data_actions, repeat_actions, time_constraints, evaluation_interval_s,
        state, state_reason, state_reason_data, state_at, created_at, updated_at, next_evaluation_at)
    VALUES (
        %(id)s, %(project_id)s, %(user_id)s, %(name)s, %(description)s, %(enabled)s, %(type)s, %(rule)s, %(severity)s,
        %(ok_actions)s, %(alarm_actions)s, %(insufficient_data_actions)s, %(repeat_actions)s, %(time_constraints)s,
        %(evaluation_interval_s)s, %(state)s, %(state_reason)s, %(state_reason_data)s, %(state_at)s, %(created_at)s,
        %(updated_at)s, %(next_evaluation_at)s)
"""


def insert_alarm(tx: Transaction, alarm: Alarm) -> None:
    """Keep a new alarm."""
    tx.execute(
        INSERT_ALARM,
        {
            **_spec_parameters(alarm.spec),
            "id": alarm.id,
            "project_id": alarm.project_id,
            "user_id": alarm.user_id,
            "state": alarm.state.value,
            "state_reason": alarm.state_reason,
            "state_reason_data": Jsonb(dict(alarm.state_reason_data)),
            "state_at": alarm.state_at,
            "created_at": alarm.created_at,
            "updated_at": alarm.updated_at,
            "next_evaluation_at": alarm.next_evaluation_at,
        },
    )


UPDATE_SPEC: LiteralString = """
    UPDATE alarm SET
        name = %(name)s, description = %(description)s, enabled = %(enabled)s, type = %(type)s, rule = %(rule)s,
        severity = %(severity)s, ok_actions = %(ok_actions)s, alarm_actions = %(alarm_actions)s,
        insufficient_data_actions = %(insufficient_data_actions)s, repeat_actions = %(repeat_actions)s,
        time_constraints = %(time_constraints)s, evaluation_interval_s = %(evaluation_interval_s)s,
        updated_at = %(now)s, next_evaluation_at = %(now)s
    WHERE id = %(id)s
"""


def update_spec(tx: Transaction, alarm_id: UUID, *, spec: AlarmSpec, now: datetime) -> None:
    """Keep an alarm's new settings, and have it evaluated with them at once."""
    tx.execute(UPDATE_SPEC, {**_spec_parameters(spec), "id": alarm_id, "now": now})


DELETE_ALARM: LiteralString = "DELETE FROM alarm WHERE id = %s"


def delete_alarm(tx: Transaction, alarm_id: UUID) -> None:
    """Forget an alarm; its history and deliveries stay."""
    tx.execute(DELETE_ALARM, (alarm_id,))


DELETE_OF_PROJECT: LiteralString = "DELETE FROM alarm WHERE project_id = %s RETURNING *"


def delete_of_project(tx: Transaction, project_id: str) -> ReadAlarms:
    """Forget every alarm of a project, at most as many as its limit let it have, and return them."""
    with tx.cursor(row_factory=class_row(AlarmRow)) as cursor:
        return _read(cursor.execute(DELETE_OF_PROJECT, (project_id,)).fetchall())


FIND_ALARM: LiteralString = "SELECT * FROM alarm WHERE id = %s"
LOCK_ALARM: LiteralString = "SELECT * FROM alarm WHERE id = %s FOR UPDATE"


def find_alarm(tx: Transaction, alarm_id: UUID, *, for_update: bool = False) -> Alarm | None:
    """Read an alarm of whatever project, locked where it is about to change. Raises AlarmUnreadable."""
    with tx.cursor(row_factory=class_row(AlarmRow)) as cursor:
        row = cursor.execute(LOCK_ALARM if for_update else FIND_ALARM, (alarm_id,)).fetchone()
    return None if row is None else _to_alarm(row)


LIST_ALARMS: LiteralString = """
    WITH ordered AS (
        SELECT *, row_number() OVER (ORDER BY {order}, id) AS position
        FROM alarm
        WHERE (%(project_id)s::text IS NULL OR project_id = %(project_id)s)
          AND (%(user_id)s::text IS NULL OR user_id = %(user_id)s)
          AND (%(type)s::text IS NULL OR type = %(type)s)
          AND (%(name)s::text IS NULL OR name = %(name)s)
          AND (%(enabled)s::boolean IS NULL OR enabled = %(enabled)s)
          AND (%(state)s::text IS NULL OR state = %(state)s)
          AND (%(severity)s::text IS NULL OR severity = %(severity)s)
          AND (%(repeat_actions)s::boolean IS NULL OR repeat_actions = %(repeat_actions)s)
    )
    SELECT id, project_id, user_id, name, description, enabled, type, rule, severity, ok_actions, alarm_actions,
           insufficient_data_actions, repeat_actions, time_constraints, evaluation_interval_s, state, state_reason,
           state_reason_data, state_at, created_at, updated_at, evaluated_at, next_evaluation_at, last_value
    FROM ordered
    WHERE %(marker)s::uuid IS NULL OR position > (SELECT position FROM ordered WHERE id = %(marker)s)
    ORDER BY position
    LIMIT %(limit)s
"""

ORDERS: dict[str, LiteralString] = {
    "alarm_id": "id",
    "created_at": "created_at",
    "timestamp": "updated_at",
    "state_timestamp": "state_at",
    "name": "name",
    "type": "type",
    "enabled": "enabled",
    "state": "state",
    "severity": "array_position(ARRAY['low', 'moderate', 'critical'], severity)",
    "user_id": "user_id",
    "project_id": "project_id",
    "repeat_actions": "repeat_actions",
}


def list_alarms(
    tx: Transaction, wanted: AlarmFilter, *, sorts: Sequence[tuple[str, bool]], marker: UUID | None, limit: int
) -> Sequence[Alarm]:
    """List alarms by (field, is descending) and then by id, after the alarm named by the marker. Raises AlarmUnreadable."""
    terms: list[sql.Composable] = []
    for name, is_descending in sorts or [("created_at", True)]:
        if name not in ORDERS:
            raise Invalid(f"alarms are sorted by {', '.join(sorted(ORDERS))}, not by {name!r}", field="sort")
        terms.append(sql.SQL(ORDERS[name]) + sql.SQL(" DESC" if is_descending else " ASC"))
    statement = sql.SQL(LIST_ALARMS).format(order=sql.SQL(", ").join(terms))
    parameters = {
        "project_id": wanted.project_id,
        "user_id": wanted.user_id,
        "type": wanted.type,
        "name": wanted.name,
        "enabled": wanted.enabled,
        "state": wanted.state,
        "severity": wanted.severity,
        "repeat_actions": wanted.repeat_actions,
        "marker": marker,
        "limit": limit,
    }
    with tx.cursor(row_factory=class_row(AlarmRow)) as cursor:
        return [_to_alarm(row) for row in cursor.execute(statement, parameters).fetchall()]


HAS_DUE: LiteralString = "SELECT EXISTS (SELECT FROM alarm WHERE enabled AND next_evaluation_at <= %s)"


def has_due(tx: Transaction, now: datetime) -> bool:
    """Tell whether any alarm's evaluation time has come."""
    row = tx.execute(HAS_DUE, (now,)).fetchone()
    return row is not None and bool(row[0])


CLAIM_DUE: LiteralString = """
    SELECT * FROM alarm
    WHERE enabled AND next_evaluation_at <= %(now)s
    ORDER BY next_evaluation_at
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
"""


def claim_due(tx: Transaction, now: datetime, *, limit: int) -> ReadAlarms:
    """Claim due alarms, longest due first; the transaction is the lease, so that a crash gives them back."""
    with tx.cursor(row_factory=class_row(AlarmRow)) as cursor:
        return _read(cursor.execute(CLAIM_DUE, {"now": now, "limit": limit}).fetchall())


@dataclass(frozen=True, slots=True)
class Judged:
    """What one evaluation writes back."""

    alarm_id: UUID
    state: AlarmState
    state_reason: str
    state_reason_data: dict[str, Any]
    last_value: float | None
    is_transition: bool
    next_evaluation_at: datetime


RECORD_JUDGED: LiteralString = """
    UPDATE alarm SET
        state = judged.state,
        state_reason = judged.reason,
        state_reason_data = judged.reason_data,
        state_at = CASE WHEN judged.is_transition THEN %(now)s ELSE alarm.state_at END,
        last_value = judged.last_value,
        evaluated_at = %(now)s,
        next_evaluation_at = judged.next_at
    FROM unnest(
        %(ids)s::uuid[], %(states)s::text[], %(reasons)s::text[], %(reasons_data)s::jsonb[], %(values)s::float8[],
        %(transitions)s::boolean[], %(nexts)s::timestamptz[]
    ) AS judged (id, state, reason, reason_data, last_value, is_transition, next_at)
    WHERE alarm.id = judged.id
"""


def record_judged(tx: Transaction, judged: Sequence[Judged], *, now: datetime) -> None:
    """Write what the evaluations said, and when each alarm is due again, in one statement."""
    tx.execute(
        RECORD_JUDGED,
        {
            "ids": [one.alarm_id for one in judged],
            "states": [one.state.value for one in judged],
            "reasons": [one.state_reason for one in judged],
            "reasons_data": [Jsonb(one.state_reason_data) for one in judged],
            "values": [one.last_value for one in judged],
            "transitions": [one.is_transition for one in judged],
            "nexts": [one.next_evaluation_at for one in judged],
            "now": now,
        },
    )


POSTPONE: LiteralString = """
    UPDATE alarm SET next_evaluation_at = postponed.next_at
    FROM unnest(%(ids)s::uuid[], %(nexts)s::timestamptz[]) AS postponed (id, next_at)
    WHERE alarm.id = postponed.id
"""


def postpone(tx: Transaction, postponed: Sequence[tuple[UUID, datetime]]) -> None:
    """Reschedule alarms that are outside their hours; their state stands."""
    tx.execute(POSTPONE, {"ids": [one[0] for one in postponed], "nexts": [one[1] for one in postponed]})


BRING_FORWARD: LiteralString = """
    UPDATE alarm SET next_evaluation_at = %(now)s WHERE id IN (
        SELECT id FROM alarm
        WHERE enabled AND next_evaluation_at > %(now)s + %(ahead_max)s
            AND next_evaluation_at > %(now)s + %(ahead_max)s + make_interval(secs => coalesce(evaluation_interval_s, 0))
        LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
"""


def bring_forward(tx: Transaction, *, now: datetime, ahead_max: timedelta, limit: int) -> int:
    """Make those alarms due that are to be evaluated later than that and their own interval; return how many there were."""
    return tx.execute(BRING_FORWARD, {"now": now, "ahead_max": ahead_max, "limit": limit}).rowcount


PUT_OFF: LiteralString = """
    UPDATE alarm SET next_evaluation_at = %(next_at)s, state_reason = u.reason
    FROM unnest(%(ids)s::uuid[], %(reasons)s::text[]) AS u (id, reason)
    WHERE alarm.id = u.id
"""


def put_off(tx: Transaction, reasons: Mapping[UUID, str], *, next_at: datetime) -> None:
    """Reschedule alarms that could not be judged, and tell their owners why; their states stand."""
    tx.execute(PUT_OFF, {"ids": list(reasons), "reasons": list(reasons.values()), "next_at": next_at})


SET_STATE: LiteralString = """
    UPDATE alarm SET state = %(state)s, state_reason = %(reason)s, state_reason_data = '{}', state_at = %(now)s
    WHERE id = %(id)s
"""


def set_state(tx: Transaction, alarm_id: UUID, *, state: AlarmState, reason: str, now: datetime) -> None:
    """Set a state by hand."""
    tx.execute(SET_STATE, {"id": alarm_id, "state": state.value, "reason": reason, "now": now})
