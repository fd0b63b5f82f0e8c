"""Resources and their history: finding, searching, making, changing and deleting them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg import sql
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from foundation.database import Transaction
from foundation.errors import Invalid
from metering.filters import Filter
from metering.model import CURRENT_REVISION, Listing, Resource
from metering.store.paging import SortKey, after, columns_of, ordered_by, sort_keys
from metering.store.search import condition_of
from metering.visibility import Viewer

COLUMNS: LiteralString = """
    r.id, r.resource_type, r.original_resource_id, r.creator, r.project_id, r.user_id, r.started_at, r.ended_at,
    r.revision_start, r.revision_end, r.attributes, r.revision,
    coalesce((SELECT jsonb_object_agg(c.name, c.id) FROM metric c WHERE c.resource_id = r.id AND c.status = 'active'), '{{}}')
        AS metrics
"""
CURRENT: LiteralString = """(
    SELECT id, resource_type, original_resource_id, creator, project_id, user_id, started_at, ended_at, revision_start,
        NULL::timestamptz AS revision_end, attributes, deleted_at, 9223372036854775807 AS revision
    FROM resource WHERE deleted_at IS NULL
)"""
WITH_HISTORY: LiteralString = """(
    SELECT id, resource_type, original_resource_id, creator, project_id, user_id, started_at, ended_at, revision_start,
        NULL::timestamptz AS revision_end, attributes, deleted_at, 9223372036854775807 AS revision
    FROM resource WHERE deleted_at IS NULL
    UNION ALL
    SELECT v.id, v.resource_type, v.original_resource_id, v.creator, v.project_id, v.user_id, v.started_at, v.ended_at,
        v.revision_start, v.revision_end, v.attributes, NULL, v.revision
    FROM resource_revision v JOIN resource o ON o.id = v.id AND o.deleted_at IS NULL
)"""
SORT_COLUMNS: Mapping[str, LiteralString] = {
    "id": "r.id",
    "type": "r.resource_type",
    "original_resource_id": "r.original_resource_id",
    "creator": "r.creator",
    "project_id": "r.project_id",
    "user_id": "r.user_id",
    "started_at": "r.started_at",
    "ended_at": "r.ended_at",
    "revision_start": "r.revision_start",
    "revision_end": "r.revision_end",
}

SEARCH: LiteralString = """
    SELECT {columns} FROM {source} r
    WHERE (%s::text IS NULL OR r.project_id = %s OR r.creator = %s)
        AND (%s = 'generic' OR r.resource_type = %s) AND {condition} AND {after}
    ORDER BY {order} LIMIT %s
"""
POSITION: LiteralString = """
    SELECT {columns} FROM {source} r
    WHERE r.id = %s AND r.revision = %s AND (%s::text IS NULL OR r.project_id = %s OR r.creator = %s)
"""


def search_resources(
    tx: Transaction,
    viewer: Viewer,
    *,
    resource_type: str,
    search: Filter | None,
    listing: Listing,
    with_history: bool = False,
) -> Sequence[Resource]:
    """Return a page of the resources that the viewer may see and the filter matches, with their former states if wanted.

    The marker is an id, or an id and the number of a revision joined by @. Raises Invalid for one that is not there.
    """
    condition, values = condition_of(search) if search is not None else (sql.SQL("true"), [])
    source = sql.SQL(WITH_HISTORY if with_history else CURRENT)
    keys = sort_keys(listing, SORT_COLUMNS, last=("r.id", "r.revision") if with_history else ("r.id",))
    later, held = after(keys, find_position(tx, keys, source=source, marker=listing.marker, viewer=viewer))
    statement = sql.SQL(SEARCH).format(
        order=ordered_by(keys), source=source, columns=sql.SQL(COLUMNS).format(), condition=condition, after=later
    )
    project = viewer.project_id
    parameters = [project, project, viewer.creator, resource_type, resource_type, *values, *held, listing.limit]
    with tx.cursor(row_factory=class_row(Resource)) as cursor:
        return cursor.execute(statement, parameters).fetchall()


def find_position(
    tx: Transaction, keys: Sequence[SortKey], *, source: sql.Composable, marker: str | None, viewer: Viewer
) -> tuple[Any, ...] | None:
    """Return what the row that a marker names is sorted by, or None without a marker."""
    if not marker:
        return None
    resource_id, _, revision = marker.partition("@")
    number = int(revision) if revision else CURRENT_REVISION
    statement = sql.SQL(POSITION).format(columns=columns_of(keys), source=source)
    found = tx.execute(
        statement, (resource_id, number, viewer.project_id, viewer.project_id, viewer.creator)
    ).fetchone()
    if found is None:
        raise Invalid(f"Invalid pagination: the marker {marker} is not there", field="marker")
    return found


FIND: LiteralString = """
    SELECT {columns} FROM {source} r
    WHERE r.id = %(id)s AND (%(project_id)s::text IS NULL OR r.project_id = %(project_id)s OR r.creator = %(creator)s)
