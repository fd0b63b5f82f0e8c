"""Finding or making, set-based, the resources and metrics that samples belong to."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb

from foundation.database import Transaction

LIST_RESOURCE_TYPE_NAMES: LiteralString = "SELECT name FROM resource_type WHERE state = 'active'"


def list_resource_type_names(tx: Transaction) -> frozenset[str]:
    """Return the names of all resource types."""
    return frozenset(row[0] for row in tx.execute(LIST_RESOURCE_TYPE_NAMES))


@dataclass(frozen=True, slots=True)
class SeenResource:
    """A resource as a batch of samples shows it."""

    id: UUID
    resource_type: str
    original_resource_id: str
    project_id: str
    user_id: str
    seen_at: datetime
    attributes: Mapping[str, str]


ENSURE_RESOURCES: LiteralString = """
    INSERT INTO resource (id, resource_type, original_resource_id, creator, project_id, user_id, started_at,
        revision_start, attributes)
    SELECT id, resource_type, original_resource_id, '', project_id, user_id, seen_at, seen_at, attributes
    FROM unnest(%(ids)s::uuid[], %(types)s::text[], %(originals)s::text[], %(projects)s::text[], %(users)s::text[],
        %(seen)s::timestamptz[], %(attributes)s::jsonb[])
        AS u (id, resource_type, original_resource_id, project_id, user_id, seen_at, attributes)
    ORDER BY id
    ON CONFLICT (id) DO UPDATE SET deleted_at = NULL, creator = '', project_id = EXCLUDED.project_id,
        resource_type = EXCLUDED.resource_type, original_resource_id = EXCLUDED.original_resource_id
    WHERE resource.deleted_at IS NOT NULL OR resource.creator <> ''
"""


def ensure_resources(tx: Transaction, resources: Sequence[SeenResource]) -> None:
    """Make the resources that are not there; one that was deleted, or that a user made, is the product's own again."""
    tx.execute(
        ENSURE_RESOURCES,
        {
            "ids": [r.id for r in resources],
            "types": [r.resource_type for r in resources],
            "originals": [r.original_resource_id for r in resources],
            "projects": [r.project_id for r in resources],
            "users": [r.user_id for r in resources],
            "seen": [r.seen_at for r in resources],
            "attributes": [Jsonb(dict(r.attributes)) for r in resources],
        },
    )


APPLY_ATTRIBUTES: LiteralString = """
    WITH changed AS (
        SELECT r.id, u.attributes AS new_attributes, greatest(u.seen_at, r.revision_start) AS changed_at
        FROM unnest(%(ids)s::uuid[], %(seen)s::timestamptz[], %(attributes)s::jsonb[]) AS u (id, seen_at, attributes)
        JOIN resource r ON r.id = u.id
        WHERE NOT r.attributes @> u.attributes AND u.seen_at >= r.revision_start
        ORDER BY r.id FOR UPDATE OF r
    ),
    kept AS (
        INSERT INTO resource_revision (id, resource_type, original_resource_id, creator, project_id, user_id, started_at,
            ended_at, revision_start, revision_end, attributes)
        SELECT r.id, r.resource_type, r.original_resource_id, r.creator, r.project_id, r.user_id, r.started_at,
            r.ended_at, r.revision_start, c.changed_at, r.attributes
        FROM resource r JOIN changed c ON c.id = r.id
    )
    UPDATE resource r SET attributes = r.attributes || c.new_attributes, revision_start = c.changed_at
    FROM changed c WHERE c.id = r.id
"""


def apply_attributes(tx: Transaction, resources: Sequence[SeenResource]) -> None:
    """Add what samples tell of their resources, where it is news; the former state is kept as a revision."""
    telling = [r for r in resources if r.attributes]
    if telling:
        tx.execute(
            APPLY_ATTRIBUTES,
            {
                "ids": [r.id for r in telling],
                "seen": [r.seen_at for r in telling],
                "attributes": [Jsonb(dict(r.attributes)) for r in telling],
            },
        )


FIND_METRIC_KEYS: LiteralString = """
    SELECT c.resource_id, c.name, c.key, c.created_by_user_id <> '' AS is_of_user
    FROM unnest(%s::uuid[], %s::text[]) AS u (resource_id, name)
    JOIN metric c ON c.resource_id = u.resource_id AND c.name = u.name AND c.status = 'active'
"""
RETIRE_METRICS: LiteralString = "UPDATE metric SET status = 'delete' WHERE key = ANY(%s)"


def find_metric_keys(tx: Transaction, wanted: Sequence[tuple[UUID, str]]) -> dict[tuple[UUID, str], int]:
    """Return the keys of the product's metrics that exist, by resource and name.

    A metric that a user had made under such a name gives way, whatever its type and unit: the product makes its own, so that nobody
    decides what is billed by being first.
    """
    with tx.cursor(binary=True) as cursor:
        rows = cursor.execute(FIND_METRIC_KEYS, ([p[0] for p in wanted], [p[1] for p in wanted])).fetchall()
    of_users = [row[2] for row in rows if row[3]]
    if of_users:
        tx.execute(RETIRE_METRICS, (of_users,))
    return {(row[0], row[1]): row[2] for row in rows if not row[3]}


@dataclass(frozen=True, slots=True)
class NewMetric:
    """A metric to make for a resource."""

    id: UUID
    resource_id: UUID
    name: str
    unit: str
    meter_type: str
    archive_policy_name: str
    created_by_user_id: str = ""
    created_by_project_id: str = ""


MAKE_METRICS: LiteralString = """
    INSERT INTO metric (id, resource_id, name, unit, meter_type, archive_policy_name, created_by_user_id,
        created_by_project_id)
    SELECT id, resource_id, name, nullif(unit, ''), meter_type, archive_policy_name, user_id, project_id
    FROM unnest(%(ids)s::uuid[], %(resources)s::uuid[], %(names)s::text[], %(units)s::text[], %(types)s::text[],
        %(policies)s::text[], %(users)s::text[], %(projects)s::text[])
        AS u (id, resource_id, name, unit, meter_type, archive_policy_name, user_id, project_id)
    ORDER BY resource_id, name
    ON CONFLICT (resource_id, name) WHERE status = 'active' DO NOTHING
    RETURNING resource_id, name
"""


def make_metrics(tx: Transaction, metrics: Sequence[NewMetric]) -> Set[tuple[UUID, str]]:
    """Make the metrics that nobody has made meanwhile; return of which resource and under which name."""
    made = tx.execute(
        MAKE_METRICS,
        {
            "ids": [m.id for m in metrics],
            "resources": [m.resource_id for m in metrics],
            "names": [m.name for m in metrics],
            "units": [m.unit for m in metrics],
            "types": [m.meter_type for m in metrics],
            "policies": [m.archive_policy_name for m in metrics],
            "users": [m.created_by_user_id for m in metrics],
            "projects": [m.created_by_project_id for m in metrics],
        },
    )
    return {(row[0], row[1]) for row in made}
