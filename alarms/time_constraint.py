"""Tells whether an instant lies in the hours in which an alarm is evaluated (pure)."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import croniter

from alarms.model import TimeConstraint
from foundation.errors import Invalid

DURATION_S_MAX = 31 * 86_400


def check_constraint(constraint: TimeConstraint) -> TimeConstraint:
    """Return the constraint if its cron line, length and zone exist; else raise Invalid with what to mend."""
    if len(constraint.start) > 200 or len(constraint.start.split()) != 5 or not croniter.is_valid(constraint.start):
        raise Invalid(f"{constraint.start!r} is not a cron line of five fields", field="time_constraints")
    if not 1 <= constraint.duration_s <= DURATION_S_MAX:
        raise Invalid(f"a duration is between 1 and {DURATION_S_MAX} seconds", field="time_constraints")
    try:
        ZoneInfo(constraint.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Invalid(f"{constraint.timezone!r} is not a time zone", field="time_constraints") from error
    return constraint


def is_within(constraints: Sequence[TimeConstraint], now: datetime) -> bool:
    """Tell whether any constraint holds at the instant; an alarm without constraints is always evaluated."""
    return not constraints or any(_holds(constraint, now) for constraint in constraints)


def _holds(constraint: TimeConstraint, now: datetime) -> bool:
    local = now.astimezone(ZoneInfo(constraint.timezone or "UTC"))
    last_start: datetime = croniter(constraint.start, local + timedelta(microseconds=1)).get_prev(datetime)
    return now.astimezone(UTC) < last_start.astimezone(UTC) + timedelta(seconds=constraint.duration_s)
