"""The listener process: takes OpenStack's notifications from AMQP into metering; a message is acknowledged after its commit, never before."""

import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from time import monotonic
from types import FrameType

import psycopg
import structlog
from pydantic import Field

from collectors.definitions.files import (
    Catalogue,
    DefinitionsInvalid,
    definition_files,
    load_catalogue,
    read_files,
)
from collectors.listening import (
    LETTERS_BYTES_MAX,
    MESSAGES_MAX,
    DeadLettersFull,
    Message,
    Taken,
    bury,
    forget_heard,
    forget_settled,
    take_messages,
)
from collectors.notifications import Malformed
from entrypoints.installed_database import chosen_settings, get_database_url, give_up
from entrypoints.logs import configure_logs
from entrypoints.notification_queue import BrokerAway, NotificationQueue, QueueOptions
from entrypoints.preflight import broker_place
from foundation.clock import utc_now
from foundation.database import Pool, Transaction, open_pool, transaction
from foundation.errors import Unavailable
from foundation.instruments import counter, recorder
from foundation.settings import Settings

BACKOFF_FIRST_S = 1.0
BACKOFF_MAX_S = 30.0
DATABASE_WAIT_S_MAX = 5.0
CLASHES_MAX = 3
"""So often in a row a batch that clashed with another listener's is tried again before it is taken message by message."""
CLASHES = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
SCHEMES = ("amqp://", "amqps://", "rabbit://")
IDLE_WAIT_S = 0.5
FORGET_INTERVAL_S = 3600.0
TOLD_INTERVAL_S = 60.0
MEND_FULL = "nepho dead-letters list, then replay or discard them; or more room by NEPHO_DEAD_LETTERS_MIB_MAX"

log = structlog.get_logger()

OUTCOMES = ("taken", "repeated", "ignored", "dead")
NOTIFICATIONS = counter("nephoscope_notifications_total", "Notifications heard, by what became of them.", "outcome")


class ListenerSettings(Settings):
    """What an operator can set of the listener, beside what all processes share."""

    notification_exchanges: str = Field(
        default="", description="exchanges of the services, separated by commas; empty: those that the definitions name"
    )
    notification_topics: str = Field(
        default="notifications.info,notifications.error", min_length=1, description="routing keys, separated by commas"
    )
    notification_queue: str = Field(
        default="nephoscope", max_length=200, description="our durable queue; empty: the services' own queues are read"
    )
    amqp_ca_file: str = Field(default="", description="certificates that an amqps broker's is checked against")
    amqp_durable_queues: bool | None = Field(
        default=None, description="the services' option of this name: then exchanges that are missing are made so"
    )
    notification_batch: int = Field(
        default=100, ge=1, le=MESSAGES_MAX, description="messages in one transaction at most"
    )
    notification_batch_wait_ms: int = Field(
        default=200, ge=0, le=10_000, description="how long a message may wait for others"
    )
    dead_letters_mib_max: int = Field(
        default=LETTERS_BYTES_MAX >> 20,
        ge=10,
        le=1 << 20,
        description="room for dead letters that wait; once it is used up, what cannot be taken stays with the broker",
    )

    def queue_options(self, catalogue: Catalogue) -> QueueOptions:
        """Return what to hear."""
        exchanges = listed(self.notification_exchanges) or catalogue.exchanges
        return QueueOptions(
            url=self.amqp_url.get_secret_value(),
            exchanges=tuple(exchanges),
            topics=listed(self.notification_topics),
            queue=self.notification_queue.strip(),
            prefetch=2 * self.notification_batch,
            ca_file=self.amqp_ca_file,
            durable_exchanges=self.amqp_durable_queues,
        )


