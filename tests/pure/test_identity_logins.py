"""The limit on guessing: by account and address, bounded in memory, over after its window."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.logins import (
    FAILURES_PER_ACCOUNT_MAX,
    FAILURES_PER_ADDRESS_MAX,
    KEYS_MAX,
    WINDOW_S,
    Attempt,
    LoginLimiter,
)
from identity.model import TooManyLogins

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MALLORY = Attempt(account="admin@default", address="192.0.2.1")


def failed_times(times: int, attempt: Attempt = MALLORY) -> LoginLimiter:
    limiter = LoginLimiter()
    for _ in range(times):
        limiter.record_failure(attempt, NOW)
    return limiter


def test_the_last_allowed_failure_still_lets_one_try() -> None:
    failed_times(FAILURES_PER_ACCOUNT_MAX - 1).check(MALLORY, NOW)


@given(st.integers(0, WINDOW_S - 1))
def test_too_many_failures_close_the_account_for_that_address_until_the_window_ends(after_s: int) -> None:
    limiter = failed_times(FAILURES_PER_ACCOUNT_MAX)
    with pytest.raises(TooManyLogins) as refused:
        limiter.check(MALLORY, NOW + timedelta(seconds=after_s))
    assert 1 <= refused.value.retry_after_s <= WINDOW_S + 1 - after_s
    limiter.check(MALLORY, NOW + timedelta(seconds=WINDOW_S))


def test_the_owner_at_another_address_is_not_locked_out() -> None:
    failed_times(FAILURES_PER_ACCOUNT_MAX).check(Attempt("admin@default", "192.0.2.2"), NOW)


def test_many_accounts_from_one_address_close_the_address() -> None:
    limiter = LoginLimiter()
    for number in range(FAILURES_PER_ADDRESS_MAX):
        limiter.record_failure(Attempt(f"user{number}@default", MALLORY.address), NOW)
    with pytest.raises(TooManyLogins):
        limiter.check(Attempt("fresh@default", MALLORY.address), NOW)


def test_the_memory_of_failures_is_bounded() -> None:
    limiter = LoginLimiter()
    for number in range(KEYS_MAX):
        limiter.record_failure(Attempt(f"user{number}", f"address{number}"), NOW)
    assert len(limiter.counts) == KEYS_MAX
