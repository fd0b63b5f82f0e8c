"""What must hold when parts are killed, frozen or lost: what was acknowledged is there once, and everything heals by itself.

The stack runs on a simulated host, since no guest matters here; database, broker, API, worker and agent are the real ones.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString

import httpx2
import psutil
import psycopg
import pytest
import redis
from redis.exceptions import OutOfMemoryError

from entrypoints.demo_cloud import DemoCloud
from provision import redis_server, timescaledb
from tests.conftest import ROOT
from tests.journeys.stack import Stack, eventually, running_stack

pytestmark = pytest.mark.timeout(1_800)

BATCH_MEASURES = 100
BATCHES_MAX = 10_000
LEDGER_BEGINS_AGO = timedelta(seconds=BATCH_MEASURES * BATCHES_MAX)
HEAL_S_MAX = 240.0
"""How long anything may take to heal here: it takes seconds, but on a machine that has ten times as much to do."""
DATABASE_END_S_MAX = 120
BROKER_END_S_MAX = 60
BATCHES_WHILE_AWAY = 3
POLL_INTERVAL_S = 2


@dataclass(slots=True)
class Plant:
    """The stack with a database and a broker of its own, which a test may stop and start."""

    stack: Stack
    cluster: timescaledb.Cluster
    broker_folder: Path
    database: "subprocess.Popen[bytes]"
    broker: "subprocess.Popen[bytes]"

    def query(self, statement: LiteralString, *parameters: Any) -> Any:
        """Ask the database for one value, past the product."""
        try:
            with psycopg.connect(self.cluster.url(), autocommit=True) as connection:
                row = connection.execute(statement, parameters).fetchone()
        except psycopg.OperationalError as error:
            raise LookupError(str(error)) from error
        assert row is not None
        return row[0]

    def start_broker(self) -> None:
        """Start an empty broker where the last one was."""
        self.broker = redis_server.start(self.broker_folder, log_file=self.broker_folder.parent / "redis.log")


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Generator[Plant]:
    """One plant for all tests of this file; each leaves it healthy."""
    folder = tmp_path_factory.mktemp("plant")
    tree = timescaledb.install(ROOT / "var", say=lambda _: None)
    short = Path("/run") / f"nephoscope-test-{os.getpid()}"
    cluster = timescaledb.Cluster(tree, folder / "pg", short / "pg", folder / "pg.log")
    broker_folder = short / "redis"
    plant = None
    database = timescaledb.start(cluster)
    broker = redis_server.start(broker_folder, log_file=short / "redis.log")
    settings = {
        "NEPHO_DATABASE_URL": cluster.url(),
        "NEPHO_REDIS_URL": redis_server.url(broker_folder),
        "NEPHO_HYPERVISORS": "simulated:1",
        "NEPHO_POLL_INTERVAL_S": str(POLL_INTERVAL_S),
    }
    try:
        with running_stack(folder / "var", settings) as stack:
            plant = Plant(stack, cluster, broker_folder, database, broker)
            yield plant
    finally:
        redis_server.stop(plant.broker if plant else broker)
        timescaledb.stop(plant.database if plant else database)
        shutil.rmtree(short, ignore_errors=True)


@dataclass(slots=True)
class Ledger:
    """Posts batches of measures to one metric and keeps its own account of what was acknowledged."""

    cloud: DemoCloud
    metric_id: str
    acknowledged: list[float] = field(default_factory=list[float])
    attempts: int = 0
    last_refusal: str = ""
    refusals: set[int] = field(default_factory=set[int])
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Post until told to stop; a batch that was not acknowledged is posted again, the same."""
        first = datetime.now(UTC).replace(microsecond=0) - LEDGER_BEGINS_AGO
        for number in range(BATCHES_MAX):
            if self.stopping.is_set():
                return
            start = first + timedelta(seconds=number * BATCH_MEASURES)
            values = [float(number * BATCH_MEASURES + place) for place in range(BATCH_MEASURES)]
            measures = [
                {"timestamp": (start + timedelta(seconds=place)).isoformat(), "value": value}
                for place, value in enumerate(values)
            ]
            if self.post_until_acknowledged(measures):
                self.acknowledged += values

    def post_until_acknowledged(self, measures: list[dict[str, Any]]) -> bool:
        """Try again until it is acknowledged or the ledger is told to stop."""
        while not self.stopping.is_set():
            self.attempts += 1
            try:
                answer = self.cloud.http.post(f"/metric/v1/metric/{self.metric_id}/measures", json=measures)
            except httpx2.TransportError:
                time.sleep(0.1)
                continue
            if answer.status_code == 202:
                return True
            self.refusals.add(answer.status_code)
            self.last_refusal = answer.text
            time.sleep(0.1)
        return False

    def settle(self) -> None:
        """Check that what is stored is what was acknowledged, every measure once."""
        assert self.refusals <= {503}, self.last_refusal
        start = (datetime.now(UTC) - 2 * LEDGER_BEGINS_AGO).isoformat()
        query = {"aggregation": "count", "start": start}
        rows = self.cloud.get(f"/metric/v1/metric/{self.metric_id}/measures", **query)
        finest = min(row[1] for row in rows)
        assert sum(row[2] for row in rows if row[1] == finest) == len(self.acknowledged)
        rows = self.cloud.get(f"/metric/v1/metric/{self.metric_id}/measures", **query | {"aggregation": "sum"})
        assert sum(row[2] for row in rows if row[1] == finest) == sum(self.acknowledged)


