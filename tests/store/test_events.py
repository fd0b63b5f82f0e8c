"""Events on a real database: each kept and counted once, whatever comes how often, how late, in what order and from how many."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.database import Pool, Transaction, transaction
from foundation.interval import TimeInterval
from identity.policy import product_caller
from metering.event_model import EventFilter, EventNotFound, LogPosition
from metering.model import SHARD_COUNT
from metering.rollups import shard_of
from metering.service import counter_usage, roll_up_shard, shard_lease
from metering.service import events as service
from metering.service.events import drop_expired_refusals, get_event, list_events
from metering.store import events as store
from metering.store.series import SeriesAsked, read_buckets
from tests.conftest import PATIENCE_S
from tests.event_builders import NOW, a_sender, make_meter, outcomes, received, send, wire
from tests.metering_builders import a_project, at

HOUR_US = 3_600_000_000
ROOT = Path(__file__).parent.parent.parent
DOOMED = """
import sys
from foundation.database import open_pool, transaction
from tests.event_builders import send, wire

url, project, moment = sys.argv[1:]
pool = open_pool(url, size_max=1, application_name="doomed")
with transaction(pool) as tx:
    send(tx, project, [wire(n) for n in range(100)])
    if moment == "before":
        print("there", flush=True)
        sys.stdin.read()
