"""How often one may guess: failed sign-ins are counted by account and address, and by address alone.

The counts live in this process and are lost with it, so with n API processes an attacker has n times the guesses; memory is
bounded by KEYS_MAX, and where that is reached the oldest count is forgotten.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from identity.model import TooManyLogins

FAILURES_PER_ACCOUNT_MAX = 10
FAILURES_PER_ADDRESS_MAX = 100
WINDOW_S = 60
KEYS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Attempt:
    """Who tries to sign in, and from where."""

    account: str
    address: str

    def limits(self) -> Sequence[tuple[str, int]]:
        """The counts that this attempt belongs to, each with its limit in a window."""
        return (
            (f"account {self.account} {self.address}", FAILURES_PER_ACCOUNT_MAX),
            (f"address {self.address}", FAILURES_PER_ADDRESS_MAX),
        )


@dataclass(slots=True)
class FailureCount:
    """Failures since a window began."""

    began_at: datetime
    failures: int


class LoginLimiter:
    """Refuses further sign-ins of an account from an address, or from an address, until the window of its failures has passed."""

    def __init__(self) -> None:
        self.counts: OrderedDict[str, FailureCount] = OrderedDict()
        self.lock = threading.Lock()

    def check(self, attempt: Attempt, now: datetime) -> None:
        """Raise TooManyLogins where a limit is reached."""
        with self.lock:
            for key, limit in attempt.limits():
                count = self.counts.get(key)
                if count is None or count.failures < limit:
                    continue
                left = count.began_at + timedelta(seconds=WINDOW_S) - now
                if left > timedelta(0):
                    raise TooManyLogins(retry_after_s=int(left.total_seconds()) + 1)
                del self.counts[key]

    def record_failure(self, attempt: Attempt, now: datetime) -> None:
        """Count a failed sign-in."""
        with self.lock:
            for key, _ in attempt.limits():
                count = self.counts.get(key)
                if count is None or now - count.began_at >= timedelta(seconds=WINDOW_S):
                    self.counts[key] = FailureCount(now, 1)
                else:
                    count.failures += 1
                self.counts.move_to_end(key)
            while len(self.counts) > KEYS_MAX:
                self.counts.popitem(last=False)
