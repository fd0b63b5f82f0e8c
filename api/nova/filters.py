"""What a list of servers is narrowed to: Nova's query parameters; those that it ignores are ignored here too."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast, get_args
from uuid import UUID

from fastapi import Request
from starlette.datastructures import QueryParams

from api.context import context_of
from compute.model import InstanceFilters, InstancePage, InstanceStatus, SortKey, VmState
from foundation.errors import Forbidden, Invalid
from identity import policy
from identity.model import Caller

TRUE_WORDS = frozenset({"1", "t", "true", "on", "y", "yes", ""})
FALSE_WORDS = frozenset({"0", "f", "false", "off", "n", "no"})
SORT_KEYS: Mapping[str, SortKey] = {
    "created_at": "created_at",
    "updated_at": "updated_at",
    "launched_at": "launched_at",
    "display_name": "name",
    "hostname": "name",
    "uuid": "id",
    "vm_state": "status",
}
VM_STATES: frozenset[str] = frozenset(get_args(VmState))


@dataclass(frozen=True, slots=True)
class ServerQuery:
    """The project whose servers are asked for (None: all), and the filters."""

    project_id: str | None
    filters: InstanceFilters


def truth_of(text: str, field: str) -> bool:
    """Read one of the words that OpenStack takes for a boolean."""
    word = text.strip().lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise Invalid(f"{field} must be a boolean, such as True or False", field=field)


def read_filters(query: QueryParams, *, caller: Caller) -> ServerQuery | None:
    """Read the filters; None when no server can match them, such as a status that does not exist."""
    project_id = read_project(query, caller)
    is_admin = policy.is_admin(caller)
    is_deleted = is_admin and "deleted" in query and truth_of(query["deleted"], "deleted")
    statuses = read_statuses(query)
    if is_deleted:
        statuses = only_deleted(statuses)
    image_id = uuid_or_none(query.get("image"))
    states = frozenset(query.getlist("vm_state"))
    ids = [uuid_or_none(text) for text in query.getlist("uuid")]
    if None in (statuses, image_id) or not states <= VM_STATES or (ids and not any(ids)) or asks_for_nothing(query):
        return None
    return ServerQuery(
        project_id,
        InstanceFilters(
            name_pattern=query.get("name") or query.get("display_name") or None,
            statuses=None if isinstance(statuses, str) else statuses,
            vm_states=cast(frozenset[VmState], states) or None,
            flavor_id=query.get("flavor") or None,
            image_id=image_id if isinstance(image_id, UUID) else None,
            host_name=(query.get("host") or query.get("node") or None) if is_admin else None,
            ids=frozenset(id_ for id_ in ids if isinstance(id_, UUID)) or None,
            user_id=query.get("user_id") or None,
            reservation_id=query.get("reservation_id") or None,
            ip_pattern=query.get("ip") or None,
            key_name=query.get("key_name") or None,
            availability_zone=query.get("availability_zone") or None,
            changed_since=read_instant(query, "changes-since"),
            changed_before=read_instant(query, "changes-before"),
            tags=read_tags(query, "tags"),
            tags_any=read_tags(query, "tags-any"),
            not_tags=read_tags(query, "not-tags"),
            not_tags_any=read_tags(query, "not-tags-any"),
            is_deleted_shown=is_deleted,
        ),
    )


def asks_for_nothing(query: QueryParams) -> bool:
    """Tell whether the query asks for what no server here is: locked, without a config drive, or with an IPv6 address."""
    is_locked = "locked" in query and truth_of(query["locked"], "locked")
    is_without_drive = "config_drive" in query and not truth_of(query["config_drive"], "config_drive")
    return is_locked or is_without_drive or bool(query.get("ip6"))


def read_tags(query: QueryParams, field: str) -> frozenset[str]:
    """Read a list of tags."""
    return frozenset(tag for tag in query.get(field, "").split(",") if tag)


def read_project(query: QueryParams, caller: Caller) -> str | None:
    """Return whose servers are asked for: the caller's own, or for an admin one project's or all."""
    named = query.get("project_id") or query.get("tenant_id")
    is_all = any(name in query and truth_of(query[name], name) for name in ("all_tenants", "all_projects"))
    if not is_all:
        return named if named and policy.is_admin(caller) else caller.project_id
    if not policy.is_admin(caller):
        raise Forbidden("Policy doesn't allow os_compute_api:servers:index:get_all_tenants to be performed.")
    return named or None


def read_statuses(query: QueryParams) -> frozenset[InstanceStatus] | str | None:
    """Return the statuses asked for, "all" where none is, and None where none of them exists."""
    asked = [status.upper() for status in query.getlist("status") if status]
    if not asked:
        return "all"
    known = frozenset(InstanceStatus(status) for status in asked if status in InstanceStatus.__members__)
    return known or None


def only_deleted(statuses: frozenset[InstanceStatus] | str | None) -> frozenset[InstanceStatus] | None:
    """Narrow statuses to what an admin's `deleted` asks for: deleted servers and no others; None where no such is left."""
    deleted = frozenset({InstanceStatus.DELETED})
    return deleted if isinstance(statuses, str) else (deleted & statuses or None) if statuses else None


def uuid_or_none(text: str | None) -> UUID | str | None:
    """Return the UUID, "all" where none is asked for, and None for what can be nobody's id."""
    if not text:
        return "all"
    try:
        return UUID(text.rsplit("/", 1)[-1])
    except ValueError:
        return None


def read_instant(query: QueryParams, field: str) -> datetime | None:
    """Read a time of ISO 8601; without a zone it is UTC, as in Nova."""
    text = query.get(field)
    if not text:
        return None
    try:
        instant = datetime.fromisoformat(text.replace(" ", "+"))
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Invalid(f"Invalid {field} value", field=field) from error


def read_server_page(request: Request) -> InstancePage:
    """Read limit, marker and order; a limit of 0 is the largest page."""
    query = request.query_params
    largest = context_of(request).settings.page_limit_max
    marker = query.get("marker")
    key = query.get("sort_key") or "created_at"
    direction = query.get("sort_dir") or "desc"
    if key not in SORT_KEYS:
        raise Invalid(f"sort_key must be one of {', '.join(sorted(SORT_KEYS))}", field="sort_key")
    if direction not in ("asc", "desc"):
        raise Invalid("sort_dir must be asc or desc", field="sort_dir")
    return InstancePage(
        limit=min(read_limit(query.get("limit"), largest), largest),
        marker=read_marker(marker),
        sort_key=SORT_KEYS[key],
        is_descending=direction == "desc",
    )


def read_limit(text: str | None, largest: int) -> int:
    """Read a limit."""
    if text is None or text == "":
        return largest
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise Invalid("limit must be a whole number that is not negative", field="limit")
    return int(text) or largest


def read_marker(text: str | None) -> UUID | None:
    """Read a marker."""
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError as error:
        raise Invalid(f"marker [{text[:64]}] not found", field="marker") from error
