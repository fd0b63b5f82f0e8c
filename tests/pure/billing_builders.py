"""Builders and strategies of billing's nouns, with defaults that say what is usual."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from hypothesis import strategies as st

from billing.model import (
    BillingAccount,
    CounterUsage,
    PricePlanId,
    PriceVersion,
    PriceVersionId,
    PriceWindow,
    StateUsage,
    UsageRecord,
)
from billing.prices import CounterPrice, DiskPrice, FlavorPrice, Price, SizePrice, StatePrice
from billing.proration import split_at
from foundation.interval import TimeInterval
from foundation.money import RoundingMode

EPOCH = datetime(2026, 3, 1, tzinfo=UTC)
PERIOD = TimeInterval(EPOCH, datetime(2026, 4, 1, tzinfo=UTC))
PLAN = PricePlanId(UUID(int=1))
GIB = Decimal(2**30)
PRICES: tuple[Price, ...] = (
    FlavorPrice("m1.small", Decimal("4"), (StatePrice("stopped", factor=Decimal("0.25")),)),
    SizePrice(Decimal("7.2"), Decimal("3.6"), (StatePrice("stopped", factor=Decimal("0")),)),
    DiskPrice(Decimal("12")),
    CounterPrice("network.outgoing.bytes", "B", "GiB", GIB, Decimal("9.5")),
)


def an_account(
    *, currency: str = "JPY", rounding: RoundingMode = RoundingMode.FLOOR, tax: str = "0.1"
) -> BillingAccount:
    return BillingAccount("p1", "Asia/Tokyo", currency, Decimal(tax), rounding, "A cloud", "INV")


def a_version(*, number: int = 1, prices: tuple[Price, ...] = PRICES, effective_from: datetime = EPOCH) -> PriceVersion:
    return PriceVersion(PriceVersionId(UUID(int=100 + number)), PLAN, number, effective_from, prices)


def a_segment(
    *,
    start: datetime = EPOCH,
    seconds: int = 3600,
    state: str = "active",
    flavor: str = "m1.small",
    resource: int = 7,
    disk_gib: int = 10,
    vcpus: int = 1,
    ram_mib: int = 512,
) -> StateUsage:
    return StateUsage(
        resource_id=UUID(int=resource),
        name=f"vm-{resource}",
        interval=TimeInterval(start, start + timedelta(seconds=seconds)),
        state=state,
        flavor_name=flavor,
        vcpus=vcpus,
        ram_mib=ram_mib,
        disk_gib=disk_gib,
        opened_by="created",
        closed_by="stopped",
    )


def a_count(*, quantity: Decimal, window: TimeInterval = PERIOD, resource: int = 9, unit: str = "B") -> CounterUsage:
    return CounterUsage(
        resource_id=UUID(int=resource),
        name=f"nic-{resource}",
        meter="network.outgoing.bytes",
        unit=unit,
        interval=window,
        quantity=quantity,
        sample_count=3,
        first_observed_at=window.start,
        last_observed_at=window.start,
    )


def windows_of(versions: Sequence[PriceVersion], *, interval: TimeInterval = PERIOD) -> tuple[PriceWindow, ...]:
    parts = split_at(interval, [version.effective_from for version in versions])
    in_force = [max((v for v in versions if v.effective_from <= p.start), key=lambda v: v.number) for p in parts]
    return tuple(PriceWindow(part, version) for part, version in zip(parts, in_force, strict=True))


prices_per_unit = st.decimals(0, 1000, places=4, allow_nan=False, allow_infinity=False)
microseconds = st.integers(1, int(PERIOD.duration.total_seconds()) * 10**6 - 1)


def moments(start: datetime, end: datetime) -> st.SearchStrategy[datetime]:
    """Any instant between two, to the microsecond."""
    span = (end - start) // timedelta(microseconds=1)
    return st.integers(0, span).map(lambda offset: start + timedelta(microseconds=offset))


@st.composite
def segments(draw: st.DrawFn, *, within: TimeInterval = PERIOD) -> StateUsage:
    span = within.duration // timedelta(microseconds=1)
    start, end = sorted(draw(st.lists(st.integers(0, span), min_size=2, max_size=2, unique=True)))
    return StateUsage(
        resource_id=UUID(int=draw(st.integers(1, 4))),
        name="vm",
        interval=TimeInterval(within.start + timedelta(microseconds=start), within.start + timedelta(microseconds=end)),
        state=draw(st.sampled_from(["active", "stopped", "error", "host_down"])),
        flavor_name=draw(st.sampled_from(["m1.small", "odd.flavor"])),
        vcpus=draw(st.integers(1, 64)),
        ram_mib=draw(st.integers(1, 2**20)),
        disk_gib=draw(st.integers(0, 2000)),
        opened_by=str(draw(st.integers(0, 99))),
        closed_by=draw(st.none() | st.just("x")),
    )


@st.composite
def counts(draw: st.DrawFn, *, windows: Sequence[PriceWindow]) -> CounterUsage:
    window = draw(st.sampled_from(list(windows)))
    quantity = Decimal(draw(st.integers(0, 2**60)))
    unit = draw(st.sampled_from(["B", "B", "B", "packet"]))
    return a_count(quantity=quantity, window=window.interval, resource=draw(st.integers(20, 23)), unit=unit)


@st.composite
def versions(draw: st.DrawFn) -> tuple[PriceVersion, ...]:
    offsets = draw(st.lists(microseconds, unique=True, max_size=3))
    starts = [EPOCH, *(EPOCH + timedelta(microseconds=offset) for offset in sorted(offsets))]
    return tuple(a_version(number=n, effective_from=at, prices=draw(price_sets())) for n, at in enumerate(starts, 1))


@st.composite
def price_sets(draw: st.DrawFn) -> tuple[Price, ...]:
    states = (StatePrice("stopped", factor=draw(st.decimals(0, 1, places=4))),)
    if draw(st.booleans()):
        states = (*states, StatePrice("error", per_hour=draw(prices_per_unit)))
    kinds: tuple[Price, ...] = (
        FlavorPrice("m1.small", draw(prices_per_unit), states),
        SizePrice(draw(prices_per_unit), draw(prices_per_unit), states),
        DiskPrice(draw(prices_per_unit)),
        CounterPrice("network.outgoing.bytes", "B", "GiB", GIB, draw(prices_per_unit)),
    )
    return tuple(draw(st.lists(st.sampled_from(kinds), unique=True)))


@st.composite
def rated_inputs(draw: st.DrawFn) -> tuple[list[UsageRecord], tuple[PriceWindow, ...]]:
    windows = windows_of(draw(versions()))
    records: list[UsageRecord] = [*draw(st.lists(segments(), max_size=6))]
    records += draw(st.lists(counts(windows=windows), max_size=4))
    return records, windows
