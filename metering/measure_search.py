"""Which values of a series a search asks for: Gnocchi's {operator: operand} on measures. Pure.

`{">=": 50}` compares the value; `{"=": [{"mod": 2}, 0]}` compares what another operation makes of it; `and` and `or` join.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias, cast

import numpy as np

from foundation.errors import Invalid
from metering.aggregates import Floats
from metering.operations import BINARY
from metering.operations_syntax import NODES_MAX

Condition: TypeAlias = Callable[[Floats], Floats]

DEPTH_MAX = 30
SYNONYMS: Mapping[str, str] = {"×": "*", "÷": "/"}
JOINS: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "and": np.logical_and, "∧": np.logical_and, "or": np.logical_or, "∨": np.logical_or,
}  # fmt: skip


class MeasureSearchInvalid(Invalid):
    """The search cannot be read."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Invalid query: {reason}", field="query")


def parse_measure_search(query: object) -> Condition:
    """Return the condition that a search means: from values to those that it finds, as ones and zeros."""
    if not isinstance(query, dict):
        raise MeasureSearchInvalid("it is an object with one operator")
    search = cast("dict[str, object]", query)
    require_few_parts(search)
    return condition_of(search, depth=0)


def require_few_parts(search: Mapping[str, object]) -> None:
    """Refuse a search of too many parts, however they are nested: each of them looks at every value."""
    waiting: list[object] = [search]
    parts = 0
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting.extend(cast("list[object]", part))
            continue
        parts += 1
        if parts > NODES_MAX:
            raise MeasureSearchInvalid(f"more than {NODES_MAX} parts")
        if isinstance(part, dict):
            waiting.extend(cast("dict[str, object]", part).values())


def condition_of(query: Mapping[str, object], *, depth: int) -> Condition:
    """Read one level."""
    if depth > DEPTH_MAX:
        raise MeasureSearchInvalid(f"nested deeper than {DEPTH_MAX} levels")
    if len(query) != 1:
        raise MeasureSearchInvalid("each level is an object with one operator")
    name, operand = next(iter(query.items()))
    word = SYNONYMS.get(name.lower(), name.lower())
    if word in JOINS:
        if not isinstance(operand, list) or not operand:
            raise MeasureSearchInvalid(f"'{name[:20]}' takes a list of terms")
        return joined(JOINS[word], [term_of(one, depth=depth + 1) for one in cast("list[object]", operand)])
    if word not in BINARY:
        raise MeasureSearchInvalid(f"'{name[:20]}' is not an operator")
    left: Condition = unchanged
    right: object = operand
    if isinstance(operand, list):
        parts = cast("list[object]", operand)
        if len(parts) != 2:
            raise MeasureSearchInvalid(f"'{name[:20]}' takes one operand or two")
        left, right = term_of(parts[0], depth=depth + 1), parts[1]
    return compared(BINARY[word], left, term_of(right, depth=depth + 1))


def term_of(value: object, *, depth: int) -> Condition:
    """Read an operand: a number, or what an operation makes of the measure's value."""
    if isinstance(value, dict):
        return condition_of(cast("dict[str, object]", value), depth=depth)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MeasureSearchInvalid("an operand is a number or an object with one operator")
    constant = float(value)

    def number(values: Floats) -> Floats:
        return np.full_like(values, constant)

    return number


def unchanged(values: Floats) -> Floats:
    """Return the measures' own values."""
    return values


def compared(operator: Callable[[Floats, Floats], Floats], left: Condition, right: Condition) -> Condition:
    """Apply an operator to two operands."""

    def compare(values: Floats) -> Floats:
        with np.errstate(all="ignore"):
            return np.asarray(operator(left(values), right(values)), dtype=np.float64)

    return compare


def joined(join: Callable[[Floats, Floats], Floats], terms: list[Condition]) -> Condition:
    """Join terms by and, or by or."""

    def combine(values: Floats) -> Floats:
        found = terms[0](values)
        for term in terms[1:]:
            found = np.asarray(join(found, term(values)), dtype=np.float64)
        return found

    return combine
