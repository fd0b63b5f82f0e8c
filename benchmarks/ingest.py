"""How many measures a second one API process takes in over HTTP, and one roller rolls up: `python -m benchmarks.ingest`.

The API is its real process with authentication, on a database of its own; commits are durable (synchronous_commit is on). Batches go to
the Gnocchi dialect, one in a hundred measures is a repeat, and what came of it is counted in the tables and read back over HTTP. CPU is
counted apart for the API, its database connections and the generator, since they share one machine.
"""

import argparse
import http.client
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import orjson

from benchmarks.database import ROOT, fresh_database
from foundation.database import Pool, open_pool, transaction
from foundation.ids import new_id
from identity.service import bootstrap
from metering.model import SHARD_COUNT
from metering.service import roll_up_shard, shard_lease

METRICS = 1_000
STEP_S = 60
REPEAT_EVERY = 100
START = datetime(2026, 3, 1, tzinfo=UTC)
START_S_MAX = 30.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Case:
    """A shape of batch: so many measures of each of METRICS metrics, one in a hundred of them sent before."""

    name: str
    per_metric: int
    with_repeats: bool


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run came to; CPU in microseconds a measure."""

    accepted_per_s: float
    rolled_per_s: float
    api_us: float
    database_us: float
    generator_us: float


CASES = (
    Case("1,000 singles, all new", 1, with_repeats=False),
    Case("1,000 singles, 1 % repeats", 1, with_repeats=True),
    Case("10,000 (10 a metric), all new", 10, with_repeats=False),
    Case("10,000 (10 a metric), 1 % repeats", 10, with_repeats=True),
)


@dataclass(frozen=True, slots=True)
class Bodies:
    """Requests made before the clock starts, how many measures they hold, and how many of these are different ones."""

    first: bytes
    rest: Sequence[bytes]
    sent: int
    kept: int


def make_bodies(metric_ids: Sequence[UUID], case: Case, *, batches: int) -> Bodies:
    """Write the batches; a repeat is a measure of the first batch, which is stored before the race begins."""
    bodies: list[bytes] = []
    repeats = 0
    for batch in range(batches + 1):
        document: dict[str, list[dict[str, object]]] = {}
        for place, metric_id in enumerate(metric_ids):
            own: list[dict[str, object]] = []
            for n in range(case.per_metric):
                minute = batch * case.per_metric + n
                is_repeat = case.with_repeats and batch > 0 and (place * case.per_metric + n) % REPEAT_EVERY == 0
                repeats += is_repeat
                at = START + timedelta(seconds=STEP_S * (0 if is_repeat else minute))
                own.append({"timestamp": at.isoformat(), "value": float(place if is_repeat else place + minute)})
            document[str(metric_id)] = own
        bodies.append(orjson.dumps(document))
    measures = len(metric_ids) * case.per_metric
    return Bodies(bodies[0], bodies[1:], measures * batches, measures * (batches + 1) - repeats)


MAKE_METRICS = """
    INSERT INTO metric (id, archive_policy_name, created_by_user_id, created_by_project_id)
    SELECT u.id, 'medium', m.user_id, m.project_id FROM unnest(%s::uuid[]) AS u (id), (SELECT %s, %s) AS m (user_id, project_id)
"""


def make_metrics(pool: Pool, *, user_id: str, project_id: str) -> list[UUID]:
    """Make the metrics of one run."""
    ids = [new_id() for _ in range(METRICS)]
    with transaction(pool) as tx:
        tx.execute(MAKE_METRICS, (ids, user_id, project_id))
    return ids


def cpu_s(pids: Sequence[int]) -> float:
    """Return the CPU that processes have used."""
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICKS_PER_S


LIST_BACKENDS = (
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'nephoscope-api' AND datname = current_database()"
)


def backends(pool: Pool) -> list[int]:
    """Return the database's own processes that serve the API here; others may have one on the same cluster."""
    with transaction(pool) as tx:
        return [int(row[0]) for row in tx.execute(LIST_BACKENDS)]


@dataclass(frozen=True, slots=True)
class Target:
    """The API that is measured, and who calls it."""

    port: int
    pid: int
    token: str
    user_id: str
    project_id: str


def post_all(target: Target, bodies: Sequence[bytes]) -> None:
    """Post batches one after another over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=60)
    headers = {"X-Auth-Token": target.token, "Content-Type": "application/json"}
    for body in bodies:
        connection.request("POST", "/metric/v1/batch/metrics/measures", body, headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 202:
            raise SystemExit(f"POST answered {answer.status}: {text[:300]!r}")
    connection.close()


Post = Callable[[Target, Sequence[bytes]], None]


@dataclass(frozen=True, slots=True)
class Cost:
    """What posting came to: seconds, and CPU in microseconds an item, apart for who used it."""

    elapsed_s: float
    api_us: float
    database_us: float
    generator_us: float


def post_together(pool: Pool, target: Target, *, post: Post, bodies: Sequence[bytes], clients: int, sent: int) -> Cost:
    """Post bodies with several clients at once, which take turns, and count what that cost."""
    threads = [threading.Thread(target=post, args=(target, bodies[n::clients])) for n in range(clients)]
    api, database = cpu_s([target.pid]), cpu_s(backends(pool))
    own = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - began
    generator = resource.getrusage(resource.RUSAGE_SELF)
    api, database = cpu_s([target.pid]) - api, cpu_s(backends(pool)) - database
    used = generator.ru_utime + generator.ru_stime - own.ru_utime - own.ru_stime
    return Cost(elapsed, *(one * 1e6 / sent for one in (api, database, used)))


def run(pool: Pool, target: Target, *, case: Case, batches: int, clients: int) -> Figures:
    """Post one case's batches with several clients, roll them up, and check what is stored."""
    ids = make_metrics(pool, user_id=target.user_id, project_id=target.project_id)
    bodies = make_bodies(ids, case, batches=batches)
    post_all(target, [bodies.first])
    roll_up_all(pool)
    cost = post_together(pool, target, post=post_all, bodies=bodies.rest, clients=clients, sent=bodies.sent)
    began = time.perf_counter()
    roll_up_all(pool)
    rolled = time.perf_counter() - began
    check(pool, target, ids=ids, kept=bodies.kept)
    return Figures(bodies.sent / cost.elapsed_s, bodies.sent / rolled, cost.api_us, cost.database_us, cost.generator_us)


