"""Pages by keyset: the rows after the one that the marker names, by an index where there is one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import sql

from foundation.errors import Invalid
from metering.model import Listing


@dataclass(frozen=True, slots=True)
class SortKey:
    """A column by which a list is sorted; nulls come last either way."""

    column: LiteralString
    is_descending: bool = False
    is_nullable: bool = False

    @property
    def order(self) -> sql.Composable:
        """What ORDER BY says."""
        return sql.SQL(self.column) if not self.is_descending else sql.SQL(self.column + " DESC NULLS LAST")


def sort_keys(
    listing: Listing, columns: Mapping[str, LiteralString], *, last: Sequence[LiteralString]
) -> list[SortKey]:
    """Return what a list is sorted by; `last` are never null, and together they tell any two rows apart."""
    keys: list[SortKey] = []
    for attribute, descending in listing.sorts:
        column = columns.get(attribute)
        if column is None:
            raise Invalid(f"Sort key supplied is invalid: {attribute[:60]}", field="sort")
        if column not in {key.column for key in keys}:
            keys.append(SortKey(column, descending, is_nullable=column not in last))
    taken = {key.column for key in keys}
    return [*keys, *(SortKey(column) for column in last if column not in taken)]


def ordered_by(keys: Sequence[SortKey]) -> sql.Composable:
    """Return the list of ORDER BY."""
    return sql.SQL(", ").join([key.order for key in keys])


def columns_of(keys: Sequence[SortKey]) -> sql.Composable:
    """Return the columns of the keys, to read a marker's values by."""
    return sql.SQL(", ").join([sql.SQL(key.column) for key in keys])


def after(keys: Sequence[SortKey], position: Sequence[Any] | None) -> tuple[sql.Composable, list[Any]]:
    """Return the condition that a row comes after a position, with its parameters; with no position every row does."""
    if position is None:
        return sql.SQL("true"), []
    choices: list[sql.Composable] = []
    parameters: list[Any] = []
    tied: list[sql.Composable] = []
    for place, (key, value) in enumerate(zip(keys, position, strict=True)):
        if value is not None:
            beyond = sql.SQL(key.column + (" < %s" if key.is_descending else " > %s"))
            if key.is_nullable:
                beyond = sql.SQL("({} OR {} IS NULL)").format(beyond, sql.SQL(key.column))
            choices.append(sql.SQL("({})").format(sql.SQL(" AND ").join([*tied, beyond])))
            parameters += position[: place + 1]
        tied.append(sql.SQL(key.column + " IS NOT DISTINCT FROM %s"))
    return sql.SQL("({})").format(sql.SQL(" OR ").join(choices)), parameters
