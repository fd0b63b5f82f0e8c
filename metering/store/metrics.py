"""Metrics: finding, listing, making and deleting them."""

from collections.abc import Sequence
from typing import LiteralString
from uuid import UUID

from foundation.database import Transaction

FIND_VISIBLE_KEYS: LiteralString = """
    SELECT q.project_id, c.id, c.key
    FROM unnest(%s::text[], %s::uuid[]) AS q (project_id, id)
    JOIN metric c ON c.id = q.id AND c.status = 'active'
    LEFT JOIN resource r ON r.id = c.resource_id
    WHERE q.project_id IS NULL OR coalesce(r.project_id, c.created_by_project_id) = q.project_id
        OR c.created_by_project_id = q.project_id
"""


def find_visible_keys(tx: Transaction, wanted: Sequence[tuple[str | None, UUID]]) -> dict[tuple[str | None, UUID], int]:
    """Return the keys of metrics by id, each within what a project may see (None: all)."""
    rows = tx.execute(FIND_VISIBLE_KEYS, ([pair[0] for pair in wanted], [pair[1] for pair in wanted]))
    return {(row[0], row[1]): row[2] for row in rows}
