"""Search filters: both syntaxes give the same tree, and nothing that a caller sends breaks the readers."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.errors import Invalid
from metering.filters import (
    Comparison,
    Either,
    Every,
    FilterInvalid,
    Negated,
    Operator,
    equals,
    parse_json_filter,
    parse_string_filter,
)


@pytest.mark.parametrize(
    ("text", "query", "tree"),
    [
        ("host = 'a'", {"=": {"host": "a"}}, equals("host", "a")),
        ('host="a b"', {"==": {"host": "a b"}}, equals("host", "a b")),
        ("host eq a", {"eq": {"host": "a"}}, equals("host", "a")),
        ("memory >= 24", {">=": {"memory": 24}}, Comparison(Operator.GE, "memory", 24)),
        ("memory ≥ 2.5", {"ge": {"memory": 2.5}}, Comparison(Operator.GE, "memory", 2.5)),
        ("ended_at = null", {"=": {"ended_at": None}}, equals("ended_at", None)),
        ("name like 'web%'", {"like": {"name": "web%"}}, Comparison(Operator.LIKE, "name", "web%")),
        ("host in ['a', b]", {"in": {"host": ["a", "b"]}}, Comparison(Operator.IN, "host", ("a", "b"))),
        (
            'not (flavor_id!="1" and memory>=24)',
            {"not": {"and": [{"!=": {"flavor_id": "1"}}, {"ge": {"memory": 24}}]}},
            Negated(Every((Comparison(Operator.NE, "flavor_id", "1"), Comparison(Operator.GE, "memory", 24)))),
        ),
        (
            "a=1 or b=2 and c=3",
            {"or": [{"=": {"a": 1}}, {"and": [{"=": {"b": 2}}, {"=": {"c": 3}}]}]},
            Either((equals("a", 1), Every((equals("b", 2), equals("c", 3))))),
        ),
    ],
)
def test_both_syntaxes_mean_the_same(text: str, query: object, tree: object) -> None:
    assert parse_string_filter(text) == tree
    assert parse_json_filter(query) == tree


def test_nothing_is_no_filter() -> None:
    assert parse_json_filter({}) is None
    assert parse_string_filter("  ") is None


@pytest.mark.parametrize(
    "text", ["a", "a=", "=1", "a=1 b=2", "(a=1", "a=1)", "a ~ 1", "a='x", "a in 1", "not", "a in [1"]
)
def test_broken_text_is_refused(text: str) -> None:
    with pytest.raises(FilterInvalid):
        parse_string_filter(text)


@pytest.mark.parametrize(
    "query", [[], 1, {"a": 1}, {"=": 1}, {"=": {}}, {"and": {}}, {"and": []}, {"like": {"a": 1}}, {"in": {"a": 1}}]
)
def test_broken_json_is_refused(query: object) -> None:
    with pytest.raises(FilterInvalid):
        parse_json_filter(query)


def test_deep_and_wide_filters_are_refused() -> None:
    with pytest.raises(FilterInvalid, match="deeper"):
        parse_string_filter("(" * 100 + "a=1" + ")" * 100)
    with pytest.raises(FilterInvalid, match="deeper"):
        parse_string_filter("not " * 100 + "a=1")
    with pytest.raises(FilterInvalid, match="more than 1000 terms"):
        parse_string_filter(" or ".join(["a=1"] * 1_500))
    deep: object = {"=": {"a": 1}}
    for _ in range(100):
        deep = {"not": deep}
    with pytest.raises(FilterInvalid, match="deeper"):
        parse_json_filter(deep)


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    with suppress(Invalid):
        parse_string_filter(text)
