"""Series on the native API, ready to be drawn: CPU percent of an instance or a scaling group."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query, Request
from pydantic import AwareDatetime, BaseModel

from api.authentication import RequestCaller
from api.body import new_router
from api.context import context_of
from api.transaction import SnapshotTransaction
from foundation.errors import Invalid
from identity.policy import is_admin
from metering import service
from metering.filters import equals

router = new_router("/series")

SPAN_DEFAULT = timedelta(hours=1)
GRANULARITY_S_MAX = 86_400
OLDEST_YEAR, LATEST_YEAR = 1970, 2200


class CpuSeriesItem(BaseModel):
    """One instance; a bucket in which nothing was read is null."""

    resource_id: UUID
    name: str
    points: list[tuple[str, float | None]]


class CpuPercentAnswer(BaseModel):
    """Instances side by side, and their mean where any of them was read."""

    unit: Literal["%"]
    granularity_s: int
    series: list[CpuSeriesItem]
    aggregate: list[tuple[str, float]]


@router.get("/cpu-percent")
def get_cpu_percent(
    request: Request,
    tx: SnapshotTransaction,
    caller: RequestCaller,
    group_id: Annotated[str | None, Query(min_length=1, max_length=255)] = None,
    instance_id: UUID | None = None,
    start: AwareDatetime | None = None,
    stop: AwareDatetime | None = None,
    granularity: Annotated[int, Query(ge=1, le=GRANULARITY_S_MAX, description="seconds")] = 60,
) -> CpuPercentAnswer:
    """Return CPU in percent of the vCPUs for a group's instances or one instance; the last hour unless told otherwise."""
    if (group_id is None) == (instance_id is None):
        raise Invalid("give either group_id or instance_id", field="group_id")
    stop_at = within_reason(stop or context_of(request).clock(), "stop")
    start_at = within_reason(start or stop_at - SPAN_DEFAULT, "start")
    found = service.cpu_percent(
        tx,
        project_id=None if is_admin(caller) else caller.project_id,
        search=equals("server_group", group_id) if group_id is not None else equals("id", str(instance_id)),
        start=start_at,
        stop=stop_at,
        granularity_s=granularity,
    )
    return CpuPercentAnswer(
        unit="%",
        granularity_s=found.granularity_s,
        series=[
            CpuSeriesItem(
                resource_id=one.resource_id,
                name=one.name,
                points=[(to_wire_instant(instant), value) for instant, value in one.points],
            )
            for one in found.series
        ],
        aggregate=[(to_wire_instant(instant), value) for instant, value in found.aggregate],
    )


def within_reason(instant: datetime, field: str) -> datetime:
    """Refuse a time that no series can have."""
    if not OLDEST_YEAR <= instant.year <= LATEST_YEAR:
        raise Invalid(f"{field} must lie between {OLDEST_YEAR} and {LATEST_YEAR}", field=field)
    return instant


def to_wire_instant(instant: datetime) -> str:
    """Write an instant in UTC, with a Z."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
