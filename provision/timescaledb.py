"""The embedded database: PostgreSQL 17 with TimescaleDB out of Debian 13's packages, run by an ordinary user."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from provision.children import Say
from provision.debian_tree import build_tree
from provision.failures import ProvisionError

SUITE = "trixie"
PACKAGES = ("postgresql-17", "postgresql-17-timescaledb", "dash")
TREE_RECIPE = "1"
"""Raised when the way the tree is made changes, so that older trees are made anew."""
STAMP = "etc/nephoscope-tree"

BINARIES = "/usr/lib/postgresql/17/bin"
FIRST_USER_ID, USER_IDS = 60_780, 100
"""Between systemd's ranges and outside Debian's: an ordinary user that needs no line in the machine's passwd."""

ADMINISTRATOR = "postgres"
OWNER = "nepho"
"""The role that owns our database and that the product runs as: no superuser."""

MAKE_TIMEOUT_S = 300
START_TIMEOUT_S = 60
RECOVERY_TIMEOUT_S = 900
"""After a power loss it replays its log before it answers; whoever ends it meanwhile makes it begin anew."""
STOP_TIMEOUT_S = 30
LOG_BYTES_MAX = 10_000_000
SOCKET_PATH_BYTES_MAX = 107
SOCKET_NAME = ".s.PGSQL.5432"

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "''",
    "unix_socket_directories": "'/run/postgresql'",
    "unix_socket_permissions": "0700",
    "shared_preload_libraries": "'timescaledb'",
    "timescaledb.telemetry_level": "off",
    "timescaledb.max_background_workers": "8",
    "max_worker_processes": "24",
    "max_parallel_workers": "2",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "synchronous_commit": "on",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "log_line_prefix": "'%m [%p] %q%a '",
    "log_min_messages": "warning",
    "checkpoint_completion_target": "0.9",
    "max_wal_size": "1GB",
    "autovacuum_naptime": "30s",
    "jit": "off",
    "datestyle": "'iso, mdy'",
    "default_text_search_config": "'pg_catalog.simple'",
}


def tree_of(var: Path) -> Path:
    """Where the private Debian tree with PostgreSQL is."""
    return var.resolve() / "timescaledb" / "tree"


def is_installed(var: Path) -> bool:
    """Whether the tree is there and made by the present recipe."""
    stamp = tree_of(var) / STAMP
    return stamp.exists() and stamp.read_text() == _wanted()


def _wanted() -> str:
    return f"{TREE_RECIPE} {SUITE} {' '.join(PACKAGES)}\n"


def install(var: Path, *, say: Say) -> Path:
    """Make the tree unless it is there; returns its folder."""
    tree = tree_of(var)
    if is_installed(var):
        return tree
    build_tree(tree, suite=SUITE, packages=PACKAGES, say=say)
    for folder in ("data", "run/postgresql"):
        (tree / folder).mkdir(parents=True, exist_ok=True)
    user = ordinary_user()
    (tree / "etc/passwd").write_text(f"root:x:0:0::/:/bin/sh\npostgres:x:{user}:{user}::/data:/bin/sh\n")
    (tree / "etc/group").write_text(f"root:x:0:\npostgres:x:{user}:\n")
    (tree / STAMP).write_text(_wanted())
    return tree


def ordinary_user() -> int:
    """A user id that nobody on this machine has."""
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    return next(i for i in range(FIRST_USER_ID, FIRST_USER_ID + USER_IDS) if i not in taken)


def socket_url(runtime_dir: Path, *, role: str = OWNER, database: str = OWNER) -> str:
    """The connection URL of the server whose socket is in the folder."""
    return f"postgresql://{role}@/{database}?host={quote(str(runtime_dir), safe='/')}"


