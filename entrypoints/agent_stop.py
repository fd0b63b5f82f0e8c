"""How an agent ends its host's guests when the service stops: all are asked together, those still on after a short grace are cut."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import structlog

from compute.hypervisor.contract import (
    Hypervisor,
    HypervisorRefusal,
    HypervisorUnavailable,
    ObservedInstance,
    PowerState,
    ShutdownRequest,
)
from entrypoints.agent_readings import HostReadings
from foundation.errors import DomainError

GRACE_S_MAX = 15.0
"""Who presses Ctrl-C waits for the guests no longer than this."""

LOOK_INTERVAL_S = 0.5
NO_WISH = 0
"""The generation of a request that belongs to no wish: a later stop asks anew."""

log = structlog.get_logger()


def parting_after(known: frozenset[UUID], guests: Sequence[ObservedInstance]) -> frozenset[UUID]:
    """Return the guests that the end of the service has asked and that were not seen off: who ended it twice left them so.

    When they go now, nobody has stopped them: they are wanted, and boot again.
    """
    running = {guest.instance_id for guest in guests if guest.boot_epoch}
    asked = {guest.instance_id for guest in guests if guest.shutdown and guest.shutdown.generation == NO_WISH}
    return known - running | asked


@dataclass(frozen=True, slots=True, kw_only=True)
class HostStop:
    """The end of all guests of a host. `attempt` does what must not keep the rest from being stopped when it fails."""

    hypervisor: Hypervisor
    readings: HostReadings
    clock: Callable[[], datetime]
    pause: Callable[[float], object]
    attempt: Callable[[str, Callable[[], object]], bool]
    note_end: Callable[[UUID, datetime], None]

    def run(self, *, grace_s: float) -> None:
        """Ask, wait at most the grace, cut what is still on; each guest's last reading is durable before it is cut."""
        running = self._running()
        patience_s = min(grace_s, GRACE_S_MAX)
        if patience_s > 0:
            self._ask(running)
            self._wait(patience_s, {guest.instance_id for guest in running})
        cut = self._running()
        for guest in cut:
            self._cut(guest)
        log.info("agent.guests_stopped", count=len(running), cut=len(cut))

    def _running(self) -> list[ObservedInstance]:
        return [guest for guest in self.hypervisor.list_instances() if guest.boot_epoch]

    def _ask(self, guests: list[ObservedInstance]) -> None:
        now = self.clock()
        self.attempt("reading", lambda: self.readings.keep([guest.instance_id for guest in guests]))
        for guest in guests:
            if guest.power_state is PowerState.RUNNING:
                try:
                    self.hypervisor.request_shutdown(guest.instance_id, ShutdownRequest(NO_WISH, now, now))
                except HypervisorRefusal as error:
                    log.warning("agent.guest_not_asked", instance=str(guest.instance_id), reason=error.message)

    def _wait(self, patience_s: float, asked: set[UUID]) -> None:
        """Look until none of them can end by itself any more; the number of looks bounds the wait where the clock stands still."""
        deadline = self.clock() + timedelta(seconds=patience_s)
        waited_for = asked
        for _ in range(round(patience_s / LOOK_INTERVAL_S)):
            running = self._running()
            for instance_id in waited_for - {guest.instance_id for guest in running}:
                self.note_end(instance_id, self.clock())
            waited_for = {guest.instance_id for guest in running}
            if self.clock() >= deadline or all(guest.power_state is PowerState.PAUSED for guest in running):
                return
            self.attempt("reading", partial(self.readings.keep, waited_for))
            self.pause(LOOK_INTERVAL_S)

    def _cut(self, guest: ObservedInstance) -> None:
        ended: list[datetime | None] = []
        self.attempt("reading", lambda: ended.append(self.readings.keep_last(guest.instance_id)))
        self.note_end(guest.instance_id, next(filter(None, ended), self.clock()))
        try:
            self.hypervisor.stop_instance(guest.instance_id)
        except HypervisorUnavailable:
            raise
        except DomainError as error:
            log.error("agent.guest_not_stopped", instance=str(guest.instance_id), reason=error.message)
