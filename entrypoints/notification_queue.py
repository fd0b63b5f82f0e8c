"""The listener's connection to the broker: what it declares and binds, what waits to be acknowledged, and heartbeats."""

import re
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from amqp.exceptions import ConnectionError as BrokerRefusal
from amqp.exceptions import NotFound
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.exceptions import KombuError
from kombu.messaging import Consumer

from collectors.listening import Message

CONNECT_TIMEOUT_S = 5
HEARTBEAT_S = 30
HEARTBEAT_CHECK_INTERVAL_S = 10.0
LOOK_AGAIN_INTERVAL_S = 5.0
"""How often it looks for exchanges and queues that were not there: a service makes its own with its first notification."""
EXCHANGE_TYPE = "topic"

log = structlog.get_logger()


class BrokerAway(Exception):
    """The broker does not answer, refuses us, or ended the connection; what was not acknowledged it delivers again."""


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """Where and what to hear.

    With a queue's name, that queue is ours: durable, and bound to the exchanges beside whoever else listens. Without one, the
    services' own queues are read, which they name by their topics. `durable_exchanges` lets us make exchanges that are not
    there, in the way that the services will expect to find them; None leaves making them to the services.
    """

    url: str
    exchanges: tuple[str, ...]
    topics: tuple[str, ...]
    queue: str
    prefetch: int
    ca_file: str = ""
    durable_exchanges: bool | None = None


def amqp_url(url: str) -> str:
    """Return a URL as our client reads it: OpenStack writes rabbit:// for amqp://, and leaves the virtual host's / away."""
    return ";".join(re.sub("^rabbit://", "amqp://", one.strip()) for one in url.split(";"))


def tls_of(options: QueueOptions) -> Any:
    """Return how TLS is spoken with amqps://: the broker's certificate is always checked, against its host's name as well."""
    if not options.url.startswith("amqps://"):
        return False
    settings: dict[str, object] = {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": None}
    return {**settings, "ca_certs": options.ca_file} if options.ca_file else settings


@dataclass(slots=True)
class NotificationQueue:
    """One consumer; `pending` is what was delivered and not acknowledged, in order. Any call may raise BrokerAway."""

    options: QueueOptions
    pending: list[Message] = field(default_factory=list[Message])
    _connection: Any = None
    _consumer: Any = None
    _tags: list[int] = field(default_factory=list[int])
    _checked_at: float = 0.0
    _looked_at: float = 0.0
    _missing: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    def open(self) -> None:
        """Connect, declare and begin to consume."""
        url = amqp_url(self.options.url)
        self._connection = Connection(
            url, connect_timeout=CONNECT_TIMEOUT_S, heartbeat=HEARTBEAT_S, ssl=tls_of(self.options)
        )
        try:
            self._connection.connect()
            channel = self._connection.channel()
            queues = [self._own_queue(channel)] if self.options.queue else []
            self._consumer = Consumer(
                channel, queues=queues, on_message=self._hear, prefetch_count=self.options.prefetch, no_ack=False
            )
            self._missing = self._everything()
            self._look_for_missing()
            self._consumer.consume()
        except self._failures() as error:
            raise BrokerAway(reason_of(error)) from error

    def _own_queue(self, channel: Any) -> Any:
        queue: Any = Queue(self.options.queue, durable=True, auto_delete=False, no_declare=True)
        queue(channel).queue_declare()
        return queue

    def _everything(self) -> set[tuple[str, str]]:
        """What is to be found: each exchange with each topic, or, without a queue of our own, each topic's queue."""
        if self.options.queue:
            return {(exchange, topic) for exchange in self.options.exchanges for topic in self.options.topics}
        return {("", topic) for topic in self.options.topics}

    def wait(self, timeout_s: float) -> None:
        """Take what is delivered within so many seconds into `pending`, keep the connection alive, look for what was missing."""
        try:
            self._connection.drain_events(timeout=timeout_s)
        except TimeoutError:
            pass
        except self._failures() as error:
            raise BrokerAway(reason_of(error)) from error
        now = time.monotonic()
        try:
            if now - self._checked_at >= HEARTBEAT_CHECK_INTERVAL_S:
                self._checked_at = now
                self._connection.heartbeat_check()
            if self._missing and now - self._looked_at >= LOOK_AGAIN_INTERVAL_S:
                self._look_for_missing()
        except self._failures() as error:
            raise BrokerAway(reason_of(error)) from error

    def acknowledge(self, count: int) -> None:
        """Tell the broker that so many of what is pending, the oldest, were taken."""
        try:
            self._consumer.channel.basic_ack(self._tags[count - 1], multiple=True)
        except self._failures() as error:
            raise BrokerAway(reason_of(error)) from error
        del self.pending[:count], self._tags[:count]

    def close(self) -> None:
        """Let go of the connection; what is pending the broker delivers again."""
        connection, self._connection, self._consumer = self._connection, None, None
        self.pending.clear()
        self._tags.clear()
        if connection is not None:
            connection.release()

    def _hear(self, message: Any) -> None:
        body = message.body
        raw = body.encode("utf-8", "surrogateescape") if isinstance(body, str) else bytes(body)
        info = message.delivery_info
        self.pending.append(Message(raw, str(info.get("exchange") or ""), str(info.get("routing_key") or "")))
        self._tags.append(message.delivery_tag)

    def _look_for_missing(self) -> None:
        self._looked_at = time.monotonic()
        before = len(self._missing)
        if self.options.queue:
            for exchange in sorted({exchange for exchange, _ in self._missing}):
                if self._has_exchange(exchange):
                    self._bind(exchange)
        else:
            for _, topic in sorted(self._missing):
                if self._has_queue(topic):
                    self._consumer.add_queue(Queue(topic, no_declare=True))
                    self._consumer.consume()
                    self._missing.discard(("", topic))
        if len(self._missing) < before:
            log.info("listener.found", still_missing=sorted({" ".join(one).strip() for one in self._missing}))

    def _bind(self, exchange: str) -> None:
        for topic in self.options.topics:
            self._consumer.channel.queue_bind(self.options.queue, exchange=exchange, routing_key=topic)
            self._missing.discard((exchange, topic))

    def _has_exchange(self, name: str) -> bool:
        """Tell whether an exchange is there, or make it where that is wished; on a channel that a refusal may close."""
        durable = self.options.durable_exchanges
        with self._connection.channel() as channel:
            try:
                channel.exchange_declare(name, EXCHANGE_TYPE, passive=True)
            except NotFound:
                if durable is None:
                    return False
                with self._connection.channel() as another:
                    made: Any = Exchange(name, type=EXCHANGE_TYPE, durable=durable, auto_delete=False)
                    made(another).declare()
        return True

    def _has_queue(self, name: str) -> bool:
        with self._connection.channel() as channel:
            try:
                channel.queue_declare(name, passive=True)
            except NotFound:
                return False
        return True

    def _failures(self) -> tuple[type[BaseException], ...]:
        known: Sequence[type[BaseException]] = (*self._connection.connection_errors, *self._connection.channel_errors)
        return (*known, KombuError, BrokerRefusal, OSError)


def reason_of(error: BaseException) -> str:
    """Return the first line of what went wrong."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
