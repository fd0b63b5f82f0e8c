"""What the database tells a watcher: what waits and how late it is, and what must never be found."""

from collections.abc import Generator
from datetime import UTC, datetime, timedelta

import pytest

from alarms.store.deliveries import insert_delivery
from foundation import outbox
from foundation.database import Pool, transaction
from foundation.ids import new_id
from metering.model import SHARD_COUNT
from metering.service import ingest_samples, roll_up_shard, shard_lease
from orchestration.watch import GAUGES, ServiceState, read_service_state
from tests.alarm_builders import an_alarm
from tests.conftest import own_pool
from tests.identity_builders import a_caller
from tests.metering_builders import RECEIVED_AT, a_sample


@pytest.fixture
def pool(cluster_url: str) -> Generator[Pool]:
    """A database of each test's own: it says how it is as a whole."""
    with own_pool(cluster_url) as opened:
        yield opened


def state(pool: Pool) -> ServiceState:
    with transaction(pool) as tx:
        return read_service_state(tx)


def test_a_new_installation_waits_for_nothing_and_breaks_nothing(pool: Pool) -> None:
    found = state(pool)
    assert dict(found.gauges) == dict.fromkeys(GAUGES, 0)
    assert set(found.violations.values()) == {0}


def test_rollups_are_behind_by_the_age_of_the_oldest_mark_until_they_are_done(pool: Pool) -> None:
    with transaction(pool) as tx:
        ingest_samples(tx, [a_sample(n, n, resource_id=new_id()) for n in range(20)], received_at=RECEIVED_AT)
        tx.execute(
            "UPDATE dirty_mark SET marked_at = marked_at - INTERVAL '90 s' WHERE id = (SELECT max(id) FROM dirty_mark)"
        )
    found = state(pool).gauges
    assert found["nephoscope_rollup_marks"] > 0
    assert 90 <= found["nephoscope_rollup_lag_seconds"] < 150
    for shard in range(SHARD_COUNT):
        with shard_lease(pool, shard) as tx:
            assert tx is not None
            roll_up_shard(tx, shard=shard)
    found = state(pool).gauges
    assert (found["nephoscope_rollup_marks"], found["nephoscope_rollup_lag_seconds"]) == (0, 0)


def test_events_wait_until_they_are_handled_and_one_that_fails_again_and_again_is_told(pool: Pool) -> None:
    now = datetime.now(UTC)
    with transaction(pool) as tx:
        first = outbox.append(tx, "test.topic", key="a", payload={})
        outbox.append(tx, "test.topic", key="b", payload={})
        tx.execute("UPDATE outbox_event SET created_at = created_at - INTERVAL '40 seconds' WHERE id = %s", (first,))
    found = state(pool)
    assert found.gauges["nephoscope_outbox_events_pending"] == 2
    assert 40 <= found.gauges["nephoscope_outbox_lag_seconds"] < 100
    assert found.violations["outbox_event_stuck"] == 0
    with transaction(pool) as tx:
        tx.execute("UPDATE outbox_event SET attempts = 5 WHERE id = %s", (first,))
    assert state(pool).violations["outbox_event_stuck"] == 1
    with transaction(pool) as tx:
        outbox.mark_handled(tx, first, now=now)
    assert state(pool).violations["outbox_event_stuck"] == 0
    assert state(pool).gauges["nephoscope_outbox_events_pending"] == 1


def test_alarms_and_deliveries_are_late_by_their_first_due_one(pool: Pool) -> None:
    now, caller = datetime.now(UTC), a_caller()
    with transaction(pool) as tx:
        for late_s in (30, -600):
            an_alarm(tx, caller, resource_id=new_id(), now=now - timedelta(seconds=late_s))
            insert_delivery(
                tx,
                new_id(),
                project_id="p",
                alarm_id=new_id(),
                event_id=new_id(),
                url="https://example.com/",
                body="{}",
                attempts_max=3,
                now=now - timedelta(seconds=late_s * 2),
            )
    found = state(pool).gauges
    assert found["nephoscope_alarms_due"] == 1
    assert 30 <= found["nephoscope_alarm_lateness_seconds"] < 90
    assert found["nephoscope_deliveries_pending"] == 2
    assert 60 <= found["nephoscope_delivery_lateness_seconds"] < 120


def test_a_number_that_no_invoice_has_is_a_gap(pool: Pool) -> None:
    with transaction(pool) as tx:
        tx.execute("INSERT INTO invoice_series (series, last_number, last_chain) VALUES ('T', 0, repeat('0', 64))")
    assert state(pool).violations["invoice_number_missing"] == 0
    with transaction(pool) as tx:
        tx.execute("UPDATE invoice_series SET last_number = 3 WHERE series = 'T'")
    assert state(pool).violations["invoice_number_missing"] == 3
