"""Metrics: finding, listing, making and deleting them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from psycopg import sql
from psycopg.rows import class_row

from foundation.database import Transaction
from metering.archive_policies import ArchivePolicy
from metering.model import Listing, Metric
from metering.store.paging import after, columns_of, ordered_by, sort_keys
from metering.visibility import Viewer

METRIC_COLUMNS: LiteralString = """
    c.id, c.key, c.name, c.unit, c.meter_type, c.archive_policy_name, c.resource_id, c.created_by_user_id,
    c.created_by_project_id
"""
IS_VISIBLE: LiteralString = """
    c.status = 'active' AND (%(project_id)s::text IS NULL OR c.created_by_project_id = %(project_id)s
        OR r.project_id = %(project_id)s OR r.creator = %(creator)s)
"""
VISIBLE_METRICS: LiteralString = "FROM metric c LEFT JOIN resource r ON r.id = c.resource_id WHERE" + IS_VISIBLE
SORT_COLUMNS: Mapping[str, LiteralString] = {
    "id": "c.id",
    "name": "c.name",
    "unit": "c.unit",
    "resource_id": "c.resource_id",
    "archive_policy_name": "c.archive_policy_name",
    "creator": "c.created_by_user_id",
    "status": "c.status",
}
FILTER_CONDITIONS: Mapping[str, LiteralString] = {
    "id": "c.id = %s",
    "name": "c.name = %s",
    "unit": "c.unit = %s",
    "resource_id": "c.resource_id = %s",
    "archive_policy_name": "c.archive_policy_name = %s",
    "created_by_user_id": "c.created_by_user_id = %s",
    "created_by_project_id": "c.created_by_project_id = %s",
}

FIND_VISIBLE_KEYS: LiteralString = """
    SELECT q.project_id, c.id, c.key
    FROM unnest(%s::text[], %s::uuid[]) AS q (project_id, id)
    JOIN metric c ON c.id = q.id AND c.status = 'active'
    LEFT JOIN resource r ON r.id = c.resource_id
    WHERE q.project_id IS NULL OR coalesce(r.project_id, c.created_by_project_id) = q.project_id
        OR c.created_by_project_id = q.project_id
"""


def find_visible_keys(tx: Transaction, wanted: Sequence[tuple[str | None, UUID]]) -> dict[tuple[str | None, UUID], int]:
    """Return the keys of metrics by id, each within what a project may see (None: all)."""
    rows = tx.execute(FIND_VISIBLE_KEYS, ([pair[0] for pair in wanted], [pair[1] for pair in wanted]))
    return {(row[0], row[1]): row[2] for row in rows}


FIND_METRICS: LiteralString = "SELECT " + METRIC_COLUMNS + VISIBLE_METRICS + " AND c.id = ANY(%(ids)s)"


def find_metrics(tx: Transaction, ids: Sequence[UUID], viewer: Viewer) -> dict[UUID, Metric]:
    """Return those of the metrics that the viewer may see."""
    parameters = {"ids": list(ids), "project_id": viewer.project_id, "creator": viewer.creator}
    with tx.cursor(row_factory=class_row(Metric)) as cursor:
        return {metric.id: metric for metric in cursor.execute(FIND_METRICS, parameters)}


@dataclass(frozen=True, slots=True)
class ServedMetric:
    """A metric and what its archive policy serves of it."""

    metric: Metric
    policy: ArchivePolicy


FIND_SERVED_METRIC: LiteralString = (
    """
    SELECT p.name, p.back_window, p.aggregation_methods, g.granularities_us, g.points,
    """
    + METRIC_COLUMNS
    + """
    FROM metric c
    LEFT JOIN resource r ON r.id = c.resource_id
    JOIN archive_policy p ON p.name = c.archive_policy_name
    CROSS JOIN LATERAL (
        SELECT array_agg(granularity_us ORDER BY granularity_us) AS granularities_us,
            array_agg(points ORDER BY granularity_us) AS points
        FROM archive_policy_granularity WHERE archive_policy_name = p.name
    ) g
    WHERE c.id = %(id)s AND
    """
    + IS_VISIBLE
)


def find_served_metric(tx: Transaction, metric_id: UUID, viewer: Viewer) -> ServedMetric | None:
    """Return a metric that the viewer may see, with its archive policy; planned once a connection, since it is asked at every read."""
    parameters = {"id": metric_id, "project_id": viewer.project_id, "creator": viewer.creator}
    row = tx.execute(FIND_SERVED_METRIC, parameters, prepare=True).fetchone()
    return ServedMetric(Metric(*row[5:]), ArchivePolicy(*row[:5])) if row is not None else None


@dataclass(frozen=True, slots=True)
class MetricKeys:
    """The keys of those of some metrics that one user made for one project; places count from 1 in the order asked."""

    user_id: str
    project_id: str
    places: list[int]
    keys: list[int]


FIND_METRIC_KEYS: LiteralString = (
    """
    SELECT c.created_by_user_id AS user_id, c.created_by_project_id AS project_id, array_agg(u.n) AS places,
        array_agg(c.key) AS keys
    FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS u (id, n)
    JOIN metric c ON c.id = u.id
    LEFT JOIN resource r ON r.id = c.resource_id
    WHERE
    """
    + IS_VISIBLE
    + "GROUP BY c.created_by_user_id, c.created_by_project_id"
)


def find_metric_keys(tx: Transaction, ids: Sequence[UUID], viewer: Viewer) -> Sequence[MetricKeys]:
    """Return the keys of those of the metrics that the viewer may see, as arrays: a batch names thousands."""
    parameters = {
        "ids": "{" + ",".join([one.hex for one in ids]) + "}",
        "project_id": viewer.project_id,
        "creator": viewer.creator,
    }
    with tx.cursor(binary=True, row_factory=class_row(MetricKeys)) as cursor:
        return cursor.execute(FIND_METRIC_KEYS, parameters).fetchall()


FIND_NAMED: LiteralString = (
    "SELECT "
    + METRIC_COLUMNS
    + VISIBLE_METRICS
    + " AND (c.resource_id, c.name) IN (SELECT * FROM unnest(%(resources)s::uuid[], %(names)s::text[]))"
)


def find_named_metrics(
    tx: Transaction, wanted: Sequence[tuple[UUID, str]], viewer: Viewer
) -> dict[tuple[UUID | None, str | None], Metric]:
    """Return those metrics of resources, by resource and name, that the viewer may see."""
    parameters = {
        "resources": [pair[0] for pair in wanted],
        "names": [pair[1] for pair in wanted],
        "project_id": viewer.project_id,
        "creator": viewer.creator,
    }
    with tx.cursor(row_factory=class_row(Metric)) as cursor:
        return {(metric.resource_id, metric.name): metric for metric in cursor.execute(FIND_NAMED, parameters)}


LIST_METRICS: LiteralString = (
    "SELECT "
    + METRIC_COLUMNS
    + """
    FROM metric c LEFT JOIN resource r ON r.id = c.resource_id
    WHERE c.status = 'active' AND (%s::text IS NULL OR c.created_by_project_id = %s OR r.project_id = %s OR r.creator = %s)
        AND {conditions} AND {after}
    ORDER BY {order} LIMIT %s
