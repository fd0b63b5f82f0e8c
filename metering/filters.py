"""Search filters on resources: Gnocchi's JSON and string syntaxes become one small tree. Pure; the store turns it into SQL."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias, cast
from uuid import UUID

from foundation.errors import Invalid

Scalar: TypeAlias = str | int | float | bool | None

DEPTH_MAX = 30
TERMS_MAX = 1_000
TEXT_LENGTH_MAX = 20_000


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

OPERATORS: Mapping[str, Operator] = {
    "=": Operator.EQ, "==": Operator.EQ, "eq": Operator.EQ, "!=": Operator.NE, "<>": Operator.NE, "ne": Operator.NE,
    "≠": Operator.NE, "<": Operator.LT, "lt": Operator.LT, "<=": Operator.LE, "le": Operator.LE, "≤": Operator.LE,
    ">": Operator.GT, "gt": Operator.GT, ">=": Operator.GE, "ge": Operator.GE, "≥": Operator.GE,
    "like": Operator.LIKE, "in": Operator.IN,
}  # fmt: skip


class FilterInvalid(Invalid):
    """The filter cannot be read."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Invalid filter: {reason}", field="filter")


def equals(attribute: str, value: Scalar) -> Comparison:
    """Return the most usual filter: the attribute has this value."""
    return Comparison(Operator.EQ, attribute, value)


def is_name(text: str) -> bool:
    """Tell whether a text calls a resource by a name, since it is no UUID."""
    try:
        UUID(text)
    except ValueError:
        return True
    return False


def called(resource: str) -> Comparison:
    """Return the filter that finds a resource by its id, or by the name that was given to it."""
    return equals("original_resource_id" if is_name(resource) else "id", resource)


def with_names(tree: Filter, named: Callable[[str], Filter]) -> Filter:
    """Return a filter in which an id that is a name also means what `named` says of the name."""
    match tree:
        case Every(terms):
            return Every(tuple(with_names(term, named) for term in terms))
        case Either(terms):
            return Either(tuple(with_names(term, named) for term in terms))
        case Negated(term):
            return Negated(with_names(term, named))
        case Comparison(Operator.EQ | Operator.IN, "id", value):
            names = [one for one in (value if isinstance(value, tuple) else (value,)) if isinstance(one, str)]
            meant = [named(name) for name in names if is_name(name)]
            return Either((tree, *meant)) if meant else tree
        case Comparison(Operator.NE, "id", str() as name) if is_name(name):
            return Every((tree, Negated(named(name))))
        case _:
            return tree


def parse_json_filter(query: object) -> Filter | None:
    """Read Gnocchi's JSON syntax: one operator a level, {"and": [{"=": {"host": "a"}}, ...]}; an empty object is no filter."""
    if query == {}:
        return None
    tree = json_term(query, depth=0)
    if count_terms(tree) > TERMS_MAX:
        raise FilterInvalid(f"more than {TERMS_MAX} terms")
    return tree


def json_term(query: object, *, depth: int) -> Filter:
    """Read one level."""
    if depth > DEPTH_MAX:
        raise FilterInvalid(f"nested deeper than {DEPTH_MAX} levels")
    if not isinstance(query, dict) or len(cast("dict[str, object]", query)) != 1:
        raise FilterInvalid("each level is an object with one operator")
    name, operand = next(iter(cast("dict[str, object]", query).items()))
    word = name.lower()
    if word in ("and", "∧", "or", "∨"):
        if not isinstance(operand, list) or not operand:
            raise FilterInvalid(f"'{name}' takes a list of terms")
        terms = tuple(json_term(term, depth=depth + 1) for term in cast("list[object]", operand))
        return Every(terms) if word in ("and", "∧") else Either(terms)
    if word == "not":
        return Negated(json_term(operand, depth=depth + 1))
    operator = OPERATORS.get(word)
    if operator is None:
        raise FilterInvalid(f"'{name}' is not an operator")
    if not isinstance(operand, dict) or len(cast("dict[str, object]", operand)) != 1:
        raise FilterInvalid(f"'{name}' takes an object with one attribute")
    attribute, value = next(iter(cast("dict[str, object]", operand).items()))
    return comparison(operator, attribute, value)


def comparison(operator: Operator, attribute: str, value: object) -> Comparison:
    """Check the value of a comparison."""
    if operator is Operator.IN:
        if not isinstance(value, list | tuple):
            raise FilterInvalid("'in' takes a list of values")
        if not value:
            raise FilterInvalid(f"'in' takes at least one value for '{attribute[:60]}'")
        return Comparison(operator, attribute, tuple(scalar(one) for one in cast("Sequence[object]", value)))
    checked = scalar(value)
    if operator is Operator.LIKE and not isinstance(checked, str):
        raise FilterInvalid("'like' takes a text")
    if operator is Operator.LIKE and attribute == "id":
        raise FilterInvalid("'like' does not go with 'id': ids are compared as wholes")
    return Comparison(operator, attribute, checked)


def scalar(value: object) -> Scalar:
    """Check that a value is text, a number, a truth or null."""
    if value is None or isinstance(value, str | int | float):
        return value
    raise FilterInvalid("a value is text, a number, true, false or null")


