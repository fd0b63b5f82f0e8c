"""Signing in with a password, shared by Keystone's dialect and the dashboard's session.

The password is verified between two short transactions: hashing takes long on purpose and must not keep a connection.
"""

from collections.abc import AsyncIterator
from ipaddress import ip_address
from typing import Annotated

from fastapi import Depends, Request

from api.context import context_of
from api.trust import is_trusted, peer_of
from foundation.database import transaction
from identity import service
from identity.logins import Attempt
from identity.model import IssuedToken, Unauthenticated


async def wait_for_login(request: Request) -> AsyncIterator[None]:
    """Admit a few sign-ins at once."""
    async with context_of(request).logins.admitted():
        yield


LoginTurn = Annotated[None, Depends(wait_for_login, scope="function")]
"""Every endpoint that verifies a password takes a turn first."""


def address_of(request: Request) -> str:
    """Return from where a request comes, so that those behind one proxy do not use up each other's guesses."""
    peer = peer_of(request)
    forwarded = ",".join(request.headers.getlist("x-forwarded-for"))
    return told_client(peer, forwarded, proxies=context_of(request).settings.trusted_proxies)


def told_client(peer: str, forwarded: str, *, proxies: str) -> str:
    """Read X-Forwarded-For from its end, where our own proxies wrote: the first address that is none of them; else the peer's."""
    address = peer
    for told in reversed([part.strip() for part in forwarded.split(",")]):
        if not is_trusted(address, proxies):
            return address
        try:
            address = str(ip_address(told))
        except ValueError:
            return peer
    return address


def sign_in(request: Request, user: service.Reference, *, password: str, scope: service.Scope) -> IssuedToken:
    """Verify a password and issue a token; a wrong one, an unknown user and a scope without a role look the same."""
    context = context_of(request)
    now = context.clock()
    account = user.id or f"{user.name}@{user.domain_id or (user.domain_name or '').lower()}"
    attempt = Attempt(account=account, address=address_of(request))
    context.login_limiter.check(attempt, now)
    try:
        with transaction(context.pool) as tx:
            login = service.find_login(tx, user)
        login = service.verify_password(login, password)
        with transaction(context.pool) as tx:
            expires_at = service.token_expiry(now, lifetime_s=context.settings.token_lifetime_s)
            return service.issue_token(tx, login, scope=scope, methods=["password"], now=now, expires_at=expires_at)
    except Unauthenticated:
        context.login_limiter.record_failure(attempt, now)
        raise
