"""The supervisor with real child programs: what ends by itself starts again, what is stopped leaves nothing."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from hypothesis import given
from hypothesis import strategies as st

from entrypoints import up
from entrypoints.supervision import (
    BACKOFF_FIRST_S,
    BACKOFF_MAX_S,
    EmbeddedServer,
    Service,
    Supervisor,
    backoff_s,
    describe_code,
)
from provision import redis_server, timescaledb
from provision.installation import Installation

PATIENCE_S = 120.0


def a_service(code: str, *, stop_timeout_s: float = 10) -> Service:
    return Service("child", (sys.executable, "-c", code), stop_timeout_s)


def a_supervisor(folder: Path) -> tuple[Supervisor, list[str]]:
    said: list[str] = []
    return Supervisor(environment=os.environ, logs=folder, say=said.append), said


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@given(st.integers(1, 1_000))
def test_the_wait_grows_and_stays_bounded(failures: int):
    assert BACKOFF_FIRST_S <= backoff_s(failures) <= backoff_s(failures + 1) <= BACKOFF_MAX_S


def test_a_child_that_crashes_starts_again_after_its_wait(tmp_path: Path):
    supervisor, said = a_supervisor(tmp_path)
    supervisor.start(a_service("raise SystemExit(3)"), now=0)
    (child,) = supervisor.children
    assert child.popen is not None
    child.popen.wait(PATIENCE_S)
    supervisor.look_after(now=10)
    assert child.popen is None
    assert child.start_again_at == 10 + BACKOFF_FIRST_S
    assert "child ended (code 3)" in said[0]
    supervisor.look_after(now=10.5)
    assert child.popen is None
    supervisor.look_after(now=11)
    assert child.popen is not None
    supervisor.stop_all(is_hurried=lambda: False)


def test_a_child_that_ran_long_is_forgiven_its_past(tmp_path: Path):
    supervisor, _ = a_supervisor(tmp_path)
    supervisor.start(a_service("pass"), now=0)
    (child,) = supervisor.children
    child.failures = 8
    assert child.popen is not None
    child.popen.wait(PATIENCE_S)
    supervisor.look_after(now=3600)
    assert child.start_again_at == 3600 + BACKOFF_FIRST_S


def test_what_does_not_obey_is_killed_with_its_own_children(tmp_path: Path):
    supervisor, said = a_supervisor(tmp_path)
    code = (
        "import os, signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "grandchild = subprocess.Popen(['sleep', '600']);"
        f"open({str(tmp_path / 'pids')!r}, 'w').write(f'{{os.getpid()}} {{grandchild.pid}} ');"
        "time.sleep(600)"
    )
    supervisor.start(a_service(code, stop_timeout_s=0.2), now=0)
    pids = tmp_path / "pids"
    eventually(lambda: pids.exists() and pids.read_text().count(" ") == 2)
    supervisor.stop_all(is_hurried=lambda: False)
    eventually(lambda: not any(is_alive(int(pid)) for pid in pids.read_text().split()))
    assert said == ["child does not end by itself and is killed"]


def test_children_end_when_the_supervisor_is_killed(tmp_path: Path):
    pid_file = tmp_path / "pid"
    child = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    parent = (
        "import os, sys, time; from pathlib import Path; from entrypoints.supervision import Service, Supervisor;"
        f"s = Supervisor(environment=os.environ, logs=Path({str(tmp_path)!r}), say=print);"
        f"s.start(Service('c', (sys.executable, '-c', {child!r}), 5), now=0); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", parent]) as supervisor:
        eventually(lambda: pid_file.exists() and pid_file.read_text() != "")
        supervisor.kill()
        supervisor.wait(PATIENCE_S)
    eventually(lambda: not is_alive(int(pid_file.read_text())))


def test_an_exit_code_is_said_in_words():
    assert describe_code(2) == "code 2"
    assert describe_code(-9) == "killed by SIGKILL"


def test_a_log_that_grew_too_long_is_emptied(tmp_path: Path):
    supervisor, _ = a_supervisor(tmp_path)
    long_log = tmp_path / "api.log"
    with long_log.open("wb") as log:
        log.truncate(30_000_000)
    supervisor.bound_logs()
    assert long_log.stat().st_size == 0


@contextmanager
def watched(server: EmbeddedServer, stop: "Callable[[subprocess.Popen[bytes]], None]") -> Generator[EmbeddedServer]:
    try:
        yield server
    finally:
        if server.popen is not None:
            stop(server.popen)


def assert_comes_back(server: EmbeddedServer, folder: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(environment=os.environ, logs=folder, say=said.append, servers=[server])
    assert server.popen is not None
    first = server.popen
    os.kill(first.pid, signal.SIGKILL)
    first.wait(PATIENCE_S)

    def looked_after() -> bool:
        supervisor.look_after(now=time.monotonic())
        return any("answers again" in line for line in said)

    eventually(looked_after)
    assert said[0] == (
        f"{server.name} ended (killed by SIGKILL), starts again in {BACKOFF_FIRST_S:g} s; its log: {server.log}"
    )
    assert said[-1] == f"{server.name} answers again"
    assert server.popen.pid != first.pid
    assert server.answers(server.popen)


def test_a_database_that_was_killed_is_noticed_recovers_and_is_said_to_answer_again(tmp_path: Path):
    tree = timescaledb.install(Path("var"), say=print)
    cluster = timescaledb.Cluster(tree, tmp_path / "data", tmp_path / "run", tmp_path / "log", durable=False)
    with watched(up.start_database(cluster), timescaledb.stop) as server:
        assert_comes_back(server, tmp_path)


def test_a_broker_that_was_killed_is_noticed_and_started_again(tmp_path: Path):
    with watched(up.start_broker(tmp_path / "r", log_file=tmp_path / "log"), redis_server.stop) as server:
        assert_comes_back(server, tmp_path)


def test_a_server_that_cannot_start_is_tried_again_with_growing_waits(tmp_path: Path):
    def launch() -> "subprocess.Popen[bytes]":
        raise OSError("no space")

    said: list[str] = []
    server = EmbeddedServer("redis", launch=launch, answers=lambda _: True, log=tmp_path / "log")
    server.look_after(now=10, say=said.append)
    server.look_after(now=10.5, say=said.append)
    server.look_after(now=11, say=said.append)
    assert [line.partition(";")[0] for line in said] == [
        "redis cannot be started (no space), starts again in 1 s",
        "redis cannot be started (no space), starts again in 2 s",
    ]
    assert server.start_again_at == 13


def test_the_worker_and_the_scheduler_open_their_logs_without_banner_or_warning(tmp_path: Path):
    with redis_server.running_redis() as url:
        environment = {**os.environ, "NEPHO_REDIS_URL": url, "NEPHO_INSTALLATION": "quiet"}
        installation = Installation("quiet", Path("var").resolve())
        supervisor = Supervisor(environment, tmp_path, print)
        for name in ("scheduler", "worker"):
            supervisor.start(up.service(name, installation), now=0)
        client: Any = redis.Redis(unix_socket_path=url.removeprefix("redis+socket://"))
        eventually(lambda: len(client.client_list()) >= 4)
        client.close()
        supervisor.stop_all(is_hurried=lambda: False)
    for name in ("scheduler", "worker"):
        log = (tmp_path / f"{name}.log").read_text()
        assert not any(word in log for word in ("celery", "superuser", "SecurityWarning")), log
