"""A recording: a story of requests that a real client sent and what it was answered, kept as readable JSON, and how answers compare."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from tests.contract.recorded_values import NUMBER, Bindings

FOLDER = Path(__file__).parent / "recordings"
LINE_LENGTH_MAX = 140
GROWING = frozenset({"catalog", "extensions", "aggregation_methods", "services", "endpoints"})
"""Lists of what the product offers: more of it breaks no client."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent, apart from what every client sends alike (host, connection, length)."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What it was answered: the headers that clients read, and JSON as it is or else a text."""

    status: int
    headers: Mapping[str, str]
    body: Any = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer."""

    request: Request
    answer: Answer


@dataclass(frozen=True, slots=True)
class Command:
    """What somebody typed or a program called, and the exchanges that it made; the host comes to rest before the next one."""

    command: str
    exchanges: Sequence[Exchange]
    sees_others: bool = False
    """Its lists hold what other projects have, so more than the recorded rows may be there."""
    needs_host: bool = False
    """It waits for the host to do something, which otherwise only works between commands."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One story in one new project, by a new user with one role."""

    story: str
    role: str
    recorded_at: str
    clients: Mapping[str, str]
    commands: Sequence[Command] = field(default_factory=list[Command])

    @property
    def path(self) -> Path:
        """Where it is kept."""
        return FOLDER / f"{self.story.replace(' ', '-')}.json"

    def write(self) -> None:
        """Keep it."""
        self.path.write_text(laid_out(asdict(self)) + "\n")


def read_body(body: bytes) -> Any:
    """Return JSON as it is, another text as a text, and None for nothing."""
    if not body:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return body.decode()


def laid_out(value: Any, *, depth: int = 0) -> str:
    """Write JSON for people: what fits in a line is one line."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + depth <= LINE_LENGTH_MAX or not isinstance(value, dict | list):
        return line
    inner, outer = "\n" + " " * (depth + 1), "\n" + " " * depth
    if isinstance(value, list):
        rows = [laid_out(each, depth=depth + 1) for each in cast(list[Any], value)]
        return f"[{inner}{(',' + inner).join(rows)}{outer}]"
    items = cast(dict[str, Any], value).items()
    rows = [f"{json.dumps(key, ensure_ascii=False)}: {laid_out(each, depth=depth + 1)}" for key, each in items]
    return f"{{{inner}{(',' + inner).join(rows)}{outer}}}"


def read_recordings() -> Sequence[Recording]:
    """Read all of them."""
    return [read_recording(path) for path in sorted(FOLDER.glob("*.json"))]


def read_recording(path: Path) -> Recording:
    """Read one."""
    written = json.loads(path.read_text())
    commands = [
        Command(
            **command
            | {
                "exchanges": [
                    Exchange(Request(**exchange["request"]), Answer(**exchange["answer"]))
                    for exchange in command["exchanges"]
                ]
            }
        )
        for command in written.pop("commands")
    ]
    return Recording(**written, commands=commands)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two answers are compared: which placeholders are bound, whether rows of others may be there, whether order counts."""

    bindings: Bindings
    sees_others: bool = False
    is_ordered: bool = False

    def answers(self, expected: Answer, actual: Answer) -> Sequence[str]:
        """Say in sentences in what an answer differs from the recorded one; nothing where it does not."""
        if actual.status != expected.status:
            return [f"status {actual.status} in the place of {expected.status}: {str(actual.body)[:500]}"]
        headers = [
            f"header {name}: {actual.headers.get(name)!r} in the place of {value!r}"
            for name, value in expected.headers.items()
            if name not in actual.headers or not self.bindings.matches(value, actual.headers[name])
        ]
        return [*headers, *self.values(expected.body, actual.body, where="body")]

    def values(self, expected: Any, actual: Any, *, where: str) -> Sequence[str]:
        """Compare two values of JSON: their types, their keys, and what is in them."""
        if expected == NUMBER:
            is_number = isinstance(actual, int | float) and not isinstance(actual, bool)
            return [] if is_number else [f"{where}: {told(actual)} in the place of a number"]
        if type(expected) is not type(actual):
            return [f"{where}: {told(actual)} in the place of {told(expected)}"]
        if isinstance(expected, dict):
            return self._objects(cast(dict[str, Any], expected), cast(dict[str, Any], actual), where=where)
        if isinstance(expected, list):
            return self._lists(cast(list[Any], expected), cast(list[Any], actual), where=where)
        is_same = self.bindings.matches(expected, actual) if isinstance(expected, str) else expected == actual
        return [] if is_same else [f"{where}: {told(actual)} in the place of {told(expected)}"]

    def _objects(self, expected: dict[str, Any], actual: dict[str, Any], *, where: str) -> Sequence[str]:
        differences: list[str] = []
        left = set(actual)
        for key, value in expected.items():
            name = next(
                (name for name in [key, *sorted(left)] if name in left and self.bindings.matches(key, name)), None
            )
            if name is None:
                differences.append(f"{where}.{key} is missing")
            else:
                left.discard(name)
                differences += self.values(value, actual[name], where=f"{where}.{key}")
        return [*differences, *(f"{where}.{name} is new" for name in sorted(left))]

    def _lists(self, expected: list[Any], actual: list[Any], *, where: str) -> Sequence[str]:
        may_hold_more = where.rpartition(".")[2] in GROWING or (self.sees_others and is_rows(actual))
        if len(actual) < len(expected) or (len(actual) > len(expected) and not may_hold_more):
            return [f"{where}: {len(actual)} values in the place of {len(expected)}: {told(actual)}"]
        if not may_hold_more:
            tried = Comparison(self.bindings.copy(), self.sees_others, self.is_ordered)
            pairs = enumerate(zip(expected, actual, strict=True))
            differences = [each for i, (e, a) in pairs for each in tried.values(e, a, where=f"{where}[{i}]")]
            if not differences or self.is_ordered or any(isinstance(each, list) for each in expected):
                self.bindings.adopt(tried.bindings)
                return differences
        return self._sets(expected, list(actual), where=where)

    def _sets(self, expected: list[Any], actual: list[Any], *, where: str) -> Sequence[str]:
        """Find each expected value anywhere in the list; where none is like it, the nearest one tells in what it differs."""
        differences: list[str] = []
        for number, value in enumerate(expected):
            trials: list[tuple[Sequence[str], Bindings, Any]] = []
            for candidate in actual:
                tried = Comparison(self.bindings.copy(), self.sees_others, self.is_ordered)
                trials.append((tried.values(value, candidate, where=f"{where}[{number}]"), tried.bindings, candidate))
                if not trials[-1][0]:
                    break
            found, bindings, nearest = min(trials, key=lambda trial: len(trial[0]))
            self.bindings.adopt(bindings)
            actual.remove(nearest)
            differences += found
        return differences


def is_rows(values: list[Any]) -> bool:
    """Tell whether a list holds objects, as lists of what there is do."""
    return any(isinstance(value, dict) for value in values)


def told(value: Any) -> str:
    """Write a value for a sentence."""
    return json.dumps(value, ensure_ascii=False)[:200]
