"""Alarms in Aodh's dialect: list, create, show, update, delete, state and history."""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response

from alarms import service
from alarms.model import AlarmFilter, AlarmNotFound, AlarmState
from api.aodh.wire import from_wire, to_spec, to_wire, to_wire_history, to_wire_time
from api.authentication import RequestCaller
from api.body import JsonBody, new_router
from api.context import context_of
from api.pagination import RequestPage
from api.transaction import RequestTransaction, SnapshotTransaction
from foundation.errors import Invalid
from identity import policy
from identity.model import Caller
from orchestration import alarm_actions

router = new_router("/v2/alarms")

FILTER_FIELDS = ("user_id", "project_id", "type", "name", "enabled", "state", "severity", "repeat_actions")
TRUE_WORDS = frozenset({"true", "1", "yes", "on", "t"})
FALSE_WORDS = frozenset({"false", "0", "no", "off", "f"})


def read_id(text: str, caller: Caller) -> UUID:
    """Read an alarm's id; what cannot be one is an alarm that is not there."""
    try:
        return UUID(text)
    except ValueError:
        raise AlarmNotFound(f"Alarm {text} not found in project {caller.project_id}") from None


def read_truth(field: str, text: str) -> bool:
    """Read True or False as clients write them."""
    word = text.lower()
    if word not in TRUE_WORDS | FALSE_WORDS:
        raise Invalid(f"{field} is True or False, not {text!r}", field=field)
    return word in TRUE_WORDS


def read_filter(request: Request, caller: Caller) -> AlarmFilter:
    """Read q.field, q.op and q.value, in step; without all_projects the caller's project alone is meant."""
    query = request.query_params
    fields, operators, values = query.getlist("q.field"), query.getlist("q.op"), query.getlist("q.value")
    if len(fields) != len(values) or (operators and len(operators) != len(fields)):
        raise Invalid("each q.field needs its q.op and q.value", field="q")
    if any(word not in ("", "eq") for word in operators):
        raise Invalid("alarms are filtered by eq alone; use /v2/query/alarms for other operators", field="q.op")
    if len(set(fields)) != len(fields):
        raise Invalid("each field is named once: an alarm has one value of it", field="q.field")
    given = dict(zip(fields, values, strict=True))
    is_everywhere = read_truth("all_projects", given.pop("all_projects", "false"))
    unknown = sorted(set(given) - set(FILTER_FIELDS))
    if unknown:
        raise Invalid(
            f"alarms are filtered by {', '.join(FILTER_FIELDS)} or all_projects, not by {unknown[0]}", field="q"
        )
    if is_everywhere:
        policy.require_admin(caller)
    return AlarmFilter(
        project_id=given.get("project_id", None if is_everywhere else caller.project_id),
        user_id=given.get("user_id"),
        type=given.get("type"),
        name=given.get("name"),
        state=given.get("state"),
        severity=given.get("severity"),
        enabled=read_truth("enabled", given["enabled"]) if "enabled" in given else None,
        repeat_actions=read_truth("repeat_actions", given["repeat_actions"]) if "repeat_actions" in given else None,
    )


def read_sorts(terms: Sequence[str]) -> Sequence[tuple[str, bool]]:
    """Read sort=field:direction."""
    sorts: list[tuple[str, bool]] = []
    for term in terms[:10]:
        field, _, direction = term.partition(":")
        if direction.lower() not in ("", "asc", "desc"):
            raise Invalid(f"sort is written field:asc or field:desc, not {term!r}", field="sort")
        sorts.append((field, direction.lower() == "desc"))
    return sorts


@router.get("")
def list_alarms(
    tx: SnapshotTransaction,
    caller: RequestCaller,
    page: RequestPage,
    request: Request,
    sort: Annotated[list[str] | None, Query()] = None,
) -> list[dict[str, Any]]:
    """List alarms."""
    found = service.list_alarms(
        tx,
        read_filter(request, caller),
        caller=caller,
        sorts=read_sorts(sort or []),
        marker=None if page.marker is None else read_id(page.marker, caller),
        limit=page.limit,
    )
    return [to_wire(alarm) for alarm in found]


