"""What a statement says, as a document: the canonical content that is digested, stored with the invoice and exported."""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction

from billing.canonical import canonical_json, decimal_text
from billing.invoicing import ROUNDING_PLACE
from billing.model import (
    DISK_SPACE,
    INSTANCE_TIME,
    OUTGOING_BYTES,
    UNROUNDED_SCALE,
    AdjustedInvoice,
    InvoiceLine,
    InvoiceTax,
    PriceVersion,
    PriceWindow,
    Statement,
    Unbilled,
)
from billing.prices import price_key, to_written

DOCUMENT_FORMAT = "nephoscope-statement-1"
MONTH_DEFINITION = (
    "a GiB-month is one GiB held through one calendar month of the account's time zone; "
    "a second of it costs the month's price over the real seconds of that month"
)
METER_WORDS = {DISK_SPACE: "disk space", OUTGOING_BYTES: "outgoing traffic"}
SHOWN = Context(prec=300, rounding=ROUND_HALF_EVEN)
"""Wide enough to show the largest usage that a series can hold, unbilled as it then is."""


def shown(exact: Fraction) -> Decimal:
    """Write an exact quotient with 12 decimal places, for reading; nothing is computed from it."""
    quotient = SHOWN.divide(Decimal(exact.numerator), Decimal(exact.denominator))
    return quotient.quantize(Decimal(1).scaleb(-UNROUNDED_SCALE), context=SHOWN)


def quantity_in_unit(line: InvoiceLine) -> Decimal:
    """Return the quantity in the unit of the price (hours, GiB-months, GiB), with 12 decimal places."""
    return shown(Fraction(line.base_quantity) / Fraction(line.per_base))


def describe_line(line: InvoiceLine) -> str:
    """Say in words what a line charges for."""
    if line.is_adjustment:
        place = f" line {line.adjusts_line}" if line.adjusts_line is not None else ""
        return f"adjusts {line.adjusts_invoice}{place}: {describe_usage(line)}"
    return describe_usage(line)


def describe_usage(line: InvoiceLine) -> str:
    """Say what was used."""
    if line.meter == INSTANCE_TIME:
        return f"{line.resource_name}: {line.flavor_name}, {line.state}"
    return f"{line.resource_name}: {METER_WORDS.get(line.meter, line.meter)}"


def formula_of(line: InvoiceLine) -> str:
    """Write out how the line's unrounded amount comes about, in exact figures."""
    per = decimal_text(line.per_base)
    quantity, price = decimal_text(line.base_quantity), decimal_text(line.unit_price)
    unrounded = decimal_text(shown(line.amount_exact))
    return (
        f"{quantity} {line.base_unit} x {price} per {line.unit} / {per} {line.base_unit} per {line.unit} = {unrounded}"
    )


def version_terms(version: PriceVersion) -> dict[str, object]:
    """Return the terms of a version as an invoice quotes them."""
    return {
        "id": version.id,
        "plan_id": version.plan_id,
        "number": version.number,
        "effective_from": version.effective_from,
        "prices": [to_written(price) for price in sorted(version.prices, key=price_key)],
    }


def window_members(window: PriceWindow) -> dict[str, object]:
    """Return which version held when, null where none did."""
    version_id = window.version.id if window.version is not None else None
    return {"start": window.interval.start, "end": window.interval.end, "price_version_id": version_id}


def line_members(line: InvoiceLine) -> dict[str, object]:
    """Return a line as named members: exact quantities, the price, both amounts, and of an adjustment what it adjusts."""
    members: dict[str, object] = {
        "number": line.number,
        "description": describe_line(line),
        "meter": line.meter,
        "resource_id": line.resource_id,
        "resource_name": line.resource_name,
        "state": line.state,
        "flavor_name": line.flavor_name,
        "started_at": line.started_at,
        "ended_at": line.ended_at,
        "quantity": quantity_in_unit(line),
        "unit": line.unit,
        "unit_price": line.unit_price,
        "base_quantity": line.base_quantity,
        "base_unit": line.base_unit,
        "base_units_per_unit": line.per_base,
        "amount_unrounded": shown(line.amount_exact),
        "amount": line.amount,
        "rounding": shown(Fraction(line.amount) - line.amount_exact),
        "tax_rate": line.tax_rate,
        "price_version_id": line.price_version_id,
        "price_version_number": line.price_version_number,
        "charge_count": line.charge_count,
        "usage_digest": line.usage_digest,
    }
    if line.is_adjustment:
        adjusts = {"invoice_id": line.adjusts_invoice_id, "invoice": line.adjusts_invoice, "line": line.adjusts_line}
        members["adjusts"] = adjusts
    return members


def adjusted_members(adjusted: AdjustedInvoice) -> dict[str, object]:
    """Return which invoice is adjusted and which had carried some of it before: what a rerun needs beside the snapshot."""
    return {"invoice_id": adjusted.id, "invoice": adjusted.label, "carried_by": adjusted.carried_by}


def tax_members(tax: InvoiceTax) -> dict[str, object]:
    """Return the tax of one rate as named members."""
    return {"tax_rate": tax.tax_rate, "base": tax.base, "tax": tax.tax}


def unbilled_members(item: Unbilled) -> dict[str, object]:
    """Return usage that no price covers as named members."""
    return {
        "meter": item.meter,
        "resource_id": item.resource_id,
        "resource_name": item.resource_name,
        "started_at": item.interval.start,
        "ended_at": item.interval.end,
        "base_quantity": item.quantity,
        "base_unit": item.base_unit,
        "reason": item.reason,
    }


def statement_members(statement: Statement) -> dict[str, object]:
    """Return the whole content of a statement: what it says depends on usage, prices and terms, never on when it ran."""
    account = statement.account
    members: dict[str, object] = {
        "format": DOCUMENT_FORMAT,
        "project_id": account.project_id,
        "issuer_name": account.issuer_name,
        "period": {"start": statement.period.start, "end": statement.period.end, "time_zone": account.time_zone},
        "rated_until": statement.rated_until,
        "currency": account.currency,
        "tax_rate": account.tax_rate,
        "series": account.series,
        "rounding": {"mode": account.rounding, "place": ROUNDING_PLACE},
        "month": MONTH_DEFINITION,
        "price_versions": [version_terms(version) for version in statement.versions],
        "price_windows": [window_members(window) for window in statement.windows],
        "lines": [line_members(line) for line in statement.lines],
        "unbilled": [unbilled_members(item) for item in statement.unbilled],
        "taxes": [tax_members(tax) for tax in statement.taxes],
        "subtotal_unrounded": shown(statement.subtotal_exact),
        "subtotal": statement.subtotal,
        "tax_total": statement.tax_total,
        "total": statement.total,
    }
    if statement.adjusted:
        members["adjusted_invoices"] = [adjusted_members(invoice) for invoice in statement.adjusted]
    if statement.earlier_invoices_left:
        members["earlier_invoices_left"] = statement.earlier_invoices_left
    return members


def statement_document(statement: Statement) -> bytes:
    """Return the canonical bytes of a statement: what is digested and stored."""
    return canonical_json(statement_members(statement))
