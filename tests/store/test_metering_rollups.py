"""Rollups on a real TimescaleDB: the same whatever the order, never behind, and never losing a mark."""

from collections.abc import Generator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.database import Pool, Transaction, transaction
from foundation.ids import new_id
from metering.counters import Reading, increases_of
from metering.model import SHARD_COUNT, Sample
from metering.rollups import bucket_start_us
from metering.samples import instant_of, microseconds_of
from metering.service import ingest_samples, roll_up_shard, shard_lease
from metering.store import rollups
from metering.store.series import SeriesAsked, read_buckets
from tests.conftest import own_pool
from tests.metering_builders import RECEIVED_AT, a_sample, at

MINUTE_US = 60_000_000


@pytest.fixture(scope="module")
def pool(cluster_url: str) -> Generator[Pool]:
    """A database of these tests alone: they mind what others have left."""
    with own_pool(cluster_url) as opened:
        yield opened


def roll_up_all(tx: Transaction) -> int:
    """Roll up every shard inside the test's transaction."""
    return sum(roll_up_shard(tx, shard=shard).buckets for shard in range(SHARD_COUNT))


def rollup_rows(tx: Transaction, resource_id: object) -> Sequence[Any]:
    """Return a resource's rollups as text, to the bit."""
    return tx.execute(
        """SELECT granularity_us, bucket, count, sum::text, min::text, max::text, first::text, last::text,
            deviation_sq::text, increase_count, increase_sum::text, increase_min::text, increase_max::text,
            increase_first::text, increase_last::text, increase_deviation_sq::text, increase_elapsed_s::text
        FROM rollup r JOIN metric c ON c.key = r.metric_key WHERE c.resource_id = %s ORDER BY c.name, 1, 2""",
        (resource_id,),
    ).fetchall()


def key_of(tx: Transaction, resource_id: object, name: str = "cpu") -> int:
    """Return a metric's key."""
    row = tx.execute("SELECT key FROM metric WHERE resource_id = %s AND name = %s", (resource_id, name)).fetchone()
    assert row is not None
    return int(row[0])


def points(tx: Transaction, key: int, method: str) -> list[tuple[float, float]]:
    """Return a metric's minutes of the first hours as (seconds since T0, value)."""
    read = read_buckets(tx, [SeriesAsked(key, MINUTE_US, at(-7200), at(86400))], method=method)
    return [
        ((us - microseconds_of(at(0))) / 1e6, value)
        for us, value in zip(read.buckets_us.tolist(), read.values.tolist(), strict=True)
    ]


