"""Claiming dirty marks and recomputing the buckets that they touch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

from psycopg.rows import class_row

from foundation.database import Transaction
from foundation.statement_limits import try_within
from metering.model import SHARD_COUNT
from metering.store.fragments import STATISTICS, TOUCHED, TRACED
from metering.store.planning import many_small_probes

SHARD_LOCK_CLASS = 0x6E65706F
"""First half of the advisory lock of a shard's roller; the shard is the second."""


@dataclass(frozen=True, slots=True)
class MarkSize:
    """A mark and how many ranges it has."""

    id: int
    ranges: int


LIST_MARKS: LiteralString = """
    SELECT id, cardinality(metric_keys) AS ranges FROM dirty_mark WHERE shard = %s ORDER BY id LIMIT %s
"""


def list_marks(tx: Transaction, shard: int, *, limit: int) -> Sequence[MarkSize]:
    """Return the oldest marks of a shard that this snapshot sees."""
    with tx.cursor(row_factory=class_row(MarkSize)) as cursor:
        return cursor.execute(LIST_MARKS, (shard, limit)).fetchall()


RECOMPUTE: LiteralString = (
    """
    WITH marked AS MATERIALIZED (
        SELECT u.metric_key, u.first_at, max(u.last_at) AS last_at
        FROM dirty_mark d
        CROSS JOIN LATERAL unnest(d.metric_keys, d.first_ats, d.last_ats) AS u (metric_key, first_at, last_at)
        WHERE d.id = ANY(%(ids)s)
        GROUP BY u.metric_key, u.first_at
    ),
"""
    + TOUCHED
    + """,
    dirty AS MATERIALIZED (
        SELECT DISTINCT t.metric_key, c.meter_type, g.granularity_us,
            date_bin(g.granularity_us * INTERVAL '1 microsecond', t.observed_at, TIMESTAMPTZ 'epoch') AS bucket
        FROM touched t
        JOIN metric c ON c.key = t.metric_key AND c.status = 'active'
        JOIN archive_policy_granularity g ON g.archive_policy_name = c.archive_policy_name
        WHERE date_bin(g.granularity_us * INTERVAL '1 microsecond', t.observed_at, TIMESTAMPTZ 'epoch')
            >= (SELECT archived_until FROM retention)
    ),
    stretch AS MATERIALIZED (
        SELECT metric_key, meter_type, array_agg(DISTINCT granularity_us) AS granularities_us,
            min(bucket) AS first_at, max(end_at) AS end_at
        FROM (
            SELECT *, count(*) FILTER (WHERE starts_anew) OVER (PARTITION BY metric_key ORDER BY bucket, end_at DESC) AS place
            FROM (
                SELECT *, coalesce(bucket > max(end_at) OVER (
                    PARTITION BY metric_key ORDER BY bucket, end_at DESC
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), true) AS starts_anew
                FROM (SELECT *, bucket + granularity_us * INTERVAL '1 microsecond' AS end_at FROM dirty) e
            ) n
        ) p
        GROUP BY metric_key, meter_type, place
    ),
"""
    + TRACED
    + """
    INSERT INTO rollup (metric_key, granularity_us, bucket, count, sum, min, max, first, last, deviation_sq,
        increase_count, increase_sum, increase_min, increase_max, increase_first, increase_last,
        increase_deviation_sq, increase_elapsed_s)
    SELECT metric_key, granularity_us, bucket,
"""
    + STATISTICS
    + """
    FROM bucketed JOIN dirty USING (metric_key, granularity_us, bucket)
    GROUP BY metric_key, granularity_us, bucket
    ON CONFLICT (metric_key, granularity_us, bucket) DO UPDATE SET
        count = EXCLUDED.count, sum = EXCLUDED.sum, min = EXCLUDED.min, max = EXCLUDED.max,
        first = EXCLUDED.first, last = EXCLUDED.last, deviation_sq = EXCLUDED.deviation_sq,
        increase_count = EXCLUDED.increase_count, increase_sum = EXCLUDED.increase_sum,
        increase_min = EXCLUDED.increase_min, increase_max = EXCLUDED.increase_max,
        increase_first = EXCLUDED.increase_first, increase_last = EXCLUDED.increase_last,
        increase_deviation_sq = EXCLUDED.increase_deviation_sq, increase_elapsed_s = EXCLUDED.increase_elapsed_s
"""
)
"""Dirty buckets that touch or overlap, of whatever width, are one stretch, so that each reading is fetched and traced once.
A bucket of which readings are gone is sealed: it is never computed from the remains."""

ALLOW_NESTED_LOOPS: LiteralString = "SELECT set_config('enable_nestloop', %s, true)"
"""The planner cannot know how many buckets marks touch; where it thinks of one it would compare each with each. LATERAL is not concerned."""


