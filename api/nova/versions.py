"""Nova's versions: the documents that clients discover, and the microversion that each request speaks."""

import re
from typing import Annotated, Any, TypeAlias

from fastapi import Depends, HTTPException, Request
from fastapi.responses import JSONResponse
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.body import new_router
from api.context import context_of

MICROVERSION_MIN = (2, 1)
MICROVERSION_MAX = (2, 96)
UPDATED = "2013-07-23T11:33:21Z"
HEADER = "OpenStack-API-Version"
LEGACY_HEADER = "X-OpenStack-Nova-API-Version"
NUMBER = re.compile(r"^([1-9]\d{0,3})\.([1-9]\d{0,3}|0)$")

Microversion: TypeAlias = tuple[int, int]

router = new_router()


def requested_text(request: Request) -> str | None:
    """Return what the request's headers ask for; the newer header names the service."""
    for part in request.headers.get(HEADER, "").split(","):
        words = part.split()
        if len(words) == 2 and words[0].lower() == "compute":
            return words[1]
    return request.headers.get(LEGACY_HEADER)


def read_microversion(request: Request) -> Microversion:
    """Return the microversion of a request, the lowest where it names none; 400 for a malformed and 406 for an unknown one."""
    text = requested_text(request)
    if text is None:
        return note(request, MICROVERSION_MIN)
    if text == "latest":
        return note(request, MICROVERSION_MAX)
    match = NUMBER.match(text)
    if match is None:
        message = f"API Version String {text[:64]} is of invalid format. Must be of format MajorNum.MinorNum."
        raise HTTPException(400, message)
    asked = (int(match[1]), int(match[2]))
    if not MICROVERSION_MIN <= asked <= MICROVERSION_MAX:
        message = f"Version {text} is not supported by the API. Minimum is 2.1 and maximum is 2.{MICROVERSION_MAX[1]}."
        raise HTTPException(406, message)
    return note(request, asked)


def note(request: Request, microversion: Microversion) -> Microversion:
    """Keep the microversion for the answer's headers."""
    request.state.microversion = microversion
    return microversion


RequestMicroversion = Annotated[Microversion, Depends(read_microversion)]


def require(microversion: Microversion, least: Microversion) -> None:
    """Answer 404 where the microversion does not know the resource yet, as Nova does."""
    if microversion < least:
        raise HTTPException(404, "The resource could not be found.")


class MicroversionHeaders:
    """Says in every answer which microversion it speaks, and that answers differ by it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the headers to the answer's start."""

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                microversion = scope.get("state", {}).get("microversion", MICROVERSION_MIN)
                number = f"{microversion[0]}.{microversion[1]}"
                headers = MutableHeaders(scope=message)
                headers[HEADER] = f"compute {number}"
                headers[LEGACY_HEADER] = number
                headers.add_vary_header(HEADER)
                headers.add_vary_header(LEGACY_HEADER)
            await send(message)

        await self.app(scope, receive, send_marked if scope["type"] == "http" else send)


def to_wire_version(request: Request) -> dict[str, Any]:
    """Write the one version that is served."""
    return {
        "id": "v2.1",
        "status": "CURRENT",
        "version": f"2.{MICROVERSION_MAX[1]}",
        "min_version": f"2.{MICROVERSION_MIN[1]}",
        "updated": UPDATED,
        "links": [{"rel": "self", "href": f"{context_of(request).settings.base_url}/compute/v2.1/"}],
    }


@router.get("/")
async def list_versions(request: Request) -> JSONResponse:
    """Answer which versions there are, to anybody."""
    return JSONResponse({"versions": [to_wire_version(request)]})


@router.get("/v2.1")
async def show_version(request: Request) -> JSONResponse:
    """Answer the version's own document, to anybody."""
    media = [{"base": "application/json", "type": "application/vnd.openstack.compute+json;version=2.1"}]
    return JSONResponse({"version": to_wire_version(request) | {"media-types": media}})
