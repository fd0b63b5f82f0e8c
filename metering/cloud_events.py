"""Reading CloudEvents 1.0: which JSON is an event that can be kept, and why another cannot. Pure.

Rules: https://github.com/cloudevents/spec, version 1.0.2 of the specification and of its JSON format.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, cast

import orjson

from metering.event_model import EVENT_BYTES_MAX, BodyUnreadable, CloudEvent, EventFault, RejectedEvent
from metering.samples import fault_of_time

ID_LENGTH_MAX = 255
TYPE_LENGTH_MAX = 255
SUBJECT_LENGTH_MAX = 255
URI_LENGTH_MAX = 1_024
NAME_LENGTH_MAX = 100
DEPTH_MAX = 30
INTEGER_MAX = 2**63 - 1
EXTENSION_INTEGER_MAX = 2**31
SHOWN_CHARACTERS_MAX = 4_096
TIME_LENGTH_MAX = 64

CORE = frozenset({"specversion", "id", "source", "type", "subject", "time", "data", "data_base64"})
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
URI_REFERENCE = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
NOT_ENCODED = re.compile(r"%(?![0-9A-Fa-f]{2})")
URI = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:.+")
ATTRIBUTE_NAME = re.compile(r"[a-z0-9]+")
MEDIA_TYPE = re.compile(r"[\w!#$&^.+\-]+/[\w!#$&^.+\-]+\s*(;.*)?", re.ASCII)
INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)?", re.ASCII)


class Unreadable:
    """Stands in a parsed body for a part that no event can hold, so that only its own event is rejected."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


class EventReader:
    """Parses a body of JSON; what is wrong with one value or object is kept for the event that it belongs to."""

    def __init__(self) -> None:
        self.is_doubtful = False

    def parse(self, raw: bytes) -> Any:
        """Return the JSON value; raise BodyUnreadable where it is none."""
        try:
            text = raw.decode("utf-8")
            self.is_doubtful = "\\u" in text
            return json.loads(
                text,
                object_pairs_hook=self.read_object,
                parse_constant=self.read_constant,
                parse_float=self.read_float,
                parse_int=self.read_integer,
            )
        except UnicodeDecodeError as error:
            raise BodyUnreadable("the body is not UTF-8") from error
        except RecursionError as error:
            raise BodyUnreadable(f"the body is nested deeper than {DEPTH_MAX} levels") from error
        except json.JSONDecodeError as error:
            place = f"line {error.lineno}, column {error.colno}"
            raise BodyUnreadable(f"the body is not JSON: {error.msg} at {place}") from error

    def doubt(self, reason: str) -> Unreadable:
        """Note that the body holds something that must be looked for."""
        self.is_doubtful = True
        return Unreadable(reason)

    def read_object(self, pairs: list[tuple[str, Any]]) -> Any:
        """Build an object; a repeated name would be understood in two ways."""
        built = dict(pairs)
        return built if len(built) == len(pairs) else self.doubt("has an object with a repeated name")

    def read_constant(self, name: str) -> Any:
        """NaN and the infinities are not JSON."""
        return self.doubt(f"holds {name}, which is not a number in JSON")

    def read_float(self, text: str) -> Any:
        """Read a number that does not overflow."""
        number = float(text)
        return number if -1e308 <= number <= 1e308 else self.doubt("holds a number that is too large")

    def read_integer(self, text: str) -> Any:
        """Read an integer of 64 bits."""
        if len(text) > 20:
            return self.doubt("holds an integer of more than 64 bits; write it as text")
        number = int(text)
        return number if -INTEGER_MAX <= number <= INTEGER_MAX else self.doubt("holds an integer of more than 64 bits")


def read_event(
    given: Any, *, place: int, received_at: datetime, is_doubtful: bool = True
) -> CloudEvent | RejectedEvent:
    """Return the event that a JSON value in the structured form is, or why it is none that can be kept."""
    try:
        if is_doubtful:
            check_readable(given)
        return checked_event(given, place=place, received_at=received_at)
    except EventFault as fault:
        return rejected(given, place=place, fault=fault)


def rejected(given: Any, *, place: int, fault: EventFault) -> RejectedEvent:
    """Say why an event is not taken, with what can be shown of it."""
    told: dict[str, str | None] = {"source": None, "id": None, "type": None}
    if isinstance(given, dict):
        for name in told:
            value = cast(dict[str, Any], given).get(name)
            told[name] = (
                CONTROL.sub("\N{REPLACEMENT CHARACTER}", value)[:URI_LENGTH_MAX] if isinstance(value, str) else None
            )
    text = json.dumps(given, default=lambda part: f"<{part.reason}>", separators=(",", ":"))
    return RejectedEvent(
        place, fault.reason, fault.field, told["source"], told["id"], told["type"], text[:SHOWN_CHARACTERS_MAX]
    )


