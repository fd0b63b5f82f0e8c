"""The Glance v2 dialect at /image, read only."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from api.body import new_router
from api.context import ApiContext, context_of
from api.dialect import create_dialect_app
from api.glance import images
from api.glance.faults import render_fault

VERSION_ID = "v2.9"
"""The last version that added nothing beyond what is served: hidden images and multihash."""

router = new_router()


def to_wire_versions(request: Request) -> dict[str, Any]:
    """Write the version that is served."""
    href = f"{context_of(request).settings.base_url}/image/v2/"
    return {"versions": [{"id": VERSION_ID, "status": "CURRENT", "links": [{"rel": "self", "href": href}]}]}


@router.get("/")
async def list_versions(request: Request) -> JSONResponse:
    """Answer 300 Multiple Choices, as Glance does for its root."""
    return JSONResponse(to_wire_versions(request), status_code=300)


@router.get("/versions")
async def show_versions(request: Request) -> JSONResponse:
    """Answer the versions."""
    return JSONResponse(to_wire_versions(request))


@router.get("/v2")
async def show_version(request: Request) -> JSONResponse:
    """Answer the versions from the version's own place too, where clients that were given a versioned URL look."""
    return JSONResponse(to_wire_versions(request))


def create_dialect(context: ApiContext) -> FastAPI:
    """Return the dialect."""
    app = create_dialect_app(context, title="Image", render=render_fault, strips_trailing_slash=True)
    app.include_router(router)
    app.include_router(images.router)
    return app
