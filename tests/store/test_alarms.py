"""Alarms on the real database: a transition, its history and its event are one; evaluations are claimed once; deliveries are fenced."""

import json
import random
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import LiteralString
from uuid import UUID

import pytest
from psycopg import sql

from alarms import service
from alarms.cpu_percent import cpu_percent_rule
from alarms.delivery import DeliveryNotFound, DeliveryPending, Outcome, OutcomeKind
from alarms.model import (
    ActionNotAllowed,
    Actions,
    AlarmFilter,
    AlarmNotFound,
    AlarmQuotaExceeded,
    AlarmSpec,
    AlarmState,
    AlarmUnreadable,
    ComparisonOperator,
    HistoryType,
    MetricsTarget,
    ResourcesTarget,
    Rule,
    TimeConstraint,
)
from foundation.database import Pool, Transaction, transaction
from foundation.errors import Forbidden, Invalid
from foundation.ids import new_id
from identity.model import Caller
from metering.model import Sample
from metering.service import ingest_samples
from tests.alarm_builders import NOW, an_alarm, feed
from tests.conftest import own_pool
from tests.identity_builders import a_caller

URL = "https://hooks.example/alarm"


@pytest.fixture(scope="module")
def pool(cluster_url: str) -> Generator[Pool]:
    """A database of these tests alone: they judge and lease whatever is due."""
    with own_pool(cluster_url) as opened:
        yield opened


@pytest.fixture
def caller() -> Caller:
    return a_caller()


def events_of(tx: Transaction, alarm_id: UUID) -> list[dict[str, object]]:
    rows = tx.execute(
        "SELECT payload FROM outbox_event WHERE topic = 'alarm.transition' AND key = %s ORDER BY id", (str(alarm_id),)
    )
    return [row[0] for row in rows.fetchall()]


def transitions_of(tx: Transaction, alarm_id: UUID, caller: Caller) -> list[tuple[str, str]]:
    found = service.list_history(tx, alarm_id, caller=caller, only=HistoryType.STATE_TRANSITION)
    return [(event.detail["previous"], event.detail["state"]) for event in reversed(found)]


def test_a_breach_becomes_state_history_and_event_with_the_deciding_points(tx: Transaction, caller: Caller) -> None:
    resource_id = new_id()
    feed(tx, caller, resource_id=resource_id, values=[10, 80], until=NOW)
    alarm = an_alarm(tx, caller, resource_id=resource_id, actions=Actions(alarm=(URL,), ok=("https://ok.example/",)))
    result = service.evaluate_due(tx, NOW)
    assert (result.evaluated, result.transitions) == (1, 1)
    judged = service.get_alarm(tx, alarm.id, caller=caller)
    assert judged.state is AlarmState.ALARM
    assert judged.last_value == 80
    assert judged.state_at == judged.evaluated_at == NOW
    assert transitions_of(tx, alarm.id, caller) == [("insufficient data", "alarm")]
    (event,) = events_of(tx, alarm.id)
    assert event["actions"] == [URL]
    assert (event["previous"], event["current"]) == ("insufficient data", "alarm")
    assert event["project_id"] == caller.project_id
    newest = service.list_history(tx, alarm.id, caller=caller)[0]
    assert event["event_id"] == str(newest.id)
    assert [value for _, value in newest.detail["reason_data"]["datapoints"]] == [80]


def test_an_alarm_that_stays_as_it_is_writes_no_history_and_tells_nobody(tx: Transaction, caller: Caller) -> None:
    resource_id = new_id()
    feed(tx, caller, resource_id=resource_id, values=[80, 80, 80, 80], until=NOW + timedelta(seconds=20))
    alarm = an_alarm(tx, caller, resource_id=resource_id)
    for later_s in (0, 10, 20):
        service.evaluate_due(tx, NOW + timedelta(seconds=later_s))
    assert transitions_of(tx, alarm.id, caller) == [("insufficient data", "alarm")]
    assert len(events_of(tx, alarm.id)) == 1