print("there", flush=True)
sys.stdin.read()
"""
ALL_TIME = TimeInterval(at(-40 * 365 * 86_400), at(365 * 86_400))


def used(tx: Transaction, project_id: str, meter: str) -> dict[str, Decimal]:
    """Return what billing would see of a meter, by subject."""
    rows = counter_usage(tx, project_id=project_id, meter=meter, interval=ALL_TIME)
    return {row.original_resource_id.rpartition("@")[0]: row.quantity for row in rows}


def keys_of(tx: Transaction, project_id: str, meter: str) -> list[int]:
    """Return the keys of the series that a meter made."""
    rows = tx.execute(
        "SELECT c.key FROM metric c JOIN resource r ON r.id = c.resource_id WHERE r.project_id = %s AND c.name = %s"
        " ORDER BY r.original_resource_id",
        (project_id, meter),
    )
    return [int(row[0]) for row in rows]


def buckets(tx: Transaction, key: int, method: str) -> list[float]:
    """Return the hours of a series by a method."""
    return read_buckets(tx, [SeriesAsked(key, HOUR_US, at(0), at(86_400))], method=method).values.tolist()


def test_an_event_is_counted_once_however_often_it_comes(tx: Transaction) -> None:
    project = a_project()
    meter = make_meter(tx, project)
    assert outcomes(send(tx, project, [wire(1), wire(2), wire(1)])) == ["a", "a", "d"]
    for days in (0, 1, 400):
        assert outcomes(send(tx, project, [wire(2), wire(1)], now=NOW + timedelta(days=days))) == ["d", "d"]
    assert used(tx, project, meter.name) == {"customer": Decimal(20)}


def test_ids_are_told_apart_by_their_source_and_their_project(tx: Transaction) -> None:
    one, other = a_project(), a_project()
    assert outcomes(send(tx, one, [wire(1), wire(1, source="/b")])) == ["a", "a"]
    assert outcomes(send(tx, other, [wire(1)])) == ["a"]


def test_two_events_of_one_instant_are_two(tx: Transaction) -> None:
    project = a_project()
    summed = make_meter(tx, project)
    counted = make_meter(tx, project, aggregation="count", value_path=None, unit="")
    largest = make_meter(tx, project, aggregation="max")
    send(tx, project, [wire(1, data={"tokens": 10}), wire(2, data={"tokens": 10})])
    send(tx, project, [wire(3, data={"tokens": 7})])
    assert used(tx, project, summed.name) == {"customer": Decimal(27)}
    assert used(tx, project, counted.name) == {"customer": Decimal(3)}
    (key,) = keys_of(tx, project, summed.name)
    assert (buckets(tx, key, "sum"), buckets(tx, key, "count"), buckets(tx, key, "max")) == ([27.0], [3.0], [10.0])
    assert roll_up_shard(tx, shard=shard_of(key)).buckets > 0
    assert (buckets(tx, key, "sum"), buckets(tx, key, "count"), buckets(tx, key, "max")) == ([27.0], [3.0], [10.0])
    (key,) = keys_of(tx, project, largest.name)
    assert buckets(tx, key, "max") == [10.0]
    assert used(tx, project, largest.name) == {}


def test_late_events_of_any_age_count(tx: Transaction) -> None:
    project = a_project()
    meter = make_meter(tx, project)
    ages_s = [0, 1, 3_600, 40 * 86_400, 5 * 365 * 86_400, 30 * 365 * 86_400]
    assert outcomes(send(tx, project, [wire(age, seconds=-age) for age in ages_s])) == ["a"] * len(ages_s)
    assert used(tx, project, meter.name) == {"customer": Decimal(10 * len(ages_s))}


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    values=st.lists(st.tuples(st.integers(0, 5), st.floats(0, 1e9)), min_size=1, max_size=12),
    seed=st.integers(0, 1000),
)
def test_any_order_any_batching_and_any_repetition_give_the_same_rollups(
    tx: Transaction, values: Sequence[tuple[int, float]], seed: int
) -> None:
    chance = random.Random(seed)
    events = [wire(n, seconds=s, data={"tokens": value}) for n, (s, value) in enumerate(values)]
    shuffled = [event for event in events for _ in range(chance.randint(1, 3))]
    chance.shuffle(shuffled)
    project, rows = a_project(), list[Any]()
    for batches in ([events], [[event] for event in shuffled]):
        with tx.transaction(force_rollback=True):
            meter = make_meter(tx, project)
            for batch in batches:
                send(tx, project, batch)
            (key,) = keys_of(tx, project, meter.name)
            while roll_up_shard(tx, shard=shard_of(key)).more:
                pass
            found = tx.execute(
                "SELECT granularity_us, bucket, count, sum::text, min::text, max::text, first::text, last::text,"
                " deviation_sq::text FROM rollup WHERE metric_key = %s ORDER BY 1, 2",
                (key,),
            ).fetchall()
            rows.append((found, used(tx, project, meter.name)))
    assert rows[0] == rows[1]
    assert rows[0][0]


def test_one_bad_event_loses_no_good_one_and_is_taken_when_it_is_mended(tx: Transaction) -> None:
    project = a_project()
    meter = make_meter(tx, project)
    batch = [wire(1), {"id": "x"}, wire(2, data={}), wire(3, time="2030-01-01T00:00:00Z"), wire(4), "no event"]
    answers = send(tx, project, batch)
    assert outcomes(answers) == ["a", "r", "r", "r", "a", "r"]
    assert [answer.field for answer in answers] == [None, "specversion", "data.tokens", "time", None, None]
    assert answers[0].meters == (meter.name,)
    assert outcomes(send(tx, project, [wire(2), wire(3)])) == ["a", "a"]
    assert used(tx, project, meter.name) == {"customer": Decimal(40)}


def test_a_repeat_that_says_something_else_is_told_so_and_changes_nothing(tx: Transaction) -> None:
    project = a_project()
    meter = make_meter(tx, project)
    send(tx, project, [wire(1)])
    (same,) = send(tx, project, [wire(1)])
    (other, uncountable) = send(tx, project, [wire(1, data={"tokens": 99}), wire(1, data={})])
    assert "something else" not in (same.reason or "")
    assert "something else" in (other.reason or "")
    assert (other.outcome, uncountable.outcome) == ("duplicate", "duplicate")
    assert used(tx, project, meter.name) == {"customer": Decimal(10)}


def test_what_is_stored_is_what_came(tx: Transaction) -> None:
    project = a_project()
    subject = "back\\slash \\N ümläut 株式会社"
    came = wire(1, subject=subject, data={"a": [1, 2.5, "\\t\t\n"], "tokens": 1}, trace="\\x", count=3)
    (answer,) = send(tx, project, [came])
    assert answer.outcome == "accepted"
    page = list_events(tx, EventFilter(project, source="/app", event_id="1"), after=None, limit=10)
    ((event, notes),) = page.events
    assert (event.subject, event.data, event.attributes, notes) == (
        subject,
        came["data"],
        {"trace": "\\x", "count": 3},
        [],
    )


def test_ten_workers_with_the_same_events_count_each_once(pool: Pool) -> None:
    project = a_project()
    with transaction(pool) as tx:
        meter = make_meter(tx, project)
    accepted, failures, lock = list[str](), list[BaseException](), threading.Lock()

    def work(seed: int) -> None:
        chance = random.Random(seed)
        events = [wire(n, seconds=n % 7, subject=f"c{n % 3}") for n in range(300)]
        for _ in range(4):
            batch = chance.sample(events, 100)
            try:
                with transaction(pool) as tx:
                    answers = send(tx, project, batch)
                with lock:
                    accepted.extend(answer.event_id or "" for answer in answers if answer.outcome == "accepted")
            except BaseException as error:
                failures.append(error)
                raise

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(accepted) == len(set(accepted))
    with transaction(pool) as tx:
        assert sum(used(tx, project, meter.name).values()) == 10 * len(accepted)
        row = tx.execute("SELECT count(*) FROM event WHERE project_id = %s", (project,)).fetchone()
        assert row == (len(accepted),)


def test_a_batch_waits_for_one_that_holds_its_events_and_takes_them_where_that_fails(pool: Pool) -> None:
    project = a_project()
    told: list[list[str]] = []

    def follow() -> None:
        with transaction(pool) as tx:
            told.append(outcomes(send(tx, project, [wire(1), wire(2)])))

    follower = threading.Thread(target=follow)
    with pytest.raises(ZeroDivisionError), transaction(pool) as tx:
        assert outcomes(send(tx, project, [wire(2), wire(3)])) == ["a", "a"]
        follower.start()
        wait_until_blocked(pool)
        raise ZeroDivisionError
    follower.join()
    assert told == [["a", "a"]]


WAITING_HERE = """
    SELECT FROM pg_stat_activity WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0
