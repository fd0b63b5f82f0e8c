"""Retention beside others who change what it rests on: invoices made while it archives, events that come for sealed times, two turns."""

import threading
import time
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import LiteralString

import pytest

from billing.errors import PeriodInvalid
from billing.model import Authorship, Invoice
from billing.prices import CounterPrice
from billing.service import (
    account_of,
    add_price_version,
    assign_plan,
    create_price_plan,
    draft_invoice,
    finalize_invoice,
    set_account,
    verify_invoice,
)
from foundation.database import Pool, Transaction, transaction
from foundation.interval import TimeInterval
from metering.model import SHARD_COUNT
from metering.service import claim_retention, counter_usage, ingest_samples, roll_up_shard, shard_lease
from metering.service.event_meters import meter_usage
from metering.service.retention import Step
from metering.store.retention import claim_state, read_state
from orchestration import retention
from orchestration.retention import RetentionTerms
from tests.conftest import PATIENCE_S, own_pool
from tests.event_builders import make_meter, send, wire
from tests.metering_builders import T0, a_sample
from tests.store.billing_history import APRIL, MARCH, Cloud

GIB = 2**30
BY = Authorship(actor="user:tester", reason="a test", request_id="req-1")
FINAL_AT = datetime(2026, 4, 2, tzinfo=UTC)
LATER = datetime(2027, 9, 1, tzinfo=UTC)
TERMS = RetentionTerms(timedelta(days=400), timedelta(days=90))


@pytest.fixture
def pool(cluster_url: str) -> Generator[Pool]:
    """A database of each test's own: retention is of everything that is there."""
    with own_pool(cluster_url) as opened:
        yield opened


@pytest.fixture
def cloud(pool: Pool) -> Cloud:
    """A project whose instance sent traffic every 7 hours for two months, and that never had an invoice."""
    made = Cloud(pool)
    with transaction(pool) as tx:
        plan = create_price_plan(tx, name=f"plan {made.project_id}", currency="JPY", now=MARCH, by=BY)
        price = CounterPrice("network.outgoing.bytes", "B", "GiB", Decimal(GIB), Decimal(10))
        add_price_version(tx, plan.id, (price,), effective_from=MARCH - timedelta(days=40), now=MARCH, by=BY)
        terms = replace(account_of(tx, made.project_id), series=f"T-{made.project_id[-20:].upper()}")
        set_account(tx, terms, now=MARCH, by=BY)
        assign_plan(tx, made.project_id, plan.id, effective_from=MARCH - timedelta(days=40), now=MARCH, by=BY)
    made.sends([(MARCH + timedelta(hours=7 * n + 1), (n + 1) * GIB) for n in range(100)], boot=MARCH)
    roll_up(pool)
    return made


def roll_up(pool: Pool) -> None:
    for shard in range(SHARD_COUNT):
        with shard_lease(pool, shard) as roller:
            assert roller is not None
            while roll_up_shard(roller, shard=shard).more:
                pass


def finalize(cloud: Cloud, now: datetime = LATER) -> Invoice:
    with transaction(cloud.pool) as tx:
        interval = TimeInterval(MARCH, APRIL)
        drafted = draft_invoice(tx, project_id=cloud.project_id, interval=interval, now=now, by=BY)
        return finalize_invoice(tx, drafted.id, now, by=BY)


def step(pool: Pool) -> Step:
    with transaction(pool) as tx:
        return retention.take_step(tx, TERMS, now=LATER)


def run_until(pool: Pool, wanted: Step) -> None:
    for _ in range(50):
        if step(pool) is wanted:
            return
    raise AssertionError(f"never {wanted}")


@pytest.mark.parametrize("before", [Step.SEALED, Step.BARRIER, Step.ARCHIVED])
def test_a_first_invoice_made_final_while_its_samples_are_archived_stays_provable(cloud: Cloud, before: Step) -> None:
    run_until(cloud.pool, before)
    invoice = finalize(cloud)
    run_until(cloud.pool, Step.DROPPED)
    with transaction(cloud.pool) as tx:
        assert verify_invoice(tx, invoice.id).holds


def test_a_first_invoice_whose_transaction_spans_the_switch_to_the_archive_stays_provable(cloud: Cloud) -> None:
    pool = cloud.pool
    run_until(pool, Step.ARCHIVED)
    with transaction(pool) as tx:
        drafted = draft_invoice(tx, project_id=cloud.project_id, interval=TimeInterval(MARCH, APRIL), now=LATER, by=BY)
        assert step(pool) is Step.SWITCHED
        assert [step(pool), step(pool)] == [Step.BARRIER, Step.WAITING]
    run_until(pool, Step.DROPPED)
    with transaction(pool) as tx:
        assert verify_invoice(tx, drafted.id).holds


