"""Rows of quotas, and what projects use of them; use is counted from the instances themselves, so it cannot leak."""

from typing import LiteralString

from psycopg.rows import class_row

from compute.quota import Quota, QuotaUsage
from foundation.database import Transaction

ENSURE_QUOTA: LiteralString = "INSERT INTO project_quota (project_id) VALUES (%s) ON CONFLICT DO NOTHING"

LOCK_QUOTA: LiteralString = "SELECT 1 FROM project_quota WHERE project_id = %s FOR UPDATE"


def lock_quota(tx: Transaction, project_id: str) -> None:
    """Let one order after the other count what the project has, so that two together never pass the limit."""
    tx.execute(ENSURE_QUOTA, (project_id,))
    tx.execute(LOCK_QUOTA, (project_id,))


SELECT_QUOTA: LiteralString = """
    SELECT coalesce(q.instances, %(instances)s) AS instances, coalesce(q.cores, %(cores)s) AS cores,
        coalesce(q.ram_mib, %(ram_mib)s) AS ram_mib, coalesce(q.key_pairs, %(key_pairs)s) AS key_pairs,
        coalesce(q.metadata_items, %(metadata_items)s) AS metadata_items
    FROM (SELECT %(project_id)s AS project_id) asked LEFT JOIN project_quota q ON q.project_id = asked.project_id
"""


def get_quota(tx: Transaction, project_id: str, *, defaults: Quota) -> Quota:
    """Return the project's limits, the default where it has none of its own."""
    parameters = {
        "project_id": project_id,
        "instances": defaults.instances,
        "cores": defaults.cores,
        "ram_mib": defaults.ram_mib,
        "key_pairs": defaults.key_pairs,
        "metadata_items": defaults.metadata_items,
    }
    with tx.cursor(row_factory=class_row(Quota)) as cursor:
        row = cursor.execute(SELECT_QUOTA, parameters).fetchone()
    assert row is not None
    return row


UPDATE_QUOTA: LiteralString = """
    UPDATE project_quota SET instances = coalesce(%(instances)s, instances), cores = coalesce(%(cores)s, cores),
        ram_mib = coalesce(%(ram_mib)s, ram_mib), key_pairs = coalesce(%(key_pairs)s, key_pairs),
        metadata_items = coalesce(%(metadata_items)s, metadata_items)
    WHERE project_id = %(project_id)s
"""


def update_quota(
    tx: Transaction,
    project_id: str,
    *,
    instances: int | None,
    cores: int | None,
    ram_mib: int | None,
    key_pairs: int | None,
    metadata_items: int | None,
) -> None:
    """Change the limits that are given; the quota must be locked before."""
    parameters = {
        "project_id": project_id,
        "instances": instances,
        "cores": cores,
        "ram_mib": ram_mib,
        "key_pairs": key_pairs,
        "metadata_items": metadata_items,
    }
    tx.execute(UPDATE_QUOTA, parameters)


DELETE_QUOTA: LiteralString = "DELETE FROM project_quota WHERE project_id = %s"


def delete_quota(tx: Transaction, project_id: str) -> None:
    """Give the project the default limits again."""
    tx.execute(DELETE_QUOTA, (project_id,))


SELECT_USAGE: LiteralString = """
    SELECT count(*)::int AS instances, coalesce(sum(vcpus), 0)::int AS cores, coalesce(sum(ram_mib), 0)::int AS ram_mib
    FROM instance WHERE project_id = %s AND deleted_at IS NULL
"""


def get_usage(tx: Transaction, project_id: str) -> QuotaUsage:
    """Count what the project has now."""
    with tx.cursor(row_factory=class_row(QuotaUsage)) as cursor:
        row = cursor.execute(SELECT_USAGE, (project_id,)).fetchone()
    assert row is not None
    return row
