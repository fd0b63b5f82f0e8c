"""Failures in the native API's form: problem documents of RFC 9457."""

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from api.faults import Fault


class Problem(BaseModel):
    """What went wrong: `detail` is a sentence for a person, `field` the part of the request to mend, `instance` the request's id."""

    type: str
    title: str
    status: int
    detail: str
    instance: str | None
    field: str | None = None


def render_problem(request: Request, fault: Fault) -> Response:
    """Write a fault as application/problem+json."""
    problem = Problem(
        type="about:blank",
        title=fault.title,
        status=fault.status,
        detail=fault.message,
        instance=request.scope.get("state", {}).get("request_id"),
        field=fault.field,
    )
    content = problem.model_dump(exclude_none=True)
    return JSONResponse(content, fault.status, headers=dict(fault.headers), media_type="application/problem+json")
