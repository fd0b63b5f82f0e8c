"""Whether a resource's attributes fit its type, as Gnocchi judges it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from foundation.errors import Invalid
from metering.model import ResourceType

TEXT_LENGTH_MAX = 256
"""As in Gnocchi."""
ATTRIBUTES_MAX = 100


def checked_attributes(resource_type: ResourceType, given: Mapping[str, Any], *, is_new: bool) -> dict[str, Any]:
    """Return the attributes to store; raise Invalid with Gnocchi's sentence for one that the type does not know or allow."""
    checked: dict[str, Any] = {}
    for name, value in given.items():
        rule = resource_type.attributes.get(name)
        if rule is None:
            raise Invalid(f"Invalid input: extra keys not allowed @ data['{name}']", field=name)
        checked[name] = None if value is None and not rule.get("required") else checked_value(name, rule, value)
    missing = [name for name, rule in resource_type.attributes.items() if rule.get("required") and name not in given]
    if is_new and missing:
        raise Invalid(f"Invalid input: required key not provided @ data['{missing[0]}']", field=missing[0])
    return checked


def checked_value(name: str, rule: Mapping[str, Any], value: Any) -> Any:
    """Check one value against its attribute's type and bounds."""
    match rule["type"]:
        case "string" if isinstance(value, str):
            low, high = rule.get("min_length", 0), rule.get("max_length", TEXT_LENGTH_MAX)
            if low <= len(value) <= high:
                return value
            raise Invalid(f"Invalid input: length of value must be {low} to {high} @ data['{name}']", field=name)
        case "uuid" if isinstance(value, str):
            try:
                return str(UUID(value))
            except ValueError:
                pass
        case "number" if isinstance(value, int | float) and not isinstance(value, bool):
            low, high = rule.get("min"), rule.get("max")
            if (low is None or value >= low) and (high is None or value <= high):
                return value
        case "bool" if isinstance(value, bool):
            return value
        case "datetime" if isinstance(value, str):
            try:
                return datetime.fromisoformat(value).isoformat()
            except ValueError:
                pass
        case _:
            pass
    raise Invalid(f"Invalid input: expected a valid {rule['type']} @ data['{name}']", field=name)


def checked_type(name: str, attributes: Mapping[str, Mapping[str, Any]]) -> ResourceType:
    """Make a resource type from what a caller says of its attributes, completed with Gnocchi's defaults."""
    if len(attributes) > ATTRIBUTES_MAX:
        raise Invalid(f"a resource type has at most {ATTRIBUTES_MAX} attributes", field="attributes")
    complete: dict[str, dict[str, Any]] = {}
    for attribute, rule in attributes.items():
        if attribute.startswith("-") or not attribute.replace("-", "_").isidentifier() or attribute in RESERVED:
            raise Invalid(f"Invalid input: invalid attribute name @ data['{attribute}']", field=attribute)
        kind = rule.get("type", "string")
        bounds = TYPE_BOUNDS.get(kind) if isinstance(kind, str) else None
        if not isinstance(rule.get("options", {}), dict):
            raise Invalid(f"Invalid input: expected an object @ data['attributes']['{attribute}']['options']")
        unknown = set(rule) - {"type", "required", "options", *(bounds or {})}
        if bounds is None or unknown:
            raise Invalid(f"Invalid input: unknown attribute type or option @ data['attributes']['{attribute}']")
        complete[attribute] = {
            "type": kind,
            "required": bool(rule.get("required", True)),
            **{bound: rule.get(bound, default) for bound, default in bounds.items()},
        }
        check_bounds(attribute, complete[attribute])
    return ResourceType(name, complete)


