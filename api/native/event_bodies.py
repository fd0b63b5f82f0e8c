"""The bodies in which CloudEvents come over HTTP: structured, batched and binary, per the CloudEvents HTTP binding 1.0.2."""

import base64
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, cast
from urllib.parse import unquote

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from api.body import JSON_LOOP_BYTES_MAX
from api.context import context_of
from metering.cloud_events import EventReader, read_event
from metering.event_model import EVENTS_MAX, BodyUnreadable, ReceivedEvents

STRUCTURED, BATCHED = "application/cloudevents+json", "application/cloudevents-batch+json"
HEADER_PREFIX = "ce-"


class UnknownForm(HTTPException):
    """A content type in which no events come."""

    def __init__(self) -> None:
        super().__init__(
            415,
            f"send events with the header Content-Type: {STRUCTURED} (one event), {BATCHED} (a list of them),"
            " or their attributes as ce-* headers with the data as the body",
        )


async def receive_events(request: Request) -> ReceivedEvents:
    """Read the request's events under its limits, each judged on its own, before a connection is taken."""
    raw = await request.body()
    headers = dict(request.headers)
    now = context_of(request).clock()
    if len(raw) <= JSON_LOOP_BYTES_MAX:
        return read_body(raw, headers, received_at=now)
    return await run_in_threadpool(read_body, raw, headers, received_at=now)


EventsBody = Annotated[ReceivedEvents, Depends(receive_events)]


def read_body(raw: bytes, headers: Mapping[str, str], *, received_at: datetime) -> ReceivedEvents:
    """Return the events of a body by its content type; raise BodyUnreadable where not one can be read, UnknownForm for another type."""
    reader = EventReader()
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == BATCHED:
        given = required_json(reader, raw)
        if not isinstance(given, list):
            raise BodyUnreadable(f"a batch is a JSON list of events; send one event as {STRUCTURED}")
        return batch_of(cast(list[Any], given), reader, received_at=received_at)
    if media_type == STRUCTURED:
        given = required_json(reader, raw)
        if isinstance(given, list):
            raise BodyUnreadable(f"the body is a list; send it as {BATCHED}")
    elif any(name.startswith(HEADER_PREFIX) for name in headers) and not media_type.startswith(
        "application/cloudevents"
    ):
        given = binary_event(raw, headers, reader=reader, media_type=media_type)
    else:
        raise UnknownForm
    event = read_event(given, place=0, received_at=received_at, is_doubtful=reader.is_doubtful)
    return ReceivedEvents((event,), received_at, is_single=True)


def batch_of(given: list[Any], reader: EventReader, *, received_at: datetime) -> ReceivedEvents:
    """Judge the events of a batch one by one."""
    if len(given) > EVENTS_MAX:
        raise BodyUnreadable(f"a batch has at most {EVENTS_MAX} events, not {len(given)}; send it in parts")
    events = tuple(
        read_event(one, place=place, received_at=received_at, is_doubtful=reader.is_doubtful)
        for place, one in enumerate(given)
    )
    return ReceivedEvents(events, received_at, is_single=False)


def required_json(reader: EventReader, raw: bytes) -> Any:
    """Parse a body that must be there."""
    if not raw:
        raise BodyUnreadable("this needs a JSON body")
    return reader.parse(raw)


def binary_event(raw: bytes, headers: Mapping[str, str], *, reader: EventReader, media_type: str) -> dict[str, Any]:
    """Put an event together from its ce-* headers, whose values are percent-encoded, and the body, which is its data.

    Without a content type the data is JSON, as in the other forms, unless it cannot be.
    """
    event: dict[str, Any] = {
        name.removeprefix(HEADER_PREFIX): unquote(value)
        for name, value in headers.items()
        if name.startswith(HEADER_PREFIX) and name not in ("ce-data", "ce-data_base64")
    }
    if "content-type" in headers:
        event["datacontenttype"] = headers["content-type"]
    if not raw:
        return event
    if media_type == "application/json" or media_type.endswith("+json"):
        event["data"] = reader.parse(raw)
        return event
    if not media_type:
        with suppress(BodyUnreadable):
            event["data"] = reader.parse(raw)
            return event
    event["data_base64"] = base64.b64encode(raw).decode()
    return event
