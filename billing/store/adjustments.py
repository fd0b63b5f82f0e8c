"""Which final invoices a draft may have to adjust, and what later ones have carried of them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg.rows import class_row

from billing.model import Invoice, InvoiceId, InvoiceLine
from billing.store.invoices import LINE_COLUMNS, SELECT_INVOICE
from foundation.database import Transaction

LIST_ADJUSTABLE: LiteralString = (
    "SELECT * FROM ("
    + SELECT_INVOICE
    + """
    WHERE i.project_id = %(project_id)s AND i.kind = 'invoice' AND i.number IS NOT NULL AND i.currency = %(currency)s
        AND i.period_end <= %(before)s AND i.period_end > %(since)s
    ) found
    WHERE found.status <> 'void'
    ORDER BY found.period_start, found.number
"""
)


@dataclass(frozen=True, slots=True)
class Adjustable:
    """Which final invoices to look for: of a project and a currency, whose period ended between two instants."""

    project_id: str
    currency: str
    since: datetime
    before: datetime


def list_adjustable(tx: Transaction, wanted: Adjustable) -> Sequence[Invoice]:
    """Return final invoices in order of their periods, without those that are void."""
    parameters = {
        "project_id": wanted.project_id,
        "currency": wanted.currency,
        "since": wanted.since,
        "before": wanted.before,
    }
    with tx.cursor(row_factory=class_row(Invoice)) as cursor:
        return cursor.execute(LIST_ADJUSTABLE, parameters).fetchall()


@dataclass(frozen=True, slots=True)
class Carrier:
    """A final invoice that has carried something of an original, and what it saw."""

    original_id: InvoiceId
    invoice_id: InvoiceId
    snapshot: str


LIST_CARRIERS: LiteralString = (
    """
    SELECT DISTINCT l.adjusts_invoice_id AS original_id, c.id AS invoice_id, c.snapshot
    FROM invoice_line l CROSS JOIN LATERAL ("""
    + SELECT_INVOICE
    + """
        WHERE i.id = l.invoice_id
    ) c
    WHERE l.adjusts_invoice_id = ANY(%s) AND c.number IS NOT NULL AND c.status <> 'void'
    ORDER BY original_id, invoice_id
"""
)


def list_carriers(tx: Transaction, original_ids: Sequence[InvoiceId]) -> Sequence[Carrier]:
    """Return the final invoices that have carried something of originals; a draft and a void one have carried nothing."""
    with tx.cursor(row_factory=class_row(Carrier)) as cursor:
        return cursor.execute(LIST_CARRIERS, (list(original_ids),)).fetchall()


READ_BILLED: LiteralString = (
    "SELECT invoice_id, "
    + LINE_COLUMNS
    + """
    FROM invoice_line
    WHERE invoice_id = ANY(%s) AND adjusts_invoice_id IS NULL
    ORDER BY invoice_id, number
"""
)


def read_billed(tx: Transaction, invoice_ids: Sequence[InvoiceId]) -> dict[InvoiceId, list[InvoiceLine]]:
    """Return the lines of invoices that charge for the usage of their own period."""
    return by_first_column(tx.execute(READ_BILLED, (list(invoice_ids),)))


READ_CARRIED: LiteralString = (
    "SELECT adjusts_invoice_id, "
    + LINE_COLUMNS
    + """
    FROM invoice_line
    WHERE adjusts_invoice_id = ANY(%(originals)s) AND (adjusts_invoice_id, invoice_id) IN (
        SELECT original_id, carrier_id FROM unnest(%(originals)s::uuid[], %(carriers)s::uuid[]) AS t (original_id, carrier_id))
    ORDER BY adjusts_invoice_id, invoice_id, number
"""
)


def read_carried(
    tx: Transaction, carried_by: Mapping[InvoiceId, Sequence[InvoiceId]]
) -> dict[InvoiceId, list[InvoiceLine]]:
    """Return by original the lines that adjust it on those invoices that are named for it."""
    pairs = [(original, carrier) for original, carriers in carried_by.items() for carrier in carriers]
    parameters = {"originals": [original for original, _ in pairs], "carriers": [carrier for _, carrier in pairs]}
    return by_first_column(tx.execute(READ_CARRIED, parameters))


def by_first_column(rows: Iterable[tuple[Any, ...]]) -> dict[InvoiceId, list[InvoiceLine]]:
    """Group lines by the invoice in the first column; the others are LINE_COLUMNS, in the order of InvoiceLine's members."""
    grouped: defaultdict[InvoiceId, list[InvoiceLine]] = defaultdict(list)
    for invoice_id, *members in rows:
        grouped[invoice_id].append(InvoiceLine(*members))
    return grouped
