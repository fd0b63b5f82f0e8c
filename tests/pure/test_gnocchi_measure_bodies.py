"""Bodies of measures: read in columns as they would be one by one."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.gnocchi.measures import from_wire_metric_ids
from api.gnocchi.wire import from_wire_columns, from_wire_timestamp
from foundation.errors import Invalid
from foundation.ids import new_id
from metering.errors import SeveralUnknown

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECONDS_MAX = 2**37
FIRST = datetime(2, 1, 1, tzinfo=UTC)


@st.composite
def iso_times(draw: st.DrawFn) -> str:
    """Instants of eight thousand years, to the microsecond, with any offset or none."""
    instant = FIRST + timedelta(microseconds=draw(st.integers(0, 7_990 * 365 * 86_400_000_000)))
    if draw(st.booleans()):
        return instant.replace(tzinfo=None).isoformat()
    return instant.replace(tzinfo=timezone(timedelta(minutes=draw(st.integers(-1439, 1439))))).isoformat()


WORDS = st.sampled_from(["now", "-1 hour", " 2026-03-01T00:00:00Z ", "2026-03-01", "1700000000.25"])
TIMES = st.one_of(iso_times(), st.integers(0, SECONDS_MAX), st.floats(0, SECONDS_MAX), WORDS)


@given(st.lists(st.tuples(TIMES, st.floats(-1e140, 1e140) | st.integers(-(10**18), 10**18)), max_size=20))
def test_columns_are_what_the_measures_are_one_by_one(measures: list[tuple[Any, float]]) -> None:
    read = from_wire_columns([{"timestamp": at, "value": value} for at, value in measures], now=NOW)
    exact = [(from_wire_timestamp(at, now=NOW) - EPOCH) // timedelta(microseconds=1) for at, _ in measures]
    assert read.times_us.tolist() == exact
    assert read.values.tolist() == [float(value) for _, value in measures]


@pytest.mark.parametrize("value", [True, "1", None, [1], {"a": 1}])
def test_a_value_that_is_no_number_is_named(value: Any) -> None:
    with pytest.raises(Invalid, match="is not a number"):
        from_wire_columns([{"timestamp": "now", "value": 1}, {"timestamp": "now", "value": value}], now=NOW)


@pytest.mark.parametrize("measure", [{"value": 1}, {"timestamp": "now"}, 3, None, [1, 2], "timestamp"])
def test_a_measure_without_its_fields_is_refused(measure: Any) -> None:
    with pytest.raises(Invalid, match="a timestamp and a value"):
        from_wire_columns([measure], now=NOW)


@pytest.mark.parametrize("at", [None, True, [], {}, "yesterday", "2026-13-01", 1e300])
def test_a_time_that_cannot_be_read_is_refused(at: Any) -> None:
    with pytest.raises(Invalid, match="cannot parse"):
        from_wire_columns([{"timestamp": at, "value": 1}], now=NOW)


def test_metric_ids_are_read_in_any_spelling_and_what_is_none_is_named() -> None:
    one, other = new_id(), new_id()
    assert from_wire_metric_ids([str(one), str(other).upper(), one.hex]) == [one, other, one]
    with pytest.raises(SeveralUnknown):
        from_wire_metric_ids([str(one), "nothing"])
