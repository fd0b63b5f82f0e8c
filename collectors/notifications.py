"""OpenStack's notifications: the envelope read, and what the definitions make of it. Pure; what cannot be read says why."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from hashlib import blake2b
from typing import Any, cast
from uuid import UUID, uuid5

import orjson

from collectors.definitions.files import Catalogue
from collectors.definitions.model import (
    ITEMS_MAX,
    Entry,
    ExistencePart,
    InstancePart,
    LifeState,
    MeterPart,
    matches,
)
from collectors.definitions.paths import (
    Document,
    NumberSource,
    TextSource,
    instant_at,
    instant_of_text,
    items_at,
    look_up,
    parse_path,
    text_of,
)
from metering.cloud_events import mark_of
from metering.existence import EXACT, SIZE_DECIMALS
from metering.model import MeterType, resource_id_of

ENVELOPE_VERSION = "2."
MESSAGE_ID_LENGTH_MAX = 255
OBJECT_MARK = "_object.data"
CONTEXT_PREFIX = "_context_"
NESTING_MAX = 64
METADATA_MAX = 128
COUNT_MAX = 2**31 - 1
SIZE_MAX = Decimal(10) ** 24
FACT_NAMESPACE = UUID("a5de3e8a-6a0a-5c0b-8a3c-7f8d3c1c2b6f")


class Malformed(Exception):
    """A message that cannot be taken as it is; `reason` says why, and the rest what is known of it all the same."""

    def __init__(self, reason: str, *, message_id: str | None = None, event_type: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.message_id = message_id
        self.event_type = event_type


@dataclass(frozen=True, slots=True)
class Notification:
    """What a service told: its envelope's fields, and the payload with the wrappers of versioned objects taken off."""

    message_id: str
    event_type: str
    publisher_id: str
    timestamp: datetime
    payload: object
    context: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class InstanceState:
    """An instance as a notification shows it."""

    state: LifeState
    flavor_id: str
    flavor_name: str
    vcpus: int
    ram_mib: int
    disk_gib: int
    image_id: str | None
    host: str | None
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Existence:
    """Another resource as a notification shows it: there in a size, or gone."""

    meter: str
    unit: str
    size: Decimal
    grade: str
    is_end: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """One sample. `epoch` marks an event's delta, so that two of one instant are two: a delta has no boot, and none is as late."""

    meter: str
    meter_type: MeterType
    unit: str
    value: float
    epoch: int
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Fact:
    """What one notification says of one resource; whose it is may have to be looked up."""

    id: UUID
    kind: str
    resource_id: UUID
    resource_type: str
    original_id: str
    project_id: str | None
    project_fallback: str | None
    needs_project: bool
    user_id: str | None
    name: str
    observed_at: datetime
    attributes: Mapping[str, str]
    instance: InstanceState | None
    existence: Existence | None
    readings: tuple[Reading, ...]


def read_notification(body: bytes) -> Notification:
    """Read a message's body: oslo.messaging's envelope or the bare form. Raises Malformed."""
    message = read_object(body, "the message")
    version = message.get("oslo.version")
    if version is not None:
        if not isinstance(version, str) or not version.startswith(ENVELOPE_VERSION):
            raise Malformed(f"the envelope's version is {str(version)[:20]!r}; 2.0 is read")
        inner = message.get("oslo.message")
        if not isinstance(inner, str):
            raise Malformed("the envelope has no oslo.message")
        message = read_object(inner.encode(), "the envelope's oslo.message")
    return checked(message)


def read_object(body: bytes, what: str) -> dict[str, Any]:
    """Read a JSON object: UTF-8, finite numbers, no NUL."""
    try:
        document: object = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"{what} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise Malformed(f"{what} is not a JSON object")
    return cast("dict[str, Any]", document)


