"""Instruments: what many processes count is added up, whoever of them ends and however, and written as Prometheus reads it."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from bisect import bisect_left
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from foundation import instruments
from foundation.exposition import RETIRED, Counted, Family, families_of, read_all, write_exposition
from foundation.instruments import FILE_BYTES, SUFFIX, Instrument, Recorder, counter, gauge, histogram, read_values

THINGS = counter("nephoscope_test_things_total", "Things of a test.", "kind")
LEVEL = gauge("nephoscope_test_level", "A level of a test.")
WAIT = histogram("nephoscope_test_wait_seconds", "Waits of a test.", "kind")

CHILD = """
import os, signal, sys
from pathlib import Path
from foundation.instruments import counter, gauge, histogram, recorder
things = counter("nephoscope_test_things_total", "", "kind")
level = gauge("nephoscope_test_level", "")
recorder.keep_in(Path(sys.argv[1]), sys.argv[2])
for _ in range(int(sys.argv[3])):
    things.add(1, "a")
level.set(float(sys.argv[3]))
if sys.argv[4] == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[4] == "fork":
    if os.fork() == 0:
        things.add(5, "a")
        os._exit(0)
    os.wait()
print("ready", flush=True)
sys.stdin.readline()
"""


def a_child(folder: Path, role: str, count: int, then: str = "stay") -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", textwrap.dedent(CHILD), str(folder), role, str(count), then]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    child.stdout.readline()
    return child


def end(child: "subprocess.Popen[str]") -> None:
    child.communicate("\n", timeout=120)


def things(counted: Counted) -> float:
    return sum(numbers[0] for series, numbers in counted.values.items() if series == (THINGS.name, "a"))


def test_counts_of_several_processes_are_added_and_outlive_them(tmp_path: Path) -> None:
    first, second = a_child(tmp_path, "api", 3), a_child(tmp_path, "worker", 4)
    counted = read_all(tmp_path)
    assert things(counted) == 7
    assert sorted(process.role for process in counted.running) == ["api", "worker"]
    assert all(process.resident_bytes > 0 for process in counted.running)
    assert counted.values[(LEVEL.name,)] == [4.0]
    end(first)
    end(second)
    for _ in range(3):
        assert things(read_all(tmp_path)) == 7
    assert read_all(tmp_path).running == []
    assert list(tmp_path.glob(f"*{SUFFIX}")) == []
    third = a_child(tmp_path, "api", 5)
    assert things(read_all(tmp_path)) == 12
    assert read_all(tmp_path).values[(LEVEL.name,)] == [5.0]
    end(third)


def test_a_process_that_is_killed_loses_no_count(tmp_path: Path) -> None:
    child = a_child(tmp_path, "agent", 1000, "kill")
    end(child)
    assert child.returncode == -signal.SIGKILL
    assert things(read_all(tmp_path)) == 1000


def test_a_fork_counts_for_itself_and_its_parents_counts_are_not_counted_twice(tmp_path: Path) -> None:
    child = a_child(tmp_path, "worker", 10, "fork")
    assert things(read_all(tmp_path)) == 15
    end(child)
    assert things(read_all(tmp_path)) == 15


def test_a_kill_between_putting_counts_by_and_removing_their_file_counts_nothing_twice(tmp_path: Path) -> None:
    end(a_child(tmp_path, "api", 6))
    [path] = tmp_path.glob(f"*{SUFFIX}")
    content = path.read_bytes()
    assert things(read_all(tmp_path)) == 6
    path.write_bytes(content)
    assert things(read_all(tmp_path)) == 6
    assert not path.exists()
    assert json.loads((tmp_path / RETIRED).read_text())["taken"] == [path.name]


def test_a_damaged_file_of_the_retired_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / RETIRED).write_text('{"taken": [')
    end(a_child(tmp_path, "api", 6))
    assert things(read_all(tmp_path)) == 6
    assert (tmp_path / RETIRED).with_suffix(".damaged").exists()


def test_who_reads_need_not_know_what_is_counted(tmp_path: Path) -> None:
    recorder = Recorder()
    recorder.keep_in(tmp_path, "other")
    foreign = Instrument("nephoscope_foreign_seconds", "histogram", "Of another program.", ("way",), (1.0, 2.0))
    recorder.change(foreign, ("in",), {1: 1.0, 3: 1.5})
    family = next(one for one in families_of(read_all(tmp_path).values) if one.name == foreign.name)
    assert (family.kind, family.help) == ("histogram", "Of another program.")
    assert family.samples[0] == ("_bucket", {"way": "in", "le": "1.0"}, 0.0)
    assert family.samples[-1] == ("_count", {"way": "in"}, 1.0)


def test_a_counter_without_labels_is_there_before_anything_happened(tmp_path: Path) -> None:
    Recorder().keep_in(tmp_path, "api")
    assert read_all(tmp_path).values[(instruments.DROPPED.name,)] == [0.0]


def test_several_readers_at_once_count_nothing_twice(tmp_path: Path) -> None:
    for _ in range(3):
        end(a_child(tmp_path, "api", 2))
    found: list[float] = []
    readers = [threading.Thread(target=lambda: found.append(things(read_all(tmp_path)))) for _ in range(6)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert found == [6.0] * 6


def test_threads_of_a_process_count_exactly(tmp_path: Path) -> None:
    recorder = Recorder()
    recorder.keep_in(tmp_path, "api")

    def work() -> None:
        for _ in range(2_000):
            recorder.change(THINGS, ("t",), {0: 1})

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert recorder.values()[(THINGS.name, "t")] == [8_000.0]


def test_a_process_with_too_many_series_says_so_and_goes_on(tmp_path: Path) -> None:
    recorder = Recorder()
    recorder.keep_in(tmp_path, "api")
    for number in range(10_000):
        recorder.change(THINGS, (f"kind-{number}",), {0: 1})
    values = recorder.values()
    dropped = values[(instruments.DROPPED.name,)][0]
    assert dropped > 0
    assert dropped + sum(numbers[0] for series, numbers in values.items() if series[0] == THINGS.name) == 10_000
    [path] = tmp_path.glob(f"*{SUFFIX}")
    assert path.stat().st_size == FILE_BYTES


def test_where_no_file_can_be_made_counting_goes_on_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    recorder = Recorder()
    recorder.keep_in(tmp_path / "file" / "folder", "api")
    recorder.change(THINGS, ("a",), {0: 2})
    assert recorder.values()[(THINGS.name, "a")] == [2.0]


@given(st.binary(max_size=64))
def test_a_damaged_file_is_read_as_far_as_it_goes(content: bytes) -> None:
    assert read_values(content) == {}


@given(st.lists(st.floats(0, 60), min_size=1, max_size=30))
def test_a_histogram_is_cumulative_and_has_every_value_once(waits: list[float]) -> None:
    recorder = Recorder()
    for wait in waits:
        recorder.change(WAIT, ("w",), {bisect_left(WAIT.buckets, wait): 1.0, WAIT.width - 1: wait})
    family = next(one for one in families_of(recorder.values()) if one.name == WAIT.name)
    buckets = [(labels["le"], value) for suffix, labels, value in family.samples if suffix == "_bucket"]
    assert [value for _, value in buckets] == sorted(value for _, value in buckets)
    for bound, value in buckets:
        assert value == sum(wait <= float(bound) for wait in waits)
    assert [value for suffix, _, value in family.samples if suffix == "_count"] == [len(waits)]


@given(st.text(max_size=200))
def test_any_label_is_read_back_by_prometheus(text: str) -> None:
    family = Family("nephoscope_x_total", "counter", "x", [("", {"kind": text}, 1.5)])
    [read] = text_string_to_metric_families(write_exposition([family]))
    assert read.samples[0].value == 1.5
    assert read.samples[0].labels["kind"] == text[:128]


@pytest.mark.parametrize("name", sorted(instruments.INSTRUMENTS))
def test_names_follow_prometheus(name: str) -> None:
    instrument = instruments.INSTRUMENTS[name]
    assert name.startswith("nephoscope_")
    assert name.endswith("_total") == (instrument.kind == "counter")
    assert instrument.kind != "histogram" or name.endswith("_seconds")
    assert os.linesep not in instrument.help


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), 1e300])
def test_a_number_without_end_is_written_as_prometheus_reads_it(value: float) -> None:
    written = write_exposition([Family("some_gauge", "gauge", "help", [("", {}, value)])])
    [read] = text_string_to_metric_families(written)
    assert read.samples[0].value == value
