"""Keeps child programs running: starts them, starts them again when they end by themselves, and stops them in order."""

import contextlib
import os
import re
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
EXCEPTION_LINE = re.compile(r"(?:\w+\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt|[a-z]): \S|(?:\w+\.)*[A-Z]\w*Error$")
"""The line of a traceback that names the exception and says what it says."""


@dataclass(frozen=True, slots=True)
class Service:
    """A program that belongs to the product: how it starts, and how long it may take to stop after SIGTERM."""

    name: str
    command: tuple[str, ...]
    stop_timeout_s: float


@dataclass(slots=True, kw_only=True)
class Restarts:
    """When a program started, how often in a row it ended by itself, and when it starts again; monotonic seconds."""

    started_at: float = 0.0
    failures: int = 0
    start_again_at: float = 0.0

    def note_end(self, *, now: float) -> float:
        """Plan the next start; returns how long that is to wait."""
        self.failures = 1 if now - self.started_at >= STEADY_AFTER_S else self.failures + 1
        wait_s = backoff_s(self.failures)
        self.start_again_at = now + wait_s
        return wait_s


@dataclass(slots=True)
class Child(Restarts):
    """A service as it runs now, or as it waits to be started again."""

    service: Service
    popen: "subprocess.Popen[bytes] | None" = None


@dataclass(slots=True)
class EmbeddedServer(Restarts):
    """The database or the broker as it runs now: those who use it wait for it, so it is started again beside them."""

    name: str
    launch: "Callable[[], subprocess.Popen[bytes]]"
    answers: "Callable[[subprocess.Popen[bytes]], bool]"
    log: Path
    popen: "subprocess.Popen[bytes] | None" = None
    is_missed: bool = False
    """It ended, and has not answered since."""

    def look_after(self, *, now: float, say: Callable[[str], None]) -> None:
        """Notice that it ended, start it when its wait is over, and say when it answers again. Never waits for it."""
        if self.popen is None:
            if now >= self.start_again_at:
                self._start(now=now, say=say)
        elif self.popen.poll() is not None:
            code, self.popen = self.popen.returncode, None
            self._note_end(f"ended ({describe_code(code)})", now=now, say=say)
        elif self.is_missed and self.answers(self.popen):
            self.is_missed = False
            say(f"{self.name} answers again")

    def _start(self, *, now: float, say: Callable[[str], None]) -> None:
        self.started_at = now
        try:
            self.popen = self.launch()
        except OSError as error:
            self._note_end(f"cannot be started ({error})", now=now, say=say)

    def _note_end(self, how: str, *, now: float, say: Callable[[str], None]) -> None:
        self.is_missed = True
        say(f"{self.name} {how}, starts again in {self.note_end(now=now):g} s; its log: {self.log}")


def backoff_s(failures: int) -> float:
    """How long to wait before the next start: doubled with each failure in a row, and bounded."""
    return min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** min(failures - 1, 10)) if failures > 0 else 0.0


@dataclass(slots=True)
class Supervisor:
    """The children of one `nepho up`; every call takes the monotonic time, so that the rules can be tested."""

    environment: Mapping[str, str]
    logs: Path
    say: Callable[[str], None]
    servers: Sequence[EmbeddedServer] = ()
    """Looked after with the children; who started them stops them, after the children."""
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
        """Notice servers and children that ended and start those whose wait is over."""
        for server in self.servers:
            server.look_after(now=now, say=self.say)
        for child in self.children:
            if child.popen is not None and child.popen.poll() is not None:
                self._note_end(child, code=child.popen.returncode, now=now)
            elif child.popen is None and now >= child.start_again_at:
                self._start(child, now=now)

    def _note_end(self, child: Child, *, code: int, now: float) -> None:
        assert child.popen is not None
        _end_group(child.popen.pid)
        child.popen = None
        wait_s = child.note_end(now=now)
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


def run_once(command: Sequence[str], *, environment: Mapping[str, str], log: Path, timeout_s: float) -> str:
    """Run a short program of ours to its end, its whole output in `log`; returns its reason where it failed, else nothing."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        try:
            code = subprocess.run(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=timeout_s,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            return f"no end within {timeout_s:g} s"
    return (reason_in(log.read_text(errors="replace")) or describe_code(code)) if code != 0 else ""


def reason_in(output: str) -> str:
    """The error that ended a Python program: the last line that is an exception's, not the hints below it; else the last line."""
    lines = [line for line in output.splitlines() if line.strip()]
    raised = [line for line in lines if EXCEPTION_LINE.match(line)]
    return (raised or lines or [""])[-1].strip()
