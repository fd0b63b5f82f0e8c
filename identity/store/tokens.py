"""The SQL of tokens: validating one is a single query by primary key."""

from datetime import datetime
from typing import LiteralString

from psycopg.rows import class_row

from foundation.database import Transaction
from identity.model import ProjectId, Token, UserId

EXPIRED_DELETE_MAX = 10_000

SELECT_BY_HASH: LiteralString = """
    SELECT t.hash, t.audit_id, t.methods, t.user_id, u.name AS user_name, u.domain_id AS user_domain_id,
           t.project_id, p.name AS project_name, p.domain_id AS project_domain_id, t.is_system,
           ARRAY(SELECT r.name FROM role_assignment a JOIN role r ON r.id = a.role_id
                 WHERE a.user_id = t.user_id AND a.project_id IS NOT DISTINCT FROM t.project_id
                   AND (t.project_id IS NOT NULL OR t.is_system)
                 ORDER BY r.name) AS assigned_roles,
           t.issued_at, t.expires_at
    FROM token t
    JOIN user_account u ON u.id = t.user_id
    JOIN identity_domain ud ON ud.id = u.domain_id
    LEFT JOIN project p ON p.id = t.project_id
    LEFT JOIN identity_domain pd ON pd.id = p.domain_id
    WHERE t.hash = %(hash)s AND t.expires_at > %(now)s AND u.enabled AND ud.enabled
      AND (t.project_id IS NULL OR (p.enabled AND pd.enabled))
"""


def find_token(tx: Transaction, token_hash: bytes, *, now: datetime) -> Token | None:
    """Return a token that holds at this instant, with the roles its user has there now; a scope without a role holds no more."""
    with tx.cursor(row_factory=class_row(Token)) as cursor:
        token = cursor.execute(SELECT_BY_HASH, {"hash": token_hash, "now": now}).fetchone()
    if token is not None and not token.assigned_roles and (token.is_system or token.project_id is not None):
        return None
    return token


INSERT_HASH: LiteralString = """
    INSERT INTO token (hash, audit_id, methods, user_id, project_id, is_system, issued_at, expires_at)
    VALUES (%(hash)s, %(audit_id)s, %(methods)s, %(user_id)s, %(project_id)s, %(is_system)s, %(issued_at)s, %(expires_at)s)
"""


def insert_token(
    tx: Transaction,
    token_hash: bytes,
    *,
    audit_id: str,
    methods: list[str],
    user_id: UserId,
    project_id: ProjectId | None,
    is_system: bool,
    issued_at: datetime,
    expires_at: datetime,
) -> None:
    """Record a token by its hash."""
    parameters = {
        "hash": token_hash,
        "audit_id": audit_id,
        "methods": methods,
        "user_id": user_id,
        "project_id": project_id,
        "is_system": is_system,
        "issued_at": issued_at,
        "expires_at": expires_at,
    }
    tx.execute(INSERT_HASH, parameters)


DELETE_BY_HASH: LiteralString = "DELETE FROM token WHERE hash = %s"


def delete_token(tx: Transaction, token_hash: bytes) -> bool:
    """Revoke one token; tell whether it was there."""
    return tx.execute(DELETE_BY_HASH, (token_hash,)).rowcount == 1


DELETE_OF_USER: LiteralString = "DELETE FROM token WHERE user_id = %s"


def delete_user_tokens(tx: Transaction, user_id: UserId) -> int:
    """Revoke every token of a user; return how many."""
    return tx.execute(DELETE_OF_USER, (user_id,)).rowcount


DELETE_OF_PROJECT: LiteralString = "DELETE FROM token WHERE project_id = %s"


def delete_project_tokens(tx: Transaction, project_id: ProjectId) -> int:
    """Revoke every token scoped to a project; return how many."""
    return tx.execute(DELETE_OF_PROJECT, (project_id,)).rowcount


DELETE_EXPIRED: LiteralString = """
    DELETE FROM token WHERE hash IN (SELECT hash FROM token WHERE expires_at <= %(now)s LIMIT %(limit)s)
"""


def delete_expired_tokens(tx: Transaction, *, now: datetime) -> int:
    """Forget tokens that have expired, at most EXPIRED_DELETE_MAX a call; return how many."""
    return tx.execute(DELETE_EXPIRED, {"now": now, "limit": EXPIRED_DELETE_MAX}).rowcount
