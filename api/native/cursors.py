"""Cursors of lists that are ordered by id."""

from collections.abc import Sequence
from typing import Protocol, TypeVar
from uuid import UUID

from api.pagination import CursorPage, encode_cursor
from foundation.errors import Invalid


class Identified(Protocol):
    """Anything with an id."""

    @property
    def id(self) -> UUID:
        """The id by which the list goes on."""
        ...


Row = TypeVar("Row", bound=Identified)


def id_after(page: CursorPage) -> UUID | None:
    """Return the id after which the page begins."""
    if page.after is None:
        return None
    try:
        (text,) = page.after
        return UUID(text)
    except (ValueError, TypeError, AttributeError) as error:
        raise Invalid("the cursor is not one that this list gave", field="cursor") from error


def split_page(rows: Sequence[Row], page: CursorPage) -> tuple[Sequence[Row], str | None]:
    """Return the rows of a page and the next one's cursor, given one row more than the page holds where there is one."""
    shown = rows[: page.limit]
    return shown, encode_cursor([str(shown[-1].id)]) if len(rows) > page.limit else None
