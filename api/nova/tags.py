"""A server's tags: all at once, or one by one as the command line client changes them."""

from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, HTTPException
from fastapi.responses import Response

from api.authentication import RequestCaller
from api.body import body_of, new_router
from api.nova.requests import TagsBody, checked_tag
from api.nova.servers import RequestView, ServerId
from api.nova.versions import RequestMicroversion, require
from api.transaction import RequestTransaction
from compute import service

SINCE = (2, 26)


def require_tags(microversion: RequestMicroversion) -> None:
    """Answer 404 to a microversion that knows no tags."""
    require(microversion, SINCE)


router = new_router("/v2.1")
knows_tags = [Depends(require_tags)]


def require_tag(tags: Sequence[str], tag: str) -> None:
    """Raise a 404 where a server has no such tag."""
    if tag not in tags:
        raise HTTPException(404, f"The server has no tag '{tag[:64]}'")


@router.get("/servers/{server}/tags", dependencies=knows_tags)
def list_tags(id_: ServerId, tx: RequestTransaction, caller: RequestCaller) -> dict[str, Any]:
    """List a server's tags."""
    return {"tags": list(service.get_instance(tx, caller=caller, instance_id=id_).tags)}


@router.put("/servers/{server}/tags", dependencies=knows_tags)
def replace_tags(
    id_: ServerId,
    tx: RequestTransaction,
    caller: RequestCaller,
    view: RequestView,
    body: Annotated[TagsBody, Depends(body_of(TagsBody))],
) -> dict[str, Any]:
    """Replace a server's tags."""
    return {"tags": list(service.set_tags(tx, caller=caller, instance_id=id_, tags=body.tags, now=view.now))}


@router.delete("/servers/{server}/tags", status_code=204, dependencies=knows_tags)
def delete_tags(id_: ServerId, tx: RequestTransaction, caller: RequestCaller, view: RequestView) -> Response:
    """Take all tags away."""
    service.set_tags(tx, caller=caller, instance_id=id_, tags=(), now=view.now)
    return Response(status_code=204)


@router.get("/servers/{server}/tags/{tag}", status_code=204, dependencies=knows_tags)
def check_tag(id_: ServerId, tag: str, tx: RequestTransaction, caller: RequestCaller) -> Response:
    """Tell whether a server has a tag."""
    require_tag(service.get_instance(tx, caller=caller, instance_id=id_).tags, tag)
    return Response(status_code=204)


@router.put("/servers/{server}/tags/{tag}", dependencies=knows_tags)
def add_tag(id_: ServerId, tag: str, tx: RequestTransaction, caller: RequestCaller, view: RequestView) -> Response:
    """Add a tag: 201 and where it is, or 204 where the server has it already."""
    checked_tag(tag)
    before = service.change_tags(tx, caller=caller, instance_id=id_, added=[tag], now=view.now)
    if tag in before:
        return Response(status_code=204)
    place = f"{view.root}/v2.1/servers/{id_}/tags/{quote(tag, safe='')}"
    return Response(status_code=201, headers={"Location": place})


@router.delete("/servers/{server}/tags/{tag}", status_code=204, dependencies=knows_tags)
def delete_tag(id_: ServerId, tag: str, tx: RequestTransaction, caller: RequestCaller, view: RequestView) -> Response:
    """Take one tag away."""
    require_tag(service.change_tags(tx, caller=caller, instance_id=id_, removed=[tag], now=view.now), tag)
    return Response(status_code=204)