def test_a_repeating_alarm_tells_again_without_making_history(tx: Transaction, caller: Caller) -> None:
    resource_id = new_id()
    feed(tx, caller, resource_id=resource_id, values=[80, 80, 80], until=NOW + timedelta(seconds=10))
    alarm = an_alarm(tx, caller, resource_id=resource_id, repeat_actions=True, actions=Actions(alarm=(URL,)))
    for later_s in (0, 10):
        service.evaluate_due(tx, NOW + timedelta(seconds=later_s))
    assert len(transitions_of(tx, alarm.id, caller)) == 1
    repeated = events_of(tx, alarm.id)[1]
    assert (repeated["previous"], repeated["current"]) == ("alarm", "alarm")


def test_a_square_wave_gives_exactly_one_event_a_transition(tx: Transaction, caller: Caller) -> None:
    resource_id = new_id()
    alarm = an_alarm(tx, caller, resource_id=resource_id)
    for round_number in range(6):
        now = NOW + timedelta(seconds=20 * round_number)
        feed(tx, caller, resource_id=resource_id, values=[90 if round_number % 2 else 10] * 2, until=now)
        service.evaluate_due(tx, now)
    moves = transitions_of(tx, alarm.id, caller)
    assert len(moves) == 6
    assert [(event["previous"], event["current"]) for event in events_of(tx, alarm.id)] == moves


@pytest.mark.parametrize("seed", range(5))
def test_whatever_the_readings_one_transition_is_one_row_and_one_event(
    tx: Transaction, caller: Caller, seed: int
) -> None:
    chance, resource_id, now = random.Random(seed), new_id(), NOW
    alarm = an_alarm(tx, caller, resource_id=resource_id, periods=chance.randint(1, 3), repeat_actions=seed == 0)
    states = [AlarmState.INSUFFICIENT_DATA]
    for _ in range(40):
        now += timedelta(seconds=10)
        if chance.random() < 0.8:
            feed(tx, caller, resource_id=resource_id, values=[chance.choice((10, 90))], until=now)
        service.evaluate_due(tx, now)
        states.append(service.get_alarm(tx, alarm.id, caller=caller).state)
    moves = [(before.value, after.value) for before, after in pairwise(states) if before is not after]
    assert moves
    assert transitions_of(tx, alarm.id, caller) == moves
    assert [(event["previous"], event["current"]) for event in events_of(tx, alarm.id)] == moves


@pytest.mark.parametrize(
    ("with_resource", "with_metric", "said"),
    [(False, False, "no resource is found"), (True, False, "no such metric"), (True, True, "too few points")],
)
def test_an_alarm_without_points_says_what_is_missing(
    tx: Transaction, caller: Caller, with_resource: bool, with_metric: bool, said: str
) -> None:
    resource_id = new_id()
    if with_resource:
        meter = "memory.usage" if with_metric else "disk.root.size"
        long_ago = NOW - timedelta(hours=1)
        sample = Sample(
            resource_id, "instance", str(resource_id), caller.project_id, None, meter, "gauge", "MiB", long_ago, 1.0
        )
        ingest_samples(tx, [sample], received_at=NOW)
    alarm = an_alarm(tx, caller, resource_id=resource_id)
    service.evaluate_due(tx, NOW)
    assert said in service.get_alarm(tx, alarm.id, caller=caller).state_reason


def test_an_alarm_finer_than_its_source_reports_is_told_so(tx: Transaction, caller: Caller) -> None:
    resource_id = new_id()
    feed(tx, caller, resource_id=resource_id, values=[1] * 5, until=NOW, step_s=60)
    alarm = an_alarm(tx, caller, resource_id=resource_id, periods=2)
    service.evaluate_due(tx, NOW)
    judged = service.get_alarm(tx, alarm.id, caller=caller)
    assert "further apart than 10 s" in judged.state_reason
    assert judged.state_reason_data["missing"] == "granularity"


def test_another_project_s_series_are_not_seen(tx: Transaction, caller: Caller) -> None:
    resource_id = new_id()
    feed(tx, a_caller(), resource_id=resource_id, values=[80, 80], until=NOW)
    alarm = an_alarm(tx, caller, resource_id=resource_id)
    service.evaluate_due(tx, NOW)
    assert service.get_alarm(tx, alarm.id, caller=caller).state is AlarmState.INSUFFICIENT_DATA


def a_reading(caller: Caller, resource_id: UUID, at: datetime, group_id: UUID) -> Sample:
    """A reading of the cpu counter of a group's instance."""
    return Sample(
        resource_id, "instance", str(resource_id), caller.project_id, None, "cpu", "cumulative", "ns", at, 0.0,
        attributes={"server_group": str(group_id)},
    )  # fmt: skip


