"""Retention on a real TimescaleDB: sealed, archived and dropped, and everything that is billed or shown as it was before."""

import io
import os
import threading
from collections.abc import Generator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, LiteralString

import psycopg
import pytest
from rich.console import Console

from billing.model import Authorship, Invoice
from billing.prices import CounterPrice, FlavorPrice, Price
from billing.service import (
    account_of,
    add_price_version,
    assign_plan,
    create_price_plan,
    draft_invoice,
    explain_line,
    finalize_invoice,
    invoice_document,
    invoice_lines,
    late_usage,
    set_account,
    verify_invoice,
)
from entrypoints import jobs
from entrypoints.retention import lines_of, run_retention
from entrypoints.verify import Asked, verify_rollups
from foundation.clock import utc_now
from foundation.database import Isolation, Pool, Transaction, transaction
from foundation.errors import Invalid
from foundation.ids import new_id
from foundation.interval import TimeInterval
from foundation.settings import Settings
from metering.model import SHARD_COUNT, IngestResult, Sample
from metering.rollups import DirtyRanges
from metering.samples import microseconds_of
from metering.sealing import Chunk
from metering.service import (
    claim_retention,
    counter_usage,
    ingest_samples,
    is_retention_due,
    roll_up_shard,
    shard_lease,
)
from metering.service import retention as retention_service
from metering.service.retention import Step, late_samples
from metering.store import columnstore, policies
from metering.store import retention as store
from metering.store.measures import mark_dirty
from metering.store.retention import list_chunks, read_state
from metering.store.series import SeriesAsked, read_buckets, read_percentiles
from orchestration import retention
from orchestration.retention import RetentionTerms
from tests.conftest import own_pool
from tests.metering_builders import a_sample
from tests.store.billing_history import APRIL, MARCH, Cloud

GIB = 2**30
BY = Authorship(actor="user:tester", reason="a test", request_id="req-1")
FINAL_AT = datetime(2026, 4, 2, tzinfo=UTC)
LATER = datetime(2027, 9, 1, tzinfo=UTC)
TERMS = RetentionTerms(timedelta(days=400), timedelta(days=90))
MINUTE_US = 60_000_000
BOOT_US = microseconds_of(MARCH)
MARCH_USAGE = TimeInterval(MARCH, APRIL)


@pytest.fixture
def pool(cluster_url: str) -> Generator[Pool]:
    """A database of each test's own: retention is of everything that is there."""
    with own_pool(cluster_url) as opened:
        yield opened


def at(hours: float) -> datetime:
    return MARCH + timedelta(hours=hours)


def prices() -> tuple[Price, ...]:
    return (
        FlavorPrice("m1.small", Decimal(4), ()),
        CounterPrice("network.outgoing.bytes", "B", "GiB", Decimal(GIB), Decimal(10)),
    )