def listed(text: str) -> tuple[str, ...]:
    """Read a list separated by commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


@dataclass(slots=True)
class Batching:
    """How many messages make a transaction, and how long the first of them waits for others."""

    size_max: int
    wait_s: float
    began_at: float | None = None

    def is_due(self, waiting: int, now: float) -> bool:
        """Tell whether what waits is to be taken."""
        if waiting == 0:
            self.began_at = None
            return False
        if self.began_at is None:
            self.began_at = now
        return waiting >= self.size_max or now - self.began_at >= self.wait_s

    def wait_for(self, waiting: int, now: float) -> float:
        """Return how long to listen before looking again."""
        return IDLE_WAIT_S if waiting == 0 or self.began_at is None else max(0.0, self.began_at + self.wait_s - now)


@dataclass(slots=True)
class Listener:
    """Hears, takes, acknowledges, in this order; while the database is away it keeps what it heard and acknowledges nothing."""

    queue: NotificationQueue
    open_database: Callable[[], Pool]
    catalogue: Catalogue
    batching: Batching
    clock: Callable[[], datetime]
    stopping: threading.Event
    letters_bytes_max: int = LETTERS_BYTES_MAX
    _pool: Pool | None = None
    _told: dict[str, int] = field(default_factory=dict[str, int])
    _told_at: float = 0.0
    _forgot_at: float = 0.0

    def run(self) -> int:
        """Listen until told to stop; a broker that is away is tried again, waiting longer each time."""
        try:
            self._run()
        finally:
            self._let_database_go()
        self._tell(is_last=True)
        return 0

    def _run(self) -> None:
        failures = 0
        while not self.stopping.is_set():
            try:
                self.queue.open()
                log.info("listener.connected", broker=broker_place(self.queue.options.url))
                failures = 0
                self._listen()
            except BrokerAway as error:
                wait_s = backoff_s(failures)
                failures += 1
                place = broker_place(self.queue.options.url)
                log.warning("listener.broker_away", broker=place, reason=str(error), again_in_s=wait_s)
                self.stopping.wait(wait_s)
            finally:
                self.queue.close()

    def _database(self) -> Pool:
        if self._pool is None:
            self._pool = self.open_database()
        return self._pool

    def _let_database_go(self) -> None:
        """Close the pool: one that could not connect waits twice as long each time, and would come back late."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def _listen(self) -> None:
        while not self.stopping.is_set():
            self.queue.wait(self.batching.wait_for(len(self.queue.pending), monotonic()))
            if self.batching.is_due(len(self.queue.pending), monotonic()):
                self._take_pending()
                self.batching.began_at = None
            self._keep_house()

    def _take_pending(self) -> None:
        """Take what waits by now, part by part; each part is acknowledged after its commit and before the next."""
        failures, left, single = 0, len(self.queue.pending), 0
        while left > 0 and not self.stopping.is_set():
            part = self.queue.pending[: min(left, 1 if single else self.batching.size_max)]
            try:
                taken = self._take_one(part[0]) if single else self._take_batch(part)
            except Unavailable as error:
                self._wait_for_room(error, failures)
                failures += 1
                continue
            if taken is None:
                single = len(part)
                continue
            self.queue.acknowledge(len(part))
            self._count(taken)
            left, single, failures = left - len(part), max(0, single - len(part)), 0

    def _wait_for_room(self, error: Unavailable, failures: int) -> None:
        """Say why nothing more can be taken now, and wait, longer each time."""
        if isinstance(error, DeadLettersFull):
            wait_s = backoff_s(failures)
            log.error("listener.dead_letters_full", reason=error.message, mend=MEND_FULL, again_in_s=wait_s)
        else:
            wait_s = min(backoff_s(failures), DATABASE_WAIT_S_MAX)
            self._let_database_go()
            waiting = len(self.queue.pending)
            log.warning("listener.database_away", reason=error.message, waiting=waiting, again_in_s=wait_s)
        self._idle(wait_s)

    def _idle(self, seconds: float) -> None:
        """Wait without letting the broker think that we are gone; it delivers no more than the prefetch."""
        until = monotonic() + seconds
        while not self.stopping.is_set() and monotonic() < until:
            self.queue.wait(min(IDLE_WAIT_S, max(0.0, until - monotonic())))

    def _take_batch(self, messages: Sequence[Message]) -> Taken | None:
        """Take messages in one transaction; None where they do not go together and are to be taken one by one."""
        for _ in range(CLASHES_MAX):
            try:
                with transaction(self._database()) as tx:
                    return self._take_in(tx, messages)
            except CLASHES:
                log.info("listener.clashed", messages=len(messages))
            except DeadLettersFull:
                return None
            except Unavailable:
                raise
            except Exception:
                log.exception("listener.batch_failed", messages=len(messages))
                return None
        return None

    def _take_one(self, message: Message) -> Taken:
        """Take a message by itself, so that one that fails holds up no other: that one is kept with what went wrong."""
        try:
            with transaction(self._database()) as tx:
                return self._take_in(tx, [message])
        except CLASHES as error:
            raise Unavailable("another listener is at the same resource") from error
        except Unavailable:
            raise
        except Exception as error:
            log.exception("listener.message_failed", exchange=message.exchange)
            fault = Malformed(f"{type(error).__name__}: {error}")
            with transaction(self._database()) as tx:
                bury(tx, [(message, fault)], now=self.clock(), letters_bytes_max=self.letters_bytes_max)
            return Taken(dead=1)

    def _take_in(self, tx: Transaction, messages: Sequence[Message]) -> Taken:
        return take_messages(
            tx, messages, catalogue=self.catalogue, now=self.clock(), letters_bytes_max=self.letters_bytes_max
        )

    def _count(self, taken: Taken) -> None:
        for name in OUTCOMES:
            count = int(getattr(taken, name))
            self._told[name] = self._told.get(name, 0) + count
            if count:
                NOTIFICATIONS.add(count, name)
        if taken.dead:
            log.warning("listener.dead_letters", count=taken.dead, mend="nepho dead-letters list")

    def _keep_house(self) -> None:
        now = monotonic()
        if now - self._told_at >= TOLD_INTERVAL_S:
            self._told_at = now
            self._tell()
        if now - self._forgot_at >= FORGET_INTERVAL_S:
            self._forgot_at = now
            try:
                with transaction(self._database()) as tx:
                    forget_heard(tx, now=self.clock())
                    forget_settled(tx, now=self.clock())
            except Unavailable as error:
                log.warning("listener.database_away", reason=error.message)

    def _tell(self, *, is_last: bool = False) -> None:
        if any(self._told.values()):
            log.info("listener.notifications", **self._told)
            self._told = {}
        if is_last:
            log.info("listener.stopped")