def recompute_marked(tx: Transaction, mark_ids: Sequence[int]) -> int:
    """Write the rollups of all buckets that the marks touch, from raw; return how many."""
    tx.execute(ALLOW_NESTED_LOOPS, ("off",))
    with many_small_probes(tx):
        written = tx.execute(RECOMPUTE, {"ids": list(mark_ids)}, prepare=False).rowcount
    tx.execute(ALLOW_NESTED_LOOPS, ("on",))
    return written


PASS_TIMEOUT_MS = 10_000
"""How long one attempt may take: several fit into the roller's transaction."""


def try_recompute(tx: Transaction, mark_ids: Sequence[int]) -> int | None:
    """Recompute as recompute_marked does, or change nothing and return None where it takes too long."""
    return try_within(tx, PASS_TIMEOUT_MS, lambda: recompute_marked(tx, mark_ids))


SPLIT_MARK: LiteralString = """
    WITH taken AS (
        DELETE FROM dirty_mark
        WHERE id = %s AND (cardinality(metric_keys) > 1 OR last_ats[1] - first_ats[1] > INTERVAL '1 second')
        RETURNING *
    ),
    part AS (
        SELECT t.shard, t.marked_at, u.metric_key, u.first_at, u.last_at, u.n, cardinality(t.metric_keys) AS size,
            u.first_at + (u.last_at - u.first_at) / 2 AS middle_at
        FROM taken t
        CROSS JOIN LATERAL unnest(t.metric_keys, t.first_ats, t.last_ats) WITH ORDINALITY
            AS u (metric_key, first_at, last_at, n)
    ),
    piece AS (
        SELECT shard, marked_at, metric_key, first_at, last_at, n, n <= size / 2 AS is_first FROM part WHERE size > 1
        UNION ALL
        SELECT shard, marked_at, metric_key, first_at, middle_at, n, true FROM part WHERE size = 1
        UNION ALL
        SELECT shard, marked_at, metric_key, middle_at, last_at, n, false FROM part WHERE size = 1
    )
    INSERT INTO dirty_mark (shard, marked_at, metric_keys, first_ats, last_ats)
    SELECT shard, marked_at, array_agg(metric_key ORDER BY n), array_agg(first_at ORDER BY n), array_agg(last_at ORDER BY n)
    FROM piece GROUP BY shard, marked_at, is_first
"""


def split_mark(tx: Transaction, mark_id: int) -> bool:
    """Put two halves in the place of a mark, the ranges shared out or the only range cut; False where it is too small to cut."""
    return tx.execute(SPLIT_MARK, (mark_id,)).rowcount > 0


DROP_MARKS: LiteralString = "DELETE FROM dirty_mark WHERE id = ANY(%s)"


def drop_marks(tx: Transaction, mark_ids: Sequence[int]) -> None:
    """Delete just these marks."""
    tx.execute(DROP_MARKS, (list(mark_ids),))


TRY_LOCK_SHARD: LiteralString = "SELECT pg_try_advisory_lock(%s, %s)"
UNLOCK_SHARD: LiteralString = "SELECT pg_advisory_unlock(%s, %s)"


def try_lock_shard(connection: Transaction, shard: int) -> bool:
    """Take the shard for this session if nobody has it."""
    row = connection.execute(TRY_LOCK_SHARD, (SHARD_LOCK_CLASS, shard)).fetchone()
    assert row is not None
    return bool(row[0])


def unlock_shard(connection: Transaction, shard: int) -> None:
    """Give the shard back."""
    connection.execute(UNLOCK_SHARD, (SHARD_LOCK_CLASS, shard))


DIRTY_SHARDS: LiteralString = """
    SELECT shard FROM generate_series(0, %s - 1) shard
    CROSS JOIN LATERAL (SELECT id FROM dirty_mark WHERE dirty_mark.shard = shard.shard ORDER BY id LIMIT 1) oldest
    ORDER BY oldest.id
"""


def list_dirty_shards(tx: Transaction) -> Sequence[int]:
    """Return the shards that have marks, the one whose marks wait longest first."""
    return [int(row[0]) for row in tx.execute(DIRTY_SHARDS, (SHARD_COUNT,))]


COUNT_MARKS: LiteralString = """
    SELECT count(*), coalesce(sum(cardinality(metric_keys)), 0) FROM dirty_mark
"""


def count_marks(tx: Transaction) -> tuple[int, int]:
    """Return how many marks wait to be rolled up, and how many ranges they have."""
    row = tx.execute(COUNT_MARKS).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


COUNT_MARKED_METRICS: LiteralString = """
    SELECT count(DISTINCT key) FROM dirty_mark d CROSS JOIN LATERAL unnest(d.metric_keys) AS u (key)
"""


def count_marked_metrics(tx: Transaction) -> int:
    """Return how many metrics wait to be rolled up."""
    row = tx.execute(COUNT_MARKED_METRICS).fetchone()
    assert row is not None
    return int(row[0])
