"""The database: a bounded pool, and one transaction a use case."""

from collections.abc import Generator
from contextlib import contextmanager
from enum import Enum
from typing import Any, LiteralString, TypeAlias

import psycopg
from psycopg import IsolationLevel
from psycopg_pool import ConnectionPool, PoolTimeout, TooManyRequests

from foundation.errors import Unavailable

CONNECT_WAIT_S_MAX = 3.0
POOL_WAITING_MAX = 200
STATEMENT_TIMEOUT_MS = 30_000
TRANSACTION_TIMEOUT_MS = 60_000
DISK_FULL_RETRY_S = 60
SET_FORMS: LiteralString = (
    "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, MDY'; SET IntervalStyle = 'postgres';"
    " SET extra_float_digits = 1; SET standard_conforming_strings = on"
)
"""The zone and the forms in which values come and go, whatever the server, the database, the role or PGTZ and its kin prefer.

They are set by a statement, since libpq's environment variables overrule what a connection is opened with. Money depends
on them: a float whose digits are cut becomes another Decimal.
"""

Transaction: TypeAlias = psycopg.Connection[tuple[Any, ...]]
"""A connection inside an open transaction. Services take it first and never commit."""

Pool: TypeAlias = ConnectionPool[Transaction]


class Isolation(Enum):
    """What a transaction sees; SNAPSHOT is one instant for every statement in it, and writes nothing."""

    READ_COMMITTED = "read committed"
    REPEATABLE_READ = "repeatable read"
    SNAPSHOT = "snapshot"


def open_pool(
    url: str,
    *,
    size_max: int,
    application_name: str,
    size_min: int = 1,
    transaction_timeout_ms: int = TRANSACTION_TIMEOUT_MS,
) -> Pool:
    """Open a pool whose connections work in UTC and in our forms, are checked before use, and end a transaction that hangs.

    The pool opens although the database is away, so that a process can start before it; a use then raises Unavailable.
    """
    options = (
        f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c transaction_timeout={transaction_timeout_ms}"
        " -c idle_in_transaction_session_timeout=30000"
    )

    def check(connection: Transaction) -> None:
        """Check a connection before use; where one is dead, replace all that died with it: the pool would take a second for each."""
        try:
            ConnectionPool.check_connection(connection)
        except psycopg.OperationalError:
            pool.check()
            raise

    pool: Pool = ConnectionPool(
        url,
        min_size=size_min,
        max_size=size_max,
        max_waiting=POOL_WAITING_MAX,
        timeout=CONNECT_WAIT_S_MAX,
        configure=set_forms,
        check=check,
        kwargs={
            "application_name": application_name,
            "options": options,
            "client_encoding": "UTF8",
            "connect_timeout": 3,
        },
        open=False,
    )
    pool.open(wait=False)
    return pool


def set_forms(connection: Transaction) -> None:
    """Make a new connection independent of how others like to see values."""
    connection.autocommit = True
    connection.execute(SET_FORMS)
    connection.autocommit = False


@contextmanager
def transaction(pool: Pool, isolation: Isolation = Isolation.READ_COMMITTED) -> Generator[Transaction]:
    """Run one transaction: committed when the block ends, rolled back when it raises.

    Raises Unavailable when the database is away or refuses, also at COMMIT: then nobody may be told that the work is done.
    """
    try:
        with lent_connection(pool, isolation) as connection, connection.transaction():
            yield connection
    except (PoolTimeout, TooManyRequests) as error:
        raise Unavailable("the database does not answer; try again in a few seconds") from error
    except psycopg.OperationalError as error:
        outage = outage_of(error, advice="look whether the change is there before you try again")
        if outage is not None:
            raise outage from error
        raise


@contextmanager
def lent_connection(pool: Pool, isolation: Isolation = Isolation.READ_COMMITTED) -> Generator[Transaction]:
    """Lend a connection on which nothing has begun; every loan starts here, since a connection keeps what its last user had set."""
    with pool.connection() as connection:
        set_isolation(connection, isolation)
        yield connection


def set_isolation(connection: Transaction, isolation: Isolation) -> None:
    """Set what the next transaction of a connection sees."""
    connection.isolation_level = (
        IsolationLevel.READ_COMMITTED if isolation is Isolation.READ_COMMITTED else IsolationLevel.REPEATABLE_READ
    )
    connection.read_only = isolation is Isolation.SNAPSHOT


def outage_of(error: psycopg.Error, *, advice: str) -> Unavailable | None:
    """Say what is the matter with the database itself, with advice where the connection is lost; None for an error in what was asked."""
    if isinstance(error, psycopg.errors.DiskFull):
        return Unavailable(
            "the database's disk is full; nothing was changed, and nothing can be until its operator has made room",
            retry_after_s=DISK_FULL_RETRY_S,
        )
    if isinstance(error, psycopg.errors.QueryCanceled):
        return Unavailable(
            "the database took too long for this and was stopped, nothing was changed: ask for less at once "
            "(a shorter time, fewer things), or try again when it is less busy"
        )
    if isinstance(error, psycopg.OperationalError) and is_outage(error):
        return Unavailable(f"the database ended the connection; {advice}")
    return None


def is_outage(error: psycopg.OperationalError) -> bool:
    """Tell a database that is away, full or shutting down from an error in what was asked of it."""
    state = error.sqlstate
    return state is None or state[:2] in {"08", "53", "57", "58"} or state in {"25P03", "25P04"}
