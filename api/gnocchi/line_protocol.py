"""The InfluxDB line protocol: `cpu,host=web1,core=0 user=1.5,idle=90i 1510581804179554816`. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from metering.samples import LAST_INSTANT_US

LINES_MAX = 100_000
PARTS_MAX = 500
"""Tags, and fields, of one line."""
NAME_LENGTH_MAX = 255
DIGEST_LENGTH = 40
FAULTS_MAX = 100

LINE = re.compile(
    r"""(?P<key>(?:\\.|[^\\\s])++)
    [ ]++(?P<fields>(?:\\.|"(?:\\.|[^"\\])*+"|[^\\"\s])++)
    (?:[ ]++(?P<time>-?[0-9]{1,19}))?\s*+""",
    re.VERBOSE,
)
FIELD = re.compile(r'(?P<name>(?:\\.|[^\\,="])++)=(?P<value>"(?:\\.|[^"\\])*+"|[^,"=]++)(?:,(?=.)|$)')
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
INTEGER = re.compile(r"([+-]?[0-9]{1,20})[iu]")
TRUTHS: Mapping[str, float] = {
    **dict.fromkeys(("t", "T", "true", "True", "TRUE"), 1.0),
    **dict.fromkeys(("f", "F", "false", "False", "FALSE"), 0.0),
}
NANOSECONDS: Mapping[str, int] = {
    "n": 1, "ns": 1, "u": 1_000, "us": 1_000, "µ": 1_000, "ms": 1_000_000, "s": 1_000_000_000,
    "m": 60_000_000_000, "h": 3_600_000_000_000,
}  # fmt: skip
"""How long one unit of a precision is."""


@dataclass(frozen=True, slots=True)
class Point:
    """One line: the numbers of a measurement at an instant, in nanoseconds since 1970, None where the line names none."""

    measurement: str
    tags: Mapping[str, str]
    fields: Mapping[str, float]
    at_ns: int | None


@dataclass(frozen=True, slots=True)
class LineFault:
    """A line that cannot be read, by its number from 1, and why."""

    line: int
    reason: str


def parse_lines(text: str, *, precision: str) -> tuple[list[tuple[int, Point]], list[LineFault]]:
    """Read all lines, each good one with its number; empty lines and those that begin with # are passed over."""
    points: list[tuple[int, Point]] = []
    faults: list[LineFault] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        read = parse_line(line, unit_ns=NANOSECONDS[precision])
        if isinstance(read, Point):
            points.append((number, read))
        else:
            faults.append(LineFault(number, read))
    return points, faults


def parse_line(line: str, *, unit_ns: int) -> Point | str:
    """Read one line, or say what is wrong with it."""
    whole = LINE.fullmatch(line.lstrip(" "))
    if whole is None:
        return "a line is a measurement with its tags, its fields and a time in whole numbers, parted by spaces"
    measurement, *pairs = re.split(r"(?<!\\),", whole["key"])
    tags = read_tags(pairs)
    if not measurement or tags is None:
        return f"the tags are not up to {PARTS_MAX} pairs of name=value, parted by commas"
    fields = read_fields(whole["fields"])
    if isinstance(fields, str):
        return fields
    at_ns = None if whole["time"] is None else int(whole["time"]) * unit_ns
    if at_ns is not None and not 0 <= at_ns // 1000 <= LAST_INSTANT_US:
        return "the time is before 1970 or after 9999: look at the precision parameter"
    return Point(unescaped(measurement), tags, fields, at_ns)


def read_tags(pairs: Sequence[str]) -> dict[str, str] | None:
    """Read name=value pairs; None where one is none."""
    tags: dict[str, str] = {}
    for pair in pairs[: PARTS_MAX + 1]:
        parts = re.split(r"(?<!\\)=", pair)
        if len(parts) != 2 or not all(parts):
            return None
        tags[unescaped(parts[0])] = unescaped(parts[1])
    return tags if len(pairs) <= PARTS_MAX else None


def read_fields(text: str) -> dict[str, float] | str:
    """Read the fields that are numbers or truths, or say what is wrong; texts are passed over, since a series has numbers."""
    fields: dict[str, float] = {}
    place = 0
    for count in range(PARTS_MAX + 1):
        if place == len(text) and count:
            return fields
        field = FIELD.match(text, place)
        if field is None:
            return "the fields are not name=value pairs parted by commas, with texts in double quotes"
        place = field.end()
        value = field["value"]
        if not value.startswith('"'):
            number = read_number(value)
            if number is None:
                return f"the value of the field {field['name'][:60]} is not a number, true or false, or a quoted text"
            fields[unescaped(field["name"])] = number
    return f"more than {PARTS_MAX} fields"


def read_number(text: str) -> float | None:
    """Read 1.5, 90i, 90u or true."""
    if NUMBER.fullmatch(text):
        return float(text)
    integer = INTEGER.fullmatch(text)
    return float(integer[1]) if integer is not None else TRUTHS.get(text)


def unescaped(text: str) -> str:
    r"""Return a name without the backslashes before commas, equal signs and spaces; others stand for themselves."""
    return re.sub(r"\\([,= ])", r"\1", text) if "\\" in text else text


def metric_name(stem: str, tags: Mapping[str, str]) -> str:
    """Name a series as Gnocchi does, `cpu.user@core=0,rack=7`: tags in order, no slashes; one too long ends in a digest of the whole."""
    told = ",".join(f"{name}={value}" for name, value in sorted(tags.items()))
    name = (f"{stem}@{told}" if told else stem).replace("/", "_")
    if len(name) <= NAME_LENGTH_MAX:
        return name
    digest = sha256(name.encode()).hexdigest()[:DIGEST_LENGTH]
    return f"{name[: NAME_LENGTH_MAX - DIGEST_LENGTH - 1]}~{digest}"
