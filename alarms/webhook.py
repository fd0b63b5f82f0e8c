"""Sends webhooks: leases what is due, calls outside any transaction, and records the outcome of exactly that attempt."""

import os
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from urllib.parse import urlsplit

import httpcore2
import structlog

from alarms import service
from alarms.delivery import Delivery, Outcome, OutcomeKind, signed_headers
from alarms.egress import AddressRefused, Deadline, EgressPolicy, PinnedBackend, Resolve, resolve_system
from alarms.model import check_webhook_url
from foundation.database import Pool, transaction
from foundation.database_clock import database_now
from foundation.errors import Invalid
from foundation.instruments import counter
from foundation.settings import Settings

TOTAL_DEADLINE_S = 15.0
READ_TIMEOUT_S = 10.0
ANSWER_BYTES_MAX = 64 * 1024
ANSWER_KEPT_CHARACTERS = 1_000
ERROR_CHARACTERS_MAX = 500
SENDERS_MAX = 20
ROUND_WAIT_S = 2.0
USER_AGENT = "Nephoscope-Webhook/1"

log = structlog.get_logger("webhook")

ATTEMPTS = counter("nephoscope_delivery_attempts_total", "Attempts to send a webhook, by what came of them.", "outcome")


@dataclass(frozen=True, slots=True)
class Sender:
    """How webhooks leave this process: where they may go, how names are resolved, whom TLS trusts, and how long one may take."""

    policy: EgressPolicy
    resolve: Resolve = resolve_system
    tls: ssl.SSLContext = field(default_factory=lambda: _system_trust())
    deadline_s: float = TOTAL_DEADLINE_S

    def send(self, delivery: Delivery, *, secrets: Sequence[bytes], sent_at: datetime) -> Outcome:
        """POST a delivery once and say what came of it; whatever the receiver does, this returns within the deadline.

        No redirect is followed, no proxy or other environment is obeyed, nothing is decompressed, and at most 64 KiB is read.
        """
        started = time.monotonic()
        url, body = delivery.url.removeprefix("trust+"), delivery.body.encode()
        headers = {
            **signed_headers(delivery.id, body, secrets=secrets, sent_at=sent_at),
            "content-type": "application/json",
            "user-agent": USER_AGENT,
            "x-openstack-request-id": f"req-{delivery.event_id}",
        }
        try:
            check_webhook_url(url)
            status, answer = self._exchange(url, headers, body)
        except (AddressRefused, Invalid) as error:
            return Outcome(OutcomeKind.REFUSED, _elapsed_ms(started), error=_as_reason(str(error)))
        except (
            httpcore2.NetworkError,
            httpcore2.TimeoutException,
            httpcore2.ProtocolError,
            httpcore2.UnsupportedProtocol,
            OSError,
        ) as error:
            reason = f"{type(error).__name__}: {error}"
            return Outcome(OutcomeKind.UNREACHABLE, _elapsed_ms(started), error=_as_reason(reason))
        kind = OutcomeKind.DELIVERED if 200 <= status < 300 else OutcomeKind.REJECTED
        error = None if kind is OutcomeKind.DELIVERED else _explain_status(status)
        return Outcome(kind, _elapsed_ms(started), status_code=status, answer=_as_text(answer), error=error)

    def _exchange(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        deadline = Deadline.after(self.deadline_s)
        is_tls = urlsplit(url).scheme == "https"
        backend = PinnedBackend(self.policy, deadline=deadline, is_tls=is_tls, resolve=self.resolve)
        timeouts = {"connect": READ_TIMEOUT_S, "read": READ_TIMEOUT_S, "write": READ_TIMEOUT_S, "pool": READ_TIMEOUT_S}
        with (
            httpcore2.ConnectionPool(ssl_context=self.tls, network_backend=backend, max_connections=1) as pool,
            pool.stream(
                "POST", url, headers=list(headers.items()), content=body, extensions={"timeout": timeouts}
            ) as response,
        ):
            received = bytearray()
            for chunk in response.iter_stream():
                received += chunk
                if len(received) >= ANSWER_BYTES_MAX:
                    break
            return response.status, bytes(received[:ANSWER_BYTES_MAX])


@lru_cache(maxsize=1)
def _system_trust() -> ssl.SSLContext:
    return ssl.create_default_context()


def _elapsed_ms(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


def _explain_status(status: int) -> str:
    if 300 <= status < 400:
        return f"answered {status}; redirects are not followed: set the action to the final URL"
    return f"answered {status}"


def _as_reason(text: str) -> str:
    return text.replace("\x00", "\ufffd")[:ERROR_CHARACTERS_MAX]


def _as_text(answer: bytes) -> str:
    return (
        answer[: ANSWER_KEPT_CHARACTERS * 4].decode(errors="replace").replace("\x00", "\ufffd")[:ANSWER_KEPT_CHARACTERS]
    )


def send_due(pool: Pool, settings: Settings, *, limit: int, sender: Sender | None = None) -> int:
    """Send what is due, side by side, and return how many, or 0 when the caller's turn shall end.

    It waits for answers at most ROUND_WAIT_S: a slow receiver is awaited by its own thread, which records what comes of it
    within the deadline, and holds up neither the other deliveries nor the worker.
    """
    threads, under_way = _threads_of(os.getpid())
    under_way -= {sending for sending in under_way if sending.done()}
    free = min(limit, SENDERS_MAX - len(under_way))
    if free <= 0:
        return 0
    owner = f"{socket.gethostname()}:{os.getpid()}"
    sending = sender or Sender(EgressPolicy.from_setting(settings.webhook_allow_cidrs))
    with transaction(pool) as tx:
        now = database_now(tx)
        leased = service.lease_deliveries(tx, owner, now=now, limit=free)
        secrets = service.signing_secrets(tx, [delivery.project_id for delivery in leased], now=now)
    sent = {
        threads.submit(_send_and_record, pool, sending, delivery=delivery, secrets=secrets[delivery.project_id], at=now)
        for delivery in leased
    }
    under_way |= sent
    return len(leased) if not wait(sent, timeout=ROUND_WAIT_S).not_done else 0


def _send_and_record(pool: Pool, sender: Sender, *, delivery: Delivery, secrets: Sequence[bytes], at: datetime) -> None:
    """Send one delivery, then record what came of it; what we did not foresee is a failed attempt too, kept with its reason.

    An outcome that cannot be recorded is logged: once its lease has ended, the delivery is sent again.
    """
    try:
        outcome = sender.send(delivery, secrets=secrets, sent_at=at)
    except Exception as error:  # noqa: BLE001 - kept with the attempt, where its owner and we can read it
        outcome = Outcome(OutcomeKind.UNREACHABLE, 0, error=_as_reason(f"{type(error).__name__}: {error}"))
    ATTEMPTS.add(1, outcome.kind.value)
    try:
        with transaction(pool) as tx:
            service.record_delivery_outcome(tx, delivery, outcome=outcome, now=database_now(tx))
    except Exception:
        log.exception("webhook.outcome_not_recorded", delivery_id=str(delivery.id), outcome=outcome.kind.value)
        raise


@lru_cache(maxsize=1)
def _threads_of(pid: int) -> tuple[ThreadPoolExecutor, set[Future[None]]]:
    """The sending threads of this process and what they are at; a child after a fork has its own."""
    return ThreadPoolExecutor(max_workers=SENDERS_MAX, thread_name_prefix=f"webhook-{pid}"), set()