def checked_event(given: Any, *, place: int, received_at: datetime) -> CloudEvent:
    """Return the event, or raise EventFault for the first thing that is wrong with it."""
    if not isinstance(given, dict):
        raise EventFault(None, "an event is a JSON object with specversion, id, source and type")
    members = cast(dict[str, Any], given)
    version = members.get("specversion")
    if version != "1.0":
        said = "is missing" if version is None else "is not 1.0"
        raise EventFault("specversion", f'specversion {said}; send "specversion": "1.0"')
    event_id = required_text(members, "id", length_max=ID_LENGTH_MAX)
    source = required_text(members, "source", length_max=URI_LENGTH_MAX)
    if not is_uri_reference(source):
        raise EventFault(
            "source", "source is not a URI-reference; percent-encode what is not allowed in one, such as spaces"
        )
    event_type = required_text(members, "type", length_max=TYPE_LENGTH_MAX)
    subject = optional_text(members, "subject", length_max=SUBJECT_LENGTH_MAX)
    written = optional_text(members, "time", length_max=TIME_LENGTH_MAX)
    attributes = {
        name: checked_attribute(name, value)
        for name, value in members.items()
        if name not in CORE and value is not None
    }
    data, data_text, is_binary = read_data(members)
    if len(data_text) + size_of(attributes) > EVENT_BYTES_MAX:
        raise EventFault(
            "data", f"the event is larger than {EVENT_BYTES_MAX} bytes; send a reference to its data instead"
        )
    observed_at = received_at if written is None else read_instant(written, received_at=received_at)
    return CloudEvent(
        place, source, event_id, event_type, subject, observed_at, written, attributes, data, data_text, is_binary
    )


def is_uri_reference(text: str) -> bool:
    """Tell whether a text has only what a URI-reference has (RFC 3986)."""
    return bool(URI_REFERENCE.fullmatch(text)) and not ("%" in text and NOT_ENCODED.search(text))


def size_of(attributes: Mapping[str, Any]) -> int:
    """Return about how many bytes attributes are as JSON."""
    return sum(len(name) + len(str(value)) for name, value in attributes.items()) if attributes else 0


def required_text(members: Mapping[str, Any], name: str, *, length_max: int) -> str:
    """Return an attribute that every event has."""
    text = optional_text(members, name, length_max=length_max)
    if text is None:
        raise EventFault(name, f"{name} is missing; every event has {MEANING[name]}")
    return text


MEANING: Mapping[str, str] = {
    "id": "an id that is its own within its source",
    "source": "a source, the URI-reference of what sends it",
    "type": "a type, such as com.example.request",
}


def optional_text(members: Mapping[str, Any], name: str, *, length_max: int) -> str | None:
    """Return an attribute that is text where it is there; JSON null is as good as left out."""
    value = members.get(name)
    if value is None:
        return None
    if value.__class__ is str and 0 < len(value) <= length_max and value.isprintable():
        return cast(str, value)
    if not isinstance(value, str):
        raise EventFault(name, f"{name} is not text; write it in quotes")
    if not value:
        raise EventFault(name, f"{name} is empty; give it a value or leave it out")
    if len(value) > length_max:
        raise EventFault(name, f"{name} is longer than {length_max} characters")
    if CONTROL.search(value):
        raise EventFault(name, f"{name} holds a control character; leave it out")
    return value


def checked_attribute(name: str, value: Any) -> Any:
    """Return an attribute without a column: text, a boolean, or an integer of 32 bits."""
    if len(name) > NAME_LENGTH_MAX or not ATTRIBUTE_NAME.fullmatch(name):
        shown = CONTROL.sub("\N{REPLACEMENT CHARACTER}", name)[:NAME_LENGTH_MAX]
        raise EventFault(
            shown, f"{shown}: an attribute's name is of lower-case letters and digits; other members go into data"
        )
    if name == "datacontenttype" and not (isinstance(value, str) and MEDIA_TYPE.fullmatch(value)):
        raise EventFault(name, "datacontenttype is not a media type such as application/json")
    if name == "dataschema" and not (isinstance(value, str) and is_uri_reference(value) and URI.fullmatch(value)):
        raise EventFault(name, "dataschema is not an absolute URI")
    if isinstance(value, str):
        if CONTROL.search(value):
            raise EventFault(name, f"{name} holds a control character; leave it out")
    elif isinstance(value, bool):
        pass
    elif not isinstance(value, int) or not -EXTENSION_INTEGER_MAX <= value < EXTENSION_INTEGER_MAX:
        raise EventFault(
            name, f"{name}: an attribute is text, true, false or an integer of 32 bits; put the rest into data"
        )
    return value


