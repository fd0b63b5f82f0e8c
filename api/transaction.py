"""One request, one transaction, committed before the first byte of the answer, so that a failing COMMIT is a 503 and never a lie.

A request waits for its connection outside the threads: threads that wait could keep those who have one from ever giving it back.
"""

from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from typing import Annotated

import psycopg
from fastapi import Depends, Request
from fastapi.concurrency import contextmanager_in_threadpool
from psycopg_pool import PoolTimeout, TooManyRequests

from api.context import context_of
from foundation.database import Isolation, Pool, Transaction, lent_connection, outage_of, set_isolation
from foundation.errors import Unavailable


@contextmanager
def connection_of(pool: Pool) -> Generator[Transaction]:
    """Lend a connection on which nothing has begun yet; whatever goes wrong with the database itself becomes Unavailable."""
    try:
        with lent_connection(pool) as connection:
            yield connection
    except (PoolTimeout, TooManyRequests) as error:
        raise Unavailable("the database does not answer; try again in a few seconds") from error
    except psycopg.OperationalError as error:
        outage = outage_of(error, advice="nothing was changed, try again")
        if outage is not None:
            raise outage from error
        raise


@contextmanager
def begun(connection: Transaction, isolation: Isolation) -> Generator[Transaction]:
    """Run one transaction on the request's connection; a COMMIT that fails is Unavailable, and whether it took place is said.

    The database that refuses a COMMIT has changed nothing; one that is gone in the middle of it may have kept the change.
    """
    if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        raise AssertionError("a request has one transaction: RequestTransaction or SnapshotTransaction, not both")
    set_isolation(connection, isolation)
    is_done = False
    try:
        with connection.transaction():
            yield connection
            is_done = True
    except psycopg.Error as error:
        if is_done and error.sqlstate is None:
            raise Unavailable(
                "the database was lost while it kept the change; look whether it is there before you try again"
            ) from error
        if is_done and not isinstance(error, psycopg.errors.DiskFull):
            raise Unavailable("the database could not keep the change; nothing was changed, try again") from error
        raise


async def lend_connection(request: Request) -> AsyncIterator[Transaction]:
    """Admit the request to the database and lend it a connection until the endpoint has returned."""
    context = context_of(request)
    async with context.connections.admitted(), contextmanager_in_threadpool(connection_of(context.pool)) as connection:
        yield connection


RequestConnection = Annotated[Transaction, Depends(lend_connection, scope="function")]


def begin_transaction(connection: RequestConnection) -> Iterator[Transaction]:
    """Begin the request's transaction, commit it when the endpoint has returned, roll it back when it raises."""
    with begun(connection, Isolation.READ_COMMITTED) as tx:
        yield tx


def begin_snapshot(connection: RequestConnection) -> Iterator[Transaction]:
    """Begin a read-only transaction that sees one instant throughout."""
    with begun(connection, Isolation.SNAPSHOT) as tx:
        yield tx


RequestTransaction = Annotated[Transaction, Depends(begin_transaction, scope="function")]
SnapshotTransaction = Annotated[Transaction, Depends(begin_snapshot, scope="function")]
