"""Rating: laws 1, 2, 4, 5, 7, 8 and 13 of money, and what each kind of price charges."""

import ast
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from random import Random
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.model import (
    DISK_SPACE,
    INSTANCE_TIME,
    CounterUsage,
    PriceWindow,
    Rated,
    StateUsage,
    UsageRecord,
)
from billing.prices import DiskPrice, FlavorPrice, SizePrice, StatePrice
from billing.proration import billing_month, seconds_of, split_at, split_by_days
from billing.rating import NO_PRICE_IN_FORCE, QUANTITY_MAX, rate_usage
from foundation.interval import TimeInterval
from tests.pure.billing_builders import (
    EPOCH,
    GIB,
    PERIOD,
    a_count,
    a_segment,
    a_version,
    moments,
    rated_inputs,
    segments,
    windows_of,
)

UTC_ZONE = ZoneInfo("UTC")
USUAL = windows_of([a_version()])


def rate(*records: UsageRecord, windows: tuple[PriceWindow, ...] = USUAL, zone: ZoneInfo = UTC_ZONE) -> Rated:
    return rate_usage(records, windows=windows, zone=zone)


def total(rated: Rated) -> Fraction:
    return sum((charge.amount for charge in rated.charges), Fraction(0))


def quantities(rated: Rated) -> dict[tuple[UUID, str], Decimal]:
    sums: dict[tuple[UUID, str], Decimal] = {}
    for item in (*rated.charges, *rated.unbilled):
        key = (item.resource_id, item.meter)
        sums[key] = sums.get(key, Decimal(0)) + item.quantity
    return sums


@given(rated_inputs())
def test_every_unit_is_charged_or_unbilled_exactly_once(
    inputs: tuple[list[UsageRecord], tuple[PriceWindow, ...]],
) -> None:
    records, windows = inputs
    expected: dict[tuple[UUID, str], Decimal] = {}
    for record in records:
        if isinstance(record, CounterUsage):
            used = {record.meter: record.quantity}
        else:
            seconds = seconds_of(record.interval)
            used = {INSTANCE_TIME: seconds, DISK_SPACE: record.disk_gib * seconds}
        for meter, quantity in used.items():
            key = (record.resource_id, meter)
            expected[key] = expected.get(key, Decimal(0)) + quantity
    rated = rate(*records, windows=windows)
    found = quantities(rated)
    assert {key: quantity for key, quantity in expected.items() if quantity} == {k: q for k, q in found.items() if q}


@given(segments())
def test_the_charged_intervals_of_a_resource_are_disjoint_and_cover_its_life(usage: StateUsage) -> None:
    prices = (SizePrice(Decimal(1), Decimal(1), (StatePrice("stopped", factor=Decimal(0)),)),)
    changes = [
        a_version(number=n, effective_from=EPOCH + timedelta(days=n - 1, seconds=n), prices=prices) for n in (2, 9)
    ]
    first = a_version(prices=prices)
    rated = rate(usage, windows=windows_of([first, *changes]))
    pieces = [item.interval for item in (*rated.charges, *rated.unbilled) if item.meter == INSTANCE_TIME]
    pieces.sort()
    assert pieces[0].start == usage.interval.start
    assert pieces[-1].end == usage.interval.end
    assert all(before.end == after.start for before, after in pairwise(pieces))


@given(rated_inputs(), st.randoms(use_true_random=False))
def test_rating_is_repeatable_and_does_not_know_the_order(
    inputs: tuple[list[UsageRecord], tuple[PriceWindow, ...]], random: Random
) -> None:
    records, windows = inputs
    once = rate(*records, windows=windows)
    random.shuffle(records)
    assert rate(*records, windows=windows) == once


@given(rated_inputs(), st.integers(0, 6))
def test_any_split_into_batches_charges_the_same_in_total(
    inputs: tuple[list[UsageRecord], tuple[PriceWindow, ...]], cut: int
) -> None:
    records, windows = inputs
    whole = rate(*records, windows=windows)
    parts = (rate(*records[:cut], windows=windows), rate(*records[cut:], windows=windows))
    assert sorted(c.amount for part in parts for c in part.charges) == sorted(c.amount for c in whole.charges)


