"""Flavors and their extra specs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from starlette.datastructures import QueryParams

from api.authentication import RequestCaller
from api.body import JsonBody, body_of, new_router, validated
from api.nova.filters import truth_of
from api.nova.requests import ExtraSpecsBody, FlavorCreateBody, FlavorUpdateBody
from api.nova.servers import RequestView, ServerView
from api.nova.servers_wire import to_wire_links
from api.pagination import RequestPage, next_url
from api.transaction import RequestTransaction
from compute import service
from compute.model import Flavor
from foundation.database import Transaction
from foundation.errors import Invalid
from identity import policy
from identity.model import Caller

SORT_KEYS: Mapping[str, Callable[[Flavor], str | int]] = {
    "flavorid": lambda flavor: flavor.id,
    "id": lambda flavor: flavor.id,
    "name": lambda flavor: flavor.name,
    "memory_mb": lambda flavor: flavor.ram_mib,
    "vcpus": lambda flavor: flavor.vcpus,
    "root_gb": lambda flavor: flavor.disk_gib,
    "created_at": lambda flavor: flavor.created_at.isoformat(),
}
SORT_KEYS_MAX = 8

router = new_router("/v2.1")


def to_wire_flavor(flavor: Flavor, view: ServerView) -> dict[str, Any]:
    """Write a flavor in full."""
    wire: dict[str, Any] = {
        "id": flavor.id,
        "name": flavor.name,
        "ram": flavor.ram_mib,
        "disk": flavor.disk_gib,
        "vcpus": flavor.vcpus,
        "swap": 0 if view.microversion >= (2, 75) else "",
        "OS-FLV-EXT-DATA:ephemeral": 0,
        "OS-FLV-DISABLED:disabled": False,
        "os-flavor-access:is_public": flavor.is_public,
        "rxtx_factor": 1.0,
        "links": to_wire_links(view.root, "flavors", entity_id=flavor.id),
    }
    if view.microversion >= (2, 55):
        wire["description"] = flavor.description
    if view.microversion >= (2, 61):
        wire["extra_specs"] = dict(flavor.extra_specs)
    return wire


def to_wire_brief(flavor: Flavor, view: ServerView) -> dict[str, Any]:
    """Write a flavor as GET /flavors lists it."""
    wire: dict[str, Any] = {
        "id": flavor.id,
        "name": flavor.name,
        "links": to_wire_links(view.root, "flavors", entity_id=flavor.id),
    }
    return wire | ({"description": flavor.description} if view.microversion >= (2, 55) else {})


def read_is_public(text: str | None) -> bool | None:
    """Read the filter: public ones by default, all of them for None."""
    if text is None:
        return True
    return None if text.lower() == "none" else truth_of(text, "is_public")


def list_page(
    request: Request, tx: Transaction, *, caller: Caller, page: RequestPage
) -> tuple[list[Flavor], dict[str, Any]]:
    """Return the flavors that the query asks for, and the link to those that follow."""
    query = request.query_params
    found = list(service.list_flavors(tx, caller=caller, is_public=read_is_public(query.get("is_public"))))
    found = [f for f in found if f.ram_mib >= read_least(query.get("minRam"), "minRam")]
    found = [f for f in found if f.disk_gib >= read_least(query.get("minDisk"), "minDisk")]
    found = sort_flavors(found, query)
    if page.marker is not None:
        ids = [flavor.id for flavor in found]
        if page.marker not in ids:
            raise Invalid(f"marker [{page.marker[:64]}] not found", field="marker")
        found = found[ids.index(page.marker) + 1 :]
    shown = found[: page.limit]
    if len(found) <= page.limit:
        return shown, {}
    href = next_url(request, limit=page.limit, marker=shown[-1].id)
    return shown, {"flavors_links": [{"rel": "next", "href": href}]}


def sort_flavors(flavors: Sequence[Flavor], query: QueryParams) -> list[Flavor]:
    """Order flavors as asked, else by id as Nova does: programs that take the first one get the same whatever else is made."""
    keys, directions = query.getlist("sort_key") or ["flavorid"], query.getlist("sort_dir") or ["asc"]
    ordered = sorted(flavors, key=lambda flavor: flavor.id)
    for place, key in reversed(list(enumerate(keys[:SORT_KEYS_MAX]))):
        direction = directions[min(place, len(directions) - 1)]
        if key not in SORT_KEYS or direction not in ("asc", "desc"):
            raise Invalid(f"flavors are sorted by {', '.join(SORT_KEYS)}, asc or desc", field="sort_key")
        ordered.sort(key=SORT_KEYS[key], reverse=direction == "desc")
    return ordered


def read_least(text: str | None, field: str) -> int:
    """Read a lower bound."""
    if text is None:
        return 0
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise Invalid(f"Invalid {field} filter [{text[:64]}]", field=field)
    return int(text)


@router.get("/flavors")
def list_flavors(
    request: Request, tx: RequestTransaction, caller: RequestCaller, view: RequestView, page: RequestPage
) -> dict[str, Any]:
    """List flavors by name and id."""
    flavors, links = list_page(request, tx, caller=caller, page=page)
    return {"flavors": [to_wire_brief(flavor, view) for flavor in flavors]} | links


@router.get("/flavors/detail")
def list_flavors_in_detail(
    request: Request, tx: RequestTransaction, caller: RequestCaller, view: RequestView, page: RequestPage
) -> dict[str, Any]:
    """List flavors in full."""
    flavors, links = list_page(request, tx, caller=caller, page=page)
    return {"flavors": [to_wire_flavor(flavor, view) for flavor in flavors]} | links


@router.post("/flavors")
def create_flavor(
    tx: RequestTransaction,
    caller: RequestCaller,
    view: RequestView,
    body: Annotated[FlavorCreateBody, Depends(body_of(FlavorCreateBody))],
) -> dict[str, Any]:
    """Make a flavor; for an admin."""
    asked = body.flavor
    request = service.FlavorRequest(
        name=asked.name,
        vcpus=asked.vcpus,
        ram_mib=asked.ram,
        disk_gib=asked.disk,
        id=None if asked.id in (None, "", "auto") else asked.id,
        is_public=asked.is_public,
        description=asked.description,
    )
    return {"flavor": to_wire_flavor(service.create_flavor(tx, caller=caller, request=request, now=view.now), view)}


@router.get("/flavors/{flavor}")
def show_flavor(flavor: str, tx: RequestTransaction, caller: RequestCaller, view: RequestView) -> dict[str, Any]:
    """Show one flavor."""
    return {"flavor": to_wire_flavor(service.get_flavor(tx, flavor, caller=caller), view)}


@router.put("/flavors/{flavor}")
def update_flavor(
    flavor: str,
    tx: RequestTransaction,
    caller: RequestCaller,
    view: RequestView,
    body: Annotated[FlavorUpdateBody, Depends(body_of(FlavorUpdateBody))],
) -> dict[str, Any]:
    """Describe a flavor; for an admin."""
    changed = service.describe_flavor(tx, flavor, caller=caller, description=body.flavor.description)
    return {"flavor": to_wire_flavor(changed, view)}


@router.delete("/flavors/{flavor}", status_code=202)
def delete_flavor(flavor: str, tx: RequestTransaction, caller: RequestCaller) -> Response:
    """Delete a flavor; for an admin."""
    service.delete_flavor(tx, flavor, caller=caller)
    return Response(status_code=202)


@router.get("/flavors/{flavor}/os-flavor-access")
def list_flavor_access(flavor: str, tx: RequestTransaction, caller: RequestCaller) -> dict[str, Any]:
    """List the projects of a private flavor: private flavors are the admin's alone."""
    policy.require_admin(caller)
    if service.get_flavor(tx, flavor, caller=caller).is_public:
        raise HTTPException(404, "Access list not available for public flavors.")
    return {"flavor_access": []}


