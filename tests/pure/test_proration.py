"""Time on the bill: months and days partition time exactly in every zone, and prices hold where they should."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from uuid import uuid4
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from billing.model import (
    PlanAssignment,
    PricePlanId,
    PriceVersion,
    PriceVersionId,
)
from billing.prices import DiskPrice
from billing.proration import (
    billing_month,
    local_midnight,
    month_containing,
    price_windows,
    seconds_of,
    split_at,
    split_by_days,
    split_by_months,
)
from foundation.interval import TimeInterval
from tests.pure.billing_builders import moments

ZONES = (
    "UTC",
    "Asia/Tokyo",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "America/Havana",
    "Asia/Beirut",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Kiritimati",
    "Etc/GMT+12",
    "Asia/Kathmandu",
    "Africa/Casablanca",
)
zones = st.sampled_from(ZONES).map(ZoneInfo)
instants = moments(datetime(2000, 1, 2, tzinfo=UTC), datetime(2040, 12, 30, tzinfo=UTC))


@st.composite
def intervals(draw: st.DrawFn) -> TimeInterval:
    start = draw(instants)
    return TimeInterval(start, start + draw(st.timedeltas(timedelta(microseconds=1), timedelta(days=100))))


def seconds_together(parts: tuple[TimeInterval, ...]) -> Decimal:
    return sum((seconds_of(part) for part in parts), Decimal(0))


def assert_partition(parts: tuple[TimeInterval, ...], whole: TimeInterval) -> None:
    assert parts[0].start == whole.start
    assert parts[-1].end == whole.end
    assert all(before.end == after.start for before, after in pairwise(parts))
    assert seconds_together(parts) == seconds_of(whole)


@given(st.integers(2000, 2039), st.integers(1, 12), zones)
@example(2011, 12, ZoneInfo("Pacific/Apia"))
def test_the_days_of_a_month_partition_it_in_every_zone(year: int, month: int, zone: ZoneInfo) -> None:
    whole = billing_month(year, month, zone)
    assert_partition(split_by_days(whole, zone), whole)


@given(st.integers(2000, 2039), zones)
def test_the_months_of_a_year_follow_one_another_without_gap_or_overlap(year: int, zone: ZoneInfo) -> None:
    months = tuple(billing_month(year, month, zone) for month in range(1, 13))
    whole = TimeInterval(local_midnight(date(year, 1, 1), zone), local_midnight(date(year + 1, 1, 1), zone))
    assert_partition(months, whole)


@given(instants, zones)
def test_every_instant_lies_in_the_month_found_for_it(instant: datetime, zone: ZoneInfo) -> None:
    assert month_containing(instant, zone).contains(instant)


@given(intervals(), zones)
def test_cutting_an_interval_by_months_or_days_loses_no_microsecond(interval: TimeInterval, zone: ZoneInfo) -> None:
    assert_partition(split_by_months(interval, zone), interval)
    assert_partition(split_by_days(interval, zone), interval)


def test_days_of_a_clock_change_have_their_real_hours() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    march, october = billing_month(2026, 3, berlin), billing_month(2026, 10, berlin)
    hours = {part.duration // timedelta(hours=1) for part in split_by_days(march, berlin)}
    assert hours == {23, 24}
    assert {part.duration // timedelta(hours=1) for part in split_by_days(october, berlin)} == {24, 25}
    assert seconds_of(march) == 743 * 3600
    assert seconds_of(october) == 745 * 3600


def test_a_day_that_a_zone_skipped_is_not_billed() -> None:
    apia = ZoneInfo("Pacific/Apia")
    assert len(split_by_days(billing_month(2011, 12, apia), apia)) == 30


@given(intervals(), st.lists(instants, max_size=8))
def test_cutting_at_any_instants_partitions(interval: TimeInterval, boundaries: list[datetime]) -> None:
    assert_partition(split_at(interval, boundaries), interval)


@given(intervals(), st.lists(instants, unique=True, max_size=6), st.lists(instants, unique=True, max_size=4))
def test_price_windows_partition_the_period_and_hold_the_version_in_force(
    interval: TimeInterval, effective: list[datetime], assigned: list[datetime]
) -> None:
    plans = [PricePlanId(uuid4()), PricePlanId(uuid4())]
    versions = [
        PriceVersion(PriceVersionId(uuid4()), plans[n % 2], n + 1, at, (DiskPrice(Decimal(n)),))
        for n, at in enumerate(effective)
    ]
    assignments = [PlanAssignment(plans[n % 2], at) for n, at in enumerate(assigned)]
    windows = price_windows(assignments, versions, interval=interval)
    assert_partition(tuple(window.interval for window in windows), interval)
    for window in windows:
        inside = window.interval.start + window.interval.duration / 2
        plan = max((a for a in assignments if a.effective_from <= inside), key=lambda a: a.effective_from, default=None)
        valid = [v for v in versions if plan and v.plan_id == plan.plan_id and v.effective_from <= inside]
        assert window.version == max(valid, key=lambda v: v.effective_from, default=None)
