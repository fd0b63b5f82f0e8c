"""Under which address a client reaches us, as the proxies that we trust tell it."""

import re
from collections.abc import Mapping

from fastapi import Request
from starlette.datastructures import Headers

from api.context import context_of
from api.trust import is_trusted, peer_of

HOST = re.compile(r"[A-Za-z0-9._\-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")
PREFIX = re.compile(r"(/[A-Za-z0-9._~\-]{1,64}){0,8}/?")


def base_url(request: Request) -> str:
    """Return the address before the path: the settings' own, or what a trusted peer says."""
    settings = context_of(request).settings
    if not is_trusted(peer_of(request), settings.trusted_proxies):
        return settings.base_url
    return told_base(request.headers, otherwise=settings.base_url)


def told_base(headers: Headers, *, otherwise: str) -> str:
    """Read Forwarded (RFC 7239), else X-Forwarded-*; of a chain of proxies the nearest, whom we trust, has the last word."""
    scheme, _, host = otherwise.partition("://")
    host, slash, path = host.partition("/")
    prefix = slash + path
    told = forwarded_pairs(whole_of(headers, "forwarded"))
    given = {
        "proto": told.get("proto") or last_of(whole_of(headers, "x-forwarded-proto")),
        "host": told.get("host") or last_of(whole_of(headers, "x-forwarded-host")),
        "prefix": last_of(whole_of(headers, "x-forwarded-prefix")),
    }
    scheme = given["proto"].lower() if given["proto"].lower() in ("http", "https") else scheme
    host = given["host"] if HOST.fullmatch(given["host"]) else host
    prefix = given["prefix"] if given["prefix"] and PREFIX.fullmatch(given["prefix"]) else prefix
    return f"{scheme}://{host}{prefix.rstrip('/')}"


def whole_of(headers: Headers, name: str) -> str:
    """Return a header that several proxies may each have added a line of, as the one list that it means (RFC 9110, 5.3)."""
    return ",".join(headers.getlist(name))


def forwarded_pairs(header: str) -> Mapping[str, str]:
    """Return the pairs of the last element of a Forwarded header."""
    pairs = (pair.partition("=") for pair in last_of(header).split(";"))
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}


def last_of(header: str) -> str:
    """Return the last of several values."""
    return header.rpartition(",")[2].strip()
