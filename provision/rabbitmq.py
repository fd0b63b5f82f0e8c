"""A private RabbitMQ for the tests, out of Debian's packages in a tree of their own: no system service, user, port or file of the machine's."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from provision import with_parent
from provision.children import Say
from provision.debian_tree import build_tree, machine_suite
from provision.failures import ProvisionError
from provision.timescaledb import ordinary_user

PACKAGES = ("rabbitmq-server", "dash", "coreutils")
"""The server runs small programs through a shell (df, for its watch over the disk); neither is a dependency of its package."""
TREE_RECIPE = "1"
"""Raised when the way the tree is made changes, so that older trees are made anew."""
STAMP = "etc/nephoscope-tree"
HOME = "/broker"
ERLANG = "/usr/lib/erlang"

NO_FILES: Mapping[str, str] = {}
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 20


def tree_of(var: Path) -> Path:
    """Where the private Debian tree with RabbitMQ is."""
    return var.resolve() / "rabbitmq" / "tree"


def is_installed(var: Path) -> bool:
    """Whether the tree is there and made by the present recipe."""
    stamp = tree_of(var) / STAMP
    return stamp.exists() and stamp.read_text() == _wanted()


def _wanted() -> str:
    return f"{TREE_RECIPE} {' '.join(PACKAGES)}\n"


def install(var: Path, *, say: Say) -> Path:
    """Make the tree unless it is there; returns its folder. Nothing of the packages is run, so that nothing starts."""
    tree = tree_of(var)
    if is_installed(var):
        return tree
    tree.parent.mkdir(parents=True, exist_ok=True)
    build_tree(tree, suite=machine_suite(), packages=PACKAGES, say=say)
    user = ordinary_user()
    (tree / HOME.lstrip("/")).mkdir()
    (tree / "etc/passwd").write_text(f"root:x:0:0::/:/bin/sh\nrabbitmq:x:{user}:{user}::{HOME}:/bin/sh\n")
    (tree / "etc/group").write_text(f"root:x:0:\nrabbitmq:x:{user}:\n")
    (tree / "etc/hosts").write_text("127.0.0.1 localhost\n")
    (tree / STAMP).write_text(_wanted())
    return tree


@dataclass(frozen=True, slots=True)
class Ports:
    """The three loopback ports of one broker: for clients, for Erlang's name service, for Erlang itself."""

    amqp: int
    names: int
    erlang: int


def spare_ports() -> Ports:
    """Three ports that are free now."""
    with contextlib.ExitStack() as held:
        found: list[int] = []
        for _ in range(3):
            probe = held.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            found.append(probe.getsockname()[1])
        return Ports(*found)


