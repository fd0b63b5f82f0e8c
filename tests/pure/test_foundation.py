"""The laws of time and money that everything stands on."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.ids import new_hex_id, new_id
from foundation.interval import TimeInterval
from foundation.money import RoundingMode, currency_exponent, round_exact

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
    low = round_exact(Fraction(amount), currency=currency, mode=RoundingMode.FLOOR)
    high = round_exact(Fraction(amount), currency=currency, mode=RoundingMode.CEILING)
    near = round_exact(Fraction(amount), currency=currency, mode=RoundingMode.HALF_UP)
    assert low <= amount <= high
    assert high - low in (0, unit)
    assert near in (low, high)
    assert abs(near - amount) <= unit / 2


@pytest.mark.parametrize(
    ("currency", "places"), [("JPY", 0), ("GNF", 0), ("XPF", 0), ("RWF", 0), ("USD", 2), ("KWD", 3), ("CLF", 4)]
)
def test_a_currency_has_its_decimal_places(currency: str, places: int) -> None:
    assert currency_exponent(currency) == places


def test_ids_sort_by_birth() -> None:
    made = [new_id() for _ in range(100)]
    assert made == sorted(made)
    assert len(new_hex_id()) == 32
