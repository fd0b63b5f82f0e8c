"""The SQL of which projects have invoices."""

from collections.abc import Sequence
from typing import LiteralString

from foundation.database import Transaction

INVOICED_PROJECTS: LiteralString = """
    SELECT asked.id FROM unnest(%s::text[]) AS asked (id) WHERE EXISTS (SELECT FROM invoice WHERE project_id = asked.id)
"""


def invoiced_projects(tx: Transaction, ids: Sequence[str]) -> frozenset[str]:
    """Return which of the projects have an invoice, even a discarded one."""
    return frozenset(row[0] for row in tx.execute(INVOICED_PROJECTS, (list(ids),)))
