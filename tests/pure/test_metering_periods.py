"""Buckets of the calendar, against the standard library's calendar."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.aggregates import Grid, resample
from metering.operations import Column, Matrix, MetricWanted, evaluate
from metering.operations_syntax import parse_operations
from metering.periods import CalendarPeriod, Width, calendar_period, starts_of

DAY_US = 86_400_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INSTANTS = st.integers(0, 230 * 365 * DAY_US).map(lambda number: EPOCH + timedelta(microseconds=number))


def us(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(microseconds=1)


def start(instant: datetime, width: Width) -> datetime:
    found = starts_of(np.array([us(instant)], dtype=np.int64), width)[0]
    return EPOCH + timedelta(microseconds=int(found))


@given(INSTANTS)
def test_a_period_begins_where_the_calendar_says(instant: datetime) -> None:
    day = instant.replace(hour=0, minute=0, second=0, microsecond=0)
    month = day.replace(day=1)
    assert start(instant, "M") == month
    assert start(instant, "Q") == month.replace(month=month.month - (month.month - 1) % 3)
    assert start(instant, "H") == month.replace(month=1 if month.month <= 6 else 7)
    assert start(instant, "Y") == month.replace(month=1)
    assert start(instant, "W") == day - timedelta(days=day.isoweekday() % 7)


@given(INSTANTS, st.sampled_from(["Y", "H", "Q", "M", "W", 60_000_000, DAY_US]))
def test_the_start_of_a_bucket_lies_in_that_bucket(instant: datetime, width: Width) -> None:
    assert start(instant, width) <= instant
    assert start(start(instant, width), width) == start(instant, width)


def test_only_gnocchis_letters_are_periods() -> None:
    assert [calendar_period(one) for one in ("Y", "H", "Q", "M", "W")] == ["Y", "H", "Q", "M", "W"]
    assert [calendar_period(one) for one in ("y", "D", "", "YM", "60")] == [None] * 5


@pytest.mark.parametrize(("period", "means"), [("Y", [7.0, 8.0]), ("Q", [11.0, 3.0, 7.0, 8.0])])
def test_a_series_is_averaged_by_periods(period: CalendarPeriod, means: list[float]) -> None:
    days = ("2015-03-01", "2015-03-06", "2015-04-01", "2015-04-06", "2015-10-06", "2016-01-06", "2016-02-06")
    times = np.array([us(datetime.fromisoformat(day).replace(tzinfo=UTC)) for day in days], dtype=np.int64)
    values = np.array([10.0, 12, 2, 4, 7, 12, 4])
    found = resample(Grid(times, values[:, None]), width=period, method="mean")
    assert found.values[:, 0].tolist() == means
    matrix = Matrix(DAY_US, times, values[:, None], (Column(MetricWanted("cpu", "mean")),))
    resampled = evaluate(parse_operations(f"(resample mean {period} (metric cpu mean))"), matrix)
    assert (resampled.width, resampled.values[:, 0].tolist()) == (period, means)
