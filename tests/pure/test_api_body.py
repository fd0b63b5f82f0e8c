"""Strict JSON: what is not RFC 8259, or would be stored differently than it was sent, is refused with a sentence."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from api.body import JSON_DEPTH_MAX, parse_json, validated
from api.pagination import decode_cursor, encode_cursor
from foundation.errors import Invalid

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
SCALARS = (
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
)
DOCUMENTS = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=30)


@given(DOCUMENTS, st.booleans())
def test_what_is_json_comes_back_as_it_was(document: Any, ascii_only: bool) -> None:
    assert parse_json(json.dumps(document, ensure_ascii=ascii_only).encode()) == document


@given(st.binary(max_size=200))
def test_any_bytes_are_json_or_invalid(raw: bytes) -> None:
    with suppress(Invalid):
        parse_json(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"NaN",
        b'{"a": Infinity}',
        b"[-Infinity]",
        b"1e999",
        b"-1e999",
        b"1" * 20,
        b"1" * 5000,
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 1}}',
        rb'"\u0000"',
        rb'{"\u0000": 1}',
        rb'["\ud800"]',
        b'"\xff"',
        b"\x00",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * (JSON_DEPTH_MAX + 1) + b"]" * (JSON_DEPTH_MAX + 1),
        b'["' + b"\xed\xa0\x80" + b'"]',
        b"{'a': 1}",
        b"",
    ],
)
def test_what_is_not_strict_json_is_invalid(raw: bytes) -> None:
    with pytest.raises(Invalid):
        parse_json(raw)


def test_a_nesting_within_the_limit_is_read() -> None:
    parse_json(b"[" * JSON_DEPTH_MAX + b"]" * JSON_DEPTH_MAX)


class Order(BaseModel):
    """A body as any dialect might have."""

    model_config = ConfigDict(extra="forbid")
    count: int


def test_a_wrong_body_names_its_field_and_never_its_value() -> None:
    with pytest.raises(Invalid) as refused:
        validated(Order, {"count": "a secret"})
    assert refused.value.field == "count"
    assert "a secret" not in refused.value.message
    with pytest.raises(Invalid):
        validated(Order, {"count": 1, "host": "elsewhere"})


@given(st.lists(TEXT | st.integers(), max_size=4))
def test_a_cursor_comes_back_as_it_was(position: list[Any]) -> None:
    assert decode_cursor(encode_cursor(position)) == position


@given(st.text(max_size=50))
def test_a_made_up_cursor_is_invalid_or_a_list(cursor: str) -> None:
    with suppress(Invalid):
        assert isinstance(decode_cursor(cursor), list)
