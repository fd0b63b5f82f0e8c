"""Charges to a statement: lines, one rounding a tax rate, tax and total; the displayed lines foot by largest remainder."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import groupby
from math import floor
from typing import TypeAlias

from billing.canonical import canonical_json, digest_of
from billing.model import (
    DISK_SPACE,
    INSTANCE_TIME,
    AdjustedInvoice,
    BillingAccount,
    Charge,
    InvoiceLine,
    InvoiceTax,
    PriceWindow,
    Rated,
    Statement,
)
from billing.rating import exact_sum
from foundation.interval import TimeInterval
from foundation.money import MONEY_CONTEXT, currency_exponent, round_exact

LineKey: TypeAlias = tuple[object, ...]
ROUNDING_PLACE = "the sum of the lines of each tax rate, once an invoice; then that rate's tax, once an invoice"
METER_ORDER = {INSTANCE_TIME: 0, DISK_SPACE: 1}


def compose_statement(
    rated: Rated,
    *,
    account: BillingAccount,
    windows: Sequence[PriceWindow],
    period: TimeInterval,
    rated_until: datetime,
    adjustments: Sequence[InvoiceLine] = (),
    adjusted: Sequence[AdjustedInvoice] = (),
    earlier_invoices_left: int = 0,
) -> Statement:
    """Make the statement of a period from its charges and the adjustments of earlier invoices; pure, so a rerun gives the same.

    Rounding happens at ROUNDING_PLACE in the account's mode, nowhere else. `rated_until` is the instant up to which
    the usage was read: the period's end, or the present where that is earlier.
    """
    with localcontext(MONEY_CONTEXT):
        exact = [
            compose_line(tuple(group), number=number, tax_rate=account.tax_rate)
            for number, (_, group) in enumerate(groupby(sorted(rated.charges, key=line_key), key=line_key), start=1)
        ]
        exact += [replace(line, number=number) for number, line in enumerate(adjustments, start=len(exact) + 1)]
        lines, taxes = round_by_rate(exact, account=account)
        subtotal = exact_sum(tax.base for tax in taxes)
        tax_total = exact_sum(tax.tax for tax in taxes)
    statement = Statement(
        account=account,
        period=period,
        rated_until=rated_until,
        lines=tuple(lines),
        taxes=tuple(taxes),
        unbilled=rated.unbilled,
        windows=tuple(windows),
        subtotal=subtotal,
        tax_total=tax_total,
        total=exact_sum((subtotal, tax_total)),
        adjusted=tuple(adjusted),
        earlier_invoices_left=earlier_invoices_left,
    )
    assert_statement_foots(statement, rated)
    return statement


def line_key(charge: Charge) -> LineKey:
    """Say which charges are one line: one resource, one meter, one state and flavor, one price."""
    return (
        METER_ORDER.get(charge.meter, len(METER_ORDER)),
        charge.meter,
        charge.resource_name,
        charge.resource_id,
        charge.state,
        charge.flavor_name,
        charge.version_id,
        charge.unit_price,
        charge.per,
    )


def compose_line(charges: Sequence[Charge], *, number: int, tax_rate: Decimal) -> InvoiceLine:
    """Add the charges of one line; its amount is set when the whole is rounded."""
    first = charges[0]
    proofs = sorted([c.interval.start.isoformat(), c.interval.end.isoformat(), c.evidence] for c in charges)
    return InvoiceLine(
        number=number,
        meter=first.meter,
        resource_id=first.resource_id,
        resource_name=first.resource_name,
        state=first.state,
        flavor_name=first.flavor_name,
        started_at=min(c.interval.start for c in charges),
        ended_at=max(c.interval.end for c in charges),
        base_quantity=exact_sum(c.quantity for c in charges),
        base_unit=first.base_unit,
        unit=first.unit,
        unit_price=first.unit_price,
        per_base=first.per,
        price_version_id=first.version_id,
        price_version_number=first.version_number,
        tax_rate=tax_rate,
        amount=Decimal(0),
        charge_count=len(charges),
        usage_digest=digest_of(canonical_json(proofs)),
    )


def round_by_rate(
    lines: Sequence[InvoiceLine], *, account: BillingAccount
) -> tuple[list[InvoiceLine], list[InvoiceTax]]:
    """Round the sum of each tax rate's lines once, share it out to the lines, and round that rate's tax once."""
    by_rate: defaultdict[Decimal, list[InvoiceLine]] = defaultdict(list)
    for line in lines:
        by_rate[line.tax_rate].append(line)
    shared: list[InvoiceLine] = []
    taxes: list[InvoiceTax] = []
    for rate, members in sorted(by_rate.items()):
        exact = sum((line.amount_exact for line in members), Fraction(0))
        base = round_exact(exact, currency=account.currency, mode=account.rounding)
        shared.extend(share_out(members, total=base, currency=account.currency))
        tax = round_exact(Fraction(base) * Fraction(rate), currency=account.currency, mode=account.rounding)
        taxes.append(InvoiceTax(rate, base, tax))
    return sorted(shared, key=lambda line: line.number), taxes


def share_out(lines: Sequence[InvoiceLine], *, total: Decimal, currency: str) -> list[InvoiceLine]:
    """Give each line a whole number of the currency's smallest unit so that they add up to the total (Hamilton's method).

    Each line gets its floor, and what is missing goes one unit each to the largest remainders, the first lines on a tie.
    """
    scale = 10 ** currency_exponent(currency)
    floors = {line.number: floor(line.amount_exact * scale) for line in lines}
    missing = int(total.scaleb(currency_exponent(currency))) - sum(floors.values())
    assert 0 <= missing <= len(lines), "a rounding moves the sum by less than one unit a line"
    by_remainder = sorted(lines, key=lambda line: (floors[line.number] - line.amount_exact * scale, line.number))
    for line in by_remainder[:missing]:
        floors[line.number] += 1
    exponent = -currency_exponent(currency)
    return [replace(line, amount=Decimal(floors[line.number]).scaleb(exponent)) for line in lines]


def assert_statement_foots(statement: Statement, rated: Rated) -> None:
    """Assert what must hold of every statement: no charge lost on the way to a line, and every displayed figure foots."""
    charged = sum((charge.amount for charge in rated.charges), Fraction(0))
    assert statement.usage_exact == charged, "the lines are all of the charges"
    assert sum(line.charge_count for line in statement.lines if not line.is_adjustment) == len(rated.charges)
    assert exact_sum(line.amount for line in statement.lines) == statement.subtotal
    assert statement.total == exact_sum((statement.subtotal, statement.tax_total))
