"""The SQL of how many alarms a project may have."""

from typing import LiteralString

from foundation.database import Transaction

LOCK_PROJECT: LiteralString = "SELECT pg_advisory_xact_lock(hashtextextended('alarm-quota ' || %s, 0))"
COUNT_ALARMS: LiteralString = "SELECT count(*) FROM alarm WHERE project_id = %s"


def count_alarms_locked(tx: Transaction, project_id: str) -> int:
    """Count a project's alarms, holding its lock until the transaction ends, so that two requests cannot both take the last place."""
    tx.execute(LOCK_PROJECT, (project_id,))
    row = tx.execute(COUNT_ALARMS, (project_id,)).fetchone()
    assert row is not None
    return int(row[0])


FIND_QUOTA: LiteralString = "SELECT alarms_max FROM alarm_quota WHERE project_id = %s"


def find_quota(tx: Transaction, project_id: str) -> int | None:
    """Read a project's own limit, -1 for none; None where it has the default."""
    row = tx.execute(FIND_QUOTA, (project_id,)).fetchone()
    return None if row is None else int(row[0])


SET_QUOTA: LiteralString = """
    INSERT INTO alarm_quota (project_id, alarms_max) VALUES (%s, %s)
    ON CONFLICT (project_id) DO UPDATE SET alarms_max = EXCLUDED.alarms_max
"""


def set_quota(tx: Transaction, project_id: str, *, alarms_max: int) -> None:
    """Give a project a limit of its own."""
    tx.execute(SET_QUOTA, (project_id, alarms_max))


DELETE_QUOTA: LiteralString = "DELETE FROM alarm_quota WHERE project_id = %s"


def delete_quota(tx: Transaction, project_id: str) -> None:
    """Give a project the default again."""
    tx.execute(DELETE_QUOTA, (project_id,))
