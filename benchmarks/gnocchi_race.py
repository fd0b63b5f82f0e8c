"""Nephoscope and the real Gnocchi side by side, HTTP to HTTP: `python -m benchmarks.gnocchi_race`.

Both get the same requests of the same dialect, as many API processes, two workers, authentication, one durable PostgreSQL cluster
(synchronous_commit is on), the archive policy `low`, and one in a hundred measures is a repeat. Runs are interleaved, each on services
started anew; clients keep their connections, as gnocchiclient and openstacksdk do and both servers allow (of reads, the other way is
measured too); answers are checked against what was sent; medians are printed, and the generator's own CPU. Gnocchi is let in by its
basic mode, which asks nobody; Nephoscope by a Keystone token that it looks up in its database.
"""

import argparse
import http.client
import os
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import orjson

from benchmarks.database import ROOT
from benchmarks.products import Product, running_gnocchi, running_nephoscope
from provision.timescaledb import install, running_cluster

METRICS = 1_000
STEP_S = 60
GRANULARITY_S = 300
REPEAT_EVERY = 100
START = datetime(2026, 3, 1, tzinfo=UTC)
QUERIED = 100
QUERIES = 60
WARM_UP = 30
SETTLE_S_MAX = 600.0
SHAPES = {"1,000 singles": 1, "10,000 (10 a metric)": 10}
PRODUCTS: Mapping[str, Callable[[Path, str, int], AbstractContextManager[Product]]] = {
    "nephoscope": running_nephoscope,
    "gnocchi": running_gnocchi,
}


@dataclass(frozen=True, slots=True)
class Kept:
    """The connections that stay open between requests, by address, as every session of the dialect's clients keeps them."""

    by_address: dict[str, http.client.HTTPConnection] = field(default_factory=dict[str, http.client.HTTPConnection])

    def to(self, address: str) -> http.client.HTTPConnection:
        """Return the connection to an address."""
        if address not in self.by_address:
            self.by_address[address] = http.client.HTTPConnection(address, timeout=300)
        return self.by_address[address]

    def close(self) -> None:
        """Close them all."""
        for connection in self.by_address.values():
            connection.close()


