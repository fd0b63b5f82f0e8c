"""The worker's tasks, called as Celery calls them, on a real database."""

import os
from collections.abc import Generator, Iterator
from datetime import timedelta
from uuid import UUID

import pytest

from alarms import service as alarms
from alarms.model import AlarmState
from alarms.service import deliveries
from entrypoints import jobs
from foundation import outbox
from foundation.clock import utc_now
from foundation.database import Pool, transaction
from foundation.ids import new_hex_id, new_id
from tests.alarm_builders import an_alarm, feed
from tests.conftest import PATIENCE_S, own_pool
from tests.identity_builders import a_caller


@pytest.fixture(scope="module")
def pool(cluster_url: str) -> Generator[Pool]:
    """A database of these tests alone: they judge and forget whatever is due."""
    with own_pool(cluster_url) as opened:
        yield opened


@pytest.fixture(autouse=True)
def worker(pool: Pool) -> Iterator[None]:
    """Let the tasks work on the tests' database."""
    jobs.pools[os.getpid()] = pool
    yield
    del jobs.pools[os.getpid()]


def test_housekeeping_forgets_what_is_long_over_and_nothing_else(pool: Pool) -> None:
    long_ago = utc_now() - timedelta(days=400)
    project_id, old_id = new_hex_id(), UUID(int=0x7 << 76 | new_id().int & 0xFFFF)
    with transaction(pool) as tx:
        payload = {
            "project_id": project_id,
            "alarm_id": str(new_id()),
            "event_id": str(new_id()),
            **dict.fromkeys(("alarm_name", "severity", "previous", "current", "reason", "reason_data"), ""),
        }
        for url in ("https://hooks.example/old", "https://hooks.example/new"):
            alarms.enqueue_delivery(tx, payload, url=url, now=long_ago)
        tx.execute("UPDATE delivery SET state = 'delivered', finished_at = now() WHERE project_id = %s", (project_id,))
        old = "UPDATE delivery SET id = %s, finished_at = %s WHERE project_id = %s AND url LIKE '%%old'"
        tx.execute(old, (old_id, long_ago, project_id))
        handled_id = outbox.append(tx, "test.topic", key="a", payload={})
        outbox.mark_handled(tx, handled_id, now=long_ago)
        waiting_id = outbox.append(tx, "test.topic", key="b", payload={})
    jobs.housekeeping()
    with transaction(pool) as tx:
        left = tx.execute("SELECT url FROM delivery WHERE project_id = %s", (project_id,)).fetchall()
        events = tx.execute("SELECT id FROM outbox_event WHERE id IN (%s, %s)", (handled_id, waiting_id)).fetchall()
        outbox.mark_handled(tx, waiting_id, now=utc_now())
    assert left == [("https://hooks.example/new",)]
    assert events == [(waiting_id,)]


def test_housekeeping_forgets_as_much_as_there_is_and_not_one_statements_worth(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "DROPPED_MAX", 2)
    project_id, long_ago = new_hex_id(), utc_now() - timedelta(days=400)
    with transaction(pool) as tx:
        tx.execute(
            """
            INSERT INTO delivery (id, project_id, event_id, url, body, state, attempts_max, next_attempt_at, created_at, finished_at)
            SELECT ('00000000-0000-7000-8000-' || lpad(place::text, 12, '0'))::uuid, %(project)s, gen_random_uuid(),
                   'https://hooks.example/', '{}', 'failed', 1, %(at)s, %(at)s, %(at)s
            FROM generate_series(1, 7) AS place
            """,
            {"project": project_id, "at": long_ago},
        )
    jobs.housekeeping()
    with transaction(pool) as tx:
        left = tx.execute("SELECT count(*) FROM delivery WHERE project_id = %s", (project_id,)).fetchone()
    assert left == (0,)


def test_alarms_that_wait_for_a_time_of_before_the_clock_was_set_back_are_due_again(pool: Pool) -> None:
    caller, now = a_caller(), utc_now()
    with transaction(pool) as tx:
        stuck = an_alarm(tx, caller, resource_id=new_id(), now=now).id
        daily = an_alarm(tx, caller, resource_id=new_id(), now=now, evaluation_interval_s=86_400).id
        later = "UPDATE alarm SET next_evaluation_at = %s WHERE id = %s"
        tx.execute(later, (now + timedelta(hours=9), stuck))
        tx.execute(later, (now + timedelta(hours=23), daily))
    jobs.housekeeping()
    with transaction(pool) as tx:
        due_at = {each: alarms.get_alarm(tx, each, caller=caller).next_evaluation_at for each in (stuck, daily)}
        tx.execute("DELETE FROM alarm WHERE id = ANY(%s)", ([stuck, daily],))
    assert now <= due_at[stuck] <= utc_now()
    assert due_at[daily] == now + timedelta(hours=23)


def test_a_worker_whose_clock_is_fast_judges_by_the_databases(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    caller, resource_id = a_caller(), new_id()
    with transaction(pool) as tx:
        now = utc_now()
        over = now + timedelta(seconds=PATIENCE_S)  # the judgement may come so much later
        feed(tx, caller, resource_id=resource_id, values=[1] * (PATIENCE_S // 10 + 4), until=over)
        alarm_id = an_alarm(tx, caller, resource_id=resource_id, now=now).id
        tx.execute("UPDATE alarm SET state = 'ok' WHERE id = %s", (alarm_id,))
    monkeypatch.setattr(jobs, "utc_now", lambda: utc_now() + timedelta(hours=1))
    jobs.evaluate_alarms()
    with transaction(pool) as tx:
        judged = alarms.get_alarm(tx, alarm_id, caller=caller)
        tx.execute("DELETE FROM alarm WHERE id = %s", (alarm_id,))
    assert (judged.state, judged.last_value) == (AlarmState.OK, 1)
    assert judged.evaluated_at is not None
    assert judged.evaluated_at < over
