"""Deadlines by the database's clock: when they end, and what they leave a statement."""

from datetime import datetime
from typing import LiteralString

from foundation.database import Transaction

INSTANT_AFTER: LiteralString = "SELECT clock_timestamp() + make_interval(secs => %s)"


def instant_after(tx: Transaction, seconds: float) -> datetime:
    """Return the instant that many seconds from now, by the database's clock."""
    row = tx.execute(INSTANT_AFTER, (seconds,)).fetchone()
    assert row is not None
    return row[0]


LIMIT_UNTIL: LiteralString = """
    SELECT set_config('statement_timeout', greatest(50, least(time_left.ms, %(most_ms)s))::text || 'ms', true), time_left.ms
    FROM (SELECT floor(extract(epoch FROM %(until)s - clock_timestamp()) * 1000)::bigint AS ms) AS time_left
"""


def limit_statements_until(tx: Transaction, until: datetime, *, most_s: float) -> int:
    """Let no statement take longer than what is left until an instant, nor than the most; return the milliseconds left."""
    row = tx.execute(LIMIT_UNTIL, {"until": until, "most_ms": round(most_s * 1000)}).fetchone()
    assert row is not None
    return int(row[1])
