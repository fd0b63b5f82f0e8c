"""Answers and query parameters that all of the dialect's routes share."""

from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

import orjson
from fastapi import Depends, Query, Request, Response

from api.gnocchi.forwarding import base_url
from api.pagination import RequestPage
from foundation.errors import Invalid
from metering.model import Listing

SORTS_MAX = 10


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Write JSON; a number that JSON has not is null."""
    return Response(orjson.dumps(body), status, headers=headers, media_type="application/json")


def read_listing(page: RequestPage, sort: Annotated[list[str] | None, Query()] = None) -> Listing:
    """Read limit, marker and sort (`started_at:desc-nullslast`, several times or joined by commas)."""
    words = [word for part in sort or () for word in part.split(",") if word]
    if len(words) > SORTS_MAX:
        raise Invalid(f"at most {SORTS_MAX} sort keys", field="sort")
    sorts: list[tuple[str, bool]] = []
    for word in words:
        attribute, _, direction = word.partition(":")
        direction = direction.removesuffix("-nullslast").removesuffix("-nullsfirst")
        if direction not in ("", "asc", "desc"):
            raise Invalid(f"Invalid sort direction '{direction[:60]}'", field="sort")
        sorts.append((attribute, direction == "desc"))
    return Listing(page.limit, page.marker, tuple(sorts))


RequestListing = Annotated[Listing, Depends(read_listing)]


def link_header(request: Request, listing: Listing, *, count: int, marker: str) -> dict[str, str]:
    """Return the Link header to the next page where this one is full."""
    if count < listing.limit:
        return {}
    query = request.url.include_query_params(limit=listing.limit, marker=marker).query
    return {"Link": f'<{base_url(request)}{request.url.path}?{query}>; rel="next"'}


def location_of(request: Request, *parts: object) -> dict[str, str]:
    """Return the Location header of what was made, by the parts of its path below /v1."""
    return {"Location": url_of(request, *parts)}


def url_of(request: Request, *parts: object) -> str:
    """Return the address of something under which the client reaches it."""
    mount = str(request.scope.get("root_path", "")).rstrip("/")
    return "/".join([f"{base_url(request)}{mount}/v1", *(quote(str(part), safe="") for part in parts)])


def uuid_or_none(text: str) -> UUID | None:
    """Return a text as a UUID, or None."""
    try:
        return UUID(text)
    except ValueError:
        return None


def is_true(text: str | None) -> bool:
    """Read a flag as Gnocchi does."""
    return text is not None and text.strip().lower() in ("1", "true", "t", "yes", "y", "on", "")