def test_cpu_percent_of_a_group_is_the_mean_of_its_instances(tx: Transaction, caller: Caller) -> None:
    group_id = new_id()
    samples: list[Sample] = []
    for busy, vcpus in ((0.9, 1), (0.5, 2)):
        resource_id = new_id()
        for tick in range(7):
            at = NOW - timedelta(seconds=33 - 5 * tick)
            ns = busy * vcpus * 5e9 * tick
            samples.append(replace(a_reading(caller, resource_id, at, group_id), value=ns, boot_epoch=1, adopted=True))
            gauge = a_reading(caller, resource_id, at, group_id)
            samples.append(replace(gauge, meter="vcpus", meter_type="gauge", unit="vcpu", value=vcpus))
    ingest_samples(tx, samples, received_at=NOW)
    rule = cpu_percent_rule(
        group_id=group_id,
        instance_id=None,
        threshold=60,
        comparison_operator=ComparisonOperator.GT,
        evaluation_periods=2,
        granularity_s=10,
    )
    alarm = service.create_alarm(tx, AlarmSpec("busy", rule), caller=caller, now=NOW)
    service.evaluate_due(tx, NOW)
    judged = service.get_alarm(tx, alarm.id, caller=caller)
    assert judged.state is AlarmState.ALARM
    assert judged.last_value == pytest.approx(70)


def test_an_expression_that_cannot_be_evaluated_is_refused_when_the_alarm_is_made(
    tx: Transaction, caller: Caller
) -> None:
    for operations in ("(nonsense (metric cpu mean))", "((", "(* 2 3)", "(metric cpu often)", "(metric memory mean)"):
        target = ResourcesTarget("cpu", "instance", {}, operations)
        with pytest.raises(Invalid):
            service.create_alarm(tx, AlarmSpec("a", Rule(target, 1)), caller=caller, now=NOW)
    for search in ({"~": {"a": 1}}, {"like": {"started_at": "2026-01-01"}}):
        with pytest.raises(Invalid):
            target = ResourcesTarget("cpu", "instance", search)
            service.create_alarm(tx, AlarmSpec("a", Rule(target, 1)), caller=caller, now=NOW)


def test_an_alarm_whose_expression_fails_on_its_data_harms_no_other(tx: Transaction, caller: Caller) -> None:
    resource_id = new_id()
    target = ResourcesTarget("memory.usage", "instance", {}, "(rolling mean 2 (metric memory.usage mean))")
    bad = service.create_alarm(tx, AlarmSpec("bad", Rule(target, 1, granularity_s=10)), caller=caller, now=NOW)
    good = [an_alarm(tx, caller, resource_id=resource_id) for _ in range(3)]
    feed(tx, caller, resource_id=resource_id, values=[80], until=NOW)
    assert service.evaluate_due(tx, NOW).evaluated == 4
    assert service.get_alarm(tx, bad.id, caller=caller).state is AlarmState.INSUFFICIENT_DATA
    assert {service.get_alarm(tx, one.id, caller=caller).state for one in good} == {AlarmState.ALARM}


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE alarm SET alarm_actions = '{gopher://x/}' WHERE id = %s",
        "UPDATE alarm SET rule = rule - 'threshold' WHERE id = %s",
        """UPDATE alarm SET rule = rule || '{"threshold": 1e400}' WHERE id = %s""",
        """UPDATE alarm SET rule = rule || '{"granularity": 1e400}' WHERE id = %s""",
        """UPDATE alarm SET rule = rule || '{"metric": ["cpu"]}' WHERE id = %s""",
        """UPDATE alarm SET rule = rule || '{"resource_id": 5}' WHERE id = %s""",
        """UPDATE alarm SET time_constraints = jsonb_set(time_constraints, '{0, start}', '"61 * * * *"') WHERE id = %s""",
        """UPDATE alarm SET time_constraints = jsonb_set(time_constraints, '{0, timezone}', '"Mars/Olympus"') WHERE id = %s""",
        """UPDATE alarm SET time_constraints = jsonb_set(time_constraints, '{0, duration}', '1e12') WHERE id = %s""",
    ],
)
def test_a_row_that_is_no_alarm_any_more_is_put_off_and_stops_no_other(
    tx: Transaction, caller: Caller, damage: LiteralString
) -> None:
    always = (TimeConstraint("always", "0 0 * * *", 86_400),)
    broken, good = (an_alarm(tx, caller, resource_id=new_id(), time_constraints=always).id for _ in range(2))
    tx.execute(damage, (broken,))
    assert service.evaluate_due(tx, NOW).evaluated == 1
    assert service.get_alarm(tx, good, caller=caller).evaluated_at == NOW
    told = tx.execute("SELECT next_evaluation_at, state_reason FROM alarm WHERE id = %s", (broken,)).fetchone()
    assert told is not None
    assert told[0] == NOW + timedelta(minutes=10)
    assert "delete it, and make it anew" in told[1]


