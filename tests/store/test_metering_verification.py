"""Proving rollups on a real TimescaleDB: clean ones are proven, and a fault in any column of any of them is found."""

import json
from collections.abc import Generator, Sequence
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrypoints.verify import Asked, Report, main, run, verify_rollups
from foundation.database import Pool, Transaction, transaction
from foundation.ids import new_id
from metering.errors import MetricNotFound
from metering.model import SHARD_COUNT
from metering.service import ingest_samples, roll_up_shard, shard_lease, verification
from metering.verification import COLUMNS, Difference
from tests.conftest import own_pool
from tests.metering_builders import RECEIVED_AT, a_sample, at
from tests.statements import counted_statements

BOOT = 1_700_000_000_000_000
LONG = (at(-86_400 * 365), at(86_400 * 365))
DAMAGE: dict[str, LiteralString] = {
    "count": "UPDATE rollup SET count = count + 1 WHERE metric_key = %s AND granularity_us = 60000000 AND bucket = %s",
    "sum": "UPDATE rollup SET sum = sum + 0.5 WHERE metric_key = %s AND granularity_us = 60000000 AND bucket = %s",
    "min": "UPDATE rollup SET min = min - 1 WHERE metric_key = %s AND granularity_us = 60000000 AND bucket = %s",
    "max": "UPDATE rollup SET max = max + 1 WHERE metric_key = %s AND granularity_us = 60000000 AND bucket = %s",
    "first": "UPDATE rollup SET first = first + 1 WHERE metric_key = %s AND granularity_us = 60000000 AND bucket = %s",
    "last": "UPDATE rollup SET last = last + 1 WHERE metric_key = %s AND granularity_us = 60000000 AND bucket = %s",
    "deviation_sq": "UPDATE rollup SET deviation_sq = deviation_sq * (1 + 2.3e-16::float8)"
    " WHERE metric_key = %s AND granularity_us = 60000000 AND bucket = %s",
    "increase_count": "UPDATE rollup SET increase_count = increase_count + 1"
    " WHERE metric_key = %s AND granularity_us = 60000000 AND bucket = %s",
    "increase_sum": "UPDATE rollup SET increase_sum = NULL WHERE metric_key = %s AND granularity_us = 60000000 AND bucket = %s",
    "increase_min": "UPDATE rollup SET increase_min = 0 WHERE metric_key = %s AND granularity_us = 60000000 AND bucket = %s",
    "increase_max": "UPDATE rollup SET increase_max = 0 WHERE metric_key = %s AND granularity_us = 60000000 AND bucket = %s",
    "increase_first": "UPDATE rollup SET increase_first = 0 WHERE metric_key = %s AND granularity_us = 60000000 AND bucket = %s",
    "increase_last": "UPDATE rollup SET increase_last = 0 WHERE metric_key = %s AND granularity_us = 60000000 AND bucket = %s",
    "increase_deviation_sq": "UPDATE rollup SET increase_deviation_sq = 9"
    " WHERE metric_key = %s AND granularity_us = 60000000 AND bucket = %s",
    "increase_elapsed_s": "UPDATE rollup SET increase_elapsed_s = 1"
    " WHERE metric_key = %s AND granularity_us = 60000000 AND bucket = %s",
    "bucket": "DELETE FROM rollup WHERE metric_key = %s AND granularity_us = 60000000 AND bucket = %s",
}


@pytest.fixture(scope="module")
def pool(cluster_url: str) -> Generator[Pool]:
    """A database of these tests alone: what they prove is all that is there."""
    with own_pool(cluster_url) as opened:
        yield opened


def roll_up_all(tx: Transaction) -> None:
    for shard in range(SHARD_COUNT):
        roll_up_shard(tx, shard=shard)


def metric_of(tx: Transaction, resource_id: UUID, name: str = "cpu") -> tuple[UUID, int]:
    row = tx.execute("SELECT id, key FROM metric WHERE resource_id = %s AND name = %s", (resource_id, name)).fetchone()
    assert row is not None
    return row[0], row[1]


