"""How long statements of a transaction may take, where that is less than the connection's own limit."""

from collections.abc import Callable
from typing import LiteralString, TypeVar

import psycopg

from foundation.database import Transaction

Result = TypeVar("Result")

STATEMENT_LIMIT: LiteralString = "SELECT current_setting('statement_timeout')"
LIMIT_STATEMENTS: LiteralString = "SELECT set_config('statement_timeout', %s, true)"


def statement_limit(tx: Transaction) -> str:
    """Return how long a statement of this transaction may take, as PostgreSQL writes it."""
    row = tx.execute(STATEMENT_LIMIT).fetchone()
    assert row is not None
    return str(row[0])


def limit_statements(tx: Transaction, length: str) -> None:
    """Let no statement take longer than that, until it is set again or the transaction or its savepoint is undone."""
    tx.execute(LIMIT_STATEMENTS, (length,))


def try_within(tx: Transaction, limit_ms: int, act: Callable[[], Result]) -> Result | None:
    """Do something whose statements may each take so long; return None, with nothing changed, where one takes longer.

    The transaction has its own limit back afterwards.
    """
    before = statement_limit(tx)
    try:
        with tx.transaction():
            limit_statements(tx, f"{limit_ms}ms")
            done = act()
            limit_statements(tx, before)
    except psycopg.errors.QueryCanceled:
        return None
    return done
