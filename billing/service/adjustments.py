"""Late usage on its way to a bill: the final invoices whose facts have changed, read for the next draft and again for its rerun."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from billing.adjustments import Original
from billing.model import BillingAccount, Invoice, InvoiceId
from billing.service.rated import rate_charges
from billing.service.reruns import account_at, stored_windows
from billing.store import adjustments as store
from billing.store import invoices as invoices_store
from foundation.database import Transaction
from foundation.interval import TimeInterval
from metering.model import Snapshot

LATE_DAYS_MAX = 92
"""How long after its period a final invoice is adjusted by itself; what comes later still is shown by late_usage, for an operator to judge."""
ORIGINALS_MAX = 400


def read_originals(
    tx: Transaction, account: BillingAccount, *, period: TimeInterval, as_of: Snapshot | None
) -> list[Original]:
    """Read the final invoices that an invoice of a period may adjust: those of the time before it, in the account's currency."""
    wanted = store.Adjustable(
        project_id=account.project_id,
        currency=account.currency,
        since=period.start - timedelta(days=LATE_DAYS_MAX),
        before=period.start,
    )
    found = store.list_adjustable(tx, wanted, limit=ORIGINALS_MAX)
    return [read_original(tx, invoice, as_of=as_of) for invoice in found]


def read_original(
    tx: Transaction, invoice: Invoice, *, as_of: Snapshot | None, carried_by: Sequence[UUID] | None = None
) -> Original:
    """Read what was billed and carried of an invoice, and all that is known of its period as of a snapshot.

    A rerun names the invoices that had carried some of it by then; else it is all that are final.
    """
    windows = stored_windows(tx, invoice)
    if carried_by is None:
        carried_by = store.list_carriers(tx, invoice.id)
    lines = invoices_store.read_lines(tx, invoice.id)
    return Original(
        invoice=invoice,
        billed=tuple(line for line in lines if line.adjusts_invoice_id is None),
        carried=store.read_carried(tx, invoice.id, carried_by),
        carried_by=tuple(InvoiceId(one) for one in carried_by),
        charges=rate_charges(tx, account_at(invoice), windows, as_of=as_of).charges,
        versions=tuple(window.version for window in windows if window.version is not None),
    )
