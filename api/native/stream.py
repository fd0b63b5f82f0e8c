"""The live stream: server-sent events that say what changed, read from the outbox by one short query for all streams of the process."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID
from weakref import WeakSet

import structlog
from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from api.authentication import RequestCaller, presented_token
from api.body import new_router
from api.context import ApiContext, context_of
from api.native.series import to_wire_instant
from foundation import outbox
from foundation.database import Isolation, transaction
from foundation.errors import DomainError, QuotaExceeded, Unavailable
from foundation.outbox import OutboxEvent
from identity.model import Caller
from identity.policy import may_read
from identity.service import validate_token

log = structlog.get_logger("stream")
router = new_router("/stream")

STREAMS_MAX = 100
STREAMS_PER_USER_MAX = 10
QUEUED_EVENTS_MAX = 100
POLL_INTERVAL_S = 1.0
OVERLAP_S = 60
"""An event's id is older than its commit, so each poll looks back this far (as long as a transaction may last)."""
POLLED_EVENTS_MAX = 1_000
HEARTBEAT_S = 15.0
REVALIDATE_S = 30.0
COST_INTERVAL_S = 30.0

NAME_OF_TOPIC: Mapping[str, str] = {
    "instance.lifecycle": "instance",
    "alarm.transition": "alarm",
    "scaling.activity": "activity",
}
ID_OF_TOPIC: Mapping[str, str] = {
    "instance.lifecycle": "instance_id",
    "alarm.transition": "alarm_id",
    "scaling.activity": "group_id",
}


def to_wire_event(event: OutboxEvent) -> str:
    """Write an event as small as it can be: what changed, not how; the page asks for that with its own rights."""
    changed = {"id": event.payload.get(ID_OF_TOPIC[event.topic]), "at": to_wire_instant(event.created_at)}
    return to_wire_message(NAME_OF_TOPIC[event.topic], changed)


def to_wire_message(name: str, content: Mapping[str, object]) -> str:
    """Write one message of the text/event-stream format."""
    return f"event: {name}\ndata: {json.dumps(content)}\n\n"


@dataclass(slots=True, eq=False, weakref_slot=True)
class Subscription:
    """One open stream and what waits to be sent on it; None ends it."""

    caller: Caller
    messages: asyncio.Queue[str | None] = field(default_factory=lambda: asyncio.Queue(QUEUED_EVENTS_MAX))

    def offer(self, message: str) -> None:
        """Queue a message; a reader that is too slow is ended, and asks for everything when it returns."""
        try:
            self.messages.put_nowait(message)
        except asyncio.QueueFull:
            self.end()

    def end(self) -> None:
        """Make room for the end, and send it."""
        while not self.messages.empty():
            self.messages.get_nowait()
        self.messages.put_nowait(None)


class Broadcast:
    """Polls while anyone listens, and hands each event to the streams that may see it."""

    def __init__(self, context: ApiContext) -> None:
        self.context = context
        self.subscriptions: WeakSet[Subscription] = WeakSet()
        """Held by the answers alone: one whose client left before its first byte leaves nothing behind."""
        self.task: asyncio.Task[None] | None = None
        self.seen: dict[UUID, None] = {}

    def open(self, caller: Caller) -> Subscription:
        """Add a stream, within the limits of the process and of the user."""
        own = sum(1 for one in self.subscriptions if one.caller.user_id == caller.user_id)
        if len(self.subscriptions) >= STREAMS_MAX or own >= STREAMS_PER_USER_MAX:
            raise QuotaExceeded(f"at most {STREAMS_PER_USER_MAX} live streams a user and {STREAMS_MAX} a process")
        subscription = Subscription(caller)
        self.subscriptions.add(subscription)
        if self.task is None or self.task.done():
            self.task = asyncio.create_task(self.run())
        return subscription

    def close(self) -> None:
        """End every stream, so that the process can stop."""
        for subscription in self.subscriptions:
            subscription.end()

    async def run(self) -> None:
        """Poll until nobody listens any more; the first look only learns what is old.

        What nobody foresaw ends the streams: browsers come back to a poll that begins anew, instead of waiting for one that is dead.
        """
        is_first = True
        while self.subscriptions:
            try:
                async with self.context.connections.admitted():
                    events = await run_in_threadpool(self.read_recent)
                self.publish([] if is_first else events, events)
                is_first = False
            except DomainError as error:
                log.warning("stream.poll_failed", reason=error.message)
            except Exception:
                self.close()
                log.exception("stream.poll_broken")
                return
            await asyncio.sleep(POLL_INTERVAL_S)

    def read_recent(self) -> Sequence[OutboxEvent]:
        """Read what was written lately, in a transaction of its own that ends at once."""
        since = self.context.clock() - timedelta(seconds=OVERLAP_S)
        with transaction(self.context.pool, Isolation.SNAPSHOT) as tx:
            return outbox.list_since(tx, since=since, topics=list(NAME_OF_TOPIC), limit=POLLED_EVENTS_MAX)

    def publish(self, events: Sequence[OutboxEvent], recent: Sequence[OutboxEvent]) -> None:
        """Offer the events that are new to the streams that may see them; remember only what the next look can meet again."""
        for event in events:
            if event.id in self.seen:
                continue
            message = to_wire_event(event)
            for subscription in self.subscriptions:
                if may_read(subscription.caller, str(event.payload.get("project_id"))):
                    subscription.offer(message)
        self.seen = dict.fromkeys(event.id for event in recent)


async def messages_of(
    broadcast: Broadcast, subscription: Subscription, *, context: ApiContext, secret: str
) -> AsyncGenerator[str]:
    """Give a stream's messages as they come, a heartbeat in between, and end it when its token no longer holds."""
    clock = asyncio.get_running_loop().time
    validated_at = cost_at = clock()
    try:
        yield "retry: 2000\n\n: open\n\n"
        while True:
            try:
                message = await asyncio.wait_for(subscription.messages.get(), HEARTBEAT_S)
            except TimeoutError:
                message = ": still here\n\n"
            if message is None:
                return
            yield message
            if clock() - cost_at >= COST_INTERVAL_S:
                cost_at = clock()
                yield to_wire_message("cost", {"at": to_wire_instant(context.clock())})
            if clock() - validated_at >= REVALIDATE_S:
                validated_at = clock()
                if not await is_still_valid(context, secret):
                    return
    finally:
        broadcast.subscriptions.discard(subscription)


async def is_still_valid(context: ApiContext, secret: str) -> bool:
    """Ask again whether the token holds; while the database is away the stream goes on."""

    def check() -> bool:
        with transaction(context.pool, Isolation.SNAPSHOT) as tx:
            validate_token(tx, secret, context.clock())
        return True

    try:
        async with context.connections.admitted():
            return await run_in_threadpool(check)
    except DomainError as error:
        return isinstance(error, Unavailable)


@router.get("", response_class=StreamingResponse)
async def open_stream(request: Request, caller: RequestCaller) -> StreamingResponse:
    """Send an event whenever an instance, an alarm, a scaling activity or the cost of the project changes."""
    broadcast: Broadcast = request.app.state.broadcast
    subscription = broadcast.open(caller)
    messages = messages_of(broadcast, subscription, context=context_of(request), secret=presented_token(request))
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(messages, media_type="text/event-stream", headers=headers)