"""
)
METRIC_POSITION: LiteralString = "SELECT {columns} FROM metric c WHERE c.id = %s"


def list_metrics(tx: Transaction, viewer: Viewer, filters: Mapping[str, Any], listing: Listing) -> Sequence[Metric]:
    """Return a page of the metrics that the viewer may see and the filters match; the marker is the id of one of them."""
    names = [name for name in filters if name in FILTER_CONDITIONS]
    conditions = sql.SQL(" AND ").join([sql.SQL("true"), *(sql.SQL(FILTER_CONDITIONS[name]) for name in names)])
    keys = sort_keys(listing, SORT_COLUMNS, last=("c.id",))
    position = None
    if listing.marker:
        found = sql.SQL(METRIC_POSITION).format(columns=columns_of(keys))
        position = tx.execute(found, (listing.marker,)).fetchone()
    later, values = after(keys, position)
    statement = sql.SQL(LIST_METRICS).format(conditions=conditions, after=later, order=ordered_by(keys))
    project = viewer.project_id
    parameters = [project, project, project, viewer.creator, *(filters[name] for name in names), *values, listing.limit]
    with tx.cursor(row_factory=class_row(Metric)) as cursor:
        return cursor.execute(statement, parameters).fetchall()


INSERT_METRIC: LiteralString = """
    INSERT INTO metric (id, name, unit, meter_type, archive_policy_name, resource_id, created_by_user_id,
        created_by_project_id)
    VALUES (%(id)s, %(name)s, %(unit)s, %(meter_type)s, %(archive_policy_name)s, %(resource_id)s,
        %(created_by_user_id)s, %(created_by_project_id)s)
    ON CONFLICT (resource_id, name) WHERE status = 'active' DO NOTHING
    RETURNING id, key, name, unit, meter_type, archive_policy_name, resource_id, created_by_user_id, created_by_project_id
"""


def insert_metric(tx: Transaction, **facts: Any) -> Metric | None:
    """Make a metric; None where its resource has one of this name."""
    with tx.cursor(row_factory=class_row(Metric)) as cursor:
        return cursor.execute(INSERT_METRIC, facts).fetchone()


ATTACH_METRICS: LiteralString = """
    UPDATE metric SET resource_id = %(resource_id)s, name = coalesce(u.name, metric.name)
    FROM unnest(%(ids)s::uuid[], %(names)s::text[]) AS u (id, name) WHERE metric.id = u.id
"""


def attach_metrics(tx: Transaction, resource_id: UUID, metric_ids: Mapping[str, UUID]) -> None:
    """Give metrics to a resource under new names."""
    tx.execute(
        ATTACH_METRICS,
        {"resource_id": resource_id, "ids": list(metric_ids.values()), "names": list(metric_ids)},
    )


MARK_DELETED: LiteralString = "UPDATE metric SET status = 'delete' WHERE id = ANY(%s)"


def mark_metrics_deleted(tx: Transaction, ids: Sequence[UUID]) -> None:
    """Hide metrics; their samples stay for the bills that rest on them."""
    tx.execute(MARK_DELETED, (list(ids),))


COUNT_METRICS: LiteralString = "SELECT count(*) FROM metric WHERE status = 'active'"


def count_metrics(tx: Transaction) -> int:
    """Count the metrics that are served."""
    row = tx.execute(COUNT_METRICS).fetchone()
    assert row is not None
    return int(row[0])


LIST_WAITING: LiteralString = """
    SELECT c.id, count(*) FROM dirty_mark d CROSS JOIN LATERAL unnest(d.metric_keys) AS u (key) JOIN metric c ON c.key = u.key
    GROUP BY c.id ORDER BY count(*) DESC, c.id LIMIT %s
"""


def list_waiting(tx: Transaction, *, limit: int) -> dict[UUID, int]:
    """Return the metrics that wait to be rolled up and in how many ranges, those with most first."""
    return {row[0]: int(row[1]) for row in tx.execute(LIST_WAITING, (limit,))}
