"""A month's documents: the invoice finalized, and its files."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from billing.exports import invoice_csv, invoice_json, usage_csv, usage_json
from billing.model import Authorship, Invoice, InvoiceStatus
from billing.proration import billing_month
from billing.service.accounts import account_of, zone_of
from billing.service.invoices import (
    draft_invoice,
    finalize_invoice,
    invoice_events,
    invoice_lines,
    invoice_taxes,
)
from billing.service.plans import SYSTEM
from billing.service.reruns import account_at
from billing.service.usage import usage_report
from billing.store import accounts as accounts_store
from billing.store import invoices as store
from billing.usage_report import UsageReport
from foundation.database import Transaction

CSV, JSON = "text/csv; charset=utf-8", "application/json"


@dataclass(frozen=True, slots=True)
class Document:
    """A file: its name, what it is, and its bytes."""

    name: str
    media_type: str
    content: bytes


def close_month(
    tx: Transaction, *, project_id: str, year: int, month: int, now: datetime, by: Authorship = SYSTEM
) -> Invoice:
    """Draft and finalize the invoice of a calendar month of the account's zone; asked again, return the final one."""
    accounts_store.lock_project(tx, project_id)
    period = billing_month(year, month, zone_of(account_of(tx, project_id)))
    existing = store.find_latest_invoice(tx, project_id=project_id, period=period)
    if existing is not None and existing.is_final and existing.status is not InvoiceStatus.VOID:
        return existing
    draft = draft_invoice(tx, project_id=project_id, interval=period, now=now, by=by)
    return finalize_invoice(tx, draft.id, now, by=by)


def invoice_files(tx: Transaction, invoice: Invoice) -> tuple[Document, ...]:
    """Return an invoice as CSV and as JSON, named after its number and the first day of its period in its own time zone."""
    lines, taxes = invoice_lines(tx, invoice.id), invoice_taxes(tx, invoice.id)
    events = invoice_events(tx, invoice.id)
    first_day = invoice.period_start.astimezone(zone_of(account_at(invoice)))
    stem = f"{invoice.label}-{first_day:%Y%m%d}"
    return (
        Document(f"{stem}.csv", CSV, invoice_csv(invoice, lines, taxes)),
        Document(f"{stem}.json", JSON, invoice_json(invoice, lines, taxes, events=events)),
    )


def usage_file(report: UsageReport, file_format: Literal["csv", "json"]) -> Document:
    """Return a usage report as a file."""
    stem = f"usage-{report.interval.start:%Y%m%d}-{report.interval.end:%Y%m%d}"
    if file_format == "csv":
        return Document(f"{stem}.csv", CSV, usage_csv(report))
    return Document(f"{stem}.json", JSON, usage_json(report))


def month_documents(
    tx: Transaction, *, project_id: str, year: int, month: int, now: datetime, by: Authorship = SYSTEM
) -> tuple[Document, ...]:
    """Close a month and return its documents: the invoice and the usage behind it, each as CSV and JSON."""
    invoice = close_month(tx, project_id=project_id, year=year, month=month, now=now, by=by)
    report = usage_report(tx, project_ids=[project_id], interval=invoice.period, now=now)
    return (*invoice_files(tx, invoice), usage_file(report, "csv"), usage_file(report, "json"))
