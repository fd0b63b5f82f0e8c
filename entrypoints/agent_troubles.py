"""What an agent has to do without for the moment, said aloud once when that begins and once when it ends."""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from entrypoints.agent_readings import EPOCH

DATABASE_REST_S = 2

log = structlog.get_logger()


class Troubles:
    """Which of hypervisor and database is away; a database that was waited for in vain is left alone for a while."""

    def __init__(self, clock: Callable[[], datetime], *, on_trouble: Callable[[], None]) -> None:
        self._clock = clock
        self._on_trouble = on_trouble
        self._open: set[str] = set()
        self._database_at = EPOCH

    def may_ask_database(self) -> bool:
        """Tell whether the database may be asked now."""
        return self._clock() >= self._database_at

    def forget_times(self) -> None:
        """Let the database be asked."""
        self._database_at = EPOCH

    def leave_database(self, reason: str) -> None:
        """Ask nothing of the database for a while, so that waiting for it does not cost the polls their rhythm."""
        self._database_at = self._clock() + timedelta(seconds=DATABASE_REST_S)
        self.begin("database", reason)

    def begin(self, what: str, reason: str) -> None:
        """Note that something is away."""
        self._on_trouble()
        if what not in self._open:
            self._open.add(what)
            log.warning(f"agent.{what}_away", reason=reason)

    def end(self, what: str) -> None:
        """Note that something answers."""
        if what in self._open:
            self._open.discard(what)
            log.warning(f"agent.{what}_back")
