"""What an instance costs in a state: by the state's own price, or as what it is charged where the plan has none for it."""

from decimal import Decimal

import pytest

from billing.prices import ACTIVE, CHARGED_AS, StatePrice
from billing.rating import hourly_price

STOPPED = StatePrice("stopped", factor=Decimal("0.2"))


@pytest.mark.parametrize(
    ("state", "cost"), [("active", 10), ("paused", 10), ("stopped", 2), ("suspended", 2), ("shelved", 2)]
)
def test_a_state_that_a_plan_does_not_name_costs_what_it_is_a_kind_of(state: str, cost: int):
    assert hourly_price(Decimal(10), [STOPPED], state) == cost


def test_a_state_with_a_price_of_its_own_costs_that():
    states = [STOPPED, StatePrice("shelved", factor=Decimal(0)), StatePrice("paused", per_hour=Decimal(7))]
    assert [hourly_price(Decimal(10), states, state) for state in ("shelved", "paused", "suspended")] == [0, 7, 2]


def test_what_a_plan_prices_neither_itself_nor_as_another_state_has_no_price():
    assert hourly_price(Decimal(10), [], "shelved") is None
    assert hourly_price(Decimal(10), [STOPPED], "error") is None


def test_whatever_a_state_is_charged_as_is_no_kind_of_another():
    assert not CHARGED_AS.keys() & {ACTIVE, *CHARGED_AS.values()}
