"""What a meter makes of an event: paths into its data, values, subjects and groups; and which definitions can be. Pure."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import quote, urlencode

from foundation.errors import Invalid
from metering.attributes import RESERVED
from metering.event_model import GROUPS_MAX, CountedEvent, EventFault, EventMeter, MeterDefinition
from metering.model import VALUE_MAX

NAME = re.compile(r"[a-z][a-z0-9_.\-]{0,99}")
GROUP_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
UNIT_LENGTH_MAX = 31
TYPE_LENGTH_MAX = 255
PATH_LENGTH_MAX = 255
PATH_PARTS_MAX = 10
GROUP_VALUE_LENGTH_MAX = 255
UNIT_OF_COUNT = "event"
SUMMED_MAX = 2.0**53
"""Of what is summed, and so may be billed, one event counts no more: up to here every whole number is exact."""

PRODUCT_METERS = frozenset(
    {"cpu", "vcpus", "memory", "instance", "volume", "snapshot", "backup", "image", "network", "bandwidth", "identity"}
)
PRODUCT_PREFIXES = (
    *("disk.", "network.", "memory.", "power.", "perf.", "compute.", "instance.", "volume.", "snapshot.", "backup."),
    *("image.", "ip.", "storage.", "hardware.", "loadbalancer.", "manila.", "identity.", "alarm.", "cpu.", "trove."),
    *("sahara.", "stack.", "baremetal.", "messaging.", "dns.", "key.", "port.", "router.", "share."),
)
TIME_SUFFIX = ".time"
"""What the product, Ceilometer and the notifications measure themselves, and how existence over time is priced; no event passes for it."""


def checked_definition(given: MeterDefinition) -> MeterDefinition:
    """Return a definition, paths written in one way; raise Invalid naming the field to mend."""
    if not NAME.fullmatch(given.name):
        raise Invalid(
            "name has 1 to 100 characters: lower-case letters, digits, _ . and -, a letter first", field="name"
        )
    if given.name in PRODUCT_METERS or given.name.startswith(PRODUCT_PREFIXES) or given.name.endswith(TIME_SUFFIX):
        raise Invalid(f"{given.name} is a name of what the product measures itself; choose another", field="name")
    if not 1 <= len(given.event_type) <= TYPE_LENGTH_MAX or not given.event_type.isprintable():
        raise Invalid(f"event_type has 1 to {TYPE_LENGTH_MAX} printable characters", field="event_type")
    if len(given.unit) > UNIT_LENGTH_MAX or not given.unit.isprintable():
        raise Invalid(f"unit has at most {UNIT_LENGTH_MAX} printable characters", field="unit")
    if (given.aggregation == "count") != (given.value_path is None):
        told = (
            "count needs no value; leave it out"
            if given.value_path
            else f"{given.aggregation} needs the path of a number"
        )
        raise Invalid(f"value: {told}", field="value")
    if len(given.group_by) > GROUPS_MAX:
        raise Invalid(f"a meter groups by at most {GROUPS_MAX} properties", field="group_by")
    for name in given.group_by:
        if not GROUP_NAME.fullmatch(name) or name in RESERVED or name == "subject":
            raise Invalid(
                f"group_by.{name[:64]}: a name has lower-case letters, digits and _, and is not one that every resource has",
                field="group_by",
            )
    return MeterDefinition(
        given.project_id,
        given.name,
        given.event_type,
        given.aggregation,
        None if given.value_path is None else plain_path(given.value_path, field="value"),
        given.unit or (UNIT_OF_COUNT if given.aggregation == "count" else ""),
        {name: plain_path(path, field=f"group_by.{name}") for name, path in sorted(given.group_by.items())},
    )


def plain_path(path: str, *, field: str) -> str:
    """Return a path into the data as `a.b.c`, whether or not it is written with `$.` before it."""
    plain = path.removeprefix("$.")
    parts = plain.split(".")
    if not all(parts) or len(plain) > PATH_LENGTH_MAX or len(parts) > PATH_PARTS_MAX or not plain.isprintable():
        raise Invalid(f"{field} is not a path such as $.usage.tokens, of at most {PATH_PARTS_MAX} names", field=field)
    if any(mark in plain for mark in ("[", "]", "*", "$")):
        raise Invalid(f"{field}: only names joined by dots are read; lists and wildcards are not", field=field)
    return plain


def at_path(data: Any, path: str) -> Any:
    """Return the value at a path of names joined by dots, None where it is not there."""
    found = data
    for name in path.split("."):
        if not isinstance(found, dict):
            return None
        found = cast(dict[str, Any], found).get(name)
    return found


def counted_event(meter: EventMeter, *, source: str, subject: str | None, data: Any, may_lower: bool) -> CountedEvent:
    """Return what a meter counts of an event; raise EventFault naming the member of data that it cannot count.

    Without a subject an event counts for its source. Only whoever may lower a bill (an admin) sends negative amounts.
    """
    value = 1.0
    if meter.value_path is not None:
        value = number_at(data, meter)
        if value < 0 and meter.is_additive and not may_lower:
            raise EventFault(
                f"data.{meter.value_path}",
                f"data.{meter.value_path} is negative: only an admin sends corrections of the meter {meter.name}",
            )
    groups = [(name, group_at(data, path, meter=meter)) for name, path in meter.group_by.items()]
    return CountedEvent(meter, subject or source, tuple(groups), value)


def number_at(data: Any, meter: EventMeter) -> float:
    """Return the number that a meter counts; text that is a decimal number is one."""
    assert meter.value_path is not None
    found, where = at_path(data, meter.value_path), f"data.{meter.value_path}"
    if found is None:
        raise EventFault(where, f"{where} is missing, which the meter {meter.name} counts; send it as a number")
    if isinstance(found, str) and len(found) <= 64 and DECIMAL.fullmatch(found):
        found = float(found)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise EventFault(where, f"{where} is not a number, which the meter {meter.name} counts; send it as a number")
    largest = SUMMED_MAX if meter.is_additive else VALUE_MAX
    if not math.isfinite(found) or abs(found) > largest:
        raise EventFault(
            where, f"{where} is beyond {largest:.16g}, the largest number that the meter {meter.name} counts"
        )
    return float(found) + 0.0


def group_at(data: Any, path: str, *, meter: EventMeter) -> str:
    """Return the value by which an event is grouped, as text; one that is not there is empty."""
    found, where = at_path(data, path), f"data.{path}"
    if isinstance(found, dict | list):
        raise EventFault(where, f"{where} is not text, by which the meter {meter.name} groups; send it as text")
    if isinstance(found, bool):
        return str(found).lower()
    text = "" if found is None else str(found)
    if len(text) > GROUP_VALUE_LENGTH_MAX or "\0" in text:
        raise EventFault(
            where, f"{where} has more than {GROUP_VALUE_LENGTH_MAX} characters, by which the meter {meter.name} groups"
        )
    return text


def count_event(
    meters: Sequence[EventMeter], *, source: str, subject: str | None, data: Any, may_lower: bool
) -> list[CountedEvent]:
    """Return what all meters of an event's type count; raise EventFault where one of them cannot."""
    return [counted_event(meter, source=source, subject=subject, data=data, may_lower=may_lower) for meter in meters]


def meters_by_type(meters: Sequence[EventMeter]) -> Mapping[str, list[EventMeter]]:
    """Return meters by the type of event that they count."""
    found: dict[str, list[EventMeter]] = {}
    for meter in meters:
        found.setdefault(meter.event_type, []).append(meter)
    return found


def resource_name_of(project_id: str, subject: str, *, groups: Sequence[tuple[str, str]]) -> str:
    """Return the name of the resource that a subject is in one project and group: `subject?group=value@project`.

    Each part is percent-encoded as far as it takes for two of them never to make one name.
    """
    query = f"?{urlencode(groups)}" if groups else ""
    return f"{quote(subject, safe='/:@ ')}{query}@{quote(project_id, safe='')}"
