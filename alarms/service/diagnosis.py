"""Finds out what an alarm without points is missing, so that its owner is told and need not guess."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import psycopg

from alarms.evaluation import Missing, Point
from alarms.model import Alarm, AlarmState, MetricsTarget, ResourcesTarget, ResourceTarget
from alarms.service.deadlines import Deadline, OutOfTime, attempt
from alarms.service.windows import read_points, to_window_query
from foundation.database import Transaction
from foundation.errors import Invalid, NotFound
from identity.model import Caller
from identity.policy import product_caller
from metering.filters import Filter, called, parse_json_filter
from metering.model import Listing
from metering.service import metrics, resources

DIAGNOSED_MAX = 50
RESOURCES_LOOKED_AT_MAX = 20
WIDE_WINDOW_PERIODS = 20


def find_missing(
    tx: Transaction, alarms: Sequence[Alarm], *, now: datetime, deadline: Deadline
) -> Mapping[UUID, Missing]:
    """Say of each alarm which part of what its rule names is not there.

    At most DIAGNOSED_MAX are looked into at a time, those that were not before first, and only until the deadline: to be told why is
    good, to be judged in time is better. The others keep what was found last.
    """
    known = {alarm.id: Missing(earlier) for alarm in alarms if (earlier := _known(alarm)) is not None}
    minute = int(now.timestamp()) // 60
    ordered = sorted(alarms, key=lambda alarm: (alarm.id in known, (alarm.id.int + minute * 7) % 1_009))
    found: dict[UUID, Missing] = {}
    sparse: Sequence[UUID] = ()
    with suppress(OutOfTime):
        for alarm in ordered[:DIAGNOSED_MAX]:
            with attempt(tx):
                deadline.begin(tx)
                found[alarm.id] = _diagnose(tx, alarm)
        quiet = [alarm for alarm in ordered[:DIAGNOSED_MAX] if found[alarm.id] is Missing.RECENT_POINTS]
        sparse = _find_sparse(tx, quiet, now=now, deadline=deadline)
    return {**known, **found, **dict.fromkeys(sparse, Missing.GRANULARITY)}


def _known(alarm: Alarm) -> str | None:
    """What an earlier evaluation found missing, while that still is why there is no judgement."""
    return alarm.state_reason_data.get("missing") if alarm.state is AlarmState.INSUFFICIENT_DATA else None


def _diagnose(tx: Transaction, alarm: Alarm) -> Missing:
    try:
        with tx.transaction():
            return _look_for_target(tx, alarm)
    except (NotFound, Invalid, psycopg.DataError):
        return Missing.RESOURCE


def _look_for_target(tx: Transaction, alarm: Alarm) -> Missing:
    viewer = replace(product_caller(project_id=alarm.project_id), is_system=False)
    match alarm.spec.rule.target:
        case MetricsTarget(metric_ids):
            is_complete = len(metrics.find_metrics(tx, viewer, metric_ids)) == len(set(metric_ids))
            return Missing.RECENT_POINTS if is_complete else Missing.METRIC
        case ResourceTarget(metric, resource_type, resource_id):
            search = called(resource_id)
            return _diagnose_search(tx, viewer, resource_type, metric=metric, search=search)
        case ResourcesTarget(metric, resource_type, document, _):
            return _diagnose_search(tx, viewer, resource_type, metric=metric, search=parse_json_filter(document))


def _diagnose_search(
    tx: Transaction, viewer: Caller, resource_type: str, *, metric: str, search: Filter | None
) -> Missing:
    found = resources.search_resources(
        tx, viewer, resource_type=resource_type, search=search, listing=Listing(limit=RESOURCES_LOOKED_AT_MAX)
    )
    if not found:
        return Missing.RESOURCE
    return Missing.RECENT_POINTS if any(metric in resource.metrics for resource in found) else Missing.METRIC


def _find_sparse(tx: Transaction, alarms: Sequence[Alarm], *, now: datetime, deadline: Deadline) -> Sequence[UUID]:
    """Which of the alarms do have points up to now, but fewer than one each granularity."""
    wide = [
        replace(query, start=query.start - WIDE_WINDOW_PERIODS * timedelta(seconds=query.granularity_s))
        for query in (to_window_query(alarm, now) for alarm in alarms)
    ]
    points = read_points(tx, wide, deadline=deadline)
    return [alarm.id for alarm in alarms if _is_sparse(alarm, points.get(alarm.id, ()), now)]


def _is_sparse(alarm: Alarm, points: Sequence[Point], now: datetime) -> bool:
    """Tell whether the newest points come at a steady step longer than the granularity, the last one not long ago."""
    if len(points) < 2:
        return False
    step = points[-1][0] - points[-2][0]
    granularity = timedelta(seconds=alarm.spec.rule.granularity_s)
    return step > granularity and now - points[-1][0] <= step + granularity
