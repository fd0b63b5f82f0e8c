"""A sample that is sent again with another value while its first delivery is still open at the seal: it counts once, as it was first taken."""

from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from foundation.database import Pool, transaction
from foundation.ids import new_hex_id, new_id
from foundation.interval import TimeInterval
from metering.model import SHARD_COUNT, Sample
from metering.service import (
    counter_samples,
    counter_usage,
    ingest_samples,
    roll_up_shard,
    shard_lease,
    take_snapshot,
)
from metering.service.retention import Step
from orchestration import retention
from orchestration.retention import RetentionTerms
from tests.conftest import own_pool
from tests.metering_builders import T0, a_sample

LATER = datetime(2027, 9, 1, tzinfo=UTC)
ALL_TIME = TimeInterval(T0 - timedelta(days=99), LATER)
TERMS = RetentionTerms(timedelta(days=400), timedelta(days=90))
METERS = (("counted by boot", "cumulative", 7), ("counted", "cumulative", 0), ("sent", "delta", 0))
PROJECT, RESOURCE = new_hex_id(), new_id()


@pytest.fixture
def pool(cluster_url: str) -> Generator[Pool]:
    """A database of each test's own: retention is of everything that is there."""
    with own_pool(cluster_url) as opened:
        yield opened


def readings(minute: int, value: int) -> list[Sample]:
    return [
        a_sample(
            60 * minute,
            value,
            resource_id=RESOURCE,
            project_id=PROJECT,
            meter=meter,
            meter_type=kind,
            unit="B",
            boot_epoch=boot,
        )
        for meter, kind, boot in METERS
    ]


def ingest(pool: Pool, samples: list[Sample]) -> int:
    with transaction(pool) as tx:
        return ingest_samples(tx, samples, received_at=LATER).accepted


def used(pool: Pool, *, as_of: str | None = None) -> list[Decimal]:
    """Return the usage by each meter, which its readings add up to."""
    found: list[Decimal] = []
    with transaction(pool) as tx:
        for meter, _, _ in METERS:
            usage = counter_usage(tx, project_id=PROJECT, meter=meter, interval=ALL_TIME, as_of=as_of)
            parts = counter_samples(
                tx, project_id=PROJECT, resource_id=RESOURCE, meter=meter, interval=ALL_TIME, limit=99, as_of=as_of
            )
            found.append(sum((row.quantity for row in usage), Decimal(0)))
            assert sum((part.increase for part in parts), Decimal(0)) == found[-1]
    return found


def run_until(pool: Pool, wanted: Step) -> None:
    for _ in range(50):
        for shard in range(SHARD_COUNT):
            with shard_lease(pool, shard) as roller:
                assert roller is not None
                roll_up_shard(roller, shard=shard)
        with transaction(pool) as tx:
            if retention.take_step(tx, TERMS, now=LATER) is wanted:
                return
    raise AssertionError(f"never {wanted}")


@pytest.mark.parametrize("again", [3, 12, 400])
def test_it_counts_once_and_as_it_was_first_taken(pool: Pool, again: int) -> None:
    ingest(pool, readings(0, 5))
    with transaction(pool) as slow:
        ingest_samples(slow, readings(1, 10), received_at=LATER)
        run_until(pool, Step.SEALED)
        assert ingest(pool, readings(1, again)) == len(METERS), "kept apart"
        before = used(pool)
        with transaction(pool) as tx:
            snapshot = take_snapshot(tx)
    ingest(pool, readings(2, 15))
    expected = [Decimal(15), Decimal(10), Decimal(30)]
    assert used(pool) == expected
    assert used(pool, as_of=snapshot) == before, "before the first delivery was there, the second spoke"
    run_until(pool, Step.ARCHIVED)
    assert used(pool) == expected


@pytest.mark.parametrize("again", [3, 400])
def test_what_follows_in_another_interval_is_compared_with_what_was_first_taken(pool: Pool, again: int) -> None:
    ingest(pool, readings(0, 5))
    with transaction(pool) as slow:
        ingest_samples(slow, readings(1, 10), received_at=LATER)
        run_until(pool, Step.SEALED)
        ingest(pool, readings(1, again))
    ingest(pool, readings(2, 15))
    with transaction(pool) as tx:
        after = TimeInterval(T0 + timedelta(seconds=90), LATER)
        found = [counter_usage(tx, project_id=PROJECT, meter=m, interval=after)[0].quantity for m, _, _ in METERS]
    assert found == [5, 5, 15]
