"""Aodh's complex queries: POST /v2/query/alarms and /v2/query/alarms/history."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from alarms import service
from alarms.model import AlarmFilter
from api.aodh.query import QueryParser, sort_rows
from api.aodh.wire import parse_inner, to_wire, to_wire_history
from api.authentication import RequestCaller
from api.body import JsonBody, new_router, validated
from api.transaction import SnapshotTransaction
from foundation.errors import Invalid
from identity import policy

router = new_router("/v2")

ALARM_FIELDS = frozenset(
    (
        "alarm_id", "name", "description", "type", "enabled", "severity", "project_id", "user_id", "state",
        "state_reason", "timestamp", "state_timestamp", "repeat_actions",
    )
)  # fmt: skip
HISTORY_FIELDS = frozenset(
    ("event_id", "alarm_id", "type", "user_id", "project_id", "on_behalf_of", "timestamp", "severity", "detail")
)
ROWS_SEARCHED_MAX = 10_000
LIMIT_DEFAULT = 100
PAGE = 1_000

CAPABILITIES = {
    "alarms:query:simple": True,
    "alarms:query:complex": True,
    "alarms:history:query:simple": True,
    "alarms:history:query:complex": True,
}


class WireQuery(BaseModel):
    """A query: filter and order are JSON inside strings, as Aodh has them."""

    model_config = ConfigDict(extra="forbid")

    filter: str | None = Field(None, max_length=20_000)
    orderby: str | None = Field(None, max_length=2_000)
    limit: int | None = Field(None, ge=1)


def select(rows: Iterable[dict[str, Any]], query: WireQuery, *, fields: frozenset[str]) -> list[dict[str, Any]]:
    """Return the rows that a query asks for."""
    chosen = list(rows)
    if query.filter:
        test = QueryParser(fields).parse(parse_inner(query.filter, field="filter"))
        chosen = [row for row in chosen if test(row)]
    if query.orderby:
        chosen = sort_rows(chosen, parse_inner(query.orderby, field="orderby"), fields=fields)
    return chosen[: min(query.limit or LIMIT_DEFAULT, PAGE)]


@router.post("/query/alarms")
def query_alarms(tx: SnapshotTransaction, caller: RequestCaller, body: JsonBody) -> list[dict[str, Any]]:
    """Find alarms; an admin searches all projects."""
    query = validated(WireQuery, body)
    wanted = AlarmFilter(project_id=None if policy.is_admin(caller) else caller.project_id)
    rows: list[dict[str, Any]] = []
    marker = None
    while len(rows) < ROWS_SEARCHED_MAX:
        page = service.list_alarms(tx, wanted, caller=caller, sorts=[("alarm_id", False)], marker=marker, limit=PAGE)
        rows.extend(to_wire(alarm) for alarm in page)
        if len(page) < PAGE:
            return select(rows, query, fields=ALARM_FIELDS)
        marker = page[-1].id
    raise Invalid(f"there are more than {ROWS_SEARCHED_MAX} alarms to search; list them page by page instead")


@router.post("/query/alarms/history")
def query_history(tx: SnapshotTransaction, caller: RequestCaller, body: JsonBody) -> list[dict[str, Any]]:
    """Find rows of history among the project's newest; an admin searches all projects."""
    query = validated(WireQuery, body)
    found = service.list_newest_history(tx, caller=caller, limit=ROWS_SEARCHED_MAX)
    return select((to_wire_history(event) for event in found), query, fields=HISTORY_FIELDS)


@router.get("/capabilities")
def list_capabilities(_: RequestCaller) -> dict[str, dict[str, bool]]:
    """Say what can be queried."""
    return {"api": CAPABILITIES, "alarm_storage": {"storage:production_ready": True}}
