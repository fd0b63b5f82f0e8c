"""One host's agent as an object: polls its guests, hears its events, and brings it to what is desired of it.

`HostAgent.step(now)` is the whole of it: time and wake-ups come from outside, so that a test lives through days in a second.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import structlog

from collectors.delivery import SampleDelivery
from collectors.guest_note import GuestNote
from collectors.lifecycle import LOOK_AGAIN, HeardNotice, ends_after
from collectors.spool import Spool, SpoolFull
from collectors.stop_note import StopNote
from compute import service as compute
from compute.errors import StaleAgent
from compute.hypervisor.contract import (
    HostCapacity,
    Hypervisor,
    HypervisorUnavailable,
    LifecycleNotice,
    NoticeKind,
)
from compute.model import HostObservation, HostSession
from compute.reconciliation import (
    EnsureNetwork,
    RemoveNetwork,
    RemoveOrphan,
    Step,
    decide_steps,
    shutdown_deadlines,
)
from entrypoints.agent_readings import EPOCH, HostReadings
from entrypoints.agent_steps import subject_of, take_step
from entrypoints.agent_stop import HostStop, parting_after
from entrypoints.agent_troubles import Troubles
from foundation.database import Pool, transaction
from foundation.errors import DomainError, Unavailable

RECONCILE_INTERVAL_S = 10
RETRY_INTERVAL_S = 2
ROUNDS_MAX = 200
STEPS_A_ROUND_MAX = 200
ROUND_S_MAX = 2.0
NOTICES_MAX = 100_000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """What an agent is told about its host."""

    hypervisor_uri: str
    image_root: Path
    poll_interval_s: float
    stop_note: StopNote
    stop_grace_s: float = 60.0
    guest_note: GuestNote | None = None


class HostAgent:
    """One host's agent; used from one thread, apart from `hear` and `wake`."""

    def __init__(
        self,
        *,
        pool: Pool,
        hypervisor: Hypervisor,
        spool: Spool,
        settings: AgentSettings,
        clock: Callable[[], datetime] | None = None,
        on_wake: Callable[[], None] = lambda: None,
        is_ending: Callable[[], bool] = lambda: False,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self.session: HostSession | None = None
        self.polls_refused = 0
        self._pool = pool
        self._hypervisor = hypervisor
        self._delivery = SampleDelivery(pool, spool, poll_interval_s=settings.poll_interval_s)
        self._settings = settings
        self._clock = clock
        self._on_wake = on_wake
        self._is_ending = is_ending
        self._pause = pause
        self._heard: deque[HeardNotice] = deque(maxlen=NOTICES_MAX)
        self._ends: dict[UUID, datetime] = {}
        self._parting: frozenset[UUID] = frozenset()
        self._going: deque[UUID] = deque(maxlen=NOTICES_MAX)
        self._step_at = clock() if clock is not None else EPOCH
        self._reconcile_at: datetime | None = None
        self._deadlines: Mapping[UUID, datetime] = {}
        self._is_woken = True
        self._troubles = Troubles(self._now, on_trouble=self._try_again_soon)
        self._readings = HostReadings(
            hypervisor,
            self._delivery,
            poll_interval_s=settings.poll_interval_s,
            clock=self._now,
            may_ask_database=self._troubles.may_ask_database,
            on_database_away=self._troubles.leave_database,
        )
        hypervisor.subscribe(self.hear)

    def hear(self, notice: LifecycleNotice) -> None:
        """Take a notice from the driver's own thread."""
        self._heard.append(HeardNotice(notice, self._now()))
        if notice.kind is NoticeKind.SHUTTING_DOWN and notice.instance_id is not None:
            self._going.append(notice.instance_id)
        if notice.kind in LOOK_AGAIN:
            self.wake()

    def is_own_host(self, host_id: str) -> bool:
        """Tell whether a notification is about this agent's host."""
        return self.session is not None and host_id == str(self.session.host_id)

    def wake(self) -> None:
        """Let the next step look at the host and its desired state, whatever the time."""
        self._is_woken = True
        self._on_wake()

    def step(self, now: datetime) -> datetime:
        """Do all that is due; return when to step again at the latest. Raises StaleAgent when another agent took the host."""
        if now < self._step_at:
            self._follow_clock_back()
        self._step_at = now
        if not self._readings.hostname:
            self._attempt("poll", self._recall_host)
        if self.session is not None:
            self._attempt("poll", self._read_going)
            self._attempt("poll", self._readings.poll_if_due)
        if self._troubles.may_ask_database():
            self._attempt("host", self._reconcile_if_due)
        self._attempt("poll", self._readings.poll_if_due)
        if self._troubles.may_ask_database() and self._delivery.waiting:
            self._attempt("spool", lambda: self._delivery.drain(now=self._now()))
        return min(at for at in (self._readings.next_at(), self._reconcile_at) if at is not None)

    def stop(self, now: datetime) -> None:
        """End in order: guests asked and stopped with a last reading, segments closed as host-down, networks and rules gone.

        What is desired stays as it is. Without the database the stop is noted on disk and told at the next start.
        """
        self._step_at = now
        is_told = self._attempt_last(self._tell_stop)
        is_stopped = self._attempt_last(self._stop_guests)
        if is_stopped and not (is_told and self._attempt_last(self._record_look)):
            self._settings.stop_note.write(self._ends)
        self._attempt_last(self._hypervisor.release_host)
        self._hypervisor.close()

    def _attempt_last(self, act: Callable[[], object]) -> bool:
        """Do a part of the stop; whatever fails in it must not keep the rest from being stopped."""
        try:
            return self._attempt("stop", act)
        except Exception:
            log.exception("agent.stop_fault")
            return False

    def _follow_clock_back(self) -> None:
        """Let all be due at once: what waits for a time of before the clock was set back would wait until it comes again."""
        self._reconcile_at = None
        self._readings.forget_times()
        self._troubles.forget_times()

    def _now(self) -> datetime:
        return self._clock() if self._clock is not None else self._step_at

    def _attempt(self, what: str, act: Callable[[], object]) -> bool:
        """Do something that needs a host or a database that may be away; say when that begins and when it ends."""
        try:
            act()
        except HypervisorUnavailable as error:
            self._troubles.begin("hypervisor", error.message)
        except StaleAgent:
            raise
        except SpoolFull as error:
            self.polls_refused += 1
            log.error("agent.reading_refused", refused=self.polls_refused, reason=error.message)
        except Unavailable as error:
            self._troubles.leave_database(error.message)
        else:
            if what in {"host", "poll"}:
                self._troubles.end("hypervisor")
            if what == "host":
                self._troubles.end("database")
            return True
        return False

    def _try_again_soon(self) -> None:
        self._reconcile_at = self._now() + timedelta(seconds=RETRY_INTERVAL_S)

    # Reading

    def _recall_host(self) -> None:
        """Know the host and whose its guests are before the database tells, so that they are read while it is away."""
        self._readings.hostname = self._hypervisor.capacity().hostname
        if self._settings.guest_note is not None:
            self._readings.specs = self._settings.guest_note.read()

    def _read_going(self) -> None:
        """Read guests that were heard to shut down, before their hypervisor process is gone with what it counted."""
        going = {self._going.popleft() for _ in range(len(self._going))}
        if going:
            self._readings.keep(going)

    def _keep_last_reading(self, instance_id: UUID) -> None:
        """Read a guest that is about to end; only when the reading is durable may it end."""
        ended_at = self._readings.keep_last(instance_id)
        if ended_at is not None:
            self._ends[instance_id] = ended_at

    # Converging

    def _reconcile_if_due(self) -> None:
        if not self._is_woken and self._reconcile_at is not None and self._now() < self._reconcile_at:
            return
        self._is_woken = False
        self._reconcile_at = self._now() + timedelta(seconds=RETRY_INTERVAL_S)
        if self.session is None:
            self._register()
        failed: set[UUID] = set()
        for _ in range(ROUNDS_MAX):
            steps = [step for step in self._look_and_plan() if subject_of(step) not in failed]
            if not steps or self._is_ending():
                break
            self._take_round(steps[:STEPS_A_ROUND_MAX], failed)
        self._reconcile_at = self._next_look_at()

    def _next_look_at(self) -> datetime:
        """Look again when the next guest's grace is over; one whose cut failed is tried again a little later."""
        now = self._now()
        retry_at = now + timedelta(seconds=RETRY_INTERVAL_S)
        cuts = [at if at > now else retry_at for at in self._deadlines.values()]
        return min([now + timedelta(seconds=RECONCILE_INTERVAL_S), *cuts])

    def _register(self) -> None:
        capacity = self._hypervisor.capacity()
        self._readings.hostname = capacity.hostname
        self.session = self._take_host(capacity)
        ends = self._settings.stop_note.read()
        if ends is not None:
            self._ends = ends
            self._tell_stop()
            self._record_look()
            self._settings.stop_note.clear()
            self.session = self._take_host(capacity)
        log.info("agent.registered", host=capacity.hostname, session=self.session.session)

    def _take_host(self, capacity: HostCapacity) -> HostSession:
        uri = self._settings.hypervisor_uri
        with transaction(self._pool) as tx:
            return compute.register_host(tx, capacity=capacity, hypervisor_uri=uri, now=self._now())

    def _look(self) -> HostObservation:
        """Look at the whole host; what was heard up to now tells when guests ended that are seen to be off."""
        observed_at = self._now()
        instances = tuple(self._hypervisor.list_instances())
        leftovers, networks = self._hypervisor.find_leftovers(), self._hypervisor.list_networks()
        self._note_heard()
        self._parting = parting_after(self._parting, instances)
        is_short = any(guest.is_stalled for guest in instances)
        room = self._hypervisor.free_disk_mib() if is_short else None
        return HostObservation(observed_at, instances, leftovers, networks, dict(self._ends), self._parting, room)

    def _note_heard(self) -> None:
        heard = [self._heard.popleft() for _ in range(len(self._heard))]
        self._ends = ends_after(self._ends, heard)

    def _record_look(self) -> HostObservation:
        session = self._required_session()
        look = self._look()
        try:
            with transaction(self._pool) as tx:
                compute.record_observation(tx, session=session, observation=look, now=self._now())
        except StaleAgent as error:
            self._require_host_is_ours(session)
            raise Unavailable(error.message) from error
        running = {guest.instance_id for guest in look.instances if guest.boot_epoch}
        self._ends = {instance_id: at for instance_id, at in self._ends.items() if instance_id in running}
        return look

    def _require_host_is_ours(self, session: HostSession) -> None:
        """Raise StaleAgent when another agent has the host; a look that was only too old is looked again."""
        with transaction(self._pool) as tx:
            compute.record_host_seen(tx, session=session, now=self._now())

    def _look_and_plan(self) -> tuple[Step, ...]:
        look = self._record_look()
        host_id = self._required_session().host_id
        with transaction(self._pool) as tx:
            desired = compute.desired_instances(tx, host_id, image_root=self._settings.image_root)
            networks = compute.networks_wanted(tx, host_id)
            consoles = compute.console_requests(tx, host_id)
        self._readings.specs = {instance.instance_id: instance.spec for instance in desired}
        if self._settings.guest_note is not None:
            self._settings.guest_note.keep(self._readings.specs)
        if consoles:
            self._answer_consoles(consoles)
        now, grace_s = self._now(), self._settings.stop_grace_s
        self._deadlines = shutdown_deadlines(desired, look, now=now, grace_s=grace_s)
        self._readings.watch_leaving(self._deadlines)
        return decide_steps(desired, networks, look, now=now, grace_s=grace_s)

    def _answer_consoles(self, requests: Sequence[tuple[UUID, datetime]]) -> None:
        answers = {
            instance_id: (requested_at, self._hypervisor.console_output(instance_id))
            for instance_id, requested_at in requests
        }
        with transaction(self._pool) as tx:
            compute.record_consoles(tx, answers)

    def _take_round(self, steps: Sequence[Step], failed: set[UUID]) -> None:
        """Take steps until it is time to look again, so that what has come true is known soon."""
        began_at = self._now()
        for step in steps:
            if subject_of(step) in failed:
                continue
            try:
                self._take_step(step)
            except Unavailable:
                raise
            except (DomainError, OSError) as error:
                failed.add(subject_of(step))
                self._record_failure(step, str(error))
            self._attempt("poll", self._readings.poll_if_due)
            if self._is_ending() or self._now() - began_at > timedelta(seconds=ROUND_S_MAX):
                return

    def _take_step(self, step: Step) -> None:
        take_step(
            self._hypervisor,
            step,
            keep_reading=lambda instance_id: self._readings.keep([instance_id]),
            keep_last_reading=self._keep_last_reading,
        )

    def _record_failure(self, step: Step, message: str) -> None:
        log.warning("agent.step_failed", step=type(step).__name__, subject=str(subject_of(step)), reason=message)
        if isinstance(step, EnsureNetwork | RemoveNetwork | RemoveOrphan):
            return
        with transaction(self._pool) as tx:
            compute.record_failure(
                tx,
                session=self._required_session(),
                instance_id=subject_of(step),
                generation=step.generation,
                message=message,
                now=self._now(),
            )

    # Stopping

    def _tell_stop(self) -> None:
        with transaction(self._pool) as tx:
            compute.begin_host_stop(tx, session=self._required_session())

    def _stop_guests(self) -> None:
        stop = HostStop(
            hypervisor=self._hypervisor,
            readings=self._readings,
            clock=self._now,
            pause=self._pause,
            attempt=self._attempt,
            note_end=self._note_end,
        )
        stop.run(grace_s=self._settings.stop_grace_s)

    def _note_end(self, instance_id: UUID, ended_at: datetime) -> None:
        """Note when a guest ended, unless the host has told the moment."""
        self._note_heard()
        self._ends.setdefault(instance_id, ended_at)

    def _required_session(self) -> HostSession:
        if self.session is None:
            raise Unavailable("the database has not taken this host's registration yet")
        return self.session