def test_a_first_invoice_of_a_time_whose_samples_are_gone_is_refused_and_one_from_there_on_is_not(cloud: Cloud) -> None:
    pool = cloud.pool
    run_until(pool, Step.DROPPED)
    with transaction(pool) as tx:
        gone_until = read_state(tx).dropped_until
        with pytest.raises(PeriodInvalid, match="bill it from there on"):
            draft_invoice(tx, project_id=cloud.project_id, interval=TimeInterval(MARCH, APRIL), now=LATER, by=BY)
        rest = TimeInterval(gone_until, gone_until + timedelta(days=20))
        assert draft_invoice(tx, project_id=cloud.project_id, interval=rest, now=LATER, by=BY).is_draft


def test_a_turn_that_another_run_has_is_not_waited_for(pool: Pool) -> None:
    found: list[bool] = []

    def claim() -> None:
        with transaction(pool) as tx:
            tx.execute("SET LOCAL lock_timeout TO '3s'")
            found.append(claim_retention(tx, now=LATER))

    with transaction(pool) as tx:
        assert claim_state(tx) is not None
        other = threading.Thread(target=claim)
        other.start()
        other.join()
    assert found == [False]


def test_a_sample_sent_again_while_its_first_delivery_is_open_at_the_seal_counts_once(cloud: Cloud) -> None:
    pool, invoice = cloud.pool, finalize(cloud, FINAL_AT)
    samples = [
        a_sample(
            60 * n,
            5,
            resource_id=cloud.nic_id,
            meter=meter,
            meter_type=meter_type,
            unit="B",
            project_id=cloud.project_id,
            boot_epoch=boot,
        )
        for n in range(3)
        for meter, meter_type, boot in (("network.outgoing.bytes", "cumulative", 7), ("sent", "delta", 0))
    ]
    with transaction(pool) as tx:
        ingest_samples(tx, samples[:2], received_at=LATER)
    with transaction(pool) as slow:
        ingest_samples(slow, samples[2:], received_at=LATER)
        assert step(pool) is Step.SEALED
        with transaction(pool) as tx:
            assert ingest_samples(tx, samples[2:], received_at=LATER).accepted == 4, "kept apart"
    roll_up(pool)

    def used() -> list[Decimal]:
        with transaction(pool) as tx:
            assert verify_invoice(tx, invoice.id).holds
            found = [
                counter_usage(tx, project_id=cloud.project_id, meter=meter, interval=TimeInterval(MARCH, LATER))
                for meter in ("network.outgoing.bytes", "sent")
            ]
        return [sum((row.quantity for row in rows), Decimal(0)) for rows in found]

    assert used() == [100 * GIB + 5, 15]
    run_until(pool, Step.SWITCHED)
    assert used()[0] == 100 * GIB + 5


def test_a_reader_that_goes_on_to_what_is_being_dropped_is_given_way_to(cloud: Cloud) -> None:
    pool = cloud.pool
    finalize(cloud, FINAL_AT)
    run_until(pool, Step.SWITCHED)
    assert step(pool) is Step.BARRIER
    with ThreadPoolExecutor(max_workers=1) as threads, transaction(pool) as reader:
        reader.execute("SELECT count(*) FROM rollup")
        dropped = threads.submit(step, pool)
        await_lock_on_rollups(reader, dropped)
        assert reader.execute("SELECT count(*) FROM measure").fetchone() == (100,)
        assert dropped.result() is Step.WAITING
    assert step(pool) is Step.DROPPED


WAITING_HERE: LiteralString = """
    SELECT FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def await_lock_on_rollups(tx: Transaction, dropped: Future[Step]) -> None:
    """Wait until the drop waits for the reader; on a busy machine that may be over before it is seen."""
    ends = time.monotonic() + PATIENCE_S
    while tx.execute(WAITING_HERE).fetchone() is None and not dropped.done():
        assert time.monotonic() < ends, "nobody waits"
        time.sleep(0.01)


def test_a_meter_tells_of_sealed_times_what_billing_reads(cloud: Cloud) -> None:
    pool, project = cloud.pool, cloud.project_id
    all_time = TimeInterval(T0 - timedelta(days=1), LATER)

    def told() -> tuple[Decimal, Decimal]:
        with transaction(pool) as tx:
            rows = meter_usage(tx, meter, project_id=project, interval=all_time, subject=None, after=None, limit=100)
            billed = counter_usage(tx, project_id=project, meter=meter.name, interval=all_time)
        return sum((row.quantity for row in rows), Decimal(0)), sum((row.quantity for row in billed), Decimal(0))

    with transaction(pool) as tx:
        plan = create_price_plan(tx, name="of events", currency="JPY", now=MARCH, by=BY)
        meter = make_meter(tx, project)
        price = CounterPrice(meter.name, meter.unit, "token", Decimal(1), Decimal(1))
        add_price_version(tx, plan.id, (price,), effective_from=MARCH, now=MARCH, by=BY)
        send(tx, project, [wire(n, seconds=n, data={"tokens": 5}) for n in range(10)])
    finalize(cloud, FINAL_AT)
    roll_up(pool)
    assert told() == (50, 50)
    run_until(pool, Step.DROPPED)
    assert told() == (50, 50), "from the archive"
    with transaction(pool) as tx:
        send(tx, project, [wire(n, seconds=n, data={"tokens": 5}) for n in range(12)])
    assert told() == (60, 60), "two came late, for a sealed time"