def verdicts(tx: Transaction, metric_id: UUID, bounds: tuple[datetime, datetime] = LONG) -> list[verification.Verdict]:
    """Prove all of a metric's buckets."""
    metric = verification.metric_to_verify(tx, metric_id)
    found: list[verification.Verdict] = []
    for granularity_us in metric.granularities_us:
        start = bounds[0]
        while part := verification.next_part(tx, metric, granularity_us=granularity_us, start=start, stop=bounds[1]):
            found.append(verification.verify_part(tx, part))
            start = part.stop
    return found


def differences(tx: Transaction, metric_id: UUID) -> list[Difference]:
    return [one for verdict in verdicts(tx, metric_id) for one in verdict.differences]


adversarial = st.one_of(
    st.floats(-1e140, 1e140),
    st.sampled_from([0.0, -0.0, 5e-324, 1e-300, 1e16, 1e16 + 2, 0.1, 0.2, 1e140, -1e140, 2.0**53, 2.0**53 + 2]),
    st.integers(0, 2**63).map(float),
)
rows = st.lists(
    st.tuples(st.integers(0, 90_000_000_000), st.sampled_from([0, BOOT, BOOT + 7]), adversarial, st.booleans()),
    min_size=1,
    max_size=30,
    unique_by=lambda r: (r[0], r[1]),
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(rows=rows, data=st.data(), meter=st.sampled_from(["cpu", "memory.usage"]))
def test_whatever_is_rolled_up_is_proven_to_the_bit(
    tx: Transaction, rows: list[tuple[int, int, float, bool]], data: st.DataObject, meter: str
) -> None:
    resource = new_id()
    samples = [
        a_sample(us / 1e6, value, resource_id=resource, meter=meter, boot_epoch=boot, adopted=adopted)
        for us, boot, value, adopted in rows
    ]
    cut = data.draw(st.integers(0, len(samples)))
    for batch in (samples[:cut], samples[cut:]):
        ingest_samples(tx, batch, received_at=RECEIVED_AT)
        roll_up_all(tx)
    metric_id, key = metric_of(tx, resource, meter)
    found = verdicts(tx, metric_id)
    assert [one for verdict in found for one in verdict.differences] == []
    stored = tx.execute("SELECT count(*) FROM rollup WHERE metric_key = %s", (key,)).fetchone()
    assert stored == (sum(verdict.checked for verdict in found),)


def test_events_of_one_instant_are_told_apart_by_marks_and_follow_nothing(tx: Transaction) -> None:
    resource = new_id()
    ingest_samples(
        tx, [a_sample(0, 1, resource_id=resource, meter="orders", meter_type="delta")], received_at=RECEIVED_AT
    )
    metric_id, key = metric_of(tx, resource, "orders")
    for mark in (2**54 + 5, 2**54 + 9, 2**54 + 22 * 10**16):
        tx.execute(
            "INSERT INTO measure (metric_key, observed_at, boot_epoch, value) VALUES (%s, %s, %s, 3)",
            (key, at(30), mark),
        )
    roll_up_all(tx)
    (minutes, hours) = verdicts(tx, metric_id)
    assert (minutes.checked, hours.checked, minutes.differences + hours.differences) == (1, 1, ())


def a_history(tx: Transaction, resource: UUID) -> UUID:
    """Two boots, a reset and a quiet hour, rolled up."""
    samples = [a_sample(20 * n, 7.5 * n * n, resource_id=resource, boot_epoch=BOOT) for n in range(30)]
    samples += [a_sample(7200 + 20 * n, 3.0 * n, resource_id=resource, boot_epoch=BOOT + 1) for n in range(30)]
    ingest_samples(tx, samples, received_at=RECEIVED_AT)
    roll_up_all(tx)
    return metric_of(tx, resource)[0]


def test_a_fault_in_any_column_is_found_and_named(tx: Transaction) -> None:
    assert set(DAMAGE) == {*COLUMNS, "bucket"}
    resource = new_id()
    metric_id = a_history(tx, resource)
    _, key = metric_of(tx, resource)
    for column, statement in DAMAGE.items():
        with tx.transaction(force_rollback=True):
            assert tx.execute(statement, (key, at(120))).rowcount == 1
            (found,) = differences(tx, metric_id)
            assert (found.column, found.bucket, found.granularity_us) == (column, at(120), 60_000_000)
            assert found.stored != found.recomputed
    assert differences(tx, metric_id) == []


def test_a_rollup_without_readings_is_found_and_never_marked_for_repair(tx: Transaction) -> None:
    metric_id = a_history(tx, resource := new_id())
    _, key = metric_of(tx, resource)
    tx.execute("DELETE FROM measure WHERE metric_key = %s AND observed_at < %s", (key, at(60)))
    found = differences(tx, metric_id)
    assert (at(0), 60_000_000, "bucket", "3 readings", None) in [
        (one.bucket, one.granularity_us, one.column, one.stored, one.recomputed) for one in found
    ]
    gone = [one for one in found if one.recomputed is None]
    assert verification.mark_for_repair(tx, gone) == 0
    assert tx.execute("SELECT count(*) FROM dirty_mark").fetchone() == (0,)


def test_a_repair_is_one_statement_whichever_shards_it_concerns(tx: Transaction) -> None:
    wrong = [
        Difference(new_id(), key, "cpu", 60_000_000, at(60 * key), "sum", "1", "2")
        for key in range(1, 2 * SHARD_COUNT + 1)
    ]
    with counted_statements(tx) as counted:
        assert verification.mark_for_repair(tx, wrong) == 2 * SHARD_COUNT
    assert counted.statements == 1
    marks = tx.execute("SELECT shard, metric_keys, first_ats FROM dirty_mark ORDER BY shard").fetchall()
    assert [shard for shard, _, _ in marks] == [*range(SHARD_COUNT)]
    for shard, keys, first_ats in marks:
        assert {key % SHARD_COUNT for key in keys} == {shard}
        assert first_ats == [at(60 * key) for key in keys]


def test_late_readings_wait_and_are_proven_once_they_are_rolled_up(tx: Transaction) -> None:
    metric_id = a_history(tx, resource := new_id())
    ingest_samples(tx, [a_sample(130, 1e15, resource_id=resource, boot_epoch=BOOT)], received_at=RECEIVED_AT)
    minutes, hours = verdicts(tx, metric_id)
    assert (minutes.waiting, hours.waiting, minutes.differences + hours.differences) == (1, 1, ())
    last = a_sample(180 - 1, 1e15, resource_id=resource, boot_epoch=BOOT)
    ingest_samples(tx, [last], received_at=RECEIVED_AT)
    assert verdicts(tx, metric_id)[0].waiting == 2, "the bucket of its successor waits as well"
    roll_up_all(tx)
    assert [verdict.waiting for verdict in verdicts(tx, metric_id)] == [0, 0]
    assert differences(tx, metric_id) == []


def test_a_metric_deleted_meanwhile_and_a_width_that_is_kept_no_more_are_not_judged(tx: Transaction) -> None:
    metric_id = a_history(tx, resource := new_id())
    _, key = metric_of(tx, resource)
    tx.execute("UPDATE rollup SET sum = 0 WHERE metric_key = %s AND granularity_us = 60000000", (key,))
    tx.execute(
        "DELETE FROM archive_policy_granularity WHERE archive_policy_name = 'nephoscope' AND granularity_us = 60000000"
    )
    assert differences(tx, metric_id) == []
    tx.execute("UPDATE metric SET status = 'delete' WHERE id = %s", (metric_id,))
    with pytest.raises(MetricNotFound):
        verification.metric_to_verify(tx, metric_id)


def test_parts_cover_all_buckets_once_and_leap_over_what_is_empty(
    tx: Transaction, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "BUCKETS_A_PART", 4)
    metric_id = a_history(tx, new_id())
    found = verdicts(tx, metric_id)
    assert sum(verdict.checked for verdict in found) == 20 + 2
    assert len(found) < 10
    assert sum(verdict.checked for verdict in verdicts(tx, metric_id, (at(61), at(241)))) == 3


@pytest.fixture
def filled(pool: Pool) -> Generator[Pool]:
    """Five metrics, committed and rolled up, and removed again."""
    resources = [new_id() for _ in range(5)]
    with transaction(pool) as tx:
        for resource in resources:
            ingest_samples(
                tx,
                [a_sample(30 * n, 0.1 * n, resource_id=resource, boot_epoch=BOOT) for n in range(200)],
                received_at=RECEIVED_AT,
            )
    roll_up_committed(pool)
    yield pool
    with transaction(pool) as tx:
        for statement in FORGET:
            tx.execute(statement)


FORGET: Sequence[LiteralString] = (
    "DELETE FROM measure",
    "DELETE FROM rollup",
    "DELETE FROM dirty_mark",
    "DELETE FROM metric",
)


def roll_up_committed(pool: Pool) -> None:
    for shard in range(SHARD_COUNT):
        with shard_lease(pool, shard) as roller:
            assert roller is not None
            roll_up_shard(roller, shard=shard)


def damage_one(pool: Pool) -> None:
    with transaction(pool) as tx:
        tx.execute(
            "UPDATE rollup SET max = 1e9 WHERE bucket = %s AND granularity_us = 60000000"
            " AND metric_key = (SELECT min(key) FROM metric)",
            (at(600),),
        )


def test_all_of_it_is_proven_and_a_fault_is_mended_by_the_roller(filled: Pool) -> None:
    everything = Asked(sample=None, seed=0)
    clean = verify_rollups(filled, everything)
    assert (clean.checked, clean.differing_buckets, len(clean.metrics)) == (5 * (100 + 2), 0, 5)
    damage_one(filled)
    found = verify_rollups(filled, Asked(sample=None, seed=0, repair=True))
    assert (found.differing_buckets, found.marked_for_repair) == (1, 1)
    assert [(one.column, one.stored) for one in found.differences] == [("max", "1000000000.0")]
    assert verify_rollups(filled, everything).waiting > 0, "it is marked, and not edited"
    roll_up_committed(filled)
    again = verify_rollups(filled, everything)
    assert (again.checked, again.waiting, again.differing_buckets) == (5 * 102, 0, 0)


def test_a_sample_is_the_same_for_the_same_seed_and_finds_what_is_wrong_in_what_it_sees(filled: Pool) -> None:
    def sampled(seed: int, size: int = 60) -> Report:
        return verify_rollups(filled, Asked(sample=size, seed=seed))

    one, again, other = sampled(7), sampled(7), sampled(8)
    assert (one.checked, one.metrics) == (again.checked, again.metrics)
    assert 30 <= one.checked <= 60
    assert other.differing_buckets == 0
    damage_one(filled)
    asked = Asked(sample=40, seed=3, start=at(600), stop=at(660))
    assert verify_rollups(filled, asked).differing_buckets == 1


def test_one_metric_alone_can_be_asked_for(filled: Pool) -> None:
    damage_one(filled)
    with transaction(filled) as tx:
        first, second = (row[0] for row in tx.execute("SELECT id FROM metric ORDER BY key LIMIT 2"))
    assert verify_rollups(filled, Asked(sample=None, seed=0, metric_id=first)).differing_buckets == 1
    report = verify_rollups(filled, Asked(sample=None, seed=0, metric_id=second))
    assert (report.checked, report.differing_buckets) == (102, 0)
    with pytest.raises(MetricNotFound):
        verify_rollups(filled, Asked(sample=10, seed=0, metric_id=new_id()))


def test_the_command_says_what_it_found_and_ends_with_it(filled: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    everything = Asked(sample=None, seed=0)
    assert run(filled, everything, as_json=False) == 0
    assert "510 buckets of 5 metrics checked" in capsys.readouterr().out
    damage_one(filled)
    assert run(filled, everything, as_json=True) == 1
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (answer["checked"], answer["differing_buckets"]) == (510, 1)
    assert answer["differences"][0]["column"] == "max"
    assert run(filled, everything, as_json=False) == 1
    told = capsys.readouterr()
    (line,) = [line for line in told.out.splitlines() if " is stored as " in line]
    recomputed = answer["differences"][0]["recomputed"]
    assert line.endswith(f"max is stored as 1000000000.0, its readings say {recomputed}"), "one line, however narrow"
    assert answer["differences"][0]["metric_id"] in line
    assert "--repair" in told.out
    assert told.err == "", "progress is for terminals"


def test_an_empty_store_proves_nothing_and_says_so(pool: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    for sample in (None, 10):
        assert run(pool, Asked(sample=sample, seed=0), as_json=False) == 0
        told = capsys.readouterr().out
        assert told.startswith("Nothing was proven")
        assert "to the bit" not in told


def test_bounds_that_hold_nothing_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(Asked(sample=10, seed=0, start=at(60), stop=at(60)), as_json=False)
    assert ended.value.code == 2
    assert "--from must lie before --to" in capsys.readouterr().err