def test_an_alarm_that_cannot_be_read_says_so_and_can_be_deleted(tx: Transaction, caller: Caller) -> None:
    broken, good = (an_alarm(tx, caller, resource_id=new_id()).id for _ in range(2))
    tx.execute("UPDATE alarm SET rule = rule - 'threshold' WHERE id = %s", (broken,))
    stranger = a_caller()
    for read in (
        lambda: service.get_alarm(tx, broken, caller=caller),
        lambda: service.list_alarms(tx, AlarmFilter(project_id=caller.project_id), caller=caller),
    ):
        with pytest.raises(AlarmUnreadable, match=f"{broken} cannot be read.*delete it"):
            read()
    with pytest.raises(AlarmNotFound):
        service.get_alarm(tx, broken, caller=stranger)
    with pytest.raises(AlarmNotFound):
        service.delete_alarm(tx, broken, caller=stranger, now=NOW)
    service.delete_alarm(tx, broken, caller=caller, now=NOW)
    listed = service.list_alarms(tx, AlarmFilter(project_id=caller.project_id), caller=caller)
    assert [one.id for one in listed] == [good]
    last = service.list_history(tx, broken, caller=caller)[0]
    assert (last.type, "threshold" in last.detail["unreadable"]) == (HistoryType.DELETION, True)


def test_a_project_ends_with_its_alarms_readable_or_not(tx: Transaction, caller: Caller) -> None:
    broken, good = (an_alarm(tx, caller, resource_id=new_id()).id for _ in range(2))
    tx.execute("UPDATE alarm SET alarm_actions = '{gopher://x/}' WHERE id = %s", (broken,))
    assert service.delete_alarms_of_project(tx, caller.project_id, user_id=None, now=NOW) == 2
    for one in (broken, good):
        assert service.list_history(tx, one, caller=caller)[0].type is HistoryType.DELETION


def test_an_alarm_whose_query_is_none_any_more_is_without_data_and_stops_no_other(
    tx: Transaction, caller: Caller
) -> None:
    target = ResourcesTarget("cpu", "instance", {"=": {"id": "x"}})
    broken = service.create_alarm(tx, AlarmSpec("broken", Rule(target, 1)), caller=caller, now=NOW).id
    good = an_alarm(tx, caller, resource_id=new_id()).id
    damage = """UPDATE alarm SET rule = jsonb_set(rule, '{query}', '{"~": {"a": 1}}') WHERE id = %s"""
    tx.execute(damage, (broken,))
    assert service.evaluate_due(tx, NOW).evaluated == 2
    assert service.get_alarm(tx, good, caller=caller).evaluated_at == NOW
    assert service.get_alarm(tx, broken, caller=caller).state_reason_data["missing"] == "resource"


def test_metrics_can_be_named_by_their_ids(tx: Transaction, caller: Caller) -> None:
    resource_id = new_id()
    feed(tx, caller, resource_id=resource_id, values=[80, 80], until=NOW)
    row = tx.execute("SELECT id FROM metric WHERE resource_id = %s", (resource_id,)).fetchone()
    assert row is not None
    rule = Rule(MetricsTarget((row[0],)), 50, ComparisonOperator.GT, granularity_s=10)
    alarm = service.create_alarm(tx, AlarmSpec("by id", rule), caller=caller, now=NOW)
    service.evaluate_due(tx, NOW)
    assert service.get_alarm(tx, alarm.id, caller=caller).state is AlarmState.ALARM