@pytest.fixture
def ledger(plant: Plant) -> Generator[Ledger]:
    """A ledger that posts while the test goes on, and is settled when the test is done."""
    cloud = plant.stack.cloud()
    metric = cloud.post("/metric/v1/metric", {"name": "ledger", "archive_policy_name": "low"})
    ledger = Ledger(cloud, metric["id"])
    thread = threading.Thread(target=ledger.run, daemon=True)
    thread.start()
    eventually(lambda: len(ledger.acknowledged) > BATCH_MEASURES, within_s=HEAL_S_MAX, what="first batches")
    yield ledger
    wait_for_batches(ledger)
    ledger.stopping.set()
    thread.join(HEAL_S_MAX)
    assert not thread.is_alive()
    ledger.settle()
    eventually(lambda: plant.query("SELECT count(*) = 0 FROM dirty_mark"), within_s=HEAL_S_MAX, what="marks rolled up")
    ledger.settle()


def test_an_api_that_is_killed_in_the_middle_of_batches_loses_and_doubles_nothing(plant: Plant, ledger: Ledger) -> None:
    for _ in range(2):
        kill_and_wait(plant, "api")
        wait_for_batches(ledger)
    assert ledger.attempts > len(ledger.acknowledged) / BATCH_MEASURES


def test_a_worker_that_is_killed_while_it_rolls_up_leaves_rollups_that_equal_the_raw_samples(
    plant: Plant, ledger: Ledger
) -> None:
    for _ in range(3):
        time.sleep(1.5)
        kill_and_wait(plant, "worker")


def test_a_database_that_crashes_and_comes_back_is_only_ever_a_503(plant: Plant, ledger: Ledger) -> None:
    plant.database.send_signal(signal.SIGQUIT)
    plant.database.wait(DATABASE_END_S_MAX)
    eventually(lambda: ledger.refusals, within_s=HEAL_S_MAX, what="a refusal")
    plant.database = timescaledb.start(plant.cluster)
    eventually(lambda: plant.query("SELECT 1"), within_s=HEAL_S_MAX, what="the database")
    assert ledger.refusals <= {503}


