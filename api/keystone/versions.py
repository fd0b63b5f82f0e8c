"""Version discovery: what clients ask before they sign in."""

from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse

from api.body import new_router
from api.context import context_of

VERSION_ID = "v3.14"
VERSION_UPDATED = "2020-04-07T00:00:00Z"

router = new_router()


def keystone_url(request: Request) -> str:
    """Return the URL under which clients reach this version."""
    return f"{context_of(request).settings.base_url}/identity/v3"


def to_wire_version(url: str) -> dict[str, Any]:
    """Write the one version that is served."""
    return {
        "id": VERSION_ID,
        "status": "stable",
        "updated": VERSION_UPDATED,
        "links": [{"rel": "self", "href": f"{url}/"}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    }


@router.get("/")
async def list_versions(request: Request) -> JSONResponse:
    """Answer 300 Multiple Choices, as Keystone does for its root."""
    return JSONResponse({"versions": {"values": [to_wire_version(keystone_url(request))]}}, status_code=300)


@router.get("/v3")
async def show_version(request: Request) -> JSONResponse:
    """Answer the one version."""
    return JSONResponse({"version": to_wire_version(keystone_url(request))})
