"""Invoices, their lines, taxes, events and number series, in the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg.rows import class_row

from billing.canonical import GENESIS
from billing.model import Authorship, Invoice, InvoiceEvent, InvoiceId, InvoiceLine, InvoiceTax, Statement
from billing.statement import shown
from foundation.database import Transaction
from foundation.ids import new_id
from foundation.interval import TimeInterval

SELECT_INVOICE: LiteralString = """
    SELECT i.id, i.project_id, i.kind, i.version, i.revision, i.period_start, i.period_end, i.rated_until, i.time_zone,
        i.currency, i.tax_rate, i.rounding, i.issuer_name, i.series, i.subtotal, i.tax_total, i.total, i.snapshot,
        i.digest, i.number, i.finalized_at, i.previous_chain, i.chain_digest, i.created_at,
        coalesce((
            SELECT CASE e.kind WHEN 'drafted' THEN 'draft' ELSE e.kind END FROM invoice_event e
            WHERE e.invoice_id = i.id AND e.kind IN ('drafted', 'finalized', 'paid', 'void')
            ORDER BY e.at DESC, e.id DESC
            LIMIT 1
        ), 'draft') AS status
    FROM invoice i
"""

FIND_INVOICE: LiteralString = SELECT_INVOICE + "WHERE i.id = %s"


def find_invoice(tx: Transaction, invoice_id: UUID) -> Invoice | None:
    """Return an invoice by its id."""
    with tx.cursor(row_factory=class_row(Invoice)) as cursor:
        return cursor.execute(FIND_INVOICE, (invoice_id,)).fetchone()


FIND_LATEST_INVOICE: LiteralString = (
    SELECT_INVOICE
    + """
    WHERE i.project_id = %(project_id)s AND i.kind = 'invoice'
        AND i.period_start = %(start)s AND i.period_end = %(end)s
    ORDER BY i.version DESC
    LIMIT 1
"""
)


def find_latest_invoice(tx: Transaction, *, project_id: str, period: TimeInterval) -> Invoice | None:
    """Return the latest version of the invoice of a period."""
    with tx.cursor(row_factory=class_row(Invoice)) as cursor:
        parameters = {"project_id": project_id, "start": period.start, "end": period.end}
        return cursor.execute(FIND_LATEST_INVOICE, parameters).fetchone()


FIND_OVERLAPPING_INVOICE: LiteralString = (
    SELECT_INVOICE
    + """
    WHERE i.project_id = %(project_id)s AND i.kind = 'invoice' AND i.number IS NOT NULL
        AND i.period_start < %(end)s AND i.period_end > %(start)s
        AND NOT (i.period_start = %(start)s AND i.period_end = %(end)s)
    ORDER BY i.period_start
    LIMIT 1
"""
)


def find_overlapping_invoice(tx: Transaction, *, project_id: str, period: TimeInterval) -> Invoice | None:
    """Return a final invoice of another period that shares time with this one."""
    with tx.cursor(row_factory=class_row(Invoice)) as cursor:
        parameters = {"project_id": project_id, "start": period.start, "end": period.end}
        return cursor.execute(FIND_OVERLAPPING_INVOICE, parameters).fetchone()


COUNT_DRAFTS: LiteralString = (
    "SELECT count(*) FILTER (WHERE d.status = 'draft') AS drafts, count(*) FILTER (WHERE d.status = 'void') AS discarded FROM ("
    + SELECT_INVOICE
    + "WHERE i.project_id = %s AND i.number IS NULL) d"
)


@dataclass(frozen=True, slots=True)
class DraftCount:
    """How many drafts a project has, and how many it has discarded."""

    drafts: int
    discarded: int


def count_drafts(tx: Transaction, project_id: str) -> DraftCount:
    """Count the drafts of a project."""
    with tx.cursor(row_factory=class_row(DraftCount)) as cursor:
        row = cursor.execute(COUNT_DRAFTS, (project_id,)).fetchone()
    assert row is not None
    return row


LIST_INVOICES: LiteralString = (
    "SELECT * FROM ("
    + SELECT_INVOICE
    + """
    WHERE (%(project_id)s::text IS NULL OR i.project_id = %(project_id)s)
        AND (%(before)s::uuid IS NULL OR i.id < %(before)s)
    ) found
    WHERE %(with_discarded)s OR found.number IS NOT NULL OR found.status <> 'void'
    ORDER BY found.id DESC
    LIMIT %(limit)s