def backoff_s(failures: int) -> float:
    """Return how long to wait after so many failures in a row."""
    return min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** min(failures, 10))


def check_definitions(path: Path) -> int:
    """Say what is wrong with a file or folder of definitions, or how much it defines; returns the exit code."""
    try:
        files = definition_files(path) if path.exists() else [path]
        read = read_files(files)
    except DefinitionsInvalid as error:
        print("\n".join(error.problems), file=sys.stderr)
        return 1
    print(f"files: {len(read)}, entries: {sum(len(file.entries) for file in read)}, all is well")
    return 0


def main(settings: ListenerSettings | None = None) -> int:
    """Listen until SIGINT or SIGTERM; returns the exit code."""
    configure_logs()
    chosen = settings or chosen_settings(ListenerSettings)
    if not chosen.amqp_url.get_secret_value():
        give_up("set NEPHO_AMQP_URL to the broker, amqp://user:password@host:5672/")
    for url in chosen.amqp_url.get_secret_value().split(";"):
        if not url.strip().startswith(SCHEMES):
            place = broker_place(url)
            give_up(f"NEPHO_AMQP_URL, {place}, is none of a broker: write it as amqp://user:password@host:5672/")
    recorder.keep_in(chosen.metrics_folder, "listener")
    url = get_database_url(chosen)
    try:
        catalogue = load_catalogue(Path(chosen.definitions) if chosen.definitions else None)
    except DefinitionsInvalid as error:
        give_up("\n".join(error.problems))
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    return Listener(
        NotificationQueue(chosen.queue_options(catalogue)),
        lambda: open_pool(url, size_max=1, application_name="nephoscope-listener"),
        catalogue,
        Batching(chosen.notification_batch, chosen.notification_batch_wait_ms / 1000),
        utc_now,
        stopping,
        chosen.dead_letters_mib_max << 20,
    ).run()


if __name__ == "__main__":
    sys.exit(main())
