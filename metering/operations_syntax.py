"""How Gnocchi's operations are written: as text in brackets or as nested lists. Pure.

`(* (/ (aggregate mean (metric cpu rate:mean)) 10000000000.0) 100)`, or the same as nested lists.
"""

import re
from collections.abc import Sequence
from typing import TypeAlias, cast

import numpy as np

from foundation.errors import Invalid

Expression: TypeAlias = "str | float | list[Expression]"

DEPTH_MAX = 30
NODES_MAX = 1_000
TEXT_LENGTH_MAX = 20_000
TOKEN = re.compile(r"""\s*(?:([()])|"([^"]*)"|'([^']*)'|([^\s()"']+))""")


class OperationsInvalid(Invalid):
    """The operations cannot be read or do not fit the series."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Invalid operations: {reason}", field="operations")


def parse_operations(operations: object) -> Expression:
    """Read operations as text or nested lists; raise OperationsInvalid with what is wrong."""
    if isinstance(operations, str):
        if len(operations) > TEXT_LENGTH_MAX:
            raise OperationsInvalid(f"longer than {TEXT_LENGTH_MAX} characters")
        expression = parse_text(operations)
    else:
        expression = to_expression(operations, depth=0)
    if not isinstance(expression, list) or not expression:
        raise OperationsInvalid("an operation is a list that begins with its name")
    if count_nodes(expression) > NODES_MAX:
        raise OperationsInvalid(f"more than {NODES_MAX} parts")
    return expression


def parse_text(text: str) -> Expression:
    """Read the bracketed form."""
    stack: list[list[Expression]] = [[]]
    place = 0
    while place < len(text.rstrip()):
        match = TOKEN.match(text, place)
        if match is None:
            raise OperationsInvalid(f"cannot read on from character {place}")
        place = match.end()
        bracket, double, single, atom = match.groups()
        if bracket == "(":
            if len(stack) > DEPTH_MAX:
                raise OperationsInvalid(f"nested deeper than {DEPTH_MAX} levels")
            stack.append([])
        elif bracket == ")":
            if len(stack) == 1:
                raise OperationsInvalid("a bracket is closed that was not opened")
            closed = stack.pop()
            stack[-1].append(closed)
        else:
            stack[-1].append(to_atom(atom) if atom is not None else double if double is not None else single)
    if len(stack) != 1 or len(stack[0]) != 1:
        raise OperationsInvalid("brackets do not match, or there is not exactly one operation")
    return stack[0][0]


def to_atom(text: str) -> str | float:
    """Read a word as a number where it is one."""
    try:
        number = float(text)
    except ValueError:
        return text
    return number if np.isfinite(number) else text


def to_expression(value: object, *, depth: int) -> Expression:
    """Check nested lists."""
    if depth > DEPTH_MAX:
        raise OperationsInvalid(f"nested deeper than {DEPTH_MAX} levels")
    if isinstance(value, bool) or value is None:
        raise OperationsInvalid("parts are lists, words and numbers")
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return [to_expression(part, depth=depth + 1) for part in cast("Sequence[object]", value)]
    raise OperationsInvalid("parts are lists, words and numbers")


def count_nodes(expression: Expression) -> int:
    """Count all parts."""
    return 1 + sum(count_nodes(part) for part in expression) if isinstance(expression, list) else 1
