"""What an invoice stored of its terms, prices and adjustments, so that it can be computed again as it was."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from billing.model import BillingAccount, Invoice, PriceWindow
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
    written = json.loads(store.read_document(tx, invoice.id))["price_windows"]
    version_ids = [UUID(window["price_version_id"]) for window in written if window["price_version_id"] is not None]
    versions = {str(version.id): version for version in plans_store.read_versions_by_id(tx, version_ids)}
    return tuple(
        PriceWindow(
            TimeInterval(datetime.fromisoformat(window["start"]), datetime.fromisoformat(window["end"])),
            versions.get(window["price_version_id"]),
        )
        for window in written
    )


def stored_adjusted(tx: Transaction, invoice: Invoice) -> dict[UUID, list[UUID]]:
    """Return the originals that an invoice adjusts, and by which final invoices each had been carried before."""
    written: list[dict[str, Any]] = json.loads(store.read_document(tx, invoice.id)).get("adjusted_invoices", [])
    return {UUID(one["invoice_id"]): [UUID(carrier) for carrier in one["carried_by"]] for one in written}
