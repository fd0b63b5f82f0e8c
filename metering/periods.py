"""What a series can be laid into: buckets of one width counted from 1970, or the periods of the calendar in UTC. Pure."""

from typing import Literal, TypeAlias, cast, get_args

import numpy as np
from numpy.typing import NDArray

CalendarPeriod: TypeAlias = Literal["Y", "H", "Q", "M", "W"]
"""Gnocchi's letters: a year, half a year, a quarter, a month, and a week, which begins on Sunday."""
Width: TypeAlias = int | CalendarPeriod
"""Microseconds, or a period of the calendar."""

MONTHS_OF = {"Y": 12, "H": 6, "Q": 3, "M": 1}
DAY_US = 86_400_000_000
FIRST_SUNDAY = 3
"""1970 began on a Thursday; its first Sunday came three days later."""


def calendar_period(text: str) -> CalendarPeriod | None:
    """Return the period that a letter stands for, if any."""
    return cast(CalendarPeriod, text) if text in get_args(CalendarPeriod) else None


def starts_of(times_us: NDArray[np.int64], width: Width) -> NDArray[np.int64]:
    """Return when the buckets begin that instants lie in; all are microseconds since 1970."""
    if isinstance(width, int):
        return times_us - times_us % width
    if width == "W":
        days = times_us // DAY_US - FIRST_SUNDAY
        return (days - days % 7 + FIRST_SUNDAY) * DAY_US
    months = times_us.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)
    first = months - months % MONTHS_OF[width]
    return first.astype("datetime64[M]").astype("datetime64[us]").astype(np.int64)
