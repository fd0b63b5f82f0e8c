"""How a definition points into a notification: paths, texts made of them, and numbers. Pure.

A path begins with `payload`, `context`, `item`, `key`, `event_type`, `publisher_id` or `message_id` and goes on by `.name`,
`."a name with spaces"`, `[0]` or `[key=image_id]` (the first member of a list that has this). `[*]` ends a path that names many.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, TypeAlias, cast

ROOTS = frozenset({"payload", "context", "item", "key", "event_type", "publisher_id", "message_id"})
STEP = re.compile(r'\.?(?:"(?P<quoted>[^"]+)"|(?P<name>[\w:-]+))|\[(?P<index>\d+)\]|\[(?P<where>\w+)=(?P<is>[^\]]+)\]')
EVERY = "[*]"
LITERAL_MARK = "="
PLACE = re.compile(r"\{([^{}]*)\}")
LEADING_NUMBER = re.compile(r"\s*([-+]?\d+(?:\.\d+)?)")
TEXT_LENGTH_MAX = 255
NUMBER_LENGTH_MAX = 40
EXPONENT_MAX = 140
"""As far as a sample's value goes."""
PATHS_KEPT_MAX = 4_096

Document: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Where:
    """The first member of a list whose `key` is `value`."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Path:
    """Where in a notification something stands; `is_many` for one that ends with [*]."""

    text: str
    steps: tuple[str | int | Where, ...]
    is_many: bool = False


@lru_cache(maxsize=PATHS_KEPT_MAX)
def parse_path(text: str) -> Path:
    """Read a path. Raises ValueError with what is wrong."""
    is_many = text.endswith(EVERY)
    rest = text.removesuffix(EVERY)
    steps: list[str | int | Where] = []
    at = 0
    while at < len(rest):
        found = STEP.match(rest, at)
        if found is None or (at > 0) != (rest[at] in ".["):
            raise ValueError(f"the path {text!r} cannot be read at {rest[at:]!r}")
        steps.append(step_of(found))
        at = found.end()
    if not steps or steps[0] not in ROOTS:
        raise ValueError(f"the path {text!r} must begin with one of {', '.join(sorted(ROOTS))}")
    return Path(text, tuple(steps), is_many)


def step_of(found: "re.Match[str]") -> str | int | Where:
    """Turn one match into a step."""
    if found["index"] is not None:
        return int(found["index"])
    if found["where"] is not None:
        return Where(found["where"], found["is"])
    return str(found["quoted"] or found["name"])


def look_up(path: Path, document: Document) -> object | None:
    """Return what stands there; None where nothing does."""
    found: object | None = document
    for step in path.steps:
        found = member_of(found, step)
        if found is None:
            return None
    return found


def member_of(whole: object, step: str | int | Where) -> object | None:
    """Return one member of an object or a list."""
    if isinstance(whole, Mapping):
        return cast("Document", whole).get(step) if isinstance(step, str) else None
    if not isinstance(whole, list) or isinstance(step, str):
        return None
    members = cast("list[object]", whole)
    if isinstance(step, int):
        return members[step] if step < len(members) else None
    return next((member for member in members if has(member, step)), None)


def has(member: object, where: Where) -> bool:
    """Tell whether a member of a list is the one that is meant."""
    return isinstance(member, dict) and text_of(cast("Document", member).get(where.key)) == where.value


@dataclass(frozen=True, slots=True)
class TextSource:
    """A text out of a notification: the first alternative that gives one; each is literal texts and paths in turn."""

    alternatives: tuple[tuple[str | Path, ...], ...]

    def read(self, document: Document) -> str | None:
        """Return the text, or None where no alternative gives one."""
        for parts in self.alternatives:
            texts = [part if isinstance(part, str) else text_of(look_up(part, document)) for part in parts]
            if all(texts):
                return "".join(text for text in texts if text)[:TEXT_LENGTH_MAX]
        return None

    def __str__(self) -> str:
        """Say where it looks."""
        shown = [
            "".join(part if isinstance(part, str) else f"{{{part.text}}}" for part in parts)
            for parts in self.alternatives
        ]
        return " or ".join(shown)


def text_of(value: object | None) -> str | None:
    """Return a value as a text; None for what is none, or empty."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        text = str(value)
        if "\0" in text:
            raise ValueError("a text has a NUL character in it")
        return text or None
    return None


def parse_text(given: object) -> TextSource:
    """Read `payload.a`, `"{payload.a}-{item.b}"`, `"=literal"`, or a list of such alternatives."""
    written = cast("list[object]", given) if isinstance(given, list) else [given]
    if not written or not all(isinstance(one, str) and one for one in written):
        raise ValueError("say a path, a text with {paths} in it, or a list of such alternatives")
    return TextSource(tuple(parse_template(cast(str, one)) for one in written))


