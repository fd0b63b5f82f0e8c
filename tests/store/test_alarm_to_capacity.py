"""A reading becomes capacity and news: from samples over alarm, outbox and relay to a larger group and a signed webhook."""

import http.server
import socket
import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import LiteralString
from uuid import UUID

import pytest
from standardwebhooks import Webhook

from alarms import service as alarms
from alarms import webhook
from alarms.delivery import secret_text
from alarms.egress import EgressPolicy
from alarms.model import Actions, AlarmState
from compute import service as compute
from entrypoints import wiring
from foundation.clock import utc_now
from foundation.database import Pool, transaction
from foundation.ids import new_id
from foundation.settings import Settings
from scaling import service as scaling
from scaling.model import AdjustmentType, GroupSpec, LaunchTemplate, PolicySpec
from tests.alarm_builders import an_alarm, feed
from tests.compute_builders import Cloud, a_cloud, a_guest, an_observation
from tests.conftest import PATIENCE_S, own_pool

CLEAN_UP: tuple[LiteralString, ...] = (
    "DELETE FROM scaling_activity WHERE project_id = %(project_id)s",
    "DELETE FROM scaling_group WHERE project_id IN (%(project_id)s, 'another')",
    "DELETE FROM delivery WHERE project_id = %(project_id)s",
    "DELETE FROM webhook_secret WHERE project_id = %(project_id)s",
    "DELETE FROM alarm_history WHERE project_id = %(project_id)s",
    "DELETE FROM alarm WHERE project_id = %(project_id)s",
    "DELETE FROM outbox_event WHERE payload ->> 'project_id' = %(project_id)s",
    "DELETE FROM port WHERE project_id = %(project_id)s",
    "DELETE FROM instance_action WHERE project_id = %(project_id)s",
    "DELETE FROM instance WHERE project_id = %(project_id)s",
    "DELETE FROM host WHERE id = %(host_id)s",
    "DELETE FROM network WHERE project_id = %(project_id)s",
    "DELETE FROM security_group WHERE project_id = %(project_id)s",
    "DELETE FROM image WHERE project_id = %(project_id)s",
)
LOOPBACK_ONLY = Settings(webhook_allow_cidrs="127.0.0.0/8")
NOWHERE = Settings(webhook_allow_cidrs="")


@dataclass(slots=True)
class Receiver:
    """What a receiver of webhooks got, and how it answers."""

    url: str = ""
    status: int = 204
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list[tuple[dict[str, str], bytes]])


@pytest.fixture(scope="module")
def pool(cluster_url: str) -> Generator[Pool]:
    """A database of these tests alone: they judge, relay and send whatever is due."""
    with own_pool(cluster_url) as opened:
        yield opened


@pytest.fixture(autouse=True)
def patient_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a round wait for what is sent in it, however busy the machine is."""
    monkeypatch.setattr(webhook, "ROUND_WAIT_S", PATIENCE_S)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver on a loopback port."""
    made = Receiver()

    class Answer(http.server.BaseHTTPRequestHandler):
        """Keep what comes and answer as told."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            made.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(made.status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    made.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass(slots=True)
class Scene:
    """A group of one running instance, an alarm on it that grows the group, and a receiver that is told."""

    pool: Pool
    cloud: Cloud
    group_id: UUID
    alarm_id: UUID
    resource_id: UUID

    def relay(self) -> None:
        while wiring.relay_outbox(self.pool, now=utc_now()):
            pass

    def judge(self, value: float) -> None:
        """Feed a value and evaluate."""
        now = utc_now()
        with transaction(self.pool) as tx:
            feed(tx, self.cloud.caller, resource_id=self.resource_id, values=[value] * 3, until=now)
            tx.execute("UPDATE alarm SET next_evaluation_at = %s WHERE id = %s", (now, self.alarm_id))
            alarms.evaluate_due(tx, now)

    def state(self) -> AlarmState:
        with transaction(self.pool) as tx:
            return alarms.get_alarm(tx, self.alarm_id, caller=self.cloud.caller).state

    def converge_and_observe(self) -> None:
        """Let scaling act, and the host's agent make it so."""
        with transaction(self.pool) as tx:
            scaling.converge_groups(tx, now=utc_now())
        with transaction(self.pool) as tx:
            now = utc_now()
            rows = tx.execute(
                "SELECT id FROM instance WHERE desired <> 'deleted' AND host_id = %s", (self.cloud.session.host_id,)
            ).fetchall()
            seen = an_observation(*(a_guest(row[0]) for row in rows), at=now)
            compute.record_observation(tx, session=self.cloud.session, observation=seen, now=now)
        self.relay()

    def view(self) -> scaling.GroupView:
        with transaction(self.pool) as tx:
            return scaling.get_group(tx, self.group_id, caller=self.cloud.caller, now=utc_now())


