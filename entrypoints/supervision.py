"""Keeps child programs running: starts them, starts them again when they end by themselves, and stops them in order."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from provision import with_parent

BACKOFF_FIRST_S = 1.0
BACKOFF_MAX_S = 30.0
STEADY_AFTER_S = 60.0
"""A child that ran this long starts anew with the shortest wait."""
LOG_BYTES_MAX = 20_000_000
GROUP_END_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Service:
    """A program that belongs to the product: how it starts, and how long it may take to stop after SIGTERM."""

    name: str
    command: tuple[str, ...]
    stop_timeout_s: float


@dataclass(slots=True)
class Child:
    """A service as it runs now, or as it waits to be started again."""

    service: Service
    popen: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    failures: int = 0
    start_again_at: float = 0.0


def backoff_s(failures: int) -> float:
    """How long to wait before the next start: doubled with each failure in a row, and bounded."""
    return min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** min(failures - 1, 10)) if failures > 0 else 0.0


@dataclass(slots=True)
class Supervisor:
    """The children of one `nepho up`; every call takes the monotonic time, so that the rules can be tested."""

    environment: Mapping[str, str]
    logs: Path
    say: Callable[[str], None]
    children: list[Child] = field(default_factory=list[Child])

    def start(self, service: Service, *, now: float) -> None:
        """Start a service and keep it running from now on."""
        child = Child(service)
        self.children.append(child)
        self._start(child, now=now)

    def _start(self, child: Child, *, now: float) -> None:
        self.logs.mkdir(parents=True, exist_ok=True)
        with (self.logs / f"{child.service.name}.log").open("ab") as log:
            child.popen = subprocess.Popen(
                with_parent.launch(signal.SIGTERM, *child.service.command),
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )
        child.started_at = now

    def look_after(self, *, now: float) -> None:
        """Notice children that ended and start those whose wait is over."""
        for child in self.children:
            if child.popen is not None and child.popen.poll() is not None:
                self._note_end(child, code=child.popen.returncode, now=now)
            elif child.popen is None and now >= child.start_again_at:
                self._start(child, now=now)

    def _note_end(self, child: Child, *, code: int, now: float) -> None:
        assert child.popen is not None
        _end_group(child.popen.pid)
        child.popen = None
        child.failures = 1 if now - child.started_at >= STEADY_AFTER_S else child.failures + 1
        wait_s = backoff_s(child.failures)
        child.start_again_at = now + wait_s
        log = self.logs / f"{child.service.name}.log"
        self.say(f"{child.service.name} ended ({describe_code(code)}), starts again in {wait_s:g} s; its log: {log}")

    def bound_logs(self) -> None:
        """Empty a log that grew too long; the children append, so they go on at its new end."""
        for path in self.logs.glob("*.log"):
            if path.stat().st_size > LOG_BYTES_MAX:
                os.truncate(path, 0)

    def stop_all(self, *, is_hurried: Callable[[], bool]) -> None:
        """Stop the children in the order in which they were started; `is_hurried` ends the patience with all of them."""
        while self.children:
            self.stop(self.children[0], is_hurried=is_hurried)
            del self.children[0]

    def stop(self, child: Child, *, is_hurried: Callable[[], bool]) -> None:
        """SIGTERM, patience, then SIGKILL for what is left of its process group."""
        popen, child.popen = child.popen, None
        if popen is None:
            return
        if popen.poll() is None:
            popen.terminate()
            deadline = time.monotonic() + child.service.stop_timeout_s
            while popen.poll() is None and time.monotonic() < deadline and not is_hurried():
                time.sleep(0.05)
            if popen.poll() is None:
                self.say(f"{child.service.name} does not end by itself and is killed")
        _end_group(popen.pid)
        with contextlib.suppress(subprocess.TimeoutExpired):
            popen.wait(GROUP_END_TIMEOUT_S)


def _end_group(group: int) -> None:
    """Kill what is left of a child's own process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def describe_code(code: int) -> str:
    """An exit code in words."""
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
    return f"code {code}"


def run_once(command: Sequence[str], *, environment: Mapping[str, str], timeout_s: float) -> str:
    """Run a short program of ours to its end; returns its last words where it failed, else nothing."""
    try:
        result = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no end within {timeout_s:g} s"
    if result.returncode == 0:
        return ""
    return ((result.stderr or result.stdout).strip().splitlines() or [describe_code(result.returncode)])[-1]