@dataclass(frozen=True, slots=True)
class Cluster:
    """One PostgreSQL cluster: its program tree, its files, and the short folder of its socket."""

    tree: Path
    data_dir: Path
    runtime_dir: Path
    log_file: Path
    durable: bool = True

    def __post_init__(self) -> None:
        length = len(os.fsencode(self.runtime_dir / SOCKET_NAME))
        assert length <= SOCKET_PATH_BYTES_MAX, f"socket path of {length} bytes in {self.runtime_dir}"

    @property
    def owner(self) -> int:
        """The user id that the server runs as."""
        return self.data_dir.stat().st_uid

    def url(self, *, role: str = OWNER, database: str = OWNER) -> str:
        """The connection URL by the socket that only root and the server's user reach."""
        return socket_url(self.runtime_dir, role=role, database=database)

    def program(self, user: int, *command: str) -> list[str]:
        """The command line that runs a program of the tree with this cluster's folders."""
        launcher = str(Path(__file__).with_name("chroot_exec.py"))
        binds = [f"{self.data_dir}=/data", f"{self.runtime_dir}=/run/postgresql"]
        ends_by = str(int(signal.SIGINT))
        return [sys.executable, "-I", "-S", launcher, str(self.tree), str(user), ends_by, *binds, "--", *command]


def create(cluster: Cluster, *, user: int | None = None) -> None:
    """Make the cluster's files unless they are there: built aside, with our role and database, then renamed."""
    cluster.runtime_dir.mkdir(parents=True, exist_ok=True)
    if (cluster.data_dir / "PG_VERSION").exists():
        os.chown(cluster.runtime_dir, cluster.owner, cluster.owner)
        cluster.runtime_dir.chmod(0o700)
        return
    owner = ordinary_user() if user is None else user
    partial = cluster.data_dir.with_name(cluster.data_dir.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True, mode=0o700)
    for folder in (partial, cluster.runtime_dir):
        os.chown(folder, owner, owner)
        folder.chmod(0o700)
    making = Cluster(cluster.tree, partial, cluster.runtime_dir, cluster.log_file, cluster.durable)
    locale = ("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C.UTF-8")
    access = (f"--username={ADMINISTRATOR}", "--auth=trust", "--data-checksums", "--no-instructions")
    _run(making.program(owner, f"{BINARIES}/initdb", "--pgdata=/data", *locale, *access))
    lines = (f"CREATE ROLE {OWNER} LOGIN CREATEDB;", f"CREATE DATABASE {OWNER} OWNER {OWNER};")
    _run(
        making.program(owner, f"{BINARIES}/postgres", "--single", "-D", "/data", "postgres"),
        text="\n".join(lines) + "\n",
    )
    partial.rename(cluster.data_dir)


def _run(command: list[str], *, text: str = "") -> None:
    try:
        result = subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=MAKE_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        failure = f"no end within {MAKE_TIMEOUT_S} s"
    else:
        failure = result.stderr.strip()[-300:] if result.returncode != 0 or "ERROR:" in result.stderr else ""
    if failure:
        raise ProvisionError(
            f"The embedded database could not be made ({failure}).",
            mend="Mend that, or run `make clean` if it holds nothing that you need, and `make run` again.",
        )


def start(cluster: Cluster) -> "subprocess.Popen[bytes]":
    """Start the server and return when it answers; it ends with the caller, however the caller ends."""
    create(cluster)
    free_files(cluster)
    _bound_log(cluster.log_file)
    written_before = cluster.log_file.stat().st_size
    server = launch(cluster)
    wait_ready(cluster, server, written_before=written_before)
    return server


def free_files(cluster: Cluster) -> None:
    """Wait for a server that still ends after its supervisor was killed; then its lock files mean nothing, whoever has its id now."""
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while processes := _processes_on(cluster.data_dir):
        if time.monotonic() > deadline:
            raise ProvisionError(
                f"Another server works on {cluster.data_dir} (process {min(processes)}).",
                mend="End what started it, and run it again.",
            )
        time.sleep(0.05)
    for lock in (cluster.data_dir / "postmaster.pid", cluster.runtime_dir / f"{SOCKET_NAME}.lock"):
        lock.unlink(missing_ok=True)


def _processes_on(data_dir: Path) -> list[int]:
    """The server's processes: its user's, standing in its files, by whatever name their own tree has for these."""
    files = data_dir.stat()
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            is_its_user = entry.name.isdecimal() and entry.stat().st_uid == files.st_uid
            if is_its_user and os.path.samestat(files, (entry / "cwd").stat()):
                found.append(int(entry.name))
    return found


