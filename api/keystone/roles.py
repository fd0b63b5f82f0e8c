"""Keystone's roles and their assignments in projects and in the system."""

from typing import Annotated

from fastapi import Query, Request, Response
from fastapi.responses import JSONResponse

from api.authentication import RequestToken
from api.body import new_router
from api.keystone import wire
from api.keystone.directory import Name, collection
from api.keystone.versions import keystone_url
from api.transaction import RequestTransaction
from identity import directory
from identity.directory import Grant
from identity.model import RoleNotFound

router = new_router()

PROJECT_GRANT = "/v3/projects/{project_id}/users/{user_id}/roles/{role_id}"
SYSTEM_GRANT = "/v3/system/users/{user_id}/roles/{role_id}"


@router.get("/v3/roles")
def list_roles(request: Request, tx: RequestTransaction, _: RequestToken, name: Name = None) -> JSONResponse:
    """List roles."""
    url = keystone_url(request)
    return collection(request, "roles", [wire.to_wire_role(one, url) for one in directory.list_roles(tx, name=name)])


@router.get("/v3/roles/{role_id}")
def show_role(request: Request, tx: RequestTransaction, _: RequestToken, role_id: str) -> JSONResponse:
    """Show a role."""
    return JSONResponse({"role": wire.to_wire_role(directory.get_role(tx, role_id), keystone_url(request))})


@router.put(PROJECT_GRANT, status_code=204)
def assign_project_role(
    tx: RequestTransaction, actor: RequestToken, project_id: str, user_id: str, role_id: str
) -> Response:
    """Give a user a role in a project."""
    directory.assign_role(tx, actor, Grant(user_id, role_id, project_id))
    return Response(status_code=204)


@router.delete(PROJECT_GRANT, status_code=204)
def withdraw_project_role(
    tx: RequestTransaction, actor: RequestToken, project_id: str, user_id: str, role_id: str
) -> Response:
    """Take a role in a project away."""
    directory.withdraw_role(tx, actor, Grant(user_id, role_id, project_id))
    return Response(status_code=204)


@router.head(PROJECT_GRANT, status_code=204)
def check_project_role(
    tx: RequestTransaction, actor: RequestToken, *, project_id: str, user_id: str, role_id: str
) -> Response:
    """Tell whether a user has a role in a project."""
    if not directory.list_assignments(tx, actor, user_id=user_id, project_id=project_id, role_id=role_id):
        raise RoleNotFound(role_id)
    return Response(status_code=204)


@router.get("/v3/projects/{project_id}/users/{user_id}/roles")
def list_project_roles(
    request: Request, tx: RequestTransaction, actor: RequestToken, project_id: str, user_id: str
) -> JSONResponse:
    """List a user's roles in a project."""
    project = directory.get_project(tx, actor, project_id)
    user = directory.get_user(tx, actor, user_id)
    found = {one.role_id for one in directory.list_assignments(tx, actor, user_id=user.id, project_id=project.id)}
    url = keystone_url(request)
    return collection(
        request, "roles", [wire.to_wire_role(role, url) for role in directory.list_roles(tx) if role.id in found]
    )


@router.put(SYSTEM_GRANT, status_code=204)
def assign_system_role(tx: RequestTransaction, actor: RequestToken, user_id: str, role_id: str) -> Response:
    """Give a user a role in the whole system."""
    directory.assign_role(tx, actor, Grant(user_id, role_id, None))
    return Response(status_code=204)


@router.delete(SYSTEM_GRANT, status_code=204)
def withdraw_system_role(tx: RequestTransaction, actor: RequestToken, user_id: str, role_id: str) -> Response:
    """Take a role in the system away."""
    directory.withdraw_role(tx, actor, Grant(user_id, role_id, None))
    return Response(status_code=204)


@router.get("/v3/role_assignments")
def list_role_assignments(
    request: Request,
    tx: RequestTransaction,
    actor: RequestToken,
    user_id: Annotated[str | None, Query(alias="user.id", max_length=255)] = None,
    project_id: Annotated[str | None, Query(alias="scope.project.id", max_length=255)] = None,
    role_id: Annotated[str | None, Query(alias="role.id", max_length=255)] = None,
    system: Annotated[str | None, Query(alias="scope.system", max_length=16)] = None,
    include_names: str | None = None,
) -> JSONResponse:
    """List who has which role where; a list that is too long says so, and is narrowed by its filters."""
    found = directory.list_assignments(
        tx, actor, user_id=user_id, project_id=project_id, role_id=role_id, system_only=system is not None
    )
    with_names = include_names is not None and include_names.lower() not in {"false", "0"}
    url = keystone_url(request)
    shown = found[: directory.LIST_MAX]
    items = [wire.to_wire_assignment(one, url=url, with_names=with_names) for one in shown]
    return collection(request, "role_assignments", items, is_truncated=len(shown) < len(found))
