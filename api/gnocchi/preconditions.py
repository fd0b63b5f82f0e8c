"""Entity tags of resources, and the conditions that requests make of them (RFC 9110, 13)."""

import hashlib
from collections.abc import Mapping
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

import orjson
from fastapi import Request
from starlette.exceptions import HTTPException

from metering.model import Resource


def tag_headers(body: Mapping[str, Any], resource: Resource) -> dict[str, str]:
    """Return the headers that name this state of a resource; any change of what is shown changes the tag."""
    digest = hashlib.blake2b(orjson.dumps(body, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()
    return {"ETag": f'"{digest}"', "Last-Modified": format_datetime(resource.revision_start, usegmt=True)}


def has_precondition(request: Request) -> bool:
    """Tell whether a request that changes something asks for a certain state first."""
    return any(name in request.headers for name in ("if-match", "if-none-match", "if-unmodified-since"))


def is_unchanged(request: Request, headers: Mapping[str, str]) -> bool:
    """Tell whether the client has this state already (304); raise 412 where it must not meet this state."""
    require_state(request, headers)
    wanted = request.headers.get("if-none-match")
    if wanted is not None:
        return names_tag(wanted, headers["ETag"])
    return is_not_after(headers["Last-Modified"], request.headers.get("if-modified-since"))


def require_change_allowed(request: Request, headers: Mapping[str, str]) -> None:
    """Raise 412 where the resource is not in the state that the request asks for, or is in the one that it excludes."""
    require_state(request, headers)
    excluded = request.headers.get("if-none-match")
    if excluded is not None and names_tag(excluded, headers["ETag"]):
        raise HTTPException(412, "the resource is in a state that If-None-Match excludes")


def require_state(request: Request, headers: Mapping[str, str]) -> None:
    """Raise 412 unless If-Match names this state, or else it is not newer than If-Unmodified-Since."""
    wanted = request.headers.get("if-match")
    if wanted is not None:
        if not names_tag(wanted, headers["ETag"]):
            raise HTTPException(412, "the resource is not in the state that If-Match names")
        return
    unmodified_since = request.headers.get("if-unmodified-since")
    if unmodified_since is not None and not is_not_after(headers["Last-Modified"], unmodified_since, otherwise=True):
        raise HTTPException(412, "the resource has changed since If-Unmodified-Since")


def names_tag(wanted: str, tag: str) -> bool:
    """Tell whether a list of entity tags, or *, names a tag."""
    return any(one.strip().removeprefix("W/") in ("*", tag) for one in wanted.split(","))


def is_not_after(changed: str, given: str | None, *, otherwise: bool = False) -> bool:
    """Compare two dates of HTTP; a date that cannot be read is as good as none."""
    try:
        return parsedate_to_datetime(changed) <= parsedate_to_datetime(given or "")
    except (ValueError, TypeError):
        return otherwise
