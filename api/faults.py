"""Failures on their way out: whatever was raised becomes a Fault with a status and a sentence, which each dialect writes in its own form."""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as with_default
from http import HTTPStatus
from typing import Any

import psycopg
import structlog
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from api.body import MalformedBody
from foundation.errors import Conflict, DomainError, Forbidden, Invalid, NotFound, QuotaExceeded, Unavailable
from identity.model import TooManyLogins, Unauthenticated

log = structlog.get_logger("api")

STATUS_OF_KIND: Mapping[type[DomainError], int] = {
    Unauthenticated: 401,
    TooManyLogins: 429,
    NotFound: 404,
    Conflict: 409,
    Invalid: 400,
    Forbidden: 403,
    QuotaExceeded: 403,
    Unavailable: 503,
}
"""Read in order: the first kind that fits. A dialect that differs looks at Fault.error."""

RETRY_AFTER_S = 2


@dataclass(frozen=True, slots=True)
class Fault:
    """What a dialect renders: `message` is a sentence for the caller, `field` the part to mend, `error` what was raised."""

    status: int
    message: str
    error: Exception
    field: str | None = None
    headers: Mapping[str, str] = with_default(default_factory=dict[str, str])

    @property
    def title(self) -> str:
        """The status in words, such as Not Found."""
        return HTTPStatus(self.status).phrase


def fault_of(error: Exception) -> Fault:
    """Turn anything raised into a Fault; what we did not foresee is logged and told as a plain 500 without its details."""
    if isinstance(error, MalformedBody):
        return fault_of(error.error)
    if isinstance(error, DomainError):
        return fault_of_domain_error(error)
    if isinstance(error, RequestValidationError):
        return fault_of_validation(error)
    if isinstance(error, HTTPException):
        headers = dict(error.headers or {})
        return Fault(error.status_code, str(error.detail), error, headers=headers)
    if isinstance(error, psycopg.Error):
        return fault_of_database_error(error)
    log.error("request.failed", exc_info=error)
    return Fault(500, "an error of ours; it is in the log under this request's id", error)


def fault_of_domain_error(error: DomainError) -> Fault:
    """Give each kind its status."""
    status = next(status for kind, status in STATUS_OF_KIND.items() if isinstance(error, kind))
    headers: dict[str, str] = {}
    if isinstance(error, Unavailable):
        headers["Retry-After"] = str(error.retry_after_s)
    named = error.field if isinstance(error, Invalid) else None
    return Fault(status, error.message, error, field=named, headers=headers)


def fault_of_validation(error: RequestValidationError) -> Fault:
    """Say where and why the first part of a request is wrong; the value is not repeated, since it may be NaN, huge or secret."""
    first: dict[str, Any] = dict(error.errors()[0]) if error.errors() else {"loc": (), "msg": "the request is wrong"}
    place = [str(part) for part in first["loc"] if part not in {"body", "query", "path", "header"}]
    named = ".".join(place)
    message = f"{named}: {first['msg']}" if named else str(first["msg"])
    return Fault(400, message, error, field=named or None)


def place_of(error: Exception) -> str | None:
    """Return the innermost lines of ours through which an error came, as file:line, without any value."""
    frames = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    return " < ".join([frame for frame in reversed(frames) if "site-packages" not in frame][:5]) or None


def fault_of_database_error(error: psycopg.Error) -> Fault:
    """Say what the second wall, the database itself, refused; such a case should have been refused before it, so it is logged.

    Without PostgreSQL's DETAIL, which repeats the row, and so whatever secret is in it.
    """
    diagnosis = error.diag
    log.warning(
        "request.refused_by_database",
        sqlstate=error.sqlstate,
        reason=diagnosis.message_primary or type(error).__name__,
        table=diagnosis.table_name,
        constraint=diagnosis.constraint_name,
        place=place_of(error),
    )
    if isinstance(
        error, psycopg.errors.SerializationFailure | psycopg.errors.DeadlockDetected | psycopg.errors.LockNotAvailable
    ):
        return Fault(503, "another request changed the same things; try again", error, headers={"Retry-After": "1"})
    if isinstance(error, psycopg.errors.UniqueViolation | psycopg.errors.ExclusionViolation):
        return Fault(409, "there is already one like this", error)
    if isinstance(error, psycopg.errors.ForeignKeyViolation):
        return Fault(409, "something that this names is not there, or is still in use", error)
    if isinstance(error, psycopg.DataError | psycopg.errors.CheckViolation | psycopg.errors.NotNullViolation):
        return Fault(400, "a value is out of the range that can be stored", error)
    if isinstance(error, psycopg.OperationalError):
        headers = {"Retry-After": str(RETRY_AFTER_S)}
        return Fault(503, "the database does not answer; try again in a few seconds", error, headers=headers)
    return Fault(500, "an error of ours; it is in the log under this request's id", error)
