"""Asking metering for what alarms watch: one question an alarm, all of them answered together."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import psycopg

from alarms.evaluation import Point, window_start
from alarms.model import Alarm, MetricsTarget, ResourcesTarget, ResourceTarget
from alarms.service.deadlines import Deadline, attempt
from foundation.database import Transaction
from foundation.errors import Invalid
from metering import service as metering
from metering.filters import called, parse_json_filter
from metering.model import WindowQuery


def read_points(
    tx: Transaction, queries: Sequence[WindowQuery], *, deadline: Deadline
) -> Mapping[UUID, Sequence[Point]]:
    """Read all windows at once; where one of them cannot be evaluated, halve them until it stands alone and harms no other.

    Raises OutOfTime where the deadline comes first.
    """
    if not queries:
        return {}
    try:
        with attempt(tx):
            deadline.begin(tx)
            return {window.query_key: window.points for window in metering.read_windows(tx, queries)}
    except (Invalid, psycopg.DataError):
        if len(queries) <= 1:
            return {}
    middle = len(queries) // 2
    return {
        **read_points(tx, queries[:middle], deadline=deadline),
        **read_points(tx, queries[middle:], deadline=deadline),
    }


def find_window_query(alarm: Alarm, now: datetime) -> WindowQuery | None:
    """Ask for an alarm's window, or for nothing where its query is none any more, such as one that an earlier version took."""
    try:
        return to_window_query(alarm, now)
    except Invalid:
        return None


def to_window_query(alarm: Alarm, now: datetime) -> WindowQuery:
    """Ask for an alarm's window, always within its own project."""
    rule = alarm.spec.rule
    match rule.target:
        case MetricsTarget(metric_ids):
            metric, resource_type, search, operations = "", "generic", None, None
        case ResourceTarget(metric, resource_type, resource_id):
            metric_ids, search, operations = (), called(resource_id), None
        case ResourcesTarget(metric, resource_type, document, operations):
            metric_ids, search = (), parse_json_filter(document)
    return WindowQuery(
        key=alarm.id,
        project_id=alarm.project_id,
        metric=metric,
        resource_type=resource_type,
        search=search,
        aggregation_method=rule.aggregation_method,
        granularity_s=rule.granularity_s,
        start=window_start(rule, now),
        stop=now,
        metric_ids=metric_ids,
        operations=operations,
    )
