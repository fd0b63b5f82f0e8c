"""Meters of events on the native API: what is counted of events of a type, and how much that was."""

from decimal import Decimal
from typing import Annotated
from uuid import UUID

from fastapi import Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.authentication import RequestCaller, WriterCaller
from api.body import new_router
from api.context import context_of
from api.native.billing import ReadProject, chosen_project, interval_of
from api.native.billing_requests import Instant
from api.native.cursors import id_after, split_page
from api.native.series import to_wire_instant
from api.pagination import RequestCursorPage, encode_cursor
from api.transaction import RequestTransaction, SnapshotTransaction
from foundation.errors import Forbidden, Invalid
from identity.policy import is_admin
from metering.event_model import SUBJECT_TYPE, Aggregation, EventMeter, MeterDefinition, SubjectUsage
from metering.service import event_meters as service

router = new_router("/meters")

MeterName = Annotated[str, Path(min_length=1, max_length=100)]


class NewMeter(BaseModel):
    """A meter of events: all but its description stays as it is made."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=100, description="lower-case letters, digits, _ . and -, a letter first")
    event_type: str = Field(min_length=1, max_length=255, description="the type of the events that are counted")
    aggregation: Aggregation = Field(
        description="sum of a number, count of events, largest (max) or latest (last) number; sum and count can be billed"
    )
    value: str | None = Field(
        None,
        min_length=1,
        max_length=255,
        description="where the number is in the data, such as $.usage.tokens; none for count",
    )
    unit: str = Field("", max_length=31, description="what is counted, such as token; left out for count: event")
    group_by: dict[str, str] = Field(
        default_factory=dict,
        max_length=5,
        description='attributes of the usage by where their value is in the data, such as {"model": "$.model"}',
    )
    description: str = Field("", max_length=1024)
    all_projects: bool = Field(False, description="count the events of every project (admin)")


class MeterChange(BaseModel):
    """What can be changed of a meter."""

    model_config = ConfigDict(extra="forbid")

    description: str = Field(max_length=1024)


class PastBody(BaseModel):
    """How the events that came before the meter are counted; skipped are those of its type that it cannot count."""

    is_done: bool
    counted: int
    skipped: int


class MeterBody(BaseModel):
    """A meter of events; without a project it counts those of every one."""

    id: UUID
    name: str
    project_id: str | None
    event_type: str
    aggregation: Aggregation
    value: str | None
    unit: str
    group_by: dict[str, str]
    description: str
    resource_type: str
    created_at: str
    past: PastBody


class MeterPage(BaseModel):
    """A page of meters."""

    items: list[MeterBody]
    next: str | None


class UsageOfSubject(BaseModel):
    """What was counted for one subject and group; `resource_id` is the resource that has the series in the metric API."""

    resource_id: UUID
    subject: str
    groups: dict[str, str]
    quantity: str
    event_count: int
    first_at: str
    last_at: str


class MeterUsage(BaseModel):
    """What a meter counted in an interval, by subject and group; quantities are exact."""

    meter: str
    aggregation: Aggregation
    unit: str
    start: str
    end: str
    items: list[UsageOfSubject]
    next: str | None


@router.post("", operation_id="create_meter", status_code=201)
def create_meter(
    request: Request,
    response: Response,
    tx: RequestTransaction,
    caller: WriterCaller,
    body: NewMeter,
    project_id: ReadProject = None,
) -> MeterBody:
    """Make a meter; it counts the events that came before it too. The same again is the one that is there (200)."""
    if body.all_projects and not is_admin(caller):
        raise Forbidden("only an admin makes a meter for every project; leave all_projects out")
    if body.all_projects and project_id is not None:
        raise Invalid(
            "a meter is either of a project or of all; leave project_id or all_projects out", field="project_id"
        )
    definition = MeterDefinition(
        project_id=None if body.all_projects else chosen_project(tx, caller, project_id=project_id),
        name=body.name,
        event_type=body.event_type,
        aggregation=body.aggregation,
        value_path=body.value,
        unit=body.unit,
        group_by=body.group_by,
    )
    now = context_of(request).clock()
    meter, is_new = service.create_meter(tx, caller, definition, description=body.description, now=now)
    response.status_code = 201 if is_new else 200
    return to_body(meter)


@router.get("", operation_id="list_meters")
def list_meters(
    tx: SnapshotTransaction, caller: RequestCaller, page: RequestCursorPage, project_id: ReadProject = None
) -> MeterPage:
    """List the meters that count a project's events, those of every project among them, oldest first."""
    project = chosen_project(tx, caller, project_id=project_id)
    rows = service.list_meters(tx, project, after=id_after(page), limit=page.limit + 1)
    shown, cursor = split_page(rows, page)
    return MeterPage(items=[to_body(meter) for meter in shown], next=cursor)


