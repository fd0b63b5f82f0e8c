"""Invoicing: laws 1, 13 and 14 of money: lines hold every charge, one rounding a tax rate, and figures that foot."""

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from billing.canonical import canonical_json, chain_digest, decimal_text, digest_of
from billing.invoicing import compose_statement, line_key
from billing.model import Charge, PriceWindow, Rated, Statement, UsageRecord
from billing.rating import rate_usage
from billing.statement import formula_of, quantity_in_unit, shown, statement_document, statement_members
from foundation.money import RoundingMode, currency_exponent, round_exact
from tests.pure.billing_builders import (
    EPOCH,
    PERIOD,
    PLAN,
    a_segment,
    a_version,
    an_account,
    rated_inputs,
    windows_of,
)

modes = st.sampled_from(RoundingMode)
currencies = st.sampled_from(["JPY", "USD", "KWD"])


def state(
    rated: Rated, *, currency: str = "JPY", mode: RoundingMode = RoundingMode.FLOOR, tax: str = "0.1"
) -> Statement:
    account = an_account(currency=currency, rounding=mode, tax=tax)
    return compose_statement(
        rated, account=account, windows=windows_of([a_version()]), period=PERIOD, rated_until=PERIOD.end
    )


def rated_of(*records: UsageRecord) -> Rated:
    return rate_usage(records, windows=windows_of([a_version()]), zone=ZoneInfo("UTC"))


def a_charge(*, quantity: Decimal, price: Decimal = Decimal("0.0001"), resource: int = 1) -> Charge:
    return Charge(
        meter="instance",
        resource_id=UUID(int=resource),
        resource_name="vm",
        state="active",
        flavor_name="m1.small",
        interval=PERIOD,
        quantity=quantity,
        base_unit="s",
        unit="hour",
        unit_price=price,
        per=Decimal(3600),
        version_id=a_version().id,
        version_number=1,
        evidence="events:a:b",
    )


@given(rated_inputs(), currencies, modes, st.sampled_from(["0", "0.08", "0.1", "0.0775"]))
def test_displayed_figures_foot_and_hold_every_charge(
    inputs: tuple[list[UsageRecord], tuple[PriceWindow, ...]], currency: str, mode: RoundingMode, tax: str
) -> None:
    records, windows = inputs
    rated = rate_usage(records, windows=windows, zone=ZoneInfo("UTC"))
    statement = state(rated, currency=currency, mode=mode, tax=tax)
    assert statement.subtotal_exact == sum((c.amount for c in rated.charges), Fraction(0))
    assert sum((line.amount for line in statement.lines), Decimal(0)) == statement.subtotal
    assert sum((tax.base for tax in statement.taxes), Decimal(0)) == statement.subtotal
    assert statement.total == statement.subtotal + sum((tax.tax for tax in statement.taxes), Decimal(0))
    unit = Fraction(1, 10 ** currency_exponent(currency))
    assert all(abs(Fraction(line.amount) - line.amount_exact) < unit for line in statement.lines)
    assert len({line_key(charge) for charge in rated.charges}) == len(statement.lines)


@given(st.fractions(-(10**9), 10**9), currencies, modes)
@example(Fraction(1, 2), "JPY", RoundingMode.HALF_UP)
@example(Fraction(-1, 2), "JPY", RoundingMode.HALF_UP)
def test_rounding_moves_by_less_than_one_unit_and_in_its_mode(
    amount: Fraction, currency: str, mode: RoundingMode
) -> None:
    rounded = Fraction(round_exact(amount, currency=currency, mode=mode))
    unit = Fraction(1, 10 ** currency_exponent(currency))
    assert (rounded / unit).denominator == 1
    match mode:
        case RoundingMode.FLOOR:
            assert 0 <= amount - rounded < unit
        case RoundingMode.CEILING:
            assert 0 <= rounded - amount < unit
        case RoundingMode.HALF_UP:
            assert abs(amount - rounded) <= unit / 2


@given(st.lists(st.decimals(0, 5, places=6), min_size=1, max_size=60), currencies, modes)
def test_a_thousand_fractions_of_a_yen_are_not_lost_by_rounding_each(
    quantities: list[Decimal], currency: str, mode: RoundingMode
) -> None:
    charges = tuple(a_charge(quantity=q, price=Decimal(900), resource=n) for n, q in enumerate(quantities, 1))
    statement = state(Rated(charges, ()), currency=currency, mode=mode)
    exact = sum((charge.amount for charge in charges), Fraction(0))
    assert statement.subtotal == round_exact(exact, currency=currency, mode=mode)


