"""Which projects can be billed: those that there are, and those that are gone but have left usage or invoices."""

from billing.store import invoices as store
from foundation.database import Transaction
from identity.directory import is_project
from identity.model import ProjectNotFound
from metering.service import is_metered_project


def require_project(tx: Transaction, project_id: str) -> None:
    """Raise ProjectNotFound for a project that never was; a deleted or a foreign cloud's project with usage stays billable."""
    is_known = is_project(tx, project_id) or is_metered_project(tx, project_id)
    if not is_known and not store.list_invoices(tx, project_id=project_id, before=None, limit=1, with_discarded=True):
        raise ProjectNotFound(project_id)
