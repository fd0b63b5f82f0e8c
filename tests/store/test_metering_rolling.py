"""The roller's lease where the database itself is in trouble: said as every other transaction says it."""

import pytest

from foundation.database import Pool
from foundation.errors import Unavailable
from metering.service import shard_lease


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
            other.execute("SELECT pg_terminate_backend(%s)", (roller.info.backend_pid,))
        roller.execute("SELECT 1")
    with shard_lease(pool, 1) as again:
        assert again is not None