def call(product: Product, request: str, *, body: Any = None, number: int = 0, kept: Kept | None = None) -> Any:
    """Send one request ("GET /v1/...") on a kept connection or on one of its own, and return the answer's document."""
    method, path = request.split(" ", 1)
    url = urlsplit(product.urls[number % len(product.urls)])
    connection = http.client.HTTPConnection(url.netloc, timeout=300) if kept is None else kept.to(url.netloc)
    headers = {**product.headers, "Content-Type": "application/json"}
    connection.request(method, url.path + path, None if body is None else orjson.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    if kept is None:
        connection.close()
    if answer.status >= 300:
        raise SystemExit(f"{product.name}: {method} {path} answered {answer.status}: {text[:300]!r}")
    return orjson.loads(text) if text else None


def make_metrics(product: Product, count: int) -> tuple[list[str], float]:
    """Make metrics by one batch with a measure each; return their ids in order of their names, and how many a second."""
    resource_id = str(uuid4())
    call(product, "POST /v1/resource/generic", body={"id": resource_id})
    at = (START - timedelta(days=1)).isoformat()
    named = {
        f"m{n:06}": {"archive_policy_name": "low", "measures": [{"timestamp": at, "value": 0.0}]} for n in range(count)
    }
    began = time.perf_counter()
    call(product, "POST /v1/batch/resources/metrics/measures?create_metrics=true", body={resource_id: named})
    elapsed = time.perf_counter() - began
    made: dict[str, str] = call(product, f"GET /v1/resource/generic/{resource_id}")["metrics"]
    settle(product)
    return [made[name] for name in sorted(made)], count / elapsed


def make_bodies(metric_ids: Sequence[str], *, per_metric: int, batches: int, first: int = 0) -> list[bytes]:
    """Write the batches before the clock starts, from the first on; a repeat is the same measure of the batch before."""
    bodies: list[bytes] = []
    for batch in range(first, first + batches):
        document: dict[str, list[dict[str, Any]]] = {}
        for place, metric_id in enumerate(metric_ids):
            own = [measure(place, batch * per_metric + n) for n in range(per_metric)]
            if batch and place % REPEAT_EVERY == batch % REPEAT_EVERY:
                own += [measure(place, (batch - 1) * per_metric + n) for n in range(per_metric)]
            document[metric_id] = own
        bodies.append(orjson.dumps(document))
    return bodies


def measure(place: int, minute: int) -> dict[str, Any]:
    """Return the measure of a metric's minute."""
    return {"timestamp": (START + timedelta(seconds=STEP_S * minute)).isoformat(), "value": float(place + minute)}


def post_all(product: Product, bodies: Sequence[bytes], *, number: int = 0) -> None:
    """Post batches one after another over one connection."""
    url = urlsplit(product.urls[number % len(product.urls)])
    connection = http.client.HTTPConnection(url.netloc, timeout=300)
    headers = {**product.headers, "Content-Type": "application/json"}
    for body in bodies:
        connection.request("POST", url.path + "/v1/batch/metrics/measures", body, headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 202:
            raise SystemExit(f"{product.name}: POST answered {answer.status}: {text[:300]!r}")
    connection.close()


def settle(product: Product) -> None:
    """Wait until nothing waits to be aggregated."""
    deadline = time.monotonic() + SETTLE_S_MAX
    while time.monotonic() < deadline:
        told = call(product, "GET /v1/status?details=false")
        if told["storage"]["summary"]["measures"] == 0:
            return
        time.sleep(0.05)
    raise SystemExit(f"{product.name} has not aggregated everything in {SETTLE_S_MAX:.0f} s")


@dataclass(frozen=True, slots=True)
class Ingested:
    """What one ingest came to, a second; CPU in microseconds a measure."""

    accepted: float
    aggregated: float
    lag_s: float
    product_us: float
    generator_us: float


def ingest(product: Product, metric_ids: Sequence[str], *, per_metric: int, measures: int, clients: int) -> Ingested:
    """Post with several clients, each to metrics of its own in order of time, since Gnocchi loses what comes out of order.

    Then wait until all is aggregated, and check what is answered.
    """
    batches = max(2, measures // (len(metric_ids) * per_metric))
    own_ids = [metric_ids[n::clients] for n in range(clients)]
    threads = [
        threading.Thread(
            target=post_all,
            args=(product, make_bodies(ids, per_metric=per_metric, batches=batches)),
            kwargs={"number": number},
        )
        for number, ids in enumerate(own_ids)
    ]
    sent = len(metric_ids) * per_metric * batches
    used, own_before = product.cpu_s(), resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    accepted = time.perf_counter() - began
    own_after = resource.getrusage(resource.RUSAGE_SELF)
    settle(product)
    aggregated = time.perf_counter() - began
    used = product.cpu_s() - used
    own_s = own_after.ru_utime + own_after.ru_stime - own_before.ru_utime - own_before.ru_stime
    check(product, own_ids[0], minutes=per_metric * batches)
    scale = 1e6 / sent
    return Ingested(sent / accepted, sent / aggregated, aggregated - accepted, used * scale, own_s * scale)


def check(product: Product, metric_ids: Sequence[str], *, minutes: int) -> None:
    """Fail where the means that are answered are not those of what was sent."""
    for place in (0, len(metric_ids) // 2, len(metric_ids) - 1):
        path = f"/v1/metric/{metric_ids[place]}/measures?aggregation=mean&granularity={GRANULARITY_S}&start={START:%Y-%m-%d}"
        answered = {at: value for at, _, value in call(product, f"GET {path}")}
        width = GRANULARITY_S // STEP_S
        for first in range(0, minutes, width):
            within = range(first, min(first + width, minutes))
            at = (START + timedelta(seconds=STEP_S * first)).isoformat()
            expected = place + sum(within) / len(within)
            if abs(answered.get(at, -1.0) - expected) > 1e-6:
                raise SystemExit(f"{product.name} answers {answered.get(at)} at {at}, but the mean is {expected}")


def median_ms(product: Product, request: str, *, body: Any = None, kept: Kept | None = None) -> float:
    """Return the median time of an answer, in milliseconds, once every process has answered a few."""
    times: list[float] = []
    for number in range(-WARM_UP, QUERIES):
        began = time.perf_counter()
        call(product, request, body=body, number=number, kept=kept)
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times[WARM_UP:])


def query(product: Product) -> dict[str, float]:
    """Load a day of a hundred metrics, and time the answers of one and of the mean over all."""
    metric_ids, _ = make_metrics(product, QUERIED)
    day = 86_400 // STEP_S
    post_all(product, make_bodies(metric_ids, per_metric=day // 12, batches=12))
    settle(product)
    span = f"start={START:%Y-%m-%d}&stop={START + timedelta(days=1):%Y-%m-%d}&granularity={GRANULARITY_S}"
    mean = {"operations": ["aggregate", "mean", ["metric", *([metric_id, "mean"] for metric_id in metric_ids)]]}
    answered = call(product, f"POST /v1/aggregates?{span}", body=mean)["measures"]["aggregated"]
    if len(answered) != 86_400 // GRANULARITY_S or answered[0][2] != statistics.mean(range(QUERIED)) + 2:
        raise SystemExit(f"{product.name}: the mean over {QUERIED} metrics is wrong: {answered[:2]}")
    one = f"GET /v1/metric/{metric_ids[0]}/measures?{span}"
    with closing(Kept()) as kept:
        return {
            "a day of one metric, ms": median_ms(product, one, kept=kept),
            "the same, a connection each, ms": median_ms(product, one),
            f"mean over {QUERIED} metrics, ms": median_ms(product, f"POST /v1/aggregates?{span}", body=mean, kept=kept),
            "the same of them, a connection each, ms": median_ms(product, f"POST /v1/aggregates?{span}", body=mean),
        }


def race(product: Product, *, measures: int, clients: int, only_reads: bool) -> dict[str, float]:
    """Run every case once on a product."""
    figures: dict[str, float] = {}
    for name, per_metric in () if only_reads else SHAPES.items():
        metric_ids, made = make_metrics(product, METRICS * clients)
        figures["metrics made/s"] = made
        own = ingest(product, metric_ids, per_metric=per_metric, measures=measures * per_metric, clients=clients)
        figures |= {
            f"{name}: accepted/s": own.accepted,
            f"{name}: aggregated/s": own.aggregated,
            f"{name}: lag after the last POST, s": own.lag_s,
            f"{name}: CPU us a measure": own.product_us,
            f"{name}: generator's CPU us": own.generator_us,
        }
    return figures | query(product)


def main() -> None:
    """Run both products in turn and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--measures", type=int, default=60_000, help="measures of a run of singles; ten times in large batches"
    )
    parser.add_argument("--clients", type=int, default=3)
    parser.add_argument("--only", choices=sorted(PRODUCTS))
    parser.add_argument("--reads", action="store_true", help="measure the reads alone")
    options = parser.parse_args()
    names = [options.only] if options.only else list(PRODUCTS)
    results: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    home = ROOT / "var" / "race"
    home.mkdir(parents=True, exist_ok=True)
    tree = install(ROOT / "var", say=print)
    print(f"load {os.getloadavg()[0]:.1f}; {options.clients} clients, medians of {options.runs}", flush=True)
    for _ in range(options.runs):
        for name in names:
            with tempfile.TemporaryDirectory(prefix="nephoscope-race-") as short:
                folder = Path(short)
                with running_cluster(folder / "data", folder / "run", tree=tree) as cluster:
                    url = cluster.url(role="postgres", database="postgres")
                    with PRODUCTS[name](home, url, postmaster_of(folder)) as product:
                        results[name].append(
                            race(product, measures=options.measures, clients=options.clients, only_reads=options.reads)
                        )
    show(results)


def postmaster_of(folder: Path) -> int:
    """Return the pid of a cluster's first process."""
    return int((folder / "data" / "postmaster.pid").read_text().split()[0])


def show(results: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    """Print each figure's medians beside one another, and how many times ours is Gnocchi's."""
    names = list(results)
    print(f"{'':44}" + "".join(f"{name:>14}" for name in names) + f"{'ratio':>9}")
    for figure in results[names[0]][0]:
        values = [statistics.median(run[figure] for run in results[name]) for name in names]
        ratio = f"{values[0] / values[-1]:9.2f}" if len(values) > 1 and values[-1] else ""
        print(f"{figure:44}" + "".join(f"{value:14,.1f}" for value in values) + ratio)


if __name__ == "__main__":
    main()