def launch(cluster: Cluster) -> "subprocess.Popen[bytes]":
    """Start the server on files that are there and return at once; after a crash it replays its log before it answers."""
    durability = {} if cluster.durable else {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    flags = [f"--{name}={value.strip(chr(39))}" for name, value in {**SETTINGS, **durability}.items()]
    _bound_log(cluster.log_file)
    with cluster.log_file.open("ab") as log:
        return subprocess.Popen(
            cluster.program(cluster.owner, f"{BINARIES}/postgres", "-D", "/data", *flags),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            process_group=0,
        )


def _bound_log(log_file: Path) -> None:
    """The file is there, and a long one begins anew."""
    log_file.parent.mkdir(parents=True, exist_ok=True)
    log_file.touch()
    if log_file.stat().st_size > LOG_BYTES_MAX:
        log_file.unlink()
        log_file.touch()


def wait_ready(cluster: Cluster, server: "subprocess.Popen[bytes]", *, written_before: int = 0) -> None:
    """Return when the server answers; raises ProvisionError with its own reason where it ends or says nothing in time.

    So many bytes of its log are of earlier servers.
    """
    began = time.monotonic()
    while server.poll() is None:
        state = _state(cluster, server)
        if state == "ready":
            return
        if time.monotonic() - began > (RECOVERY_TIMEOUT_S if state == "starting" else START_TIMEOUT_S):
            break
        time.sleep(0.05)
    stop(server)
    log = cluster.log_file.read_bytes()[written_before:].decode(errors="replace")
    raise ProvisionError(
        f"The embedded database did not start ({_reason_in(log)}).",
        mend=f"{cluster.log_file} says why; mend that and run it again.",
    )


def _reason_in(log: str) -> str:
    """The first line that calls itself fatal, for hints and what follows from it stand below; else the last line."""
    lines = log.strip().splitlines()
    fatal = [line for line in lines if "FATAL:" in line or "PANIC:" in line]
    return fatal[0] if fatal else (lines or ["it wrote nothing"])[-1]


def answers(cluster: Cluster, server: "subprocess.Popen[bytes]") -> bool:
    """Whether this very server takes connections."""
    return _state(cluster, server) == "ready"


def _state(cluster: Cluster, server: "subprocess.Popen[bytes]") -> str:
    """The server's own word on its state, the eighth line of postmaster.pid; empty before it has written one."""
    try:
        lines = (cluster.data_dir / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return ""
    return lines[7].strip() if len(lines) >= 8 and lines[0].strip() == str(server.pid) else ""


def stop(server: "subprocess.Popen[bytes]") -> None:
    """Fast shutdown, then immediate, then by force; returns when the server is gone."""
    for number, wait_s in ((signal.SIGINT, STOP_TIMEOUT_S), (signal.SIGQUIT, 5), (signal.SIGKILL, 5)):
        if server.poll() is not None:
            return
        server.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(wait_s)


@contextlib.contextmanager
def running_cluster(data_dir: Path, runtime_dir: Path, *, tree: Path, durable: bool = True) -> Generator[Cluster]:
    """A cluster that runs while the block does."""
    cluster = Cluster(tree, data_dir, runtime_dir, data_dir.with_name(data_dir.name + ".log"), durable)
    server = start(cluster)
    try:
        yield cluster
    finally:
        stop(server)


@contextlib.contextmanager
def running_test_cluster(var: Path) -> Generator[str]:
    """A throw-away cluster for tests, which runs and exists while the block does; gives its superuser's URL."""
    tree = install(var, say=lambda _: None)
    home = var.resolve() / "test" / f"postgresql-{os.getpid()}"
    for left in (home, *home.parent.glob("postgresql-*")):
        number = left.name.partition("-")[2]
        if left == home or (number.isdecimal() and not Path(f"/proc/{number}").exists()):
            shutil.rmtree(left, ignore_errors=True)
    runtime_dir = Path(tempfile.mkdtemp(prefix="nephoscope-test-"))
    try:
        with running_cluster(home / "data", runtime_dir, tree=tree, durable=False) as cluster:
            yield cluster.url(role=ADMINISTRATOR, database="postgres")
    finally:
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(runtime_dir, ignore_errors=True)
