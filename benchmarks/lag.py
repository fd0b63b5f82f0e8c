"""How far rollups are behind what was accepted, at full and at half load of one API process: `python -m benchmarks.lag`.

A whole stack (API, a worker of two processes, scheduler, Redis, one durable PostgreSQL) is first posted to as fast as one API process
takes it in, then at half that rate. Whoever watches notes when each dirty mark appears and is gone; a mark's lag is what lies between.
"""

import argparse
import http.client
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from psycopg import connect

from benchmarks.database import ROOT
from benchmarks.gnocchi_race import make_bodies, make_metrics, postmaster_of, settle
from benchmarks.products import Product, running_nephoscope
from provision.timescaledb import install, running_cluster

METRICS = 1_000
LOOK_EVERY_S = 0.05
BODIES = 600
"""Batches of a client that are made before the clock starts: all that it can send."""

LIST_MARKS = (
    "SELECT id, extract(epoch FROM marked_at)::float8, extract(epoch FROM clock_timestamp())::float8 FROM dirty_mark"
)


@dataclass(slots=True)
class Watch:
    """What was seen of the marks: when those that wait were made, and how long those waited that are gone."""

    waiting: dict[int, float] = field(default_factory=dict[int, float])
    lags: list[float] = field(default_factory=list[float])
    is_over: threading.Event = field(default_factory=threading.Event)

    def look_on(self, database_url: str) -> None:
        """Look until it is over; a lag is at most one look too long."""
        with connect(database_url, autocommit=True) as connection:
            while not self.is_over.wait(LOOK_EVERY_S):
                rows = connection.execute(LIST_MARKS).fetchall()
                now = rows[0][2] if rows else time.time()
                there = {row[0]: row[1] for row in rows}
                self.lags += [now - made for mark, made in self.waiting.items() if mark not in there]
                self.waiting = there


def post_paced(product: Product, bodies: Sequence[bytes], *, until: float, per_s: float | None) -> int:
    """Post to the first API process until a moment, at most so many batches a second; return how many it took."""
    url = urlsplit(product.urls[0])
    connection = http.client.HTTPConnection(url.netloc, timeout=300)
    headers = {**product.headers, "Content-Type": "application/json"}
    began = time.monotonic()
    posted = 0
    for body in bodies:
        if per_s is not None:
            time.sleep(max(0.0, began + posted / per_s - time.monotonic()))
        if time.monotonic() >= until:
            break
        connection.request("POST", url.path + "/v1/batch/metrics/measures", body, headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 202:
            raise SystemExit(f"POST answered {answer.status}: {text[:300]!r}")
        posted += 1
    else:
        raise SystemExit(f"{BODIES} batches a client were too few for this machine: the run ended early")
    connection.close()
    return posted


def load(product: Product, database_url: str, *, seconds: float, clients: int, per_s: float | None) -> float:
    """Post singles for so long and print what was accepted and how far behind the rollups were; return batches a second."""
    metric_ids, _ = make_metrics(product, METRICS * clients)
    shares = [make_bodies(metric_ids[n::clients], per_metric=1, batches=BODIES) for n in range(clients)]
    watch = Watch()
    watcher = threading.Thread(target=watch.look_on, args=(database_url,))
    watcher.start()
    taken: list[int] = []
    until = time.monotonic() + seconds
    each = None if per_s is None else per_s / clients

    def post(share: Sequence[bytes]) -> None:
        taken.append(post_paced(product, share, until=until, per_s=each))

    threads = [threading.Thread(target=post, args=(share,)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended = time.monotonic()
    settle(product)
    behind = time.monotonic() - ended
    watch.is_over.set()
    watcher.join()
    rate = sum(taken) / seconds
    cuts = statistics.quantiles(watch.lags, n=100)
    print(
        f"{'as fast as it goes' if per_s is None else 'half of that':20} accepted {rate * METRICS:9,.0f} measures/s;"
        f" {len(watch.lags):6,} marks, behind p50 {cuts[49]:5.2f} s, p99 {cuts[98]:5.2f} s, at most {max(watch.lags):5.2f} s;"
        f" all rolled up {behind:5.2f} s after the last",
        flush=True,
    )
    return rate


def main() -> None:
    """Run at full and at half load, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--clients", type=int, default=3)
    options = parser.parse_args()
    home = ROOT / "var" / "race"
    home.mkdir(parents=True, exist_ok=True)
    tree = install(ROOT / "var", say=print)
    print(f"load {os.getloadavg()[0]:.1f}; {options.clients} clients, {options.seconds:.0f} s each")
    with tempfile.TemporaryDirectory(prefix="nephoscope-lag-") as short:
        folder = Path(short)
        with running_cluster(folder / "data", folder / "run", tree=tree) as cluster:
            url = cluster.url(role="postgres", database="postgres")
            with running_nephoscope(home, url, postmaster_of(folder)) as product:
                database_url = cluster.url(role="postgres", database=database_of(url))
                rate = load(product, database_url, seconds=options.seconds, clients=options.clients, per_s=None)
                load(product, database_url, seconds=options.seconds, clients=options.clients, per_s=rate / 2)


def database_of(url: str) -> str:
    """Return the name of the one benchmark database on a cluster."""
    with connect(url) as connection:
        row = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'bench%'").fetchone()
    assert row is not None
    return str(row[0])


if __name__ == "__main__":
    main()
