"""The roller's lease where the database itself is in trouble: said as every other transaction says it."""

import pytest

from foundation.database import Pool, Transaction
from foundation.errors import Unavailable
from metering.rollups import DirtyRanges
from metering.service import dirty_shards, shard_lease
from metering.store.measures import mark_dirty


def test_a_full_disk_under_a_roller_is_said_to_be_one(pool: Pool) -> None:
    with pytest.raises(Unavailable, match="disk is full") as raised, shard_lease(pool, 1) as roller:
        assert roller is not None
        roller.execute("DO $$ BEGIN RAISE disk_full; END $$")
    assert raised.value.retry_after_s >= 60
    with shard_lease(pool, 1) as again:
        assert again is not None, "the shard was given back"


def test_a_roller_whose_connection_dies_leaves_its_shard_to_the_next(pool: Pool) -> None:
    with pytest.raises(Unavailable, match="rolled up at the next tick"), shard_lease(pool, 1) as roller:
        assert roller is not None
        with shard_lease(pool, 2) as other:
            assert other is not None
            other.execute("SELECT pg_terminate_backend(%s, 20000)", (roller.info.backend_pid,))
        roller.execute("SELECT 1")
    with shard_lease(pool, 1) as again:
        assert again is not None


def test_the_shard_that_waits_longest_is_named_first(tx: Transaction) -> None:
    tx.execute("DELETE FROM dirty_mark")
    for shard in (5, 2, 7, 2, 5):
        mark_dirty(tx, [DirtyRanges(shard, [shard], [0], [1])])
    assert dirty_shards(tx) == [5, 2, 7]
