"""Processes that die at the worst moment: an ingest before its COMMIT and after it, a roller before its COMMIT."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import UUID

import pytest

from foundation.database import Pool, transaction
from foundation.ids import new_id
from metering.model import SHARD_COUNT
from metering.service import ingest_samples, roll_up_shard, shard_lease
from tests.conftest import PATIENCE_S
from tests.metering_builders import RECEIVED_AT, a_sample

ROOT = Path(__file__).parent.parent.parent

INGEST = """
import sys
from uuid import UUID
from foundation.database import open_pool, transaction
from metering.service import ingest_samples
from tests.metering_builders import RECEIVED_AT, a_sample

url, resource, moment = sys.argv[1:]
pool = open_pool(url, size_max=1, application_name="doomed")
samples = [a_sample(s, s, resource_id=UUID(resource)) for s in range(100)]
with transaction(pool) as tx:
    ingest_samples(tx, samples, received_at=RECEIVED_AT)
    if moment == "before":
        print("there", flush=True)
        sys.stdin.read()
print("there", flush=True)
sys.stdin.read()
"""

ROLL = """
import sys
from foundation.database import open_pool
from metering.service import roll_up_shard, shard_lease

url, shard = sys.argv[1], int(sys.argv[2])
pool = open_pool(url, size_max=1, application_name="doomed")
with shard_lease(pool, shard) as tx:
    assert roll_up_shard(tx, shard=shard).buckets > 0
    print("there", flush=True)
    sys.stdin.read()
"""


def kill_when_there(program: str, *arguments: str) -> None:
    """Run a program until it says that it is there, then kill it."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "there\n"
        child.send_signal(signal.SIGKILL)
        child.wait(PATIENCE_S)


def counts(pool: Pool, resource: UUID) -> tuple[int, int]:
    """Return how many samples and how many rolled-up samples a resource has."""
    with transaction(pool) as tx:
        row = tx.execute(
            """SELECT (SELECT count(*) FROM measure WHERE metric_key = c.key),
                (SELECT coalesce(sum(count), 0) FROM rollup WHERE metric_key = c.key AND granularity_us = 60000000)
            FROM metric c WHERE resource_id = %s""",
            (resource,),
        ).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def wait_for_lease(pool: Pool, shard: int) -> None:
    """Wait until the database has noticed that a roller is dead."""
    ends = time.monotonic() + PATIENCE_S
    is_free = False
    while not is_free:
        assert time.monotonic() < ends, "a dead roller keeps its shard"
        time.sleep(0.02)
        with shard_lease(pool, shard) as tx:
            is_free = tx is not None


def roll_up_everything(pool: Pool) -> None:
    for shard in range(SHARD_COUNT):
        with shard_lease(pool, shard) as tx:
            assert tx is not None, "a dead roller's lease is free"
            roll_up_shard(tx, shard=shard)


@pytest.mark.parametrize(("moment", "kept"), [("before", 0), ("after", 100)])
def test_an_ingest_that_is_killed_keeps_all_or_nothing_and_its_retry_counts_once(
    pool: Pool, database_url: str, moment: str, kept: int
) -> None:
    resource = new_id()
    kill_when_there(INGEST, database_url, str(resource), moment)
    assert counts(pool, resource)[0] == kept
    with transaction(pool) as tx:
        samples = [a_sample(s, s, resource_id=resource) for s in range(100)]
        assert ingest_samples(tx, samples, received_at=RECEIVED_AT).accepted == 100 - kept
    roll_up_everything(pool)
    assert counts(pool, resource) == (100, 100)


def test_a_roller_that_is_killed_gives_its_marks_and_its_shard_back(pool: Pool, database_url: str) -> None:
    resource = new_id()
    with transaction(pool) as tx:
        ingest_samples(tx, [a_sample(s, s, resource_id=resource) for s in range(100)], received_at=RECEIVED_AT)
        row = tx.execute("SELECT key FROM metric WHERE resource_id = %s", (resource,)).fetchone()
    assert row is not None
    kill_when_there(ROLL, database_url, str(row[0] % SHARD_COUNT))
    assert counts(pool, resource) == (100, 0)
    wait_for_lease(pool, row[0] % SHARD_COUNT)
    roll_up_everything(pool)
    assert counts(pool, resource) == (100, 100)
