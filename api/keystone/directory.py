"""Keystone's projects, users, groups and domains."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from api.authentication import RequestToken
from api.body import body_of, new_router
from api.context import context_of
from api.keystone import wire
from api.keystone.versions import keystone_url
from api.login import LoginTurn, address_of
from api.pagination import RequestPage, next_url
from api.transaction import RequestTransaction
from identity import directory
from identity.directory import NewProject, NewUser
from identity.logins import Attempt
from identity.model import Unauthenticated
from orchestration import projects

router = new_router()

Name = Annotated[str | None, Query(max_length=255)]
DomainIdQuery = Annotated[str | None, Query(max_length=255)]


def collection(
    request: Request,
    key: str,
    items: Sequence[dict[str, Any]],
    *,
    limit: int | None = None,
    is_truncated: bool = False,
) -> JSONResponse:
    """Answer a list with its links; a full page has a next one, and a list that is cut off says so as Keystone does."""
    links: dict[str, str | None] = {"self": keystone_url(request) + "/" + key, "previous": None, "next": None}
    if limit is not None and len(items) == limit:
        links["next"] = next_url(request, limit=limit, marker=str(items[-1]["id"]))
    cut = {"truncated": True} if is_truncated else {}
    return JSONResponse({key: list(items), "links": links, **cut})


@router.get("/v3/projects")
def list_projects(
    request: Request,
    tx: RequestTransaction,
    actor: RequestToken,
    page: RequestPage,
    name: Name = None,
    domain_id: DomainIdQuery = None,
    enabled: bool | None = None,
) -> JSONResponse:
    """List projects."""
    found = directory.list_projects(
        tx, actor, name=name, domain_id=domain_id, enabled=enabled, limit=page.limit, marker=page.marker
    )
    url = keystone_url(request)
    return collection(request, "projects", [wire.to_wire_project(one, url) for one in found], limit=page.limit)


@router.post("/v3/projects", status_code=201)
def create_project(
    request: Request,
    tx: RequestTransaction,
    actor: RequestToken,
    body: Annotated[wire.NewProjectBody, Depends(body_of(wire.NewProjectBody))],
) -> JSONResponse:
    """Make a project."""
    new = NewProject(body.project.name, body.project.domain_id, body.project.description or "", body.project.enabled)
    project = directory.create_project(tx, actor, new=new, now=context_of(request).clock())
    return JSONResponse({"project": wire.to_wire_project(project, keystone_url(request))}, 201)


@router.get("/v3/projects/{project_id}")
def show_project(request: Request, tx: RequestTransaction, actor: RequestToken, project_id: str) -> JSONResponse:
    """Show a project."""
    project = directory.get_project(tx, actor, project_id)
    return JSONResponse({"project": wire.to_wire_project(project, keystone_url(request))})


@router.patch("/v3/projects/{project_id}")
def update_project(
    request: Request,
    tx: RequestTransaction,
    actor: RequestToken,
    project_id: str,
    body: Annotated[wire.ProjectChangesBody, Depends(body_of(wire.ProjectChangesBody))],
) -> JSONResponse:
    """Change a project."""
    changes = body.project.model_dump(exclude_none=True)
    project = directory.update_project(tx, actor, project_id=project_id, changes=changes)
    return JSONResponse({"project": wire.to_wire_project(project, keystone_url(request))})


@router.delete("/v3/projects/{project_id}", status_code=204)
def delete_project(request: Request, tx: RequestTransaction, actor: RequestToken, project_id: str) -> Response:
    """Delete a project that has nothing left."""
    projects.delete_project(tx, actor, project_id=project_id, now=context_of(request).clock())
    return Response(status_code=204)


@router.get("/v3/users")
def list_users(
    request: Request,
    tx: RequestTransaction,
    actor: RequestToken,
    page: RequestPage,
    name: Name = None,
    domain_id: DomainIdQuery = None,
    enabled: bool | None = None,
) -> JSONResponse:
    """List users."""
    found = directory.list_users(
        tx, actor, name=name, domain_id=domain_id, enabled=enabled, limit=page.limit, marker=page.marker
    )
    url = keystone_url(request)
    return collection(request, "users", [wire.to_wire_user(one, url) for one in found], limit=page.limit)


@router.post("/v3/users", status_code=201)
def create_user(
    request: Request,
    tx: RequestTransaction,
    actor: RequestToken,
    body: Annotated[wire.NewUserBody, Depends(body_of(wire.NewUserBody))],
) -> JSONResponse:
    """Make a user."""
    user = body.user
    new = NewUser(
        name=user.name,
        password=user.password,
        domain_id=user.domain_id,
        description=user.description or "",
        email=user.email,
        enabled=user.enabled,
        default_project_id=user.default_project_id,
    )
    made = directory.create_user(tx, actor, new=new, now=context_of(request).clock())
    return JSONResponse({"user": wire.to_wire_user(made, keystone_url(request))}, 201)


@router.get("/v3/users/{user_id}")
def show_user(request: Request, tx: RequestTransaction, actor: RequestToken, user_id: str) -> JSONResponse:
    """Show a user."""
    return JSONResponse({"user": wire.to_wire_user(directory.get_user(tx, actor, user_id), keystone_url(request))})


@router.patch("/v3/users/{user_id}")
def update_user(
    request: Request,
    tx: RequestTransaction,
    actor: RequestToken,
    user_id: str,
    body: Annotated[wire.UserChangesBody, Depends(body_of(wire.UserChangesBody))],
) -> JSONResponse:
    """Change a user."""
    changes = body.user.model_dump(exclude_none=True)
    user = directory.update_user(tx, actor, user_id=user_id, changes=changes)
    return JSONResponse({"user": wire.to_wire_user(user, keystone_url(request))})


@router.post("/v3/users/{user_id}/password", status_code=204)
def change_password(
    _: LoginTurn,
    request: Request,
    tx: RequestTransaction,
    actor: RequestToken,
    *,
    user_id: str,
    body: Annotated[wire.PasswordChangeBody, Depends(body_of(wire.PasswordChangeBody))],
) -> Response:
    """Change one's own password; a wrong old one counts as a failed sign-in, so that who has a token cannot guess it here."""
    context = context_of(request)
    attempt, now = Attempt(account=actor.user_id, address=address_of(request)), context.clock()
    context.login_limiter.check(attempt, now)
    original, password = body.user.original_password, body.user.password
    try:
        directory.change_own_password(tx, actor, user_id=user_id, original=original, password=password)
    except Unauthenticated:
        context.login_limiter.record_failure(attempt, now)
        raise
    return Response(status_code=204)