"""
)


def list_invoices(
    tx: Transaction, *, project_id: str | None, before: UUID | None, limit: int, with_discarded: bool
) -> Sequence[Invoice]:
    """Return a page of invoices, the newest first; of every project where none is named."""
    with tx.cursor(row_factory=class_row(Invoice)) as cursor:
        parameters = {"project_id": project_id, "before": before, "limit": limit, "with_discarded": with_discarded}
        return cursor.execute(LIST_INVOICES, parameters).fetchall()


LINE_COLUMNS: LiteralString = """
    number, meter, resource_id, resource_name, state, flavor_name, started_at, ended_at, base_quantity,
    base_unit, unit, unit_price, per_base, price_version_id, price_version_number, tax_rate, amount, charge_count,
    usage_digest, adjusts_invoice_id, adjusts_invoice, adjusts_line
"""
READ_LINES: LiteralString = (
    "SELECT "
    + LINE_COLUMNS
    + """
    FROM invoice_line
    WHERE invoice_id = %(invoice_id)s AND (%(number)s::int IS NULL OR number = %(number)s)
    ORDER BY number
"""
)


def read_lines(tx: Transaction, invoice_id: InvoiceId, *, number: int | None = None) -> Sequence[InvoiceLine]:
    """Return the lines of an invoice, or the one that is named."""
    with tx.cursor(row_factory=class_row(InvoiceLine)) as cursor:
        return cursor.execute(READ_LINES, {"invoice_id": invoice_id, "number": number}).fetchall()


READ_TAXES: LiteralString = "SELECT tax_rate, base, tax FROM invoice_tax WHERE invoice_id = %s ORDER BY tax_rate"


def read_taxes(tx: Transaction, invoice_id: InvoiceId) -> Sequence[InvoiceTax]:
    """Return the taxes of an invoice by rate."""
    with tx.cursor(row_factory=class_row(InvoiceTax)) as cursor:
        return cursor.execute(READ_TAXES, (invoice_id,)).fetchall()


READ_EVENTS: LiteralString = """
    SELECT kind, at, actor, reason, request_id FROM invoice_event WHERE invoice_id = %s ORDER BY at, id LIMIT 1000
"""


def read_events(tx: Transaction, invoice_id: InvoiceId) -> Sequence[InvoiceEvent]:
    """Return what happened to an invoice, in order."""
    with tx.cursor(row_factory=class_row(InvoiceEvent)) as cursor:
        return cursor.execute(READ_EVENTS, (invoice_id,)).fetchall()


READ_DOCUMENT: LiteralString = "SELECT document FROM invoice WHERE id = %s"


def read_document(tx: Transaction, invoice_id: InvoiceId) -> bytes:
    """Return the canonical content of an invoice, byte for byte as it was digested."""
    row = tx.execute(READ_DOCUMENT, (invoice_id,)).fetchone()
    assert row is not None, "the caller has found the invoice"
    return str(row[0]).encode()


READ_PRICE_WINDOWS: LiteralString = "SELECT id, document::json -> 'price_windows' FROM invoice WHERE id = ANY(%s)"


def read_price_windows(
    tx: Transaction, invoice_ids: Sequence[InvoiceId]
) -> dict[InvoiceId, list[dict[str, str | None]]]:
    """Return the price windows of invoices as their documents have them."""
    return {InvoiceId(row[0]): row[1] for row in tx.execute(READ_PRICE_WINDOWS, (list(invoice_ids),))}


READ_EARLIER: LiteralString = """
    SELECT document::json -> 'adjusted_invoices', document::json -> 'earlier_invoices_left' FROM invoice WHERE id = %s
"""


@dataclass(frozen=True, slots=True)
class WrittenEarlier:
    """What an invoice's document says of earlier ones: those that it adjusts as they stand there, and how many it left."""

    adjusted: list[dict[str, Any]]
    left: int


def read_earlier(tx: Transaction, invoice_id: InvoiceId) -> WrittenEarlier:
    """Return what a document says of earlier invoices; it says nothing where there was nothing to say."""
    row = tx.execute(READ_EARLIER, (invoice_id,)).fetchone()
    assert row is not None, "the caller has found the invoice"
    return WrittenEarlier(row[0] or [], row[1] or 0)