@router.post("", status_code=201)
def create_alarm(
    tx: RequestTransaction, caller: RequestCaller, body: JsonBody, request: Request, response: Response
) -> dict[str, Any]:
    """Make an alarm."""
    wire = from_wire(body)
    alarm = alarm_actions.create_alarm(
        tx,
        to_spec(wire),
        caller=caller,
        now=context_of(request).clock(),
        project_id=wire.project_id,
        state=wire.state or AlarmState.INSUFFICIENT_DATA,
    )
    response.headers["Location"] = f"{context_of(request).settings.base_url}/alarming/v2/alarms/{alarm.id}"
    return to_wire(alarm)


@router.get("/{alarm_id}")
def get_alarm(tx: SnapshotTransaction, caller: RequestCaller, alarm_id: str) -> dict[str, Any]:
    """Show an alarm."""
    return to_wire(service.get_alarm(tx, read_id(alarm_id, caller), caller=caller))


@router.put("/{alarm_id}")
def update_alarm(
    tx: RequestTransaction, caller: RequestCaller, alarm_id: str, body: JsonBody, request: Request
) -> dict[str, Any]:
    """Replace an alarm's settings. A state in the body counts only where no evaluation has changed it since the client's GET."""
    wire, now = from_wire(body), context_of(request).clock()
    before = service.get_alarm(tx, read_id(alarm_id, caller), caller=caller, for_update=True)
    if wire.project_id not in (None, before.project_id):
        raise Invalid("an alarm stays in its project", field="project_id")
    alarm = alarm_actions.update_alarm(tx, before.id, spec=to_spec(wire), caller=caller, now=now)
    is_wished = wire.state not in (None, before.state) and wire.state_timestamp == to_wire_time(before.state_at)
    if is_wished and wire.state is not None:
        alarm = service.set_state(tx, before.id, state=wire.state, caller=caller, now=now)
    return to_wire(alarm)


@router.delete("/{alarm_id}", status_code=204)
def delete_alarm(tx: RequestTransaction, caller: RequestCaller, alarm_id: str, request: Request) -> Response:
    """Delete an alarm."""
    service.delete_alarm(tx, read_id(alarm_id, caller), caller=caller, now=context_of(request).clock())
    return Response(status_code=204)


@router.get("/{alarm_id}/state")
def get_state(tx: SnapshotTransaction, caller: RequestCaller, alarm_id: str) -> str:
    """Show the state, a bare JSON string."""
    return service.get_alarm(tx, read_id(alarm_id, caller), caller=caller).state.value


@router.put("/{alarm_id}/state")
def set_state(tx: RequestTransaction, caller: RequestCaller, alarm_id: str, body: JsonBody, request: Request) -> str:
    """Set the state by hand."""
    if body not in list(AlarmState):
        raise Invalid(f"a state is one of {', '.join(AlarmState)}", field="state")
    now = context_of(request).clock()
    alarm = service.set_state(tx, read_id(alarm_id, caller), state=AlarmState(body), caller=caller, now=now)
    return alarm.state.value


@router.get("/{alarm_id}/history")
def list_history(
    tx: SnapshotTransaction,
    caller: RequestCaller,
    alarm_id: str,
    page: RequestPage,
    sort: Annotated[list[str] | None, Query()] = None,
) -> list[dict[str, Any]]:
    """List what happened to an alarm, newest first unless it is sorted otherwise."""
    marker = None if page.marker is None else read_id(page.marker, caller)
    found = service.list_history(tx, read_id(alarm_id, caller), caller=caller, marker=marker, limit=page.limit)
    rows = [to_wire_history(event) for event in found]
    for field, is_descending in reversed(read_sorts(sort or [])):
        if rows and field not in rows[0]:
            raise Invalid(f"history is sorted by {', '.join(rows[0])}", field="sort")
        rows.sort(key=lambda row: str(row[field]), reverse=is_descending)
    return rows
