"""Reading when instances lived, alive and deleted ones alike, as far back as their rows are kept."""

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row

from compute.model import InstanceLife
from foundation.database import Transaction

SELECT_LIVES: LiteralString = """
    SELECT id, project_id, name, flavor_name, vcpus, ram_mib, disk_gib, vm_state, launched_at, deleted_at
    FROM instance
    WHERE (%(project_id)s::text IS NULL OR project_id = %(project_id)s)
        AND launched_at < %(stop)s AND (deleted_at IS NULL OR deleted_at > %(start)s)
        AND (%(marker)s::uuid IS NULL OR id > %(marker)s)
    ORDER BY id LIMIT %(limit)s
"""


def list_lives(
    tx: Transaction, *, project_id: str | None, start: datetime, stop: datetime, marker: UUID | None, limit: int
) -> Sequence[InstanceLife]:
    """List the instances of a project (None: all) that had been launched and lived in a period, after a marker."""
    parameters = {"project_id": project_id, "start": start, "stop": stop, "marker": marker, "limit": limit}
    with tx.cursor(row_factory=class_row(InstanceLife)) as cursor:
        return cursor.execute(SELECT_LIVES, parameters).fetchall()
