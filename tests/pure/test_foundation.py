"""The laws of time and money that everything stands on."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.ids import new_hex_id, new_id
from foundation.interval import TimeInterval
from foundation.money import Money, RoundingMode, currency_exponent, round_amount

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
instants = st.integers(0, 10**6).map(lambda seconds: EPOCH + timedelta(seconds=seconds))
intervals = st.tuples(instants, st.integers(1, 10**6)).map(
    lambda it: TimeInterval(it[0], it[0] + timedelta(seconds=it[1]))
)
amounts = st.decimals(min_value=-(10**12), max_value=10**12, places=9)


@given(intervals, intervals, instants)
def test_an_instant_is_in_the_intersection_when_it_is_in_both(
    one: TimeInterval, other: TimeInterval, at: datetime
) -> None:
    shared = one.intersection(other)
    assert (shared is not None and shared.contains(at)) == (one.contains(at) and other.contains(at))


def test_an_interval_refuses_naive_times_and_emptiness() -> None:
    with pytest.raises(ValueError, match="aware"):
        TimeInterval(datetime(2026, 1, 1), datetime(2026, 1, 2))  # noqa: DTZ001
    with pytest.raises(ValueError, match="before it ends"):
        TimeInterval(EPOCH, EPOCH)


@given(amounts, st.sampled_from(["JPY", "USD", "KWD"]))
def test_rounding_moves_an_amount_by_less_than_one_unit(amount: Decimal, currency: str) -> None:
    unit = Decimal(1).scaleb(-currency_exponent(currency))
    low = round_amount(amount, currency=currency, mode=RoundingMode.FLOOR)
    high = round_amount(amount, currency=currency, mode=RoundingMode.CEILING)
    near = round_amount(amount, currency=currency, mode=RoundingMode.HALF_UP)
    assert low <= amount <= high
    assert high - low in (0, unit)
    assert near in (low, high)
    assert abs(near - amount) <= unit / 2


@given(amounts, amounts)
def test_money_adds_exactly_and_in_any_order(one: Decimal, other: Decimal) -> None:
    assert Money(one, "JPY") + Money(other, "JPY") == Money(other, "JPY") + Money(one, "JPY")
    assert (Money(one, "JPY") + Money(other, "JPY")).amount - other == one


def test_currencies_never_meet() -> None:
    with pytest.raises(ValueError, match="cannot be added"):
        _ = Money(Decimal(1), "JPY") + Money(Decimal(1), "USD")


def test_ids_sort_by_birth() -> None:
    made = [new_id() for _ in range(100)]
    assert made == sorted(made)
    assert len(new_hex_id()) == 32