@dataclass(slots=True)
class Broker:
    """One broker with its own folder, cookie, node name and name service; it can be killed and started again on its files."""

    tree: Path
    folder: Path
    ports: Ports
    user: int
    _names: "subprocess.Popen[bytes] | None" = field(default=None, init=False)
    _server: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @property
    def url(self) -> str:
        """Where clients reach it; guest is the user that it makes for itself and lets in from this machine alone."""
        return f"amqp://guest:guest@127.0.0.1:{self.ports.amqp}//"

    @property
    def log_file(self) -> Path:
        """What it wrote."""
        return self.folder.with_suffix(".log")

    def start(self) -> None:
        """Start it and return when it takes clients; it ends with the caller, however the caller ends."""
        if self._names is None:
            names = f"{ERLANG}/{self._runtime()}/bin/epmd"
            self._names = self._launch(names, "-port", str(self.ports.names), "-address", "127.0.0.1")
        self._server = self._launch("/usr/bin/env", *self._environment(), *self._arguments())
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self._server.poll() is None:
            if self._answers():
                return
            time.sleep(0.05)
        self.stop()
        raise ProvisionError("The broker did not start.", mend=f"{self.log_file} says why; mend that and run it again.")

    def kill(self) -> None:
        """End it as a power cut would; its files stay."""
        assert self._server is not None
        self._server.kill()
        self._server.wait(STOP_TIMEOUT_S)

    def stop(self) -> None:
        """End it in order, then by force; returns when it and its name service are gone."""
        for child in (self._server, self._names):
            if child is None:
                continue
            for number in (signal.SIGTERM, signal.SIGKILL):
                if child.poll() is None:
                    child.send_signal(number)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        child.wait(STOP_TIMEOUT_S)
        self._server = self._names = None

    def _launch(self, *command: str) -> "subprocess.Popen[bytes]":
        launcher = str(Path(with_parent.__file__).with_name("chroot_exec.py"))
        place = [str(self.tree), str(self.user), str(int(signal.SIGKILL)), f"{self.folder}={HOME}"]
        with self.log_file.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-I", "-S", launcher, *place, "--", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )

    def _runtime(self) -> str:
        return next((self.tree / ERLANG.lstrip("/")).glob("erts-*")).name

    def _environment(self) -> list[str]:
        installed = self.tree / "usr/lib/rabbitmq/lib"
        home = f"/usr/lib/rabbitmq/lib/{next(installed.glob('rabbitmq_server-*')).name}"
        values = {
            "HOME": HOME,
            "ROOTDIR": ERLANG,
            "BINDIR": f"{ERLANG}/{self._runtime()}/bin",
            "EMU": "beam",
            "PROGNAME": "erl",
            "ERL_LIBS": f"{home}/plugins",
            "ERL_EPMD_PORT": str(self.ports.names),
            "ERL_CRASH_DUMP": f"{HOME}/crash",
            "RABBITMQ_HOME": home,
            "RABBITMQ_NODENAME": f"nephoscope{self.ports.amqp}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.ports.amqp),
            "RABBITMQ_DIST_PORT": str(self.ports.erlang),
            "RABBITMQ_MNESIA_BASE": f"{HOME}/mnesia",
            "RABBITMQ_LOG_BASE": f"{HOME}/log",
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{HOME}/plugins",
            "RABBITMQ_CONFIG_FILE": f"{HOME}/rabbitmq",
        }
        return [f"{name}={value}" for name, value in values.items()]

    def _arguments(self) -> list[str]:
        boot = ["-noinput", "-s", "rabbit", "boot", "-boot", "start_sasl", "+W", "w", "+S", "1:1"]
        kernel = ["-kernel", "inet_dist_use_interface", "{127,0,0,1}", "-kernel", "prevent_overlapping_partitions"]
        quiet = ["-syslog", "logger", "[]", "-syslog", "syslog_error_logger", "false"]
        return [f"{ERLANG}/{self._runtime()}/bin/erlexec", *boot, *kernel, "false", *quiet]

    def _answers(self) -> bool:
        """Whether a broker greets us: the protocol header is answered by a frame, which begins with a 1."""
        try:
            with socket.create_connection(("127.0.0.1", self.ports.amqp), timeout=2) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                return connection.recv(1) == b"\x01"
        except OSError:
            return False


@contextlib.contextmanager
def running_test_broker(var: Path, *, files: Mapping[str, str] = NO_FILES) -> Generator[Broker]:
    """A throw-away broker for tests, which runs and exists while the block does.

    `files` are put into its folder, which it sees as /broker; one of them may be its rabbitmq.conf.
    """
    tree = install(var, say=lambda _: None)
    user = ordinary_user()
    place = Path(tempfile.mkdtemp(prefix="nephoscope-rabbitmq-"))
    place.chmod(0o711)
    folder = place / "broker"
    folder.mkdir(mode=0o700)
    os.chown(folder, user, user)
    for name, text in files.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
        os.chown(folder / name, user, user)
    broker = Broker(tree, folder, spare_ports(), user)
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()
        shutil.rmtree(place, ignore_errors=True)
