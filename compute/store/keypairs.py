"""Rows of key pairs: the public half only."""

from collections.abc import Sequence
from typing import LiteralString

from psycopg.rows import class_row

from compute.model import Keypair
from foundation.database import Transaction

INSERT_KEYPAIR: LiteralString = """
    INSERT INTO keypair (user_id, name, public_key, fingerprint, created_at) VALUES (%s, %s, %s, %s, %s)
    ON CONFLICT DO NOTHING
"""


def insert_keypair(tx: Transaction, keypair: Keypair) -> bool:
    """Write a key pair; False when the user has one of the name."""
    row = (keypair.user_id, keypair.name, keypair.public_key, keypair.fingerprint, keypair.created_at)
    return tx.execute(INSERT_KEYPAIR, row).rowcount == 1


SELECT_KEYPAIRS: LiteralString = """
    SELECT user_id, name, public_key, fingerprint, created_at FROM keypair
    WHERE user_id = %(user_id)s AND (%(name)s::text IS NULL OR name = %(name)s)
    ORDER BY name LIMIT 10000
"""


def list_keypairs(tx: Transaction, user_id: str, *, name: str | None = None) -> Sequence[Keypair]:
    """List a user's key pairs, or the one of a name."""
    with tx.cursor(row_factory=class_row(Keypair)) as cursor:
        return cursor.execute(SELECT_KEYPAIRS, {"user_id": user_id, "name": name}).fetchall()


DELETE_KEYPAIR: LiteralString = "DELETE FROM keypair WHERE user_id = %s AND name = %s"


def delete_keypair(tx: Transaction, user_id: str, *, name: str) -> bool:
    """Delete a key pair; False when there was none."""
    return tx.execute(DELETE_KEYPAIR, (user_id, name)).rowcount == 1
