"""What turns an agent into a process: its signals, its ear on the database's notifications, and the loop that sleeps between."""

import signal
import threading
from collections.abc import Callable
from datetime import datetime
from types import FrameType
from typing import Protocol

import psycopg
import structlog

from compute.errors import StaleAgent

NOTIFICATION_WAIT_S = 60.0
RECONNECT_S = 2.0
CONNECT_TIMEOUT_S = 3
STEP_INTERVAL_S_MIN = 0.02
STEP_INTERVAL_S_MAX = 10.0
"""The next step sees that the clock was set back meanwhile, and nothing is due any more when it was thought to be."""
FAULT_PAUSE_S = 2.0
EXIT_STALE = 3

log = structlog.get_logger()


class Steps(Protocol):
    """What the loop drives."""

    def step(self, now: datetime) -> datetime:
        """Do all that is due; return when to step again at the latest."""
        ...

    def stop(self, now: datetime) -> None:
        """End in order."""
        ...

    def wake(self) -> None:
        """Let the next step look at everything."""
        ...


class Signals:
    """What wakes the loop, and what ends it."""

    def __init__(self) -> None:
        self.wake = threading.Event()
        self.stopping = threading.Event()

    def install(self) -> None:
        """Let SIGINT and SIGTERM end the loop in order."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._end)

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self.stopping.set()
        self.wake.set()


class Listener:
    """Hears the notifications for one host on a connection of its own; after a lost one it wakes the agent to be sure."""

    def __init__(self, url: str, *, is_for_us: Callable[[str], bool], on_wake: Callable[[], None]) -> None:
        self._url = url
        self._is_for_us = is_for_us
        self._on_wake = on_wake
        self._is_ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notifications", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def end(self) -> None:
        """Stop listening; the thread ends with the program."""
        self._is_ended.set()

    def _run(self) -> None:
        while not self._is_ended.is_set():
            try:
                self._listen()
            except psycopg.Error:
                self._is_ended.wait(RECONNECT_S)

    def _listen(self) -> None:
        name = "nephoscope-agent-listener"
        with psycopg.connect(
            self._url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, application_name=name
        ) as connection:
            connection.execute("LISTEN nephoscope_host")
            self._on_wake()
            while not self._is_ended.is_set():
                for notification in connection.notifies(timeout=NOTIFICATION_WAIT_S):
                    if self._is_for_us(notification.payload):
                        self._on_wake()


def run(agent: Steps, *, clock: Callable[[], datetime], signals: Signals, listener: Listener) -> int:
    """Step whenever something is due or happened, asleep in between, until a signal; return the exit code."""
    signals.install()
    listener.start()
    try:
        while not signals.stopping.is_set():
            signals.wake.wait(sleep_s(agent, clock))
            signals.wake.clear()
    except StaleAgent as error:
        log.error("agent.host_taken", reason=error.message)
        return EXIT_STALE
    finally:
        listener.end()
    agent.stop(clock())
    return 0


def sleep_s(agent: Steps, clock: Callable[[], datetime]) -> float:
    """Take one step and return how long to sleep; a fault in a step is told and tried again, guests go on meanwhile."""
    try:
        due_at = agent.step(clock())
    except StaleAgent:
        raise
    except Exception:
        log.exception("agent.step_fault")
        return FAULT_PAUSE_S
    return min(max(STEP_INTERVAL_S_MIN, (due_at - clock()).total_seconds()), STEP_INTERVAL_S_MAX)
