"""An evaluation keeps one deadline over all that it reads, and a new alarm that cannot keep it is told what to mend."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from alarms import service
from alarms.evaluation import Missing
from alarms.model import AlarmTooSlow
from alarms.service import alarms as making
from foundation.database import Pool, transaction
from foundation.ids import new_id
from identity.model import Caller
from tests.alarm_builders import NOW, an_alarm, feed
from tests.conftest import own_pool
from tests.identity_builders import a_caller
from tests.statements import counted_statements

ALARMS = 8


@pytest.fixture(scope="module")
def pool(cluster_url: str) -> Generator[Pool]:
    """A database of these tests alone: they judge whatever is due."""
    with own_pool(cluster_url) as opened:
        yield opened


@pytest.fixture
def caller() -> Caller:
    return a_caller()


@pytest.fixture
def committed_alarms(pool: Pool, caller: Caller) -> Iterator[Sequence[UUID]]:
    """Alarms that have nothing to watch, so that each has to be told why."""
    with transaction(pool) as tx:
        ids = [an_alarm(tx, caller, resource_id=new_id()).id for _ in range(ALARMS)]
    yield ids
    with transaction(pool) as tx:
        tx.execute("DELETE FROM alarm WHERE id = ANY(%s)", (ids,))


def test_saying_why_there_is_no_judgement_has_one_deadline_and_holds_no_judgement_up(
    pool: Pool, committed_alarms: Sequence[UUID]
) -> None:
    patience = service.Patience(all_s=60, some_s=60, diagnosis_s=60, whole_s=200)
    with transaction(pool) as other:
        other.execute("LOCK TABLE resource_type IN ACCESS EXCLUSIVE MODE")
        with transaction(pool) as tx, counted_statements(tx) as counted:
            result = service.evaluate_due(tx, NOW, patience=replace(patience, diagnosis_s=0.3))
    assert (result.evaluated, result.slow) == (ALARMS, None)
    assert sum("FROM resource_type" in text for text in counted.texts) <= 1, "who waited in vain tries no other"
    assert missing_of(pool, committed_alarms) == {Missing.RECENT_POINTS.value}
    with transaction(pool) as tx, counted_statements(tx) as counted:
        service.evaluate_due(tx, NOW + timedelta(hours=1), patience=patience)
    assert sum("FROM resource_type" in text for text in counted.texts) == ALARMS
    assert missing_of(pool, committed_alarms) == {Missing.RESOURCE.value}


def missing_of(pool: Pool, ids: Sequence[UUID]) -> set[str]:
    """What the alarms were told to be missing."""
    with transaction(pool) as tx:
        found = tx.execute("SELECT state_reason_data ->> 'missing' FROM alarm WHERE id = ANY(%s)", (list(ids),))
        return {row[0] for row in found}


def test_the_whole_evaluation_has_one_deadline(pool: Pool, committed_alarms: Sequence[UUID]) -> None:
    patience = service.Patience(all_s=60, some_s=60, whole_s=0.5)
    with transaction(pool) as other:
        other.execute("LOCK TABLE resource IN ACCESS EXCLUSIVE MODE")
        with transaction(pool) as tx:
            before = tx.execute("SELECT clock_timestamp()").fetchone()
            result = service.evaluate_due(tx, NOW, patience=patience)
            after = tx.execute("SELECT clock_timestamp()").fetchone()
    assert before is not None
    assert after is not None
    assert (result.evaluated, result.slow in committed_alarms) == (0, True)
    assert (after[0] - before[0]).total_seconds() < 60


def test_an_alarm_is_put_off_only_after_it_had_the_time_of_one_alone(
    pool: Pool, caller: Caller, committed_alarms: Sequence[UUID]
) -> None:
    watched, until = new_id(), NOW - timedelta(hours=1)
    with transaction(pool) as tx:
        feed(tx, caller, resource_id=watched, values=[1], until=until)
        slow = an_alarm(tx, caller, resource_id=watched, now=NOW + timedelta(seconds=1)).id
    with transaction(pool) as other:
        other.execute("LOCK TABLE measure IN ACCESS EXCLUSIVE MODE")
        with transaction(pool) as tx:
            patience = service.Patience(all_s=6, some_s=3, whole_s=6)
            result = service.evaluate_due(tx, NOW + timedelta(seconds=1), patience=patience)
    assert (result.evaluated, result.slow) == (1, None)
    with transaction(pool) as tx:
        tx.execute("DELETE FROM alarm WHERE id = %s", (slow,))


def test_an_alarm_that_takes_too_long_can_be_switched_off_but_not_given_another_such_rule(
    pool: Pool, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "FIRST_READING_S", 60)
    with transaction(pool) as tx:
        alarm = an_alarm(tx, caller, resource_id=new_id())
    monkeypatch.setattr(making, "FIRST_READING_S", 0.2)
    off = replace(alarm.spec, enabled=False)
    with transaction(pool) as other:
        other.execute("LOCK TABLE resource IN ACCESS EXCLUSIVE MODE")
        with transaction(pool) as tx:
            assert not service.update_alarm(tx, alarm.id, spec=off, caller=caller, now=NOW).spec.enabled
        wider = replace(off, rule=replace(off.rule, evaluation_periods=9))
        with pytest.raises(AlarmTooSlow), transaction(pool) as tx:
            service.update_alarm(tx, alarm.id, spec=wider, caller=caller, now=NOW)
    with transaction(pool) as tx:
        tx.execute("DELETE FROM alarm WHERE project_id = %s", (caller.project_id,))


def test_an_alarm_whose_window_takes_too_long_is_refused_with_what_to_mend(
    pool: Pool, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "FIRST_READING_S", 0.2)
    with transaction(pool) as other:
        other.execute("LOCK TABLE resource IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(AlarmTooSlow, match="fewer resources"), transaction(pool) as tx:
            an_alarm(tx, caller, resource_id=new_id())
    monkeypatch.setattr(making, "FIRST_READING_S", 60)
    with transaction(pool) as tx:
        limit = tx.execute("SHOW statement_timeout").fetchone()
        an_alarm(tx, caller, resource_id=new_id())
        assert tx.execute("SHOW statement_timeout").fetchone() == limit
        tx.execute("DELETE FROM alarm WHERE project_id = %s", (caller.project_id,))
