"""Invoices and usage as CSV and JSON files; text that a spreadsheet would run as a formula is disarmed."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from billing.canonical import canonical_json, decimal_text
from billing.model import Invoice, InvoiceEvent, InvoiceLine, InvoiceTax
from billing.statement import line_members, tax_members
from billing.usage_report import UsageReport

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a spreadsheet takes for the beginning of a formula, in full width too (OWASP: CSV injection)."""
CSV_INSTANT = "%Y-%m-%dT%H:%M:%S.%fZ"
INVOICE_COLUMNS = (
    "invoice", "project_id", "period_start", "period_end", "currency", "line", "description", "meter", "resource_id",
    "resource_name", "state", "flavor_name", "started_at", "ended_at", "quantity", "unit", "unit_price",
    "base_quantity", "base_unit", "amount_unrounded", "amount", "tax_rate", "price_version_number", "usage_digest",
    "adjusts_invoice", "adjusts_line",
)  # fmt: skip
USAGE_COLUMNS = (
    "project_id", "resource_id", "resource_name", "meter", "flavor_name", "state", "quantity", "unit", "amount",
    "currency", "unbilled_reason",
)  # fmt: skip


def cell(value: object) -> str:
    """Write a value for a spreadsheet: numbers in full, instants in ISO 8601, and text that cannot be a formula.

    Every instant has its microseconds: readers like pandas take the form of a column from its first row.
    """
    match value:
        case None:
            return ""
        case Decimal():
            return decimal_text(value)
        case int():
            return str(value)
        case datetime():
            return value.astimezone(UTC).strftime(CSV_INSTANT)
        case _:
            text = str(value)
            return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def write_csv(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> bytes:
    """Write rows as RFC 4180 CSV in UTF-8 with a heading."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([cell(row[column]) for column in columns])
    return text.getvalue().encode()


def invoice_csv(invoice: Invoice, lines: Sequence[InvoiceLine], taxes: Sequence[InvoiceTax]) -> bytes:
    """Write an invoice as CSV: its lines, then a row for each tax and one for the total, so that the column foots."""
    head: dict[str, object] = {
        **dict.fromkeys(INVOICE_COLUMNS),
        "invoice": invoice.label,
        "project_id": invoice.project_id,
        "period_start": invoice.period_start,
        "period_end": invoice.period_end,
        "currency": invoice.currency,
    }
    rows: list[dict[str, object]] = [
        {
            **head,
            **line_members(line),
            "line": line.number,
            "adjusts_invoice": line.adjusts_invoice,
            "adjusts_line": line.adjusts_line,
        }
        for line in lines
    ]
    for tax in taxes:
        rows.append({**head, "description": "Tax", "tax_rate": tax.tax_rate, "amount": tax.tax})
    rows.append({**head, "description": "Total", "amount": invoice.total})
    return write_csv(INVOICE_COLUMNS, rows)


def invoice_members(
    invoice: Invoice, lines: Sequence[InvoiceLine], taxes: Sequence[InvoiceTax], *, events: Sequence[InvoiceEvent]
) -> dict[str, object]:
    """Return an invoice with its lines, taxes and events as named members."""
    return {
        **invoice_head(invoice),
        "lines": [line_members(line) for line in lines],
        "taxes": [tax_members(tax) for tax in taxes],
        "events": [event_members(event) for event in events],
    }


def invoice_head(invoice: Invoice) -> dict[str, object]:
    """Return an invoice without its lines as named members."""
    return {
        "id": invoice.id,
        "project_id": invoice.project_id,
        "kind": invoice.kind,
        "version": invoice.version,
        "revision": invoice.revision,
        "status": invoice.status,
        "number": invoice.label if invoice.is_final else None,
        "period": {"start": invoice.period_start, "end": invoice.period_end, "time_zone": invoice.time_zone},
        "rated_until": invoice.rated_until,
        "currency": invoice.currency,
        "rounding": invoice.rounding,
        "issuer_name": invoice.issuer_name,
        "subtotal": invoice.subtotal,
        "tax_total": invoice.tax_total,
        "total": invoice.total,
        "digest": invoice.digest,
        "snapshot": invoice.snapshot,
        "chain_digest": invoice.chain_digest,
        "previous_chain": invoice.previous_chain,
        "created_at": invoice.created_at,
        "finalized_at": invoice.finalized_at,
    }


def event_members(event: InvoiceEvent) -> dict[str, object]:
    """Return an event of an invoice as named members."""
    return {
        "kind": event.kind,
        "at": event.at,
        "actor": event.actor,
        "reason": event.reason,
        "request_id": event.request_id,
    }


def invoice_json(
    invoice: Invoice, lines: Sequence[InvoiceLine], taxes: Sequence[InvoiceTax], *, events: Sequence[InvoiceEvent]
) -> bytes:
    """Write an invoice as canonical JSON; money and quantities are strings."""
    return canonical_json(invoice_members(invoice, lines, taxes, events=events))


def usage_members(report: UsageReport) -> dict[str, object]:
    """Return a usage report as named members."""
    rows = [{column: getattr(row, column) for column in USAGE_COLUMNS} for row in report.rows]
    projects: list[dict[str, Any]] = [
        {"project_id": project.project_id, "currency": project.currency, "amount": project.amount}
        for project in report.projects
    ]
    return {"start": report.interval.start, "end": report.interval.end, "items": rows, "projects": projects}


def usage_csv(report: UsageReport) -> bytes:
    """Write a usage report as CSV."""
    return write_csv(USAGE_COLUMNS, ({column: getattr(row, column) for column in USAGE_COLUMNS} for row in report.rows))


def usage_json(report: UsageReport) -> bytes:
    """Write a usage report as canonical JSON."""
    return canonical_json(usage_members(report))
