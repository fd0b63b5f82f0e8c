"""Reading notifications by definitions: paths, numbers, texts, the definitions' own faults, and payloads that nobody expected."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from collectors.definitions.files import Catalogue, DefinitionsInvalid, load_catalogue, read_file
from collectors.definitions.paths import look_up, parse_number, parse_path, parse_text
from collectors.notifications import Malformed, facts_of, read_notification
from metering.cloud_events import MARK_MIN
from tests.notification_payloads import Told, a_versioned_instance, a_volume, an_instance

DOCUMENT = {
    "payload": {
        "size": 10,
        "text": "26 (+/- 0.5) degrees C",
        "none": None,
        "empty": "",
        "list": [{"key": "a", "value": 1}, {"key": "image_id", "value": "x"}],
        "Sensor Reading": "5 RPM",
        "from": "2026-11-01 10:00:00",
        "to": "2026-11-01T11:00:30+01:00",
    },
    "event_type": "a.b",
}


@lru_cache(maxsize=1)
def catalogue() -> Catalogue:
    return load_catalogue()


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("payload.size", 10),
        ("payload.none", None),
        ("payload.size.deeper", None),
        ("payload.list[1].value", "x"),
        ("payload.list[7].value", None),
        ("payload.list[key=image_id].value", "x"),
        ("payload.list[key=none].value", None),
        ('payload."Sensor Reading"', "5 RPM"),
        ("event_type", "a.b"),
    ],
)
def test_a_path_finds_what_stands_there_or_nothing(path: str, found: object):
    assert look_up(parse_path(path), DOCUMENT) == found


@pytest.mark.parametrize(
    "path", ["", "payloat.x", ".payload", "payload..x", "payload[", "payload.x y", "payload.a[*].b"]
)
def test_a_path_that_cannot_be_read_is_refused(path: str):
    with pytest.raises(ValueError, match="path"):
        parse_path(path)


def test_a_text_is_the_first_alternative_that_gives_one():
    assert parse_text(["payload.none", "payload.empty", "event_type"]).read(DOCUMENT) == "a.b"
    assert parse_text("{event_type}-{payload.size}").read(DOCUMENT) == "a.b-10"
    assert parse_text("{event_type}-{payload.none}").read(DOCUMENT) is None
    assert parse_text("=snapshot").read(DOCUMENT) == "snapshot"


@pytest.mark.parametrize(
    ("written", "number"),
    [
        (1, 1),
        ("payload.size", 10),
        (["payload.none", "payload.size"], 10),
        ({"sum": ["payload.size", "payload.size"]}, 20),
        ({"sum": ["payload.size", "payload.none"]}, None),
        ({"leading": "payload.text"}, 26),
        ({"leading": "payload.from.x"}, None),
        ({"seconds": ["payload.from", "payload.to"]}, 30),
        ({"seconds": ["payload.from", "payload.none"]}, None),
    ],
)
def test_a_number_is_a_constant_a_path_a_sum_a_beginning_or_a_duration(written: object, number: float | None):
    read = parse_number(written).read(DOCUMENT)
    assert read == (None if number is None else Decimal(str(number)))


def test_the_bare_form_and_the_envelope_say_the_same():
    told = Told("volume.create.end", a_volume(str(uuid4()), "p"), at_s=1.5)
    bare = told.bare()
    bare.pop("_unique_id")
    wrapped = json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps(bare)}).encode()
    assert read_notification(json.dumps(bare).encode()) == read_notification(wrapped)
    assert read_notification(wrapped).timestamp == datetime(2026, 11, 1, 0, 0, 1, 500_000, tzinfo=UTC)


def test_versioned_objects_are_read_without_their_wrappers():
    told = Told("instance.create.end", a_versioned_instance(str(uuid4()), "p", "active"))
    (fact,) = facts_of(read_notification(told.body()), catalogue())
    assert fact.instance is not None
    assert (fact.instance.flavor_name, fact.instance.disk_gib) == ("m1.small", 25)


def test_what_a_message_makes_is_told_apart_by_its_id_alone():
    payload = an_instance(str(uuid4()), "p", "active")
    one, other = Told("compute.instance.create.end", payload), Told("compute.instance.create.end", payload)
    ids = [facts_of(read_notification(told.body()), catalogue())[0].id for told in (one, one, other)]
    assert ids[0] == ids[1] != ids[2]


def test_deltas_of_different_messages_bear_marks_of_their_own_beyond_every_boot():
    payload = {"image_id": str(uuid4()), "bytes_sent": 1, "owner_id": "p"}
    marks = {
        reading.epoch
        for _ in range(20)
        for fact in facts_of(read_notification(Told("image.send", payload).body()), catalogue())
        for reading in fact.readings
    }
    assert len(marks) == 40
    assert min(marks) >= MARK_MIN


def test_every_state_that_nova_knows_is_charged_or_deliberately_not():
    kinds = {
        "active": ("active", "rescued", "resized"),
        "paused": ("paused",),
        "suspended": ("suspended",),
        "shelved": ("shelved", "shelved_offloaded"),
        "stopped": ("stopped", "soft-delete"),
        "error": ("error",),
        "deleted": ("deleted",),
    }
    known = [state for states in kinds.values() for state in states]
    states: dict[str, str] = {}
    for state in [*known, "building"]:
        told = Told("compute.instance.update", an_instance(str(uuid4()), "p", state))
        for fact in facts_of(read_notification(told.body()), catalogue()):
            assert fact.instance is not None
            states[state] = fact.instance.state
    assert states == {state: kind for kind, states in kinds.items() for state in states}


leaves = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
)
FIELDS = [
    "id",
    "payload",
    "metrics",
    "name",
    "network",
    "networks",
    "volume_id",
    "tenant_id",
    "size",
    "state",
    "uuid",
    "flavor",
    "target",
]
anything = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=4), inner),
    max_leaves=12,
)
event_types = st.sampled_from(
    sorted({event.replace("*", "create") for entry in load_catalogue().entries for event in entry.events})
)


@given(event_types, anything)
def test_a_payload_of_any_form_is_read_or_refused_with_a_reason(event_type: str, payload: Any):
    body = json.dumps(Told(event_type, payload).bare()).encode()
    try:
        facts = facts_of(read_notification(body), catalogue())
    except Malformed as fault:
        facts = ()
        reason = fault.reason
    else:
        reason = "read"
    assert reason
    for fact in facts:
        assert fact.original_id
        assert fact.observed_at.tzinfo is not None


@given(st.binary(max_size=64) | st.text(max_size=64).map(lambda text: json.dumps(text).encode()))
def test_bytes_of_any_kind_are_refused_with_a_reason(body: bytes):
    with pytest.raises(Malformed) as refused:
        read_notification(body)
    assert refused.value.reason


# Definitions


def written(folder: Path, file: str, **changes: Any) -> Path:
    entry: dict[str, Any] = {
        "name": "foo",
        "events": ["foo.*"],
        "resource": {"type": "generic", "id": "payload.id"},
        "meters": [{"name": "foo.size", "type": "gauge", "unit": "B", "value": "payload.size"}],
    }
    path = folder / file
    document: dict[str, Any] = {"service": "foo", "exchange": "foo", "entries": [entry | changes]}
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"meters": []}, "entry foo: an entry needs one of instance, existence and meters"),
        ({"resource": {"type": "generic"}}, "entry foo: resource.id: Field required"),
        ({"resource": {"type": "generic", "id": "id"}}, "entry foo: resource.id: the path 'id' must begin with one of"),
        ({"colour": "red"}, "entry foo: colour: Extra inputs are not permitted"),
        ({"events": []}, "entry foo: events: List should have at least 1 item"),
        ({"where": {"x": "y"}}, "entry foo: the path 'x' must begin with one of"),
        ({"meters": [{"name": "m", "type": "gauge", "unit": "B", "value": {"product": 1}}]}, "entry foo: meters.0.value: say a number"),
        ({"existence": {"meter": "m", "unit": "B"}}, "entry foo: existence.ends_on: Field required"),
    ],
)  # fmt: skip
def test_a_wrong_definition_is_named_by_file_entry_and_field(tmp_path: Path, changes: dict[str, Any], fault: str):
    path = written(tmp_path, "wrong.yaml", **changes)
    with pytest.raises(DefinitionsInvalid) as refused:
        read_file(path)
    assert refused.value.problems[0].startswith(f"{path}: {fault}")


@pytest.mark.parametrize(("text", "fault"), [("a: [", "not YAML"), ("3", "valid dictionary"), ("", "valid dictionary")])
def test_a_file_that_is_no_definition_is_refused(tmp_path: Path, text: str, fault: str):
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(DefinitionsInvalid, match=fault):
        read_file(path)


def test_all_files_are_looked_at_and_a_missing_folder_is_said(tmp_path: Path):
    written(tmp_path, "a.yaml", meters=[])
    written(tmp_path, "b.yaml", events=[])
    with pytest.raises(DefinitionsInvalid) as refused:
        load_catalogue(tmp_path)
    assert len(refused.value.problems) == 2
    with pytest.raises(DefinitionsInvalid, match="no such folder"):
        load_catalogue(tmp_path / "nowhere")


def test_an_operators_entry_takes_the_place_of_ours_of_its_name(tmp_path: Path):
    written(tmp_path, "own.yaml", name="cinder-volume", events=["volume.mine"])
    own = load_catalogue(tmp_path)
    assert [entry.name for entry in own.entries_for("volume.mine")] == ["cinder-volume"]
    assert own.entries_for("volume.create.end") == ()
    assert len(own.entries) == len(catalogue().entries)
    assert "foo" in own.exchanges
