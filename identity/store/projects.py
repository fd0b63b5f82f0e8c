"""The SQL of domains and projects."""

from collections.abc import Sequence
from typing import LiteralString

from psycopg.rows import class_row

from foundation.database import Transaction
from identity.model import Domain, DomainId, Project, ProjectId, UserId

UPSERT_DOMAIN: LiteralString = "INSERT INTO identity_domain (id, name) VALUES (%s, %s) ON CONFLICT (id) DO NOTHING"


def ensure_domain(tx: Transaction, domain_id: DomainId, name: str) -> None:
    """Make a domain unless it is there."""
    tx.execute(UPSERT_DOMAIN, (domain_id, name))


SELECT_DOMAINS: LiteralString = "SELECT id, name, description, enabled FROM identity_domain ORDER BY name LIMIT 1000"


def list_domains(tx: Transaction) -> Sequence[Domain]:
    """Return every domain."""
    with tx.cursor(row_factory=class_row(Domain)) as cursor:
        return cursor.execute(SELECT_DOMAINS).fetchall()


INSERT_PROJECT: LiteralString = """
    INSERT INTO project (id, name, domain_id, description, enabled, created_at)
    VALUES (%s, %s, %s, %s, %s, %s)
    ON CONFLICT (domain_id, name) DO NOTHING
"""


def insert_project(tx: Transaction, project: Project) -> bool:
    """Write a project; False where its name is taken in the domain."""
    values = (project.id, project.name, project.domain_id, project.description, project.enabled, project.created_at)
    return tx.execute(INSERT_PROJECT, values).rowcount == 1


SELECT_PROJECT: LiteralString = """
    SELECT id, name, domain_id, description, enabled, created_at FROM project WHERE id = %s
"""


def find_project(tx: Transaction, project_id: str) -> Project | None:
    """Return a project by its id."""
    with tx.cursor(row_factory=class_row(Project)) as cursor:
        return cursor.execute(SELECT_PROJECT, (project_id,)).fetchone()


KNOWN_PROJECTS: LiteralString = "SELECT id FROM project WHERE id = ANY(%s)"


def known_projects(tx: Transaction, ids: Sequence[str]) -> frozenset[str]:
    """Return which of the projects there are."""
    return frozenset(row[0] for row in tx.execute(KNOWN_PROJECTS, (list(ids),)))


HOLD_PROJECT: LiteralString = "SELECT 1 FROM project WHERE id = %s FOR KEY SHARE"


def hold_project(tx: Transaction, project_id: str) -> bool:
    """Let nobody delete the project until the transaction ends; False where there is no such project any more."""
    return tx.execute(HOLD_PROJECT, (project_id,)).fetchone() is not None


LOCK_PROJECT: LiteralString = "SELECT 1 FROM project WHERE id = %s FOR UPDATE"


def lock_project(tx: Transaction, project_id: str) -> bool:
    """Wait for everybody who holds the project and let nobody hold it any more; False where there is no such project."""
    return tx.execute(LOCK_PROJECT, (project_id,)).fetchone() is not None


SELECT_PROJECT_BY_NAME: LiteralString = """
    SELECT p.id, p.name, p.domain_id, p.description, p.enabled, p.created_at
    FROM project p JOIN identity_domain d ON d.id = p.domain_id
    WHERE p.name = %(name)s AND (d.id = %(domain_id)s OR lower(d.name) = lower(%(domain_name)s))
"""


def find_project_by_name(
    tx: Transaction, name: str, *, domain_id: str | None = None, domain_name: str | None = None
) -> Project | None:
    """Return a project by its name in a domain, which is named by id or by name."""
    with tx.cursor(row_factory=class_row(Project)) as cursor:
        parameters = {"name": name, "domain_id": domain_id, "domain_name": domain_name}
        return cursor.execute(SELECT_PROJECT_BY_NAME, parameters).fetchone()


SELECT_PROJECTS: LiteralString = """
    SELECT p.id, p.name, p.domain_id, p.description, p.enabled, p.created_at
    FROM project p
    WHERE (%(name)s::text IS NULL OR p.name = %(name)s)
      AND (%(domain_id)s::text IS NULL OR p.domain_id = %(domain_id)s)
      AND (%(enabled)s::boolean IS NULL OR p.enabled = %(enabled)s)
      AND (%(member_id)s::text IS NULL
           OR EXISTS (SELECT FROM role_assignment a WHERE a.project_id = p.id AND a.user_id = %(member_id)s))
      AND (%(marker)s::text IS NULL OR p.id > %(marker)s)
    ORDER BY p.id
    LIMIT %(limit)s
"""


def list_projects(
    tx: Transaction,
    *,
    limit: int,
    marker: str | None = None,
    name: str | None = None,
    domain_id: str | None = None,
    enabled: bool | None = None,
    member_id: UserId | None = None,
) -> Sequence[Project]:
    """Return projects in order of their ids; with member_id those in which the user has a role."""
    parameters = {
        "name": name,
        "domain_id": domain_id,
        "enabled": enabled,
        "member_id": member_id,
        "marker": marker,
        "limit": limit,
    }
    with tx.cursor(row_factory=class_row(Project)) as cursor:
        return cursor.execute(SELECT_PROJECTS, parameters).fetchall()


UPDATE_PROJECT: LiteralString = "UPDATE project SET name = %s, description = %s, enabled = %s WHERE id = %s"


def update_project(tx: Transaction, project: Project) -> None:
    """Write a project's changeable parts."""
    tx.execute(UPDATE_PROJECT, (project.name, project.description, project.enabled, project.id))


DELETE_PROJECT: LiteralString = "DELETE FROM project WHERE id = %s"


def delete_project(tx: Transaction, project_id: ProjectId) -> None:
    """Delete a project with its role assignments and tokens; what other packages keep under its id stays theirs."""
    tx.execute(DELETE_PROJECT, (project_id,))
