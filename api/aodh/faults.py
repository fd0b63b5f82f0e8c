"""Failures as Aodh writes them."""

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from alarms.model import ActionNotAllowed
from api.faults import Fault


def render_fault(_: Request, fault: Fault) -> Response:
    """Write {"error_message": {faultstring, faultcode, debuginfo}}; an action that is the operator's alone is a 401, as in Aodh."""
    status = 401 if isinstance(fault.error, ActionNotAllowed) else fault.status
    headers = dict(fault.headers)
    if status == 401:
        headers["WWW-Authenticate"] = "Keystone uri=/identity"
    faultcode = "Client" if status < 500 else "Server"
    body = {"error_message": {"faultstring": fault.message, "faultcode": faultcode, "debuginfo": None}}
    return JSONResponse(body, status, headers=headers)
