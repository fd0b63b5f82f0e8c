"""Failures in the native API's form: problem documents of RFC 9457."""

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from api.faults import Fault


def render_problem(request: Request, fault: Fault) -> Response:
    """Write a fault as application/problem+json; `field` names the part of the request to mend."""
    problem: dict[str, object] = {
        "type": "about:blank",
        "title": fault.title,
        "status": fault.status,
        "detail": fault.message,
        "instance": request.scope.get("state", {}).get("request_id"),
    }
    if fault.field is not None:
        problem["field"] = fault.field
    return JSONResponse(problem, fault.status, headers=dict(fault.headers), media_type="application/problem+json")
