"""Pages: every list is bounded, and says how to get the next part."""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Query, Request

from api.context import context_of
from foundation.errors import Invalid

CURSOR_LENGTH_MAX = 1024


@dataclass(frozen=True, slots=True)
class Page:
    """At most `limit` rows after the row that `marker` names."""

    limit: int
    marker: str | None


def read_page(
    request: Request,
    limit: Annotated[int | None, Query(ge=0, le=2**31)] = None,
    marker: Annotated[str | None, Query(max_length=CURSOR_LENGTH_MAX)] = None,
) -> Page:
    """Read OpenStack's limit and marker; a limit of none or 0 is the largest page, and none is larger."""
    largest = context_of(request).settings.page_limit_max
    return Page(limit=min(limit or largest, largest), marker=marker or None)


RequestPage = Annotated[Page, Depends(read_page)]


def next_url(request: Request, *, limit: int, marker: str) -> str:
    """Return the URL of the page that follows, as OpenStack's `links` and `Link` headers give it."""
    query = request.url.include_query_params(limit=limit, marker=marker).query
    return f"{public_url(request)}?{query}"


def public_url(request: Request) -> str:
    """Return the request's own URL as clients know it (settings.base_url), without the query."""
    return context_of(request).settings.base_url + request.url.path


@dataclass(frozen=True, slots=True)
class CursorPage:
    """A page of the native API: at most `limit` rows after the position that the cursor holds."""

    limit: int
    after: Sequence[Any] | None


def read_cursor_page(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(max_length=CURSOR_LENGTH_MAX)] = None,
) -> CursorPage:
    """Read the native API's limit and cursor."""
    bounded = min(limit, context_of(request).settings.page_limit_max)
    return CursorPage(limit=bounded, after=decode_cursor(cursor) if cursor else None)


RequestCursorPage = Annotated[CursorPage, Depends(read_cursor_page)]


def encode_cursor(position: Sequence[Any]) -> str:
    """Write a position (the sort key of the last row shown) as an opaque cursor."""
    return base64.urlsafe_b64encode(json.dumps(list(position), separators=(",", ":")).encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> Sequence[Any]:
    """Read a cursor that encode_cursor made; anything else is Invalid."""
    try:
        position = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise Invalid("the cursor is not one that this list gave", field="cursor") from error
    if not isinstance(position, list):
        raise Invalid("the cursor is not one that this list gave", field="cursor")
    return position  # pyright: ignore[reportUnknownVariableType]
