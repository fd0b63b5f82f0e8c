"""Archive policies, their rules, and resource types."""

from typing import Any, cast

from fastapi import Request, Response
from fastapi.responses import Response as PlainResponse

from api.authentication import AdminCaller, RequestCaller
from api.body import JsonBody, new_router
from api.gnocchi.answers import answer, location_of
from api.gnocchi.wire import (
    from_wire_definitions,
    from_wire_object,
    from_wire_text,
    to_wire_policy,
    to_wire_values,
)
from api.transaction import RequestTransaction, SnapshotTransaction
from foundation.errors import Invalid
from metering.archive_policies import new_policy
from metering.attributes import AttributeChange, checked_type
from metering.model import ResourceType
from metering.samples import ArchivePolicyRule
from metering.service import policies

router = new_router("/v1")
BACK_WINDOW_MAX = 1_000_000


def from_wire_back_window(fields: dict[str, Any]) -> int | None:
    """Read the back window, which late data does not need here, but which clients set."""
    value = fields.get("back_window")
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= BACK_WINDOW_MAX:
        raise Invalid("Invalid input: back_window is a number of 0 or more", field="back_window")
    return value


def from_wire_methods(fields: dict[str, Any]) -> list[str] | None:
    """Read aggregation methods."""
    methods = fields.get("aggregation_methods")
    if methods is None:
        return None
    if not isinstance(methods, list) or not all(isinstance(method, str) for method in cast("list[object]", methods)):
        raise Invalid("Invalid input: expected a list of texts @ data['aggregation_methods']")
    return cast("list[str]", methods)


@router.get("/archive_policy")
def list_policies(tx: SnapshotTransaction, _: RequestCaller) -> Response:
    """List the archive policies."""
    return answer([to_wire_policy(policy) for policy in policies.list_archive_policies(tx)])


@router.post("/archive_policy")
def create_policy(request: Request, tx: RequestTransaction, _: AdminCaller, body: JsonBody) -> Response:
    """Make an archive policy."""
    fields = from_wire_object(
        body,
        allowed=frozenset({"name", "back_window", "definition", "aggregation_methods"}),
        required=("name", "definition"),
    )
    policy = new_policy(
        from_wire_text(fields, "name") or "",
        back_window=from_wire_back_window(fields) or 0,
        definitions=from_wire_definitions(fields["definition"]),
        methods=from_wire_methods(fields),
    )
    made = policies.create_archive_policy(tx, policy)
    return answer(to_wire_policy(made), 201, location_of(request, "archive_policy", made.name))


@router.get("/archive_policy/{name}")
def show_policy(tx: SnapshotTransaction, _: RequestCaller, name: str) -> Response:
    """Show an archive policy."""
    return answer(to_wire_policy(policies.get_archive_policy(tx, name)))


@router.patch("/archive_policy/{name}")
def update_policy(tx: RequestTransaction, _: AdminCaller, name: str, body: JsonBody) -> Response:
    """Change what an archive policy keeps and serves, of the metrics that have it too."""
    fields = from_wire_object(body, allowed=frozenset({"definition", "back_window", "aggregation_methods"}))
    updated = policies.update_archive_policy(
        tx,
        name,
        back_window=from_wire_back_window(fields),
        definitions=from_wire_definitions(fields["definition"]) if "definition" in fields else None,
        methods=from_wire_methods(fields),
    )
    return answer(to_wire_policy(updated))


@router.delete("/archive_policy/{name}")
def delete_policy(tx: RequestTransaction, _: AdminCaller, name: str) -> Response:
    """Delete an archive policy that nothing uses."""
    policies.delete_archive_policy(tx, name)
    return PlainResponse(status_code=204)


def to_wire_rule(rule: ArchivePolicyRule) -> dict[str, str]:
    """Write a rule."""
    return {
        "name": rule.name,
        "metric_pattern": rule.metric_pattern,
        "archive_policy_name": rule.archive_policy_name,
    }


@router.get("/archive_policy_rule")
def list_rules(tx: SnapshotTransaction, _: RequestCaller) -> Response:
    """List the rules."""
    return answer([to_wire_rule(rule) for rule in policies.list_rules(tx)])


@router.post("/archive_policy_rule")
def create_rule(request: Request, tx: RequestTransaction, _: AdminCaller, body: JsonBody) -> Response:
    """Make a rule."""
    names = ("name", "metric_pattern", "archive_policy_name")
    fields = from_wire_object(body, allowed=frozenset(names), required=names)
    rule = ArchivePolicyRule(*(from_wire_text(fields, name) or "" for name in names))
    if not all((rule.name, rule.metric_pattern, rule.archive_policy_name)):
        raise Invalid("Invalid input: name, metric_pattern and archive_policy_name are texts")
    made = policies.create_rule(tx, rule)
    return answer(to_wire_rule(made), 201, location_of(request, "archive_policy_rule", made.name))


