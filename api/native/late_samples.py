"""Late samples on the native API: what came for sealed times, is kept apart, and is a candidate for an adjustment."""

from datetime import datetime
from uuid import UUID

from fastapi import Request
from pydantic import BaseModel

from api.authentication import RequestCaller
from api.body import new_router
from api.native.billing import ReadProject, chosen_project
from api.native.billing_requests import Instant
from api.pagination import CursorPage, RequestCursorPage, encode_cursor
from api.transaction import SnapshotTransaction
from foundation.errors import Invalid
from metering import service

router = new_router("/late-samples")


class LateSampleItem(BaseModel):
    """A sample for a sealed time. `overwrites` tells that another value is kept for the same instant: it is listed, and never counted."""

    id: int
    metric_id: UUID
    metric: str | None
    resource_id: UUID | None
    unit: str | None
    observed_at: datetime
    value: float
    overwrites: bool
    received_at: datetime


class LateSamplesAnswer(BaseModel):
    """A page, in the order in which they came."""

    items: list[LateSampleItem]
    next: str | None


@router.get("")
def list_late_samples(
    request: Request,
    tx: SnapshotTransaction,
    caller: RequestCaller,
    page: RequestCursorPage,
    start: Instant | None = None,
    end: Instant | None = None,
    project_id: ReadProject = None,
) -> LateSamplesAnswer:
    """List a project's samples that came after their time was sealed; `start` and `end` bound when they were observed.

    What they add to a final invoice is answered by /billing/invoices/{id}/late.
    """
    rows = service.late_samples(
        tx,
        project_id=chosen_project(tx, caller, project_id=project_id),
        start=start,
        end=end,
        after=id_before(page),
        limit=page.limit + 1,
    )
    shown = rows[: page.limit]
    return LateSamplesAnswer(
        items=[
            LateSampleItem(
                id=row.id,
                metric_id=row.metric_id,
                metric=row.metric,
                resource_id=row.resource_id,
                unit=row.unit,
                observed_at=row.observed_at,
                value=row.value,
                overwrites=row.is_overwrite,
                received_at=row.received_at,
            )
            for row in shown
        ],
        next=encode_cursor([shown[-1].id]) if len(rows) > page.limit else None,
    )


def id_before(page: CursorPage) -> int:
    """Return the id after which the page begins."""
    if page.after is None:
        return 0
    if len(page.after) == 1 and type(page.after[0]) is int and 0 <= page.after[0] < 2**63:
        return page.after[0]
    raise Invalid("the cursor is not one that this list gave", field="cursor")
