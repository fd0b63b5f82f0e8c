"""How long the windows of many alarms take, clean and right after heavy writes: `python -m benchmarks.alarm_windows`.

Every alarm watches one instance's CPU over five minutes, as a threshold alarm does. "After heavy writes" is the worst moment: the last
minutes of every metric are stored, but no mark of them has been rolled up.
"""

import argparse
import os
import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np

from benchmarks.database import fresh_database
from benchmarks.ingest import roll_up_all
from foundation.database import Pool, open_pool, transaction
from foundation.ids import new_id
from metering.filters import equals
from metering.model import Window, WindowQuery
from metering.service import read_windows
from metering.store.measures import MeasureColumns, write_measures

START = datetime(2026, 3, 1, tzinfo=UTC)
START_US = int(START.timestamp()) * 1_000_000
MINUTE_US = 60_000_000
HISTORY_MINUTES = 60
WINDOW_MINUTES = 5
CPU_SHARE_NS = 3e10

MAKE_RESOURCES = """
    INSERT INTO resource (id, resource_type, original_resource_id, project_id, started_at, revision_start, attributes)
    SELECT id, 'instance', id::text, 'bench', %(at)s, %(at)s, '{"server_group": "g"}' FROM unnest(%(ids)s::uuid[]) id
"""
MAKE_METRICS = """
    INSERT INTO metric (id, resource_id, name, unit, meter_type, archive_policy_name)
    SELECT gen_random_uuid(), id, 'cpu', 'ns', 'cumulative', 'nephoscope' FROM unnest(%s::uuid[]) WITH ORDINALITY u (id, n)
    ORDER BY n RETURNING key
"""


def make_metrics(pool: Pool, ids: Sequence[UUID]) -> list[int]:
    """Make the instances and their CPU metrics; return the metrics' keys."""
    with transaction(pool) as tx:
        tx.execute(MAKE_RESOURCES, {"ids": list(ids), "at": START})
        return sorted(int(row[0]) for row in tx.execute(MAKE_METRICS, (list(ids),)).fetchall())


def write_minutes(pool: Pool, keys: Sequence[int], *, minutes: range) -> None:
    """Store one reading a minute of every metric, a transaction a minute, as polls do."""
    for minute in minutes:
        count = len(keys)
        columns = MeasureColumns(
            np.array(keys, dtype=np.int64),
            np.full(count, START_US + minute * MINUTE_US, dtype=np.int64),
            np.full(count, START_US - MINUTE_US, dtype=np.int64),
            np.full(count, minute * CPU_SHARE_NS),
            np.zeros(count, dtype=np.bool_),
        )
        with transaction(pool) as tx:
            write_measures(tx, columns)


def read(pool: Pool, ids: Sequence[UUID], *, stop_minute: int) -> tuple[float, Sequence[Window]]:
    """Read every alarm's window in one transaction; return how long it took and the windows."""
    stop = START + timedelta(minutes=stop_minute)
    queries = [
        WindowQuery(
            key=one,
            project_id="bench",
            metric="cpu",
            resource_type="instance",
            search=equals("id", str(one)),
            aggregation_method="rate:mean",
            granularity_s=60,
            start=stop - timedelta(minutes=WINDOW_MINUTES),
            stop=stop,
        )
        for one in ids
    ]
    began = time.perf_counter()
    with transaction(pool) as tx:
        windows = read_windows(tx, queries)
    return time.perf_counter() - began, windows


def measure(pool: Pool, ids: Sequence[UUID], *, stop_minute: int, runs: int) -> float:
    """Return the median of several readings, each checked."""
    times: list[float] = []
    for _ in range(runs):
        elapsed, windows = read(pool, ids, stop_minute=stop_minute)
        for window in windows:
            assert [value for _, value in window.points] == [CPU_SHARE_NS] * WINDOW_MINUTES, window
        times.append(elapsed)
    return statistics.median(times)


def main() -> None:
    """Print the medians, clean and dirty."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alarms", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with fresh_database() as url:
        pool = open_pool(url, size_max=2, application_name="bench")
        ids = sorted(new_id() for _ in range(options.alarms))
        keys = make_metrics(pool, ids)
        write_minutes(pool, keys, minutes=range(HISTORY_MINUTES))
        began = time.perf_counter()
        roll_up_all(pool)
        print(f"rolled up/s {len(keys) * HISTORY_MINUTES / (time.perf_counter() - began):9,.0f} (a poll an hour long)")
        clean = measure(pool, ids, stop_minute=HISTORY_MINUTES, runs=options.runs)
        write_minutes(pool, keys, minutes=range(HISTORY_MINUTES, HISTORY_MINUTES + WINDOW_MINUTES))
        dirty = measure(pool, ids, stop_minute=HISTORY_MINUTES + WINDOW_MINUTES, runs=options.runs)
        began = time.perf_counter()
        roll_up_all(pool)
        tail = len(keys) * WINDOW_MINUTES / (time.perf_counter() - began)
        pool.close()
    print(f"rolled up/s {tail:9,.0f} (the {WINDOW_MINUTES} last minutes)")
    print(f"{options.alarms:,} alarm windows: clean {clean:.2f} s, right after heavy writes {dirty:.2f} s")
    print(f"medians of {options.runs}, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