def parse_template(text: str) -> tuple[str | Path, ...]:
    """Read one alternative."""
    if text.startswith(LITERAL_MARK):
        return (text.removeprefix(LITERAL_MARK),)
    if "{" not in text:
        return (parse_path(text),)
    parts = PLACE.split(text)
    return tuple(parse_path(part) if number % 2 else part for number, part in enumerate(parts) if number % 2 or part)


@dataclass(frozen=True, slots=True)
class NumberSource:
    """A number out of a notification: a constant, a sum of paths, the seconds between two, or what a text begins with."""

    constant: Decimal | None = None
    alternatives: tuple[Path, ...] = ()
    sum: tuple[Path, ...] = ()
    seconds: tuple[Path, Path] | None = None
    leading: Path | None = None

    def read(self, document: Document) -> Decimal | None:
        """Return the number, or None where there is none. Raises ValueError for what should be a number and is not."""
        if self.constant is not None:
            return self.constant
        if self.seconds is not None:
            first, last = (instant_at(path, document) for path in self.seconds)
            return None if first is None or last is None else Decimal(str((last - first).total_seconds()))
        if self.leading is not None:
            value = look_up(self.leading, document)
            found = LEADING_NUMBER.match("" if value is None else str(value))
            return usable(Decimal(found[1]), self.leading.text) if found else None
        if self.sum:
            numbers = [number_at(path, document) for path in self.sum]
            return None if None in numbers else sum((n for n in numbers if n is not None), Decimal(0))
        return next((n for n in (number_at(path, document) for path in self.alternatives) if n is not None), None)


def number_at(path: Path, document: Document) -> Decimal | None:
    """Read a number, or a text that is one."""
    value = look_up(path, document)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > NUMBER_LENGTH_MAX:
        raise ValueError(f"{path.text} is not a number")
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"{path.text} is {value!r}, which is not a number") from None
    return usable(number, path.text)


def usable(number: Decimal, name: str) -> Decimal:
    """Return a number that can be reckoned with. Raises ValueError where it is not finite or its exponent is beyond reason."""
    if not number.is_finite() or abs(number.adjusted()) > EXPONENT_MAX:
        raise ValueError(f"{name} is not a finite number within 1e{EXPONENT_MAX}")
    return number


def parse_number(given: object) -> NumberSource:
    """Read `1`, `payload.size`, a list of alternatives, or one of {sum: [...]}, {seconds: [from, to]}, {leading: path}."""
    if isinstance(given, int | float) and not isinstance(given, bool):
        return NumberSource(constant=usable(Decimal(str(given)), "the constant"))
    if isinstance(given, str):
        return NumberSource(alternatives=(parse_path(given),))
    if isinstance(given, list) and given:
        return NumberSource(alternatives=tuple(parse_path(str(one)) for one in cast("list[object]", given)))
    if isinstance(given, dict) and len(cast("dict[object, object]", given)) == 1:
        ((how, of),) = cast("dict[str, Any]", given).items()
        if how == "sum" and isinstance(of, list):
            return NumberSource(sum=tuple(parse_path(str(one)) for one in cast("list[object]", of)))
        if how == "seconds" and isinstance(of, list) and len(cast("list[object]", of)) == 2:
            first, last = (parse_path(str(one)) for one in cast("list[object]", of))
            return NumberSource(seconds=(first, last))
        if how == "leading" and isinstance(of, str):
            return NumberSource(leading=parse_path(of))
    raise ValueError(
        "say a number, a path, a list of paths, or one of {sum: [paths]}, {seconds: [from, to]}, {leading: path}"
    )


def instant_at(path: Path, document: Document) -> datetime | None:
    """Read an instant; one without a zone is UTC, as OpenStack means it. None where there is none."""
    value = look_up(path, document)
    if value is None or value == "":
        return None
    try:
        return instant_of_text(str(value))
    except ValueError:
        raise ValueError(f"{path.text} is {str(value)[:80]!r}, which is not an instant") from None


def instant_of_text(text: str) -> datetime:
    """Read `2026-11-01 10:00:00.123456`, with or without a zone. Raises ValueError."""
    instant = datetime.fromisoformat(text.strip())
    try:
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("the instant lies beyond the calendar") from None


def items_at(paths: Sequence[Path], document: Document) -> Iterator[tuple[str, object]]:
    """Return what the first path that finds anything names, each with its key or place: one thing, or with [*] many."""
    for path in paths:
        found = look_up(path, document)
        if found is None:
            continue
        if not path.is_many:
            yield "", found
        elif isinstance(found, Mapping):
            yield from cast("Mapping[str, object]", found).items()
        elif isinstance(found, list):
            yield from ((str(place), member) for place, member in enumerate(cast("list[object]", found)))
        return