readings = st.lists(
    st.tuples(
        st.integers(0, 400),
        st.sampled_from([0, 0, 1_700_000_000_000_000, 1_700_000_100_000_000]),
        st.floats(-1e6, 1e18, allow_nan=False),
        st.booleans(),
    ),
    min_size=1,
    max_size=25,
    unique_by=lambda r: (r[0], r[1]),
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(rows=readings, data=st.data(), meter=st.sampled_from(["cpu", "memory.usage"]))
def test_any_order_batching_and_repetition_gives_identical_rollups(
    tx: Transaction, rows: list[tuple[int, int, float, bool]], data: st.DataObject, meter: str
) -> None:
    one, other = new_id(), new_id()

    def samples(resource: Any) -> list[Sample]:
        return [
            a_sample(second, value, resource_id=resource, meter=meter, boot_epoch=boot, adopted=adopted)
            for second, boot, value, adopted in rows
        ]

    ingest_samples(tx, samples(one), received_at=RECEIVED_AT)
    roll_up_all(tx)
    shuffled = data.draw(st.permutations(samples(other)))
    repeated = [*shuffled, *data.draw(st.lists(st.sampled_from(shuffled), max_size=10))]
    while repeated:
        size = data.draw(st.integers(1, len(repeated)))
        ingest_samples(tx, repeated[:size], received_at=RECEIVED_AT)
        repeated = repeated[size:]
        if data.draw(st.booleans()):
            roll_up_all(tx)
    assert points(tx, key_of(tx, other, meter), "rate:sum") == points(tx, key_of(tx, one, meter), "rate:sum")
    roll_up_all(tx)
    assert rollup_rows(tx, other) == rollup_rows(tx, one)
    assert_like_the_oracle(tx, one, rows, meter)


def assert_like_the_oracle(
    tx: Transaction, resource: Any, rows: list[tuple[int, int, float, bool]], meter: str
) -> None:
    meter_type = "cumulative" if meter == "cpu" else "gauge"
    traced = increases_of([Reading(at(s), boot, value + 0.0, adopted) for s, boot, value, adopted in rows], meter_type)
    for granularity_us in (MINUTE_US, 3600 * 1_000_000):
        buckets: dict[int, list[Any]] = {}
        for reading, increase in traced:
            start = bucket_start_us(microseconds_of(reading.observed_at), granularity_us)
            buckets.setdefault(start, []).append((reading, increase))
        stored = {row[1]: row for row in rollup_rows(tx, resource) if row[0] == granularity_us}
        assert set(stored) == {instant_of(start) for start in buckets}
        for start, members in buckets.items():
            row = stored[instant_of(start)]
            values = [reading.value for reading, _ in members]
            increases = [increase for _, increase in members if increase is not None]
            total = 0.0
            for value in values:
                total += value
            assert row[2] == len(values)
            assert [float(x) for x in row[3:8]] == [total, min(values), max(values), values[0], values[-1]]
            assert row[9] == len(increases)
            if increases:
                risen = 0.0
                for increase in increases:
                    risen += increase.amount
                assert float(row[10]) == risen
                assert float(row[13]) == increases[0].amount
                assert float(row[14]) == increases[-1].amount
                assert float(row[16]) == pytest.approx(sum(i.elapsed_s for i in increases))


def test_what_was_acknowledged_is_visible_before_it_is_rolled_up_and_the_same_after(tx: Transaction) -> None:
    resource = new_id()
    ingest_samples(tx, [a_sample(s, s * 10, resource_id=resource) for s in (0, 30, 60, 90)], received_at=RECEIVED_AT)
    key = key_of(tx, resource)
    before = {method: points(tx, key, method) for method in ("mean", "sum", "rate:mean", "std", "last", "count")}
    assert before["mean"] == [(0, 150), (60, 750)]
    assert before["rate:mean"] == [(0, 300), (60, 300)]
    roll_up_all(tx)
    assert {method: points(tx, key, method) for method in before} == before
    late = a_sample(45, 400, resource_id=resource)
    ingest_samples(tx, [late], received_at=RECEIVED_AT)
    assert points(tx, key, "rate:sum") == [(0, 400), (60, 500)]
    roll_up_all(tx)
    assert points(tx, key, "rate:sum") == [(0, 400), (60, 500)]


def test_an_ingest_that_is_open_across_a_rollup_loses_nothing(pool: Pool) -> None:
    resource = new_id()
    try:
        with transaction(pool) as tx:
            ingest_samples(tx, [a_sample(0, 1, resource_id=resource)], received_at=RECEIVED_AT)
            key = key_of(tx, resource)
        with transaction(pool) as slow:
            ingest_samples(slow, [a_sample(10, 5, resource_id=resource)], received_at=RECEIVED_AT)
            roll_up_everything(pool)
            with transaction(pool) as tx:
                assert points(tx, key, "count") == [(0, 1)]
        with transaction(pool) as tx:
            assert points(tx, key, "count") == [(0, 2)], "a read is never behind an acknowledged write"
        roll_up_everything(pool)
        with transaction(pool) as tx:
            assert [(row[0], row[2]) for row in rollup_rows(tx, resource)] == [(MINUTE_US, 2), (3600_000_000, 2)]
            assert tx.execute("SELECT count(*) FROM dirty_mark").fetchone() == (0,)
    finally:
        forget(pool, resource)


def test_an_ingest_that_commits_while_a_roller_works_is_rolled_up_by_the_next(pool: Pool) -> None:
    resource = new_id()
    roll_up_everything(pool)
    try:
        with transaction(pool) as tx:
            ingest_samples(tx, [a_sample(0, 1, resource_id=resource)], received_at=RECEIVED_AT)
            key = key_of(tx, resource)
        shard = key % SHARD_COUNT
        with shard_lease(pool, shard) as roller:
            assert roller is not None
            roller.execute("SELECT count(*) FROM dirty_mark")
            with transaction(pool) as tx:
                ingest_samples(tx, [a_sample(20, 9, resource_id=resource)], received_at=RECEIVED_AT)
            assert roll_up_shard(roller, shard=shard).marks == 1
        with transaction(pool) as tx:
            assert points(tx, key, "count") == [(0, 2)]
        with shard_lease(pool, shard) as roller:
            assert roller is not None
            assert roll_up_shard(roller, shard=shard).marks == 1
        with transaction(pool) as tx:
            assert [row[2] for row in rollup_rows(tx, resource)] == [2, 2]
    finally:
        forget(pool, resource)


def test_only_one_roller_works_on_a_shard_and_a_dead_one_gives_it_back(pool: Pool) -> None:
    with shard_lease(pool, 3) as first:
        assert first is not None
        with shard_lease(pool, 3) as second:
            assert second is None
        with shard_lease(pool, 4) as other:
            assert other is not None
    with pytest.raises(ZeroDivisionError), shard_lease(pool, 3):
        raise ZeroDivisionError
    with shard_lease(pool, 3) as again:
        assert again is not None


def test_a_pass_takes_no_more_marks_than_it_may_and_says_that_more_are_left(tx: Transaction) -> None:
    resource = new_id()
    for second in range(3):
        ingest_samples(tx, [a_sample(second, second, resource_id=resource)], received_at=RECEIVED_AT)
    shard = key_of(tx, resource) % SHARD_COUNT
    assert roll_up_shard(tx, shard=shard, marks_max=2).more
    assert not roll_up_shard(tx, shard=shard, marks_max=2).more
    assert roll_up_shard(tx, shard=shard).marks == 0


def test_a_pass_that_takes_too_long_is_tried_smaller_until_its_marks_are_done(
    tx: Transaction, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = new_id()
    samples = [a_sample(s, s, resource_id=resource, boot_epoch=1_700_000_000_000_000) for s in range(0, 900, 10)]
    ingest_samples(tx, samples, received_at=RECEIVED_AT)
    for second in (5, 15):
        ingest_samples(tx, [a_sample(second, second, resource_id=resource)], received_at=RECEIVED_AT)
    key = key_of(tx, resource)
    shard = key % SHARD_COUNT
    measure = "SELECT sum(extract(epoch FROM l - f)) > 100 FROM dirty_mark, unnest(first_ats, last_ats) AS u (f, l)"
    measure += " WHERE id = ANY(%(ids)s)"
    real = rollups.recompute_marked

    def recompute_slowly(tx: Transaction, mark_ids: Sequence[int]) -> int:
        if tx.execute(measure, {"ids": list(mark_ids)}).fetchone() == (True,):
            tx.execute("SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(60)")  # ends it as its limit would
        return real(tx, mark_ids)

    monkeypatch.setattr(rollups, "recompute_marked", recompute_slowly)
    for _ in range(60):
        if not roll_up_shard(tx, shard=shard).more:
            break
    assert roll_up_shard(tx, shard=shard).marks == 0, "no mark may stop its shard for good"
    assert sum(row[2] for row in rollup_rows(tx, resource) if row[0] == MINUTE_US) == 92


def roll_up_everything(pool: Pool) -> None:
    """Roll up what any test has committed, until no mark is left."""
    for shard in range(SHARD_COUNT):
        is_more = True
        while is_more:
            with shard_lease(pool, shard) as roller:
                assert roller is not None
                is_more = roll_up_shard(roller, shard=shard).more


def forget(pool: Pool, resource: object) -> None:
    """Remove what a test committed."""
    with transaction(pool) as tx:
        for table in ("measure", "rollup"):
            tx.execute(
                f"DELETE FROM {table} WHERE metric_key IN (SELECT key FROM metric WHERE resource_id = %s)",
                (resource,),
            )
        tx.execute("DELETE FROM metric WHERE resource_id = %s", (resource,))
        tx.execute("DELETE FROM resource_revision WHERE id = %s", (resource,))
        tx.execute("DELETE FROM resource WHERE id = %s", (resource,))
