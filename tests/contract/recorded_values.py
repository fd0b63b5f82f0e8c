"""What differs from one run to the next (ids, tokens, times, addresses), written as placeholders that are bound on first sight.

A recording holds `<uuid 3>` where the client met the third id of its story. The replay binds it to what the answer really holds
there, and from then on it stands for that value: in later requests, in later answers, in links and in sentences.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import unquote_plus
from uuid import uuid4

ADDRESS_PREFIX = "10.88"
"""The addresses of the cloud in which stories are told begin so."""

SOME_DAY = "2026-01-01"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?"


@dataclass(frozen=True, slots=True)
class Kind:
    """Values of one form: how they are recognised, and how a new one is made up."""

    pattern: str
    invent: Callable[[], str]


def invented_address() -> str:
    """Return some address of the stories' cloud."""
    return f"{ADDRESS_PREFIX}.{uuid4().bytes[0]}.{uuid4().bytes[0]}"


NUMBERED: Mapping[str, Kind] = {
    "token": Kind(r"nph_[A-Za-z0-9_\-]+", lambda: f"nph_{uuid4().hex}"),
    "uuid": Kind(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", lambda: str(uuid4())),
    "host id": Kind(r"(?<![0-9a-f])[0-9a-f]{56}(?![0-9a-f])", lambda: uuid4().hex + uuid4().hex[:24]),
    "hex": Kind(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])", lambda: uuid4().hex),
    "mac": Kind(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}(?!:)", lambda: ":".join(re.findall("..", uuid4().hex[:12]))),
    "ip": Kind(rf"\b{re.escape(ADDRESS_PREFIX)}\.\d{{1,3}}\.\d{{1,3}}\b", invented_address),
    "reservation": Kind(r"\br-[0-9a-z]{8}\b", lambda: f"r-{uuid4().hex[:8]}"),
    "instance": Kind(r"\binstance-[0-9a-f]{8}\b", lambda: f"instance-{uuid4().hex[:8]}"),
}
"""What is the same value wherever it stands again; each gets a number at its first sight."""

KEYED: Mapping[str, Kind] = {
    "fingerprint": Kind(r"(?:[0-9a-f]{2}:){15}[0-9a-f]{2}", lambda: ":".join(re.findall("..", uuid4().hex))),
    "public key": Kind(r"ssh-\S+ \S+(?: .*)?", lambda: f"ssh-ed25519 {uuid4().hex} made"),
    "private key": Kind(r"-----BEGIN [A-Z ]+-----[\s\S]+-----END [A-Z ]+-----\s*", lambda: f"{BEGIN}\nx\n{END}\n"),
    "audit id": Kind(r"[A-Za-z0-9_\-]{22}", lambda: uuid4().hex[:22]),
    "http date": Kind(
        r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", lambda: "Thu, 01 Jan 2026 00:00:00 GMT"
    ),
    "admin password": Kind(r"\S{8,}", lambda: uuid4().hex),
}
"""What is known by its form or by the key under which it stands; only its form is compared."""
BEGIN, END = "-----BEGIN OPENSSH PRIVATE KEY-----", "-----END OPENSSH PRIVATE KEY-----"

KEYS: Mapping[str, str] = {
    "fingerprint": "fingerprint",
    "public_key": "public key",
    "private_key": "private key",
    "audit_ids": "audit id",
    "adminPass": "admin password",
}
NUMBER = "<number>"
NUMBER_KEYS = frozenset(
    {"hours", "total_hours", "total_vcpus_usage", "total_memory_mb_usage", "total_local_gb_usage", "uptime"}
) | {"metrics", "measures"}
"""Numbers that grow with time, or with what other projects do."""

VOLATILE = re.compile(
    "|".join(
        [
            rf"(?P<time>{TIME})",
            f"(?P<date>{KEYED['http date'].pattern})",
            *(f"(?P<k{i}>{k.pattern})" for i, k in enumerate(NUMBERED.values())),
        ]
    )
)
PLACEHOLDER = re.compile(
    rf"<(?:(?P<kind>{'|'.join(NUMBERED)}) (?P<number>\d+)|time (?P<time>[0-9T:.+Z\-]+)|(?P<keyed>{'|'.join(KEYED)})"
    r"|(?P<given>url|project name|user name|password))>"
)


def instants_of(text: str) -> set[datetime]:
    """Return the instants that a text names; without an offset they are UTC."""
    return {read_instant(found) for found in re.findall(TIME, unquote_plus(text))}


def read_instant(text: str) -> datetime:
    """Read an instant; without an offset it is UTC."""
    instant = datetime.fromisoformat(text)
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant


@dataclass
class Writer:
    """Writes the values of one story as placeholders; instants that the client itself named stay as they are."""

    given: Mapping[str, str]
    numbers: Counter[str] = field(default_factory=Counter[str])
    seen: dict[str, str] = field(default_factory=dict[str, str])
    own_instants: set[datetime] = field(default_factory=set[datetime])
    told_instants: set[datetime] = field(default_factory=set[datetime])

    def copy(self) -> "Writer":
        """A writer that may be thrown away."""
        return Writer(self.given, self.numbers.copy(), dict(self.seen), set(self.own_instants), set(self.told_instants))

    def hear_request(self, text: str) -> None:
        """Take note of the instants that the client thought of, and did not only read in an answer before."""
        self.own_instants |= instants_of(text) - self.told_instants

    def hear_answer(self, text: str) -> None:
        """Take note of the instants that the client was told."""
        self.told_instants |= instants_of(text) - self.own_instants

    def text(self, text: str) -> str:
        """Write a text, a path or a header."""
        for value, placeholder in self.given.items():
            text = text.replace(value, placeholder)
        return VOLATILE.sub(self._placeholder, text)

    def json(self, value: Any, *, key: str = "", is_said: bool = False) -> Any:
        """Write what JSON holds; what the client itself said is kept apart from ids and secrets."""
        if isinstance(value, str):
            return f"<{KEYS[key]}>" if key in KEYS and value and not is_said else self.text(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return NUMBER if key in NUMBER_KEYS else value
        if isinstance(value, list):
            return [self.json(each, key=key, is_said=is_said) for each in cast(list[Any], value)]
        if isinstance(value, dict):
            items = cast(dict[str, Any], value).items()
            return {self.text(name): self.json(each, key=name, is_said=is_said) for name, each in items}
        return value

    def _placeholder(self, found: re.Match[str]) -> str:
        value = found.group()
        if found["time"]:
            mask = re.sub(r"\d", "0", value)
            return value if read_instant(value) in self.own_instants else f"<time {mask}>"
        if found["date"]:
            return "<http date>"
        kind = next(name for i, name in enumerate(NUMBERED) if found[f"k{i}"])
        if value not in self.seen:
            self.numbers[kind] += 1
            self.seen[value] = f"<{kind} {self.numbers[kind]}>"
        return self.seen[value]


@dataclass
class Bindings:
    """What each placeholder stands for in one replay."""

    values: dict[str, str]

    def copy(self) -> "Bindings":
        """Bindings to try something with."""
        return Bindings(dict(self.values))

    def adopt(self, tried: "Bindings") -> None:
        """Keep what a trial has bound."""
        self.values = tried.values

    def fill(self, text: str) -> str:
        """Put the values in; what the client makes up itself is made up anew and bound."""
        return PLACEHOLDER.sub(self._value, text)

    def fill_json(self, value: Any) -> Any:
        """Put the values into what JSON holds; a number that is not known is any."""
        if value == NUMBER:
            return 1.5
        if isinstance(value, str):
            return self.fill(value)
        if isinstance(value, list):
            return [self.fill_json(each) for each in cast(list[Any], value)]
        if isinstance(value, dict):
            return {self.fill(name): self.fill_json(each) for name, each in cast(dict[str, Any], value).items()}
        return value

    def _value(self, found: re.Match[str]) -> str:
        if found["time"]:
            return SOME_DAY + found["time"][len(SOME_DAY) :]
        if found["keyed"]:
            return KEYED[found["keyed"]].invent()
        if found["kind"] and found.group() not in self.values:
            self.values[found.group()] = NUMBERED[found["kind"]].invent()
        return self.values[found.group()]

    def matches(self, expected: str, actual: str) -> bool:
        """Tell whether a text is the expected one, and bind what is seen in it for the first time; unlike stays unlike."""
        if "<" not in expected:
            return expected == actual
        pattern, new = self._pattern(expected)
        found = re.fullmatch(pattern, actual)
        if found is None:
            return False
        bound = {placeholder: found[group] for placeholder, group in new.items()}
        if set(bound.values()) & set(self.values.values()) or len(set(bound.values())) < len(bound):
            return False
        self.values |= bound
        return True

    def _pattern(self, expected: str) -> tuple[str, Mapping[str, str]]:
        parts: list[str] = []
        new: dict[str, str] = {}
        end = 0
        for found in PLACEHOLDER.finditer(expected):
            parts.append(re.escape(expected[end : found.start()]))
            end = found.end()
            placeholder = found.group()
            if found["time"]:
                parts.append(re.sub("0+", lambda run: rf"\d{{{len(run.group())}}}", re.escape(found["time"])))
            elif found["keyed"]:
                parts.append(KEYED[found["keyed"]].pattern)
            elif placeholder in self.values:
                parts.append(re.escape(self.values[placeholder]))
            elif placeholder in new:
                parts.append(f"(?P={new[placeholder]})")
            else:
                new[placeholder] = f"n{len(new)}"
                parts.append(f"(?P<{new[placeholder]}>{NUMBERED[found['kind']].pattern})")
        return "".join([*parts, re.escape(expected[end:])]), new
