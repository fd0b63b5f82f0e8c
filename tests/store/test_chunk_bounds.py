"""How many chunks of raw samples one request opens: what events bring and what is read of raw are bounded, what is rolled up is not."""

from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from math import isclose

import pytest

from foundation.database import Pool, Transaction, transaction
from foundation.errors import Invalid
from metering.model import SHARD_COUNT
from metering.service import roll_up_shard
from metering.store.chunks import CHUNKS_A_READ_MAX
from metering.store.series import SeriesAsked, read_buckets, read_percentiles
from tests.conftest import own_pool
from tests.event_builders import make_meter, outcomes, send, wire
from tests.metering_builders import a_project

WEEK = timedelta(days=7)
WEEKS = CHUNKS_A_READ_MAX + 12
FIRST = datetime(2020, 1, 2, tzinfo=UTC)
LAST = FIRST + WEEKS * WEEK
DAY_US, UNKEPT_US = 86_400_000_000, 7_200_000_000

MAKE_METRIC = """
    INSERT INTO metric (id, archive_policy_name, created_by_user_id, created_by_project_id)
    VALUES (gen_random_uuid(), 'daily', 'u', 'p') RETURNING key
"""
MAKE_POLICY = """
    WITH made AS (INSERT INTO archive_policy (name, back_window, aggregation_methods) VALUES ('daily', 0, '{mean,median}'))
    INSERT INTO archive_policy_granularity (archive_policy_name, granularity_us, points) VALUES ('daily', %s, 10000)
"""
FILL = """
    INSERT INTO measure (metric_key, observed_at, boot_epoch, value, adopted)
    SELECT %(key)s, %(first)s + n * INTERVAL '7 days' + v * INTERVAL '1 hour', 0, n + v, false
    FROM generate_series(0, %(weeks)s - 1) n, generate_series(0, 2) v
"""
MARK = """
    INSERT INTO dirty_mark (shard, metric_keys, first_ats, last_ats)
    VALUES (%(key)s %% 8, ARRAY[%(key)s::bigint], ARRAY[%(first)s::timestamptz], ARRAY[%(last)s::timestamptz])
"""
COUNT_OPENED = """
    SELECT count(DISTINCT c.chunk_name) FROM pg_locks l
    JOIN timescaledb_information.chunks c
        ON format('%I.%I', c.chunk_schema, c.chunk_name)::regclass = l.relation AND c.hypertable_name = 'measure'
    WHERE l.pid = pg_backend_pid()
"""


@pytest.fixture(scope="module")
def filled(cluster_url: str) -> Generator[tuple[Pool, int]]:
    """A database of these tests alone: a metric with samples in more weeks than one read may open, and its key."""
    with own_pool(cluster_url) as pool:
        with transaction(pool) as tx:
            tx.execute(MAKE_POLICY, (DAY_US,))
            row = tx.execute(MAKE_METRIC).fetchone()
            assert row is not None
            tx.execute(FILL, {"key": row[0], "first": FIRST, "weeks": WEEKS})
            tx.execute(MARK, {"key": row[0], "first": FIRST, "last": LAST})
        yield pool, row[0]


def test_a_median_over_too_many_weeks_is_refused_with_the_mend_and_one_over_fewer_is_answered(
    filled: tuple[Pool, int],
) -> None:
    pool, key = filled
    with transaction(pool) as tx:
        with pytest.raises(
            Invalid, match=f"{WEEKS} different weeks there.*at most {CHUNKS_A_READ_MAX} weeks.*start and stop"
        ):
            read_percentiles(
                tx, [SeriesAsked(key, DAY_US, datetime(1970, 1, 1, tzinfo=UTC), LAST)], fraction=0.5, is_rate=False
            )
        with pytest.raises(Invalid, match="different weeks there"):
            read_percentiles(tx, [SeriesAsked(key, DAY_US, FIRST, LAST)], fraction=0.5, is_rate=True)
        asked = SeriesAsked(key, DAY_US, LAST - (CHUNKS_A_READ_MAX - 2) * WEEK, LAST)
        found = read_percentiles(tx, [asked], fraction=0.5, is_rate=False)
    assert found.values.tolist() == [float(week + 1) for week in range(WEEKS - CHUNKS_A_READ_MAX + 2, WEEKS)]


def test_weeks_without_samples_are_not_counted(filled: tuple[Pool, int]) -> None:
    pool, key = filled
    with transaction(pool) as tx:
        asked = SeriesAsked(key, DAY_US, datetime(1970, 1, 1, tzinfo=UTC), FIRST + 10 * WEEK)
        assert len(read_percentiles(tx, [asked], fraction=0.5, is_rate=False).values) == 10


def test_a_width_that_no_rollup_keeps_is_bounded_alike(filled: tuple[Pool, int]) -> None:
    pool, key = filled
    with transaction(pool) as tx:
        with pytest.raises(Invalid, match="a granularity of the archive policy"):
            read_buckets(tx, [SeriesAsked(key, UNKEPT_US, FIRST, LAST)], method="mean")
        found = read_buckets(tx, [SeriesAsked(key, UNKEPT_US, FIRST, FIRST + WEEK)], method="mean")
    assert found.values.tolist() == [0.5, 2.0]


def test_a_median_opens_the_chunks_that_it_is_about_and_no_other(filled: tuple[Pool, int]) -> None:
    pool, key = filled
    with transaction(pool) as tx:
        start = FIRST + 100 * WEEK
        found = read_percentiles(tx, [SeriesAsked(key, DAY_US, start, start + 3 * WEEK)], fraction=0.5, is_rate=False)
        row = tx.execute(COUNT_OPENED).fetchone()
    assert found.values.tolist() == [101.0, 102.0, 103.0]
    assert row is not None
    assert row[0] <= 4


def test_what_is_rolled_up_is_read_over_any_time_and_opens_no_raw_chunk(filled: tuple[Pool, int]) -> None:
    pool, key = filled
    with transaction(pool) as tx:
        while sum(roll_up_shard(tx, shard=shard).more for shard in range(SHARD_COUNT)):
            pass
    with transaction(pool) as tx:
        found = read_buckets(tx, [SeriesAsked(key, DAY_US, datetime(1970, 1, 1, tzinfo=UTC), LAST)], method="mean")
        row = tx.execute(COUNT_OPENED).fetchone()
    assert row is not None
    assert row[0] == 0
    assert len(found.values) == WEEKS
    assert all(isclose(value, week + 1) for week, value in enumerate(found.values.tolist()))


def test_counted_events_of_too_many_weeks_are_refused_and_nothing_is_kept(tx: Transaction) -> None:
    project = a_project()
    make_meter(tx, project)
    events = [wire(n, seconds=-n * 7 * 86_400) for n in range(105)]
    with (
        pytest.raises(Invalid, match="events that are counted lie in 105 different weeks; send those of at most 104"),
        tx.transaction(),
    ):
        send(tx, project, events)
    assert outcomes(send(tx, project, [*events[:100], events[-1]])) == ["a"] * 101
    uncounted = [{**event, "type": "com.example.other"} for event in events]
    assert outcomes(send(tx, a_project(), uncounted)) == ["a"] * 105
