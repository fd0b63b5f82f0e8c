"""Which final invoices a draft may have to adjust, and what later ones have carried of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row

from billing.model import Invoice, InvoiceId, InvoiceLine
from billing.store.invoices import LINE_COLUMNS, SELECT_INVOICE
from foundation.database import Transaction

LIST_ADJUSTABLE: LiteralString = (
    SELECT_INVOICE
    + """
    WHERE i.project_id = %(project_id)s AND i.kind = 'invoice' AND i.number IS NOT NULL AND i.currency = %(currency)s
        AND i.period_end <= %(before)s AND i.period_end > %(since)s
    ORDER BY i.period_start, i.number
    LIMIT %(limit)s
"""
)


@dataclass(frozen=True, slots=True)
class Adjustable:
    """Which final invoices to look for: of a project and a currency, whose period ended between two instants."""

    project_id: str
    currency: str
    since: datetime
    before: datetime


def list_adjustable(tx: Transaction, wanted: Adjustable, *, limit: int) -> Sequence[Invoice]:
    """Return final invoices in order of their periods."""
    parameters = {
        "project_id": wanted.project_id,
        "currency": wanted.currency,
        "since": wanted.since,
        "before": wanted.before,
        "limit": limit,
    }
    with tx.cursor(row_factory=class_row(Invoice)) as cursor:
        return cursor.execute(LIST_ADJUSTABLE, parameters).fetchall()


LIST_CARRIERS: LiteralString = """
    SELECT DISTINCT l.invoice_id
    FROM invoice_line l JOIN invoice i ON i.id = l.invoice_id
    WHERE l.adjusts_invoice_id = %s AND i.number IS NOT NULL
    ORDER BY l.invoice_id
"""


def list_carriers(tx: Transaction, original_id: InvoiceId) -> tuple[InvoiceId, ...]:
    """Return the final invoices that have carried something of an original; a draft has carried nothing yet."""
    return tuple(InvoiceId(row[0]) for row in tx.execute(LIST_CARRIERS, (original_id,)))


READ_CARRIED: LiteralString = (
    "SELECT "
    + LINE_COLUMNS
    + """
    FROM invoice_line
    WHERE adjusts_invoice_id = %(original_id)s AND invoice_id = ANY (%(carried_by)s)
    ORDER BY invoice_id, number
"""
)


def read_carried(tx: Transaction, original_id: InvoiceId, carried_by: Sequence[UUID]) -> tuple[InvoiceLine, ...]:
    """Return the lines of those invoices that adjust the original."""
    with tx.cursor(row_factory=class_row(InvoiceLine)) as cursor:
        parameters = {"original_id": original_id, "carried_by": list(carried_by)}
        return tuple(cursor.execute(READ_CARRIED, parameters).fetchall())
