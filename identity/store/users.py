"""The SQL of users; a password's hash is read by signing in alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

from psycopg.rows import class_row

from foundation.database import Transaction
from identity.model import ProjectId, User, UserId


@dataclass(frozen=True, slots=True)
class Login:
    """What signing in needs to know of a user."""

    user_id: UserId
    password_hash: str | None
    default_project_id: ProjectId | None


INSERT_USER: LiteralString = """
    INSERT INTO user_account (id, name, domain_id, description, email, enabled, default_project_id, created_at, password_hash)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (domain_id, name) DO NOTHING
"""


def insert_user(tx: Transaction, user: User, *, password_hash: str | None) -> bool:
    """Write a user; False where its name is taken in the domain."""
    values = (
        user.id,
        user.name,
        user.domain_id,
        user.description,
        user.email,
        user.enabled,
        user.default_project_id,
        user.created_at,
        password_hash,
    )
    return tx.execute(INSERT_USER, values).rowcount == 1


SELECT_LOGIN: LiteralString = """
    SELECT u.id AS user_id, u.password_hash, u.default_project_id
    FROM user_account u JOIN identity_domain d ON d.id = u.domain_id
    WHERE u.enabled AND d.enabled
      AND (u.id = %(id)s
           OR (u.name = %(name)s AND (d.id = %(domain_id)s OR lower(d.name) = lower(%(domain_name)s))))
"""


def find_login(
    tx: Transaction,
    *,
    user_id: str | None = None,
    name: str | None = None,
    domain_id: str | None = None,
    domain_name: str | None = None,
) -> Login | None:
    """Return an enabled user's login by id, or by name in a domain."""
    parameters = {"id": user_id, "name": name, "domain_id": domain_id, "domain_name": domain_name}
    with tx.cursor(row_factory=class_row(Login)) as cursor:
        return cursor.execute(SELECT_LOGIN, parameters).fetchone()


HOLD_LOGIN: LiteralString = """
    SELECT u.id AS user_id, u.password_hash, u.default_project_id
    FROM user_account u JOIN identity_domain d ON d.id = u.domain_id
    WHERE u.enabled AND d.enabled AND u.id = %s
    FOR SHARE OF u
"""


def hold_login(tx: Transaction, user_id: UserId) -> Login | None:
    """Return an enabled user's login as it is now, after any change that is under way, and let nobody change it until the transaction ends."""
    with tx.cursor(row_factory=class_row(Login)) as cursor:
        return cursor.execute(HOLD_LOGIN, (user_id,)).fetchone()


SELECT_USER: LiteralString = """
    SELECT id, name, domain_id, description, email, enabled, default_project_id, created_at FROM user_account WHERE id = %s
"""


def find_user(tx: Transaction, user_id: str) -> User | None:
    """Return a user by its id."""
    with tx.cursor(row_factory=class_row(User)) as cursor:
        return cursor.execute(SELECT_USER, (user_id,)).fetchone()


SELECT_USERS: LiteralString = """
    SELECT id, name, domain_id, description, email, enabled, default_project_id, created_at
    FROM user_account
    WHERE (%(name)s::text IS NULL OR name = %(name)s)
      AND (%(domain_id)s::text IS NULL OR domain_id = %(domain_id)s)
      AND (%(enabled)s::boolean IS NULL OR enabled = %(enabled)s)
      AND (%(marker)s::text IS NULL OR id > %(marker)s)
    ORDER BY id
    LIMIT %(limit)s
"""


def list_users(
    tx: Transaction,
    *,
    limit: int,
    marker: str | None = None,
    name: str | None = None,
    domain_id: str | None = None,
    enabled: bool | None = None,
) -> Sequence[User]:
    """Return users in order of their ids."""
    parameters = {"name": name, "domain_id": domain_id, "enabled": enabled, "marker": marker, "limit": limit}
    with tx.cursor(row_factory=class_row(User)) as cursor:
        return cursor.execute(SELECT_USERS, parameters).fetchall()


UPDATE_USER: LiteralString = """
    UPDATE user_account
    SET name = %s, description = %s, email = %s, enabled = %s, default_project_id = %s
    WHERE id = %s
"""


def update_user(tx: Transaction, user: User) -> None:
    """Write a user's changeable parts."""
    values = (user.name, user.description, user.email, user.enabled, user.default_project_id, user.id)
    tx.execute(UPDATE_USER, values)


UPDATE_HASH: LiteralString = "UPDATE user_account SET password_hash = %s WHERE id = %s"


def update_password_hash(tx: Transaction, user_id: UserId, password_hash: str) -> None:
    """Replace a user's password."""
    tx.execute(UPDATE_HASH, (password_hash, user_id))


REPLACE_HASH: LiteralString = "UPDATE user_account SET password_hash = %s WHERE id = %s AND password_hash = %s"


def replace_password_hash(tx: Transaction, verified: Login, password_hash: str) -> bool:
    """Replace the password that was verified; False, and nothing changed, where the user has another one by now."""
    return tx.execute(REPLACE_HASH, (password_hash, verified.user_id, verified.password_hash)).rowcount == 1


DELETE_USER: LiteralString = "DELETE FROM user_account WHERE id = %s"


def delete_user(tx: Transaction, user_id: UserId) -> None:
    """Delete a user with its role assignments and tokens."""
    tx.execute(DELETE_USER, (user_id,))
