"""Reset-aware increases: never negative, blind to order, and right at boots, resets, wraps and noise."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.counters import Increase, Reading, exact, increase_of, increases_of, total_increase

T0 = datetime(2026, 3, 1, tzinfo=UTC)
BOOT_US = 1_772_323_200_000_000


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


readings = st.lists(
    st.builds(
        Reading,
        st.integers(0, 10_000).map(at),
        st.sampled_from([0, BOOT_US, BOOT_US + 1]),
        st.floats(0, 1e18, allow_nan=False),
        st.booleans(),
    ),
    unique_by=lambda reading: (reading.observed_at, reading.boot_epoch),
    max_size=30,
)


@given(readings, st.randoms())
def test_a_counter_never_falls_and_the_order_of_arrival_does_not_matter(rows: list[Reading], random: Random) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    traced = increases_of(rows, "cumulative")
    assert traced == increases_of(shuffled, "cumulative")
    assert all(increase is None or (increase.amount >= 0 and increase.elapsed_s >= 0) for _, increase in traced)
    assert total_increase(rows, "cumulative") >= 0


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=20))
def test_a_counter_that_only_rises_has_consumed_its_last_reading_since_boot(steps: list[int]) -> None:
    total, rows = 0, list[Reading]()
    for second, step in enumerate(steps):
        total += step
        rows.append(Reading(at(second), BOOT_US, float(total)))
    assert total_increase(rows, "cumulative") == total


def test_a_fall_without_a_known_boot_is_a_reset() -> None:
    assert increase_of(Reading(at(60), 0, 30), Reading(at(0), 0, 900), "cumulative") == Increase(30, 60)


def test_a_fall_within_a_known_boot_is_noise() -> None:
    assert increase_of(Reading(at(60), BOOT_US, 899), Reading(at(0), BOOT_US, 900), "cumulative") == Increase(0, 60)


def test_the_first_reading_of_a_witnessed_boot_counts_whole_over_the_time_since_boot() -> None:
    assert increase_of(Reading(at(5), BOOT_US, 7), None, "cumulative") == Increase(7, 5)


@pytest.mark.parametrize("reading", [Reading(at(5), BOOT_US, 7, adopted=True), Reading(at(5), 0, 7)])
def test_the_first_reading_of_an_adopted_guest_or_an_unknown_boot_counts_nothing(reading: Reading) -> None:
    assert increase_of(reading, None, "cumulative") is None


def test_a_gauge_may_fall_as_in_gnocchi() -> None:
    assert increase_of(Reading(at(60), 0, 30), Reading(at(0), 0, 900), "gauge") == Increase(-870, 60)


@given(st.integers(-(2**53), 2**53))
def test_whole_numbers_become_decimals_exactly(number: int) -> None:
    assert exact(float(number)) == Decimal(number)
