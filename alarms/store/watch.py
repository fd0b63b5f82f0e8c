"""How late evaluations and deliveries are, asked so that it stays cheap however many there are."""

from dataclasses import dataclass
from typing import LiteralString

from psycopg.rows import class_row

from foundation.database import Transaction


@dataclass(frozen=True, slots=True)
class AlarmBacklog:
    """Evaluations and deliveries that wait, each counted up to a limit, and by how many seconds the first is late."""

    alarms_due: int
    alarms_late_s: float
    deliveries_pending: int
    deliveries_late_s: float


READ_BACKLOG: LiteralString = """
    SELECT
        (SELECT count(*) FROM (
            SELECT FROM alarm WHERE enabled AND next_evaluation_at <= clock_timestamp() LIMIT %(limit)s
        ) a)::int AS alarms_due,
        greatest(0, coalesce(extract(epoch FROM clock_timestamp() - (
            SELECT min(next_evaluation_at) FROM alarm WHERE enabled
        )), 0))::float8 AS alarms_late_s,
        (SELECT count(*) FROM (SELECT FROM delivery WHERE state = 'pending' LIMIT %(limit)s) d)::int AS deliveries_pending,
        greatest(0, coalesce(extract(epoch FROM clock_timestamp() - (
            SELECT min(next_attempt_at) FROM delivery WHERE state = 'pending'
        )), 0))::float8 AS deliveries_late_s
"""


def read_backlog(tx: Transaction, *, limit: int) -> AlarmBacklog:
    """Read what waits, by the database's clock."""
    with tx.cursor(row_factory=class_row(AlarmBacklog)) as cursor:
        backlog = cursor.execute(READ_BACKLOG, {"limit": limit}).fetchone()
    assert backlog is not None
    return backlog