@dataclass(frozen=True, slots=True)
class DraftContent:
    """What a draft holds: the statement, its canonical bytes and their digest, and the snapshot that it saw."""

    statement: Statement
    document: bytes
    digest: str
    snapshot: str


INSERT_INVOICE: LiteralString = """
    INSERT INTO invoice (id, project_id, kind, version, revision, period_start, period_end, rated_until, time_zone,
        currency, tax_rate, rounding, issuer_name, series, subtotal, tax_total, total, snapshot, document, digest,
        created_at)
    VALUES (%(id)s, %(project_id)s, 'invoice', %(version)s, 1, %(period_start)s, %(period_end)s, %(rated_until)s,
        %(time_zone)s, %(currency)s, %(tax_rate)s, %(rounding)s, %(issuer_name)s, %(series)s, %(subtotal)s,
        %(tax_total)s, %(total)s, %(snapshot)s, %(document)s, %(digest)s, %(now)s)
"""


def insert_draft(tx: Transaction, invoice_id: InvoiceId, *, content: DraftContent, version: int, now: datetime) -> None:
    """Write a new draft with its lines and taxes."""
    period = content.statement.period
    own = {"version": version, "period_start": period.start, "period_end": period.end, "now": now}
    tx.execute(INSERT_INVOICE, {"id": invoice_id, **own, **content_columns(content)})
    insert_parts(tx, invoice_id, content.statement)


REPLACE_DRAFT: LiteralString = """
    UPDATE invoice SET revision = revision + 1, rated_until = %(rated_until)s, time_zone = %(time_zone)s,
        currency = %(currency)s, tax_rate = %(tax_rate)s, rounding = %(rounding)s, issuer_name = %(issuer_name)s,
        series = %(series)s, subtotal = %(subtotal)s, tax_total = %(tax_total)s, total = %(total)s,
        snapshot = %(snapshot)s, document = %(document)s, digest = %(digest)s
    WHERE id = %(id)s
"""


def replace_draft(tx: Transaction, invoice_id: InvoiceId, *, content: DraftContent) -> None:
    """Put newly computed content in the place of a draft's."""
    tx.execute("DELETE FROM invoice_line WHERE invoice_id = %s", (invoice_id,))
    tx.execute("DELETE FROM invoice_tax WHERE invoice_id = %s", (invoice_id,))
    tx.execute(REPLACE_DRAFT, {"id": invoice_id, **content_columns(content)})
    insert_parts(tx, invoice_id, content.statement)


def content_columns(content: DraftContent) -> dict[str, object]:
    """Return the columns of an invoice that its content sets."""
    statement, account = content.statement, content.statement.account
    return {
        "project_id": account.project_id,
        "rated_until": statement.rated_until,
        "time_zone": account.time_zone,
        "currency": account.currency,
        "tax_rate": account.tax_rate,
        "rounding": account.rounding.value,
        "issuer_name": account.issuer_name,
        "series": account.series,
        "subtotal": statement.subtotal,
        "tax_total": statement.tax_total,
        "total": statement.total,
        "snapshot": content.snapshot,
        "document": content.document.decode(),
        "digest": content.digest,
    }


COPY_LINES: LiteralString = "COPY invoice_line (invoice_id, " + LINE_COLUMNS + ", amount_unrounded) FROM STDIN"
INSERT_TAX: LiteralString = "INSERT INTO invoice_tax (invoice_id, tax_rate, base, tax) VALUES (%s, %s, %s, %s)"


def insert_parts(tx: Transaction, invoice_id: InvoiceId, statement: Statement) -> None:
    """Write the lines and taxes of a draft."""
    with tx.cursor() as cursor:
        with cursor.copy(COPY_LINES) as copy:
            for line in statement.lines:
                copy.write_row((invoice_id, *line_columns(line), shown(line.amount_exact)))
        cursor.executemany(INSERT_TAX, [(invoice_id, tax.tax_rate, tax.base, tax.tax) for tax in statement.taxes])


