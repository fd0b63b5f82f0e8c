"""Resource types and their attributes."""

from collections.abc import Sequence
from typing import LiteralString

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from foundation.database import Transaction
from metering.model import ResourceType

LIST_TYPES: LiteralString = "SELECT name, attributes, state FROM resource_type ORDER BY name"
FIND_TYPE: LiteralString = "SELECT name, attributes, state FROM resource_type WHERE name = %s"
INSERT_TYPE: LiteralString = "INSERT INTO resource_type (name, attributes) VALUES (%s, %s) ON CONFLICT DO NOTHING"
IS_TYPE_USED: LiteralString = "SELECT EXISTS (SELECT FROM resource WHERE resource_type = %s)"
DELETE_TYPE: LiteralString = "DELETE FROM resource_type WHERE name = %s"


def list_resource_types(tx: Transaction) -> Sequence[ResourceType]:
    """Return all resource types by name."""
    with tx.cursor(row_factory=class_row(ResourceType)) as cursor:
        return cursor.execute(LIST_TYPES).fetchall()


def find_resource_type(tx: Transaction, name: str) -> ResourceType | None:
    """Return a resource type."""
    with tx.cursor(row_factory=class_row(ResourceType)) as cursor:
        return cursor.execute(FIND_TYPE, (name,)).fetchone()


def insert_resource_type(tx: Transaction, resource_type: ResourceType) -> bool:
    """Make a resource type; False where the name is taken."""
    return tx.execute(INSERT_TYPE, (resource_type.name, Jsonb(resource_type.attributes))).rowcount == 1


def is_resource_type_used(tx: Transaction, name: str) -> bool:
    """Tell whether a resource, deleted or not, is of the type."""
    row = tx.execute(IS_TYPE_USED, (name,)).fetchone()
    assert row is not None
    return bool(row[0])


def delete_resource_type(tx: Transaction, name: str) -> None:
    """Delete an unused type."""
    tx.execute(DELETE_TYPE, (name,))
