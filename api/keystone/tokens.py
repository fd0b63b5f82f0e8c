"""Keystone's /v3/auth: tokens are issued, validated and revoked; the catalog and the caller's projects."""

from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from fastapi.responses import JSONResponse

from api.authentication import RequestToken
from api.body import body_of, new_router
from api.context import context_of
from api.keystone.catalog import to_wire_catalog
from api.keystone.versions import keystone_url
from api.keystone.wire import AuthBody, from_wire_scope, from_wire_user, to_wire_project, to_wire_token
from api.login import LoginTurn, sign_in
from api.transaction import RequestTransaction
from foundation.database import Transaction, transaction
from foundation.errors import Invalid
from identity import directory, service
from identity.model import IssuedToken, Token, TokenNotFound, Unauthenticated

router = new_router()


@router.post("/v3/auth/tokens", status_code=201)
def create_token(
    request: Request, body: Annotated[AuthBody, Depends(body_of(AuthBody))], _: LoginTurn, nocatalog: str | None = None
) -> JSONResponse:
    """Issue a token for a password, or for another token; the secret is in X-Subject-Token."""
    issued = authenticate(request, body)
    with transaction(context_of(request).pool) as tx:
        wire = describe_token(request, tx, token=issued.token, with_catalog=nocatalog is None)
    return JSONResponse(wire, 201, headers={"X-Subject-Token": issued.secret, "Vary": "X-Auth-Token"})


def authenticate(request: Request, body: AuthBody) -> IssuedToken:
    """Use the one method that the body names."""
    context = context_of(request)
    scope = from_wire_scope(body.auth.scope)
    match body.auth.identity.methods:
        case ["password"]:
            if body.auth.identity.password is None:
                raise Invalid("Expecting to find password in identity.", field="auth.identity.password")
            user = body.auth.identity.password.user
            return sign_in(request, from_wire_user(user), password=user.password, scope=scope)
        case ["token"]:
            if body.auth.identity.token is None:
                raise Invalid("Expecting to find token in identity.", field="auth.identity.token")
            with transaction(context.pool) as tx:
                now = context.clock()
                held = service.inspect_token(tx, body.auth.identity.token.id, now)
                return service.rescope_token(tx, held, scope=scope, now=now)
        case _:
            raise Unauthenticated("Attempted to authenticate with an unsupported method.")


def describe_token(request: Request, tx: Transaction, *, token: Token, with_catalog: bool) -> dict[str, Any]:
    """Write a token with the names of its roles and domains."""
    catalog = to_wire_catalog(context_of(request).settings) if with_catalog else None
    return to_wire_token(token, roles=directory.list_roles(tx), domains=directory.list_domains(tx), catalog=catalog)


def find_subject(request: Request, tx: Transaction, *, actor: Token, secret: str) -> Token:
    """Return the token that X-Subject-Token names: one's own, or for an admin anyone's; else raise TokenNotFound."""
    try:
        subject = service.inspect_token(tx, secret, context_of(request).clock())
    except Unauthenticated as error:
        raise TokenNotFound from error
    if subject.user_id != actor.user_id and not directory.is_admin(actor):
        raise TokenNotFound
    return subject


SubjectToken = Annotated[str, Header(alias="X-Subject-Token", max_length=1024)]


@router.head("/v3/auth/tokens", include_in_schema=False)
@router.get("/v3/auth/tokens")
def show_token(
    request: Request, tx: RequestTransaction, actor: RequestToken, subject: SubjectToken, nocatalog: str | None = None
) -> JSONResponse:
    """Say what a token stands for."""
    token = find_subject(request, tx, actor=actor, secret=subject)
    wire = describe_token(request, tx, token=token, with_catalog=nocatalog is None)
    return JSONResponse(wire, headers={"X-Subject-Token": subject, "Vary": "X-Auth-Token"})


@router.delete("/v3/auth/tokens", status_code=204)
def delete_token(request: Request, tx: RequestTransaction, actor: RequestToken, subject: SubjectToken) -> Response:
    """Revoke a token; it is refused from the moment this is answered."""
    service.revoke_token(tx, find_subject(request, tx, actor=actor, secret=subject).hash)
    return Response(status_code=204)


@router.get("/v3/auth/catalog")
def show_catalog(request: Request, _: RequestToken) -> JSONResponse:
    """List the services and where they are."""
    links = {"self": f"{keystone_url(request)}/auth/catalog", "previous": None, "next": None}
    return JSONResponse({"catalog": to_wire_catalog(context_of(request).settings), "links": links})


@router.get("/v3/auth/projects")
def list_own_projects(request: Request, tx: RequestTransaction, actor: RequestToken) -> JSONResponse:
    """List the projects to which the caller may scope a token."""
    url = keystone_url(request)
    found = directory.list_projects_of_user(tx, actor, actor.user_id)
    links = {"self": f"{url}/auth/projects", "previous": None, "next": None}
    return JSONResponse({"projects": [to_wire_project(project, url) for project in found], "links": links})


@router.get("/v3/auth/domains")
def list_own_domains(request: Request, _: RequestToken) -> JSONResponse:
    """List the domains to which the caller may scope a token: none, since roles are given in projects."""
    links = {"self": f"{keystone_url(request)}/auth/domains", "previous": None, "next": None}
    return JSONResponse({"domains": [], "links": links})


@router.get("/v3/auth/system")
def show_own_system(request: Request, tx: RequestTransaction, actor: RequestToken) -> JSONResponse:
    """Say whether the caller may scope a token to the system."""
    assigned = directory.list_assignments(tx, actor, user_id=actor.user_id, system_only=True)
    links = {"self": f"{keystone_url(request)}/auth/system", "previous": None, "next": None}
    return JSONResponse({"system": [{"all": True}] if assigned else [], "links": links})