def test_readings_taken_while_the_database_is_away_arrive_when_it_is_back(plant: Plant) -> None:
    cloud = plant.stack.cloud()
    instance_id = launch(cloud)
    wait_for_readings(plant, instance_id, count=3)
    away_s = 8 * POLL_INTERVAL_S
    timescaledb.stop(plant.database)
    time.sleep(away_s)
    plant.database = timescaledb.start(plant.cluster)
    seen = plant.query(COUNT_READINGS, instance_id)
    wait_for_readings(plant, instance_id, count=seen + away_s // POLL_INTERVAL_S)
    gap = plant.query(LONGEST_GAP, instance_id)
    assert gap < timedelta(seconds=away_s / 2), f"no reading for {gap}"
    delete(cloud, instance_id)


def test_a_broker_that_is_lost_with_all_it_holds_costs_nothing(plant: Plant, ledger: Ledger) -> None:
    plant.broker.kill()
    plant.broker.wait(BROKER_END_S_MAX)
    wait_for_batches(ledger)
    plant.start_broker()
    wait_for_rollups(plant, "rollups after the loss")


def test_a_broker_that_has_no_memory_left_costs_nothing(plant: Plant, ledger: Ledger) -> None:
    broker: Any = redis.Redis(unix_socket_path=str(plant.broker_folder / redis_server.SOCKET_NAME))
    try:
        broker.config_set("maxmemory", 1)
        with pytest.raises(OutOfMemoryError):
            broker.set("anything", "more")
        for _ in range(BATCHES_WHILE_AWAY):
            wait_for_batches(ledger)
    finally:
        broker.config_set("maxmemory", redis_server.MEMORY)
        broker.close()
    wait_for_rollups(plant, "rollups after the want")


def test_a_broker_that_hangs_keeps_no_request_waiting(plant: Plant, ledger: Ledger) -> None:
    plant.broker.send_signal(signal.SIGSTOP)
    try:
        for _ in range(BATCHES_WHILE_AWAY):
            wait_for_batches(ledger)
    finally:
        plant.broker.send_signal(signal.SIGCONT)


def test_a_worker_that_hangs_is_replaced_and_does_no_harm_when_it_wakes(plant: Plant, ledger: Ledger) -> None:
    frozen = plant.stack.process("worker")
    family = [frozen, *frozen.children(recursive=True)]
    environment = frozen.environ()
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.suspend()
    other = subprocess.Popen(
        [sys.executable, "-m", "entrypoints", "worker"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for_rollups(plant, "another worker to roll up")
    finally:
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.resume()
        other.terminate()
        other.wait(HEAL_S_MAX)


COUNT_READINGS: LiteralString = """
    SELECT count(*) FROM measure JOIN metric ON metric.key = measure.metric_key
    WHERE metric.name = 'cpu' AND metric.resource_id = %s
"""
LONGEST_GAP: LiteralString = """
    SELECT max(gap) FROM (
        SELECT observed_at - lag(observed_at) OVER (ORDER BY observed_at) AS gap
        FROM measure JOIN metric ON metric.key = measure.metric_key
        WHERE metric.name = 'cpu' AND metric.resource_id = %s) gaps
"""
NO_MARK_IS_LEFT_OF: LiteralString = "SELECT NOT EXISTS (SELECT FROM dirty_mark WHERE marked_at < %s)"


def kill_and_wait(plant: Plant, service: str) -> None:
    """Kill a service and wait until the supervisor has started another."""
    dead = plant.stack.kill_family(service)
    eventually(lambda: plant.stack.process(service).pid != dead.pid, within_s=HEAL_S_MAX, what=f"another {service}")


def wait_for_batches(ledger: Ledger) -> None:
    """Wait until more batches are acknowledged."""
    before = len(ledger.acknowledged)
    eventually(lambda: len(ledger.acknowledged) > before, within_s=HEAL_S_MAX, what="batches after the fault")


def wait_for_rollups(plant: Plant, what: str) -> None:
    """Wait until all that was marked up to now is rolled up."""
    since = plant.query("SELECT now()")
    eventually(lambda: plant.query(NO_MARK_IS_LEFT_OF, since), within_s=HEAL_S_MAX, what=what)


def wait_for_readings(plant: Plant, instance_id: str, *, count: int) -> None:
    """Wait until an instance has so many readings of its CPU time."""
    eventually(lambda: plant.query(COUNT_READINGS, instance_id) >= count, within_s=HEAL_S_MAX, what=f"{count} readings")


def launch(cloud: DemoCloud) -> str:
    """Launch an instance through Nova and wait until it is ACTIVE."""
    flavors = {flavor["name"]: flavor["id"] for flavor in cloud.get("/compute/v2.1/flavors")["flavors"]}
    images = cloud.get("/image/v2/images")["images"]
    body = {"server": {"name": "reading", "flavorRef": flavors["n1.nano"], "imageRef": images[0]["id"]}}
    server_id: str = cloud.post("/compute/v2.1/servers", body)["server"]["id"]
    path = f"/compute/v2.1/servers/{server_id}"
    eventually(lambda: cloud.get(path)["server"]["status"] == "ACTIVE", within_s=HEAL_S_MAX, what="ACTIVE")
    return server_id


def delete(cloud: DemoCloud, server_id: str) -> None:
    """Delete an instance and wait until it is gone."""
    path = f"/compute/v2.1/servers/{server_id}"
    cloud.http.delete(path).raise_for_status()
    eventually(lambda: cloud.http.get(path).status_code == 404, within_s=HEAL_S_MAX, what="deleted")
