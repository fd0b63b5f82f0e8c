"""How costs grow: with the number of metrics stored, and memory with the number of measures taken in: `python -m benchmarks.growth`.

The first part stores ten thousand metrics and then a million, and each time posts the same batches to a thousand of them, chosen all
over, and asks for the measures of one. The second posts ten million measures over HTTP to a whole stack (API processes, workers,
scheduler, Redis) and compares the memory of each process before and after.
"""

import argparse
import os
import tempfile
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from benchmarks.database import ROOT, fresh_database
from benchmarks.gnocchi_race import START, make_bodies, make_metrics, median_ms, post_all, settle
from benchmarks.ingest import Target, backends, cpu_s, roll_up_all, running_api, sign_in
from benchmarks.memory import descendants
from benchmarks.products import Product, running_nephoscope
from foundation.database import Pool, open_pool, transaction
from identity.service import bootstrap
from provision.timescaledb import install, running_cluster

STORED = (10_000, 1_000_000)
CHOSEN = 1_000
BATCHES = 40
BODIES_AT_ONCE = 20

STORE_METRICS = """
    WITH made AS (
        INSERT INTO metric (id, archive_policy_name, created_by_user_id, created_by_project_id)
        SELECT gen_random_uuid(), 'low', %(user_id)s, %(project_id)s FROM generate_series(1, %(count)s)
        RETURNING key
    )
    INSERT INTO rollup (metric_key, granularity_us, bucket, count, sum, min, max, first, last, deviation_sq, increase_count)
    SELECT key, 300000000, %(at)s, 1, 1, 1, 1, 1, 1, 0, 0 FROM made
"""
CHOOSE_METRICS = (
    "SELECT id FROM (SELECT id, row_number() OVER (ORDER BY key) AS n FROM metric) m WHERE n %% %s = 0 LIMIT %s"
)


def store_metrics(pool: Pool, target: Target, *, count: int) -> list[UUID]:
    """Store so many more metrics with a bucket each, and choose some all over those that there are."""
    with transaction(pool) as tx:
        owner = {"user_id": target.user_id, "project_id": target.project_id}
        tx.execute(STORE_METRICS, {**owner, "count": count, "at": START - timedelta(days=1)})
        tx.execute("ANALYZE metric, rollup")
        total = tx.execute("SELECT count(*) FROM metric").fetchone()
        assert total is not None
        rows = tx.execute(CHOOSE_METRICS, (total[0] // CHOSEN, CHOSEN)).fetchall()
    return [row[0] for row in rows]


def show_growth_by_metrics() -> None:
    """Print what ingest and a query cost among few and among many metrics."""
    with fresh_database() as url, running_api(url) as (port, pid):
        pool = open_pool(url, size_max=2, application_name="bench")
        with transaction(pool) as tx:
            admin = bootstrap(tx, datetime.now(UTC)).admin
        assert admin is not None
        target = Target(port, pid, *sign_in(port, admin.password))
        product = Product("Nephoscope", [f"http://127.0.0.1:{port}/metric"], {"X-Auth-Token": target.token}, [pid])
        there = 0
        for stored in STORED:
            chosen = [str(one) for one in store_metrics(pool, target, count=stored - there)]
            there = stored
            bodies = make_bodies(chosen, per_metric=1, batches=BATCHES)
            post_all(product, bodies[:2])
            api, database = cpu_s([pid]), cpu_s(backends(pool))
            post_all(product, bodies[2:])
            scale = 1e6 / (len(chosen) * (BATCHES - 2))
            api, database = (cpu_s([pid]) - api) * scale, (cpu_s(backends(pool)) - database) * scale
            roll_up_all(pool)
            answer = median_ms(product, f"GET /v1/metric/{chosen[0]}/measures?start={START:%Y-%m-%d}&granularity=300")
            print(
                f"{stored:9,} metrics stored: CPU us a measure: API {api:5.1f}, database {database:5.1f};"
                f" one metric's measures {answer:5.1f} ms",
                flush=True,
            )
        pool.close()


def private_mib(pid: int) -> float:
    """Return the memory that is a process's own, without what it shares (the database's buffers)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean", "Private_Dirty"))) / 1024


def name_of(pid: int) -> str:
    """Return the beginning of a process's command line."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return words[-60:].strip()


def show_memory(measures: int, *, clients: int) -> None:
    """Post many measures and print what each process has grown by."""
    home = ROOT / "var" / "race"
    home.mkdir(parents=True, exist_ok=True)
    tree = install(ROOT / "var", say=print)
    with tempfile.TemporaryDirectory(prefix="nephoscope-race-") as short:
        folder = Path(short)
        with running_cluster(folder / "data", folder / "run", tree=tree) as cluster:
            postmaster = int((folder / "data" / "postmaster.pid").read_text().split()[0])
            url = cluster.url(role="postgres", database="postgres")
            with running_nephoscope(home, url, postmaster) as product:
                metric_ids, _ = make_metrics(product, CHOSEN * clients)
                post_share(product, metric_ids, clients=clients, first=0)
                settle(product)
                before = {pid: private_mib(pid) for root in product.roots for pid in descendants(root)}
                rounds = max(1, measures // (len(metric_ids) * 10 * BODIES_AT_ONCE))
                for number in range(1, rounds + 1):
                    post_share(product, metric_ids, clients=clients, first=number * BODIES_AT_ONCE)
                settle(product)
                sent = rounds * len(metric_ids) * 10 * BODIES_AT_ONCE
                print(f"{sent:,} measures; private memory of each process, MiB")
                for pid, former in before.items():
                    if Path(f"/proc/{pid}").exists():
                        now = private_mib(pid)
                        print(f"  {former:7.1f} -> {now:7.1f}  ({now - former:+7.1f})  {name_of(pid)}")


def post_share(product: Product, metric_ids: Sequence[str], *, clients: int, first: int) -> None:
    """Post one round of batches, each client to its own metrics; bodies are made a round at a time, so that they fit."""
    threads: list[threading.Thread] = []
    for number in range(clients):
        own = metric_ids[number::clients]
        bodies = make_bodies(own, per_metric=10, batches=BODIES_AT_ONCE, first=first)
        threads.append(threading.Thread(target=post_all, args=(product, bodies), kwargs={"number": number}))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    """Print both parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measures", type=int, default=10_000_000)
    parser.add_argument("--clients", type=int, default=3)
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}")
    show_growth_by_metrics()
    show_memory(options.measures, clients=options.clients)


if __name__ == "__main__":
    main()
