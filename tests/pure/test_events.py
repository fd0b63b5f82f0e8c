"""Which JSON is a CloudEvent that can be kept, and what is said of one that is not."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.cloud_events import MARK_MIN, MARKS, EventReader, content_digest_of, identity_of, mark_of, read_event
from metering.event_model import EVENT_BYTES_MAX, BodyUnreadable, CloudEvent, RejectedEvent

NOW = datetime(2026, 6, 1, tzinfo=UTC)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def an_event(**changes: Any) -> dict[str, Any]:
    """Return an event as JSON; a change to None leaves a member out."""
    members = {"specversion": "1.0", "id": "1", "source": "/app", "type": "com.example.request", **changes}
    return {name: value for name, value in members.items() if value is not None}


def read(event: Any) -> CloudEvent | RejectedEvent:
    """Read an event as it comes over the wire."""
    reader = EventReader()
    parsed = reader.parse(event if isinstance(event, bytes) else json.dumps(event).encode())
    return read_event(parsed, place=0, received_at=NOW, is_doubtful=reader.is_doubtful)


def taken(event: Any) -> CloudEvent:
    """Read an event that must be good."""
    result = read(event)
    assert isinstance(result, CloudEvent), result
    return result


def refused(event: Any) -> RejectedEvent:
    """Read an event that must be refused."""
    result = read(event)
    assert isinstance(result, RejectedEvent), result
    return result


def test_the_smallest_event_is_taken_and_happened_when_it_came() -> None:
    event = taken(an_event())
    assert (event.source, event.event_id, event.type, event.subject) == ("/app", "1", "com.example.request", None)
    assert event.observed_at == NOW
    assert event.written_time is None
    assert event.data_text == ""


def test_an_event_with_all_that_the_specification_has_is_taken() -> None:
    event = taken(
        an_event(
            source="https://example.org/a%20b?c=d#e",
            subject="müller & söhne \\ 株式会社",
            time="2026-05-01T09:00:00.1234567+09:00",
            datacontenttype="application/json; charset=utf-8",
            dataschema="https://example.org/schema",
            traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            sampledrate=30,
            partitionkey="",
            urgent=True,
            data={"tokens": 12, "text": "a\tb\n\\", "deep": [[{"x": None}]]},
        )
    )
    assert event.observed_at == datetime(2026, 5, 1, 0, 0, 0, 123456, tzinfo=UTC)
    assert set(event.attributes) == {
        "datacontenttype",
        "dataschema",
        "traceparent",
        "sampledrate",
        "partitionkey",
        "urgent",
    }
    assert json.loads(event.data_text) == event.data
    assert "\n" not in event.data_text
    assert "\t" not in event.data_text


def test_bytes_come_in_base64() -> None:
    event = taken(an_event(data_base64="AAEC"))
    assert event.is_binary
    assert event.data_text == '"AAEC"'


def test_an_attribute_that_is_null_is_left_out() -> None:
    event = taken(json.dumps({**an_event(), "subject": None, "time": None, "data": None, "extra": None}).encode())
    assert event == taken(an_event())


@pytest.mark.parametrize(
    ("changes", "field", "mend"),
    [
        ({"specversion": None}, "specversion", 'send "specversion": "1.0"'),
        ({"specversion": "0.3"}, "specversion", "is not 1.0"),
        ({"specversion": 1.0}, "specversion", "is not 1.0"),
        ({"id": None}, "id", "is missing"),
        ({"id": ""}, "id", "is empty"),
        ({"id": 7}, "id", "write it in quotes"),
        ({"id": "x" * 256}, "id", "longer than 255"),
        ({"id": "a\nb"}, "id", "control character"),
        ({"source": None}, "source", "is missing"),
        ({"source": "my app"}, "source", "percent-encode"),
        ({"source": "/a%zz"}, "source", "URI-reference"),
        ({"source": "/größe"}, "source", "percent-encode"),
        ({"type": None}, "type", "is missing"),
        ({"subject": ""}, "subject", "is empty"),
        ({"subject": ["a"]}, "subject", "is not text"),
        ({"time": "2026-05-01T00:00:00"}, "time", "has no time zone"),
        ({"time": "2026-05-01"}, "time", "RFC 3339"),
        ({"time": "2026-02-30T00:00:00Z"}, "time", "there is not"),
        ({"time": "0001-01-01T00:00:00+14:00"}, "time", "there is not"),
        ({"time": "1969-12-31T23:59:59Z"}, "time", "before 1970"),
        ({"time": "5138-11-16T09:46:40Z"}, "time", "in the future"),
        ({"time": (NOW + timedelta(minutes=5, seconds=1)).isoformat()}, "time", "set the clock of the source"),
        ({"time": 1780000000}, "time", "is not text"),
        ({"traceParent": "x"}, "traceParent", "lower-case"),
        ({"trace_id": "x"}, "trace_id", "go into data"),
        ({"rate": 1.5}, "rate", "put the rest into data"),
        ({"rate": {"a": 1}}, "rate", "put the rest into data"),
        ({"rate": 2**31}, "rate", "32 bits"),
        ({"datacontenttype": "json"}, "datacontenttype", "media type"),
        ({"dataschema": "/relative"}, "dataschema", "absolute URI"),
        ({"data": {"a": 1}, "data_base64": "AAEC"}, "data_base64", "leave one out"),
        ({"data_base64": "not base64!"}, "data_base64", "is not base64"),
        ({"data": "x" * EVENT_BYTES_MAX}, "data", "send a reference"),
        ({"data": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}, "data", "nested deeper"),
    ],
)
def test_what_is_wrong_is_named_with_its_mend(changes: dict[str, Any], field: str, mend: str) -> None:
    rejection = refused(an_event(**changes))
    assert rejection.field == field
    assert mend in rejection.reason


@pytest.mark.parametrize("seconds", [0, 299, 300])
def test_a_clock_may_be_five_minutes_ahead(seconds: int) -> None:
    assert taken(an_event(time=(NOW + timedelta(seconds=seconds)).isoformat())).observed_at == NOW + timedelta(
        seconds=seconds
    )


@pytest.mark.parametrize("value", [1, "x", None, [], True, 1.5])
def test_what_is_no_object_is_no_event(value: Any) -> None:
    assert "JSON object" in refused(value).reason


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ('{"a": 1, "a": 2}', "repeated name"),
        ('{"a": NaN}', "NaN"),
        ('{"a": -Infinity}', "Infinity"),
        ('{"a": 1e999}', "too large"),
        ('{"a": -1e999}', "too large"),
        ('{"a": 9223372036854775808}', "64 bits"),
        ('{"a": ' + "9" * 5000 + "}", "64 bits"),
        (r'{"a": "\u0000"}', "NUL"),
        (r'{"\u0000": 1}', "NUL"),
        (r'{"a": "\ud800"}', "surrogate"),
    ],
)
def test_one_unreadable_value_costs_only_its_own_event(part: str, said: str) -> None:
    good = json.dumps(an_event(id="2"))
    bad = json.dumps(an_event())[:-1] + f', "data": {part}}}'
    reader = EventReader()
    parsed = reader.parse(f"[{bad},{good}]".encode())
    first, second = (
        read_event(one, place=n, received_at=NOW, is_doubtful=reader.is_doubtful) for n, one in enumerate(parsed)
    )
    assert isinstance(first, RejectedEvent)
    assert said in first.reason
    assert first.field == "data"
    assert isinstance(second, CloudEvent)


@pytest.mark.parametrize("raw", [b"{", b"\xff", b"[1,", b"", b"[" * 100_000, b'"\x00"'])
def test_a_body_that_is_not_json_is_unreadable(raw: bytes) -> None:
    with pytest.raises(BodyUnreadable):
        EventReader().parse(raw)


@given(JSON_VALUES)
def test_whatever_comes_is_taken_or_refused_with_a_reason(value: Any) -> None:
    for event in (value, {"specversion": "1.0", "id": "1", "source": "/a", "type": "t", "data": value}):
        result = read(json.dumps(event).encode())
        if isinstance(result, RejectedEvent):
            assert result.reason
            assert "\0" not in f"{result.source}{result.event_id}{result.type}{result.content}"
        else:
            assert "\n" not in result.data_text


@given(
    st.lists(st.tuples(*[st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=4)] * 3), max_size=20)
)
def test_events_have_one_identity_just_when_project_source_and_id_are_the_same(
    names: list[tuple[str, str, str]],
) -> None:
    identities = {name: identity_of(name[0], name[1], event_id=name[2]) for name in names}
    assert len(set(identities.values())) == len(identities)
    assert all(len(one) == 16 and MARK_MIN <= mark_of(one) < MARK_MIN + MARKS for one in identities.values())


def test_a_repeat_says_the_same_whatever_the_order_of_its_attributes_and_whenever_it_comes() -> None:
    event, other = an_event(a="1", b="2", data={"x": 1}), an_event(b="2", a="1", data={"x": 1})
    later = read_event(other, place=9, received_at=NOW + timedelta(days=3))
    assert isinstance(later, CloudEvent)
    assert content_digest_of(taken(event)) == content_digest_of(later)
    for changes in ({"data": {"x": 2}}, {"subject": "s"}, {"type": "t"}, {"time": "2026-01-01T00:00:00Z"}, {"a": "3"}):
        assert content_digest_of(
            taken(an_event(**{"a": "1", "b": "2", "data": {"x": 1}, **changes}))
        ) != content_digest_of(later)
