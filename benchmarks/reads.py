"""What reading costs over HTTP, one API process: `python -m benchmarks.reads`, or beside another checkout with `--beside FOLDER`.

One database, loaded with a day of a hundred metrics that is rolled up; each checkout has an API process on it, and the requests are
interleaved, so that whatever else the machine does falls on both. Answers must be the same to the byte. Clients of the dialect keep
their connection; a connection for every request is measured too.
"""

import argparse
import http.client
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson

from benchmarks.database import ROOT, fresh_database
from benchmarks.gnocchi_race import GRANULARITY_S, QUERIED, START, STEP_S, make_bodies
from benchmarks.ingest import MAKE_METRICS, Target, backends, post_all, roll_up_all, running_api, sign_in
from foundation.database import open_pool, transaction
from foundation.ids import new_id
from identity.service import bootstrap

WARM_UP = 30


@dataclass(frozen=True, slots=True)
class Question:
    """A request of the dialect."""

    name: str
    method: str
    path: str
    body: bytes | None = None


@dataclass(slots=True)
class Served:
    """An API process that is asked, and how long its answers took."""

    name: str
    port: int
    pid: int
    kept: http.client.HTTPConnection
    backends: Sequence[int]
    times_ms: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    api_ms: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    database_ms: dict[str, list[float]] = field(default_factory=dict[str, list[float]])


def questions(metric_ids: Sequence[str]) -> Sequence[Question]:
    """Return what is asked: a day of one metric, and the mean over all of them."""
    span = f"start={START:%Y-%m-%d}&stop={START + timedelta(days=1):%Y-%m-%d}&granularity={GRANULARITY_S}"
    mean = {"operations": ["aggregate", "mean", ["metric", *([metric_id, "mean"] for metric_id in metric_ids)]]}
    return (
        Question("a day of one metric", "GET", f"/metric/v1/metric/{metric_ids[0]}/measures?{span}"),
        Question(f"mean over {len(metric_ids)}", "POST", f"/metric/v1/aggregates?{span}", orjson.dumps(mean)),
    )


def ask(connection: http.client.HTTPConnection, question: Question, token: str) -> bytes:
    """Send a request and return the answer."""
    headers = {"X-Auth-Token": token, "Content-Type": "application/json"}
    connection.request(question.method, question.path, question.body, headers)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 200:
        raise SystemExit(f"{question.name} answered {answer.status}: {text[:300]!r}")
    return text


def scheduled_ms(pids: Sequence[int]) -> float:
    """Return how long processes have had a processor, all their threads together, finer than the clock's ticks."""
    tasks = (task for pid in pids for task in Path(f"/proc/{pid}/task").iterdir())
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6


def ask_round(served: Sequence[Served], question: Question, *, token: str, is_kept: bool) -> None:
    """Ask every process once; their answers must not differ."""
    answers: set[bytes] = set()
    name = question.name if is_kept else f"{question.name}, new connection"
    for one in served:
        api, database, began = scheduled_ms([one.pid]), scheduled_ms(one.backends), time.perf_counter()
        if is_kept:
            answers.add(ask(one.kept, question, token))
        else:
            connection = http.client.HTTPConnection("127.0.0.1", one.port, timeout=60)
            answers.add(ask(connection, question, token))
            connection.close()
        one.times_ms.setdefault(name, []).append((time.perf_counter() - began) * 1000)
        one.api_ms.setdefault(name, []).append(scheduled_ms([one.pid]) - api)
        one.database_ms.setdefault(name, []).append(scheduled_ms(one.backends) - database)
    if len(answers) != 1:
        raise SystemExit(f"{question.name}: the checkouts answer differently")


def load(url: str, target: Target) -> Sequence[str]:
    """Make the metrics, send a day of each and roll it up; return their ids."""
    pool = open_pool(url, size_max=2, application_name="bench")
    ids = [new_id() for _ in range(QUERIED)]
    with transaction(pool) as tx:
        tx.execute(MAKE_METRICS, (ids, target.user_id, target.project_id))
        tx.execute("UPDATE metric SET archive_policy_name = 'low'")
    names = [str(one) for one in ids]
    post_all(target, make_bodies(names, per_metric=86_400 // STEP_S // 12, batches=12))
    roll_up_all(pool)
    pool.close()
    return names


def forget(served: Sequence[Served], question: Question) -> None:
    """Forget how long a question took until now."""
    for one in served:
        for figures in (one.times_ms, one.api_ms, one.database_ms):
            for name in [name for name in figures if name.startswith(question.name)]:
                del figures[name]


def show(served: Sequence[Served]) -> None:
    """Print each question's median and ninth decile, and how the last checkout compares with the first."""
    for name in served[0].times_ms:
        parts = [f"{name:40}"]
        for one in served:
            times = one.times_ms[name]
            tenths = statistics.quantiles(times, n=10)
            api, database = statistics.median(one.api_ms[name]), statistics.median(one.database_ms[name])
            parts.append(
                f"{one.name}: p10 {tenths[0]:6.2f} ms, p50 {tenths[4]:6.2f}, p90 {tenths[8]:6.2f},"
                f" CPU {api:5.2f} API + {database:5.2f} database"
            )
        if len(served) > 1:
            ratios: Mapping[str, float] = {one.name: statistics.median(one.times_ms[name]) for one in served}
            parts.append(f"{ratios[served[-1].name] / ratios[served[0].name]:.2f} times")
        print("  ".join(parts))


def main() -> None:
    """Load a day, ask in turns, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--beside", type=Path, help="the folder of another checkout")
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}; one API process for each checkout, {options.rounds} rounds")
    roots = {"here": ROOT} | ({"there": options.beside.resolve()} if options.beside is not None else {})
    with fresh_database() as url, ExitStack() as stack:
        pool = open_pool(url, size_max=1, application_name="bench")
        with transaction(pool) as tx:
            admin = bootstrap(tx, datetime.now(UTC)).admin
        stack.callback(pool.close)
        assert admin is not None
        served: list[Served] = []
        known: set[int] = set()
        for name, root in roots.items():
            port, pid = stack.enter_context(running_api(url, root))
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            stack.callback(connection.close)
            served.append(Served(name, port, pid, connection, sorted({*backends(pool)} - known)))
            known |= {*served[-1].backends}
        token, user_id, project_id = sign_in(served[0].port, admin.password)
        asked = questions(load(url, Target(served[0].port, served[0].pid, token, user_id, project_id)))
        for question in asked:
            for number in range(-WARM_UP, options.rounds):
                turn = served if number % 2 else served[::-1]
                for is_kept in (True, False):
                    ask_round(turn, question, token=token, is_kept=is_kept)
                if number == -1:
                    forget(served, question)
        show(served)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
