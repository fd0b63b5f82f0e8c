"""The SQL of roles and who has them where."""

from collections.abc import Sequence
from typing import LiteralString

from psycopg.rows import class_row

from foundation.database import Transaction
from identity.model import ProjectId, Role, RoleAssignment, RoleId, UserId

INSERT_ROLE: LiteralString = "INSERT INTO role (id, name) VALUES (%s, %s) ON CONFLICT (name) DO NOTHING"


def ensure_role(tx: Transaction, role: Role) -> None:
    """Make a role unless one of its name is there."""
    tx.execute(INSERT_ROLE, (role.id, role.name))


SELECT_ROLES: LiteralString = (
    "SELECT id, name FROM role WHERE %(name)s::text IS NULL OR name = %(name)s ORDER BY name LIMIT 1000"
)


def list_roles(tx: Transaction, *, name: str | None = None) -> Sequence[Role]:
    """Return the roles, or the one of a name."""
    with tx.cursor(row_factory=class_row(Role)) as cursor:
        return cursor.execute(SELECT_ROLES, {"name": name}).fetchall()


SELECT_ROLE: LiteralString = "SELECT id, name FROM role WHERE id = %s"


def find_role(tx: Transaction, role_id: str) -> Role | None:
    """Return a role by its id."""
    with tx.cursor(row_factory=class_row(Role)) as cursor:
        return cursor.execute(SELECT_ROLE, (role_id,)).fetchone()


INSERT_ASSIGNMENT: LiteralString = """
    INSERT INTO role_assignment (user_id, project_id, role_id) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING
"""


def insert_assignment(tx: Transaction, *, user_id: UserId, project_id: ProjectId | None, role_id: RoleId) -> None:
    """Give a user a role in a project, or in the whole system."""
    tx.execute(INSERT_ASSIGNMENT, (user_id, project_id, role_id))


DELETE_ASSIGNMENT: LiteralString = """
    DELETE FROM role_assignment WHERE user_id = %s AND project_id IS NOT DISTINCT FROM %s::text AND role_id = %s
"""


def delete_assignment(tx: Transaction, *, user_id: UserId, project_id: ProjectId | None, role_id: RoleId) -> bool:
    """Take a role away; tell whether it was there."""
    return tx.execute(DELETE_ASSIGNMENT, (user_id, project_id, role_id)).rowcount == 1


SELECT_ASSIGNMENTS: LiteralString = """
    SELECT a.user_id, u.name AS user_name, a.project_id, p.name AS project_name, a.role_id, r.name AS role_name
    FROM role_assignment a
    JOIN user_account u ON u.id = a.user_id
    JOIN role r ON r.id = a.role_id
    LEFT JOIN project p ON p.id = a.project_id
    WHERE (%(user_id)s::text IS NULL OR a.user_id = %(user_id)s)
      AND (%(project_id)s::text IS NULL OR a.project_id = %(project_id)s)
      AND (%(role_id)s::text IS NULL OR a.role_id = %(role_id)s)
      AND (NOT %(system_only)s OR a.project_id IS NULL)
    ORDER BY u.name, p.name NULLS FIRST, r.name
    LIMIT %(limit)s
"""


def list_assignments(
    tx: Transaction,
    *,
    limit: int,
    user_id: str | None = None,
    project_id: str | None = None,
    role_id: str | None = None,
    system_only: bool = False,
) -> Sequence[RoleAssignment]:
    """Return who has which role where."""
    parameters = {
        "user_id": user_id,
        "project_id": project_id,
        "role_id": role_id,
        "system_only": system_only,
        "limit": limit,
    }
    with tx.cursor(row_factory=class_row(RoleAssignment)) as cursor:
        return cursor.execute(SELECT_ASSIGNMENTS, parameters).fetchall()
