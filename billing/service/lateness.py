"""Late usage: what a period's facts say now, less what its invoice has charged."""

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias
from uuid import UUID

from billing.model import Invoice, InvoiceLine
from billing.service.invoices import account_at, get_invoice, invoice_lines, stored_windows
from billing.service.rated import rate_windows
from foundation.database import Transaction

LineTerms: TypeAlias = tuple[str, UUID, str, str, UUID, Decimal, Decimal]


@dataclass(frozen=True, slots=True)
class LateLine:
    """What one resource used more, or less where it is negative, at one price; `line` names resource and price."""

    line: InvoiceLine
    quantity: Decimal
    amount: Fraction


@dataclass(frozen=True, slots=True)
class LateUsage:
    """What an invoice does not hold, at its own prices and before tax: an adjustment owes exactly this."""

    invoice: Invoice
    lines: tuple[LateLine, ...]

    @property
    def amount(self) -> Fraction:
        """The exact sum, with its sign."""
        return sum((line.amount for line in self.lines), Fraction(0))


def late_usage(tx: Transaction, invoice_id: UUID, *, project_id: str | None = None) -> LateUsage:
    """Rate an invoice's period again from all that is known now, and return what its lines lack. Raises InvoiceNotFound.

    Of a final invoice it is what came after its snapshot; of a draft, what drafting it again would change up to the
    instant that it was rated to.
    """
    invoice = get_invoice(tx, invoice_id, project_id=project_id)
    statement = rate_windows(
        tx,
        account_at(invoice),
        stored_windows(tx, invoice),
        period=invoice.period,
        rated_until=invoice.rated_until,
        as_of=None,
    )
    shown: dict[LineTerms, InvoiceLine] = {}
    missing: defaultdict[LineTerms, Decimal] = defaultdict(Decimal)
    for line in invoice_lines(tx, invoice.id):
        shown[terms_of(line)] = line
        missing[terms_of(line)] -= line.base_quantity
    for line in statement.lines:
        shown.setdefault(terms_of(line), line)
        missing[terms_of(line)] += line.base_quantity
    late = [LateLine(shown[terms], quantity, amount_of(shown[terms], quantity)) for terms, quantity in missing.items()]
    return LateUsage(invoice, tuple(line for line in late if line.quantity))


def terms_of(line: InvoiceLine) -> LineTerms:
    """Return what makes two lines the same charge, whatever the resource is called: resource, state, flavor and price."""
    what = (line.meter, line.resource_id, line.state, line.flavor_name)
    return (*what, line.price_version_id, line.unit_price, line.per_base)


def amount_of(line: InvoiceLine, quantity: Decimal) -> Fraction:
    """Return what a quantity costs at a line's price, exactly."""
    return Fraction(quantity) * Fraction(line.unit_price) / Fraction(line.per_base)
