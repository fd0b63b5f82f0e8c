"""The SQL of which projects metering has ever heard of."""

from collections.abc import Sequence
from typing import LiteralString

from foundation.database import Transaction

METERED_PROJECTS: LiteralString = """
    SELECT asked.id FROM unnest(%s::text[]) AS asked (id)
    WHERE EXISTS (SELECT FROM lifecycle_event WHERE project_id = asked.id)
        OR EXISTS (SELECT FROM resource WHERE project_id = asked.id)
"""


def metered_projects(tx: Transaction, ids: Sequence[str]) -> frozenset[str]:
    """Return which of the projects have a lifecycle event or a resource."""
    return frozenset(row[0] for row in tx.execute(METERED_PROJECTS, (list(ids),)))