@given(segments(), st.lists(moments(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)), max_size=5))
def test_rating_is_additive_over_time(usage: StateUsage, cuts: list[datetime]) -> None:
    windows = windows_of([a_version(), a_version(number=2, effective_from=EPOCH + timedelta(days=9, microseconds=3))])
    parts = [replaced(usage, interval) for interval in split_at(usage.interval, cuts)]
    assert total(rate(*parts, windows=windows)) == total(rate(usage, windows=windows))


@given(
    st.sampled_from(["Europe/Berlin", "Asia/Tokyo", "America/Sao_Paulo", "Pacific/Apia"]),
    st.integers(2000, 2039),
    st.integers(1, 12),
)
@settings(max_examples=50)
def test_the_days_of_a_month_cost_together_what_the_month_costs(name: str, year: int, month: int) -> None:
    zone = ZoneInfo(name)
    whole = billing_month(year, month, zone)
    windows = (PriceWindow(whole, a_version(effective_from=whole.start)),)
    usage = replaced(a_segment(), whole)
    days = [replaced(usage, day) for day in split_by_days(whole, zone)]
    assert total(rate(*days, windows=windows, zone=zone)) == total(rate(usage, windows=windows, zone=zone))
    disk = [c for c in rate(usage, windows=windows, zone=zone).charges if c.meter == DISK_SPACE]
    assert sum((c.amount for c in disk), Fraction(0)) == 10 * 12, "a GiB-month costs its price in a month of any length"


@given(rated_inputs(), segments())
def test_more_usage_never_costs_less(
    inputs: tuple[list[UsageRecord], tuple[PriceWindow, ...]], more: StateUsage
) -> None:
    records, windows = inputs
    assert total(rate(*records, more, windows=windows)) >= total(rate(*records, windows=windows))


def test_a_price_change_inside_a_segment_charges_each_part_at_its_own_price() -> None:
    dear = (FlavorPrice("m1.small", Decimal("8")),)
    cheap = (FlavorPrice("m1.small", Decimal("4")),)
    windows = windows_of(
        [a_version(prices=cheap), a_version(number=2, prices=dear, effective_from=EPOCH + timedelta(minutes=15))]
    )
    charges = rate(a_segment(seconds=3600, disk_gib=0), windows=windows).charges
    assert [(c.quantity, c.unit_price, c.amount) for c in charges] == [
        (Decimal(900), Decimal(4), Fraction(1)),
        (Decimal(2700), Decimal(8), Fraction(6)),
    ]


@pytest.mark.parametrize(
    ("state", "flavor", "amount"),
    [
        ("active", "m1.small", Fraction(4)),
        ("stopped", "m1.small", Fraction(1)),
        ("active", "odd.flavor", Fraction("7.2") + Fraction("3.6") / 2),
        ("stopped", "odd.flavor", Fraction(0)),
    ],
)
def test_an_hour_costs_by_flavor_and_state(state: str, flavor: str, amount: Fraction) -> None:
    charges = rate(a_segment(state=state, flavor=flavor, disk_gib=0)).charges
    assert [charge.amount for charge in charges] == [amount]


def test_a_state_without_a_price_is_unbilled_with_its_reason_and_its_disk_is_charged() -> None:
    rated = rate(a_segment(state="error"))
    assert [(u.meter, u.reason) for u in rated.unbilled] == [
        ("instance", "the price plan has no price for flavor m1.small in state error")
    ]
    assert [charge.meter for charge in rated.charges] == ["disk"]


def test_usage_before_any_price_is_unbilled_and_not_lost() -> None:
    rated = rate(a_segment(), a_count(quantity=GIB), windows=(PriceWindow(PERIOD, None),))
    assert rated.charges == ()
    assert {(u.meter, u.reason) for u in rated.unbilled} == {
        ("instance", NO_PRICE_IN_FORCE),
        ("disk", NO_PRICE_IN_FORCE),
        ("network.outgoing.bytes", NO_PRICE_IN_FORCE),
    }


