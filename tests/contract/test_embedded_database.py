"""The embedded database as an operator meets it: after kills and power losses, on odd paths, beside others; each on real files."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from provision import timescaledb
from provision.failures import ProvisionError
from tests.conftest import ROOT

ANSWERING = """\
import sys; from pathlib import Path; from provision import timescaledb as t
tree, data, run, log = map(Path, sys.argv[1:])
server = t.start(t.Cluster(tree, data, run, log)); print(server.pid, flush=True); server.wait()
"""
"""A supervisor that starts the server and then only waits."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> timescaledb.Cluster:
    """The files of a real, durable cluster, on a path with a space and an equals sign."""
    folder = tmp_path_factory.mktemp("a=b c")
    tree = timescaledb.install(ROOT / "var", say=print)
    cluster = timescaledb.Cluster(tree, folder / "data", folder / "run", folder / "log")
    timescaledb.create(cluster)
    return cluster


@contextmanager
def started(cluster: timescaledb.Cluster) -> Generator["subprocess.Popen[bytes]"]:
    server = timescaledb.start(cluster)
    try:
        yield server
    finally:
        timescaledb.stop(server)


def ask(cluster: timescaledb.Cluster, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(cluster.url(role="postgres", database="postgres"), autocommit=True) as connection:
        return connection.execute(query.encode()).fetchall()


def test_what_it_acknowledges_is_on_the_disk_and_nobody_else_reaches_it(cluster: timescaledb.Cluster) -> None:
    with started(cluster):
        names = "'fsync', 'synchronous_commit', 'full_page_writes', 'data_checksums'"
        settings = ask(cluster, f"SELECT name, setting FROM pg_settings WHERE name IN ({names})")
        assert len(settings) == 4
        assert {setting for _, setting in settings} == {"on"}
        assert ask(cluster, "SHOW listen_addresses") == [("",)]
        for folder in (cluster.data_dir, cluster.runtime_dir):
            assert (folder.stat().st_mode & 0o777, folder.stat().st_uid) == (0o700, cluster.owner)


def test_a_server_that_still_ends_after_its_supervisor_was_killed_is_waited_for(cluster: timescaledb.Cluster) -> None:
    folders = (cluster.tree, cluster.data_dir, cluster.runtime_dir, cluster.log_file)
    command = [sys.executable, "-c", ANSWERING, *map(str, folders)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline())
        ((slow, *_),) = ask(cluster, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
        assert isinstance(slow, int)
        os.kill(slow, signal.SIGSTOP)
        supervisor.kill()
    with subprocess.Popen(["sh", "-c", f"sleep 1; kill -CONT {slow}"]), started(cluster) as server:
        assert ask(cluster, "SELECT 1") == [(1,)]
        assert server.pid != pid


def test_a_lock_file_with_the_id_of_another_process_of_its_user_stops_nobody(cluster: timescaledb.Cluster) -> None:
    waiting = cluster.program(cluster.owner, "/bin/sh", "-c", "echo; read line")
    with subprocess.Popen(waiting, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        noted = f"{other.pid}\n/data\n1700000000\n5432\n/run/postgresql\n\n 0 0\nready\n"
        for lock in (cluster.data_dir / "postmaster.pid", cluster.runtime_dir / f"{timescaledb.SOCKET_NAME}.lock"):
            lock.write_text(noted)
            os.chown(lock, cluster.owner, cluster.owner)
        with started(cluster):
            assert ask(cluster, "SELECT 1") == [(1,)]
        assert other.poll() is None
        other.kill()


def test_a_server_that_goes_on_working_on_the_files_is_named_and_left_alone(
    cluster: timescaledb.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with started(cluster) as server:
        monkeypatch.setattr(timescaledb, "STOP_TIMEOUT_S", 0.2)
        with pytest.raises(ProvisionError, match=rf"Another server works on .* \(process {server.pid}\)\. End"):
            timescaledb.start(cluster)
        assert ask(cluster, "SELECT 1") == [(1,)]
        monkeypatch.undo()


def test_a_cut_creation_is_not_taken_for_a_cluster(cluster: timescaledb.Cluster, tmp_path: Path) -> None:
    partial = tmp_path / "data.partial"
    partial.mkdir()
    (partial / "PG_VERSION").write_text("17\n")
    again = replace(cluster, data_dir=tmp_path / "data", log_file=tmp_path / "log", durable=False)
    with started(again):
        assert ask(again, "SELECT datname FROM pg_database WHERE datname = 'nepho'") == [("nepho",)]
    assert not partial.exists()


def test_what_stops_the_server_is_told_and_not_what_it_said_last(cluster: timescaledb.Cluster, tmp_path: Path) -> None:
    broken = replace(cluster, data_dir=tmp_path / "data", log_file=tmp_path / "log")
    (tmp_path / "data" / "global").mkdir(parents=True)
    (tmp_path / "data" / "PG_VERSION").write_text("16\n")
    (tmp_path / "data" / "postgresql.conf").touch()
    (tmp_path / "log").write_text("FATAL:  an old story\n")
    for path in (tmp_path / "data", *(tmp_path / "data").rglob("*")):
        os.chown(path, cluster.owner, cluster.owner)
    (tmp_path / "data").chmod(0o700)
    with pytest.raises(ProvisionError, match="FATAL:  database files are incompatible with server"):
        timescaledb.start(broken)


RECOVERING = """\
printf '%s\\n/data\\n1\\n5432\\n/run\\n\\n0 0\\nstarting\\n' $$ >begun && mv begun postmaster.pid
read said
printf '%s\\n/data\\n1\\n5432\\n/run\\n\\n0 0\\nready\\n' $$ >begun && mv begun postmaster.pid
exec sleep 600
"""


@pytest.mark.parametrize("patience_s", [120.0, 0.5])
def test_a_server_that_replays_its_log_has_longer_than_one_that_says_nothing(
    cluster: timescaledb.Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patience_s: float
) -> None:
    monkeypatch.setattr(timescaledb, "START_TIMEOUT_S", 0.3)
    monkeypatch.setattr(timescaledb, "RECOVERY_TIMEOUT_S", patience_s)
    slow = replace(cluster, data_dir=tmp_path, log_file=tmp_path / "log")
    slow.log_file.touch()
    with subprocess.Popen(["sh", "-c", RECOVERING], cwd=tmp_path, stdin=subprocess.PIPE) as server:
        assert server.stdin is not None
        while not (tmp_path / "postmaster.pid").exists():
            time.sleep(0.01)
        if patience_s > 1:
            is_over = threading.Timer(1, server.stdin.close)
            is_over.start()
            timescaledb.wait_ready(slow, server)
            is_over.join()
            timescaledb.stop(server)
        else:
            began = time.monotonic()
            with pytest.raises(ProvisionError, match="it wrote nothing"):
                timescaledb.wait_ready(slow, server)
            assert time.monotonic() - began >= patience_s


def test_what_killed_test_runs_left_goes_with_the_next_one(tmp_path: Path) -> None:
    (tmp_path / "timescaledb").symlink_to(ROOT / "var" / "timescaledb")
    with subprocess.Popen(["true"]) as ended:
        pass
    left, other, beside = (tmp_path / "test" / f"postgresql-{name}" for name in (ended.pid, os.getppid(), "mine"))
    for folder in (left, other, beside):
        (folder / "data").mkdir(parents=True)
    with timescaledb.running_test_cluster(tmp_path) as url, psycopg.connect(url):
        assert not left.exists()
    assert sorted((tmp_path / "test").iterdir()) == sorted([other, beside])
