"""Who is calling: by the token in X-Auth-Token, in the native dialect by the browser's session cookie with its CSRF token.

Where the operator asks for it, the metric and alarming dialects also take a trusted peer's word (api.trust).
"""

from typing import Annotated

import psycopg
from fastapi import Depends, Request

from api.context import context_of
from api.transaction import RequestConnection
from api.trust import trusted_caller
from foundation.errors import Forbidden
from identity import policy
from identity.model import Caller, Token, Unauthenticated
from identity.service import inspect_token, to_caller
from identity.tokens import is_csrf_token

SESSION_COOKIE = "nephoscope_session"
CSRF_HEADER = "x-csrf-token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def presented_token(request: Request) -> str:
    """Return the token that a request carries; a cookie counts only where the dialect says so and the request is not forged."""
    header = request.headers.get("x-auth-token")
    if header:
        return header
    cookie = request.cookies.get(SESSION_COOKIE) if request.app.state.accepts_cookie else None
    if not cookie:
        raise Unauthenticated
    if request.method not in SAFE_METHODS and not is_csrf_token(request.headers.get(CSRF_HEADER, ""), cookie):
        raise Forbidden("the X-CSRF-Token header is missing or wrong; GET /v1/session answers it")
    return cookie


def authenticate_token(request: Request, connection: RequestConnection) -> Token:
    """Look the token up, in the request's transaction where it has begun, else in a statement of its own before it begins."""
    secret = presented_token(request)
    now = context_of(request).clock()
    if connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
        connection.autocommit = True
        try:
            token = inspect_token(connection, secret, now)
        finally:
            connection.autocommit = False
    else:
        token = inspect_token(connection, secret, now)
    request.state.user_id, request.state.project_id = token.user_id, token.project_id
    return token


RequestToken = Annotated[Token, Depends(authenticate_token)]
"""What the token says, whatever its scope; only identity itself needs it."""


def authenticate_caller(request: Request, connection: RequestConnection) -> Caller:
    """Return the caller: whom a trusted peer names, else whose token it is; a token without a project is refused."""
    named = trusted_caller(request)
    if named is None:
        return to_caller(authenticate_token(request, connection))
    request.state.user_id, request.state.project_id = named.user_id, named.project_id
    return named


RequestCaller = Annotated[Caller, Depends(authenticate_caller)]


def authenticate_admin(caller: RequestCaller) -> Caller:
    """Return the caller if it is an admin, else raise Forbidden."""
    policy.require_admin(caller)
    return caller


AdminCaller = Annotated[Caller, Depends(authenticate_admin)]


def authenticate_writer(caller: RequestCaller) -> Caller:
    """Return the caller if it may change things in its project; a reader may not."""
    policy.require_writer(caller)
    return caller


WriterCaller = Annotated[Caller, Depends(authenticate_writer)]
