"""Rolling dirty marks up into rollups, one roller a shard."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager

import psycopg
from psycopg_pool import PoolTimeout, TooManyRequests

from foundation.database import Isolation, Pool, Transaction, lent_connection, outage_of, set_isolation
from foundation.errors import Unavailable
from metering.model import Backlog, RollUpResult
from metering.store import rollups
from metering.store.rollups import MarkSize

MARKS_MAX = 500
RANGES_MAX = 20_000
"""Ranges of one pass: a pass stays well below the statement timeout."""

TOO_LONG_DIVISOR = 32
"""By how much a pass that took too long is cut: three attempts lead from the most marks to one, well within a transaction."""


def dirty_shards(tx: Transaction) -> Sequence[int]:
    """Return the shards that have something to roll up, so that only those are woken, the one that waits longest first."""
    return rollups.list_dirty_shards(tx)


@contextmanager
def shard_lease(pool: Pool, shard: int) -> Generator[Transaction | None]:
    """Yield a snapshot transaction in which we alone roll this shard up, or None when another has it; commits on leaving.

    The session's lock is taken before the snapshot begins and given back after the commit, so that the next roller sees
    what this one wrote. A roller that dies loses its session and with it the lock. Raises Unavailable when the database is away.
    """
    try:
        with lent_connection(pool) as connection:
            connection.autocommit = True
            try:
                if not rollups.try_lock_shard(connection, shard):
                    yield None
                    return
                try:
                    set_isolation(connection, Isolation.REPEATABLE_READ)
                    with connection.transaction():
                        yield connection
                finally:
                    if not connection.broken:
                        rollups.unlock_shard(connection, shard)
            finally:
                if not connection.broken:
                    connection.autocommit = False
    except (PoolTimeout, TooManyRequests) as error:
        raise Unavailable("the database does not answer; the shard is rolled up at the next tick") from error
    except psycopg.OperationalError as error:
        outage = outage_of(error, advice="the shard is rolled up at the next tick")
        if outage is not None:
            raise outage from error
        raise


def roll_up_shard(tx: Transaction, *, shard: int, marks_max: int = MARKS_MAX) -> RollUpResult:
    """Recompute the buckets that the shard's oldest marks touch, and delete just those marks.

    The transaction is that of `shard_lease`: one snapshot for marks and raw, and nobody else on the shard's buckets.
    Where that takes too long, fewer marks are tried, and a mark that alone takes too long is split, so that none stops its shard.
    """
    waiting = rollups.list_marks(tx, shard, limit=marks_max + 1)
    claimed = first_within(waiting[:marks_max], ranges_max=RANGES_MAX)
    if not claimed:
        return RollUpResult(0, 0, more=False)
    buckets = rollups.try_recompute(tx, claimed)
    while buckets is None:
        if len(claimed) == 1:
            if rollups.split_mark(tx, claimed[0]):
                return RollUpResult(0, 0, more=True)
            buckets = rollups.recompute_marked(tx, claimed)
        else:
            claimed = claimed[: max(1, len(claimed) // TOO_LONG_DIVISOR)]
            buckets = rollups.try_recompute(tx, claimed)
    rollups.drop_marks(tx, claimed)
    return RollUpResult(len(claimed), buckets, more=len(waiting) > len(claimed))


def first_within(marks: Sequence[MarkSize], *, ranges_max: int) -> list[int]:
    """Return the first marks that together have at most so many ranges, and at least one."""
    claimed: list[int] = []
    ranges = 0
    for mark in marks:
        ranges += mark.ranges
        if claimed and ranges > ranges_max:
            break
        claimed.append(mark.id)
    return claimed


def backlog(tx: Transaction) -> Backlog:
    """Return how much waits to be rolled up."""
    marks, ranges = rollups.count_marks(tx)
    return Backlog(marks=marks, ranges=ranges, metrics=rollups.count_marked_metrics(tx))