def checked(message: Mapping[str, Any]) -> Notification:
    """Return the notification in a message that has what one must have."""
    texts = {name: message.get(name) for name in ("message_id", "event_type", "publisher_id")}
    known = {name: value if isinstance(value, str) else None for name, value in texts.items()}
    message_id, event_type = known["message_id"], known["event_type"]

    def malformed(reason: str) -> Malformed:
        return Malformed(reason, message_id=(message_id or "")[:MESSAGE_ID_LENGTH_MAX] or None, event_type=event_type)

    if not message_id or len(message_id) > MESSAGE_ID_LENGTH_MAX:
        raise malformed(f"message_id must be a text of 1 to {MESSAGE_ID_LENGTH_MAX} characters")
    if not event_type or len(event_type) > MESSAGE_ID_LENGTH_MAX:
        raise malformed(f"event_type must be a text of 1 to {MESSAGE_ID_LENGTH_MAX} characters")
    if any(value and "\0" in value for value in known.values()):
        raise malformed("the envelope has a NUL character in it")
    if "payload" not in message:
        raise malformed("there is no payload")
    try:
        timestamp = instant_of_text(str(message.get("timestamp")))
    except ValueError:
        raise malformed(f"timestamp is {str(message.get('timestamp'))[:80]!r}, which is not an instant") from None
    try:
        payload = unwrapped(message["payload"], NESTING_MAX)
    except ValueError as error:
        raise malformed(str(error)) from None
    context = {name.removeprefix(CONTEXT_PREFIX): v for name, v in message.items() if name.startswith(CONTEXT_PREFIX)}
    return Notification(message_id, event_type, known["publisher_id"] or "", timestamp, payload, context)


def unwrapped(value: object, nesting: int) -> object:
    """Take the wrappers of versioned objects off: {"nova_object.data": {...}, "nova_object.name": ...} is what is in it."""
    if nesting == 0:
        raise ValueError(f"the payload is nested deeper than {NESTING_MAX}")
    if isinstance(value, dict):
        members = cast("dict[str, object]", value)
        for name, inner in members.items():
            if name.endswith(OBJECT_MARK):
                return unwrapped(inner, nesting - 1)
        return {name: unwrapped(inner, nesting - 1) for name, inner in members.items()}
    if isinstance(value, list):
        return [unwrapped(inner, nesting - 1) for inner in cast("list[object]", value)]
    return value


def facts_of(notification: Notification, catalogue: Catalogue) -> tuple[Fact, ...]:
    """Return what the definitions make of a notification, nothing for one that nobody meters. Raises Malformed."""
    found: list[Fact] = []
    for entry in catalogue.entries_for(notification.event_type):
        try:
            found.extend(facts_of_entry(entry, notification))
        except ValueError as error:
            raise Malformed(
                f"definition {entry.name}: {error}",
                message_id=notification.message_id,
                event_type=notification.event_type,
            ) from error
    return tuple(found)


def facts_of_entry(entry: Entry, notification: Notification) -> Iterator[Fact]:
    """Make the facts of one entry: one, or one for each item."""
    document: dict[str, object] = {
        "payload": notification.payload,
        "context": notification.context,
        "event_type": notification.event_type,
        "publisher_id": notification.publisher_id,
        "message_id": notification.message_id,
    }
    items = list(items_at(entry.item, document)) if entry.item else [("", notification.payload)]
    if len(items) > ITEMS_MAX:
        raise ValueError(f"more than {ITEMS_MAX} items in one notification")
    for number, (key, item) in enumerate(items):
        within = {**document, "item": item, "key": key}
        if holds(entry.where, within):
            fact = fact_of(entry, notification, within=within, number=number)
            if fact is not None:
                yield fact


def holds(where: Mapping[str, str], document: Document) -> bool:
    """Tell whether each path holds a text that matches its pattern."""
    return all(
        fnmatchcase(text_of(look_up(parse_path(path), document)) or "", pattern) for path, pattern in where.items()
    )


def fact_of(entry: Entry, notification: Notification, *, within: Document, number: int) -> Fact | None:
    """Make one fact; None where the notification says nothing that counts (an instance that is still being built)."""
    resource = entry.resource
    seed = f"{notification.message_id}/{entry.name}/{number}"
    original_id = required(resource.id, "resource.id", within)
    instance: InstanceState | None = None
    if entry.instance is not None:
        instance = instance_of(entry.instance, notification.event_type, within=within)
        if instance is None:
            return None
    existence = (
        existence_of(entry.existence, notification.event_type, within=within) if entry.existence is not None else None
    )
    readings = tuple(
        reading
        for place, meter in enumerate(entry.meters)
        if meter.is_for(notification.event_type) and holds(meter.where, within)
        for reading in reading_of(meter, within=within, seed=f"{seed}/{place}")
    )
    if instance is None and existence is None and not readings:
        return None
    return Fact(
        id=uuid5(FACT_NAMESPACE, seed),
        kind=notification.event_type,
        resource_id=resource_id_of(original_id),
        resource_type=resource.type,
        original_id=original_id,
        project_id=optional(resource.project, within),
        project_fallback=optional(resource.project_fallback, within),
        needs_project=resource.needs_project,
        user_id=optional(resource.user, within),
        name=optional(resource.name, within) or original_id,
        observed_at=observed_at(entry, notification, within=within),
        attributes=texts_of(resource.attributes, within),
        instance=instance,
        existence=existence,
        readings=readings,
    )