def count_terms(tree: Filter) -> int:
    """Count the comparisons, each value of an IN as one."""
    match tree:
        case Comparison(value=tuple() as values):
            return max(1, len(values))
        case Comparison():
            return 1
        case Negated(term):
            return count_terms(term)
        case Every(terms) | Either(terms):
            return sum(count_terms(term) for term in terms)


def attributes_named(tree: Filter) -> frozenset[str]:
    """Return the attributes that a filter compares."""
    match tree:
        case Comparison(attribute=name):
            return frozenset({name})
        case Negated(term):
            return attributes_named(term)
        case Every(terms) | Either(terms):
            return frozenset[str]().union(*(attributes_named(term) for term in terms))


TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<symbol><=|>=|==|!=|<>|[=<>≠≤≥∧∨()\[\],])
      | (?P<word>[^\s=<>!≠≤≥∧∨()\[\],"']+)
    )""",
    re.VERBOSE,
)
WORD_VALUES: Mapping[str, Scalar] = {"null": None, "none": None, "true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the string syntax; quoted text is always a value."""

    text: str
    is_quoted: bool


def parse_string_filter(text: str) -> Filter | None:
    """Read Gnocchi's string syntax: `project_id='x' and not (host in ['a', 'b'] or created_at > 2026-01-01)`."""
    if not text.strip():
        return None
    if len(text) > TEXT_LENGTH_MAX:
        raise FilterInvalid(f"longer than {TEXT_LENGTH_MAX} characters")
    reader = StringFilterReader(split_words(text))
    tree = reader.either(0)
    if reader.place != len(reader.words):
        raise FilterInvalid(f"cannot read on from '{reader.words[reader.place].text}'")
    if count_terms(tree) > TERMS_MAX:
        raise FilterInvalid(f"more than {TERMS_MAX} terms")
    return tree


def split_words(text: str) -> list[Word]:
    """Cut the text into words and symbols."""
    words: list[Word] = []
    place = 0
    end = len(text.rstrip())
    while place < end:
        match = TOKEN.match(text, place)
        if match is None:
            raise FilterInvalid(f"cannot read on from character {place}")
        place = match.end()
        quoted = match["text"]
        if quoted is not None:
            words.append(Word(re.sub(r"\\(.)", r"\1", quoted[1:-1]), is_quoted=True))
        else:
            words.append(Word(match["symbol"] or match["word"], is_quoted=False))
    return words


class StringFilterReader:
    """Reads words by descent: either over every over not over one comparison."""

    def __init__(self, words: list[Word]) -> None:
        self.words = words
        self.place = 0

    def peek(self) -> str:
        """Return the next word in lower case, or nothing at the end or before quoted text."""
        word = self.words[self.place] if self.place < len(self.words) else None
        return word.text.lower() if word is not None and not word.is_quoted else ""

    def take(self) -> Word:
        """Return the next word and go on."""
        if self.place == len(self.words):
            raise FilterInvalid("it ends too early")
        self.place += 1
        return self.words[self.place - 1]

    def expect(self, symbol: str) -> None:
        """Take a symbol that must come."""
        if self.take().text != symbol:
            raise FilterInvalid(f"'{symbol}' is missing")

    def either(self, depth: int) -> Filter:
        """Read terms joined by or."""
        if depth > DEPTH_MAX:
            raise FilterInvalid(f"nested deeper than {DEPTH_MAX} levels")
        terms = [self.every(depth)]
        while self.peek() in ("or", "∨"):
            self.take()
            terms.append(self.every(depth))
        return terms[0] if len(terms) == 1 else Either(tuple(terms))

    def every(self, depth: int) -> Filter:
        """Read terms joined by and."""
        terms = [self.negated(depth)]
        while self.peek() in ("and", "∧"):
            self.take()
            terms.append(self.negated(depth))
        return terms[0] if len(terms) == 1 else Every(tuple(terms))

    def negated(self, depth: int) -> Filter:
        """Read an optional not."""
        if self.peek() == "not":
            self.take()
            if depth > DEPTH_MAX:
                raise FilterInvalid(f"nested deeper than {DEPTH_MAX} levels")
            return Negated(self.negated(depth + 1))
        if self.peek() == "(":
            self.take()
            tree = self.either(depth + 1)
            self.expect(")")
            return tree
        return self.compared()

    def compared(self) -> Comparison:
        """Read attribute, operator and value."""
        attribute = self.take().text
        name = self.take().text.lower()
        operator = OPERATORS.get(name)
        if operator is None:
            raise FilterInvalid(f"'{name}' is not an operator")
        return comparison(operator, attribute, self.values() if operator is Operator.IN else self.value())

    def values(self) -> list[Scalar]:
        """Read [a, b, ...]."""
        self.expect("[")
        found: list[Scalar] = []
        while self.peek() != "]":
            found.append(self.value())
            if self.peek() != "]":
                self.expect(",")
        self.take()
        return found

    def value(self) -> Scalar:
        """Read a value: quoted text, or a bare word that may be a number, a truth or null."""
        word = self.take()
        if word.is_quoted:
            return word.text
        lowered = word.text.lower()
        if lowered in WORD_VALUES:
            return WORD_VALUES[lowered]
        if re.fullmatch(r"[+-]?\d{1,18}", word.text):
            return int(word.text)
        if re.fullmatch(r"[+-]?\d{0,30}\.\d{1,30}", word.text):
            return float(word.text)
        return word.text
