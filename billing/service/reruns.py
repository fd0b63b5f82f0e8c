"""What an invoice stored of its terms, prices and adjustments, so that it can be computed again as it was."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from billing.model import BillingAccount, Invoice, InvoiceId, PriceWindow
from billing.store import invoices as store
from billing.store import plans as plans_store
from foundation.database import Transaction
from foundation.interval import TimeInterval


def account_at(invoice: Invoice) -> BillingAccount:
    """Return the account's terms as the invoice stored them."""
    return BillingAccount(
        project_id=invoice.project_id,
        time_zone=invoice.time_zone,
        currency=invoice.currency,
        tax_rate=invoice.tax_rate,
        rounding=invoice.rounding,
        issuer_name=invoice.issuer_name,
        series=invoice.series,
    )


def stored_windows(tx: Transaction, invoice: Invoice) -> tuple[PriceWindow, ...]:
    """Return the price windows that an invoice stored; a plan assigned since then does not touch it."""
    return stored_windows_of(tx, [invoice])[invoice.id]


def stored_windows_of(tx: Transaction, invoices: Sequence[Invoice]) -> dict[InvoiceId, tuple[PriceWindow, ...]]:
    """Return the price windows that each of some invoices stored."""
    written = store.read_price_windows(tx, [invoice.id for invoice in invoices])
    ids = {window["price_version_id"] for windows in written.values() for window in windows}
    version_ids = [UUID(version_id) for version_id in sorted(one for one in ids if one is not None)]
    versions = {str(version.id): version for version in plans_store.read_versions_by_id(tx, version_ids)}
    return {
        invoice_id: tuple(
            PriceWindow(
                TimeInterval(datetime.fromisoformat(str(window["start"])), datetime.fromisoformat(str(window["end"]))),
                versions.get(str(window["price_version_id"])),
            )
            for window in windows
        )
        for invoice_id, windows in written.items()
    }


@dataclass(frozen=True, slots=True)
class StoredEarlier:
    """What an invoice did about earlier ones: by which final invoices each that it adjusts had been carried, and how many it left."""

    carried_by: dict[InvoiceId, list[InvoiceId]]
    left: int


def stored_earlier(tx: Transaction, invoice: Invoice) -> StoredEarlier:
    """Return which originals an invoice adjusts, as it stored them."""
    written = store.read_earlier(tx, invoice.id)
    carried_by = {
        InvoiceId(UUID(one["invoice_id"])): [InvoiceId(UUID(carrier)) for carrier in one["carried_by"]]
        for one in written.adjusted
    }
    return StoredEarlier(carried_by, written.left)
