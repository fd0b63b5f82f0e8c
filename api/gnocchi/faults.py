"""Failures as Gnocchi writes them."""

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from api.context import context_of
from api.faults import Fault
from metering.errors import CannotAggregate, MetricsNotFound, SeveralUnknown


def render_fault(request: Request, fault: Fault) -> Response:
    """Write {code, title, description}; the description is an object where Gnocchi names several things at once."""
    headers = dict(fault.headers)
    if fault.status == 401:
        is_basic = context_of(request).settings.trusted_auth == "basic"
        headers["WWW-Authenticate"] = 'Basic realm="gnocchi"' if is_basic else "Keystone uri=/identity"
    description: object = fault.message
    if isinstance(fault.error, SeveralUnknown | MetricsNotFound):
        description = {"cause": fault.error.cause, "detail": fault.error.detail}
    elif isinstance(fault.error, CannotAggregate):
        description = {"cause": fault.error.cause, "reason": fault.error.reason, "detail": fault.error.detail}
    body = {"code": fault.status, "title": fault.title, "description": description}
    return JSONResponse(body, fault.status, headers=headers)
