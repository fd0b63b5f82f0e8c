"""Canonical JSON: one byte string for one content, so that a digest proves that a rerun found the same."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import TypeAlias, cast
from uuid import UUID

Json: TypeAlias = "str | int | bool | Sequence[Json] | Mapping[str, Json] | None"

GENESIS = "0" * 64
"""What the first invoice of a series is chained to."""


def decimal_text(number: Decimal) -> str:
    """Write a Decimal in full, without exponent, trailing zeros or a negative zero: 1.50 is 1.5."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def instant_text(instant: datetime) -> str:
    """Write an instant as ISO 8601 in UTC with a Z; microseconds only where there are any."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def plain(value: object) -> Json:
    """Turn a value of the domain into what JSON has; numbers that are money or quantities become strings."""
    match value:
        case Enum():
            return str(value.value)
        case None | bool() | int() | str():
            return value
        case Decimal():
            return decimal_text(value)
        case datetime():
            return instant_text(value)
        case UUID():
            return str(value)
        case Mapping():
            members = cast("Mapping[str, object]", value)
            return {key: plain(member) for key, member in members.items()}
        case Sequence():
            return [plain(member) for member in cast("Sequence[object]", value)]
        case _:
            raise TypeError(f"{type(value).__name__} has no place in a canonical document")


def canonical_json(value: object) -> bytes:
    """Serialise with sorted keys, no spaces, UTF-8: the same content gives the same bytes on every machine."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest_of(content: bytes) -> str:
    """Return the SHA-256 of a content in hex."""
    return hashlib.sha256(content).hexdigest()


def chain_digest(previous: str, *, series: str, number: int, digest: str, finalized_at: datetime, snapshot: str) -> str:
    """Bind an invoice to the one before it in its series, so that none can be changed, taken out or put in unseen."""
    link = {
        "previous": previous,
        "series": series,
        "number": number,
        "digest": digest,
        "finalized_at": finalized_at,
        "snapshot": snapshot,
    }
    return digest_of(canonical_json(link))
