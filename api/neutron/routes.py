"""The Neutron v2.0 dialect at /network, read only for now."""

from typing import Any

from fastapi import FastAPI, HTTPException, Request

from api.body import new_router
from api.context import ApiContext, context_of
from api.dialect import create_dialect_app
from api.neutron import resources
from api.neutron.faults import render_fault

EXTENSIONS = {
    "security-group": "security-group",
    "quotas": "Quota management support",
    "quota_details": "Quota details management support",
    "availability_zone": "Availability Zone",
    "network_availability_zone": "Network Availability Zone",
    "net-mtu": "Network MTU",
    "port-security": "Port Security",
    "project-id": "project_id field enabled",
    "pagination": "Pagination support",
    "sorting": "Sorting support",
    "standard-attr-description": "standard-attr-description",
    "standard-attr-revisions": "Resource revision numbers",
    "standard-attr-timestamp": "Resource timestamps",
}
UPDATED = "2016-01-01T00:00:00-00:00"

router = new_router()


def to_wire_extension(alias: str) -> dict[str, Any]:
    """Write an extension."""
    return {"alias": alias, "name": EXTENSIONS[alias], "description": "", "updated": UPDATED, "links": []}


@router.get("/")
async def list_versions(request: Request) -> dict[str, Any]:
    """Answer the version that is served."""
    href = f"{context_of(request).settings.base_url}/network/v2.0/"
    return {"versions": [{"id": "v2.0", "status": "CURRENT", "links": [{"rel": "self", "href": href}]}]}


@router.get("/v2.0")
async def show_version(request: Request) -> dict[str, Any]:
    """Answer the resources of the version."""
    root = f"{context_of(request).settings.base_url}/network/v2.0"
    names = ("network", "subnet", "port", "security-group", "security-group-rule")
    return {
        "resources": [
            {"name": name, "collection": f"{name}s", "links": [{"rel": "self", "href": f"{root}/{name}s"}]}
            for name in names
        ]
    }


@router.get("/v2.0/extensions")
async def list_extensions() -> dict[str, Any]:
    """List what is beyond the core, since clients ask before they use it."""
    return {"extensions": [to_wire_extension(alias) for alias in EXTENSIONS]}


@router.get("/v2.0/extensions/{alias}")
async def show_extension(alias: str) -> dict[str, Any]:
    """Show one extension."""
    if alias not in EXTENSIONS:
        raise HTTPException(404, f"Extension with alias {alias[:64]} does not exist")
    return {"extension": to_wire_extension(alias)}


def create_dialect(context: ApiContext) -> FastAPI:
    """Return the dialect."""
    app = create_dialect_app(context, title="Network", render=render_fault, strips_trailing_slash=True)
    app.include_router(router)
    app.include_router(resources.router)
    return app
