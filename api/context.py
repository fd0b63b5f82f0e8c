"""What every dialect is given: the settings, the database and the clock, and how a request finds them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from starlette.requests import HTTPConnection

from foundation.database import Pool
from foundation.settings import Settings


@dataclass(frozen=True, slots=True)
class ApiContext:
    """One for a process; `connections` admits as many requests to the database as the pool has connections."""

    settings: Settings
    pool: Pool
    clock: Callable[[], datetime]
    connections: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "connections", asyncio.Semaphore(self.pool.max_size))


def context_of(request: HTTPConnection) -> ApiContext:
    """Return the context of the dialect that serves the request."""
    return cast(ApiContext, request.app.state.context)