def test_an_alarm_is_due_again_after_its_interval_and_catches_up_without_a_storm(
    tx: Transaction, caller: Caller
) -> None:
    alarm = an_alarm(tx, caller, resource_id=new_id())
    service.evaluate_due(tx, NOW)
    assert service.evaluate_due(tx, NOW + timedelta(seconds=9)).evaluated == 0
    assert service.evaluate_due(tx, NOW + timedelta(seconds=10)).evaluated == 1
    much_later = NOW + timedelta(hours=1)
    assert service.evaluate_due(tx, much_later).evaluated == 1
    assert service.get_alarm(tx, alarm.id, caller=caller).next_evaluation_at == much_later + timedelta(seconds=10)


def test_a_disabled_alarm_and_one_outside_its_hours_are_not_evaluated(tx: Transaction, caller: Caller) -> None:
    an_alarm(tx, caller, resource_id=new_id(), enabled=False)
    night = TimeConstraint("night", "0 22 * * *", 3600)
    asleep = an_alarm(tx, caller, resource_id=new_id(), time_constraints=(night,))
    assert service.evaluate_due(tx, NOW).evaluated == 0
    assert service.get_alarm(tx, asleep.id, caller=caller).next_evaluation_at > NOW


def test_a_state_set_by_hand_is_history_but_takes_no_action(tx: Transaction, caller: Caller) -> None:
    alarm = an_alarm(tx, caller, resource_id=new_id(), actions=Actions(alarm=(URL,)))
    service.set_state(tx, alarm.id, state=AlarmState.ALARM, caller=caller, now=NOW)
    assert transitions_of(tx, alarm.id, caller) == [("insufficient data", "alarm")]
    assert events_of(tx, alarm.id)[0]["actions"] == []


def test_an_alarm_s_life_is_its_history_and_outlives_it(tx: Transaction, caller: Caller) -> None:
    alarm = an_alarm(tx, caller, resource_id=new_id())
    service.update_alarm(tx, alarm.id, spec=replace(alarm.spec, name="renamed"), caller=caller, now=NOW)
    service.delete_alarm(tx, alarm.id, caller=caller, now=NOW)
    with pytest.raises(AlarmNotFound):
        service.get_alarm(tx, alarm.id, caller=caller)
    told = [(event.type.value, event.detail.get("name")) for event in service.list_history(tx, alarm.id, caller=caller)]
    assert told == [("deletion", "renamed"), ("rule change", "renamed"), ("creation", "high")]


def test_another_project_sees_nothing_and_a_reader_changes_nothing(tx: Transaction, caller: Caller) -> None:
    alarm = an_alarm(tx, caller, resource_id=new_id())
    stranger = a_caller()
    with pytest.raises(AlarmNotFound):
        service.get_alarm(tx, alarm.id, caller=stranger)
    with pytest.raises(AlarmNotFound):
        service.delete_alarm(tx, alarm.id, caller=stranger, now=NOW)
    with pytest.raises(AlarmNotFound):
        service.list_history(tx, alarm.id, caller=stranger)
    reader = a_caller(caller.project_id, roles=("reader",))
    assert service.get_alarm(tx, alarm.id, caller=reader).id == alarm.id
    for change in (
        lambda: service.delete_alarm(tx, alarm.id, caller=reader, now=NOW),
        lambda: service.set_state(tx, alarm.id, state=AlarmState.OK, caller=reader, now=NOW),
        lambda: service.create_alarm(tx, alarm.spec, caller=reader, now=NOW),
    ):
        with pytest.raises(Forbidden):
            change()


def test_the_operator_s_log_is_an_action_of_the_operator_alone(tx: Transaction, caller: Caller) -> None:
    with pytest.raises(ActionNotAllowed):
        an_alarm(tx, caller, resource_id=new_id(), actions=Actions(alarm=("log://",)))
    admin = a_caller(caller.project_id, roles=("admin", "member", "reader"))
    alarm = an_alarm(tx, admin, resource_id=new_id(), actions=Actions(alarm=("log://",)))
    service.update_alarm(tx, alarm.id, spec=replace(alarm.spec, name="kept"), caller=caller, now=NOW)


