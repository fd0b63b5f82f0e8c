"""Rows of flavors."""

from collections.abc import Sequence
from typing import LiteralString

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from compute.model import Flavor
from foundation.database import Transaction

INSERT_FLAVOR: LiteralString = """
    INSERT INTO flavor (id, name, vcpus, ram_mib, disk_gib, is_public, description, extra_specs, created_at)
    VALUES (%(id)s, %(name)s, %(vcpus)s, %(ram_mib)s, %(disk_gib)s, %(is_public)s, %(description)s, %(extra_specs)s,
        %(created_at)s)
    ON CONFLICT DO NOTHING
"""


def insert_flavor(tx: Transaction, flavor: Flavor) -> bool:
    """Write a flavor; False when its id or name is taken."""
    parameters = {
        "id": flavor.id,
        "name": flavor.name,
        "vcpus": flavor.vcpus,
        "ram_mib": flavor.ram_mib,
        "disk_gib": flavor.disk_gib,
        "is_public": flavor.is_public,
        "description": flavor.description,
        "extra_specs": Jsonb(dict(flavor.extra_specs)),
        "created_at": flavor.created_at,
    }
    return tx.execute(INSERT_FLAVOR, parameters).rowcount == 1


SELECT_FLAVORS: LiteralString = """
    SELECT id, name, vcpus, ram_mib, disk_gib, is_public, description, extra_specs, created_at
    FROM flavor
    WHERE (%(id)s::text IS NULL OR id = %(id)s) AND (%(is_public)s::boolean IS NULL OR is_public = %(is_public)s)
    ORDER BY ram_mib, vcpus, id
    LIMIT 10000
"""


def list_flavors(tx: Transaction, *, is_public: bool | None = None) -> Sequence[Flavor]:
    """List the flavors by size."""
    with tx.cursor(row_factory=class_row(Flavor)) as cursor:
        return cursor.execute(SELECT_FLAVORS, {"id": None, "is_public": is_public}).fetchall()


def find_flavor(tx: Transaction, flavor_id: str) -> Flavor | None:
    """Return the flavor, or None."""
    with tx.cursor(row_factory=class_row(Flavor)) as cursor:
        return cursor.execute(SELECT_FLAVORS, {"id": flavor_id, "is_public": None}).fetchone()


UPDATE_EXTRA_SPECS: LiteralString = "UPDATE flavor SET extra_specs = %s WHERE id = %s"


def update_extra_specs(tx: Transaction, flavor_id: str, *, extra_specs: dict[str, str]) -> None:
    """Replace a flavor's extra specs."""
    tx.execute(UPDATE_EXTRA_SPECS, (Jsonb(extra_specs), flavor_id))


UPDATE_DESCRIPTION: LiteralString = "UPDATE flavor SET description = %s WHERE id = %s"


def update_description(tx: Transaction, flavor_id: str, *, description: str | None) -> None:
    """Replace a flavor's description."""
    tx.execute(UPDATE_DESCRIPTION, (description, flavor_id))


DELETE_FLAVOR: LiteralString = "DELETE FROM flavor WHERE id = %s"


def delete_flavor(tx: Transaction, flavor_id: str) -> bool:
    """Delete a flavor; instances keep their copy of its numbers."""
    return tx.execute(DELETE_FLAVOR, (flavor_id,)).rowcount == 1
