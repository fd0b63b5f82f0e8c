"""Archive policies that change while metrics have them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import pytest

from foundation.database import Pool, Transaction, transaction
from foundation.errors import Invalid
from foundation.ids import new_hex_id
from identity.model import Caller
from metering.archive_policies import Definition, new_policy
from metering.errors import AggregationNotFound, ArchivePolicyNotFound
from metering.model import SHARD_COUNT
from metering.service import aggregating, measures, metrics, policies, roll_up_shard, shard_lease
from metering.service.aggregating import MeasuresRequest
from metering.service.measures import Measures
from metering.service.metrics import MetricRequest
from tests.identity_builders import a_caller

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE_US, HOUR_US, DAY_US = 60_000_000, 3_600_000_000, 86_400_000_000


@pytest.fixture
def policy(pool: Pool) -> Iterator[str]:
    """A policy of one minute and one hour, committed and taken away again."""
    name = f"policy-{new_hex_id()}"
    with transaction(pool) as tx:
        kept = [Definition(MINUTE_US, 10_000), Definition(HOUR_US, 10_000)]
        policies.create_archive_policy(tx, new_policy(name, back_window=0, definitions=kept, methods=["mean"]))
    yield name
    with transaction(pool) as tx:
        owned = "(SELECT key FROM metric WHERE archive_policy_name = %s)"
        tx.execute("DELETE FROM measure WHERE metric_key IN " + owned, (name,))
        tx.execute("DELETE FROM rollup WHERE metric_key IN " + owned, (name,))
        tx.execute("DELETE FROM metric WHERE archive_policy_name = %s", (name,))
        tx.execute("DELETE FROM archive_policy WHERE name = %s", (name,))


def write(tx: Transaction, caller: Caller, metric_id: UUID, hours: range) -> None:
    """Write the number of each hour at its half."""
    times = [int((NOON + timedelta(hours=hour, minutes=30)).timestamp() * 1e6) for hour in hours]
    own = Measures(np.array(times, dtype=np.int64), np.array(hours, dtype=np.float64))
    measures.post_measures(tx, caller, [metric_id], own, sizes=[len(times)], received_at=NOON + timedelta(days=30))


def roll_up(pool: Pool) -> None:
    """Roll everything up."""
    for shard in range(SHARD_COUNT):
        with shard_lease(pool, shard) as lease:
            assert lease is not None
            while roll_up_shard(lease, shard=shard).more:
                pass


def read(tx: Transaction, caller: Caller, metric_id: UUID, granularity_us: int, method: str = "mean") -> list[float]:
    """Read a metric's values in buckets of one width."""
    asked = MeasuresRequest(method, None, None, granularity_us, None, NOON + timedelta(days=30))
    [(_, series)] = aggregating.get_measures(tx, metrics.get_metric(tx, caller, metric_id), asked)
    return [float(value) for value in series.values]


def test_a_new_granularity_reaches_as_far_back_as_the_samples(pool: Pool, policy: str) -> None:
    caller = a_caller()
    with transaction(pool) as tx:
        metric = metrics.create_metric(tx, caller, MetricRequest(archive_policy_name=policy)).id
        write(tx, caller, metric, range(36))
    roll_up(pool)
    with transaction(pool) as tx:
        write(tx, caller, metric, range(36, 48))
    wider = [Definition(MINUTE_US, 10_000), Definition(DAY_US, 100)]
    with transaction(pool) as tx:
        policies.update_archive_policy(tx, policy, definitions=wider, methods=["max", "95pct"])
    expected = [11.0, 35.0, 47.0]
    with transaction(pool) as tx:
        assert read(tx, caller, metric, DAY_US, "max") == expected
    roll_up(pool)
    with transaction(pool) as tx:
        assert not tx.execute("SELECT FROM dirty_mark").fetchall()
        assert read(tx, caller, metric, DAY_US, "max") == expected
        counted = tx.execute(
            "SELECT r.count FROM rollup r JOIN metric c ON c.key = r.metric_key"
            " WHERE c.id = %s AND r.granularity_us = %s ORDER BY r.bucket",
            (metric, DAY_US),
        ).fetchall()
        assert counted == [(12,), (24,), (12,)]
        assert read(tx, caller, metric, DAY_US, "95pct")[-1] == pytest.approx(46.45)
        for gone in (HOUR_US, MINUTE_US):
            with pytest.raises(AggregationNotFound):
                read(tx, caller, metric, gone)


def test_what_is_not_told_of_a_policy_stays(tx: Transaction) -> None:
    name = f"policy-{new_hex_id()}"
    made = new_policy(name, back_window=3, definitions=[Definition(MINUTE_US, 10)], methods=["last"])
    policies.create_archive_policy(tx, made)
    assert policies.update_archive_policy(tx, name) == made
    changed = policies.update_archive_policy(tx, name, back_window=0, methods=["-mean", "+rate:sum"])
    assert (changed.back_window, "rate:sum" in changed.aggregation_methods) == (0, True)
    assert policies.get_archive_policy(tx, name) == changed
    with pytest.raises(Invalid):
        policies.update_archive_policy(tx, name, definitions=[])
    with pytest.raises(ArchivePolicyNotFound):
        policies.update_archive_policy(tx, "none")