@pytest.fixture
def cloud(pool: Pool) -> Cloud:
    """A project whose instance ran through March and April: traffic every 7 hours, CPU every 3."""
    made = Cloud(pool)
    with transaction(pool) as tx:
        plan = create_price_plan(tx, name=f"plan {made.project_id}", currency="JPY", now=MARCH, by=BY)
        add_price_version(tx, plan.id, prices(), effective_from=at(-1000), now=MARCH, by=BY)
        terms = replace(account_of(tx, made.project_id), series=f"T-{made.project_id[-20:].upper()}")
        set_account(tx, terms, now=MARCH, by=BY)
        assign_plan(tx, made.project_id, plan.id, effective_from=at(-1000), now=MARCH, by=BY)
    made.lives(at(0), "active", kind="create")
    ingest(pool, [sent(made, hours=7 * n + 1, value=(n + 1) * GIB // 3) for n in range(200)])
    ingest(pool, [cpu(made, 3 * n + 0.5, 1000.25 * n) for n in range(480)])
    roll_up(pool)
    return made


def cpu(cloud: Cloud, hours: float, value: float) -> Sample:
    return a_sample(
        0,
        value,
        resource_id=cloud.instance_id,
        project_id=cloud.project_id,
        observed_at=at(hours),
        boot_epoch=BOOT_US,
    )


def ingest(pool: Pool, samples: Sequence[Sample], received_at: datetime = LATER) -> IngestResult:
    with transaction(pool) as tx:
        return ingest_samples(tx, samples, received_at=received_at)


def roll_up(pool: Pool) -> None:
    for shard in range(SHARD_COUNT):
        with shard_lease(pool, shard) as roller:
            assert roller is not None
            while roll_up_shard(roller, shard=shard).more:
                pass


def finalize(cloud: Cloud) -> Invoice:
    with transaction(cloud.pool) as tx:
        drafted = draft_invoice(tx, project_id=cloud.project_id, interval=MARCH_USAGE, now=FINAL_AT, by=BY)
        return finalize_invoice(tx, drafted.id, FINAL_AT, by=BY)


def step(pool: Pool, now: datetime = LATER, terms: RetentionTerms = TERMS) -> Step:
    with transaction(pool) as tx:
        return retention.take_step(tx, terms, now=now)


def run(pool: Pool, now: datetime = LATER, terms: RetentionTerms = TERMS) -> list[Step]:
    taken: list[Step] = []
    for _ in range(50):
        taken.append(step(pool, now, terms))
        if taken[-1] is Step.NOTHING:
            return taken
        assert taken[-1] is not Step.WAITING_FOR_ROLLUPS
    raise AssertionError(taken)


def series(pool: Pool, cloud: Cloud, *, method: str = "rate:sum", width_us: int = MINUTE_US) -> dict[int, float]:
    """Read the CPU's buckets of both months, by their beginnings."""
    with transaction(pool, Isolation.SNAPSHOT) as tx:
        asked = [SeriesAsked(cpu_key(tx, cloud), width_us, at(0), at(24 * 61))]
        is_median = method.endswith("pct")
        read = (
            read_percentiles(tx, asked, fraction=0.5, is_rate=False)
            if is_median
            else read_buckets(tx, asked, method=method)
        )
    return dict(zip(read.buckets_us.tolist(), read.values.tolist(), strict=True))


def cpu_key(tx: Transaction, cloud: Cloud) -> int:
    row = tx.execute("SELECT key FROM metric WHERE resource_id = %s AND name = 'cpu'", (cloud.instance_id,)).fetchone()
    assert row is not None
    return int(row[0])


def count(pool: Pool, statement: LiteralString, *parameters: object) -> int:
    with transaction(pool) as tx:
        row = tx.execute(statement, parameters).fetchone()
    assert row is not None
    return int(row[0])


def keep_rollups(pool: Pool) -> None:
    """Let the archive policy keep its hours for longer than the tests look back."""
    with transaction(pool) as tx:
        tx.execute("UPDATE archive_policy_granularity SET points = points * 10")


COUNT_RAW: LiteralString = "SELECT count(*) FROM measure"


def boundary(pool: Pool) -> datetime:
    with transaction(pool) as tx:
        return read_state(tx).dropped_until


def usage(pool: Pool, cloud: Cloud, interval: TimeInterval) -> Decimal:
    with transaction(pool) as tx:
        found = counter_usage(tx, project_id=cloud.project_id, meter="network.outgoing.bytes", interval=interval)
    return sum((one.quantity for one in found), Decimal(0))


def test_an_invoice_is_explained_and_proven_from_the_archive_as_it_was_from_raw(cloud: Cloud) -> None:
    pool, invoice = cloud.pool, finalize(cloud)
    with transaction(pool) as tx:
        lines = list(invoice_lines(tx, invoice.id))
        before = [explain_line(tx, invoice.id, line.number, samples_limit=1000) for line in lines]
        document = invoice_document(tx, invoice.id)
    assert any(one.counter is not None and len(one.counter.samples) > 50 for one in before)
    raw = count(pool, COUNT_RAW)
    assert run(pool) == [
        Step.SEALED,
        Step.BARRIER,
        Step.ARCHIVED,
        Step.SWITCHED,
        Step.BARRIER,
        Step.DROPPED,
        Step.NOTHING,
    ]
    assert MARCH + timedelta(days=20) < boundary(pool) <= APRIL
    assert 0 < count(pool, COUNT_RAW) < raw, "nothing is left of raw before the boundary"
    assert count(pool, "SELECT count(*) FROM measure WHERE observed_at < %s", boundary(pool)) == 0
    with transaction(pool) as tx:
        assert [explain_line(tx, invoice.id, line.number, samples_limit=1000) for line in lines] == before
        assert all(one.holds for one in before)
        assert invoice_document(tx, invoice.id) == document
        assert verify_invoice(tx, invoice.id).holds
        assert late_usage(tx, invoice.id).lines == ()


def test_rollups_answer_as_before_and_what_needs_raw_answers_from_where_raw_begins(cloud: Cloud) -> None:
    pool = cloud.pool
    finalize(cloud)
    keep_rollups(pool)
    methods = ("rate:sum", "mean", "count", "last")
    before = {method: series(pool, cloud, method=method) for method in methods}
    medians, days = series(pool, cloud, method="50pct"), series(pool, cloud, method="sum", width_us=86_400_000_000)
    run(pool)
    since = microseconds_of(boundary(pool))
    assert {method: series(pool, cloud, method=method) for method in methods} == before
    assert series(pool, cloud, method="50pct") == {us: value for us, value in medians.items() if us >= since}
    kept = series(pool, cloud, method="sum", width_us=86_400_000_000)
    assert kept == {us: value for us, value in days.items() if us >= since}, "a day cut by the drop is no day"
    assert len(kept) < len(days)


def test_rollups_go_with_raw_once_the_longest_timespan_of_the_policies_is_over(cloud: Cloud) -> None:
    pool = cloud.pool
    finalize(cloud)
    run(pool)
    (first, *_) = look_at_chunks(pool, "rollup")
    assert at(0) < first.start
    assert first.start <= boundary(pool)


def look_at_chunks(pool: Pool, hypertable: str) -> Sequence[Chunk]:
    with transaction(pool) as tx:
        return list_chunks(tx, hypertable)


def test_what_follows_the_drop_is_compared_with_what_the_archive_kept(cloud: Cloud) -> None:
    pool = cloud.pool
    finalize(cloud)
    keep_rollups(pool)
    before, traffic = series(pool, cloud), usage(pool, cloud, TimeInterval(at(0), at(24 * 61)))
    run(pool)
    since = boundary(pool)
    with transaction(pool) as tx:
        policies.mark_rolled_up(tx, "nephoscope", granularity_us=3600_000_000)
    roll_up(pool)
    assert series(pool, cloud) == before, "also where all is computed again"
    assert usage(pool, cloud, TimeInterval(at(0), at(24 * 61))) == traffic
    assert (
        usage(pool, cloud, TimeInterval(since, at(24 * 61))) + usage(pool, cloud, TimeInterval(at(0), since)) == traffic
    )
    report = verify_rollups(pool, Asked(sample=None, seed=0))
    assert (report.differing_buckets, report.provable_since) == (0, since)
    assert report.checked > 0


def test_a_late_sample_for_a_sealed_time_is_kept_apart_and_becomes_an_adjustment(cloud: Cloud) -> None:
    pool, invoice = cloud.pool, finalize(cloud)
    run(pool)
    before = series(pool, cloud)
    late = sent(cloud, hours=3.5, value=GIB // 3 + 1000)
    assert (ingest(pool, [late]).accepted, ingest(pool, [late]).repeated) == (1, 1)
    assert ingest(pool, [cpu(cloud, 4, 5.0)]).accepted == 1
    roll_up(pool)
    assert series(pool, cloud) == before, "a sealed bucket is never computed from the remains"
    assert count(pool, "SELECT count(*) FROM measure WHERE observed_at < %s", boundary(pool)) == 0
    with transaction(pool) as tx:
        listed = late_samples(tx, project_id=cloud.project_id, start=None, end=None, after=0, limit=10)
        assert [(one.metric, one.observed_at, one.is_overwrite) for one in listed] == [
            ("network.outgoing.bytes", at(3.5), False),
            ("cpu", at(4), False),
        ]
        assert verify_invoice(tx, invoice.id).holds
        assert late_usage(tx, invoice.id).lines == (), "the counter rose by as much, only later in the same month"
    end = sent(cloud, hours=24 * 20, value=500 * GIB, boot_hours=24 * 20 - 1)
    assert ingest(pool, [end]).accepted == 1
    with transaction(pool) as tx:
        (line,) = late_usage(tx, invoice.id).lines
        assert (line.line.meter, line.quantity) == ("network.outgoing.bytes", Decimal(500 * GIB))
        assert verify_invoice(tx, invoice.id).holds


def test_a_late_value_for_what_is_kept_is_listed_and_changes_nothing(cloud: Cloud) -> None:
    pool, invoice = cloud.pool, finalize(cloud)
    run(pool)
    again = sent(cloud, hours=1, value=GIB // 3)
    assert (ingest(pool, [again]).accepted, ingest(pool, [again]).repeated) == (0, 1)
    other = sent(cloud, hours=1, value=9 * GIB)
    assert ingest(pool, [other]).accepted == 1
    assert ingest(pool, [other]).repeated == 1
    with transaction(pool) as tx:
        (listed,) = late_samples(tx, project_id=cloud.project_id, start=at(0), end=at(2), after=0, limit=10)
        assert (listed.is_overwrite, listed.value) == (True, 9.0 * GIB)
        assert late_usage(tx, invoice.id).lines == ()


def sent(cloud: Cloud, *, hours: float, value: float, boot_hours: float = 0) -> Sample:
    return Sample(
        resource_id=cloud.nic_id,
        resource_type="instance_network_interface",
        original_resource_id=f"instance-1-{cloud.instance_id}-tap0",
        project_id=cloud.project_id,
        user_id=None,
        meter="network.outgoing.bytes",
        meter_type="cumulative",
        unit="B",
        observed_at=at(hours),
        value=float(value),
        boot_epoch=microseconds_of(at(boot_hours)),
        attributes={"instance_id": str(cloud.instance_id)},
    )


def test_a_batch_that_is_partly_late_is_taken_whole(cloud: Cloud) -> None:
    pool = cloud.pool
    finalize(cloud)
    run(pool)
    result = ingest(pool, [cpu(cloud, 2, 1), cpu(cloud, 24 * 59, 1e9), cpu(cloud, 2, 1), cpu(cloud, 0.5, 0.0)])
    assert (result.accepted, result.repeated) == (3, 1), "the reading that was dropped is not known any more"
    assert at(24 * 59) in {datetime.fromtimestamp(us / 1e6, UTC) for us in series(pool, cloud)}


def test_an_ingest_that_was_open_when_the_store_was_sealed_is_waited_for_and_archived(cloud: Cloud) -> None:
    pool, invoice = cloud.pool, finalize(cloud)
    with transaction(pool) as slow:
        ingest_samples(slow, [sent(cloud, hours=2, value=GIB // 3)], received_at=LATER)
        assert [step(pool) for _ in range(4)] == [Step.SEALED, Step.BARRIER, Step.WAITING, Step.WAITING]
    assert step(pool) is Step.WAITING_FOR_ROLLUPS
    roll_up(pool)
    run(pool)
    assert count(pool, "SELECT count(*) FROM archived_sample WHERE observed_at = %s", at(2)) == 1
    with transaction(pool) as tx:
        assert verify_invoice(tx, invoice.id).holds


def test_a_reader_that_began_before_the_archive_spoke_keeps_the_chunks(cloud: Cloud) -> None:
    pool = cloud.pool
    finalize(cloud)
    while step(pool) is not Step.SWITCHED:
        pass
    with transaction(pool, Isolation.SNAPSHOT) as reader:
        reader.execute("SELECT 1")
        assert [step(pool) for _ in range(3)] == [Step.BARRIER, Step.WAITING, Step.WAITING]
        assert reader.execute("SELECT count(*) FROM measure WHERE observed_at < %s", (at(24),)).fetchone() != (0,)
    assert step(pool) is Step.DROPPED


def test_a_chunk_that_is_being_read_is_dropped_later_and_holds_nobody_up(cloud: Cloud) -> None:
    pool = cloud.pool
    finalize(cloud)
    while step(pool) is not Step.SWITCHED:
        pass
    assert step(pool) is Step.BARRIER
    with transaction(pool, Isolation.SNAPSHOT) as reader:
        reader.execute(COUNT_RAW)
        assert step(pool) is Step.WAITING
        assert boundary(pool) < at(0)
    assert step(pool) is Step.DROPPED


def test_an_archive_that_takes_too_long_is_made_in_smaller_parts(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    pool, invoice = cloud.pool, finalize(cloud)
    real = store.archive

    def archive_slowly(tx: Transaction, evidence: Sequence[tuple[str, str]], *, metrics_max: int, **bounds: Any) -> Any:
        if metrics_max > 1:
            tx.execute("SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(60)")  # ends it as its limit would
        return real(tx, evidence, metrics_max=metrics_max, **bounds)

    monkeypatch.setattr(store, "archive", archive_slowly)
    assert run(pool).count(Step.ARCHIVED) == 2, "a metric a step"
    with transaction(pool) as tx:
        assert verify_invoice(tx, invoice.id).holds


def test_the_workers_take_a_turn_an_hour(pool: Pool) -> None:
    jobs.pools[os.getpid()] = pool
    try:
        with transaction(pool) as tx:
            assert is_retention_due(tx, now=utc_now())
        jobs.keep_samples()
        with transaction(pool) as tx:
            state = read_state(tx)
            assert timedelta(minutes=59) < state.next_run_at - utc_now() < timedelta(minutes=61)
            assert not claim_retention(tx, now=utc_now())
    finally:
        del jobs.pools[os.getpid()]


def test_two_runs_at_once_are_one(cloud: Cloud) -> None:
    pool = cloud.pool
    finalize(cloud)
    with transaction(pool) as tx:
        assert retention.take_step(tx, TERMS, now=LATER) is Step.SEALED
        found: list[Step] = []
        other = threading.Thread(target=lambda: found.append(step(pool)))
        other.start()
        other.join()
        assert found == [Step.BUSY]


def test_the_plan_says_what_keeps_the_rest(cloud: Cloud) -> None:
    pool = cloud.pool

    def plan(now: datetime = LATER) -> tuple[str, datetime | None]:
        with transaction(pool, Isolation.SNAPSHOT) as tx:
            found = retention.plan(tx, TERMS, now=now)
        return found.holds[0].reason, found.boundary and found.boundary.drop_before

    reason, until = plan()
    assert reason.startswith("raw samples are kept for 400 days")
    assert until is not None, "a project that was never invoiced holds nothing back for good"
    with transaction(pool) as tx:
        draft_invoice(tx, project_id=cloud.project_id, interval=MARCH_USAGE, now=FINAL_AT, by=BY)
    assert plan() == (f"project {cloud.project_id}: the invoice from 2026-02-28 on is a draft", None)
    assert step(pool) is Step.NOTHING
    finalize(cloud)
    assert plan(FINAL_AT + timedelta(days=89))[1] is None
    reason, until = plan()
    assert reason == f"project {cloud.project_id}: nothing from 2026-03-31 15:00 UTC on is billed yet"
    assert until is not None
    assert until <= APRIL
    with transaction(pool, Isolation.SNAPSHOT) as tx:
        assert "chunks of raw samples" in lines_of(retention.plan(tx, TERMS, now=LATER))[0]


def test_a_forgotten_draft_lets_the_chunks_go_in_time_and_is_billed_from_the_archive(cloud: Cloud) -> None:
    pool = cloud.pool

    def draft() -> Invoice:
        with transaction(pool) as tx:
            return draft_invoice(tx, project_id=cloud.project_id, interval=MARCH_USAGE, now=FINAL_AT, by=BY)

    def quantities(invoice: Invoice) -> dict[str, Decimal]:
        with transaction(pool) as tx:
            return {line.meter: line.base_quantity for line in invoice_lines(tx, invoice.id)}

    before = quantities(draft())
    patient, impatient = (replace(TERMS, unbilled_keep=timedelta(days=days)) for days in (700, 311))
    with transaction(pool, Isolation.SNAPSHOT) as tx:
        assert retention.plan(tx, patient, now=LATER).boundary is None
        plan = retention.plan(tx, impatient, now=LATER)
    assert plan.holds[0].reason == (
        f"project {cloud.project_id}: the invoice from 2026-02-28 on is a draft;"
        " after 401 days (NEPHO_UNBILLED_KEEP_DAYS and NEPHO_DISPUTE_DAYS) from the archive only"
    )
    assert plan.holds[0].needed_since == LATER - timedelta(days=401)
    run(pool, LATER, impatient)
    assert boundary(pool) >= APRIL
    late = sent(cloud, hours=1.5, value=GIB // 3 + 1000)
    ingest(pool, [late])
    assert quantities(draft()) == before, "a reading between two others of one boot moves bytes, and adds none"
    invoice = finalize(cloud)
    assert quantities(invoice) == before
    with transaction(pool) as tx:
        assert verify_invoice(tx, invoice.id).holds


def test_a_wide_bucket_that_the_drop_would_cut_is_sealed_whole_or_keeps_the_chunk(cloud: Cloud) -> None:
    pool = cloud.pool
    with transaction(pool) as tx:
        tx.execute("INSERT INTO archive_policy_granularity VALUES ('nephoscope', %s, 10)", (30 * 86_400_000_000,))
    finalize(cloud)
    with transaction(pool, Isolation.SNAPSHOT) as tx:
        found = retention.plan(tx, TERMS, now=LATER).boundary
    assert found is None or found.seal_before <= APRIL


def test_a_second_run_goes_on_where_the_first_one_ended(cloud: Cloud) -> None:
    pool = cloud.pool
    finalize(cloud)
    keep_rollups(pool)
    before = series(pool, cloud)
    first = datetime(2027, 4, 20, tzinfo=UTC)
    run(pool, first)
    half = boundary(pool)
    run(pool)
    assert half < boundary(pool)
    assert series(pool, cloud) == before
    with transaction(pool) as tx:
        carried = tx.execute("SELECT observed_at FROM archived_sample WHERE NOT is_evidence").fetchall()
    assert 1 <= len(carried) <= 2, "what was carried over the first boundary is outlived by what was over the second"


def test_a_run_by_hand_ends_when_nothing_is_left(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    finalize(cloud)
    monkeypatch.setattr("entrypoints.retention.utc_now", lambda: LATER)
    output = Console(record=True, quiet=True)
    assert run_retention(cloud.pool, TERMS, output=output)
    with transaction(cloud.pool) as tx:
        assert all(chunk.end > boundary(cloud.pool) for chunk in list_chunks(tx, "measure"))


def test_a_run_by_hand_says_what_it_waits_for_and_gives_up_in_time(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    finalize(cloud)
    monkeypatch.setattr("entrypoints.retention.utc_now", lambda: LATER)
    monkeypatch.setattr("entrypoints.retention.WAITS_MAX", 3)
    monkeypatch.setattr("entrypoints.retention.WAIT_S", 0.01)
    with transaction(cloud.pool) as tx:
        mark_dirty(tx, [DirtyRanges(0, [SHARD_COUNT], [BOOT_US], [BOOT_US])])
    told = io.StringIO()
    output = Console(file=told, width=200)
    assert not run_retention(cloud.pool, TERMS, output=output)
    assert told.getvalue().splitlines() == [
        "Sealed.",
        "Waiting: some of what is sealed waits to be rolled up, which the workers do.",
        "Gave up: some of what is sealed waits to be rolled up, which the workers do."
        " It goes on where it stopped when it is run again.",
    ]


def test_a_batch_over_too_many_weeks_is_refused_with_a_sentence(pool: Pool) -> None:
    resource = new_id()
    weeks = [a_sample(-n * 7 * 86_400, n, resource_id=resource) for n in range(120)]
    with pytest.raises(Invalid, match="120 different weeks"):
        ingest(pool, weeks)
    assert ingest(pool, weeks[:104]).accepted == 104
    assert ingest(pool, [weeks[0], weeks[-1]]).accepted == 1, "far apart is not many"


def test_the_apache_edition_has_no_columns_and_is_left_as_it_is(cloud: Cloud) -> None:
    pool = cloud.pool
    with transaction(pool) as tx:
        if columnstore.has_columnstore(tx):
            pytest.skip("this server runs the full edition")
        with pytest.raises(psycopg.errors.FeatureNotSupported), tx.transaction():
            columnstore.enable_columnstore(tx)
        terms = replace(TERMS, compress_after=timedelta(days=1))
        assert retention.take_step(tx, terms, now=FINAL_AT) is Step.NOTHING
        assert not retention_service.compress_step(tx, before=LATER)


def test_a_number_of_days_of_none_compresses_nothing() -> None:
    assert RetentionTerms.of(Settings(compress_after_days=0)).compress_after is None
    assert RetentionTerms.of(Settings(compress_after_days=60)).compress_after == timedelta(days=60)
