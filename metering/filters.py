"""Search filters on resources: Gnocchi's JSON and string syntaxes become one small tree. Pure; the store turns it into SQL."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

Scalar: TypeAlias = str | int | float | bool | None


class Operator(StrEnum):
    """How an attribute is compared."""

    EQ = "="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    LIKE = "like"
    IN = "in"


@dataclass(frozen=True, slots=True)
class Comparison:
    """An attribute of the resource against a value, or against several for IN."""

    operator: Operator
    attribute: str
    value: Scalar | tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Every:
    """All terms hold."""

    terms: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Either:
    """At least one term holds."""

    terms: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Negated:
    """The term does not hold."""

    term: "Filter"


Filter: TypeAlias = Comparison | Every | Either | Negated


def equals(attribute: str, value: Scalar) -> Comparison:
    """Return the most usual filter: the attribute has this value."""
    return Comparison(Operator.EQ, attribute, value)