def test_a_billion_units_of_a_ten_thousandth_of_a_yen_do_not_drift() -> None:
    charges = tuple(a_charge(quantity=Decimal(3600) * 10**8, resource=n) for n in range(1, 11))
    statement = state(Rated(charges, ()))
    assert statement.subtotal == Decimal(100_000)
    assert statement.tax_total == Decimal(10_000)


def test_the_missing_yen_goes_to_the_largest_remainder_and_ties_to_the_first_line() -> None:
    charges = tuple(
        a_charge(quantity=Decimal(q), price=Decimal(1), resource=n) for n, q in enumerate((1800, 2520, 1800), 1)
    )
    lines = state(Rated(charges, ()), mode=RoundingMode.HALF_UP).lines
    assert [line.amount for line in lines] == [Decimal(1), Decimal(1), Decimal(0)]


def test_a_credit_is_a_negative_line_and_still_foots() -> None:
    charges = (
        a_charge(quantity=Decimal(5400), price=Decimal(1)),
        a_charge(quantity=Decimal(-1800), price=Decimal(1), resource=2),
    )
    statement = state(Rated(charges, ()), mode=RoundingMode.HALF_UP)
    assert statement.subtotal == Decimal(1)
    assert [line.amount for line in statement.lines] == [Decimal(2), Decimal(-1)]


def test_an_empty_period_is_a_statement_of_zero() -> None:
    statement = state(Rated((), ()))
    assert (statement.subtotal, statement.total, statement.lines, statement.taxes) == (0, 0, (), ())


@given(rated_inputs(), st.randoms(use_true_random=False))
def test_the_same_usage_gives_the_same_bytes_in_any_order(
    inputs: tuple[list[UsageRecord], tuple[PriceWindow, ...]], random: Random
) -> None:
    records, windows = inputs
    once = statement_document(state(rate_usage(records, windows=windows, zone=ZoneInfo("UTC"))))
    random.shuffle(records)
    assert statement_document(state(rate_usage(records, windows=windows, zone=ZoneInfo("UTC")))) == once


def test_a_line_adds_the_segments_of_one_price_and_says_its_formula() -> None:
    later = a_segment(start=EPOCH + timedelta(hours=5), seconds=1, disk_gib=0)
    (line,) = state(rated_of(a_segment(seconds=5400, disk_gib=0), later)).lines
    assert (line.base_quantity, line.charge_count) == (Decimal(5401), 2)
    assert formula_of(line) == "5401 s x 4 per hour / 3600 s per hour = 6.001111111111"
    assert quantity_in_unit(line) == Decimal("1.500277777778")


def test_the_document_quotes_the_prices_and_the_unbilled_usage() -> None:
    members = statement_members(state(rated_of(a_segment(state="error"))))
    text = canonical_json(members).decode()
    assert '"kind":"disk","per_gib_month":"12"' in text
    assert "no price for flavor m1.small in state error" in text
    assert str(PLAN) in text


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12))
def test_a_decimal_written_in_full_reads_back_the_same(number: Decimal) -> None:
    text = decimal_text(number)
    assert Decimal(text) == number
    assert "E" not in text.upper()


def test_a_canonical_document_refuses_what_has_no_exact_form() -> None:
    with pytest.raises(TypeError, match="no place"):
        canonical_json({"amount": object()})
    assert canonical_json({"b": Decimal("1.50"), "a": Decimal("-0.0")}) == b'{"a":"0","b":"1.5"}'


def test_a_link_of_the_chain_depends_on_everything_it_binds() -> None:
    link = chain_digest("0" * 64, series="INV", number=1, digest="d", finalized_at=EPOCH, snapshot="1:1:")
    other = chain_digest("1" * 64, series="INV", number=1, digest="d", finalized_at=EPOCH, snapshot="1:1:")
    assert link != other
    assert len(link) == len(digest_of(b"")) == 64


@given(st.fractions())
def test_what_is_shown_is_within_half_of_the_last_place(exact: Fraction) -> None:
    assert abs(Fraction(shown(exact)) - exact) <= Fraction(1, 2 * 10**12)
