"""os-simple-tenant-usage: the hours for which projects had their servers, on or off."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from fastapi import Request

from api.authentication import RequestCaller
from api.body import new_router
from api.context import context_of
from api.nova.filters import read_limit, read_marker
from api.nova.servers import RequestView
from api.nova.servers_wire import to_wire_micros
from api.pagination import next_url
from api.transaction import RequestTransaction
from compute import service
from compute.model import InstanceLife
from foundation.database import Transaction
from foundation.errors import Invalid
from foundation.interval import TimeInterval
from identity.model import Caller

router = new_router("/v2.1")

PAGED_SINCE = (2, 40)
LIVES_MAX = 10_000
"""How many servers one answer tells of where the microversion has no pages; a longer period is refused, never cut short."""
SECONDS_AN_HOUR = 3600
LEAST_PERIOD = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class UsagePage:
    """The servers of one answer, in the order of their projects, and the link to what follows."""

    lives: Sequence[InstanceLife]
    links: list[dict[str, str]]


@router.get("/os-simple-tenant-usage")
def list_usages(request: Request, tx: RequestTransaction, caller: RequestCaller, view: RequestView) -> dict[str, Any]:
    """Sum up every project's use; for an admin."""
    period = read_period(request, view.now)
    page = read_lives(request, tx, caller=caller, project_id=None, period=period, view=view)
    is_detailed = request.query_params.get("detailed") == "1"
    projects = groupby(sorted(page.lives, key=lambda life: life.project_id), key=lambda life: life.project_id)
    usages = [
        to_wire_usage(project_id, list(lives), period=period, is_detailed=is_detailed, now=view.now)
        for project_id, lives in projects
    ]
    return {"tenant_usages": usages} | ({"tenant_usages_links": page.links} if page.links else {})


@router.get("/os-simple-tenant-usage/{project}")
def show_usage(
    project: str, request: Request, tx: RequestTransaction, caller: RequestCaller, view: RequestView
) -> dict[str, Any]:
    """Show one project's use, server by server; an empty object where it had none, as in Nova."""
    period = read_period(request, view.now)
    page = read_lives(request, tx, caller=caller, project_id=project, period=period, view=view)
    usage: dict[str, Any] = {}
    if page.lives:
        usage = to_wire_usage(project, page.lives, period=period, is_detailed=True, now=view.now)
    return {"tenant_usage": usage} | ({"tenant_usage_links": page.links} if page.links else {})


def read_lives(
    request: Request,
    tx: Transaction,
    *,
    caller: Caller,
    project_id: str | None,
    period: TimeInterval,
    view: RequestView,
) -> UsagePage:
    """Return the servers of the page that the query asks for; before 2.40 there are no pages."""
    if view.microversion < PAGED_SINCE:
        lives = service.list_lives(
            tx, caller=caller, project_id=project_id, period=period, marker=None, limit=LIVES_MAX + 1
        )
        if len(lives) > LIVES_MAX:
            raise Invalid(f"more than {LIVES_MAX} servers: ask for a shorter period, or with microversion 2.40")
        return UsagePage(lives, [])
    largest = context_of(request).settings.page_limit_max
    limit = min(read_limit(request.query_params.get("limit"), largest), largest)
    marker = read_marker(request.query_params.get("marker"))
    lives = service.list_lives(tx, caller=caller, project_id=project_id, period=period, marker=marker, limit=limit)
    if len(lives) < limit:
        return UsagePage(lives, [])
    return UsagePage(lives, [{"rel": "next", "href": next_url(request, limit=limit, marker=str(lives[-1].id))}])


def read_period(request: Request, now: datetime) -> TimeInterval:
    """Read start and end, each of which is about now where it is not given, as in Nova."""
    end = read_time(request.query_params.get("end"), "end", now=now)
    start = read_time(request.query_params.get("start"), "start", now=now - LEAST_PERIOD)
    if start >= end:
        raise Invalid("Invalid start time. The start time cannot occur after the end time.", field="start")
    return TimeInterval(start, end)


def read_time(text: str | None, field: str, *, now: datetime) -> datetime:
    """Read a time as Nova's clients write it: ISO 8601 without a zone, meaning UTC."""
    if not text:
        return now
    try:
        instant = datetime.fromisoformat(text)
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Invalid(f"Datetime is in invalid format: {text[:64]}", field=field) from error


def to_wire_usage(
    project_id: str, lives: Sequence[InstanceLife], *, period: TimeInterval, is_detailed: bool, now: datetime
) -> dict[str, Any]:
    """Write a project's use: hours, and hours times what each server has."""
    hours = {life.id: hours_of(life, period, now=now) for life in lives}
    usage: dict[str, Any] = {
        "tenant_id": project_id,
        "start": to_wire_micros(period.start),
        "stop": to_wire_micros(period.end),
        "total_hours": sum(hours.values()),
        "total_vcpus_usage": sum(hours[life.id] * life.vcpus for life in lives),
        "total_memory_mb_usage": sum(hours[life.id] * life.ram_mib for life in lives),
        "total_local_gb_usage": sum(hours[life.id] * life.disk_gib for life in lives),
    }
    if is_detailed:
        usage["server_usages"] = [to_wire_life(life, hours[life.id], now=now) for life in lives]
    return usage


def hours_of(life: InstanceLife, period: TimeInterval, *, now: datetime) -> float:
    """Return for how long in the period the server was there; what is yet to come does not count."""
    began_at, ended_at = max(life.launched_at, period.start), min(life.deleted_at or now, period.end)
    return max(0.0, (ended_at - began_at).total_seconds() / SECONDS_AN_HOUR)


def to_wire_life(life: InstanceLife, hours: float, *, now: datetime) -> dict[str, Any]:
    """Write one server's use."""
    return {
        "instance_id": str(life.id),
        "tenant_id": life.project_id,
        "name": life.name,
        "flavor": life.flavor_name,
        "vcpus": life.vcpus,
        "memory_mb": life.ram_mib,
        "local_gb": life.disk_gib,
        "hours": hours,
        "uptime": int(max(0.0, ((life.deleted_at or now) - life.launched_at).total_seconds())),
        "state": life.vm_state if life.deleted_at is None else "terminated",
        "started_at": to_wire_micros(life.launched_at),
        "ended_at": to_wire_micros(life.deleted_at),
    }
