"""The SQL of which projects metering has ever heard of."""

from typing import LiteralString

from foundation.database import Transaction

IS_PROJECT_KNOWN: LiteralString = """
    SELECT EXISTS (SELECT FROM lifecycle_event WHERE project_id = %(project_id)s)
        OR EXISTS (SELECT FROM resource WHERE project_id = %(project_id)s)
"""


def is_project_known(tx: Transaction, project_id: str) -> bool:
    """Tell whether a project has a lifecycle event or a resource."""
    row = tx.execute(IS_PROJECT_KNOWN, {"project_id": project_id}).fetchone()
    return row is not None and bool(row[0])
