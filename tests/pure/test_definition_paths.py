"""Numbers and instants out of notifications: what cannot be one is refused by name, and zero is a number."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path as FilePath
from typing import Any

import pytest

from collectors.definitions.files import read_files
from collectors.definitions.paths import instant_of_text, parse_number


@pytest.mark.parametrize("how", ["payload.n", ["payload.n"], {"sum": ["payload.n"]}, {"leading": "payload.n"}])
def test_zero_is_a_number_however_it_is_read(how: Any) -> None:
    assert parse_number(how).read({"payload": {"n": 0}}) == Decimal(0)


@pytest.mark.parametrize("how", ["payload.n", {"sum": ["payload.n", "payload.n"]}])
@pytest.mark.parametrize("text", ["1e999999999", "1e-999999999", "1e400", "NaN", "Infinity", "many"])
def test_a_text_that_is_no_usable_number_is_refused_by_its_path(how: Any, text: str) -> None:
    with pytest.raises(ValueError, match=r"payload\.n"):
        parse_number(how).read({"payload": {"n": text}})


@pytest.mark.parametrize("constant", [float("nan"), float("inf"), -float("inf")])
def test_a_constant_that_is_not_finite_is_refused(constant: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        parse_number(constant)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "yesterday"])
def test_an_instant_beyond_the_calendar_is_no_instant(text: str) -> None:
    with pytest.raises(ValueError):
        instant_of_text(text)
    assert instant_of_text("2026-11-01 10:00:00") == datetime(2026, 11, 1, 10, tzinfo=UTC)


def test_a_file_with_a_date_that_is_none_is_named(tmp_path: FilePath) -> None:
    wrong = tmp_path / "own.yaml"
    wrong.write_text("since: 2026-13-45\n")
    with pytest.raises(Exception, match=r"own\.yaml"):
        read_files([wrong])
