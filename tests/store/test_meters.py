"""Meters of events on a real database: they count the past too, miss nothing that comes while they are made, and never change."""

import os
import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from entrypoints import jobs
from foundation.database import Pool, Transaction, transaction
from foundation.errors import Forbidden, Unavailable
from foundation.ids import new_hex_id
from foundation.interval import TimeInterval
from identity.policy import product_caller
from metering.event_model import EventMeter, MeterExists, MeterNotFound, TooManyMeters
from metering.rollups import shard_of
from metering.service import counter_usage, roll_up_shard
from metering.service import event_meters as service
from metering.service.event_meters import (
    count_past_events,
    delete_meter,
    describe_meter,
    get_meter,
    has_past_events_due,
    list_meters,
    meter_usage,
)
from metering.service.verification import metric_to_verify, next_part, verify_part
from metering.store import event_meters as meter_store
from tests.conftest import PATIENCE_S
from tests.event_builders import NOW, a_sender, make_meter, outcomes, send, wire
from tests.metering_builders import a_project, at

ADMIN = product_caller(project_id="admin")
ALL_TIME = TimeInterval(at(-86_400), at(365 * 86_400))


def usage(tx: Transaction, project_id: str, meter: EventMeter, **asked: Any) -> dict[str, str]:
    """Return what a meter counted, by subject and groups."""
    facts: dict[str, Any] = {"interval": ALL_TIME, "subject": None, "after": None, "limit": 1_000, **asked}
    rows = meter_usage(tx, meter, project_id=project_id, **facts)
    return {
        "/".join(row.attributes[name] for name in sorted(row.attributes, reverse=True)): str(row.quantity)
        for row in rows
    }


def count_all_past(tx: Transaction, meter: EventMeter) -> EventMeter:
    """Count a meter's past as the worker does."""
    for _ in range(1_000):
        if not count_past_events(tx, meter_id=meter.id, limit=7 if meter.project_id else 20_000):
            break
    return get_meter(tx, meter.name, project_id=meter.project_id)


def test_each_aggregation_counts_by_subject_and_group(tx: Transaction) -> None:
    project = a_project()
    meters = {
        how: make_meter(
            tx, project, aggregation=how, value_path=None if how == "count" else "tokens", group_by={"model": "model"}
        )
        for how in ("sum", "count", "max", "last")
    }
    values = [
        (1, "a", "m", 2.5),
        (3, "a", "m", 1),
        (2, "a", "m", "4"),
        (1, "a", "n", 7),
        (1, "b", "m", 0.1),
        (2, "b", "m", 0.2),
    ]
    send(
        tx,
        project,
        [wire(n, seconds=s, subject=who, data={"tokens": x, "model": m}) for n, (s, who, m, x) in enumerate(values)],
    )
    told = {how: usage(tx, project, meter) for how, meter in meters.items()}
    assert told == {
        "sum": {"a/m": "7.5", "a/n": "7", "b/m": "0.3"},
        "count": {"a/m": "3", "a/n": "1", "b/m": "2"},
        "max": {"a/m": "4", "a/n": "7", "b/m": "0.2"},
        "last": {"a/m": "1", "a/n": "7", "b/m": "0.2"},
    }
    assert usage(tx, project, meters["sum"], subject="b") == {"b/m": "0.3"}
    within = TimeInterval(at(2), at(3))
    assert usage(tx, project, meters["sum"], interval=within) == {"a/m": "4", "b/m": "0.2"}


def test_the_usage_of_a_meter_is_what_billing_reads(tx: Transaction) -> None:
    project = a_project()
    meter = make_meter(tx, project)
    send(tx, project, [wire(n, seconds=n % 3, subject=f"s{n % 5}", data={"tokens": n / 10}) for n in range(50)])
    billed = counter_usage(tx, project_id=project, meter=meter.name, interval=ALL_TIME)
    assert {row.unit for row in billed} == {"token"}
    assert sum(Decimal(value) for value in usage(tx, project, meter).values()) == sum(row.quantity for row in billed)
    assert sum(row.quantity for row in billed) == Decimal("122.5")


ARCHIVE_ALL = """
    INSERT INTO archived_sample
    SELECT m.metric_key, m.observed_at, m.boot_epoch, m.value, m.adopted, m.written_xid, true FROM measure m
    JOIN metric c ON c.key = m.metric_key JOIN resource r ON r.id = c.resource_id WHERE r.project_id = %s
"""
SWITCH = "UPDATE retention SET sealed_until = %(at)s, archiving_until = %(at)s, archived_until = %(at)s"


