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
from pydantic import Field, ValidationError

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
from entrypoints.logs import configure_logs
from entrypoints.notification_queue import BrokerAway, NotificationQueue, QueueOptions, place_of
from entrypoints.preflight import describe_wrong
from foundation.clock import utc_now
from foundation.database import Pool, Transaction, open_pool, transaction
from foundation.errors import Unavailable
from foundation.instruments import recorder
from foundation.settings import Settings

BACKOFF_FIRST_S = 1.0
BACKOFF_MAX_S = 30.0
DATABASE_WAIT_S_MAX = 5.0
CLASHES_MAX = 3
"""So often in a row a batch that clashed with another listener's is tried again before it is taken message by message."""
IDLE_WAIT_S = 0.5
FORGET_INTERVAL_S = 3600.0
TOLD_INTERVAL_S = 60.0
MEND_FULL = "nepho dead-letters list, then replay or discard them; or more room by NEPHO_DEAD_LETTERS_MIB_MAX"

log = structlog.get_logger()


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
                log.info("listener.connected", broker=place_of(self.queue.options.url))
                failures = 0
                self._listen()
            except BrokerAway as error:
                wait_s = backoff_s(failures)
                failures += 1
                log.warning("listener.broker_away", reason=str(error), again_in_s=wait_s)
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
        failures = 0
        while not self.stopping.is_set():
            try:
                taken = self._take(self.queue.pending)
            except DeadLettersFull as error:
                wait_s = backoff_s(failures)
                failures += 1
                log.error("listener.dead_letters_full", reason=error.message, mend=MEND_FULL, again_in_s=wait_s)
                self._idle(wait_s)
            except Unavailable as error:
                wait_s = min(backoff_s(failures), DATABASE_WAIT_S_MAX)
                failures += 1
                self._let_database_go()
                log.warning(
                    "listener.database_away", reason=error.message, waiting=len(self.queue.pending), again_in_s=wait_s
                )
                self._idle(wait_s)
            else:
                self.queue.acknowledge()
                self._count(taken)
                return

    def _idle(self, seconds: float) -> None:
        """Wait without letting the broker think that we are gone; it delivers no more than the prefetch."""
        until = monotonic() + seconds
        while not self.stopping.is_set() and monotonic() < until:
            self.queue.wait(min(IDLE_WAIT_S, max(0.0, until - monotonic())))

    def _take(self, messages: Sequence[Message]) -> Taken:
        """Take messages in transactions of the largest size; raises Unavailable."""
        total = Taken()
        for start in range(0, len(messages), self.batching.size_max):
            part = list(messages[start : start + self.batching.size_max])
            total = added(total, self._take_batch(part))
        return total

    def _take_batch(self, messages: Sequence[Message]) -> Taken:
        for _ in range(CLASHES_MAX):
            try:
                with transaction(self._database()) as tx:
                    return self._take_in(tx, messages)
            except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
                log.info("listener.clashed", messages=len(messages))
            except DeadLettersFull:
                break
            except Unavailable:
                raise
            except Exception:
                log.exception("listener.batch_failed", messages=len(messages))
                break
        return self._take_singly(messages)

    def _take_singly(self, messages: Sequence[Message]) -> Taken:
        """Take each message by itself, so that one that fails holds up no other: that one is kept with what went wrong."""
        total = Taken()
        for message in messages:
            try:
                with transaction(self._database()) as tx:
                    taken = self._take_in(tx, [message])
            except Unavailable:
                raise
            except Exception as error:
                log.exception("listener.message_failed", exchange=message.exchange)
                with transaction(self._database()) as tx:
                    fault = Malformed(f"{type(error).__name__}: {error}")
                    bury(tx, [(message, fault)], now=self.clock(), letters_bytes_max=self.letters_bytes_max)
                taken = Taken(dead=1)
            total = added(total, taken)
        return total

    def _take_in(self, tx: Transaction, messages: Sequence[Message]) -> Taken:
        return take_messages(
            tx, messages, catalogue=self.catalogue, now=self.clock(), letters_bytes_max=self.letters_bytes_max
        )

    def _count(self, taken: Taken) -> None:
        for name in ("taken", "repeated", "ignored", "dead"):
            self._told[name] = self._told.get(name, 0) + getattr(taken, name)
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


def added(one: Taken, other: Taken) -> Taken:
    """Add up what became of messages."""
    return Taken(
        one.taken + other.taken, one.repeated + other.repeated, one.ignored + other.ignored, one.dead + other.dead
    )


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


def database_of(settings: Settings) -> str:
    """Return the database that the settings name, or the running installation's."""
    given = settings.database_url.get_secret_value()
    if given:
        return given
    from entrypoints.sample_data import find_database_url

    return find_database_url(settings) or ""


def main(settings: ListenerSettings | None = None) -> int:
    """Listen until SIGINT or SIGTERM; returns the exit code."""
    configure_logs()
    try:
        chosen = settings or ListenerSettings()
    except ValidationError as error:
        wrong = " ".join(describe_wrong(ListenerSettings, one) for one in error.errors())
        print(f"nephoscope: {wrong}", file=sys.stderr)
        return 2
    if not chosen.amqp_url.get_secret_value():
        print("nephoscope: set NEPHO_AMQP_URL to the broker, amqp://user:password@host:5672/", file=sys.stderr)
        return 2
    recorder.keep_in(chosen.metrics_folder, "listener")
    if not database_of(chosen):
        print("nephoscope: no installation runs here: start `make run`, or set NEPHO_DATABASE_URL", file=sys.stderr)
        return 2
    try:
        catalogue = load_catalogue(Path(chosen.definitions) if chosen.definitions else None)
    except DefinitionsInvalid as error:
        print("\n".join(f"nephoscope: {problem}" for problem in error.problems), file=sys.stderr)
        return 2
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    url = database_of(chosen)
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