def test_a_counter_in_another_unit_than_its_price_is_unbilled() -> None:
    rated = rate(a_count(quantity=Decimal(5), unit="packet"))
    assert [u.reason for u in rated.unbilled] == ["network.outgoing.bytes is priced in B but came in packet"]


@given(st.lists(st.integers(0, 2**62), max_size=20))
def test_outgoing_bytes_cost_the_price_of_their_gib(bytes_sent: list[int]) -> None:
    records = [a_count(quantity=Decimal(sent), resource=n) for n, sent in enumerate(bytes_sent, 1)]
    assert total(rate(*records)) == Fraction(sum(bytes_sent), 2**30) * Fraction("9.5")


@given(
    st.lists(
        st.decimals(-(10**25), 10**25, places=12, allow_nan=False)
        | st.sampled_from([QUANTITY_MAX, -(QUANTITY_MAX * 10)]),
        min_size=1,
        max_size=5,
    )
)
def test_counts_of_any_size_are_charged_or_unbilled_to_the_last_digit_and_no_charge_is_beyond_an_invoice(
    amounts: list[Decimal],
) -> None:
    rated = rate(*(a_count(quantity=amount) for amount in amounts))
    assert sorted(item.quantity for item in (*rated.charges, *rated.unbilled)) == sorted(amounts)
    assert all(abs(charge.quantity) <= QUANTITY_MAX for charge in rated.charges)
    assert all("beyond what an invoice can hold" in item.reason for item in rated.unbilled)


def test_a_disk_held_over_two_months_pays_each_month_by_its_own_length() -> None:
    interval = TimeInterval(datetime(2026, 1, 31, tzinfo=UTC), datetime(2026, 2, 2, tzinfo=UTC))
    windows = (PriceWindow(interval, a_version(prices=(DiskPrice(Decimal(31 * 28)),), effective_from=interval.start)),)
    charges = rate(replaced(a_segment(disk_gib=1), interval), windows=windows).charges
    assert [c.amount for c in charges] == [Fraction(28), Fraction(31)]


def test_two_prices_for_one_thing_cannot_be_one_version() -> None:
    with pytest.raises(ValueError, match="twice"):
        a_version(prices=(DiskPrice(Decimal(1)), DiskPrice(Decimal(2))))


@pytest.mark.parametrize("bad", ["NaN", "Infinity", "-1", "0.00000000001", "100000000.1"])
def test_a_price_that_cannot_be_kept_exactly_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="price"):
        DiskPrice(Decimal(bad))


def test_no_float_occurs_in_billing() -> None:
    root = Path(__file__).parents[2]
    sources = [
        *(root / "billing").rglob("*.py"),
        *(root / "api/native").glob("billing*.py"),
        root / "foundation/money.py",
    ]
    assert len(sources) > 5
    found = [f"{path.name}:{node.lineno}" for path in sources for node in floats_of(ast.parse(path.read_text()))]
    assert found == [], "money and quantities are Decimal or Fraction: write the literal as a string"


def floats_of(tree: ast.AST) -> list[ast.expr]:
    return [
        node
        for node in ast.walk(tree)
        if (isinstance(node, ast.Constant) and isinstance(node.value, float))
        or (isinstance(node, ast.Name) and node.id in {"float", "float64", "total_seconds"})
        or (isinstance(node, ast.Attribute) and node.attr in {"total_seconds", "timestamp", "float64", "float32"})
    ]


def replaced(usage: StateUsage, interval: TimeInterval) -> StateUsage:
    return StateUsage(
        usage.resource_id,
        usage.name,
        interval,
        usage.state,
        usage.flavor_name,
        usage.vcpus,
        usage.ram_mib,
        usage.disk_gib,
        usage.opened_by,
        usage.closed_by,
    )
