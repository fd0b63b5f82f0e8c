"""How fast events are taken in over HTTP: accepted, kept once, counted by a meter and visible when answered.

`python -m benchmarks.events` starts the API's own process on a database of its own, posts batches from several clients and checks
that just what was sent is stored, counted and answered by the usage of the meter. `--repeated` is the share of events sent again.
"""

import argparse
import http.client
import os
import random
import statistics
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson

from benchmarks.database import fresh_database
from benchmarks.ingest import Target, post_together, running_api, sign_in
from foundation.database import Pool, open_pool, transaction
from foundation.ids import new_hex_id
from identity.service import bootstrap

SUBJECTS = 200
START = datetime(2026, 1, 1, tzinfo=UTC)
SPAN_S = 28 * 86_400
PUBLISHED_BY_LAGO_PER_S = 10_000
REPEATED_AFTER = 10
"""A sender repeats what it sent a while ago; what is under way in another request would have to be waited for."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run gave."""

    events_per_s: float
    api_us: float
    database_us: float
    generator_us: float


@dataclass(frozen=True, slots=True)
class Load:
    """The bodies to post, and what must be stored when all are answered."""

    bodies: list[bytes]
    sent: int
    accepted: int
    tokens: int


def make_load(event_type: str, *, batches: int, batch: int, repeated: float) -> Load:
    """Make batches of events with ids of their own, but for a share that were sent REPEATED_AFTER batches before."""
    chance = random.Random(1)
    bodies: list[bytes] = []
    batches_sent: list[list[dict[str, object]]] = []
    sent = accepted = tokens = 0
    for number in range(batches):
        former = batches_sent[number - REPEATED_AFTER] if number >= REPEATED_AFTER else []
        own: list[dict[str, object]] = []
        events: list[dict[str, object]] = []
        for _ in range(batch):
            if former and chance.random() < repeated:
                events.append(chance.choice(former))
                continue
            value = chance.randrange(1, 2_000)
            at = START + timedelta(microseconds=chance.randrange(SPAN_S * 1_000_000))
            event: dict[str, object] = {
                "specversion": "1.0",
                "id": new_hex_id(),
                "source": f"/gateway/{chance.randrange(8)}",
                "type": event_type,
                "subject": f"customer-{chance.randrange(SUBJECTS)}",
                "time": at.isoformat().replace("+00:00", "Z"),
                "data": {"tokens": value, "model": chance.choice(("small", "large")), "route": "/v1/answer"},
            }
            own.append(event)
            events.append(event)
            accepted += 1
            tokens += value
        batches_sent.append(own)
        sent += batch
        bodies.append(orjson.dumps(events))
    return Load(bodies, sent, accepted, tokens)


def post_all(target: Target, bodies: Sequence[bytes]) -> None:
    """Post batches one after another over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=60)
    headers = {"X-Auth-Token": target.token, "Content-Type": "application/cloudevents-batch+json"}
    for body in bodies:
        connection.request("POST", "/v1/events", body, headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200 or b'"rejected":0' not in text:
            raise SystemExit(f"POST answered {answer.status}: {text[:300]!r}")
    connection.close()


def call(target: Target, path: str, body: object = None) -> dict[str, object]:
    """Call the native API."""
    content = None if body is None else orjson.dumps(body)
    headers = {"X-Auth-Token": target.token, "Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{target.port}/v1/{path}", content, headers)
    with urllib.request.urlopen(request) as answer:
        return orjson.loads(answer.read())


def run(pool: Pool, target: Target, *, batches: int, batch: int, clients: int, repeated: float) -> Figures:
    """Post one load with several clients, and check what is stored and counted."""
    name = f"tokens-{new_hex_id()}"
    definition = {"name": name, "event_type": name, "aggregation": "sum", "value": "$.tokens", "unit": "token"}
    call(target, "meters", definition)
    load = make_load(name, batches=batches, batch=batch, repeated=repeated)
    cost = post_together(pool, target, post=post_all, bodies=load.bodies, clients=clients, sent=load.sent)
    check(pool, target, name=name, load=load)
    return Figures(load.sent / cost.elapsed_s, cost.api_us, cost.database_us, cost.generator_us)


COUNT_KEPT = """
    SELECT (SELECT count(*) FROM event WHERE type = %(name)s),
        (SELECT count(*) FROM measure m JOIN metric c ON c.key = m.metric_key WHERE c.name = %(name)s),
        (SELECT sum(value) FROM measure m JOIN metric c ON c.key = m.metric_key WHERE c.name = %(name)s)
"""


def check(pool: Pool, target: Target, *, name: str, load: Load) -> None:
    """Fail where the store or the API does not hold just what was sent."""
    with transaction(pool) as tx:
        row = tx.execute(COUNT_KEPT, {"name": name}).fetchone()
    if row is None or tuple(map(int, row)) != (load.accepted, load.accepted, load.tokens):
        raise SystemExit(f"{load.accepted} events of {load.tokens} tokens were sent, but stored are {row}")
    usage = call(target, f"meters/{name}/usage?start=2026-01-01T00:00:00Z&end=2026-02-01T00:00:00Z&limit=1000")
    items: list[dict[str, str]] = usage["items"]  # pyright: ignore[reportAssignmentType]
    if sum(int(item["quantity"]) for item in items) != load.tokens:
        raise SystemExit("the usage of the meter is not what was sent")


def main() -> None:
    """Run the load several times and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--events", type=int, default=60_000, help="events of a run")
    parser.add_argument("--batch", type=int, default=1_000)
    parser.add_argument("--clients", type=int, default=3)
    options = parser.parse_args()
    print(
        f"load {os.getloadavg()[0]:.1f}; one API process, {options.clients} clients, batches of {options.batch}, medians of {options.runs}"
    )
    shares = (0.0, 0.01, 0.5)
    results: dict[float, list[Figures]] = {share: [] for share in shares}
    with fresh_database() as url, running_api(url) as (port, pid):
        pool = open_pool(url, size_max=2, application_name="bench")
        with transaction(pool) as tx:
            admin = bootstrap(tx, datetime.now(UTC)).admin
        assert admin is not None
        target = Target(port, pid, *sign_in(port, admin.password))
        for _ in range(options.runs):
            for share in shares:
                batches = max(1, options.events // options.batch)
                figures = run(
                    pool, target, batches=batches, batch=options.batch, clients=options.clients, repeated=share
                )
                results[share].append(figures)
        pool.close()
    for share, runs in results.items():
        middle = Figures(*(statistics.median(getattr(one, name) for one in runs) for name in Figures.__slots__))
        print(
            f"{share:4.0%} repeated  events/s {middle.events_per_s:8,.0f} ({middle.events_per_s / PUBLISHED_BY_LAGO_PER_S:.1f} x"
            f" Lago's published {PUBLISHED_BY_LAGO_PER_S:,})  CPU us an event: API {middle.api_us:5.1f},"
            f" database {middle.database_us:5.1f}, generator {middle.generator_us:4.1f}"
        )
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