def test_a_project_has_no_more_alarms_than_its_own_limit(tx: Transaction, caller: Caller) -> None:
    admin = a_caller(roles=("admin", "member", "reader"))
    an_alarm(tx, a_caller(), resource_id=new_id())
    service.set_quota(tx, caller.project_id, alarms_max=1, caller=admin)
    an_alarm(tx, caller, resource_id=new_id())
    with pytest.raises(AlarmQuotaExceeded):
        an_alarm(tx, caller, resource_id=new_id())
    with pytest.raises(Forbidden):
        service.set_quota(tx, caller.project_id, alarms_max=5, caller=caller)
    service.delete_quota(tx, caller.project_id, caller=admin)
    an_alarm(tx, caller, resource_id=new_id())


def test_lists_are_sorted_filtered_and_paged(tx: Transaction, caller: Caller) -> None:
    made = [an_alarm(tx, caller, resource_id=new_id(), description=str(number)) for number in range(5)]
    mine = AlarmFilter(project_id=caller.project_id)
    first = service.list_alarms(tx, mine, caller=caller, sorts=[("alarm_id", False)], limit=2)
    rest = service.list_alarms(tx, mine, caller=caller, sorts=[("alarm_id", False)], marker=first[-1].id)
    assert [alarm.id for alarm in [*first, *rest]] == [alarm.id for alarm in made]
    assert service.list_alarms(tx, replace(mine, state="alarm"), caller=caller) == []
    with pytest.raises(Invalid):
        service.list_alarms(tx, mine, caller=caller, sorts=[("rule; DROP TABLE alarm", False)])


@pytest.fixture
def committed_alarms(pool: Pool) -> Iterator[Sequence[UUID]]:
    """Fifty alarms that other transactions see."""
    caller = a_caller()
    with transaction(pool) as tx:
        made = [an_alarm(tx, caller, resource_id=new_id()).id for _ in range(50)]
        feed(tx, caller, resource_id=new_id(), values=[1], until=NOW)
    yield made
    with transaction(pool) as tx:
        tx.execute("DELETE FROM alarm WHERE id = ANY(%s)", (list(made),))


def test_many_evaluators_at_once_judge_each_alarm_once(pool: Pool, committed_alarms: Sequence[UUID]) -> None:
    def evaluate(_: int) -> int:
        evaluated = 0
        for _round in range(10):
            with transaction(pool) as tx:
                evaluated += service.evaluate_due(tx, NOW, limit=10).evaluated
        return evaluated

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(evaluate, range(4))) == len(committed_alarms)


def test_an_alarm_that_takes_too_long_waits_and_stops_no_other(pool: Pool, committed_alarms: Sequence[UUID]) -> None:
    impatient = service.Patience(all_s=0.2, some_s=0.1)
    with transaction(pool) as other:
        other.execute("LOCK TABLE resource IN ACCESS EXCLUSIVE MODE")
        with transaction(pool) as tx:
            limit = tx.execute("SHOW statement_timeout").fetchone()
            held = service.evaluate_due(tx, NOW, patience=impatient)
            assert tx.execute("SHOW statement_timeout").fetchone() == limit
    assert (held.evaluated, held.slow in committed_alarms) == (0, True)
    with transaction(pool) as tx:
        assert service.evaluate_due(tx, NOW).evaluated == len(committed_alarms) - 1
    with transaction(pool) as tx:
        assert tx.execute("SHOW statement_timeout").fetchone() == limit
        asked = "SELECT state, next_evaluation_at - %s, state_reason FROM alarm WHERE id = %s"
        row = tx.execute(asked, (NOW, held.slow)).fetchone()
    assert row is not None
    assert row[:2] == ("insufficient data", timedelta(minutes=10))
    assert "Not judged at 12:00:00 UTC" in row[2]
    assert "fewer resources" in row[2]


def test_an_evaluation_that_is_rolled_back_leaves_nothing(pool: Pool, committed_alarms: Sequence[UUID]) -> None:
    class Crash(Exception):
        """The worker dies before its commit."""

    def crash() -> None:
        with transaction(pool) as tx:
            assert service.evaluate_due(tx, NOW).evaluated == len(committed_alarms)
            raise Crash

    with pytest.raises(Crash):
        crash()
    with transaction(pool) as tx:
        assert service.has_due(tx, NOW)
        row = tx.execute(
            "SELECT count(*) FROM alarm WHERE evaluated_at IS NOT NULL AND id = ANY(%s)", (list(committed_alarms),)
        )
        assert row.fetchone() == (0,)


