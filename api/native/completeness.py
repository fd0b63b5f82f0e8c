"""Completeness on the native API: received against expected readings by resource and hour, with the gaps, or by resource alone."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query, Request
from pydantic import BaseModel

from api.authentication import RequestCaller
from api.body import new_router
from api.context import context_of
from api.native.billing import ReadProject, chosen_project, interval_of
from api.native.billing_requests import Instant
from api.pagination import CursorPage, RequestCursorPage, encode_cursor
from api.transaction import SnapshotTransaction
from foundation.errors import Invalid
from metering import service
from metering.completeness import Completeness, Gap

router = new_router("/completeness")

By = Literal["hour", "resource"]


class GapAnswer(BaseModel):
    """A stretch in which expected readings are missing: `host_silent` (nothing came from the host) or `resource_absent`."""

    start: datetime
    end: datetime
    reason: str


class CompletenessItem(BaseModel):
    """One resource in one hour, or in the whole period; `unknown_s` are seconds in which it ran and nobody knows how often it was read."""

    resource_id: UUID
    resource_type: str
    meter: str
    start: datetime
    end: datetime
    expected: int
    received: int
    missing: int
    unknown_s: float
    gaps: list[GapAnswer]


class CompletenessAnswer(BaseModel):
    """A page, by resource and hour."""

    items: list[CompletenessItem]
    next: str | None


@router.get("")
def list_completeness(
    request: Request,
    tx: SnapshotTransaction,
    caller: RequestCaller,
    page: RequestCursorPage,
    start: Instant,
    end: Instant,
    project_id: ReadProject = None,
    resource_id: UUID | None = None,
    meter: Annotated[str | None, Query(min_length=1, max_length=255)] = None,
    by: By = "hour",
) -> CompletenessAnswer:
    """Say how complete the readings of a project's instances, disks and network cards are; at most 32 days at a time.

    Gaps are told by hour. The meter that stands for a resource is its CPU, its disk's read bytes or its card's outgoing bytes.
    """
    query = service.CompletenessQuery(
        project_id=chosen_project(tx, caller, project_id=project_id),
        interval=interval_of(start, end),
        resource_id=resource_id,
        meter=meter,
    )
    now, after = context_of(request).clock(), position_of(page, by)
    if by == "hour":
        place = None if after is None else (after[0], after[1])
        found, is_more = service.hourly_completeness(tx, query, now=now, after=place, limit=page.limit)
    else:
        seen = None if after is None else after[0]
        found, is_more = service.period_completeness(tx, query, now=now, after=seen, limit=page.limit)
    return CompletenessAnswer(items=[to_item(one) for one in found], next=cursor_of(found[-1], by) if is_more else None)


def position_of(page: CursorPage, by: By) -> tuple[UUID, datetime] | None:
    """Read where the last page ended: by which order it went, the resource and the hour."""
    if page.after is None:
        return None
    try:
        order, resource_id, start = page.after
        position = UUID(resource_id), datetime.fromisoformat(start)
        if order != by or position[1].tzinfo is None:
            raise ValueError
    except (ValueError, TypeError, AttributeError) as error:
        raise Invalid("the cursor is not one that this list gave", field="cursor") from error
    return position


def cursor_of(last: Completeness, by: By) -> str:
    """Write where a page ended."""
    return encode_cursor([by, str(last.resource_id), last.interval.start.isoformat()])


def to_item(found: Completeness) -> CompletenessItem:
    """Write the completeness of a resource."""
    return CompletenessItem(
        resource_id=found.resource_id,
        resource_type=found.resource_type,
        meter=found.meter,
        start=found.interval.start,
        end=found.interval.end,
        expected=found.expected,
        received=found.received,
        missing=found.missing,
        unknown_s=found.unknown.total_seconds(),
        gaps=[to_gap(gap) for gap in found.gaps],
    )


def to_gap(gap: Gap) -> GapAnswer:
    """Write a gap."""
    return GapAnswer(start=gap.interval.start, end=gap.interval.end, reason=gap.reason.value)
