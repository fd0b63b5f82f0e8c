"""A browser's session: the token in a cookie that scripts cannot read, and a CSRF token that only our pages are told."""

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.authentication import SESSION_COOKIE, RequestToken
from api.body import new_router
from api.context import context_of
from api.login import LoginTurn, sign_in
from api.transaction import RequestTransaction
from foundation.errors import Forbidden
from identity import service
from identity.model import DEFAULT_DOMAIN_ID, Token
from identity.service import DefaultScope, ProjectScope, Reference
from identity.tokens import csrf_token

router: APIRouter = new_router("/session")


class SessionRequest(BaseModel):
    """Who signs in, and for which project (by name, in the default domain); without one, the user's default project."""

    model_config = ConfigDict(extra="forbid")

    username: str = Field(min_length=1, max_length=255)
    password: str = Field(min_length=1, max_length=4096)
    project: str | None = Field(default=None, max_length=255)


class NamedRef(BaseModel):
    """An id with its name."""

    id: str
    name: str


class Session(BaseModel):
    """Who is signed in; `csrf_token` goes into the X-CSRF-Token header of every unsafe request, and is empty without a cookie."""

    user: NamedRef
    project: NamedRef | None
    roles: list[str]
    csrf_token: str


def to_wire_session(token: Token, secret: str | None) -> Session:
    """Write a session; the CSRF token is derived from the cookie's secret."""
    project = None
    if token.project_id is not None and token.project_name is not None:
        project = NamedRef(id=token.project_id, name=token.project_name)
    return Session(
        user=NamedRef(id=token.user_id, name=token.user_name),
        project=project,
        roles=sorted(token.roles),
        csrf_token=csrf_token(secret) if secret else "",
    )


@router.post("")
def create_session(request: Request, response: Response, credentials: SessionRequest, _: LoginTurn) -> Session:
    """Sign in."""
    if request.headers.get("sec-fetch-site") == "cross-site":
        raise Forbidden("another site may not sign you in")
    scope = DefaultScope()
    if credentials.project is not None:
        scope = ProjectScope(Reference(name=credentials.project, domain_id=DEFAULT_DOMAIN_ID))
    user = Reference(name=credentials.username, domain_id=DEFAULT_DOMAIN_ID)
    issued = sign_in(request, user, password=credentials.password, scope=scope)
    settings = context_of(request).settings
    response.set_cookie(
        SESSION_COOKIE,
        issued.secret,
        max_age=settings.token_lifetime_s,
        path="/",
        secure=settings.base_url.startswith("https:"),
        httponly=True,
        samesite="lax",
    )
    response.headers["Cache-Control"] = "no-store"
    return to_wire_session(issued.token, issued.secret)


@router.get("")
def show_session(request: Request, response: Response, token: RequestToken) -> Session:
    """Say who is signed in."""
    response.headers["Cache-Control"] = "no-store"
    has_cookie = "x-auth-token" not in request.headers
    return to_wire_session(token, request.cookies.get(SESSION_COOKIE) if has_cookie else None)


@router.delete("", status_code=204)
def delete_session(tx: RequestTransaction, token: RequestToken) -> Response:
    """Sign out: the token is revoked, wherever else it may be kept."""
    service.revoke_token(tx, token.hash)
    response = Response(status_code=204)
    response.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="lax")
    return response
