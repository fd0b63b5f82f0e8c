"""Tells whether an instant lies in the hours in which an alarm is evaluated (pure)."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import CroniterBadDateError, croniter

from alarms.model import TimeConstraint
from foundation.errors import Invalid

DURATION_S_MAX = 31 * 86_400
AT_RANDOM = re.compile(r"\b[hr]\b", re.IGNORECASE)
"""Croniter's R and H: such a line would mean other hours at each evaluation."""
A_MOMENT = datetime(2001, 1, 1, tzinfo=UTC)
"""Any instant will do to see whether a cron line ever fires: croniter looks back fifty years."""


@lru_cache(maxsize=1_024)
def check_constraint(constraint: TimeConstraint) -> TimeConstraint:
    """Return the constraint if its cron line, length and zone exist; else raise Invalid with what to mend."""
    line = constraint.start
    if len(line) > 200 or len(line.split()) != 5 or AT_RANDOM.search(line) or not croniter.is_valid(line):
        raise Invalid(f"{line!r} is not a cron line of five fields", field="time_constraints")
    if not 1 <= constraint.duration_s <= DURATION_S_MAX:
        raise Invalid(f"a duration is between 1 and {DURATION_S_MAX} seconds", field="time_constraints")
    try:
        ZoneInfo(constraint.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Invalid(f"{constraint.timezone!r} is not a time zone", field="time_constraints") from error
    if _find_last_start(constraint, A_MOMENT) is None:
        raise Invalid(f"{line!r} names a day that no year has", field="time_constraints")
    return constraint


def is_within(constraints: Sequence[TimeConstraint], now: datetime) -> bool:
    """Tell whether any constraint holds at the instant; an alarm without constraints is always evaluated."""
    return not constraints or any(_holds(constraint, now) for constraint in constraints)


def _holds(constraint: TimeConstraint, now: datetime) -> bool:
    last_start = _find_last_start(constraint, now)
    return last_start is not None and now < last_start + timedelta(seconds=constraint.duration_s)


def _find_last_start(constraint: TimeConstraint, now: datetime) -> datetime | None:
    """Return when the cron line fired last, None for one that never does (31 February): one alarm's line stops no other alarm."""
    local = now.astimezone(ZoneInfo(constraint.timezone or "UTC"))
    try:
        last_start: datetime = croniter(constraint.start, local + timedelta(microseconds=1)).get_prev(datetime)
    except CroniterBadDateError:
        return None
    return last_start.astimezone(UTC)
