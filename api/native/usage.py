"""The usage report on the native API: what each resource of a project used, as JSON or as a CSV file."""

from typing import Annotated

from fastapi import Query, Request, Response
from pydantic import BaseModel

from api.authentication import RequestCaller
from api.body import new_router
from api.context import context_of
from api.native.billing import WantedFormat, chosen_projects, file_response, interval_of
from api.native.billing_requests import Instant
from api.transaction import SnapshotTransaction
from billing import service
from billing.canonical import plain
from billing.exports import usage_members

PROJECTS_MAX = 100

router = new_router("/usage")


class UsageItem(BaseModel):
    """What one resource used of one meter, and its cost before tax."""

    project_id: str
    resource_id: str
    resource_name: str
    meter: str
    flavor_name: str
    state: str
    quantity: str
    unit: str
    amount: str
    currency: str
    unbilled_reason: str


class ProjectCostItem(BaseModel):
    """What a project's usage costs before tax, unrounded."""

    project_id: str
    currency: str
    amount: str


class UsageAnswer(BaseModel):
    """Usage by project and resource, and the sums by project."""

    start: str
    end: str
    items: list[UsageItem]
    projects: list[ProjectCostItem]


@router.get("", response_model=UsageAnswer)
def get_usage(
    request: Request,
    tx: SnapshotTransaction,
    caller: RequestCaller,
    start: Instant,
    end: Instant,
    file_format: WantedFormat,
    project_id: Annotated[list[str] | None, Query(max_length=PROJECTS_MAX)] = None,
) -> UsageAnswer | Response:
    """Report the usage of the caller's project; an admin may name others, by project_id once or more often."""
    projects = chosen_projects(tx, caller, project_id or [caller.project_id])
    now = context_of(request).clock()
    report = service.usage_report(tx, project_ids=projects, interval=interval_of(start, end), now=now)
    if file_format is not None:
        return file_response(service.usage_file(report, file_format))
    return UsageAnswer.model_validate(plain(usage_members(report)))
