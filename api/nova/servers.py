"""Servers: launch, list, show, rename, delete."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, HTTPException, Request
from fastapi.responses import JSONResponse, Response

from api.authentication import RequestCaller, WriterCaller
from api.body import body_of, new_router
from api.context import context_of
from api.nova.filters import read_filters, read_server_page
from api.nova.requests import ServerCreateBody, ServerUpdateBody
from api.nova.servers_wire import from_wire_server, to_wire_brief, to_wire_links, to_wire_server
from api.nova.versions import RequestMicroversion
from api.pagination import next_url
from api.transaction import RequestTransaction
from compute import service
from compute.errors import NetworkExhausted
from compute.model import Instance
from foundation.database import Transaction
from foundation.errors import Invalid, NotFound
from identity import policy
from identity.model import Caller

router = new_router("/v2.1")


@dataclass(frozen=True, slots=True)
class ServerView:
    """What every answer about servers needs to know of its request."""

    root: str
    microversion: tuple[int, int]
    is_admin: bool
    now: datetime

    def to_wire(self, tx: Transaction, instances: Sequence[Instance], caller: Caller) -> list[dict[str, Any]]:
        """Write instances in full."""
        names = group_names(tx, caller, self.now)
        return [
            to_wire_server(
                instance,
                root=self.root,
                microversion=self.microversion,
                is_admin=self.is_admin,
                now=self.now,
                group_names=names,
            )
            for instance in instances
        ]


def group_names(tx: Transaction, caller: Caller, now: datetime) -> Mapping[UUID, str]:
    """Return the names of the security groups that the caller can see."""
    return {group.id: group.name for group in service.list_security_groups(tx, caller=caller, now=now)}


def view_request(request: Request, caller: RequestCaller, microversion: RequestMicroversion) -> ServerView:
    """Gather what the answer depends on."""
    context = context_of(request)
    root = f"{context.settings.base_url}/compute"
    return ServerView(root, microversion, policy.is_admin(caller), context.clock())


RequestView = Annotated[ServerView, Depends(view_request)]


def server_id(server: str) -> UUID:
    """Read the id in a path; anything else is no server, which is how clients learn to look it up by name."""
    try:
        return UUID(server)
    except ValueError as error:
        raise HTTPException(404, f"Instance {server[:255]} could not be found.") from error


ServerId = Annotated[UUID, Depends(server_id)]


@router.post("/servers")
def create_servers(
    request: Request,
    tx: RequestTransaction,
    caller: WriterCaller,
    view: RequestView,
    body: Annotated[ServerCreateBody, Depends(body_of(ServerCreateBody))],
) -> JSONResponse:
    """Order one or several servers; all are accepted or none."""
    launch = from_wire_server(body.server, view.microversion)
    refuse_group(body)
    try:
        made = service.create_instances(
            tx, caller=caller, request=launch, now=view.now, request_id=request.state.request_id
        )
    except NotFound as error:
        raise Invalid(error.message) from error
    except NetworkExhausted as error:
        raise Invalid(error.message) from error
    if body.server.return_reservation_id:
        return JSONResponse({"reservation_id": made[0].reservation_id}, 202)
    first = made[0]
    names = group_names(tx, caller, view.now)
    groups = sorted({names[group_id] for port in first.ports for group_id in port.security_group_ids})
    links = to_wire_links(view.root, "servers", entity_id=first.id)
    server = {
        "id": str(first.id),
        "links": links,
        "OS-DCF:diskConfig": "MANUAL",
        "security_groups": [{"name": name} for name in groups],
    }
    return JSONResponse({"server": server}, 202, headers={"Location": links[0]["href"]})


def refuse_group(body: ServerCreateBody) -> None:
    """Raise Invalid where a server group is named: there are none, and nobody would hold its members apart or together."""
    group = ((body.hints or {}) | (body.old_hints or {})).get("group")
    if group is not None:
        raise Invalid(f"Instance group {str(group)[:64]} could not be found.", field="os:scheduler_hints")


@router.get("/servers")
def list_servers(request: Request, tx: RequestTransaction, caller: RequestCaller, view: RequestView) -> dict[str, Any]:
    """List servers by name and id."""
    instances, links = read_page_of_servers(request, tx, caller=caller, view=view)
    return {"servers": [to_wire_brief(instance, view.root) for instance in instances]} | links


@router.get("/servers/detail")
def list_servers_in_detail(
    request: Request, tx: RequestTransaction, caller: RequestCaller, view: RequestView
) -> dict[str, Any]:
    """List servers in full."""
    instances, links = read_page_of_servers(request, tx, caller=caller, view=view)
    return {"servers": view.to_wire(tx, instances, caller)} | links


def read_page_of_servers(
    request: Request, tx: Transaction, *, caller: Caller, view: ServerView
) -> tuple[Sequence[Instance], dict[str, Any]]:
    """Return the instances that the query asks for, and the link to those that follow."""
    query = read_filters(request.query_params, caller=caller)
    page = read_server_page(request)
    if query is None:
        return [], {}
    if page.marker is not None:
        refuse_unknown_marker(tx, page.marker, caller=caller)
    found = service.list_instances(tx, project_id=query.project_id, filters=query.filters, page=page, now=view.now)
    if len(found) < page.limit or not found:
        return found, {}
    href = next_url(request, limit=page.limit, marker=str(found[-1].id))
    return found, {"servers_links": [{"rel": "next", "href": href}]}


def refuse_unknown_marker(tx: Transaction, marker: UUID, *, caller: Caller) -> None:
    """Answer 400 for a marker that is no server of the caller, as Nova does."""
    try:
        service.get_instance(tx, caller=caller, instance_id=marker)
    except NotFound as error:
        raise Invalid(f"marker [{marker}] not found", field="marker") from error


@router.get("/servers/{server}")
def show_server(id_: ServerId, tx: RequestTransaction, caller: RequestCaller, view: RequestView) -> dict[str, Any]:
    """Show one server."""
    instance = service.get_instance(tx, caller=caller, instance_id=id_)
    return {"server": view.to_wire(tx, [instance], caller)[0]}


@router.put("/servers/{server}")
def update_server(
    id_: ServerId,
    tx: RequestTransaction,
    caller: RequestCaller,
    view: RequestView,
    body: Annotated[ServerUpdateBody, Depends(body_of(ServerUpdateBody))],
) -> dict[str, Any]:
    """Rename a server or describe it."""
    is_described = "description" in body.server.model_fields_set
    if is_described and view.microversion < (2, 19):
        raise Invalid("Additional properties are not allowed ('description' was unexpected)", field="description")
    instance = service.rename_instance(
        tx,
        caller=caller,
        instance_id=id_,
        now=view.now,
        name=body.server.name,
        is_described=is_described,
        description=body.server.description,
    )
    return {"server": view.to_wire(tx, [instance], caller)[0]}


@router.delete("/servers/{server}", status_code=204)
def delete_server(
    request: Request, id_: ServerId, tx: RequestTransaction, caller: RequestCaller, view: RequestView
) -> Response:
    """Want a server to be gone."""
    service.delete_instance(tx, caller=caller, instance_id=id_, now=view.now, request_id=request.state.request_id)
    return Response(status_code=204)
