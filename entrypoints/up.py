"""`nepho up`: the whole product on one machine, supervised in the foreground until Ctrl-C; leaves nothing running."""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from entrypoints.supervision import EmbeddedServer, Service, Supervisor, run_once
from provision import leftovers, libvirt_daemons, machine, redis_server, timescaledb, with_parent
from provision.failures import ProvisionError
from provision.installation import ROOT, Installation, this_installation, var_of

DEMO_POLL_INTERVAL_S = 5
WORKER_CONCURRENCY = 2
MALLOC_ARENAS = "1"
"""One arena of memory a process: our threads wait more than they allocate, and each further arena keeps what it once took."""
READY_TIMEOUT_S = 240.0
READY_ANSWER_TIMEOUT_S = 2.0
STATUS_LINE_BYTES_MAX = 200
SERVERS = ("postgresql", "redis")
"""What we embed unless a setting names another one; an embedded one has answered when it is started."""
MIGRATE_TIMEOUT_S = 600.0
LOOK_BEFORE_TIMEOUT_S = 60.0
LOOK_INTERVAL_S = 0.2
LOGS_INTERVAL_S = 60.0


def say(sentence: str) -> None:
    """One line for the person at the terminal."""
    print(sentence, flush=True)


def service(name: str, installation: Installation) -> Service:
    """How each process of the product is started; `nepho <name>` becomes the same program."""
    python = str(installation.python)
    celery = (python, "-m", "celery", "-A", "entrypoints.jobs:app")
    lean = ("--without-gossip", "--without-mingle", "--without-heartbeat", "-O", "fair", "--loglevel", "WARNING")
    services = {
        "api": Service("api", (python, "-m", "entrypoints.http"), 15),
        "scheduler": Service("scheduler", (python, "-m", "entrypoints.schedule"), 10),
        "worker": Service(
            "worker",
            (
                *celery,
                "--quiet",
                "worker",
                "-n",
                f"nephoscope-{installation.id}@%h",
                "-c",
                str(WORKER_CONCURRENCY),
                *lean,
            ),
            25,
        ),
        "agent": Service("agent", (python, "-m", "entrypoints.agent"), 60),
        "listener": Service("listener", (python, "-m", "entrypoints.listener"), 15),
    }
    return services[name]


