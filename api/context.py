"""What every dialect is given: the settings, the database and the clock, and how a request finds them."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from starlette.requests import HTTPConnection

from foundation.database import Pool
from foundation.errors import DomainError, Unavailable
from foundation.settings import Settings
from identity.logins import LoginLimiter
from identity.model import TooManyLogins
from identity.passwords import HASHES_AT_ONCE_MAX

WAIT_S_MAX = 5.0
CONNECTIONS_WAITING_MAX = 500
LOGINS_WAITING_MAX = 64


class Admission:
    """Lets a few in at once and a bounded number wait, outside the threads, since a thread that waits is one that cannot work."""

    def __init__(self, size: int, *, waiting_max: int, refusal: Callable[[], DomainError]) -> None:
        self.places = asyncio.Semaphore(size)
        self.waiting = 0
        self.waiting_max = waiting_max
        self.refusal = refusal

    @asynccontextmanager
    async def admitted(self) -> AsyncGenerator[None]:
        """Wait for a place and hold it; raise the refusal where too many wait or it takes too long."""
        if self.waiting >= self.waiting_max:
            raise self.refusal()
        self.waiting += 1
        try:
            async with asyncio.timeout(WAIT_S_MAX):
                await self.places.acquire()
        except TimeoutError as error:
            raise self.refusal() from error
        finally:
            self.waiting -= 1
        try:
            yield
        finally:
            self.places.release()


def busy() -> DomainError:
    """Say that too many requests wait for the database."""
    return Unavailable("the service is busy; try again in a few seconds")


def busy_with_logins() -> DomainError:
    """Say that too many sign-ins wait for their turn."""
    return TooManyLogins(retry_after_s=5)


@dataclass(frozen=True, slots=True)
class ApiContext:
    """One for a process. `connections` admits as many requests to the database as the pool has connections."""

    settings: Settings
    pool: Pool
    clock: Callable[[], datetime]
    connections: Admission = field(init=False)
    logins: Admission = field(init=False)
    login_limiter: LoginLimiter = field(init=False, default_factory=LoginLimiter)

    def __post_init__(self) -> None:
        connections = Admission(self.pool.max_size, waiting_max=CONNECTIONS_WAITING_MAX, refusal=busy)
        logins = Admission(HASHES_AT_ONCE_MAX, waiting_max=LOGINS_WAITING_MAX, refusal=busy_with_logins)
        object.__setattr__(self, "connections", connections)
        object.__setattr__(self, "logins", logins)


def context_of(request: HTTPConnection) -> ApiContext:
    """Return the context of the dialect that serves the request."""
    return cast(ApiContext, request.app.state.context)