def line_columns(line: InvoiceLine) -> tuple[object, ...]:
    """Return a line's members in the order of COPY_LINES."""
    return (
        line.number,
        line.meter,
        line.resource_id,
        line.resource_name,
        line.state,
        line.flavor_name,
        line.started_at,
        line.ended_at,
        line.base_quantity,
        line.base_unit,
        line.unit,
        line.unit_price,
        line.per_base,
        line.price_version_id,
        line.price_version_number,
        line.tax_rate,
        line.amount,
        line.charge_count,
        line.usage_digest,
        line.adjusts_invoice_id,
        line.adjusts_invoice,
        line.adjusts_line,
    )


INSERT_EVENT: LiteralString = """
    INSERT INTO invoice_event (id, invoice_id, kind, at, actor, reason, request_id)
    SELECT %(id)s, %(invoice_id)s, %(kind)s, greatest(%(at)s, max(at) + interval '1 microsecond'),
        %(actor)s, %(reason)s, %(request_id)s
    FROM invoice_event
    WHERE invoice_id = %(invoice_id)s
"""


def append_event(tx: Transaction, invoice_id: InvoiceId, kind: str, *, by: Authorship, at: datetime) -> None:
    """Record a step in an invoice's life, after those before it whatever this machine's clock says."""
    parameters = {
        "id": new_id(),
        "invoice_id": invoice_id,
        "kind": kind,
        "at": at,
        "actor": by.actor,
        "reason": by.reason,
        "request_id": by.request_id,
    }
    tx.execute(INSERT_EVENT, parameters)


OPEN_SERIES: LiteralString = """
    INSERT INTO invoice_series (series, last_number, last_chain) VALUES (%s, 0, %s) ON CONFLICT DO NOTHING
"""
LOCK_SERIES: LiteralString = "SELECT last_number, last_chain FROM invoice_series WHERE series = %s FOR UPDATE"


def lock_series(tx: Transaction, series: str) -> tuple[int, str]:
    """Return the last number and chain digest of a series, and hold it until the transaction ends: so no gap, no double."""
    tx.execute(OPEN_SERIES, (series, GENESIS))
    row = tx.execute(LOCK_SERIES, (series,)).fetchone()
    assert row is not None
    return int(row[0]), str(row[1])


ADVANCE_SERIES: LiteralString = "UPDATE invoice_series SET last_number = %s, last_chain = %s WHERE series = %s"
SEAL_INVOICE: LiteralString = """
    UPDATE invoice SET number = %(number)s, finalized_at = %(finalized_at)s, previous_chain = %(previous_chain)s,
        chain_digest = %(chain_digest)s
    WHERE id = %(id)s AND number IS NULL
"""


@dataclass(frozen=True, slots=True)
class Seal:
    """What makes an invoice final: its number, when, and its link in the chain."""

    number: int
    finalized_at: datetime
    previous_chain: str
    chain_digest: str


def seal_invoice(tx: Transaction, invoice: Invoice, seal: Seal) -> None:
    """Make a draft final; from here on the database refuses every change of it."""
    tx.execute(ADVANCE_SERIES, (seal.number, seal.chain_digest, invoice.series))
    parameters = {
        "number": seal.number,
        "finalized_at": seal.finalized_at,
        "previous_chain": seal.previous_chain,
        "chain_digest": seal.chain_digest,
        "id": invoice.id,
    }
    sealed = tx.execute(SEAL_INVOICE, parameters)
    assert sealed.rowcount == 1, "the project's lock lets one finalize at a time"


READ_SERIES: LiteralString = (
    SELECT_INVOICE + "WHERE i.series = %(series)s AND i.number > %(after)s ORDER BY i.number LIMIT %(limit)s"
)


def read_series(tx: Transaction, series: str, *, after: int, limit: int) -> Sequence[Invoice]:
    """Return the next invoices of a series in order of number."""
    with tx.cursor(row_factory=class_row(Invoice)) as cursor:
        return cursor.execute(READ_SERIES, {"series": series, "after": after, "limit": limit}).fetchall()


FIND_BILLED_UNTIL: LiteralString = "SELECT max(period_end) FROM invoice WHERE project_id = %s AND number IS NOT NULL"


def find_billed_until(tx: Transaction, project_id: str) -> datetime | None:
    """Return the end of the latest period of a project that is final."""
    row = tx.execute(FIND_BILLED_UNTIL, (project_id,)).fetchone()
    return row[0] if row is not None else None