def services_of(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The processes that run: the listener only where there is an OpenStack to listen to."""
    listening = ("listener",) if environment.get("NEPHO_AMQP_URL") else ()
    return ("api", "scheduler", "worker", "agent", *listening)


@dataclass(slots=True)
class Stopping:
    """How often the person asked us to stop: once means in order, more often means now."""

    asked: int = 0

    def ask(self, _signal: int, _frame: FrameType | None) -> None:
        """The signal handler: it only counts."""
        self.asked += 1

    def is_hurried(self) -> bool:
        """Asked a second time."""
        return self.asked > 1


@contextlib.contextmanager
def only_one(installation: Installation) -> Generator[None]:
    """One `nepho up` an installation, found by others through var/up.pid."""
    run = installation.var / "run"
    run.mkdir(parents=True, exist_ok=True)
    pid_file = installation.var / "up.pid"
    with (run / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ProvisionError("This installation runs already.", mend="Stop that first.") from None
        pid_file.write_text(f"{os.getpid()}\n")
        (run / "up").write_text(libvirt_daemons.fingerprint(os.getpid()) + "\n")
        try:
            yield
        finally:
            pid_file.unlink(missing_ok=True)
            (run / "up").unlink(missing_ok=True)


@contextlib.contextmanager
def embedded_servers(installation: Installation, environment: dict[str, str]) -> Generator[Sequence[EmbeddedServer]]:
    """PostgreSQL, Redis and libvirt while the block runs, each unless a setting names another one; gives the first two."""
    servers: list[EmbeddedServer] = []
    with contextlib.ExitStack() as stack:
        stack.callback(leftovers.forget_unused)
        stack.callback(shutil.rmtree, installation.runtime_dir, ignore_errors=True)
        installation.runtime_dir.mkdir(mode=0o711, exist_ok=True)
        (installation.runtime_dir / leftovers.MARK).write_text(libvirt_daemons.fingerprint(os.getpid()) + "\n")
        if environment.get("NEPHO_HYPERVISORS", "qemu:///system").startswith("qemu:///system"):
            stack.callback(_stop_libvirt, installation)
            libvirt_daemons.start_missing(installation.var / "run" / "libvirt.json")
            say(libvirt_daemons.describe_virt_type())
        if not environment.get("NEPHO_DATABASE_URL"):
            cluster = timescaledb.Cluster(
                timescaledb.install(installation.var, say=say),
                installation.var / "postgresql",
                installation.runtime_dir / "postgresql",
                installation.logs / "postgresql.log",
            )
            servers.append(start_database(cluster))
            stack.callback(_stop_server, servers[-1], timescaledb.stop)
            environment["NEPHO_DATABASE_URL"] = cluster.url()
        if not environment.get("NEPHO_REDIS_URL"):
            folder = installation.runtime_dir / "redis"
            servers.append(start_broker(folder, log_file=installation.logs / "redis.log"))
            stack.callback(_stop_server, servers[-1], redis_server.stop)
            environment["NEPHO_REDIS_URL"] = redis_server.url(folder)
        yield servers


def start_database(cluster: timescaledb.Cluster) -> EmbeddedServer:
    """PostgreSQL, once it answers, and how it is started again."""
    return EmbeddedServer(
        "postgresql",
        launch=lambda: timescaledb.launch(cluster),
        answers=lambda server: timescaledb.answers(cluster, server),
        log=cluster.log_file,
        popen=timescaledb.start(cluster),
        started_at=time.monotonic(),
    )


def start_broker(folder: Path, *, log_file: Path) -> EmbeddedServer:
    """Redis, once it answers, and how it is started again."""
    return EmbeddedServer(
        "redis",
        launch=lambda: redis_server.launch(folder, log_file=log_file),
        answers=lambda _: redis_server.answers(folder / redis_server.SOCKET_NAME),
        log=log_file,
        popen=redis_server.start(folder, log_file=log_file),
        started_at=time.monotonic(),
    )


def _stop_server(server: EmbeddedServer, stop: "Callable[[subprocess.Popen[bytes]], None]") -> None:
    """End the one that runs now: it need not be the one that was started first."""
    if server.popen is not None:
        stop(server.popen)


def _stop_libvirt(installation: Installation) -> None:
    left = libvirt_daemons.stop_ours(installation.var / "run" / "libvirt.json")
    if left:
        say(left)


def prepare(installation: Installation, environment: dict[str, str], stopping: Stopping) -> None:
    """Bring the database to the present schema and put in what must be there."""
    for module, what in (("entrypoints.migrate", "The database could not be brought up to date"),
                         ("entrypoints.bootstrap", "The first users, images and networks could not be made")):  # fmt: skip
        if stopping.asked:
            return
        command = [str(installation.python), "-m", module]
        log = installation.logs / f"{module.rpartition('.')[2]}.log"
        failure = run_once(command, environment=environment, log=log, timeout_s=MIGRATE_TIMEOUT_S)
        if failure and not stopping.asked:
            raise ProvisionError(f"{what} ({failure}).", mend=f"{log} has all of it; mend that and run it again.")


def look_before(environment: Mapping[str, str], *, log: Path, stopping: Stopping, what: str = "settings") -> None:
    """Raise with one sentence where a setting is wrong or, with `servers`, where one that it names does not answer.

    Done by a process of its own: what it takes to read settings and ask servers would stay in the supervisor's memory.
    """
    command = [sys.executable, "-m", "entrypoints.preflight", what]
    failure = run_once(command, environment=environment, log=log, timeout_s=LOOK_BEFORE_TIMEOUT_S)
    if failure and not stopping.asked:
        raise ProvisionError(failure, mend="Mend that and run it again.")


def is_served(listen: str) -> bool:
    """Whether the API says that it is ready. Spoken by hand: an HTTP client would cost the supervisor megabytes."""
    host = "localhost" if machine.socket_path_of(listen) else listen
    try:
        with machine.connect(listen, timeout_s=READY_ANSWER_TIMEOUT_S) as connection:
            connection.sendall(f"GET /readyz HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
            status = connection.makefile("rb").readline(STATUS_LINE_BYTES_MAX).split()
    except OSError:
        return False
    return len(status) > 1 and status[1] == b"200"


def wait_until_served(supervisor: Supervisor, listen: str, stopping: Stopping) -> None:
    """Look after the children until the API answers; raises where it does not in time."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not stopping.asked:
        if is_served(listen):
            return
        supervisor.look_after(now=time.monotonic())
        if time.monotonic() > deadline:
            raise ProvisionError(
                f"The API does not answer on {listen} after {READY_TIMEOUT_S:g} s.",
                mend=f"{supervisor.logs}/api.log says why; mend that and run it again.",
            )
        time.sleep(LOOK_INTERVAL_S)


def announce(installation: Installation, listen: str) -> None:
    """Where everything is and how to sign in."""
    clouds = installation.var / "clouds.yaml"
    with contextlib.suppress(ValueError):
        clouds = clouds.relative_to(Path.cwd())
    url = os.environ.get("NEPHO_PUBLIC_URL") or f"http://{listen}"
    path = machine.socket_path_of(listen)
    if path is not None:
        say(f"socket     {path}   (a proxy before it, and its address in NEPHO_PUBLIC_URL, make it a site)")
        if not os.environ.get("NEPHO_PUBLIC_URL"):
            return
    say(f"dashboard  {url}/   (users demo and admin; their passwords are in {clouds})")
    say(f"APIs       {url}/identity/v3 and, in its catalog, compute, image, network, metric, alarming; {url}/docs")
    say(
        f"try        OS_CLIENT_CONFIG_FILE={clouds} {installation.python.parent}/openstack --os-cloud nephoscope-demo server list"
    )
    say("Ctrl-C stops it; guests and data are found again at the next start")


def serve(supervisor: Supervisor, installation: Installation, *, listen: str, stopping: Stopping) -> None:
    """Run the processes until asked to stop, then stop them in order: requests first, the host's guests last."""
    if stopping.asked:
        return
    began = time.monotonic()
    try:
        for name in services_of(supervisor.environment):
            supervisor.start(service(name, installation), now=time.monotonic())
        wait_until_served(supervisor, listen, stopping)
        if not stopping.asked:
            say(f"ready after {time.monotonic() - began:.1f} s")
            announce(installation, listen)
        with demo_story(installation, supervisor.environment, stopping):
            logs_due_at = 0.0
            while not stopping.asked:
                supervisor.look_after(now=time.monotonic())
                if time.monotonic() >= logs_due_at:
                    supervisor.bound_logs()
                    logs_due_at = time.monotonic() + LOGS_INTERVAL_S
                time.sleep(LOOK_INTERVAL_S)
        say("stopping")
    finally:
        supervisor.stop_all(is_hurried=stopping.is_hurried)


@contextlib.contextmanager
def demo_story(installation: Installation, environment: Mapping[str, str], stopping: Stopping) -> Generator[None]:
    """The live story in the terminal, beside the service, unless DEMO=0; it speaks to a port, not to a socket."""
    is_reached = machine.socket_path_of(environment["NEPHO_LISTEN"]) is None
    if environment.get("DEMO") == "0" or stopping.asked or not is_reached:
        yield
        return
    command = with_parent.launch(signal.SIGTERM, str(installation.python), "-m", "entrypoints.demo")
    story = subprocess.Popen(command, env=environment, process_group=0)
    try:
        yield
    finally:
        story.terminate()
        try:
            story.wait(10)
        except subprocess.TimeoutExpired:
            story.kill()
            story.wait()


def environment_of(installation: Installation, *, listen: str) -> dict[str, str]:
    """What every process of the product finds in its environment."""
    path = f"{installation.python.parent}:{os.environ.get('PATH', '/usr/bin:/bin')}"
    settings = {
        "NEPHO_VAR": str(installation.var),
        "NEPHO_INSTALLATION": installation.id,
        "NEPHO_LISTEN": listen,
        "PYTHONPATH": str(ROOT),
        "PATH": path,
        "MALLOC_ARENA_MAX": MALLOC_ARENAS,
    }
    environment = {**os.environ, **settings}
    if environment.get("DEMO") != "0":
        environment.setdefault("NEPHO_POLL_INTERVAL_S", str(DEMO_POLL_INTERVAL_S))
    return environment


def up() -> int:
    """Start everything, serve until Ctrl-C or SIGTERM, stop everything; returns the exit code."""
    listen = os.environ.get("NEPHO_LISTEN") or machine.DEFAULT_LISTEN
    stopping = Stopping()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stopping.ask)
    os.chdir(ROOT)
    try:
        log = var_of() / "log" / "preflight.log"
        look_before({**os.environ, "PYTHONPATH": str(ROOT)}, log=log, stopping=stopping)
        installation = this_installation()
        environment = environment_of(installation, listen=listen)
        machine.check_port(listen)
        with only_one(installation), embedded_servers(installation, environment) as servers:
            if len(servers) < len(SERVERS):
                look_before(environment, log=log, stopping=stopping, what="servers")
            say("database and broker run")
            prepare(installation, environment, stopping)
            supervisor = Supervisor(environment, installation.logs, say, servers)
            serve(supervisor, installation, listen=listen, stopping=stopping)
    except ProvisionError as error:
        print(f"nephoscope: {error}", file=sys.stderr)
        return 1
    say("stopped; nothing of it runs any more")
    return 0


if __name__ == "__main__":
    sys.exit(up())
