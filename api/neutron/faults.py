"""Failures as Neutron writes them."""

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from api.faults import Fault

TYPES = {
    400: "HTTPBadRequest",
    401: "HTTPUnauthorized",
    403: "PolicyNotAuthorized",
    404: "HTTPNotFound",
    409: "HTTPConflict",
    503: "HTTPServiceUnavailable",
}


def render_fault(_: Request, fault: Fault) -> Response:
    """Write {"NeutronError": {type, message, detail}}; the type of a thing that is not there names the thing."""
    headers = dict(fault.headers)
    if fault.status == 401:
        headers["WWW-Authenticate"] = "Keystone uri=/identity"
    named = type(fault.error).__name__
    kind = named if named.endswith("NotFound") else TYPES.get(fault.status, "HTTPInternalServerError")
    return JSONResponse(
        {"NeutronError": {"type": kind, "message": fault.message, "detail": ""}}, fault.status, headers=headers
    )