def observed_at(entry: Entry, notification: Notification, *, within: Document) -> datetime:
    """Return when the fact became true: the first of the entry's times that is there, or when it was told."""
    for path in entry.time:
        instant = instant_at(path, within)
        if instant is not None:
            return instant
    return notification.timestamp


def required(source: TextSource, field: str, within: Document) -> str:
    """Return a text that must be there."""
    text = source.read(within)
    if text is None:
        raise ValueError(f"{field}: there is nothing at {source}")
    return text


def optional(source: TextSource | None, within: Document) -> str | None:
    """Return a text that may be there."""
    return None if source is None else source.read(within)


def texts_of(sources: Mapping[str, TextSource], within: Document) -> dict[str, str]:
    """Return the texts that are there."""
    found = {name: source.read(within) for name, source in sources.items()}
    return {
        name: as_instant(text) if name.endswith("_at") else text for name, text in found.items() if text is not None
    }


def as_instant(text: str) -> str:
    """Write an instant with its zone, so that resources can be searched by it; what is none stays as it is."""
    try:
        return instant_of_text(text).isoformat()
    except ValueError:
        return text


def instance_of(part: InstancePart, event_type: str, *, within: Document) -> InstanceState | None:
    """Return the instance's state, None for one that is charged for nothing yet."""
    said = optional(part.state, within)
    state = "deleted" if matches(part.ends_on, event_type) else part.states.get(said or "")
    if state is None:
        return None
    if state == "active" and part.off_when and holds(part.off_when, within):
        state = "stopped"
    metadata = {"vm_state": said} if said else {}
    return InstanceState(
        state=state,
        flavor_id=required(part.flavor_id, "instance.flavor_id", within),
        flavor_name=required(part.flavor_name, "instance.flavor_name", within),
        vcpus=whole(part.vcpus, "instance.vcpus", within),
        ram_mib=whole(part.ram_mib, "instance.ram_mib", within),
        disk_gib=whole(part.disk_gib, "instance.disk_gib", within),
        image_id=optional(part.image, within),
        host=optional(part.host, within),
        metadata={**metadata_of(part, within), **metadata},
    )


def metadata_of(part: InstancePart, within: Document) -> dict[str, str]:
    """Return the user's metadata as texts, as far as there is any."""
    for path in part.metadata:
        found = look_up(path, within)
        if isinstance(found, dict):
            texts = {str(name): text_of(value) for name, value in cast("dict[object, object]", found).items()}
            kept = {name: text for name, text in texts.items() if text is not None and "\0" not in name}
            return dict(list(kept.items())[:METADATA_MAX])
    return {}


def whole(source: NumberSource, field: str, within: Document) -> int:
    """Return a number that must be there, whole and not negative."""
    number = source.read(within)
    if number is None:
        raise ValueError(f"{field}: there is no number")
    if number < 0 or number != number.to_integral_value() or number > COUNT_MAX:
        raise ValueError(f"{field}: {number} is not a whole number from 0 to {COUNT_MAX}")
    return int(number)


def existence_of(part: ExistencePart, event_type: str, *, within: Document) -> Existence | None:
    """Return the resource's size, or that it is gone; None where its size is not known yet and need not be."""
    if matches(part.ends_on, event_type) or (part.ends_when and holds(part.ends_when, within)):
        return Existence(part.meter, part.unit, Decimal(0), "", is_end=True)
    size = part.size.read(within)
    if size is None and part.size_may_be_missing:
        return None
    if size is None or not 0 <= size < SIZE_MAX:
        raise ValueError(f"existence.size: {size if size is not None else 'nothing'} where a size should be")
    kept = size.quantize(Decimal(1).scaleb(-SIZE_DECIMALS), context=SIZES)
    return Existence(part.meter, part.unit, kept, optional(part.grade, within) or "", is_end=False)


SIZES = EXACT.copy()
SIZES.clear_traps()
"""A size that is finer than what is kept of it is rounded here, once."""


def reading_of(part: MeterPart, *, within: Document, seed: str) -> Iterator[Reading]:
    """Make a sample where there is a value."""
    value = part.value.read(within)
    if value is None:
        return
    epoch = epoch_of(seed) if part.type == "delta" else 0
    yield Reading(part.name, part.type, part.unit, float(value * part.factor), epoch, texts_of(part.attributes, within))


def epoch_of(seed: str) -> int:
    """Return the mark that tells an event's delta from another's of the same microsecond, always the same for the same event."""
    return mark_of(blake2b(seed.encode(), digest_size=16).digest())