@pytest.fixture
def scene(pool: Pool, receiver: Receiver) -> Iterator[Scene]:
    with transaction(pool) as tx:
        now = utc_now()
        cloud = a_cloud(tx, now=now, hostname=f"host-{new_id()}")
        launch = LaunchTemplate(image_id=cloud.image.id, flavor_id="0")
        spec = GroupSpec("web", launch, size_min=1, size_max=2, size_desired=1)
        group_id = scaling.create_group(tx, spec, caller=cloud.caller, now=now).group.id
        grow = PolicySpec("grow", AdjustmentType.CHANGE_IN_CAPACITY, 1)
        shrink = PolicySpec("shrink", AdjustmentType.CHANGE_IN_CAPACITY, -1)
        grow_id = scaling.create_policy(tx, group_id, spec=grow, caller=cloud.caller, now=now).id
        shrink_id = scaling.create_policy(tx, group_id, spec=shrink, caller=cloud.caller, now=now).id
        resource_id = new_id()
        actions = Actions(alarm=(f"scaling:{grow_id}", receiver.url), ok=(f"scaling:{shrink_id}",))
        alarm = an_alarm(tx, cloud.caller, resource_id=resource_id, actions=actions, now=now)
    made = Scene(pool, cloud, group_id, alarm.id, resource_id)
    made.converge_and_observe()
    yield made
    with transaction(pool) as tx:
        for statement in CLEAN_UP:
            tx.execute(statement, {"project_id": cloud.caller.project_id, "host_id": cloud.session.host_id})


def test_a_breach_grows_the_group_and_tells_the_receiver_and_calm_shrinks_it_again(
    scene: Scene, receiver: Receiver
) -> None:
    assert scene.view().size_current == 1
    scene.judge(90)
    assert scene.state() is AlarmState.ALARM
    scene.relay()
    scene.converge_and_observe()
    assert scene.view().size_current == 2
    assert webhook.send_due(scene.pool, LOOPBACK_ONLY, limit=20) == 1
    ((headers, body),) = receiver.got
    with transaction(scene.pool) as tx:
        secret = alarms.get_signing_secret(tx, caller=scene.cloud.caller, now=utc_now())
    told = Webhook(secret_text(secret.secret)).verify(body, headers)
    assert (told["previous"], told["current"], told["alarm_name"]) == ("insufficient data", "alarm", "high")
    assert told["reason_data"]["most_recent"] == 90
    scene.judge(10)
    scene.relay()
    scene.converge_and_observe()
    assert scene.view().size_current == 1
    with transaction(scene.pool) as tx:
        told_of = scaling.list_activities(tx, scene.group_id, caller=scene.cloud.caller)
        ((delivery, attempts),) = alarms.list_deliveries(tx, caller=scene.cloud.caller)
    assert [(one.size_before, one.size_after, one.alarm_id) for one in told_of] == [
        (2, 1, scene.alarm_id),
        (1, 2, scene.alarm_id),
    ]
    assert "alarm high went to alarm" in told_of[1].cause
    assert delivery.state == "delivered"
    assert [attempt.status_code for attempt in attempts] == [204]
    assert webhook.send_due(scene.pool, LOOPBACK_ONLY, limit=20) == 0


