"""Failures as Nova writes them."""

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from api.faults import Fault

NAMES = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
    429: "overLimit",
    501: "notImplemented",
    503: "serviceUnavailable",
}


def render_fault(_: Request, fault: Fault) -> Response:
    """Write {"<name>": {code, message}}; a 401 says where to sign in."""
    headers = dict(fault.headers)
    if fault.status == 401:
        headers["WWW-Authenticate"] = "Keystone uri=/identity"
    body = {NAMES.get(fault.status, "computeFault"): {"code": fault.status, "message": fault.message}}
    return JSONResponse(body, fault.status, headers=headers)
