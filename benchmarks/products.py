"""The two metering services that a race compares, each started as it is deployed: Nephoscope, and Gnocchi from the package index."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from psycopg import connect

from benchmarks.database import ROOT, migrated
from benchmarks.ingest import TICKS_PER_S, sign_in
from benchmarks.memory import descendants
from foundation.database import open_pool, transaction
from foundation.ids import new_hex_id
from identity.service import bootstrap
from provision import redis_server

GNOCCHI = "gnocchi[postgresql,redis,file]==4.7.1"
API_PROCESSES = 3
"""What gnocchi-api starts by itself on two cores, with two threads each; Nephoscope gets as many."""
WORKERS = 2
START_S_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Product:
    """A running service: where its metric API answers, how a request is let in, and the processes whose CPU is its own."""

    name: str
    urls: Sequence[str]
    headers: Mapping[str, str]
    roots: Sequence[int]

    def cpu_s(self) -> float:
        """Return the CPU that its processes have used, those that have ended included."""
        return sum(tree_cpu_s(root) for root in self.roots)


def tree_cpu_s(root: int) -> float:
    """Return the CPU of a process, of its living descendants, and of those of them that ended and were waited for."""
    total = 0
    for pid in descendants(root):
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(map(int, fields[11:15]))
    return total / TICKS_PER_S


@contextmanager
def started(*command: str, environment: Mapping[str, str], log: Path) -> Generator[int]:
    """Run a program while the block does; yield its pid."""
    with log.open("ab") as output:
        program = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **environment}, stdout=output, stderr=output, process_group=0
        )
    try:
        yield program.pid
    finally:
        program.terminate()
        try:
            program.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(program.pid, 9)
            program.wait()


def free_port() -> int:
    """Return a port of loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, headers: Mapping[str, str], log: Path) -> None:
    """Wait until a URL answers."""
    deadline = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=dict(headers)), timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise SystemExit(f"{url} does not answer; {log} says why")


@contextmanager
def running_nephoscope(home: Path, database_url: str, postmaster: int) -> Generator[Product]:
    """Run our API processes, a worker of two processes, the scheduler and a Redis, on a database of their own."""
    log = home / "nephoscope.log"
    with ExitStack() as stack:
        url = stack.enter_context(migrated(database_url))
        pool = open_pool(url, size_max=1, application_name="bench")
        with transaction(pool) as tx:
            admin = bootstrap(tx, datetime.now(UTC)).admin
        pool.close()
        assert admin is not None
        redis = redis_server.start(home / "redis-ours", log_file=log)
        stack.callback(redis_server.stop, redis)
        common = {
            "NEPHO_DATABASE_URL": url,
            "NEPHO_REDIS_URL": redis_server.url(home / "redis-ours"),
            "NEPHO_VAR": str(home),
            "PYTHONPATH": str(ROOT),
        }
        celery = (sys.executable, "-m", "celery", "-A", "entrypoints.jobs:app", "--quiet", "worker")
        flags = ("-c", str(WORKERS), "--without-gossip", "--without-mingle", "-O", "fair", "--loglevel", "WARNING")
        pids = [redis.pid, postmaster]
        pids.append(stack.enter_context(started(*celery, *flags, environment=common, log=log)))
        scheduler = (sys.executable, "-m", "entrypoints.schedule")
        pids.append(stack.enter_context(started(*scheduler, environment=common, log=log)))
        ports = [free_port() for _ in range(API_PROCESSES)]
        for port in ports:
            here = common | {"NEPHO_LISTEN": f"127.0.0.1:{port}"}
            pids.append(
                stack.enter_context(started(sys.executable, "-m", "entrypoints.http", environment=here, log=log))
            )
            wait_for(f"http://127.0.0.1:{port}/readyz", {}, log)
        token, _, _ = sign_in(ports[0], admin.password)
        urls = [f"http://127.0.0.1:{port}/metric" for port in ports]
        yield Product("Nephoscope", urls, {"X-Auth-Token": token}, pids)


GNOCCHI_SETTINGS = """
[DEFAULT]
coordination_url = {redis}
[api]
auth_mode = basic
host = 127.0.0.1
port = {port}
[indexer]
url = {database}
[storage]
driver = file
file_basepath = {files}
[incoming]
driver = redis
redis_url = {redis}
[metricd]
workers = {workers}
"""


def install_gnocchi(home: Path) -> Path:
    """Install Gnocchi and its server into an environment of its own, once; return its folder of programs."""
    programs = home / "gnocchi" / "bin"
    if not (programs / "gnocchi-api").exists():
        uv = str(ROOT / "var/provision/bin/uv")
        subprocess.run([uv, "venv", "-q", "--python", "/usr/bin/python3.11", str(home / "gnocchi")], check=True)
        into = {**os.environ, "VIRTUAL_ENV": str(home / "gnocchi")}
        subprocess.run([uv, "pip", "install", "-q", GNOCCHI, "uwsgi"], check=True, env=into)
    return programs


@contextmanager
def running_gnocchi(home: Path, database_url: str, postmaster: int) -> Generator[Product]:
    """Run Gnocchi as its manual says for one machine: uwsgi, metricd, files for series, Redis for what comes in, PostgreSQL."""
    programs = install_gnocchi(home)
    log = home / "gnocchi.log"
    run = home / f"run-{new_hex_id()}"
    (run / "files").mkdir(parents=True)
    name = f"gnocchi_{new_hex_id()}"
    with ExitStack() as stack:
        cluster = stack.enter_context(connect(database_url, autocommit=True))
        cluster.execute(f"CREATE DATABASE {name}".encode())
        stack.callback(cluster.execute, f"DROP DATABASE {name} WITH (FORCE)".encode())
        redis_port, port = free_port(), free_port()
        redis = ("/usr/bin/redis-server", "--port", str(redis_port), "--save", "", "--dir", str(run))
        pids = [postmaster, stack.enter_context(started(*redis, environment={}, log=log))]
        settings = run / "gnocchi.conf"
        settings.write_text(
            GNOCCHI_SETTINGS.format(
                redis=f"redis://127.0.0.1:{redis_port}",
                port=port,
                database=database_url.replace("/postgres?", f"/{name}?"),
                files=run / "files",
                workers=WORKERS,
            )
        )
        path = {"PATH": f"{programs}:{os.environ['PATH']}"}
        configured = ("--config-file", str(settings))
        subprocess.run(
            [str(programs / "gnocchi-upgrade"), *configured],
            check=True,
            capture_output=True,
            env={**os.environ, **path},
        )
        for program in ("gnocchi-api", "gnocchi-metricd"):
            command = (str(programs / program), *configured)
            pids.append(stack.enter_context(started(*command, environment=path, log=log)))
        headers = {"Authorization": "Basic " + b64encode(b"admin:").decode()}
        url = f"http://127.0.0.1:{port}"
        wait_for(f"{url}/v1/archive_policy", headers, log)
        yield Product("Gnocchi 4.7.1", [url] * API_PROCESSES, headers, pids)
