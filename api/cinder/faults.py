"""Failures as Cinder writes them, which is as Nova does."""

from fastapi import Request, Response

from api.faults import Fault
from api.nova.faults import render_fault as render_nova_fault


def render_fault(request: Request, fault: Fault) -> Response:
    """Write {"<name>": {code, message}}."""
    return render_nova_fault(request, fault)
