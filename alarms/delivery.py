"""A delivery: what is told to whom, how it is signed, what can come of an attempt, and when to try again (pure)."""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal, TypeAlias
from uuid import UUID

from foundation.errors import Conflict, NotFound

ATTEMPTS_MAX_DEFAULT = 10
RETRY_DELAYS_S = (5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800)
JITTER_SHARE = 0.2
SECRET_BYTES = 32
SECRET_PREFIX = "whsec_"  # noqa: S105 - the marker of Standard Webhooks, not a secret
SECRET_OVERLAP = timedelta(hours=24)
LEASE_LENGTH = timedelta(seconds=60)
"""Longer than any attempt (15 s), so that only a sender that died loses its lease."""


DeliveryState: TypeAlias = Literal["pending", "delivered", "failed"]
AttemptOutcome: TypeAlias = Literal["delivered", "rejected", "unreachable", "refused", "abandoned"]


class DeliveryNotFound(NotFound):
    """No such delivery in the caller's project."""


class DeliveryPending(Conflict):
    """The delivery is still being tried."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one URL; its id is the webhook-id of every attempt."""

    id: UUID
    project_id: str
    alarm_id: UUID | None
    event_id: UUID
    url: str
    body: str
    state: DeliveryState
    attempts: int
    attempts_max: int
    next_attempt_at: datetime
    lease_owner: str | None
    lease_until: datetime | None
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try, as the delivery log shows it; without an outcome it is under way."""

    delivery_id: UUID
    attempt: int
    started_at: datetime
    finished_at: datetime | None
    outcome: AttemptOutcome | None
    status_code: int | None
    latency_ms: int | None
    answer: str | None
    error: str | None


class OutcomeKind(StrEnum):
    """What can come of an attempt: taken, answered otherwise, no answer, or not sent because of where it leads."""

    DELIVERED = "delivered"
    REJECTED = "rejected"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one attempt; `answer` is the beginning of the receiver's body as text."""

    kind: OutcomeKind
    latency_ms: int
    status_code: int | None = None
    answer: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """A project's secret, and for a while after a rotation the one before."""

    project_id: str
    secret: bytes
    previous_secret: bytes | None = None
    previous_until: datetime | None = None

    def active(self, now: datetime) -> Sequence[bytes]:
        """The secrets that sign now, the newest first."""
        if self.previous_secret is not None and self.previous_until is not None and now < self.previous_until:
            return (self.secret, self.previous_secret)
        return (self.secret,)


def secret_text(secret: bytes) -> str:
    """Write a secret as Standard Webhooks does: whsec_ and base64."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def signed_headers(delivery_id: UUID, body: bytes, *, secrets: Sequence[bytes], sent_at: datetime) -> Mapping[str, str]:
    """Return the three headers of Standard Webhooks 1.0.0: id, timestamp, and one v1 signature a secret."""
    message_id, timestamp = f"msg_{delivery_id.hex}", str(int(sent_at.timestamp()))
    signed = f"{message_id}.{timestamp}.".encode() + body
    signatures = (base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode() for secret in secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def retry_delay(delivery_id: UUID, attempt: int) -> timedelta:
    """How long to wait after a failed attempt: growing, bounded, and spread by up to a fifth so that retries do not march in step.

    The spread comes from the delivery and the attempt, so that the same failure waits the same time wherever it is recorded.
    """
    base_s = RETRY_DELAYS_S[min(attempt, len(RETRY_DELAYS_S)) - 1]
    digest = hashlib.sha256(delivery_id.bytes + attempt.to_bytes(4, "big")).digest()
    spread = int.from_bytes(digest[:4], "big") / 2**32 * 2 - 1
    return timedelta(seconds=base_s * (1 + JITTER_SHARE * spread))


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has it."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again then."""

    at: datetime


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No attempt is left, or none can succeed."""


GONE = 410


def decide_next(delivery: Delivery, outcome: Outcome, *, now: datetime) -> Delivered | Retry | GiveUp:
    """Decide what follows an attempt: 2xx is success; a refused address and 410 Gone are final; all else is tried again.

    One that is sent again by hand waits as a new one does, not for the hours at which its first series ended.
    """
    if outcome.kind is OutcomeKind.DELIVERED:
        return Delivered()
    is_final = outcome.kind is OutcomeKind.REFUSED or outcome.status_code == GONE
    if is_final or delivery.attempts >= delivery.attempts_max:
        return GiveUp()
    of_this_series = delivery.attempts - (delivery.attempts_max - ATTEMPTS_MAX_DEFAULT)
    return Retry(now + retry_delay(delivery.id, max(1, of_this_series)))
