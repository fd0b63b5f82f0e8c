"""Images, read only: lists with Glance's filters, order and pages."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from fastapi import HTTPException, Request
from starlette.datastructures import QueryParams

from api.authentication import RequestCaller
from api.body import new_router
from api.glance.wire import IMAGE_SCHEMA, IMAGES_SCHEMA, to_wire_image
from api.pagination import RequestPage
from api.transaction import SnapshotTransaction
from compute import service
from compute.errors import ImageNotFound
from foundation.errors import Invalid

router = new_router("/v2")

SORT_KEYS = frozenset(
    {
        "name",
        "status",
        "container_format",
        "disk_format",
        "size",
        "id",
        "created_at",
        "updated_at",
        "min_ram",
        "min_disk",
    }
)
DIRECTIONS = frozenset({"asc", "desc"})
OWN_PARAMETERS = frozenset(
    {"limit", "marker", "sort", "sort_key", "sort_dir", "size_min", "size_max", "tag", "member_status", "names"}
)
FILTERS_WITHOUT_IN = frozenset({"owner", "os_hidden", "protected", "min_ram", "min_disk"})


@router.get("/schemas/image")
async def show_image_schema() -> dict[str, Any]:
    """Show what an image is made of."""
    return IMAGE_SCHEMA


@router.get("/schemas/images")
async def show_images_schema() -> dict[str, Any]:
    """Show what a list of images is made of."""
    return IMAGES_SCHEMA


@router.get("/images")
def list_images(request: Request, tx: SnapshotTransaction, caller: RequestCaller, page: RequestPage) -> dict[str, Any]:
    """List the images that the query asks for."""
    query = request.query_params
    is_hidden = read_bool(query.get("os_hidden", "false"), "os_hidden")
    found = [to_wire_image(image) for image in service.list_images(tx, caller=caller, is_hidden=is_hidden)]
    found = [image for image in found if matches(image, query)]
    found = sort_images(found, query)
    if page.marker is not None:
        ids = [image["id"] for image in found]
        if page.marker not in ids:
            raise Invalid(f"Marker {page.marker[:64]} could not be found.", field="marker")
        found = found[ids.index(page.marker) + 1 :]
    wire: dict[str, Any] = {"images": found[: page.limit], "schema": "/v2/schemas/images", "first": "/v2/images"}
    if len(found) > page.limit:
        following = request.url.include_query_params(limit=page.limit, marker=found[page.limit - 1]["id"]).query
        wire["next"] = f"/v2/images?{following}"
    return wire


def matches(image: dict[str, Any], query: QueryParams) -> bool:
    """Tell whether an image passes every filter; `in:` gives a list, and `names` is novaclient's word for several names."""
    for name, wanted in query.multi_items():
        if name == "tag" or (name == "size_min" and image["size"] < read_size(wanted, name)):
            return False
        if name == "size_max" and image["size"] > read_size(wanted, name):
            return False
        if name == "names" and image["name"] not in values_of(wanted):
            return False
        if name in OWN_PARAMETERS:
            continue
        held = str(image[name]).lower() if isinstance(image.get(name), bool) else str(image.get(name, ""))
        if name == "visibility" and wanted == "all":
            continue
        choices = [wanted] if name in FILTERS_WITHOUT_IN else values_of(wanted)
        if held not in [choice.lower() if isinstance(image.get(name), bool) else choice for choice in choices]:
            return False
    return True


def values_of(text: str) -> Sequence[str]:
    """Return the values of a filter: those of a list after `in:`, quoted where they hold a comma, or the one."""
    if not text.startswith("in:"):
        return [text]
    values: list[str] = []
    current, is_quoted = "", False
    for character in text[3:]:
        if character == '"':
            is_quoted = not is_quoted
        elif character == "," and not is_quoted:
            values.append(current)
            current = ""
        else:
            current += character
    if is_quoted:
        raise Invalid("Invalid filter value: the quote is not closed.")
    return [*values, current]


def read_bool(text: str, field: str) -> bool:
    """Read true or false."""
    if text.lower() not in ("true", "false"):
        raise Invalid(f"{field} must be true or false", field=field)
    return text.lower() == "true"


def read_size(text: str, field: str) -> int:
    """Read a number of bytes."""
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Invalid(f"{field} must be a whole number of bytes", field=field)
    return int(text)


def sort_images(images: list[dict[str, Any]], query: QueryParams) -> list[dict[str, Any]]:
    """Order by `sort=key:dir,key:dir`, or by the older sort_key and sort_dir; the newest first by default."""
    orders = read_orders(query)
    for key, direction in reversed(orders):
        images = sorted(images, key=lambda image, key=key: sort_value(image[key]), reverse=direction == "desc")
    return images


def sort_value(value: Any) -> tuple[bool, Any]:
    """Put what is not known first."""
    return (value is not None, value if value is not None else 0)


def read_orders(query: QueryParams) -> Sequence[tuple[str, str]]:
    """Return the keys and directions asked for."""
    text = query.get("sort")
    if text:
        parts = [part.partition(":") for part in text.split(",")]
        orders = [(key.strip(), direction.strip() or "desc") for key, _, direction in parts]
    else:
        keys, directions = query.getlist("sort_key"), query.getlist("sort_dir") or ["desc"]
        if len(directions) not in (1, len(keys)):
            raise Invalid("Number of sort dirs does not match the number of sort keys", field="sort_dir")
        orders = list(zip(keys, directions if len(directions) == len(keys) else directions * len(keys), strict=True))
    for key, direction in orders:
        if key not in SORT_KEYS or direction not in DIRECTIONS:
            raise Invalid(
                f"Invalid sort: keys are {', '.join(sorted(SORT_KEYS))}, directions asc and desc", field="sort"
            )
    return orders


@router.get("/images/{image}")
def show_image(image: str, tx: SnapshotTransaction, caller: RequestCaller) -> dict[str, Any]:
    """Show one image, a hidden one too."""
    try:
        image_id = UUID(image)
    except ValueError as error:
        raise ImageNotFound(f"No image found with ID {image[:64]}") from error
    return to_wire_image(service.get_image(tx, image_id, caller=caller))


@router.get("/images/{image}/members")
def list_members(image: str, tx: SnapshotTransaction, caller: RequestCaller) -> dict[str, Any]:
    """List the projects that share an image: none, since images are public or private."""
    show_image(image, tx, caller)
    return {"members": [], "schema": "/v2/schemas/members"}


@router.get("/images/{image}/file")
def refuse_download(image: str, tx: SnapshotTransaction, caller: RequestCaller) -> None:
    """Refuse the image's own bytes: they are files of the host."""
    show_image(image, tx, caller)
    raise HTTPException(403, "Images are not given out here: they are files of the host.")


@router.get("/images/{image}/{rest:path}")
def answer_nothing(caller: RequestCaller) -> None:
    """Answer that an image has no such part."""
    del caller
    raise HTTPException(404, "The resource could not be found.")


@router.api_route("/images", methods=["POST"])
@router.api_route("/images/{rest:path}", methods=["PUT", "PATCH", "DELETE", "POST"])
def refuse_change(caller: RequestCaller) -> None:
    """Refuse what would change an image: the operator's provisioning keeps them."""
    del caller
    raise HTTPException(403, "Images are read only here: the operator registers them.")