def a_payload(caller: Caller) -> dict[str, object]:
    return {
        "event_id": str(new_id()),
        "alarm_id": str(new_id()),
        "alarm_name": "high",
        "project_id": caller.project_id,
        "severity": "low",
        "previous": "ok",
        "current": "alarm",
        "reason": "because",
        "reason_data": {"type": "threshold", "disposition": "outside", "count": 1, "most_recent": 80},
        "at": NOW.isoformat(),
        "actions": [URL],
    }


def leased(tx: Transaction, *, at: int = 0, owner: str = "w1") -> list[object]:
    return list(service.lease_deliveries(tx, owner, now=NOW + timedelta(seconds=at), limit=10))


def test_an_event_that_is_relayed_twice_is_delivered_once_in_aodh_s_words(tx: Transaction, caller: Caller) -> None:
    payload = a_payload(caller)
    for _ in range(2):
        service.enqueue_delivery(tx, payload, url=URL, now=NOW)
    ((delivery, _),) = service.list_deliveries(tx, caller=caller)
    body = json.loads(delivery.body)
    assert set(body) == {"alarm_name", "alarm_id", "severity", "previous", "current", "reason", "reason_data"}
    assert body["reason_data"] == payload["reason_data"]


def test_a_lease_is_held_by_one_sender_and_a_late_word_is_refused(tx: Transaction, caller: Caller) -> None:
    service.enqueue_delivery(tx, a_payload(caller), url=URL, now=NOW)
    (first,) = service.lease_deliveries(tx, "w1", now=NOW, limit=10)
    assert service.lease_deliveries(tx, "w2", now=NOW + timedelta(seconds=59), limit=10) == []
    (second,) = service.lease_deliveries(tx, "w2", now=NOW + timedelta(seconds=60), limit=10)
    assert (first.attempts, second.attempts, first.id) == (1, 2, second.id)
    late = Outcome(OutcomeKind.DELIVERED, 5, 200)
    assert not service.record_delivery_outcome(tx, first, outcome=late, now=NOW)
    failed = Outcome(OutcomeKind.REJECTED, 5, 500, "no", "answered 500")
    assert service.record_delivery_outcome(tx, second, outcome=failed, now=NOW + timedelta(seconds=61))
    delivery, attempts = service.get_delivery(tx, first.id, caller=caller)
    assert delivery.state == "pending"
    assert delivery.next_attempt_at > NOW + timedelta(seconds=61)
    assert [attempt.outcome for attempt in attempts] == ["abandoned", "rejected"]


def test_a_receiver_that_lets_us_wait_holds_up_no_other(tx: Transaction, caller: Caller) -> None:
    slow, quick = "https://slow.example/", "https://quick.example/"
    for _ in range(30):
        service.enqueue_delivery(tx, a_payload(caller), url=slow, now=NOW)
    service.enqueue_delivery(tx, a_payload(caller), url=quick, now=NOW + timedelta(seconds=1))
    later = NOW + timedelta(seconds=2)
    first = service.lease_deliveries(tx, "w1", now=later, limit=20)
    assert sorted(one.url for one in first) == [quick, *[slow] * 4]
    service.enqueue_delivery(tx, a_payload(caller), url=quick, now=later)
    assert [one.url for one in service.lease_deliveries(tx, "w1", now=later, limit=20)] == [quick]
    waiting = next(one for one in first if one.url == slow)
    service.record_delivery_outcome(tx, waiting, outcome=Outcome(OutcomeKind.UNREACHABLE, 15_000), now=later)
    assert [one.url for one in service.lease_deliveries(tx, "w1", now=later, limit=20)] == [slow]


def test_with_few_turns_left_each_receiver_has_its_first(tx: Transaction, caller: Caller) -> None:
    urls = [f"https://{number}.example/" for number in range(3)]
    for url in urls:
        for _ in range(5):
            service.enqueue_delivery(tx, a_payload(caller), url=url, now=NOW)
    assert sorted(one.url for one in service.lease_deliveries(tx, "w1", now=NOW, limit=3)) == urls