def test_usage_is_the_same_from_the_archive(tx: Transaction) -> None:
    project = a_project()
    meter = make_meter(tx, project)
    send(tx, project, [wire(n, seconds=n, subject=f"s{n % 2}", data={"tokens": n / 10}) for n in range(10)])
    before = usage(tx, project, meter)
    tx.execute(ARCHIVE_ALL, (project,))
    tx.execute(SWITCH, {"at": ALL_TIME.end})
    assert usage(tx, project, meter) == before == {"s0": "2.0", "s1": "2.5"}


def test_usage_comes_in_pages(tx: Transaction) -> None:
    project = a_project()
    meter = make_meter(tx, project)
    send(tx, project, [wire(n, subject=f"s{n}") for n in range(5)])
    rows = meter_usage(tx, meter, project_id=project, interval=ALL_TIME, subject=None, after=None, limit=3)
    rest = meter_usage(
        tx, meter, project_id=project, interval=ALL_TIME, subject=None, after=rows[-1].resource_id, limit=3
    )
    assert sorted(row.attributes["subject"] for row in (*rows, *rest)) == ["s0", "s1", "s2", "s3", "s4"]


def test_a_meter_counts_what_came_before_it(tx: Transaction, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "PAST_AT_BIRTH", 7)
    project = a_project()
    batch = [wire(n, data={} if n % 10 == 0 else {"tokens": 1}) for n in range(30)]
    assert outcomes(send(tx, project, [*batch, wire("o", type="other")])) == ["a"] * 31
    send(tx, a_project(), [wire(1)])
    meter = make_meter(tx, project)
    assert (meter.past_until is not None, meter.past_counted, meter.past_skipped) == (True, 6, 1)
    assert has_past_events_due(tx)
    send(tx, project, [wire("new", data={"tokens": 1})], now=NOW + timedelta(seconds=1))
    meter = count_all_past(tx, meter)
    assert (meter.past_until, meter.past_skipped) == (None, 3)
    assert usage(tx, project, meter) == {"customer": "28"}


def test_nothing_is_lost_or_doubled_while_a_meter_is_made(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter_store, "WAIT_MS_MAX", PATIENCE_S * 1000)
    project, name = a_project(), f"tokens-{new_hex_id()}"
    sent, failures, made = list[int](), list[BaseException](), threading.Event()

    def keep_sending(worker: int) -> None:
        try:
            for n in range(40):
                with transaction(pool) as tx:
                    send(tx, project, [wire(f"{worker}-{n}-{k}", seconds=n) for k in range(5)])
                sent.append(5)
                if n > 20:
                    made.wait(PATIENCE_S)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=keep_sending, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    with transaction(pool) as tx:
        meter = make_meter(tx, project, name=name)
    made.set()
    for thread in threads:
        thread.join()
    assert not failures
    with transaction(pool) as tx:
        meter = count_all_past(tx, meter)
        assert usage(tx, project, meter) == {"customer": str(10 * sum(sent))}


def test_the_same_meter_again_is_the_one_that_is_there_and_another_of_its_name_is_refused(tx: Transaction) -> None:
    project = a_project()
    meter = make_meter(tx, project)
    assert make_meter(tx, project, name=meter.name).id == meter.id
    others: list[dict[str, Any]] = [
        {"unit": "x"},
        {"aggregation": "max"},
        {"value_path": "other"},
        {"group_by": {"a": "b"}},
        {"event_type": "t"},
    ]
    for changes in others:
        with pytest.raises(MeterExists, match="counts otherwise"):
            make_meter(tx, project, name=meter.name, **changes)
    assert make_meter(tx, a_project(), name=meter.name, unit="x").id != meter.id


def test_a_deleted_meter_counts_no_more_keeps_its_usage_and_its_name_and_can_go_on(tx: Transaction) -> None:
    project = a_project()
    meter = make_meter(tx, project)
    send(tx, project, [wire(1)])
    delete_meter(tx, a_sender(project), meter.name, project_id=project, now=NOW)
    with pytest.raises(MeterNotFound):
        get_meter(tx, meter.name, project_id=project)
    (answer,) = send(tx, project, [wire(2)])
    assert answer.meters == ()
    (billed,) = counter_usage(tx, project_id=project, meter=meter.name, interval=ALL_TIME)
    assert billed.quantity == 10
    with pytest.raises(MeterExists, match="was a meter that counts otherwise"):
        make_meter(tx, project, name=meter.name, unit="x")
    again = count_all_past(tx, make_meter(tx, project, name=meter.name))
    assert (again.id, usage(tx, project, again)) == (meter.id, {"customer": "20"})


