"""Failures as Gnocchi writes them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from api.body import UnreadableBody
from api.context import context_of
from api.faults import Fault
from foundation.errors import Invalid
from metering.errors import (
    AggregationNotFound,
    CannotAggregate,
    MetricsNotFound,
    SearchedWidthUnknown,
    SeveralUnknown,
    WidthNotFound,
)
from metering.operations_syntax import OperationsInvalid

INVALID_INPUT = "Invalid input: "
ARGUMENTS = frozenset({"start", "stop", "granularity", "resample", "needed_overlap", "fill", "limit"})
PATH_PART = re.compile(r"\['([^']*)'\]")


def render_fault(request: Request, fault: Fault) -> Response:
    """Write {code, title, description}; the description is an object where Gnocchi names several things at once."""
    headers = dict(fault.headers)
    if fault.status == 401:
        is_basic = context_of(request).settings.trusted_auth == "basic"
        headers["WWW-Authenticate"] = 'Basic realm="gnocchi"' if is_basic else "Keystone uri=/identity"
    body = {"code": fault.status, "title": fault.title, "description": described(request, fault)}
    return JSONResponse(body, fault.status, headers=headers)


def described(request: Request, fault: Fault) -> object:
    """Return what went wrong: a sentence, or where Gnocchi has one an object of cause, reason and detail."""
    match fault.error:
        case SeveralUnknown(cause="Unknown metrics"):
            return f"Unknown metrics: {', '.join(unknown_names(fault.error.detail))}"
        case SeveralUnknown() | MetricsNotFound():
            return {"cause": fault.error.cause, "detail": fault.error.detail}
        case CannotAggregate():
            return {"cause": fault.error.cause, "reason": fault.error.reason, "detail": fault.error.detail}
        case SearchedWidthUnknown():
            return {"cause": "Aggregation does not exist", "detail": fault.error.detail}
        case UnreadableBody():
            return {"cause": "Unable to decode body", "reason": fault.message, "detail": []}
        case WidthNotFound():
            return fault.message
        case AggregationNotFound() if request.url.path.endswith("/measures"):
            asked = {"metric": str(fault.error.metric), "aggregation_method": fault.error.method}
            return {"cause": "Aggregation method does not exist for this metric", "detail": asked}
        case AggregationNotFound() if request.url.path.endswith("/v1/aggregates"):
            unknown = [str(fault.error.metric), fault.error.method]
            return {"cause": "Metrics with unknown aggregation", "detail": [unknown]}
        case OperationsInvalid():
            reason = fault.message.removeprefix("Invalid operations: ")
            return {"cause": "Invalid input", "reason": reason, "detail": ["operations"]}
        case Invalid() if fault.field in ARGUMENTS and fault.field in request.query_params:
            reason = fault.message.removeprefix(INVALID_INPUT)
            return {"cause": "Argument value error", "reason": reason, "detail": fault.field}
        case Invalid() if request.method != "GET" and fault.message.startswith(INVALID_INPUT):
            reason = fault.message.removeprefix(INVALID_INPUT)
            path = PATH_PART.findall(reason.rpartition(" @ data")[2]) if " @ data" in reason else []
            return {"cause": "Invalid input", "reason": reason, "detail": path}
        case _:
            return fault.message


def unknown_names(detail: Sequence[Any]) -> Iterator[str]:
    """Name metrics by id, or by their resource's id and their own name, as Gnocchi does in a sentence."""
    for one in detail:
        if isinstance(one, Mapping):
            told = cast("Mapping[str, Any]", one)
            yield from (f"{told['resource_id']}/{name}" for name in told["metrics"])
        else:
            yield str(one)
