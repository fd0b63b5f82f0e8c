"""Which projects can be billed: those that there are, and those that are gone but have left usage or invoices."""

from collections.abc import Sequence

from billing.store import projects as store
from foundation.database import Transaction
from identity.directory import known_projects
from identity.model import ProjectNotFound
from metering.service import metered_projects


def require_project(tx: Transaction, project_id: str) -> None:
    """Raise ProjectNotFound for a project that never was; a deleted or a foreign cloud's project with usage stays billable."""
    require_projects(tx, [project_id])


def require_projects(tx: Transaction, ids: Sequence[str]) -> None:
    """Raise ProjectNotFound for the first of the projects that never was; however many they are, this asks three times at most."""
    unknown = list(ids)
    for find in (known_projects, metered_projects, store.invoiced_projects):
        if unknown:
            found = find(tx, unknown)
            unknown = [one for one in unknown if one not in found]
    if unknown:
        raise ProjectNotFound(unknown[0])
