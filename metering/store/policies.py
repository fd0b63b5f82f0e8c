"""Archive policies and the rules that choose them."""

from collections.abc import Sequence
from typing import LiteralString

from psycopg.rows import class_row

from foundation.database import Transaction
from metering.archive_policies import ArchivePolicy
from metering.model import SHARD_COUNT
from metering.samples import ArchivePolicyRule
from metering.store.rollups import SHARD_LOCK_CLASS

LIST_POLICIES: LiteralString = """
    SELECT p.name, p.back_window, p.aggregation_methods,
        array_agg(g.granularity_us ORDER BY g.granularity_us) AS granularities_us,
        array_agg(g.points ORDER BY g.granularity_us) AS points
    FROM archive_policy p JOIN archive_policy_granularity g ON g.archive_policy_name = p.name
    WHERE %(name)s::text IS NULL OR p.name = %(name)s
    GROUP BY p.name ORDER BY p.name
"""


def list_policies(tx: Transaction) -> Sequence[ArchivePolicy]:
    """Return all archive policies by name."""
    with tx.cursor(row_factory=class_row(ArchivePolicy)) as cursor:
        return cursor.execute(LIST_POLICIES, {"name": None}).fetchall()


def find_policy(tx: Transaction, name: str) -> ArchivePolicy | None:
    """Return an archive policy."""
    with tx.cursor(row_factory=class_row(ArchivePolicy)) as cursor:
        return cursor.execute(LIST_POLICIES, {"name": name}).fetchone()


INSERT_POLICY: LiteralString = """
    INSERT INTO archive_policy (name, back_window, aggregation_methods) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING
"""
INSERT_GRANULARITIES: LiteralString = """
    INSERT INTO archive_policy_granularity (archive_policy_name, granularity_us, points)
    SELECT %s, g.granularity_us, g.points FROM unnest(%s::bigint[], %s::bigint[]) AS g (granularity_us, points)
    ON CONFLICT (archive_policy_name, granularity_us) DO UPDATE SET points = EXCLUDED.points
"""
LOCK_POLICY: LiteralString = "SELECT FROM archive_policy WHERE name = %s FOR UPDATE"
UPDATE_POLICY: LiteralString = "UPDATE archive_policy SET back_window = %s, aggregation_methods = %s WHERE name = %s"
DROP_GRANULARITIES: LiteralString = """
    DELETE FROM archive_policy_granularity WHERE archive_policy_name = %s AND granularity_us <> ALL(%s)
"""


def insert_policy(tx: Transaction, policy: ArchivePolicy) -> bool:
    """Make an archive policy; False where the name is taken."""
    made = tx.execute(INSERT_POLICY, (policy.name, policy.back_window, policy.aggregation_methods)).rowcount == 1
    if made:
        tx.execute(INSERT_GRANULARITIES, (policy.name, policy.granularities_us, policy.points))
    return made


def lock_policy(tx: Transaction, name: str) -> None:
    """Keep anybody else from changing a policy until the transaction ends."""
    tx.execute(LOCK_POLICY, (name,))


def update_policy(tx: Transaction, policy: ArchivePolicy) -> None:
    """Write what a policy keeps and serves."""
    tx.execute(UPDATE_POLICY, (policy.back_window, policy.aggregation_methods, policy.name))
    tx.execute(DROP_GRANULARITIES, (policy.name, policy.granularities_us))
    tx.execute(INSERT_GRANULARITIES, (policy.name, policy.granularities_us, policy.points))


HOLD_SHARDS: LiteralString = "SELECT pg_advisory_xact_lock(%s, shard) FROM generate_series(0, %s - 1) shard"
MARK_ROLLED_UP: LiteralString = """
    INSERT INTO dirty_mark (shard, metric_keys, first_ats, last_ats)
    SELECT shard, array_agg(metric_key ORDER BY n), array_agg(first_at ORDER BY n), array_agg(last_at ORDER BY n)
    FROM (
        SELECT c.key %% %(shards)s AS shard, r.metric_key, r.bucket AS first_at,
            r.bucket + (r.granularity_us - 1) * INTERVAL '1 microsecond' AS last_at,
            row_number() OVER (PARTITION BY c.key %% %(shards)s ORDER BY r.bucket DESC, c.key) AS n
        FROM metric c JOIN rollup r ON r.metric_key = c.key AND r.granularity_us = %(granularity_us)s
        WHERE c.archive_policy_name = %(name)s AND c.status = 'active'
    ) ranges
    GROUP BY shard, n / %(ranges_max)s
    ORDER BY shard, min(n)
"""
MARK_RANGES_MAX = 1_000


def hold_shards(tx: Transaction) -> None:
    """Wait for the rollers and keep them away until the transaction ends.

    A roller that began before a granularity was added would take marks without making its buckets.
    """
    tx.execute(HOLD_SHARDS, (SHARD_LOCK_CLASS, SHARD_COUNT))


def mark_rolled_up(tx: Transaction, name: str, *, granularity_us: int) -> None:
    """Mark whatever is rolled up of a policy's metrics in buckets of one width; what is not rolled up is marked already."""
    tx.execute(
        MARK_ROLLED_UP,
        {"shards": SHARD_COUNT, "granularity_us": granularity_us, "name": name, "ranges_max": MARK_RANGES_MAX},
    )


IS_POLICY_USED: LiteralString = """
    SELECT EXISTS (SELECT FROM metric WHERE archive_policy_name = %(name)s)
        OR EXISTS (SELECT FROM archive_policy_rule WHERE archive_policy_name = %(name)s)
"""
DELETE_POLICY: LiteralString = "DELETE FROM archive_policy WHERE name = %s"


def is_policy_used(tx: Transaction, name: str) -> bool:
    """Tell whether a metric or a rule names the policy."""
    row = tx.execute(IS_POLICY_USED, {"name": name}).fetchone()
    assert row is not None
    return bool(row[0])


def delete_policy(tx: Transaction, name: str) -> None:
    """Delete an unused policy."""
    tx.execute(DELETE_POLICY, (name,))


LIST_RULES: LiteralString = "SELECT name, metric_pattern, archive_policy_name FROM archive_policy_rule ORDER BY name"


def list_rules(tx: Transaction) -> Sequence[ArchivePolicyRule]:
    """Return all rules by name."""
    with tx.cursor(row_factory=class_row(ArchivePolicyRule)) as cursor:
        return cursor.execute(LIST_RULES).fetchall()


INSERT_RULE: LiteralString = """
    INSERT INTO archive_policy_rule (name, metric_pattern, archive_policy_name) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING
"""
RENAME_RULE: LiteralString = "UPDATE archive_policy_rule SET name = %s WHERE name = %s"
DELETE_RULE: LiteralString = "DELETE FROM archive_policy_rule WHERE name = %s"


def insert_rule(tx: Transaction, rule: ArchivePolicyRule) -> bool:
    """Make a rule; False where the name is taken."""
    return tx.execute(INSERT_RULE, (rule.name, rule.metric_pattern, rule.archive_policy_name)).rowcount == 1


def rename_rule(tx: Transaction, name: str, *, new_name: str) -> None:
    """Give a rule another name."""
    tx.execute(RENAME_RULE, (new_name, name))


def delete_rule(tx: Transaction, name: str) -> bool:
    """Delete a rule; False where there is none."""
    return tx.execute(DELETE_RULE, (name,)).rowcount == 1
