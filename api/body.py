"""Request bodies: strict JSON, read under the size limit before a thread is taken, parsed inside one."""

import json
import math
from collections.abc import Callable, Coroutine, Iterable
from typing import Annotated, Any, TypeVar, cast

from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool

from foundation.errors import Invalid

JSON_DEPTH_MAX = 32
JSON_INTEGER_DIGITS_MAX = 19
JSON_LOOP_BYTES_MAX = 64 * 1024
"""A larger body is parsed in a thread, so that it never holds the loop."""

Model = TypeVar("Model", bound=BaseModel)


class UnreadableBody(Invalid):
    """The body is not the strict JSON that we read; the sentence says where."""


def parse_json(raw: bytes) -> Any:
    """Parse strict JSON (RFC 8259): no NaN or infinity, no repeated key, no NUL or lone surrogate, at most JSON_DEPTH_MAX levels."""
    try:
        text = raw.decode("utf-8")
        value = json.loads(
            text,
            object_pairs_hook=object_without_repeats,
            parse_constant=refuse_constant,
            parse_float=finite_float,
            parse_int=bounded_integer,
        )
    except UnicodeDecodeError as error:
        raise UnreadableBody("the body is not UTF-8") from error
    except RecursionError as error:
        raise UnreadableBody(f"the body is nested deeper than {JSON_DEPTH_MAX} levels") from error
    except json.JSONDecodeError as error:
        raise UnreadableBody(
            f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from error
    if text.count("{") + text.count("[") > JSON_DEPTH_MAX or "\\u" in text:
        check_depth_and_text(value)
    return value


def object_without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object and refuse a repeated key, which two readers would understand in two ways."""
    built = dict(pairs)
    if len(built) != len(pairs):
        raise UnreadableBody("the body has an object with a repeated key")
    return built


def refuse_constant(name: str) -> Any:
    """Refuse NaN and the infinities, which are not JSON."""
    raise UnreadableBody(f"the body holds {name}, which is not a number in JSON")


def finite_float(text: str) -> float:
    """Refuse a number that overflows."""
    number = float(text)
    if not math.isfinite(number):
        raise UnreadableBody("the body holds a number that is too large")
    return number


def bounded_integer(text: str) -> int:
    """Refuse an integer that no column could hold."""
    if len(text.lstrip("-")) > JSON_INTEGER_DIGITS_MAX:
        raise UnreadableBody(f"the body holds an integer of more than {JSON_INTEGER_DIGITS_MAX} digits")
    return int(text)


def check_depth_and_text(value: Any) -> None:
    """Refuse deep nesting and text that the database could not store, level by level without recursion."""
    level: list[Any] = [value]
    for _ in range(JSON_DEPTH_MAX):
        deeper: list[Any] = []
        for item in level:
            deeper.extend(checked_members(item))
        if not deeper:
            return
        level = deeper
    if any(isinstance(item, dict | list) for item in level):
        raise UnreadableBody(f"the body is nested deeper than {JSON_DEPTH_MAX} levels")
    for item in level:
        checked_members(item)


def checked_members(item: Any) -> Iterable[Any]:
    """Return what a container holds, having checked its keys, or nothing for a scalar, having checked its text."""
    if isinstance(item, str):
        check_text(item)
    elif isinstance(item, dict):
        members = cast(dict[str, Any], item)
        for key in members:
            check_text(key)
        return members.values()
    elif isinstance(item, list):
        return cast(list[Any], item)
    return ()


def check_text(text: str) -> None:
    """Refuse the NUL character and half surrogate pairs."""
    if "\0" in text or (not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)):
        raise UnreadableBody("the body holds a NUL character or a lone surrogate")


async def read_json(request: Request, limit: int | None = None) -> Any:
    """Read the body under its limit and parse it; an empty body is refused."""
    raw = await request.body()
    if limit is not None and len(raw) > limit:
        raise UnreadableBody(f"the body is larger than {limit} bytes")
    if not raw:
        raise UnreadableBody("this needs a JSON body")
    return parse_json(raw) if len(raw) <= JSON_LOOP_BYTES_MAX else await run_in_threadpool(parse_json, raw)


JsonBody = Annotated[Any, Depends(read_json)]
"""The whole body, parsed strictly, for dialects whose bodies no one model describes."""


def body_of(model: type[Model]) -> Callable[[Any], Model]:
    """Return a dependency that reads the body as a model, whatever its content type: `Annotated[M, Depends(body_of(M))]`."""

    def validate(value: JsonBody) -> Model:
        return validated(model, value)

    return validate


def validated(model: type[Model], value: Any) -> Model:
    """Validate a parsed body; raise Invalid with the place and the reason of the first fault, never the value itself."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise Invalid(f"{field}: {first['msg']}" if field else str(first["msg"]), field=field or None) from error


class StrictRequest(Request):
    """A request whose JSON FastAPI reads with our parser."""

    async def json(self) -> Any:
        """Parse the body strictly."""
        try:
            return await read_json(self)
        except Invalid as error:
            raise MalformedBody(error) from error


def untyped_body(request: Request, error: RequestValidationError) -> Invalid | None:
    """Name the header that is missing where FastAPI took a body for bytes, since it was not said to be JSON."""
    if not any(isinstance(fault.get("input"), bytes) for fault in error.errors()):
        return None
    given = request.headers.get("content-type")
    said = "it has no such header" if given is None else "it has another"
    return Invalid(f"send the body with the header Content-Type: application/json; {said}", field="Content-Type")


class MalformedBody(Exception):
    """A body that is not strict JSON."""

    def __init__(self, error: Invalid) -> None:
        super().__init__(error.message)
        self.error = error


class StrictRoute(APIRoute):
    """A route whose declared body models are filled from strict JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Hand FastAPI a StrictRequest, and unwrap our error where FastAPI wrapped it into its own."""
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            try:
                return await handle(StrictRequest(request.scope, request.receive))
            except RequestValidationError as error:
                raise untyped_body(request, error) or error from None
            except Exception as error:
                cause = error.__cause__
                if isinstance(cause, MalformedBody):
                    raise cause.error from None
                raise

        return handle_strictly


def new_router(prefix: str = "") -> APIRouter:
    """Return a router whose routes read strict JSON; every route of a dialect comes from one."""
    return APIRouter(prefix=prefix, route_class=StrictRoute)
