"""One deadline over many statements: each is given what is left of it, by the database's clock."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

import psycopg

from alarms.store import deadlines as store
from foundation.database import Transaction
from foundation.statement_limits import limit_statements, statement_limit


class OutOfTime(Exception):
    """Nothing is left of the deadline, or a statement took all of it; it never leaves this package."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """Until when all of it must be read, and how long one statement may take of that."""

    until: datetime
    statement_s: float

    def begin(self, tx: Transaction) -> None:
        """Give the statements that follow what is left, each; raises OutOfTime where that is nothing."""
        if store.limit_statements_until(tx, self.until, most_s=self.statement_s) <= 0:
            raise OutOfTime

    def shorter(self, tx: Transaction, *, whole_s: float) -> "Deadline":
        """Return a deadline for a part of it, which ends with the whole at the latest."""
        return replace(self, until=min(self.until, store.instant_after(tx, whole_s)))


@contextmanager
def within(tx: Transaction, *, whole_s: float, statement_s: float) -> Generator[Deadline]:
    """Run a block against a deadline and give the transaction its own limit back.

    Whatever the block catches is undone by a savepoint of its own; what it does not catch ends the transaction, limits and all.
    """
    before = statement_limit(tx)
    yield Deadline(store.instant_after(tx, whole_s), statement_s)
    limit_statements(tx, before)


@contextmanager
def attempt(tx: Transaction) -> Generator[None]:
    """Run a block in a savepoint; a statement that was ended for its length becomes OutOfTime, and the savepoint is undone."""
    try:
        with tx.transaction():
            yield
    except psycopg.errors.QueryCanceled as error:
        raise OutOfTime from error