def test_a_meter_of_every_project_counts_each_ones_events_and_is_an_admins(tx: Transaction) -> None:
    one, other, kind = a_project(), a_project(), f"type-{new_hex_id()}"
    send(tx, one, [wire(1, type=kind)])
    with pytest.raises(Forbidden):
        make_meter(tx, None, caller=a_sender(one), event_type=kind)
    meter = count_all_past(tx, make_meter(tx, None, caller=ADMIN, event_type=kind))
    send(tx, other, [wire(1, type=kind), wire(2, type=kind)])
    assert (usage(tx, one, meter), usage(tx, other, meter)) == ({"customer": "10"}, {"customer": "20"})
    with pytest.raises(MeterExists, match="a meter of every project"):
        make_meter(tx, one, name=meter.name, event_type=kind)
    own = make_meter(tx, one, event_type=kind)
    with pytest.raises(MeterExists):
        make_meter(tx, None, caller=ADMIN, name=own.name, event_type=kind)
    with pytest.raises(Forbidden):
        delete_meter(tx, a_sender(one), meter.name, project_id=one, now=NOW)
    listed = [found.name for found in list_meters(tx, other, after=None, limit=1_000)]
    assert meter.name in listed
    assert own.name not in listed
    delete_meter(tx, ADMIN, meter.name, project_id=one, now=NOW)


def test_only_the_description_of_a_meter_changes(tx: Transaction) -> None:
    project = a_project()
    meter = make_meter(tx, project)
    changed = describe_meter(tx, a_sender(project), meter.name, project_id=project, description="of answers")
    assert changed.description == "of answers"
    assert get_meter(tx, meter.name, project_id=project) == changed
    with pytest.raises(MeterNotFound):
        describe_meter(tx, a_sender(a_project()), meter.name, project_id=a_project(), description="x")


def test_meters_are_bounded(tx: Transaction, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "METERS_MAX", 2)
    project = a_project()
    first = make_meter(tx, project)
    make_meter(tx, project)
    with pytest.raises(TooManyMeters):
        make_meter(tx, project)
    delete_meter(tx, a_sender(project), first.name, project_id=project, now=NOW)
    make_meter(tx, project)


def test_two_workers_share_out_the_past(pool: Pool) -> None:
    project = a_project()
    with transaction(pool) as tx:
        send(tx, project, [wire(n) for n in range(3_000)])
        meter = make_meter(tx, project)
        assert meter.past_until is not None
    with transaction(pool) as tx:
        assert count_past_events(tx, meter_id=meter.id, limit=100) == 1
        with transaction(pool) as other:
            assert count_past_events(other, meter_id=meter.id) == 0
    with transaction(pool) as tx:
        while count_past_events(tx, meter_id=meter.id):
            pass
        assert usage(tx, project, meter) == {"customer": "30000"}


def test_the_rollups_of_what_events_counted_can_be_proven(tx: Transaction) -> None:
    project = a_project()
    meter = make_meter(tx, project)
    send(tx, project, [wire(n, seconds=n // 3, data={"tokens": n / 7}) for n in range(300)])
    send(tx, project, [wire(f"late{n}", seconds=-n, data={"tokens": n / 3}) for n in range(100)])
    (row,) = tx.execute(
        "SELECT c.id, c.key FROM metric c JOIN resource r ON r.id = c.resource_id WHERE r.project_id = %s", (project,)
    ).fetchall()
    while roll_up_shard(tx, shard=shard_of(row[1])).more:
        pass
    part = next_part(tx, metric_to_verify(tx, row[0]), granularity_us=60_000_000, start=at(-3_600), stop=at(3_600))
    assert part is not None
    verdict = verify_part(tx, part)
    assert (verdict.checked > 1, verdict.differences) == (True, ())
    assert usage(tx, project, meter)


def test_the_worker_counts_the_past_of_a_new_meter(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "PAST_AT_BIRTH", 1)
    monkeypatch.setitem(jobs.pools, os.getpid(), pool)
    project = a_project()
    with transaction(pool) as tx:
        send(tx, project, [wire(n) for n in range(50)])
        meter = make_meter(tx, project)
        assert has_past_events_due(tx)
    jobs.count_past_events()
    with transaction(pool) as tx:
        assert get_meter(tx, meter.name, project_id=project).past_until is None
        assert usage(tx, project, meter) == {"customer": "500"}


def test_a_meter_waits_no_longer_than_so_for_events_that_are_being_taken_in(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meter_store, "WAIT_MS_MAX", 50)
    project = a_project()
    with transaction(pool) as slow:
        send(slow, project, [wire(1)])
        with pytest.raises(Unavailable, match="again in a few seconds"), transaction(pool) as tx:
            make_meter(tx, project)
    with transaction(pool) as tx:
        assert usage(tx, project, make_meter(tx, project)) == {"customer": "10"}