"""


def wait_until_blocked(pool: Pool) -> None:
    """Wait until a transaction waits for another one's."""
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        with transaction(pool) as tx:
            if tx.execute(WAITING_HERE).fetchone() is not None:
                return
            tx.execute("SELECT pg_sleep(0.02)")
    pytest.fail("nobody waits")


def test_the_rollers_keep_up_with_late_events_of_a_long_series(pool: Pool) -> None:
    """A late event among many must not make the roller read all that came after it."""
    project = a_project()
    with transaction(pool) as tx:
        meter = make_meter(tx, project)
        send(tx, project, [wire(n, seconds=n / 100) for n in range(3_000)])
        send(tx, project, [wire(f"late{n}", seconds=-n / 100) for n in range(3_000)])
        (key,) = keys_of(tx, project, meter.name)
    with shard_lease(pool, shard_of(key)) as tx:
        assert tx is not None
        tx.execute("SET LOCAL statement_timeout = '5s'")
        roll_up_shard(tx, shard=shard_of(key))
    with transaction(pool) as tx:
        assert sum(used(tx, project, meter.name).values()) == 60_000
    assert shard_of(key) in range(SHARD_COUNT)


def test_refusals_are_shown_with_their_reason_and_no_more_than_so_many(
    tx: Transaction, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "REFUSALS_OF_PROJECT_MAX", 5)
    monkeypatch.setattr(service, "REFUSALS_OF_REQUEST_MAX", 4)
    project = a_project()
    for n in range(3):
        send(tx, project, [wire(f"{n}-{k}", time="yesterday") for k in range(6)], now=NOW + timedelta(seconds=n))
    shown = list_events(tx, EventFilter(project, outcome="rejected"), after=None, limit=100).events
    assert [event.event_id for event, _ in shown] == ["2-3", "2-2", "2-1", "2-0", "1-3"]
    assert all(
        event.field == "time" and event.reason and '"time":"yesterday"' in (event.content or "") for event, _ in shown
    )


def test_refusals_are_forgotten_after_a_week_and_events_never(tx: Transaction) -> None:
    project = a_project()
    tx.execute("DELETE FROM event_refusal")
    send(tx, project, [wire(1), wire(1), "x"])
    assert drop_expired_refusals(tx, now=NOW + timedelta(days=6, hours=23)) == 0
    assert drop_expired_refusals(tx, now=NOW + timedelta(days=8)) >= 2
    (left,) = list_events(tx, EventFilter(project), after=None, limit=10).events
    assert left[0].outcome == "accepted"
    assert outcomes(send(tx, project, [wire(1)], now=NOW + timedelta(days=4_000))) == ["d"]


def listed(tx: Transaction, asked: EventFilter, *, limit: int) -> list[str]:
    """Return the ids of all pages, newest first."""
    found: list[str] = []
    after: LogPosition | None = None
    for _ in range(100):
        page = list_events(tx, asked, after=after, limit=limit)
        assert len(page.events) <= limit
        found += [f"{event.outcome[0]}{event.event_id}" for event, _ in page.events]
        after = page.next
        if after is None:
            return found
    pytest.fail("the pages do not end")


