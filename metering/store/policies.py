"""Archive policies and the rules that choose them."""

from collections.abc import Sequence
from typing import LiteralString

from psycopg.rows import class_row

from foundation.database import Transaction
from metering.archive_policies import ArchivePolicy
from metering.samples import ArchivePolicyRule

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
UPDATE_POLICY: LiteralString = "UPDATE archive_policy SET back_window = %s WHERE name = %s"


def insert_policy(tx: Transaction, policy: ArchivePolicy) -> bool:
    """Make an archive policy; False where the name is taken."""
    made = tx.execute(INSERT_POLICY, (policy.name, policy.back_window, policy.aggregation_methods)).rowcount == 1
    if made:
        tx.execute(INSERT_GRANULARITIES, (policy.name, policy.granularities_us, policy.points))
    return made


def update_policy(tx: Transaction, policy: ArchivePolicy) -> None:
    """Write a policy's back window and points; its granularities stay."""
    tx.execute(UPDATE_POLICY, (policy.back_window, policy.name))
    tx.execute(INSERT_GRANULARITIES, (policy.name, policy.granularities_us, policy.points))


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