@router.delete("/v3/users/{user_id}", status_code=204)
def delete_user(tx: RequestTransaction, actor: RequestToken, user_id: str) -> Response:
    """Delete a user."""
    directory.delete_user(tx, actor, user_id=user_id)
    return Response(status_code=204)


@router.get("/v3/users/{user_id}/projects")
def list_projects_of_user(request: Request, tx: RequestTransaction, actor: RequestToken, user_id: str) -> JSONResponse:
    """List the projects in which a user has a role."""
    url = keystone_url(request)
    found = directory.list_projects_of_user(tx, actor, user_id)
    return collection(request, "projects", [wire.to_wire_project(one, url) for one in found])


@router.get("/v3/users/{user_id}/groups")
def list_groups_of_user(request: Request, tx: RequestTransaction, actor: RequestToken, user_id: str) -> JSONResponse:
    """List a user's groups: none, since we have no groups."""
    directory.get_user(tx, actor, user_id)
    return collection(request, "groups", [])


@router.get("/v3/groups")
def list_groups(request: Request, _: RequestToken) -> JSONResponse:
    """List the groups: none."""
    return collection(request, "groups", [])


@router.get("/v3/domains")
def list_domains(request: Request, tx: RequestTransaction, _: RequestToken, name: Name = None) -> JSONResponse:
    """List domains."""
    url = keystone_url(request)
    found = [one for one in directory.list_domains(tx) if name is None or one.name == name]
    return collection(request, "domains", [wire.to_wire_domain(one, url) for one in found])


@router.get("/v3/domains/{domain_id}")
def show_domain(request: Request, tx: RequestTransaction, _: RequestToken, domain_id: str) -> JSONResponse:
    """Show a domain."""
    return JSONResponse({"domain": wire.to_wire_domain(directory.get_domain(tx, domain_id), keystone_url(request))})
