"""The poll behind the live streams: what goes wrong with it ends the streams, so that browsers come back, and never leaves them silent."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

from structlog.testing import capture_logs

from api.context import ApiContext
from api.native.stream import Broadcast
from foundation.outbox import OutboxEvent
from identity.model import Caller, ProjectId, UserId
from identity.policy import NO_EXPIRY


class BrokenBroadcast(Broadcast):
    """One whose look at the outbox meets what nobody foresaw."""

    def read_recent(self) -> Sequence[OutboxEvent]:
        raise ValueError("unforeseen")


class Admission:
    """Lets everybody in."""

    def admitted(self) -> "Admission":
        return self

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *_: object) -> None:
        return None


def test_a_poll_that_fails_in_an_unforeseen_way_ends_the_streams() -> None:
    caller = Caller(UserId("u"), "u", ProjectId("p"), "p", frozenset(), False, b"", NO_EXPIRY)
    context: Any = SimpleNamespace(connections=Admission())

    async def listen() -> str | None:
        broadcast = BrokenBroadcast(cast("ApiContext", context))
        subscription = broadcast.open(caller)
        ended = await asyncio.wait_for(subscription.messages.get(), timeout=60)
        assert broadcast.task is not None
        await broadcast.task
        return ended

    with capture_logs() as logged:
        assert asyncio.run(listen()) is None
    assert [one["event"] for one in logged if one["event"].startswith("stream.")] == ["stream.poll_broken"]