"""


def find_resource(tx: Transaction, resource_id: UUID, viewer: Viewer) -> Resource | None:
    """Return a resource if the viewer may see it."""
    statement = sql.SQL(FIND).format(columns=sql.SQL(COLUMNS).format(), source=sql.SQL(CURRENT))
    parameters = {"id": resource_id, "project_id": viewer.project_id, "creator": viewer.creator}
    with tx.cursor(row_factory=class_row(Resource)) as cursor:
        return cursor.execute(statement, parameters).fetchone()


FIND_IDS: LiteralString = """
    SELECT id FROM resource r
    WHERE id = ANY(%(ids)s) AND deleted_at IS NULL
        AND (%(project_id)s::text IS NULL OR r.project_id = %(project_id)s OR r.creator = %(creator)s)
"""


def find_resource_ids(tx: Transaction, ids: Sequence[UUID], viewer: Viewer) -> frozenset[UUID]:
    """Return which of the resources the viewer may see."""
    parameters = {"ids": list(ids), "project_id": viewer.project_id, "creator": viewer.creator}
    return frozenset(row[0] for row in tx.execute(FIND_IDS, parameters))


FIRST_REVISIONS: LiteralString = "SELECT id, min(revision) FROM resource_revision WHERE id = ANY(%s) GROUP BY id"


def find_first_revisions(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return the first former state of resources that have one."""
    return {row[0]: int(row[1]) for row in tx.execute(FIRST_REVISIONS, (list(ids),))}


@dataclass(frozen=True, slots=True)
class Owned:
    """What decides whether somebody may write to a resource."""

    id: UUID
    resource_type: str
    creator: str


FIND_OWNED: LiteralString = """
    SELECT id, resource_type, creator FROM resource r
    WHERE id = ANY(%(ids)s) AND deleted_at IS NULL
        AND (%(project_id)s::text IS NULL OR r.project_id = %(project_id)s OR r.creator = %(creator)s)
"""


def find_owned(tx: Transaction, ids: Sequence[UUID], viewer: Viewer) -> dict[UUID, Owned]:
    """Return, of those of the resources that the viewer may see, of what type they are and whose."""
    parameters = {"ids": list(ids), "project_id": viewer.project_id, "creator": viewer.creator}
    with tx.cursor(row_factory=class_row(Owned)) as cursor:
        return {one.id: one for one in cursor.execute(FIND_OWNED, parameters)}


CALLED_MAX = 10
"""So many are listed to whoever asks by a name that several have."""

FIND_CALLED: LiteralString = """
    SELECT id, resource_type, creator FROM resource r
    WHERE original_resource_id = %(name)s AND deleted_at IS NULL
        AND (%(resource_type)s = 'generic' OR r.resource_type = %(resource_type)s)
        AND (%(project_id)s::text IS NULL OR r.project_id = %(project_id)s OR r.creator = %(creator)s)
    ORDER BY id LIMIT %(most)s
"""


def find_called(tx: Transaction, name: str, viewer: Viewer, *, resource_type: str) -> Sequence[Owned]:
    """Return the first few resources of a type that the viewer may see of those that somebody gave this name."""
    parameters = {
        "name": name,
        "resource_type": resource_type,
        "most": CALLED_MAX,
        "project_id": viewer.project_id,
        "creator": viewer.creator,
    }
    with tx.cursor(row_factory=class_row(Owned)) as cursor:
        return cursor.execute(FIND_CALLED, parameters).fetchall()


INSERT: LiteralString = """
    INSERT INTO resource (id, resource_type, original_resource_id, creator, project_id, user_id, started_at, ended_at,
        revision_start, attributes)
    SELECT * FROM unnest(%(ids)s::uuid[], %(types)s::text[], %(originals)s::text[], %(creators)s::text[],
        %(projects)s::text[], %(users)s::text[], %(started)s::timestamptz[], %(ended)s::timestamptz[],
        %(revised)s::timestamptz[], %(attributes)s::jsonb[]) AS u (id)
    ORDER BY id
    ON CONFLICT (id) DO UPDATE SET
        resource_type = EXCLUDED.resource_type, original_resource_id = EXCLUDED.original_resource_id,
        creator = EXCLUDED.creator, project_id = EXCLUDED.project_id, user_id = EXCLUDED.user_id,
        started_at = EXCLUDED.started_at, ended_at = EXCLUDED.ended_at, revision_start = EXCLUDED.revision_start,
        attributes = EXCLUDED.attributes, deleted_at = NULL
    WHERE resource.deleted_at IS NOT NULL AND resource.creator = EXCLUDED.creator
"""