@router.get("/{name}", operation_id="get_meter")
def get_meter(
    tx: SnapshotTransaction, caller: RequestCaller, name: MeterName, project_id: ReadProject = None
) -> MeterBody:
    """Show a meter."""
    return to_body(service.get_meter(tx, name, project_id=chosen_project(tx, caller, project_id=project_id)))


@router.patch("/{name}", operation_id="describe_meter")
def describe_meter(
    tx: RequestTransaction, caller: WriterCaller, name: MeterName, body: MeterChange, project_id: ReadProject = None
) -> MeterBody:
    """Change a meter's description; what it counts never changes: delete it and make one of another name."""
    project = chosen_project(tx, caller, project_id=project_id)
    return to_body(service.describe_meter(tx, caller, name, project_id=project, description=body.description))


@router.delete("/{name}", operation_id="delete_meter", status_code=204)
def delete_meter(
    request: Request, tx: RequestTransaction, caller: WriterCaller, name: MeterName, project_id: ReadProject = None
) -> Response:
    """Let a meter count no more. What it counted stays, and its name stays taken by what it counted."""
    project = chosen_project(tx, caller, project_id=project_id)
    service.delete_meter(tx, caller, name, project_id=project, now=context_of(request).clock())
    return Response(status_code=204)


@router.get("/{name}/usage", operation_id="get_meter_usage")
def get_meter_usage(
    tx: SnapshotTransaction,
    caller: RequestCaller,
    page: RequestCursorPage,
    name: MeterName,
    start: Instant,
    end: Instant,
    project_id: ReadProject = None,
    subject: Annotated[str | None, Query(min_length=1, max_length=1024)] = None,
) -> MeterUsage:
    """Return what a meter counted in [start, end), by the events' own time, for each subject and group."""
    project = chosen_project(tx, caller, project_id=project_id)
    if subject is not None and "\0" in subject:
        raise Invalid("subject holds a NUL character", field="subject")
    meter = service.get_meter(tx, name, project_id=project)
    rows = service.meter_usage(
        tx,
        meter,
        project_id=project,
        interval=interval_of(start, end),
        subject=subject,
        after=id_after(page),
        limit=page.limit + 1,
    )
    shown = rows[: page.limit]
    return MeterUsage(
        meter=meter.name,
        aggregation=meter.aggregation,
        unit=meter.unit,
        start=to_wire_instant(start),
        end=to_wire_instant(end),
        items=[to_usage(usage) for usage in shown],
        next=encode_cursor([str(shown[-1].resource_id)]) if len(rows) > page.limit else None,
    )


def to_body(meter: EventMeter) -> MeterBody:
    """Write a meter; paths as JSON paths."""
    return MeterBody(
        id=meter.id,
        name=meter.name,
        project_id=meter.project_id,
        event_type=meter.event_type,
        aggregation=meter.aggregation,
        value=None if meter.value_path is None else f"$.{meter.value_path}",
        unit=meter.unit,
        group_by={name: f"$.{path}" for name, path in meter.group_by.items()},
        description=meter.description,
        resource_type=SUBJECT_TYPE,
        created_at=to_wire_instant(meter.created_at),
        past=PastBody(is_done=meter.past_until is None, counted=meter.past_counted, skipped=meter.past_skipped),
    )


def to_usage(usage: SubjectUsage) -> UsageOfSubject:
    """Write what was counted for a subject."""
    attributes = dict(usage.attributes)
    return UsageOfSubject(
        resource_id=usage.resource_id,
        subject=attributes.pop("subject", ""),
        groups=attributes,
        quantity=to_quantity(usage.quantity),
        event_count=usage.event_count,
        first_at=to_wire_instant(usage.first_observed_at),
        last_at=to_wire_instant(usage.last_observed_at),
    )


def to_quantity(quantity: Decimal) -> str:
    """Write a quantity without an exponent and without needless zeros."""
    return format(quantity.normalize(), "f") if quantity else "0"
