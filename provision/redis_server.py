"""The embedded message broker: a private Redis on a Unix socket, never the machine's own."""

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

from provision import with_parent
from provision.failures import ProvisionError

PROGRAM = Path("/usr/bin/redis-check-rdb")
"""Debian's redis-tools has the server as well: one program, which looks at the name that it is called by."""

MEMORY = "256mb"
START_TIMEOUT_S = 10
STOP_TIMEOUT_S = 10
SOCKET_NAME = "redis.sock"

SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "maxmemory": MEMORY,
    # A full broker must refuse a message rather than throw one away.
    "maxmemory-policy": "noeviction",
    # Messages carry no truth: what is due stands in the database, so nothing is kept over a restart.
    "save": "",
    "appendonly": "no",
    "loglevel": "warning",
    "daemonize": "no",
}


def url(runtime_dir: Path) -> str:
    """How Celery reaches it."""
    return f"redis+socket://{runtime_dir / SOCKET_NAME}"


def start(runtime_dir: Path, *, log_file: Path) -> "subprocess.Popen[bytes]":
    """Start the server and return when it answers; it ends with the caller, however the caller ends."""
    server = launch(runtime_dir, log_file=log_file)
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and server.poll() is None:
        if answers(runtime_dir / SOCKET_NAME):
            return server
        time.sleep(0.02)
    stop(server)
    raise ProvisionError("The embedded Redis did not start.", mend=f"{log_file} says why; mend that and run it again.")


def launch(runtime_dir: Path, *, log_file: Path) -> "subprocess.Popen[bytes]":
    """Start the server and return at once; what it wrote before stays in its log."""
    runtime_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    log_file.parent.mkdir(parents=True, exist_ok=True)
    address = runtime_dir / SOCKET_NAME
    address.unlink(missing_ok=True)
    settings = {**SETTINGS, "unixsocket": str(address), "dir": str(runtime_dir)}
    flags = [word for name, value in settings.items() for word in (f"--{name}", value)]
    named = runtime_dir / "redis-server"
    named.unlink(missing_ok=True)
    named.symlink_to(PROGRAM)
    with log_file.open("ab") as log:
        return subprocess.Popen(
            with_parent.launch(signal.SIGTERM, str(named), *flags),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            process_group=0,
        )


def answers(address: Path) -> bool:
    """Whether a Redis says PONG on the socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(1)
        try:
            connection.connect(str(address))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def stop(server: "subprocess.Popen[bytes]") -> None:
    """Ask it to end, then end it by force; returns when it is gone."""
    for number, wait_s in ((signal.SIGTERM, STOP_TIMEOUT_S), (signal.SIGKILL, 5)):
        if server.poll() is not None:
            return
        server.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(wait_s)


@contextlib.contextmanager
def running_redis() -> Generator[str]:
    """A throw-away Redis for tests, which runs while the block does; gives its URL."""
    runtime_dir = Path(tempfile.mkdtemp(prefix="nephoscope-redis-"))
    try:
        server = start(runtime_dir, log_file=runtime_dir / "log")
        try:
            yield url(runtime_dir)
        finally:
            stop(server)
    finally:
        shutil.rmtree(runtime_dir, ignore_errors=True)