@pytest.mark.parametrize("searched", [3, 20_000])
def test_pages_show_every_event_once_newest_first_and_filters_narrow_them(
    tx: Transaction, monkeypatch: pytest.MonkeyPatch, searched: int
) -> None:
    monkeypatch.setattr(store, "SEARCHED_MAX", searched)
    project = a_project()
    for n in range(4):
        batch = [wire(f"{n}a"), wire("0a"), wire(f"{n}b", type="other", source="/b"), wire(f"{n}c", time="x")]
        send(tx, project, batch, now=NOW + timedelta(seconds=n))
    send(tx, a_project(), [wire("stranger")])
    everything = [
        f"{kind}{name}"
        for n in (3, 2, 1)
        for kind, name in (("r", f"{n}c"), ("a", f"{n}b"), ("d", "0a"), ("a", f"{n}a"))
    ]
    everything += ["r0c", "a0b", "d0a", "a0a"]
    for limit in (1, 2, 3, 100):
        assert listed(tx, EventFilter(project), limit=limit) == everything
        assert listed(tx, EventFilter(project, outcome="duplicate"), limit=limit) == ["d0a"] * 4
        assert listed(tx, EventFilter(project, outcome="accepted", type="other"), limit=limit) == [
            "a3b",
            "a2b",
            "a1b",
            "a0b",
        ]
        assert listed(tx, EventFilter(project, source="/b"), limit=limit) == ["a3b", "a2b", "a1b", "a0b"]
        assert listed(tx, EventFilter(project, source="/app", event_id="0a"), limit=limit)[-1] == "a0a"
        within = EventFilter(project, start=NOW + timedelta(seconds=1), end=NOW + timedelta(seconds=2))
        assert listed(tx, within, limit=limit) == ["r1c", "a1b", "d0a", "a1a"]


def test_one_event_is_shown_to_its_project_only(tx: Transaction) -> None:
    project = a_project()
    send(tx, project, [wire(1)])
    ((event, _),) = list_events(tx, EventFilter(project), after=None, limit=1).events
    assert get_event(tx, event.id, project_id=project)[0].event_id == "1"
    assert get_event(tx, event.id, project_id=None)[0].event_id == "1"
    with pytest.raises(EventNotFound):
        get_event(tx, event.id, project_id=a_project())


def test_only_an_admin_sends_corrections(tx: Transaction) -> None:
    project = a_project()
    meter = make_meter(tx, project)
    correction = wire("correction", data={"tokens": -4})
    assert outcomes(send(tx, project, [wire(1), correction])) == ["a", "r"]
    assert outcomes(send(tx, project, [correction], caller=product_caller(project_id="admin"))) == ["a"]
    assert used(tx, project, meter.name) == {"customer": Decimal(6)}


def test_the_database_refuses_what_the_code_should_have(tx: Transaction) -> None:
    project, reception = a_project(), store.Reception("p", "u", may_lower=False, received_at=NOW)
    (event,) = received([wire(1)]).events
    new = store.NewEvent(UUID(int=1).bytes, event, 0)  # pyright: ignore[reportArgumentType]
    assert store.try_keep_events(tx, [new], reception=reception)
    assert not store.try_keep_events(tx, [new], reception=reception)
    with pytest.raises(psycopg.errors.CheckViolation), tx.transaction():
        tx.execute("UPDATE event SET observed_at = '1960-01-01Z' WHERE id = %s", (UUID(int=1),))
    assert a_sender(project).project_id == project


@pytest.mark.parametrize(("moment", "kept"), [("before", 0), ("after", 100)])
def test_a_request_that_is_killed_keeps_all_or_nothing_and_its_retry_counts_once(
    pool: Pool, database_url: str, moment: str, kept: int
) -> None:
    project = a_project()
    with transaction(pool) as tx:
        meter = make_meter(tx, project)
    with subprocess.Popen(
        [sys.executable, "-c", DOOMED, database_url, project, moment],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "there\n"
        child.send_signal(signal.SIGKILL)
        child.wait(PATIENCE_S)
    with transaction(pool) as tx:
        assert sum(used(tx, project, meter.name).values()) == 10 * kept
    with transaction(pool) as tx:
        assert outcomes(send(tx, project, [wire(n) for n in range(100)])) == ["d" if kept else "a"] * 100
        assert used(tx, project, meter.name) == {"customer": Decimal(1_000)}