@router.get("/archive_policy_rule/{name}")
def show_rule(tx: SnapshotTransaction, _: RequestCaller, name: str) -> Response:
    """Show a rule."""
    return answer(to_wire_rule(policies.get_rule(tx, name)))


@router.patch("/archive_policy_rule/{name}")
def rename_rule(tx: RequestTransaction, _: AdminCaller, name: str, body: JsonBody) -> Response:
    """Give a rule another name."""
    fields = from_wire_object(body, allowed=frozenset({"name"}), required=("name",))
    return answer(to_wire_rule(policies.rename_rule(tx, name, new_name=from_wire_text(fields, "name") or name)))


@router.delete("/archive_policy_rule/{name}")
def delete_rule(tx: RequestTransaction, _: AdminCaller, name: str) -> Response:
    """Delete a rule."""
    policies.delete_rule(tx, name)
    return PlainResponse(status_code=204)


def to_wire_type(resource_type: ResourceType) -> dict[str, Any]:
    """Write a resource type."""
    attributes = {name: to_wire_values(rule) for name, rule in resource_type.attributes.items()}
    return {"name": resource_type.name, "attributes": attributes, "state": resource_type.state}


@router.get("/resource_type")
def list_types(tx: SnapshotTransaction, _: RequestCaller) -> Response:
    """List the resource types."""
    return answer([to_wire_type(one) for one in policies.list_resource_types(tx)])


@router.post("/resource_type")
def create_type(request: Request, tx: RequestTransaction, _: AdminCaller, body: JsonBody) -> Response:
    """Make a resource type."""
    fields = from_wire_object(body, allowed=frozenset({"name", "attributes"}), required=("name",))
    attributes = fields.get("attributes", {})
    if not isinstance(attributes, dict) or not all(
        isinstance(rule, dict) for rule in cast("dict[str, object]", attributes).values()
    ):
        raise Invalid("Invalid input: expected an object of objects @ data['attributes']", field="attributes")
    made = policies.create_resource_type(
        tx, checked_type(from_wire_text(fields, "name") or "", cast("dict[str, dict[str, Any]]", attributes))
    )
    return answer(to_wire_type(made), 201, location_of(request, "resource_type", made.name))


@router.get("/resource_type/{name}")
def show_type(tx: SnapshotTransaction, _: RequestCaller, name: str) -> Response:
    """Show a resource type."""
    return answer(to_wire_type(policies.get_resource_type(tx, name)))


def from_wire_type_patch(body: object) -> list[AttributeChange]:
    """Read a JSON patch (RFC 6902) of `add` and `remove` on `/attributes/<name>`."""
    if not isinstance(body, list):
        raise Invalid("Invalid input: expected a list of operations")
    changes: list[AttributeChange] = []
    for item in cast("list[object]", body):
        fields = from_wire_object(item, allowed=frozenset({"op", "path", "value"}), required=("op", "path"))
        path, definition = fields["path"], fields.get("value")
        if not isinstance(path, str) or not path.startswith("/attributes/") or not path.removeprefix("/attributes/"):
            raise Invalid("Invalid input: a path is /attributes/<name> @ data['path']", field="path")
        if fields["op"] not in ("add", "remove"):
            raise Invalid("Invalid input: op is add or remove @ data['op']", field="op")
        if fields["op"] == "add" and not isinstance(definition, dict):
            raise Invalid("Invalid input: expected an object @ data['value']", field="value")
        name = path.removeprefix("/attributes/").replace("~1", "/").replace("~0", "~")
        given = cast("dict[str, Any]", definition) if fields["op"] == "add" else None
        changes.append(AttributeChange(name, given))
    return changes


@router.patch("/resource_type/{name}")
def update_type(tx: RequestTransaction, _: AdminCaller, name: str, body: JsonBody) -> Response:
    """Add, change and remove attributes of a resource type; its resources are migrated in the same transaction."""
    return answer(to_wire_type(policies.update_resource_type(tx, name, changes=from_wire_type_patch(body))))


@router.delete("/resource_type/{name}")
def delete_type(tx: RequestTransaction, _: AdminCaller, name: str) -> Response:
    """Delete a resource type that nothing uses."""
    policies.delete_resource_type(tx, name)
    return PlainResponse(status_code=204)