def test_attempts_end_and_a_finished_delivery_can_be_sent_again_under_its_id(tx: Transaction, caller: Caller) -> None:
    service.enqueue_delivery(tx, a_payload(caller), url=URL, now=NOW)
    now, attempts = NOW, 0
    while found := service.lease_deliveries(tx, "w1", now=now, limit=10):
        attempts += 1
        service.record_delivery_outcome(tx, found[0], outcome=Outcome(OutcomeKind.UNREACHABLE, 1), now=now)
        now += timedelta(hours=10)
    assert attempts == 10
    ((delivery, log),) = service.list_deliveries(tx, caller=caller, state="failed")
    assert len(log) == 10
    again = service.redeliver(tx, delivery.id, caller=caller, now=now)
    assert (again.id, again.state) == (delivery.id, "pending")
    with pytest.raises(DeliveryPending):
        service.redeliver(tx, delivery.id, caller=caller, now=now)
    (sent,) = service.lease_deliveries(tx, "w1", now=now, limit=10)
    assert service.record_delivery_outcome(tx, sent, outcome=Outcome(OutcomeKind.DELIVERED, 1, 204), now=now)
    with pytest.raises(DeliveryNotFound):
        service.get_delivery(tx, delivery.id, caller=a_caller())


def test_a_finished_delivery_is_forgotten_after_its_time_and_one_under_way_is_kept(
    tx: Transaction, caller: Caller
) -> None:
    service.enqueue_delivery(tx, a_payload(caller), url="https://hooks.example/done", now=NOW)
    service.enqueue_delivery(tx, a_payload(caller), url="https://hooks.example/tried", now=NOW)
    tx.execute("UPDATE delivery SET id = overlay(id::text placing '00000000-0000' from 1)::uuid")
    tx.execute("UPDATE delivery SET state = 'delivered', finished_at = %s WHERE url LIKE '%%done'", (NOW,))
    service.drop_finished_deliveries(tx, before=NOW)
    assert len(service.list_deliveries(tx, caller=caller)) == 2
    service.drop_finished_deliveries(tx, before=NOW + timedelta(seconds=1))
    assert [one.url for one, _ in service.list_deliveries(tx, caller=caller)] == ["https://hooks.example/tried"]


def test_the_largest_page_still_tells_that_another_follows(tx: Transaction, caller: Caller) -> None:
    an_alarm(tx, caller, resource_id=new_id())
    service.enqueue_delivery(tx, a_payload(caller), url="https://hooks.example/x", now=NOW)
    for table in ("alarm", "delivery"):
        tx.execute(
            sql.SQL(
                "INSERT INTO {0} SELECT (jsonb_populate_record(one, jsonb_build_object("
                "'id', gen_random_uuid(), 'event_id', gen_random_uuid()))).* FROM {0} one, generate_series(1, 1000)"
                " WHERE project_id = %s"
            ).format(sql.Identifier(table)),
            (caller.project_id,),
        )
    asked = 1_000 + 1
    wanted = AlarmFilter(project_id=caller.project_id)
    assert len(service.list_alarms(tx, wanted, caller=caller, limit=asked)) == asked
    assert len(service.list_deliveries(tx, caller=caller, limit=asked)) == asked


def test_a_sender_that_dies_on_the_last_attempt_leaves_a_failed_delivery(tx: Transaction, caller: Caller) -> None:
    service.send_test_event(tx, URL, caller=caller, now=NOW)
    assert len(leased(tx)) == 1
    assert leased(tx, at=60) == []
    ((delivery, attempts),) = service.list_deliveries(tx, caller=caller)
    assert delivery.state == "failed"
    assert attempts[0].outcome == "abandoned"


def test_a_project_s_secret_is_its_own_and_rotation_keeps_the_old_one_a_day(tx: Transaction, caller: Caller) -> None:
    first = service.get_signing_secret(tx, caller=caller, now=NOW)
    assert first.secret != service.get_signing_secret(tx, caller=a_caller(), now=NOW).secret
    rotated = service.rotate_signing_secret(tx, caller=caller, now=NOW)
    assert rotated.previous_secret == first.secret != rotated.secret
    assert service.signing_secrets(tx, [caller.project_id], now=NOW)[caller.project_id] == (
        rotated.secret,
        first.secret,
    )
    tomorrow = NOW + timedelta(days=1)
    assert service.signing_secrets(tx, [caller.project_id], now=tomorrow)[caller.project_id] == (rotated.secret,)
    with pytest.raises(Forbidden):
        service.get_signing_secret(tx, caller=a_caller(caller.project_id, roles=("reader",)), now=NOW)
