"""Failures as Keystone writes them."""

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from api.faults import Fault


def render_fault(_: Request, fault: Fault) -> Response:
    """Write {"error": {code, message, title}}; a 401 says where to sign in."""
    headers = dict(fault.headers)
    if fault.status == 401:
        headers["WWW-Authenticate"] = "Keystone uri=/identity"
    body = {"error": {"code": fault.status, "message": fault.message, "title": fault.title}}
    return JSONResponse(body, fault.status, headers=headers)
