"""How far behind the rollups are, and what the listener could not read, asked so that it stays cheap however much waits."""

from dataclasses import dataclass
from typing import LiteralString

from psycopg.rows import class_row

from foundation.database import Transaction
from metering.model import SHARD_COUNT


@dataclass(frozen=True, slots=True)
class RollUpState:
    """Marks that wait, counted up to a limit, and the age in seconds of the oldest, 0 where none waits."""

    marks: int
    lag_s: float


READ_ROLL_UP_STATE: LiteralString = """
    SELECT (SELECT count(*) FROM (SELECT FROM dirty_mark LIMIT %(limit)s) m)::int AS marks,
        coalesce(extract(epoch FROM clock_timestamp() - (
            SELECT min(oldest.marked_at) FROM generate_series(0, %(shards)s - 1) AS s (shard)
            CROSS JOIN LATERAL (
                SELECT marked_at FROM dirty_mark WHERE dirty_mark.shard = s.shard ORDER BY id LIMIT 1
            ) oldest
        )), 0)::float8 AS lag_s
"""


def read_roll_up_state(tx: Transaction, *, limit: int) -> RollUpState:
    """Read how far behind the rollups are, by the database's clock."""
    with tx.cursor(row_factory=class_row(RollUpState)) as cursor:
        state = cursor.execute(READ_ROLL_UP_STATE, {"limit": limit, "shards": SHARD_COUNT}).fetchone()
    assert state is not None
    return state
