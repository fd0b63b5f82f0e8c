"""Late usage: what a period's facts say now, less what its invoice has charged and later ones have carried."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

from billing.adjustments import adjustment_lines
from billing.model import Invoice, InvoiceLine
from billing.service.adjustments import read_original
from billing.service.invoices import get_invoice
from foundation.database import Transaction


@dataclass(frozen=True, slots=True)
class LateLine:
    """What one resource used more, or less where it is negative, at one price; `line` names resource and price."""

    line: InvoiceLine
    quantity: Decimal
    amount: Fraction


@dataclass(frozen=True, slots=True)
class LateUsage:
    """What an invoice does not hold and no final one has carried, at its own prices and before tax: an adjustment owes exactly this."""

    invoice: Invoice
    lines: tuple[LateLine, ...]

    @property
    def amount(self) -> Fraction:
        """The exact sum, with its sign."""
        return sum((line.amount for line in self.lines), Fraction(0))


def late_usage(tx: Transaction, invoice_id: UUID, *, project_id: str | None = None) -> LateUsage:
    """Rate an invoice's period again from all that is known now, and return what its lines lack. Raises InvoiceNotFound.

    Of a final invoice it is what came after its snapshot and is on no later final invoice yet; of a draft, what drafting it again
    would change up to the instant that it was rated to.
    """
    invoice = get_invoice(tx, invoice_id, project_id=project_id)
    lines = adjustment_lines(read_original(tx, invoice, as_of=None))
    return LateUsage(invoice, tuple(LateLine(line, line.base_quantity, line.amount_exact) for line in lines))
