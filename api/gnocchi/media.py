"""What a request may be written in, and what its answer may be: JSON, as in Gnocchi."""

from fastapi import Request
from starlette.exceptions import HTTPException

JSON = "application/json"
JSON_PATCH = "application/json-patch+json"
ACCEPTED = frozenset({"*/*", "application/*", JSON})
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


async def check_media(request: Request) -> None:
    """Raise 406 for an answer that is wanted in another form only, and 415 for a body that is said to be in another.

    One of which nothing is said is read, as scripts by hand rely on it.
    """
    accepted = ",".join(request.headers.getlist("accept"))
    if accepted and not any(media_of(one) in ACCEPTED for one in accepted.split(",")):
        raise HTTPException(406, f"answers are {JSON}; the header Accept asks for something else")
    has_body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
    if request.method not in WITH_BODY or not has_body:
        return
    given = request.headers.get("content-type", "")
    if given and media_of(given) not in (JSON, JSON_PATCH):
        raise HTTPException(415, f"send the body with the header Content-Type: {JSON}")


def media_of(given: str) -> str:
    """Return a media type without its parameters."""
    return given.partition(";")[0].strip().lower()
