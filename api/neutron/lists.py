"""Neutron's lists: filters by any field, chosen fields, order and pages, the same for every resource."""

from collections.abc import Sequence
from typing import Any, cast

from fastapi import Request
from starlette.datastructures import QueryParams

from api.pagination import Page, next_url
from foundation.errors import Invalid

OWN_PARAMETERS = frozenset({"limit", "marker", "page_reverse", "fields", "sort_key", "sort_dir"})
TAG_PARAMETERS = frozenset({"tags", "tags-any"})
NOT_TAG_PARAMETERS = frozenset({"not-tags", "not-tags-any"})


def answer_list(
    request: Request, name: str, *, resources: Sequence[dict[str, Any]], page: Page, own_project_id: str
) -> dict[str, Any]:
    """Answer the part of a list that the query asks for, with the link to what follows."""
    query = request.query_params
    matching = [resource for resource in resources if matches(resource, query)]
    found = sort_resources(nearest(matching, query, own_project_id=own_project_id), query)
    if page.marker is not None:
        ids = [resource["id"] for resource in found]
        if page.marker not in ids:
            raise Invalid(f"Invalid input for operation: marker {page.marker[:64]} was not found.", field="marker")
        found = found[ids.index(page.marker) + 1 :]
    wire: dict[str, Any] = {name: [chosen(resource, query) for resource in found[: page.limit]]}
    if len(found) > page.limit:
        href = next_url(request, limit=page.limit, marker=found[page.limit - 1]["id"])
        wire[f"{name}_links"] = [{"rel": "next", "href": href}]
    return wire


def nearest(resources: list[dict[str, Any]], query: QueryParams, *, own_project_id: str) -> list[dict[str, Any]]:
    """Let a name that an admin looks up mean its own project's, where that has one.

    Every project has a network, a subnet and a security group of the same name, and clients give up on a name that is two.
    """
    if "name" not in query or "project_id" in query or "tenant_id" in query:
        return resources
    own = [resource for resource in resources if resource["project_id"] == own_project_id]
    return own or resources


def matches(resource: dict[str, Any], query: QueryParams) -> bool:
    """Tell whether a resource passes every filter: one of the values of each field; an unknown field is ignored, as in Neutron."""
    for name in set(query.keys()) - OWN_PARAMETERS - NOT_TAG_PARAMETERS:
        if name in TAG_PARAMETERS:
            return False
        if name == "fixed_ips":
            if not matches_fixed_ips(resource, query.getlist(name)):
                return False
        elif name in resource and to_text(resource[name]) not in [to_text_of_query(v) for v in query.getlist(name)]:
            return False
    return True


def to_text(value: Any) -> str:
    """Write a field's value as a query would."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def to_text_of_query(text: str) -> str:
    """Write a query's value alike: True, 1 and true are the same boolean."""
    return {"True": "true", "False": "false", "None": "", "null": ""}.get(text, text)


def matches_fixed_ips(resource: dict[str, Any], wanted: Sequence[str]) -> bool:
    """Tell whether a port has one of the addresses: `ip_address=...`, `subnet_id=...`."""
    held = cast(list[dict[str, str]], resource.get("fixed_ips", []))
    texts = {f"{key}={value}" for entry in held for key, value in entry.items()}
    return any(text.replace("ip_address_substr=", "ip_address=") in texts for text in wanted)


def chosen(resource: dict[str, Any], query: QueryParams) -> dict[str, Any]:
    """Return the fields asked for, all of them where none is."""
    fields = set(query.getlist("fields"))
    return {name: value for name, value in resource.items() if name in fields} if fields else resource


def sort_resources(resources: list[dict[str, Any]], query: QueryParams) -> list[dict[str, Any]]:
    """Order by the keys asked for, the first one first."""
    keys = query.getlist("sort_key")
    directions = query.getlist("sort_dir") or ["asc"] * len(keys)
    if len(keys) != len(directions):
        raise Invalid("The number of sort_keys and sort_dirs must be same", field="sort_dir")
    for key, direction in reversed(list(zip(keys, directions, strict=True))):
        if resources and key not in resources[0]:
            raise Invalid(f"{key[:64]} is not a field to sort by", field="sort_key")
        if direction not in ("asc", "desc"):
            raise Invalid("sort_dir must be asc or desc", field="sort_dir")
        resources = sorted(resources, key=lambda resource, key=key: to_text(resource[key]), reverse=direction == "desc")
    return resources
