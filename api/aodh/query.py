"""Aodh's complex queries over what is listed: a JSON tree of comparisons becomes a test of one row (pure)."""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from foundation.errors import Invalid

Row: TypeAlias = Mapping[str, Any]
Test: TypeAlias = Callable[[Row], bool]

DEPTH_MAX = 10
TERMS_MAX = 100
PATTERN_LENGTH_MAX = 255
PATTERN_PARTS_MAX = 4

COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class QueryParser:
    """Reads one query; counts its terms so that none is too large."""

    def __init__(self, fields: frozenset[str]) -> None:
        self.fields = fields
        self.terms = 0

    def parse(self, tree: Any, depth: int = 0) -> Test:
        """Return the test that a tree means; raise Invalid with what is wrong in it."""
        self.terms += 1
        if depth > DEPTH_MAX or self.terms > TERMS_MAX:
            raise Invalid(f"a query has at most {DEPTH_MAX} levels and {TERMS_MAX} terms", field="filter")
        name, operand = self._only_pair(tree)
        word = name.lower()
        if word in ("and", "or"):
            if not isinstance(operand, list) or not operand:
                raise Invalid(f"'{name}' takes a list of terms", field="filter")
            tests = [self.parse(term, depth + 1) for term in cast("list[Any]", operand)]
            join = all if word == "and" else any
            return lambda row: join(test(row) for test in tests)
        if word == "not":
            inner = self.parse(operand, depth + 1)
            return lambda row: not inner(row)
        return self._comparison(name, operand)

    def _comparison(self, name: str, operand: Any) -> Test:
        field, value = self._only_pair(operand)
        if field not in self.fields:
            raise Invalid(
                f"'{field}' is not a field to query by; there are {', '.join(sorted(self.fields))}", field="filter"
            )
        if name == "in":
            if not isinstance(value, list):
                raise Invalid("'in' takes a list of values", field="filter")
            values = cast("list[Any]", value)
            return lambda row: row.get(field) in values
        if name == "=~":
            matches = _like(value)
            return lambda row: matches(str(row.get(field) or ""))
        compare = COMPARE.get(name)
        if compare is None:
            raise Invalid(
                f"'{name}' is not an operator; there are {', '.join(COMPARE)}, in, =~, and, or, not", field="filter"
            )
        return lambda row: _compares(compare, row.get(field), value)

    @staticmethod
    def _only_pair(tree: Any) -> tuple[str, Any]:
        if not isinstance(tree, dict) or len(cast("dict[str, Any]", tree)) != 1:
            raise Invalid('each level of a query is an object with one key, as in {"=": {"name": "x"}}', field="filter")
        return next(iter(cast("dict[str, Any]", tree).items()))


def _compares(compare: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    try:
        return compare(left, right)
    except TypeError:
        return False


def _like(value: Any) -> Callable[[str], bool]:
    """Match by a plain pattern: only ^, $ and .* mean something, and each part is looked for once, so that no pattern takes long."""
    if not isinstance(value, str) or len(value) > PATTERN_LENGTH_MAX:
        raise Invalid(f"'=~' takes a pattern of at most {PATTERN_LENGTH_MAX} characters", field="filter")
    parts = value.removeprefix("^").removesuffix("$").split(".*")
    if len(parts) > PATTERN_PARTS_MAX:
        raise Invalid(f"a pattern has at most {PATTERN_PARTS_MAX - 1} '.*'", field="filter")
    at_start = parts[0] if value.startswith("^") else ""
    at_end = parts[-1] if value.endswith("$") else ""
    is_whole = len(parts) == 1 and value.startswith("^") and value.endswith("$")
    between = parts[1 if value.startswith("^") else 0 : -1 if value.endswith("$") else None]
    return lambda text: text == parts[0] if is_whole else _has_parts(text, between, at_start=at_start, at_end=at_end)


def _has_parts(text: str, between: Sequence[str], *, at_start: str, at_end: str) -> bool:
    """Tell whether a text begins and ends so and has the parts in between in their order: the leftmost place of each is the best."""
    position, end = len(at_start), len(text) - len(at_end)
    if end < position or not text.startswith(at_start) or not text.endswith(at_end):
        return False
    for part in between:
        found = text.find(part, position, end)
        if found < 0:
            return False
        position = found + len(part)
    return True


def sort_rows(rows: list[dict[str, Any]], orderby: Any, *, fields: frozenset[str]) -> list[dict[str, Any]]:
    """Sort rows by Aodh's orderby: a list of {field: asc|desc}, the first the most significant."""
    if not isinstance(orderby, list) or len(cast("list[Any]", orderby)) > 10:
        raise Invalid('orderby is a list as in [{"name": "asc"}]', field="orderby")
    ordered = rows
    for term in reversed(cast("Sequence[Any]", orderby)):
        if not isinstance(term, dict) or len(cast("dict[str, Any]", term)) != 1:
            raise Invalid('orderby is a list as in [{"name": "asc"}]', field="orderby")
        field, direction = next(iter(cast("dict[str, Any]", term).items()))
        if field not in fields or str(direction).lower() not in ("asc", "desc"):
            raise Invalid(f"rows are ordered asc or desc by {', '.join(sorted(fields))}", field="orderby")
        ordered = sorted(ordered, key=lambda row: str(row.get(field)), reverse=str(direction).lower() == "desc")
    return ordered