def read_data(members: Mapping[str, Any]) -> tuple[Any, str, bool]:
    """Return the data, its text, and whether that is bytes in base64."""
    data, encoded = members.get("data"), members.get("data_base64")
    if encoded is not None:
        if data is not None:
            raise EventFault("data_base64", "an event has either data or data_base64; leave one out")
        try:
            if not isinstance(encoded, str):
                raise binascii.Error
            base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError) as error:
            raise EventFault("data_base64", "data_base64 is not base64") from error
        return encoded, orjson.dumps(encoded).decode(), True
    if data is None:
        return None, "", False
    if data.__class__ is dict or data.__class__ is list:
        check_depth(data)
    return data, orjson.dumps(data).decode(), False


def read_instant(text: str, *, received_at: datetime) -> datetime:
    """Read a time of RFC 3339; parts of a microsecond are cut off."""
    matched = INSTANT.fullmatch(text)
    if matched is None:
        raise EventFault("time", "time is not written as RFC 3339 has it, such as 2026-01-31T12:00:00Z")
    if matched[2] is None:
        raise EventFault("time", "time has no time zone; end it in Z or an offset such as +09:00")
    try:
        instant = datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise EventFault("time", "time names a day or an hour that there is not") from error
    fault = fault_of_time(instant, received_at=received_at)
    if fault:
        raise EventFault("time", fault.replace("timestamp", "time"))
    return instant


def check_depth(value: Any) -> None:
    """Refuse data that is nested too deeply, level by level without recursion."""
    level: list[Any] = [value]
    for _ in range(DEPTH_MAX):
        deeper: list[Any] = []
        for container in level:
            for part in container.values() if container.__class__ is dict else container:
                if part.__class__ is dict or part.__class__ is list:
                    deeper.append(part)
        if not deeper:
            return
        level = deeper
    raise EventFault("data", f"data is nested deeper than {DEPTH_MAX} levels")


def parts_of(value: Any) -> Any:
    """Return what a container holds, nothing for a scalar."""
    if isinstance(value, dict):
        return cast(dict[str, Any], value).values()
    return cast(list[Any], value) if isinstance(value, list) else ()


def check_readable(given: Any) -> None:
    """Raise EventFault where an event holds what JSON or the database cannot: naming the member in which it is."""
    if not isinstance(given, dict):
        check_value(given, where=None)
        return
    for name, value in cast(dict[str, Any], given).items():
        check_value(name, where=None)
        check_value(value, where=name)


def check_value(value: Any, *, where: str | None) -> None:
    """Look through a value, level by level."""
    level: list[Any] = [value]
    for _ in range(DEPTH_MAX + 2):
        deeper: list[Any] = []
        for one in level:
            if isinstance(one, Unreadable):
                raise EventFault(where, f"{where or 'the event'} {one.reason}")
            if isinstance(one, str) and ("\0" in one or any("\ud800" <= letter <= "\udfff" for letter in one)):
                raise EventFault(where, f"{where or 'the event'} holds a NUL character or half a surrogate pair")
            if isinstance(one, dict):
                deeper.extend(cast(dict[str, Any], one))
            deeper.extend(parts_of(one))
        if not deeper:
            return
        level = deeper
    raise EventFault(where, f"{where or 'the event'} is nested deeper than {DEPTH_MAX} levels")


def identity_of(project_id: str, source: str, *, event_id: str) -> bytes:
    """Return the id under which an event is kept: the 16 bytes of a UUID of version 8 made of project, source and the sender's id.

    The three are joined by NUL, which none of them can hold, so that two different events never make one text.
    """
    digest = bytearray(blake2b(f"{project_id}\0{source}\0{event_id}".encode(), digest_size=16).digest())
    digest[6] = 0x80 | (digest[6] & 0x0F)
    digest[8] = 0x80 | (digest[8] & 0x3F)
    return bytes(digest)


def content_digest_of(event: CloudEvent) -> int:
    """Return 64 bits of what an event says, so that a repeat that says something else can be told; JSON goes without saying."""
    attributes = dict(event.attributes)
    if attributes.get("datacontenttype") == "application/json":
        del attributes["datacontenttype"]
    told = [event.type, event.subject, event.written_time, event.data_text, attributes]
    digest = blake2b(orjson.dumps(told, option=orjson.OPT_SORT_KEYS), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


MARK_MIN = 2**54
"""Marks begin here: as microseconds since 1970 that is the year 2540, which no boot names."""
MARKS = 230_000_000_000_000_000
"""So many there are: all lie before the year 10000, so that whoever takes one for a boot still computes with it."""


def mark_of(identity: bytes) -> int:
    """Return the number by which an event's value is told from others of its series and instant.

    It takes the place of a boot epoch, is fixed by the event's identity, and lies beyond every boot.
    """
    return MARK_MIN + int.from_bytes(identity[8:], "big") % MARKS