def roll_up_all(pool: Pool) -> None:
    """Roll up every shard, one after another, as one worker does."""
    for shard in range(SHARD_COUNT):
        is_more = True
        while is_more:
            with shard_lease(pool, shard) as tx:
                assert tx is not None
                is_more = roll_up_shard(tx, shard=shard).more


COUNT_KEPT = """
    SELECT (SELECT count(*) FROM measure m JOIN metric c ON c.key = m.metric_key WHERE c.id = ANY(%(ids)s)),
        (SELECT sum(count) FROM rollup r JOIN metric c ON c.key = r.metric_key
         WHERE c.id = ANY(%(ids)s) AND granularity_us = 60000000)
"""


def check(pool: Pool, target: Target, *, ids: Sequence[UUID], kept: int) -> None:
    """Fail where the store or the API does not hold just what was sent."""
    with transaction(pool) as tx:
        row = tx.execute(COUNT_KEPT, {"ids": list(ids)}).fetchone()
    if row is None or tuple(map(int, row)) != (kept, kept):
        raise SystemExit(f"{kept} different measures were sent, but stored and rolled up are {row}")
    place = len(ids) // 2 + 1
    url = f"http://127.0.0.1:{target.port}/metric/v1/metric/{ids[place]}/measures?granularity=60"
    with urllib.request.urlopen(urllib.request.Request(url, headers={"X-Auth-Token": target.token})) as answer:
        points = orjson.loads(answer.read())
    for at, _, value in points:
        minute = (datetime.fromisoformat(at) - START).total_seconds() / STEP_S
        if value != place + minute:
            raise SystemExit(f"the API answers {value} at {at}, but {place + minute} was sent")


@contextmanager
def running_api(url: str, root: Path = ROOT) -> Generator[tuple[int, int]]:
    """Run the API's own process, of this checkout or of another; yield its port and pid."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        environment = os.environ | {
            "NEPHO_LISTEN": f"127.0.0.1:{port}",
            "NEPHO_DATABASE_URL": url,
            "NEPHO_VAR": directory,
            "PYTHONPATH": str(root),
        }
        command = [sys.executable, "-m", "entrypoints.http"]
        with (
            (Path(directory) / "api.log").open("wb") as log,
            subprocess.Popen(command, cwd=root, env=environment, stdout=log, stderr=log) as api,
        ):
            try:
                wait_until_ready(port, api)
                yield port, api.pid
            finally:
                api.terminate()


def wait_until_ready(port: int, api: subprocess.Popen[bytes]) -> None:
    """Wait until the process answers /readyz."""
    deadline = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline and api.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise SystemExit("the API did not start")


def sign_in(port: int, password: str) -> tuple[str, str, str]:
    """Return admin's token, user and project by Keystone's interface."""
    user = {"name": "admin", "password": password, "domain": {"name": "Default"}}
    scope = {"project": {"name": "admin", "domain": {"name": "Default"}}}
    body = orjson.dumps({"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}})
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/identity/v3/auth/tokens", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        told = orjson.loads(answer.read())["token"]
        return answer.headers["X-Subject-Token"], told["user"]["id"], told["project"]["id"]


def main() -> None:
    """Run every case several times, interleaved, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--measures", type=int, default=60_000, help="measures of a run")
    parser.add_argument("--clients", type=int, default=3)
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}; one API process, {options.clients} clients, medians of {options.runs}")
    results: dict[Case, list[Figures]] = {case: [] for case in CASES}
    with fresh_database() as url, running_api(url) as (port, pid):
        pool = open_pool(url, size_max=2, application_name="bench")
        with transaction(pool) as tx:
            admin = bootstrap(tx, datetime.now(UTC)).admin
        assert admin is not None
        target = Target(port, pid, *sign_in(port, admin.password))
        for _ in range(options.runs):
            for case in CASES:
                batches = max(1, options.measures // (METRICS * case.per_metric))
                results[case].append(run(pool, target, case=case, batches=batches, clients=options.clients))
        pool.close()
    for case, runs in results.items():
        middle = Figures(*(statistics.median(getattr(one, name) for one in runs) for name in Figures.__slots__))
        print(
            f"{case.name:36} accepted/s {middle.accepted_per_s:9,.0f}  rolled up/s {middle.rolled_per_s:9,.0f}"
            f"  CPU us a measure: API {middle.api_us:5.1f}, database {middle.database_us:5.1f},"
            f" generator {middle.generator_us:4.1f}"
        )
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
