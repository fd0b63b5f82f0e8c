"""The laws of late usage: what was billed and what adjusts it are together what the period is rated at, however often it changes."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from billing.adjustments import Original, adjustment_lines, balances_of
from billing.invoicing import compose_statement
from billing.model import Invoice, InvoiceId, InvoiceLine, InvoiceStatus, PriceWindow, Rated, UsageRecord
from billing.rating import rate_usage
from foundation.interval import TimeInterval
from foundation.money import RoundingMode
from tests.pure.billing_builders import (
    PERIOD,
    a_segment,
    a_version,
    an_account,
    counts,
    rated_inputs,
    segments,
    windows_of,
)

TOKYO = ZoneInfo("Asia/Tokyo")
ORIGINAL = InvoiceId(UUID(int=500))
NEXT = TimeInterval(PERIOD.end, PERIOD.end + timedelta(days=30))


def an_invoice(*, tax: str = "0.1") -> Invoice:
    return Invoice(
        id=ORIGINAL,
        project_id="p1",
        kind="invoice",
        version=1,
        revision=1,
        period_start=PERIOD.start,
        period_end=PERIOD.end,
        rated_until=PERIOD.end,
        time_zone="Asia/Tokyo",
        currency="JPY",
        tax_rate=Decimal(tax),
        rounding=RoundingMode.FLOOR,
        issuer_name="A cloud",
        series="INV",
        subtotal=Decimal(0),
        tax_total=Decimal(0),
        total=Decimal(0),
        snapshot="",
        digest="",
        status=InvoiceStatus.FINALIZED,
        number=7,
        finalized_at=PERIOD.end,
        previous_chain="0" * 64,
        chain_digest="0" * 64,
        created_at=PERIOD.end,
    )


def rate(records: Sequence[UsageRecord], windows: Sequence[PriceWindow]) -> Rated:
    return rate_usage(records, windows=windows, zone=TOKYO)


def billed_lines(rated: Rated, windows: Sequence[PriceWindow]) -> tuple[InvoiceLine, ...]:
    return compose_statement(rated, account=an_account(), windows=windows, period=PERIOD, rated_until=PERIOD.end).lines


def original_of(
    billed: Sequence[InvoiceLine], carried: Sequence[InvoiceLine], known: Rated, *, tax: str = "0.1"
) -> Original:
    return Original(an_invoice(tax=tax), tuple(billed), tuple(carried), (), known.charges, ())


def total(lines: Sequence[InvoiceLine]) -> Fraction:
    return sum((line.amount_exact for line in lines), Fraction(0))


@given(rated_inputs(), st.data())
def test_the_original_and_its_adjustments_are_together_the_rating_of_the_whole_after_every_change(
    inputs: tuple[list[UsageRecord], tuple[PriceWindow, ...]], data: st.DataObject
) -> None:
    records, windows = inputs
    billed, carried = billed_lines(rate(records, windows), windows), list[InvoiceLine]()
    for _ in range(data.draw(st.integers(1, 4))):
        known = rate(data.draw(changed(records, windows)), windows)
        carried += adjustment_lines(original_of(billed, carried, known))
        assert total(billed) + total(carried) == sum((c.amount for c in known.charges), Fraction(0))
        assert adjustment_lines(original_of(billed, carried, known)) == [], "nothing is carried twice"
        for balance in balances_of(original_of(billed, carried, known)):
            assert balance.known == balance.billed_before + balance.carried_before


@st.composite
def changed(draw: st.DrawFn, records: list[UsageRecord], windows: tuple[PriceWindow, ...]) -> list[UsageRecord]:
    """Facts as they may be known later: some were there before, some are new, some turned out not to have been."""
    kept = [record for record in records if draw(st.booleans())]
    return [*kept, *draw(st.lists(segments(), max_size=3)), *draw(st.lists(counts(windows=windows), max_size=2))]


@given(rated_inputs(), st.data())
def test_the_order_in_which_facts_are_known_changes_no_adjustment(
    inputs: tuple[list[UsageRecord], tuple[PriceWindow, ...]], data: st.DataObject
) -> None:
    records, windows = inputs
    later = data.draw(changed(records, windows))
    billed = billed_lines(rate(records, windows), windows)
    expected = adjustment_lines(original_of(billed, (), rate(later, windows)))
    assert adjustment_lines(original_of(billed, (), rate(data.draw(st.permutations(later)), windows))) == expected


def test_an_adjustment_names_its_invoice_and_line_keeps_price_and_tax_and_foots_with_the_rest() -> None:
    windows = windows_of([a_version()])
    billed = billed_lines(rate([a_segment(seconds=3600, disk_gib=0)], windows), windows)
    known = rate([a_segment(seconds=1800, disk_gib=0), a_segment(seconds=7200, disk_gib=0, resource=8)], windows)
    original = original_of(billed, (), known, tax="0.08")
    less, new = adjustment_lines(original)
    assert (less.adjusts_invoice_id, less.adjusts_invoice, less.adjusts_line) == (ORIGINAL, "INV-000007", 1)
    assert (less.base_quantity, less.amount_exact, less.tax_rate) == (-1800, -2, Decimal("0.08"))
    assert (new.adjusts_line, new.base_quantity, new.amount_exact) == (None, 7200, 8)
    own = rate([a_segment(start=NEXT.start, seconds=3600, disk_gib=0)], windows_of([a_version()], interval=NEXT))
    statement = compose_statement(
        own,
        account=an_account(),
        windows=windows_of([a_version()], interval=NEXT),
        period=NEXT,
        rated_until=NEXT.end,
        adjustments=[less, new],
    )
    assert [line.number for line in statement.lines] == [1, 2, 3]
    assert [(tax.tax_rate, tax.base) for tax in statement.taxes] == [(Decimal("0.08"), 6), (Decimal("0.1"), 4)]
    assert (statement.subtotal, statement.usage_exact) == (10, 4)


def test_usage_that_turned_out_not_to_have_been_is_given_back_whole() -> None:
    windows = windows_of([a_version()])
    billed = billed_lines(rate([a_segment(seconds=3600)], windows), windows)
    lines = adjustment_lines(original_of(billed, (), rate([], windows)))
    assert total(lines) == -total(billed)
    assert {line.charge_count for line in lines} == {0}
