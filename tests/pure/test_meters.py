"""What a meter of events counts, and which definitions there can be."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.errors import Invalid
from metering.event_meters import checked_definition, counted_event, resource_name_of
from metering.event_model import EventFault, EventMeter, MeterDefinition
from metering.service.event_meters import new_meter

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def a_definition(**changes: Any) -> MeterDefinition:
    """Return a meter of tokens."""
    facts: dict[str, Any] = {
        "project_id": "p",
        "name": "tokens",
        "event_type": "com.example.llm",
        "aggregation": "sum",
        "value_path": "$.usage.tokens",
        "unit": "token",
        "group_by": {"model": "$.model"},
    }
    return MeterDefinition(**{**facts, **changes})


def a_meter(**changes: Any) -> EventMeter:
    """Return the meter of a definition."""
    definition = checked_definition(a_definition(**changes))
    return new_meter(definition, description="", created_by="u", now=NOW)


def value_of(data: Any, *, may_lower: bool = False, **changes: Any) -> float:
    """Return what the meter counts of an event with this data."""
    return counted_event(a_meter(**changes), source="/app", subject="c", data=data, may_lower=may_lower).value


@pytest.mark.parametrize(
    ("number", "value"),
    [(12, 12.0), (0, 0.0), (1.5, 1.5), ("12", 12.0), ("0.125", 0.125), ("1e3", 1000.0), (-0.0, 0.0), (2**53, 2.0**53)],
)
def test_numbers_and_decimal_text_are_counted(number: Any, value: float) -> None:
    counted = value_of({"usage": {"tokens": number}, "model": "m"})
    assert (counted, str(counted)) == (value, str(value))


@pytest.mark.parametrize(
    "data", [None, {}, {"usage": 5}, {"usage": {}}, {"usage": {"tokens": None}}, [], "text", {"usage.tokens": 1}]
)
def test_an_event_without_its_number_is_not_counted_and_says_which(data: Any) -> None:
    with pytest.raises(EventFault, match=r"data\.usage\.tokens is missing") as caught:
        value_of(data)
    assert caught.value.field == "data.usage.tokens"


@pytest.mark.parametrize("number", [True, "12 tokens", "", [], {}, "NaN", "1e999", 1e141, "0x10", "１２"])
def test_what_is_no_number_is_not_counted(number: Any) -> None:
    with pytest.raises(EventFault, match=r"data\.usage\.tokens is (not a number|beyond)"):
        value_of({"usage": {"tokens": number}})


def test_what_is_summed_is_a_whole_number_s_worth_at_most_and_a_level_may_be_larger() -> None:
    data = {"usage": {"tokens": 2**53 + 2}}
    with pytest.raises(EventFault, match="is beyond 9007199254740992, the largest number"):
        value_of(data)
    assert value_of(data, aggregation="max") == 2**53 + 2


def test_only_who_may_lower_a_bill_sends_corrections_but_a_level_may_be_below_zero() -> None:
    data = {"usage": {"tokens": -3}}
    with pytest.raises(EventFault, match="only an admin sends corrections"):
        value_of(data)
    assert value_of(data, may_lower=True) == -3.0
    assert value_of(data, aggregation="last") == -3.0


def test_count_counts_every_event_whatever_its_data() -> None:
    for data in (None, {}, "x", {"usage": {"tokens": 7}}):
        assert value_of(data, aggregation="count", value_path=None, group_by={}) == 1.0


def test_an_event_counts_for_its_subject_and_without_one_for_its_source() -> None:
    meter = a_meter(aggregation="count", value_path=None)
    for subject, told in (("c", "c"), (None, "/app")):
        counted = counted_event(meter, source="/app", subject=subject, data={"model": 5}, may_lower=False)
        assert (counted.subject, counted.groups) == (told, (("model", "5"),))


@pytest.mark.parametrize(("value", "text"), [("m", "m"), (None, ""), (True, "true"), (3, "3"), (1.5, "1.5"), ("", "")])
def test_groups_are_text(value: Any, text: str) -> None:
    counted = counted_event(
        a_meter(), source="/app", subject="c", data={"usage": {"tokens": 1}, "model": value}, may_lower=False
    )
    assert counted.groups == (("model", text),)


@pytest.mark.parametrize("value", [[], {}, "x" * 256])
def test_what_cannot_be_a_group_is_said(value: Any) -> None:
    with pytest.raises(EventFault) as caught:
        value_of({"usage": {"tokens": 1}, "model": value})
    assert caught.value.field == "data.model"


def test_a_definition_is_written_in_one_way() -> None:
    definition = checked_definition(a_definition())
    assert (definition.value_path, definition.group_by) == ("usage.tokens", {"model": "model"})
    assert checked_definition(definition) == definition
    assert checked_definition(a_definition(aggregation="count", value_path=None, unit="")).unit == "event"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "Tokens"}, "name"),
        ({"name": "a b"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "cpu"}, "name"),
        ({"name": "network.outgoing.bytes"}, "name"),
        ({"name": "tokens.time"}, "name"),
        ({"event_type": ""}, "event_type"),
        ({"event_type": "a\0b"}, "event_type"),
        ({"unit": "x" * 32}, "unit"),
        ({"aggregation": "count"}, "value"),
        ({"value_path": None}, "value"),
        ({"value_path": "$"}, "value"),
        ({"value_path": "a..b"}, "value"),
        ({"value_path": "$.a[0]"}, "value"),
        ({"value_path": "$.*"}, "value"),
        ({"value_path": ".".join("abcdefghijk")}, "value"),
        ({"group_by": {f"g{n}": "a" for n in range(6)}}, "group_by"),
        ({"group_by": {"project_id": "a"}}, "group_by"),
        ({"group_by": {"subject": "a"}}, "group_by"),
        ({"group_by": {"Model": "a"}}, "group_by"),
        ({"group_by": {"model": ""}}, "group_by.model"),
    ],
)
def test_a_definition_that_cannot_be_names_the_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        checked_definition(a_definition(**changes))
    assert caught.value.field == field


texts = st.text("ab?@%&=/", min_size=1, max_size=3)
places = st.tuples(texts, texts, st.lists(st.tuples(st.sampled_from("mn"), texts), max_size=2).map(tuple))


@given(st.lists(places, max_size=30))
def test_two_subjects_are_never_one_resource(wanted: list[tuple[str, str, tuple[tuple[str, str], ...]]]) -> None:
    names = {place: resource_name_of(place[0], place[1], groups=place[2]) for place in wanted}
    assert len(set(names.values())) == len(names)