def check_bounds(attribute: str, rule: Mapping[str, Any]) -> None:
    """Raise Invalid for bounds that are not numbers, or between which there is nothing."""
    pair = ("min_length", "max_length") if rule["type"] == "string" else ("min", "max")
    low, high = rule.get(pair[0]), rule.get(pair[1])
    for name in pair:
        bound: Any = rule.get(name)
        is_whole = isinstance(bound, int) and not isinstance(bound, bool)
        if rule["type"] == "string" and not (is_whole and 0 <= bound <= TEXT_LENGTH_MAX):
            raise Invalid(f"Invalid input: {name} must be 0 to {TEXT_LENGTH_MAX} @ data['attributes']['{attribute}']")
        if rule["type"] == "number" and not (bound is None or is_whole or isinstance(bound, float)):
            raise Invalid(
                f"Invalid input: {name} must be a number @ data['attributes']['{attribute}']", field=attribute
            )
    if low is not None and high is not None and low > high:
        raise Invalid(
            f"Invalid input: {pair[0]} is above {pair[1]} @ data['attributes']['{attribute}']", field=attribute
        )


@dataclass(frozen=True, slots=True)
class AttributeChange:
    """An attribute to add or change by its definition, or to remove where that is None."""

    name: str
    definition: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class TypeChange:
    """A resource type after a change, what its resources are filled with, and what they lose."""

    resource_type: ResourceType
    fills: Mapping[str, Any]
    removed: Sequence[str]


def plan_type_change(former: ResourceType, changes: Sequence[AttributeChange]) -> TypeChange:
    """Apply changes in order; raise Invalid for one that cannot be: what becomes required needs options.fill."""
    attributes = dict(former.attributes)
    fills: dict[str, Any] = {}
    for change in changes:
        if change.definition is None:
            if change.name not in attributes:
                raise Invalid(f"can't remove a non-existent object '{change.name}'", field=change.name)
            del attributes[change.name]
            fills.pop(change.name, None)
            continue
        made = checked_type(former.name, {change.name: change.definition}).attributes[change.name]
        known = attributes.get(change.name)
        if known is not None:
            require_wider(change.name, made, known=known, resource_type=former.name)
        if change.name in former.attributes and change.name not in attributes:
            raise Invalid(f"Invalid input: '{change.name}' cannot be removed and added at once", field=change.name)
        fill = change.definition.get("options", {}).get("fill")
        if fill is not None and (known is None or made["required"]):
            fills[change.name] = checked_value(change.name, made, fill)
        elif made["required"] and not (known is not None and known["required"]):
            raise Invalid("Invalid input: required key not provided @ data['options']['fill']", field=change.name)
        attributes[change.name] = made
    if len(attributes) > ATTRIBUTES_MAX:
        raise Invalid(f"a resource type has at most {ATTRIBUTES_MAX} attributes", field="attributes")
    removed = [name for name in former.attributes if name not in attributes]
    return TypeChange(replace(former, attributes=attributes), fills, removed)


def require_wider(name: str, made: Mapping[str, Any], *, known: Mapping[str, Any], resource_type: str) -> None:
    """Raise Invalid where an attribute would be of another type, or resources may hold what it would not allow."""
    if made["type"] != known["type"]:
        raise Invalid(
            f"Type update is not available yet. Changing {known['type']} to {made['type']} for attribute {name} of"
            f" resource {resource_type}",
            field=name,
        )
    for low in ("min", "min_length"):
        if made.get(low) is not None and (known.get(low) is None or made[low] > known[low]):
            raise Invalid(f"Invalid input: {low} can only become lower @ data['attributes']['{name}']", field=name)
    for high in ("max", "max_length"):
        if made.get(high) is not None and (known.get(high) is None or made[high] < known[high]):
            raise Invalid(f"Invalid input: {high} can only become higher @ data['attributes']['{name}']", field=name)


RESERVED = frozenset(
    (
        *("id", "type", "metrics", "revision", "revision_start", "revision_end", "started_at", "ended_at", "user_id"),
        *("project_id", "creator", "created_by_user_id", "created_by_project_id", "original_resource_id", "get"),
    )
)
TYPE_BOUNDS: Mapping[str, Mapping[str, Any]] = {
    "string": {"min_length": 0, "max_length": TEXT_LENGTH_MAX},
    "uuid": {},
    "number": {"min": None, "max": None},
    "bool": {},
    "datetime": {},
}
