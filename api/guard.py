"""What stands before every dialect: request ids, limits on headers, query and body, a deadline for the body, the access log."""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

import structlog
from fastapi import Request, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.faults import Fault, fault_of
from api.measured import count_request
from foundation.ids import new_id

log = structlog.get_logger("access")

HEADERS_COUNT_MAX = 100
HEADERS_BYTES_MAX = 32 * 1024
PATH_BYTES_MAX = 4 * 1024
QUERY_BYTES_MAX = 64 * 1024
QUERY_PARAMETERS_MAX = 1_000
BODY_DEADLINE_S = 60.0
REPEATED_SLASHES = re.compile("//+")

RenderFault = Callable[[Request, Fault], Response]
BodyLimit = Callable[[str, str], int | None]
"""(method, path inside the dialect) -> largest body in bytes, or None for the setting's."""


class BodyTooLarge(HTTPException):
    """More bytes than the dialect takes."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, f"the body is larger than {limit} bytes", headers={"Connection": "close"})


class BodyTooSlow(HTTPException):
    """The body did not arrive in time."""

    def __init__(self) -> None:
        super().__init__(
            408, f"the body did not arrive within {BODY_DEADLINE_S:.0f} s", headers={"Connection": "close"}
        )


class ClientGone(Exception):
    """The client closed the connection before its body was whole; nobody is there to be told."""


@dataclass(slots=True)
class Exchange:
    """One request and its answer, counted."""

    scope: Scope
    receive: Receive
    send: Send
    request_id: str
    limit: int
    deadline: float
    received_bytes: int = 0
    status: int = 0
    is_body_whole: bool = False

    async def receive_counted(self) -> Message:
        """Pass the body on while it is within its size and time."""
        if self.is_body_whole:
            return await self.receive()
        try:
            async with asyncio.timeout_at(self.deadline):
                message = await self.receive()
        except TimeoutError as error:
            raise BodyTooSlow from error
        if message["type"] == "http.request":
            self.received_bytes += len(message.get("body", b""))
            self.is_body_whole = not message.get("more_body", False)
            if self.received_bytes > self.limit:
                raise BodyTooLarge(self.limit)
        return message

    async def send_marked(self, message: Message) -> None:
        """Give every answer its request id, and the headers that keep a browser from guessing."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            marks = {
                b"x-openstack-request-id": self.request_id.encode(),
                b"x-content-type-options": b"nosniff",
            }
            present = {name.lower() for name, _ in message.get("headers", [])}
            added = [(name, value) for name, value in marks.items() if name not in present]
            message = {**message, "headers": [*message.get("headers", []), *added]}
        await self.send(message)


class Guard:
    """The outermost middleware of a dialect."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        render: RenderFault,
        body_bytes_max: int,
        body_limit: BodyLimit | None,
        strips_trailing_slash: bool,
    ) -> None:
        self.app = app
        self.strips_trailing_slash = strips_trailing_slash
        self.render = render
        self.body_bytes_max = body_bytes_max
        self.body_limit = body_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the request's frame, run it, and answer in the dialect's form whatever happens."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = tidy_path(scope, strips_trailing_slash=self.strips_trailing_slash)
        own_limit = self.body_limit(scope["method"], path) if self.body_limit is not None else None
        exchange = Exchange(
            scope=scope,
            receive=receive,
            send=send,
            request_id=f"req-{new_id()}",
            limit=self.body_bytes_max if own_limit is None else own_limit,
            deadline=asyncio.get_running_loop().time()
            + (BODY_DEADLINE_S if own_limit is None else 60 * BODY_DEADLINE_S),
        )
        exchange.is_body_whole = not has_body(scope)
        scope.setdefault("state", {})["request_id"] = exchange.request_id
        started = time.perf_counter()
        try:
            with structlog.contextvars.bound_contextvars(request_id=exchange.request_id):
                await self.answer(exchange)
        finally:
            duration_s = time.perf_counter() - started
            count_request(scope, status=exchange.status, duration_s=duration_s, received_bytes=exchange.received_bytes)
            write_access_log(exchange, duration_ms=duration_s * 1000)

    async def answer(self, exchange: Exchange) -> None:
        """Run the dialect; a failure before the first byte is rendered, one after it can only end the connection."""
        try:
            check_frame(exchange)
            await self.app(exchange.scope, exchange.receive_counted, exchange.send_marked)
        except ClientGone:
            return
        except Exception as error:
            if exchange.status:
                raise
            request = Request(exchange.scope, exchange.receive)
            response = self.render(request, fault_of(error))
            await response(exchange.scope, exchange.receive, exchange.send_marked)


def has_body(scope: Scope) -> bool:
    """Tell whether a body is announced; without one, nothing is waited for, and a stream may stay open for hours."""
    return any(name.lower() in {b"content-length", b"transfer-encoding"} for name, _ in scope["headers"])


def tidy_path(scope: Scope, *, strips_trailing_slash: bool) -> str:
    """Collapse repeated slashes (gnocchiclient sends them), write the path back, and return the part inside the dialect."""
    mount: str = scope.get("root_path", "")
    path = REPEATED_SLASHES.sub("/", "/" + scope["path"].removeprefix(mount))
    if strips_trailing_slash:
        path = path.rstrip("/") or "/"
    scope["path"] = mount + path
    return path


def check_frame(exchange: Exchange) -> None:
    """Refuse headers, a path or a query beyond their limits, and a length that is too large before anything is read."""
    scope = exchange.scope
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    if len(headers) > HEADERS_COUNT_MAX or sum(len(name) + len(value) for name, value in headers) > HEADERS_BYTES_MAX:
        raise HTTPException(431, f"at most {HEADERS_COUNT_MAX} headers of {HEADERS_BYTES_MAX} bytes together")
    query: bytes = scope.get("query_string", b"")
    if len(scope["path"]) > PATH_BYTES_MAX or len(query) > QUERY_BYTES_MAX or query.count(b"&") >= QUERY_PARAMETERS_MAX:
        raise HTTPException(414, f"at most {QUERY_PARAMETERS_MAX} parameters in a query of {QUERY_BYTES_MAX} bytes")
    if "\0" in scope["path"] or b"\0" in unquote_to_bytes(query):
        raise HTTPException(400, "the URL holds a NUL character")
    for name, value in headers:
        if name.lower() == b"content-length" and (
            not value.isdigit() or len(value) > 18 or int(value) > exchange.limit
        ):
            raise BodyTooLarge(exchange.limit)


def write_access_log(exchange: Exchange, *, duration_ms: float) -> None:
    """Write one line a request; never a header, a query or a body, since those can hold secrets."""
    state: Mapping[str, Any] = exchange.scope.get("state", {})
    log.info(
        "request",
        request_id=exchange.request_id,
        method=exchange.scope["method"],
        path=exchange.scope["path"],
        status=exchange.status,
        duration_ms=round(duration_ms, 1),
        received_bytes=exchange.received_bytes,
        user_id=state.get("user_id"),
        project_id=state.get("project_id"),
    )
