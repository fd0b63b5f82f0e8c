"""What a final invoice lacks, or has too much of, as lines of a later one: what is known now, less what was billed, less what was carried."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TypeAlias
from uuid import UUID

from billing.canonical import canonical_json, digest_of
from billing.invoicing import METER_ORDER
from billing.model import Charge, Invoice, InvoiceId, InvoiceLine, PriceVersion, PriceVersionId
from billing.rating import exact_sum

LineTerms: TypeAlias = tuple[str, UUID, str, str, PriceVersionId, Decimal, Decimal]


@dataclass(frozen=True, slots=True)
class Original:
    """A final invoice as it stands: its usage lines, what later final invoices have carried of it, and what is known of its period."""

    invoice: Invoice
    billed: tuple[InvoiceLine, ...]
    carried: tuple[InvoiceLine, ...]
    carried_by: tuple[InvoiceId, ...]
    charges: tuple[Charge, ...]
    versions: tuple[PriceVersion, ...]


@dataclass(frozen=True, slots=True)
class EarlierInvoices:
    """The invoices that a statement adjusts; `left` others have newer facts too and wait for the next one, since one adjusts only so many."""

    originals: tuple[Original, ...] = ()
    left: int = 0


@dataclass(frozen=True, slots=True)
class Balance:
    """One resource at one price: all that is known, was billed and was carried, in base units; `missing` is what is still owed."""

    terms: LineTerms
    charges: tuple[Charge, ...]
    billed: tuple[InvoiceLine, ...]
    carried: tuple[InvoiceLine, ...]

    @property
    def known(self) -> Decimal:
        """The quantity by all facts."""
        return exact_sum(charge.quantity for charge in self.charges)

    @property
    def billed_before(self) -> Decimal:
        """The quantity on the original."""
        return exact_sum(line.base_quantity for line in self.billed)

    @property
    def carried_before(self) -> Decimal:
        """The quantity on later final invoices, with its sign."""
        return exact_sum(line.base_quantity for line in self.carried)

    @property
    def missing(self) -> Decimal:
        """What is owed still; negative where too much was charged."""
        return exact_sum((self.known, self.billed_before.copy_negate(), self.carried_before.copy_negate()))


def terms_of(line: InvoiceLine) -> LineTerms:
    """Return what makes two lines the same charge, whatever the resource is called: resource, state, flavor and price."""
    what = (line.meter, line.resource_id, line.state, line.flavor_name)
    return (*what, line.price_version_id, line.unit_price, line.per_base)


def terms_of_charge(charge: Charge) -> LineTerms:
    """Return the same of a charge."""
    what = (charge.meter, charge.resource_id, charge.state, charge.flavor_name)
    return (*what, charge.version_id, charge.unit_price, charge.per)


def balances_of(original: Original) -> Iterator[Balance]:
    """Put together what is known, billed and carried of each resource at each price, in the order of an invoice."""
    charges: defaultdict[LineTerms, list[Charge]] = defaultdict(list)
    billed: defaultdict[LineTerms, list[InvoiceLine]] = defaultdict(list)
    carried: defaultdict[LineTerms, list[InvoiceLine]] = defaultdict(list)
    for charge in original.charges:
        charges[terms_of_charge(charge)].append(charge)
    for line in original.billed:
        billed[terms_of(line)].append(line)
    for line in original.carried:
        carried[terms_of(line)].append(line)
    for terms in sorted({*charges, *billed, *carried}, key=terms_order):
        yield Balance(terms, tuple(charges[terms]), tuple(billed[terms]), tuple(carried[terms]))


def terms_order(terms: LineTerms) -> tuple[object, ...]:
    """Order as an invoice's lines are, as far as names do not matter."""
    return (METER_ORDER.get(terms[0], len(METER_ORDER)), *terms)


def adjustment_lines(original: Original) -> list[InvoiceLine]:
    """Return a line for each resource and price of which the quantity is not what was charged so far; unnumbered and not rounded.

    At the original's price and tax rate, dated to the usage, with its sign; the proof covers what is known now and what was charged.
    """
    return [adjustment_line(original.invoice, balance) for balance in balances_of(original) if balance.missing]


def adjustment_line(invoice: Invoice, balance: Balance) -> InvoiceLine:
    """Make the line of one balance that does not close."""
    meter, resource_id, state, flavor_name, version_id, unit_price, per = balance.terms
    lines = (*balance.billed, *balance.carried)
    newest = balance.charges[-1] if balance.charges else None
    started_at, ended_at = span_of(balance)
    return InvoiceLine(
        number=0,
        meter=meter,
        resource_id=resource_id,
        resource_name=lines[0].resource_name if newest is None or balance.billed else newest.resource_name,
        state=state,
        flavor_name=flavor_name,
        started_at=started_at,
        ended_at=ended_at,
        base_quantity=balance.missing,
        base_unit=lines[0].base_unit if newest is None else newest.base_unit,
        unit=lines[0].unit if newest is None else newest.unit,
        unit_price=unit_price,
        per_base=per,
        price_version_id=version_id,
        price_version_number=lines[0].price_version_number if newest is None else newest.version_number,
        tax_rate=invoice.tax_rate,
        amount=Decimal(0),
        charge_count=len(balance.charges),
        usage_digest=proof_of(balance),
        adjusts_invoice_id=invoice.id,
        adjusts_invoice=invoice.label,
        adjusts_line=balance.billed[0].number if balance.billed else None,
    )


def span_of(balance: Balance) -> tuple[datetime, datetime]:
    """Return from when to when there was usage, as known now or as it was charged."""
    lines = (*balance.billed, *balance.carried)
    starts = [*(charge.interval.start for charge in balance.charges), *(line.started_at for line in lines)]
    ends = [*(charge.interval.end for charge in balance.charges), *(line.ended_at for line in lines)]
    return min(starts), max(ends)


def proof_of(balance: Balance) -> str:
    """Digest what an adjustment rests on: the charges as known now, and the lines that were charged before."""
    known = sorted([c.interval.start.isoformat(), c.interval.end.isoformat(), c.evidence] for c in balance.charges)
    before = [line.usage_digest for line in (*balance.billed, *balance.carried)]
    return digest_of(canonical_json({"known": known, "charged": sorted(before)}))
