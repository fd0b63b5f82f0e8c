"""Whose word is taken: the peers that may say for whom they call, and what they say, where NEPHO_TRUSTED_AUTH asks for it."""

import base64
import binascii
import ipaddress
import re
from urllib.parse import urlsplit

from fastapi import Request

from api.context import context_of
from foundation.settings import SOCKET_PEER, Settings
from identity.model import ADMIN, MEMBER, Caller, ProjectId, Unauthenticated, UserId, expand_roles
from identity.policy import NO_EXPIRY

LOOPBACK_NETWORKS = "127.0.0.0/8, ::1"
NAME = re.compile(r"[^\s:\x00-\x1f\x7f\ud800-\udfff]{1,255}")
"""A user's or project's name or id: no colon, which parts the two where a creator is written."""
HOST = re.compile(r"([^\s:\[\]]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?")
ROLES_MAX = 50


def peer_of(request: Request) -> str:
    """Return the address of who calls us, or `unix` on a socket, which only those may open whom its permissions let."""
    if context_of(request).settings.socket_path is not None:
        return SOCKET_PEER
    return request.client.host if request.client is not None else ""


def is_trusted(peer: str, listed: str) -> bool:
    """Tell whether a peer's address is in one of the networks that are listed, separated by commas."""
    networks = [one.strip() for one in listed.split(",") if one.strip()]
    if peer == SOCKET_PEER:
        return SOCKET_PEER in networks
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in ipaddress.ip_network(one, strict=False) for one in networks if one != SOCKET_PEER)


def trusted_caller(request: Request) -> Caller | None:
    """Return the caller whom a trusted peer names, or None where the request names nobody in this way.

    Raises Unauthenticated for a name from anybody else: such headers prove nothing. Every reason has the same sentence.
    """
    settings = context_of(request).settings
    if not settings.trusted_auth or not request.app.state.accepts_trusted:
        return None
    named = named_by_basic(request) if settings.trusted_auth == "basic" else named_by_headers(request)
    if named is not None and not is_believed(request, settings):
        raise Unauthenticated
    return named


def is_believed(request: Request, settings: Settings) -> bool:
    """Tell whether the peer's word is taken: one that is listed, or with none listed a program on this machine.

    A page in a browser here is not such a program: it calls us by a name of its own that leads to this machine. No page
    reaches a Unix socket; who may open it, may say who it is.
    """
    peer = peer_of(request)
    if peer == SOCKET_PEER:
        return True
    if settings.trusted_proxies.strip():
        return is_trusted(peer, settings.trusted_proxies)
    called = HOST.fullmatch(request.headers.get("host", ""))
    host = called[1].strip("[]").lower() if called is not None else ""
    own = {"localhost", urlsplit(settings.base_url).hostname}
    return is_trusted(peer, LOOPBACK_NETWORKS) and (host in own or is_trusted(host, LOOPBACK_NETWORKS))


def named_by_basic(request: Request) -> Caller | None:
    """Read Gnocchi's basic mode: the user's name is all there is; `admin` is the admin, and nobody needs a password."""
    scheme, _, encoded = only_header(request, "authorization").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        raise Unauthenticated from None
    return caller_named(name, project=name, roles=[ADMIN if name == ADMIN else MEMBER])


def named_by_headers(request: Request) -> Caller | None:
    """Read what an authenticating proxy says: X-User-Id, X-Project-Id and X-Roles, all three of them."""
    user, project = only_header(request, "x-user-id"), only_header(request, "x-project-id")
    roles = [role.strip().lower() for role in only_header(request, "x-roles").split(",") if role.strip()]
    if not (user or project or roles):
        return None
    if not roles or len(roles) > ROLES_MAX:
        raise Unauthenticated
    return caller_named(user, project=project, roles=roles)


def only_header(request: Request, name: str) -> str:
    """Return a header that comes at most once: of two, one may be what a client smuggled past its proxy."""
    given = request.headers.getlist(name)
    if len(given) > 1:
        raise Unauthenticated
    return given[0].strip() if given else ""


def caller_named(user: str, *, project: str, roles: list[str]) -> Caller:
    """Return the caller; in basic mode a user is a project of its own."""
    if not NAME.fullmatch(user) or not NAME.fullmatch(project):
        raise Unauthenticated
    return Caller(
        user_id=UserId(user),
        user_name=user,
        project_id=ProjectId(project),
        project_name=project,
        roles=expand_roles(roles),
        is_system=False,
        token_hash=b"",
        expires_at=NO_EXPIRY,
    )
