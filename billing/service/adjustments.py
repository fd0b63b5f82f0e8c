"""Late usage on its way to a bill: the final invoices whose facts have changed, read for the next draft and again for its rerun."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta

from billing.adjustments import EarlierInvoices, Original, adjustment_lines
from billing.model import OUTGOING_BYTES, BillingAccount, Invoice, InvoiceId
from billing.service.rated import rate_charges
from billing.service.reruns import account_at, stored_windows_of
from billing.store import adjustments as store
from billing.store import retention as retention_store
from foundation.database import Transaction
from foundation.interval import TimeInterval
from metering.changes import SeenInterval, recency
from metering.model import Snapshot
from metering.service.changes import find_changed

LATE_DAYS_MAX = 92
"""How long after its period a final invoice is adjusted by itself; what comes later still is shown by late_usage, for an operator to judge."""
ADJUSTED_MAX = 200
"""How many earlier invoices one invoice adjusts, the oldest first; it says how many it leaves, and the next one takes those."""
ORIGINALS_PAGE = 50


def read_originals(
    tx: Transaction, account: BillingAccount, *, period: TimeInterval, as_of: Snapshot | None
) -> EarlierInvoices:
    """Read the final invoices that an invoice of a period adjusts: those of the time before it, in the account's currency.

    Only what has newer facts than it saw itself, or than the last one that carried some of it, is rated again: the rest is settled.
    """
    wanted = store.Adjustable(
        project_id=account.project_id,
        currency=account.currency,
        since=period.start - timedelta(days=LATE_DAYS_MAX),
        before=period.start,
    )
    found = store.list_adjustable(tx, wanted)
    carried_by, seen = read_carriers(tx, found)
    meters = {OUTGOING_BYTES, *retention_store.list_priced_counters(tx)}
    looked_at = [SeenInterval(invoice.id, invoice.period, seen[invoice.id]) for invoice in found]
    changed = find_changed(tx, project_id=account.project_id, meters=meters, intervals=looked_at)
    due = [invoice for invoice in found if invoice.id in changed]
    adjusted: list[Original] = []
    for begin in range(0, len(due), ORIGINALS_PAGE):
        if len(adjusted) >= ADJUSTED_MAX:
            return EarlierInvoices(tuple(adjusted), left=len(due) - begin)
        page = {invoice.id: carried_by[invoice.id] for invoice in due[begin : begin + ORIGINALS_PAGE]}
        read = read_each(tx, due[begin : begin + ORIGINALS_PAGE], as_of=as_of, carried_by=page)
        adjusted.extend(original for original in read if adjustment_lines(original))
    return EarlierInvoices(tuple(adjusted))


def read_carriers(
    tx: Transaction, invoices: Sequence[Invoice]
) -> tuple[dict[InvoiceId, list[InvoiceId]], dict[InvoiceId, Snapshot]]:
    """Return which final invoices have carried something of each, and up to which snapshot nothing more was owed of it.

    Whoever carries something of an invoice carries all that is known by then, so what the last of them saw is settled.
    """
    carried_by: defaultdict[InvoiceId, list[InvoiceId]] = defaultdict(list)
    seen = {invoice.id: invoice.snapshot for invoice in invoices}
    for carrier in store.list_carriers(tx, [invoice.id for invoice in invoices]):
        carried_by[carrier.original_id].append(carrier.invoice_id)
        seen[carrier.original_id] = max(seen[carrier.original_id], carrier.snapshot, key=recency)
    return carried_by, seen


def read_original(tx: Transaction, invoice: Invoice, *, as_of: Snapshot | None) -> Original:
    """Read what was billed and carried of an invoice by all that are final, and all that is known of its period."""
    carried_by, _ = read_carriers(tx, [invoice])
    return read_each(tx, [invoice], as_of=as_of, carried_by=carried_by)[0]


def read_each(
    tx: Transaction,
    invoices: Sequence[Invoice],
    *,
    as_of: Snapshot | None,
    carried_by: Mapping[InvoiceId, Sequence[InvoiceId]],
) -> list[Original]:
    """Read what was billed and carried of invoices, and all that is known of their periods as of a snapshot.

    A rerun names the invoices that had carried some of each by then.
    """
    windows = stored_windows_of(tx, invoices)
    billed = store.read_billed(tx, [invoice.id for invoice in invoices])
    carried = store.read_carried(tx, carried_by)
    return [
        Original(
            invoice=invoice,
            billed=tuple(billed.get(invoice.id, ())),
            carried=tuple(carried.get(invoice.id, ())),
            carried_by=tuple(carried_by.get(invoice.id, ())),
            charges=rate_charges(tx, account_at(invoice), windows[invoice.id], as_of=as_of).charges,
            versions=tuple(window.version for window in windows[invoice.id] if window.version is not None),
        )
        for invoice in invoices
    ]