@router.get("/flavors/{flavor}/os-extra_specs")
def list_extra_specs(flavor: str, tx: RequestTransaction, caller: RequestCaller) -> dict[str, Any]:
    """List a flavor's extra specs."""
    return {"extra_specs": dict(service.get_flavor(tx, flavor, caller=caller).extra_specs)}


@router.post("/flavors/{flavor}/os-extra_specs")
def add_extra_specs(
    flavor: str,
    tx: RequestTransaction,
    caller: RequestCaller,
    body: Annotated[ExtraSpecsBody, Depends(body_of(ExtraSpecsBody))],
) -> dict[str, Any]:
    """Add to a flavor's extra specs; for an admin."""
    added = {key: str(value) for key, value in body.extra_specs.items()}
    present = service.get_flavor(tx, flavor, caller=caller).extra_specs
    service.set_extra_specs(tx, flavor, caller=caller, extra_specs={**present, **added})
    return {"extra_specs": added}


@router.get("/flavors/{flavor}/os-extra_specs/{key}")
def show_extra_spec(flavor: str, key: str, tx: RequestTransaction, caller: RequestCaller) -> dict[str, Any]:
    """Show one extra spec."""
    specs = service.get_flavor(tx, flavor, caller=caller).extra_specs
    if key not in specs:
        raise HTTPException(404, f"Flavor {flavor[:64]} has no extra specs with key {key[:64]}.")
    return {key: specs[key]}


@router.put("/flavors/{flavor}/os-extra_specs/{key}")
def set_extra_spec(
    flavor: str, key: str, tx: RequestTransaction, caller: RequestCaller, body: JsonBody
) -> JSONResponse:
    """Set one extra spec; the body must name the key of the path."""
    specs = validated(ExtraSpecsBody, {"extra_specs": body}).extra_specs
    if list(specs) != [key]:
        raise Invalid("Request body and URI mismatch")
    changed = {key: str(specs[key])}
    present = service.get_flavor(tx, flavor, caller=caller).extra_specs
    service.set_extra_specs(tx, flavor, caller=caller, extra_specs={**present, **changed})
    return JSONResponse(changed)


@router.delete("/flavors/{flavor}/os-extra_specs/{key}")
def delete_extra_spec(flavor: str, key: str, tx: RequestTransaction, caller: RequestCaller) -> Response:
    """Take one extra spec away; for an admin."""
    policy.require_admin(caller)
    specs = dict(service.get_flavor(tx, flavor, caller=caller).extra_specs)
    if specs.pop(key, None) is None:
        raise HTTPException(404, f"Flavor {flavor[:64]} has no extra specs with key {key[:64]}.")
    service.set_extra_specs(tx, flavor, caller=caller, extra_specs=specs)
    return Response(status_code=200)