def test_a_receiver_that_fails_is_tried_again_under_the_same_webhook_id(scene: Scene, receiver: Receiver) -> None:
    receiver.status = 500
    scene.judge(90)
    scene.relay()
    webhook.send_due(scene.pool, LOOPBACK_ONLY, limit=20)
    receiver.status = 200
    with transaction(scene.pool) as tx:
        assert not alarms.has_due_deliveries(tx, now=utc_now())
        assert alarms.has_due_deliveries(tx, now=utc_now() + timedelta(seconds=10))
        tx.execute("UPDATE delivery SET next_attempt_at = now()")
    webhook.send_due(scene.pool, LOOPBACK_ONLY, limit=20)
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    assert len(receiver.got) == 2
    with transaction(scene.pool) as tx:
        ((delivery, attempts),) = alarms.list_deliveries(tx, caller=scene.cloud.caller)
    assert delivery.state == "delivered"
    assert [attempt.outcome for attempt in attempts] == ["rejected", "delivered"]


def test_a_receiver_that_hangs_holds_up_neither_the_round_nor_the_others(
    scene: Scene, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def states() -> dict[str, str]:
        with transaction(scene.pool) as tx:
            found = alarms.list_deliveries(tx, caller=scene.cloud.caller)
            return {delivery.url: delivery.state for delivery, _ in found}

    def wait_for(url: str, state: str) -> None:
        ends = time.monotonic() + PATIENCE_S
        while states()[url] != state and time.monotonic() < ends:
            time.sleep(0.05)

    monkeypatch.setattr(webhook, "ROUND_WAIT_S", 0.5)
    monkeypatch.setattr(webhook, "READ_TIMEOUT_S", 2.0 * PATIENCE_S)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hanging = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with transaction(scene.pool) as tx:
            for url in (hanging, receiver.url):
                alarms.send_test_event(tx, url, caller=scene.cloud.caller, now=utc_now())
        sender = webhook.Sender(EgressPolicy.from_setting("127.0.0.0/8"), deadline_s=2.0 * PATIENCE_S)
        assert webhook.send_due(scene.pool, LOOPBACK_ONLY, limit=20, sender=sender) == 0
        wait_for(receiver.url, "delivered")
        assert states() == {hanging: "pending", receiver.url: "delivered"}
    wait_for(hanging, "failed")
    assert states() == {hanging: "failed", receiver.url: "delivered"}, "the other end has closed its door"


def test_a_private_receiver_is_refused_unless_the_operator_allows_its_network(scene: Scene, receiver: Receiver) -> None:
    scene.judge(90)
    scene.relay()
    webhook.send_due(scene.pool, NOWHERE, limit=20)
    assert receiver.got == []
    with transaction(scene.pool) as tx:
        ((delivery, attempts),) = alarms.list_deliveries(tx, caller=scene.cloud.caller)
    assert delivery.state == "failed"
    assert attempts[0].outcome == "refused"
    assert "NEPHO_WEBHOOK_ALLOW_CIDRS" in (attempts[0].error or "")


def test_an_alarm_that_names_another_project_s_policy_scales_nothing_and_the_event_is_done(scene: Scene) -> None:
    with transaction(scene.pool) as tx:
        tx.execute("UPDATE scaling_group SET project_id = 'another' WHERE id = %s", (scene.group_id,))
    scene.judge(90)
    scene.relay()
    with transaction(scene.pool) as tx:
        row = tx.execute("SELECT size_desired FROM scaling_group WHERE id = %s", (scene.group_id,)).fetchone()
        pending = tx.execute(
            "SELECT count(*) FROM outbox_event WHERE handled_at IS NULL AND payload ->> 'project_id' = %s",
            (scene.cloud.caller.project_id,),
        ).fetchone()
    assert row == (1,)
    assert pending == (0,)
