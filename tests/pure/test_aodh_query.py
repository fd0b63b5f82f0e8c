"""Aodh's complex queries: what a pattern means, and that none takes long."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.aodh.query import QueryParser
from foundation.errors import Invalid

FIELDS = frozenset({"name"})
PATTERNS = st.lists(st.text("ab", max_size=3), min_size=1, max_size=4).map(".*".join)


def matches(pattern: str, name: str) -> bool:
    return QueryParser(FIELDS).parse({"=~": {"name": pattern}})({"name": name})


@given(
    start=st.sampled_from(["", "^"]), pattern=PATTERNS, end=st.sampled_from(["", "$"]), name=st.text("ab", max_size=9)
)
def test_a_pattern_means_what_a_regular_expression_means(start: str, pattern: str, end: str, name: str) -> None:
    whole = re.search(start + pattern + end.replace("$", r"\Z"), name) is not None
    assert matches(start + pattern + end, name) is whole


def test_no_pattern_takes_long_on_any_text() -> None:
    began = time.process_time()
    assert not matches("a.*a.*a.*b", "a" * 1_024)
    assert time.process_time() - began < 0.5


def test_what_a_regular_expression_would_mean_otherwise_is_plain_text() -> None:
    assert matches("(x+)", "a (x+) b")
    assert not matches("x+", "xx")


def test_a_pattern_with_too_many_parts_is_refused() -> None:
    with pytest.raises(Invalid, match="at most 3"):
        matches("a.*b.*c.*d.*e", "abcde")