def insert_resources(tx: Transaction, resources: Sequence[Resource]) -> int:
    """Make resources, each named once, again where their creator has deleted them; return how many, since an id may be taken.

    They are made in the order of their ids, so that two who make the same ones wait for each other and never both.
    """
    facts = {
        "ids": [one.id for one in resources],
        "types": [one.resource_type for one in resources],
        "originals": [one.original_resource_id for one in resources],
        "creators": [one.creator for one in resources],
        "projects": [one.project_id for one in resources],
        "users": [one.user_id for one in resources],
        "started": [one.started_at for one in resources],
        "ended": [one.ended_at for one in resources],
        "revised": [one.revision_start for one in resources],
        "attributes": [Jsonb(one.attributes) for one in resources],
    }
    return tx.execute(INSERT, facts).rowcount


LOCK: LiteralString = "SELECT FROM resource WHERE id = %s FOR UPDATE"
KEEP_FORMER: LiteralString = """
        INSERT INTO resource_revision (id, resource_type, original_resource_id, creator, project_id, user_id, started_at,
            ended_at, revision_start, revision_end, attributes)
        SELECT id, resource_type, original_resource_id, creator, project_id, user_id, started_at, ended_at,
            revision_start, greatest(revision_start, %(observed_at)s), attributes
        FROM former
"""
"""Keeps a resource as it was (`former`) until %(observed_at)s; a WHERE may follow that says what is a change."""

UPDATE: LiteralString = (
    """
    WITH former AS (
        SELECT * FROM resource WHERE id = %(id)s
    ),
    kept AS (
"""
    + KEEP_FORMER
    + """
    )
    UPDATE resource SET project_id = %(project_id)s, user_id = %(user_id)s, started_at = %(started_at)s,
        ended_at = %(ended_at)s, attributes = %(attributes)s, revision_start = greatest(revision_start, %(observed_at)s)
    WHERE id = %(id)s
"""
)


def lock_resource(tx: Transaction, resource_id: UUID) -> bool:
    """Wait until nobody else changes a resource, and keep it so until the transaction ends; False where there is none."""
    return tx.execute(LOCK, (resource_id,)).rowcount == 1


MAKE_TOLD: LiteralString = """
    INSERT INTO resource (id, resource_type, original_resource_id, project_id, user_id, started_at, ended_at,
        revision_start, attributes)
    VALUES (%(id)s, %(resource_type)s, %(original_resource_id)s, %(project_id)s, %(user_id)s, %(observed_at)s, %(ended_at)s,
        %(observed_at)s, %(attributes)s)
    ON CONFLICT (id) DO NOTHING
"""


def hold_told_resource(tx: Transaction, resource_id: UUID, facts: Mapping[str, object]) -> None:
    """Lock the resource that a fact is about, made as the fact says where it is not there.

    What else was told of it is read after this, and not before: of two facts of one moment, each would take itself for the latest.
    """
    if not lock_resource(tx, resource_id):
        tx.execute(MAKE_TOLD, facts)
        held = lock_resource(tx, resource_id)
        assert held, "a resource's row is never taken away"


BEGIN_EARLIER: LiteralString = "UPDATE resource SET started_at = %s WHERE id = %s AND started_at > %s"


def begin_earlier(tx: Transaction, resource_id: UUID, observed_at: datetime) -> None:
    """Let a resource begin when a fact says that was told late."""
    tx.execute(BEGIN_EARLIER, (observed_at, resource_id, observed_at))


def update_resource(tx: Transaction, resource: Resource, *, now: datetime) -> None:
    """Bring a resource, which is locked, to a new state, keeping the former as a revision."""
    tx.execute(UPDATE, {**asdict(resource), "attributes": Jsonb(resource.attributes), "observed_at": now})


DELETE: LiteralString = """
    WITH gone AS (UPDATE resource SET deleted_at = %(now)s WHERE id = ANY(%(ids)s) AND deleted_at IS NULL)
    UPDATE metric SET status = 'delete' WHERE resource_id = ANY(%(ids)s) AND status = 'active'
"""


def mark_resources_deleted(tx: Transaction, ids: Sequence[UUID], *, now: datetime) -> None:
    """Hide resources and their metrics; both stay for the bills that rest on them."""
    tx.execute(DELETE, {"ids": list(ids), "now": now})


@dataclass(frozen=True, slots=True)
class Description:
    """How a resource is called, and what its series are measured against."""

    id: UUID
    name: str
    vcpus: str | None
    ended_at: datetime | None


DESCRIBE: LiteralString = """
    SELECT id, coalesce(attributes ->> 'display_name', attributes ->> 'name', original_resource_id) AS name,
        attributes ->> 'vcpus' AS vcpus, ended_at
    FROM resource WHERE id = ANY(%s)
"""


def describe_resources(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, Description]:
    """Return how resources are called."""
    with tx.cursor(row_factory=class_row(Description)) as cursor:
        return {one.id: one for one in cursor.execute(DESCRIBE, (list(ids),))}
