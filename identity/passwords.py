"""Passwords: argon2id at a bounded cost, so that signing in can neither be guessed nor used to exhaust the machine."""

import secrets
import threading
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from foundation.errors import Invalid
from identity.model import PASSWORD_BYTES_MAX, TooManyLogins

ARGON2_MEMORY_KIB = 32 * 1024
ARGON2_ROUNDS = 3
"""Above OWASP's least (19 MiB, 2 rounds): about 65 ms on a small machine."""

HASHES_AT_ONCE_MAX = 2
HASH_WAIT_S_MAX = 3.0
PASSWORD_LENGTH_MIN = 8
GENERATED_PASSWORD_BYTES = 18

argon2id = PasswordHasher(time_cost=ARGON2_ROUNDS, memory_cost=ARGON2_MEMORY_KIB, parallelism=1)
turns = threading.BoundedSemaphore(HASHES_AT_ONCE_MAX)


@cache
def nobodys_hash() -> str:
    """Return what is verified where there is no such user, so that the answer takes as long."""
    return argon2id.hash(secrets.token_urlsafe())


def hash_password(password: str) -> str:
    """Hash a password for storing; raise Invalid where it is too short or too long."""
    raw = password_bytes(password)
    if len(password) < PASSWORD_LENGTH_MIN:
        raise Invalid(f"a password has at least {PASSWORD_LENGTH_MIN} characters", field="password")
    if len(raw) > PASSWORD_BYTES_MAX:
        raise Invalid(f"a password has at most {PASSWORD_BYTES_MAX} bytes", field="password")
    take_turn()
    try:
        return argon2id.hash(raw)
    finally:
        turns.release()


def is_password(candidate: str, stored_hash: str | None) -> bool:
    """Tell whether a password is the one stored; it takes the same time where there is none."""
    raw = password_bytes(candidate)[:PASSWORD_BYTES_MAX]
    take_turn()
    try:
        stand_in = nobodys_hash()
        argon2id.verify(stored_hash or stand_in, raw)
    except (VerificationError, InvalidHashError):
        return False
    finally:
        turns.release()
    return stored_hash is not None and len(password_bytes(candidate)) <= PASSWORD_BYTES_MAX


def take_turn() -> None:
    """Wait for one of the few hashes that may run at once."""
    if not turns.acquire(timeout=HASH_WAIT_S_MAX):
        raise TooManyLogins(retry_after_s=int(HASH_WAIT_S_MAX))


def password_bytes(password: str) -> bytes:
    """Return the bytes that are hashed."""
    return password.encode("utf-8", "surrogatepass")


def generate_password() -> str:
    """Return a password that nobody chose."""
    return secrets.token_urlsafe(GENERATED_PASSWORD_BYTES)
