"""Reads the database's clock: the one that all machines of an installation share, for what one of them writes and another compares."""

from datetime import datetime
from typing import LiteralString

from foundation.database import Transaction

READ_CLOCK: LiteralString = "SELECT clock_timestamp()"


def database_now(tx: Transaction) -> datetime:
    """Return the present instant as the database has it, aware and in UTC."""
    row = tx.execute(READ_CLOCK).fetchone()
    assert row is not None
    return row[0]
