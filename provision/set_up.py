"""What `make setup` does: each thing that is missing, in order, with progress; nothing where nothing is missing."""

import errno
import fcntl
import os
import subprocess
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from provision import dashboard_build, debian_packages, guest_image, machine, python_environment, rabbitmq, timescaledb
from provision.children import ChildFailed, Say, run_child
from provision.failures import ProvisionError
from provision.installation import ROOT, Installation, var_of
from provision.umask import read_by_all

console = Console(highlight=False)
PYTHON = "Python environment"
DASHBOARD = "dashboard"
BROKER = "RabbitMQ for the tests"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that must be there: how to tell, and how to make it."""

    title: str
    is_done: Callable[[], bool]
    do: Callable[[Say], object]


def steps(installation: Installation, *, packages: Sequence[str]) -> list[Step]:
    """Everything, in the order in which one needs the other."""
    var = installation.var
    return [
        Step(
            "Debian packages",
            lambda: not debian_packages.missing(packages),
            lambda say: debian_packages.install(debian_packages.missing(packages), say=say),
        ),
        Step(
            PYTHON,
            lambda: python_environment.is_ready(installation),
            lambda say: python_environment.prepare(installation, say=say),
        ),
        Step(
            "PostgreSQL 17 with TimescaleDB",
            lambda: timescaledb.is_installed(var),
            lambda say: timescaledb.install(var, say=say),
        ),
        Step("guest image", lambda: guest_image.is_built(var), lambda say: guest_image.build(var, say=say)),
        Step(
            DASHBOARD,
            lambda: dashboard_build.is_built(installation),
            lambda say: dashboard_build.build(installation, say=say),
        ),
        Step(BROKER, lambda: rabbitmq.is_installed(var), lambda say: rabbitmq.install(var, say=say)),
    ]


def set_up(
    installation: Installation,
    *,
    packages: Sequence[str],
    dashboard: bool = True,
    tests: bool = False,
    to_serve: bool = False,
) -> None:
    """Make what is missing; only the tests need a broker of the kind that OpenStack talks through.

    To serve, the settings are looked at as soon as there is a Python that can: nobody waits for minutes to hear of a typing error.
    """
    left_out = {title for title, wanted in ((DASHBOARD, dashboard), (BROKER, tests)) if not wanted}
    with only_one(installation.var), read_by_all():
        wanted = steps(installation, packages=packages)
        todo = [step for step in wanted if step.title not in left_out and not step.is_done()]
        if to_serve and PYTHON not in {step.title for step in todo}:
            look_at_settings(installation)
        for number, step in enumerate(todo, start=1):
            _do(step, number=number, of=len(todo))
            if to_serve and step.title == PYTHON:
                look_at_settings(installation)


def look_at_settings(installation: Installation) -> None:
    """Raise ProvisionError with the sentence of the product's own look at its settings, where one of them is wrong."""
    command = [installation.python, "-m", "entrypoints.preflight"]
    try:
        run_child(command, say=lambda _: None, cwd=ROOT, environment=environment_for(installation))
    except ChildFailed as failure:
        raise ProvisionError(failure.reason(), mend="Mend that and run it again.") from failure


def _do(step: Step, *, number: int, of: int) -> None:
    began = time.monotonic()
    title = f"[{number}/{of}] {step.title}"
    try:
        if console.is_terminal:
            with console.status(escape(title)) as status:
                step.do(lambda line: status.update(f"{escape(title)}: [dim]{escape(line)}[/dim]"))
        else:
            console.print(escape(title))
            step.do(lambda _: None)
    except (OSError, subprocess.SubprocessError) as error:
        is_full = isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}
        mend = "Free some disk space, or set NEPHO_VAR to a folder on a larger disk," if is_full else "Mend that"
        raise ProvisionError(
            f"{step.title} could not be set up ({error}).", mend=f"{mend} and run it again."
        ) from error
    console.print(f"[green]✓[/green] {escape(step.title)} ({time.monotonic() - began:.1f} s)")


@contextmanager
def only_one(var: Path) -> Generator[None]:
    """One set-up at a time in one folder; a second one waits, and then finds everything done."""
    var.mkdir(parents=True, exist_ok=True)
    with (var / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.print("waiting for another set-up of this folder to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def check_before(*, listen: str | None) -> None:
    """Say what is wrong with the machine before anything is made on it."""
    var = var_of()
    machine.check_installation(os.environ.get("NEPHO_INSTALLATION", ""), kept=var / "installation")
    if listen is not None:
        machine.check_port(listen)
    machine.check_machine(var, is_set_up=(var / "stamps" / "venv").exists())


def packages_for(*, tests: bool) -> list[str]:
    """The Debian packages; a browser only where the tests drive one, and none is there already."""
    return [*debian_packages.RUNTIME, *(debian_packages.TESTS if tests else ())]


def environment_for(installation: Installation) -> dict[str, str]:
    """What the product's programs find in their environment."""
    path = f"{installation.python.parent}:{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"
    settings = {"NEPHO_VAR": str(installation.var), "NEPHO_INSTALLATION": installation.id}
    return {**os.environ, **settings, "PATH": path, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
