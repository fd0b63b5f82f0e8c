"""Time on the bill: months and days of an account's zone as UTC instants, and intervals cut where a price changes."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

from billing.model import PlanAssignment, PriceVersion, PriceWindow
from foundation.interval import TimeInterval

MICROSECOND = timedelta(microseconds=1)


def seconds_of(interval: TimeInterval) -> Decimal:
    """Return the real seconds of an interval exactly, to the microsecond; leap seconds do not exist in POSIX time."""
    return Decimal(interval.duration // MICROSECOND).scaleb(-6)


def local_midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return the UTC instant at which a day begins in a zone; where midnight is skipped, the instant of the skip."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def billing_month(year: int, month: int, zone: ZoneInfo) -> TimeInterval:
    """Return a calendar month of the zone: its real length, 743 and 745 hours included."""
    after = date(year + month // 12, month % 12 + 1, 1)
    return TimeInterval(local_midnight(date(year, month, 1), zone), local_midnight(after, zone))


def month_containing(instant: datetime, zone: ZoneInfo) -> TimeInterval:
    """Return the billing month in which an instant lies."""
    local = instant.astimezone(zone)
    return billing_month(local.year, local.month, zone)


def split_by_months(interval: TimeInterval, zone: ZoneInfo) -> tuple[TimeInterval, ...]:
    """Cut an interval at the month boundaries of a zone: the parts are disjoint and cover it."""
    boundaries: list[datetime] = []
    end = month_containing(interval.start, zone).end
    while end < interval.end:
        boundaries.append(end)
        end = month_containing(end, zone).end
    return split_at(interval, boundaries)


def split_by_days(interval: TimeInterval, zone: ZoneInfo) -> tuple[TimeInterval, ...]:
    """Cut an interval at the midnights of a zone; a day has 23, 24 or 25 hours, and a skipped one is not there."""
    day = interval.start.astimezone(zone).date()
    last = interval.end.astimezone(zone).date()
    midnights = [local_midnight(day + timedelta(days=n), zone) for n in range(1, (last - day).days + 1)]
    return split_at(interval, midnights)


def split_at(interval: TimeInterval, boundaries: Iterable[datetime]) -> tuple[TimeInterval, ...]:
    """Cut an interval at those of the instants that lie inside it."""
    inside = {instant for instant in boundaries if interval.start < instant < interval.end}
    edges = sorted(inside | {interval.start, interval.end})
    return tuple(TimeInterval(start, end) for start, end in pairwise(edges))


def price_windows(
    assignments: Sequence[PlanAssignment], versions: Sequence[PriceVersion], *, interval: TimeInterval
) -> tuple[PriceWindow, ...]:
    """Cut a period where the plan or its prices change, and say which version holds in each part."""
    changes = [a.effective_from for a in assignments] + [v.effective_from for v in versions]
    return tuple(
        PriceWindow(part, find_version(assignments, versions, at=part.start)) for part in split_at(interval, changes)
    )


def find_version(
    assignments: Sequence[PlanAssignment], versions: Sequence[PriceVersion], *, at: datetime
) -> PriceVersion | None:
    """Return the version that prices an instant: of the plan assigned last, the version that took effect last."""
    assigned = [a for a in assignments if a.effective_from <= at]
    if not assigned:
        return None
    plan_id = max(assigned, key=lambda a: a.effective_from).plan_id
    in_force = [v for v in versions if v.plan_id == plan_id and v.effective_from <= at]
    return max(in_force, key=lambda v: v.effective_from, default=None)
