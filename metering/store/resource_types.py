"""Resource types and their attributes."""

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from foundation.database import Transaction
from metering.model import ResourceType

LIST_TYPES: LiteralString = "SELECT name, attributes, state FROM resource_type WHERE state = 'active' ORDER BY name"
FIND_TYPE: LiteralString = "SELECT name, attributes, state FROM resource_type WHERE state = 'active' AND name = %s"
INSERT_TYPE: LiteralString = """
    INSERT INTO resource_type (name, attributes) VALUES (%s, %s)
    ON CONFLICT (name) DO UPDATE SET attributes = EXCLUDED.attributes, state = 'active' WHERE resource_type.state = 'deleted'
"""
IS_TYPE_USED: LiteralString = "SELECT EXISTS (SELECT FROM resource WHERE resource_type = %s AND deleted_at IS NULL)"
DELETE_TYPE: LiteralString = "UPDATE resource_type SET state = 'deleted' WHERE name = %s"
"""Its row stays: deleted resources, whose usage is on bills, were of it."""


HOLD_TYPE: LiteralString = FIND_TYPE + " FOR KEY SHARE"
LOCK_TYPE: LiteralString = FIND_TYPE + " FOR UPDATE"
UPDATE_TYPE: LiteralString = "UPDATE resource_type SET attributes = %s WHERE name = %s"
MIGRATE_RESOURCES: LiteralString = """
    UPDATE resource SET attributes = (%(fills)s::jsonb || jsonb_strip_nulls(attributes)) - %(removed)s::text[]
    WHERE resource_type = %(name)s AND (NOT jsonb_strip_nulls(attributes) ?& %(filled)s::text[] OR attributes ?| %(removed)s::text[])
"""
MIGRATE_REVISIONS: LiteralString = """
    UPDATE resource_revision SET attributes = (%(fills)s::jsonb || jsonb_strip_nulls(attributes)) - %(removed)s::text[]
    WHERE resource_type = %(name)s AND (NOT jsonb_strip_nulls(attributes) ?& %(filled)s::text[] OR attributes ?| %(removed)s::text[])
"""


def list_resource_types(tx: Transaction) -> Sequence[ResourceType]:
    """Return all resource types by name."""
    with tx.cursor(row_factory=class_row(ResourceType)) as cursor:
        return cursor.execute(LIST_TYPES).fetchall()


def find_resource_type(tx: Transaction, name: str) -> ResourceType | None:
    """Return a resource type."""
    with tx.cursor(row_factory=class_row(ResourceType)) as cursor:
        return cursor.execute(FIND_TYPE, (name,)).fetchone()


def hold_resource_type(tx: Transaction, name: str) -> ResourceType | None:
    """Return a resource type that stays as it is until the transaction ends: its resources are written against it."""
    with tx.cursor(row_factory=class_row(ResourceType)) as cursor:
        return cursor.execute(HOLD_TYPE, (name,)).fetchone()


def lock_resource_type(tx: Transaction, name: str) -> ResourceType | None:
    """Return a resource type that nobody else changes or makes resources of until the transaction ends."""
    with tx.cursor(row_factory=class_row(ResourceType)) as cursor:
        return cursor.execute(LOCK_TYPE, (name,)).fetchone()


def update_resource_type(
    tx: Transaction, resource_type: ResourceType, *, fills: Mapping[str, Any], removed: Sequence[str]
) -> None:
    """Write a type's attributes, and migrate its resources and their former states: new ones filled, removed ones gone."""
    tx.execute(UPDATE_TYPE, (Jsonb(resource_type.attributes), resource_type.name))
    if not fills and not removed:
        return
    facts = {"name": resource_type.name, "fills": Jsonb(dict(fills)), "filled": list(fills), "removed": list(removed)}
    tx.execute(MIGRATE_RESOURCES, facts)
    tx.execute(MIGRATE_REVISIONS, facts)


def insert_resource_type(tx: Transaction, resource_type: ResourceType) -> bool:
    """Make a resource type, again where it was deleted; False where the name is taken."""
    return tx.execute(INSERT_TYPE, (resource_type.name, Jsonb(resource_type.attributes))).rowcount == 1


def is_resource_type_used(tx: Transaction, name: str) -> bool:
    """Tell whether there is a resource of the type."""
    row = tx.execute(IS_TYPE_USED, (name,)).fetchone()
    assert row is not None
    return bool(row[0])


def delete_resource_type(tx: Transaction, name: str) -> None:
    """Delete a type that no resource is of."""
    tx.execute(DELETE_TYPE, (name,))
