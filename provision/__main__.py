"""The commands of the Makefile: `python -m provision setup | run | test | check | clean | ...`."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console

from provision import (
    children,
    dashboard_build,
    leftovers,
    libvirt_daemons,
    machine,
    python_environment,
    set_up,
    timescaledb,
)
from provision.failures import ProvisionError
from provision.installation import ROOT, Installation, this_installation

STOP_TIMEOUT_S = 120
COMPILE_ANEW = ("PYTHONDONTWRITEBYTECODE",)
"""Container images set it to keep their layers clean; what we compile goes to var/, and the tests start hundreds of processes."""
HOW_TO_RUN = ("-n", "--numprocesses", "no:xdist", "-pno:xdist", "--trace")
"""The options of pytest by which somebody has said himself in how many processes the tests run."""


def ready(*, listen: str | None = None, tests: bool = False, dashboard: bool = True) -> Installation:
    """Check the machine, set up what is missing, and say which installation this is; with an address, to serve there."""
    set_up.check_before(listen=listen)
    installation = this_installation()
    set_up.set_up(
        installation,
        packages=set_up.packages_for(tests=tests),
        dashboard=dashboard,
        tests=tests,
        to_serve=listen is not None,
    )
    return installation


def become(installation: Installation, *arguments: str) -> int:
    """Hand over to the product's own Python; it keeps our process id, so that Ctrl-C goes straight to it."""
    os.chdir(ROOT)
    sys.stdout.flush()
    os.execve(  # noqa: S606
        installation.python, [str(installation.python), *arguments], set_up.environment_for(installation)
    )


def run(_: Sequence[str]) -> int:
    """Serve in the foreground."""
    listen = os.environ.get("NEPHO_LISTEN") or machine.DEFAULT_LISTEN
    return become(ready(listen=listen), "-m", "entrypoints.up")


def setup(_: Sequence[str]) -> int:
    """Set up and stop there."""
    ready()
    set_up.console.print("everything is set up")
    return 0


def test(arguments: Sequence[str]) -> int:
    """Every test, with libvirt running for those that start guests; with arguments, only what they name to pytest."""
    installation = ready(tests=True)
    code = 0 if arguments else dashboard_build.run_script("test", installation)
    with libvirt_daemons.running_libvirt(installation.var / "run" / "libvirt-of-tests.json"):
        command = [str(installation.python), "-m", "pytest", *spread_over_cores(arguments), *arguments]
        environment = set_up.environment_for(installation)
        for unwanted in ("NEPHO_VAR", "NEPHO_INSTALLATION", *COMPILE_ANEW):
            environment.pop(unwanted, None)
        return _wait(subprocess.Popen(command, cwd=ROOT, env=environment)) or code


def spread_over_cores(arguments: Sequence[str]) -> Sequence[str]:
    """The options that give every core a part of the tests, unless files or single tests are named, or how to run them."""
    is_chosen = any(argument.startswith(HOW_TO_RUN) for argument in arguments)
    names_files = any((ROOT / argument.partition("::")[0]).is_file() for argument in arguments)
    return () if is_chosen or names_files else ("-n", "auto")


def _wait(child: "subprocess.Popen[bytes]") -> int:
    """A Ctrl-C reaches the child as well as us: let it end by itself."""
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            continue


def check(_: Sequence[str]) -> int:
    """Formatting, lint, types and floors; all of them run, however the first ends."""
    installation = ready(dashboard=False)
    environment = set_up.environment_for(installation)
    commands = [["ruff", "format", "--check", "."], ["ruff", "check", "."], ["pyright"], ["lint-imports"]]
    codes = [subprocess.call(command, cwd=ROOT, env=environment) for command in commands]
    codes.append(dashboard_build.run_script("check", installation))
    return 1 if any(codes) else 0


def clean(_: Sequence[str]) -> int:
    """Stop what this installation runs and forget what it defined on the host; the caller removes var/."""
    installation = this_installation()
    _stop_running(installation)
    leftovers.remove(installation)
    libvirt_daemons.stop_ours(installation.var / "run" / "libvirt.json")
    return 0


def _stop_running(installation: Installation) -> None:
    record = installation.var / "run" / "up"
    with contextlib.suppress(OSError):
        mark = record.read_text().strip()
        pid = int(mark.partition(":")[0])
        if mark and libvirt_daemons.fingerprint(pid) == mark:
            set_up.console.print("stopping what runs")
            os.kill(pid, signal.SIGINT)
            deadline = time.monotonic() + STOP_TIMEOUT_S
            while libvirt_daemons.fingerprint(pid) == mark and time.monotonic() < deadline:
                time.sleep(0.2)
            if libvirt_daemons.fingerprint(pid) == mark:
                raise ProvisionError(
                    f"The running service (process {pid}) does not end.", mend=f"`kill -9 {pid}`, then again."
                )


def dashboard(_: Sequence[str]) -> int:
    """Build the dashboard."""
    ready()
    return 0


def openapi(_: Sequence[str]) -> int:
    """Write the native API's description and the dashboard's types that are made from it."""
    installation = ready(dashboard=False)
    environment = set_up.environment_for(installation)
    described = dashboard_build.SOURCES / "openapi.json"
    command = [installation.python, "-m", "entrypoints", "openapi", described]
    children.run_child(command, say=set_up.console.print, cwd=ROOT, environment=environment)
    dashboard_build.write_types(installation, say=set_up.console.print)
    return 0


def seed_demo(_: Sequence[str]) -> int:
    """Put a month of sample history into the running installation."""
    return become(_running(ready()), "-m", "entrypoints", "seed-demo")


def _running(installation: Installation) -> Installation:
    """The installation, with its database named for the programs that follow; raises where it does not run."""
    folder = installation.runtime_dir / "postgresql"
    if not os.environ.get("NEPHO_DATABASE_URL"):
        if not (folder / timescaledb.SOCKET_NAME).exists():
            raise ProvisionError("This installation does not run.", mend="Start `make run` in another terminal first.")
        os.environ["NEPHO_DATABASE_URL"] = timescaledb.socket_url(folder)
    return installation


def bench_memory(arguments: Sequence[str]) -> int:
    """Measure the running installation."""
    return become(ready(), "-m", "benchmarks.memory", *arguments)


def requirements(_: Sequence[str]) -> int:
    """Choose versions anew."""
    python_environment.choose_versions(say=set_up.console.print)
    return 0


COMMANDS: Mapping[str, Callable[[Sequence[str]], int]] = {
    "run": run,
    "setup": setup,
    "test": test,
    "check": check,
    "clean": clean,
    "dashboard": dashboard,
    "openapi": openapi,
    "seed-demo": seed_demo,
    "bench-memory": bench_memory,
    "requirements": requirements,
}


def main(arguments: Sequence[str]) -> int:
    """Run one command; what goes wrong is one sentence with its mend."""
    errors = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    if not arguments or arguments[0] not in COMMANDS:
        errors.print(f"nephoscope: say one of {', '.join(COMMANDS)}")
        return 2
    try:
        return COMMANDS[arguments[0]](arguments[1:])
    except ProvisionError as error:
        errors.print(f"nephoscope: {error}")
    except children.ChildFailed as error:
        errors.print(f"nephoscope: {error} ({error.reason()})")
    except KeyboardInterrupt:
        errors.print("nephoscope: stopped")
        return 130
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
