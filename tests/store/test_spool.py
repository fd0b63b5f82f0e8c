"""The spool on a real disk: whole batches in order, whatever byte it was killed at, and never more than it may hold."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.spool import Spool, SpoolFull, decode_batch
from metering.model import Sample

AT = datetime(2026, 1, 1, tzinfo=UTC)
SAMPLE = Sample(
    UUID(int=1), "instance", "1", "p", None, "cpu", "cumulative", "ns", AT, 1.5, 99, attributes={"host": "測雲"}
)


def a_batch(number: int, size: int = 3) -> list[Sample]:
    return [replace(SAMPLE, value=float(n), observed_at=AT + timedelta(seconds=number)) for n in range(size)]


def drained(spool: Spool) -> list[list[Sample]]:
    found: list[list[Sample]] = []
    while (batch := spool.oldest()) is not None:
        found.append(batch.samples)
        spool.discard(batch)
    return found


def test_batches_come_back_in_order_and_unchanged(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for number in range(12):
        spool.append(a_batch(number))
    assert drained(Spool(tmp_path)) == [a_batch(number) for number in range(12)]
    assert len(Spool(tmp_path)) == 0


def test_what_was_not_discarded_comes_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(a_batch(1))
    assert spool.oldest() == spool.oldest()
    reopened = Spool(tmp_path)
    reopened.append(a_batch(2))
    assert drained(reopened) == [a_batch(1), a_batch(2)]


def test_a_full_spool_refuses_aloud_and_keeps_what_it_has(tmp_path: Path) -> None:
    spool = Spool(tmp_path, batches_max=2)
    spool.append(a_batch(1))
    spool.append(a_batch(2))
    with pytest.raises(SpoolFull, match="2 batches"):
        spool.append(a_batch(3))
    small = Spool(tmp_path / "small", bytes_max=100)
    with pytest.raises(SpoolFull):
        small.append(a_batch(1))
    assert drained(spool) == [a_batch(1), a_batch(2)]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_a_batch_cut_at_any_byte_is_never_taken_for_a_whole_one(tmp_path: Path, data: st.DataObject) -> None:
    folder = tmp_path / str(time.monotonic_ns())
    spool = Spool(folder)
    spool.append(a_batch(1))
    (path,) = folder.glob("*.batch")
    content = path.read_bytes()
    cut = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(ValueError):
        decode_batch(content[:cut])


def test_a_batch_that_was_never_acknowledged_is_dropped_and_a_damaged_one_is_put_aside(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(a_batch(1))
    spool.append(a_batch(2))
    first = sorted(tmp_path.glob("*.batch"))[0]
    first.write_bytes(first.read_bytes()[:-10])
    (tmp_path / "00000000000000000003.unfinished").write_bytes(b"nephoscope-spo")
    reopened = Spool(tmp_path)
    assert drained(reopened) == [a_batch(2)]
    assert [path.suffix for path in tmp_path.iterdir()] == [".damaged"]
    reopened.append(a_batch(3))
    assert drained(Spool(tmp_path)) == [a_batch(3)]


WRITER = """
import sys
from pathlib import Path
from collectors.spool import Spool
from tests.store.test_spool import a_batch
spool = Spool(Path(sys.argv[1]))
for number in range(100_000):
    spool.append(a_batch(number))
    print(number, flush=True)
"""


@pytest.mark.parametrize("delay_s", [0.0, 0.013, 0.04])
def test_every_acknowledged_batch_survives_a_kill(tmp_path: Path, delay_s: float) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    assert writer.stdout is not None
    acknowledged = int(writer.stdout.readline())
    time.sleep(delay_s)
    writer.send_signal(signal.SIGKILL)
    acknowledged = max([acknowledged, *(int(line) for line in writer.stdout if line.strip())])
    writer.wait()
    writer.stdout.close()
    found = drained(Spool(tmp_path))
    assert found[: acknowledged + 1] == [a_batch(number) for number in range(acknowledged + 1)]
    assert len(found) <= acknowledged + 2


def test_what_a_batch_is_comes_back_and_one_of_an_older_release_is_a_poll(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(a_batch(1), is_poll=False)
    spool.append(a_batch(2))
    files = sorted(tmp_path.glob("*.batch"))
    head, _, payload = files[1].read_bytes().partition(b"\n")
    former = b" ".join([b"nephoscope-spool-1", *head.split(b" ")[1:3]])
    files[1].write_bytes(former + b"\n" + payload)
    first = spool.oldest()
    assert first is not None
    spool.discard(first)
    second = spool.oldest()
    assert second is not None
    assert (first.is_poll, second.is_poll, second.samples) == (False, True, a_batch(2))
