"""Usage to charges: one function a kind of price; every unit is charged exactly once, or is unbilled with a reason."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Context, Decimal, Inexact, localcontext
from fractions import Fraction
from typing import assert_never
from uuid import UUID
from zoneinfo import ZoneInfo

from billing.model import (
    DISK_SPACE,
    INSTANCE_TIME,
    SECONDS_AN_HOUR,
    Charge,
    CounterUsage,
    PriceVersion,
    PriceWindow,
    Rated,
    StateUsage,
    Unbilled,
    UsageRecord,
)
from billing.prices import ACTIVE, CHARGED_AS, CounterPrice, DiskPrice, FlavorPrice, SizePrice, StatePrice
from billing.proration import month_containing, seconds_of, split_by_months
from foundation.interval import TimeInterval
from foundation.money import MONEY_CONTEXT

MIB_A_GIB = Decimal(1024)
NO_PRICE_IN_FORCE = "no price was in force"
QUANTITY_MAX = Decimal(10) ** 20
"""Base units of one charge; with AMOUNT_MAX a hundred thousand charges in one line stay below the 10**26 that an invoice can hold."""
AMOUNT_MAX = Decimal(10) ** 20
UNIT_PRICE_MAX = Decimal(10) ** 14
BEYOND_INVOICE = (
    f"it is beyond what an invoice can hold: a charge has at most {QUANTITY_MAX:.0E} base units and comes to at most"
    f" {AMOUNT_MAX:.0E}"
)
EXACT_SUMS = Context(prec=600, traps=[Inexact])
"""Wide enough to add up usage of any size to the last digit, charged or not."""


def exact_sum(quantities: Iterable[Decimal]) -> Decimal:
    """Add quantities to the last digit, whatever their size: a Decimal's usual 28 digits would round in silence."""
    with localcontext(EXACT_SUMS):
        return sum(quantities, Decimal(0))


def rate_usage(records: Iterable[UsageRecord], *, windows: Sequence[PriceWindow], zone: ZoneInfo) -> Rated:
    """Charge usage at the prices of each window; pure, and the same for every order and split of the records.

    A state record is cut at the windows' boundaries; a counter record must lie inside one window, since what was
    counted before and after a boundary is known only from its samples.
    """
    given = tuple(records)
    rated: list[Charge | Unbilled] = []
    with localcontext(MONEY_CONTEXT):
        for record in given:
            for part, version in parts_of(record.interval, windows):
                rated.extend(within_invoice(item) for item in rate_part(record, part, version=version, zone=zone))
    with localcontext(EXACT_SUMS):
        assert_every_unit_once(given, rated, windows=windows)
    charges = [item for item in rated if isinstance(item, Charge)]
    unbilled = [item for item in rated if isinstance(item, Unbilled)]
    return Rated(tuple(sorted(charges, key=charge_order)), tuple(sorted(unbilled, key=unbilled_order)))


def parts_of(
    interval: TimeInterval, windows: Sequence[PriceWindow]
) -> Iterable[tuple[TimeInterval, PriceVersion | None]]:
    """Cut an interval along the windows."""
    for window in windows:
        part = interval.intersection(window.interval)
        if part is not None:
            yield part, window.version


def rate_part(
    record: UsageRecord, part: TimeInterval, *, version: PriceVersion | None, zone: ZoneInfo
) -> list[Charge | Unbilled]:
    """Charge the part of a record in which one price version holds."""
    match record:
        case StateUsage():
            instance = rate_instance(record, part, version=version)
            return [instance, *rate_disk_space(record, part, version=version, zone=zone)]
        case CounterUsage():
            assert part == record.interval, "counter usage is read for each price window by itself"
            return [rate_counted(record, version=version)]
        case _:
            assert_never(record)


def within_invoice(item: Charge | Unbilled) -> Charge | Unbilled:
    """Leave out of the bill, with its reason, what no invoice can hold: one absurd count must not keep all the rest from being billed."""
    if isinstance(item, Unbilled):
        return item
    is_held = (
        item.quantity.copy_abs() <= QUANTITY_MAX
        and item.unit_price < UNIT_PRICE_MAX
        and abs(item.amount) <= Fraction(AMOUNT_MAX)
    )
    if is_held:
        return item
    return Unbilled(
        item.meter,
        item.resource_id,
        item.resource_name,
        item.interval,
        item.quantity,
        item.base_unit,
        f"{item.meter}: {BEYOND_INVOICE}",
    )


def rate_instance(usage: StateUsage, part: TimeInterval, *, version: PriceVersion | None) -> Charge | Unbilled:
    """Charge an instance's time by its flavor's own price, or else by its size."""
    if version is None:
        return unbilled_state(usage, part, meter=INSTANCE_TIME, reason=NO_PRICE_IN_FORCE)
    for price in version.prices:
        if isinstance(price, FlavorPrice) and price.flavor == usage.flavor_name:
            return rate_flavor(price, usage, part=part, version=version)
    for price in version.prices:
        if isinstance(price, SizePrice):
            return rate_size(price, usage, part=part, version=version)
    reason = f"the price plan has no price for flavor {usage.flavor_name}"
    return unbilled_state(usage, part, meter=INSTANCE_TIME, reason=reason)


def rate_flavor(
    price: FlavorPrice, usage: StateUsage, *, part: TimeInterval, version: PriceVersion
) -> Charge | Unbilled:
    """Charge seconds of a flavor at its hourly price in the state that the instance was in."""
    return charge_time(usage, part, hourly=hourly_price(price.per_hour, price.states, usage.state), version=version)


def rate_size(price: SizePrice, usage: StateUsage, *, part: TimeInterval, version: PriceVersion) -> Charge | Unbilled:
    """Charge seconds at the hourly price of the instance's vCPUs and memory."""
    active = usage.vcpus * price.per_vcpu_hour + usage.ram_mib / MIB_A_GIB * price.per_ram_gib_hour
    return charge_time(usage, part, hourly=hourly_price(active, price.states, usage.state), version=version)


def rate_disk_space(
    usage: StateUsage, part: TimeInterval, *, version: PriceVersion | None, zone: ZoneInfo
) -> list[Charge | Unbilled]:
    """Charge the disk of an instance in whatever state, by the version's disk price."""
    if usage.disk_gib == 0:
        return []
    if version is None:
        return [unbilled_state(usage, part, meter=DISK_SPACE, reason=NO_PRICE_IN_FORCE)]
    for price in version.prices:
        if isinstance(price, DiskPrice):
            return rate_disk(price, usage, part=part, version=version, zone=zone)
    return [unbilled_state(usage, part, meter=DISK_SPACE, reason="the price plan has no price for disk space")]


def rate_disk(
    price: DiskPrice, usage: StateUsage, *, part: TimeInterval, version: PriceVersion, zone: ZoneInfo
) -> list[Charge | Unbilled]:
    """Charge GiB-seconds, each at the month's price over the real seconds of the billing month that it lies in."""
    return [
        Charge(
            meter=DISK_SPACE,
            resource_id=usage.resource_id,
            resource_name=usage.name,
            state="",
            flavor_name="",
            interval=piece,
            quantity=usage.disk_gib * seconds_of(piece),
            base_unit="GiB*s",
            unit="GiB-month",
            unit_price=price.per_gib_month,
            per=seconds_of(month_containing(piece.start, zone)),
            version_id=version.id,
            version_number=version.number,
            evidence=segment_evidence(usage),
        )
        for piece in split_by_months(part, zone)
    ]


def rate_counted(usage: CounterUsage, *, version: PriceVersion | None) -> Charge | Unbilled:
    """Charge what a counter rose by, at the version's price for that meter."""
    if version is None:
        return unbilled_counter(usage, reason=NO_PRICE_IN_FORCE)
    for price in version.prices:
        if isinstance(price, CounterPrice) and price.meter == usage.meter:
            return rate_counter(price, usage, version=version)
    return unbilled_counter(usage, reason=f"the price plan has no price for {usage.meter}")


def rate_counter(price: CounterPrice, usage: CounterUsage, *, version: PriceVersion) -> Charge | Unbilled:
    """Charge base units at the price of `per` of them."""
    if price.base_unit != usage.unit:
        return unbilled_counter(usage, reason=f"{usage.meter} is priced in {price.base_unit} but came in {usage.unit}")
    first, last = usage.first_observed_at.isoformat(), usage.last_observed_at.isoformat()
    return Charge(
        meter=usage.meter,
        resource_id=usage.resource_id,
        resource_name=usage.name,
        state="",
        flavor_name="",
        interval=usage.interval,
        quantity=usage.quantity,
        base_unit=usage.unit,
        unit=price.unit,
        unit_price=price.price,
        per=price.per,
        version_id=version.id,
        version_number=version.number,
        evidence=f"samples:{usage.sample_count}:{first}:{last}",
    )


def hourly_price(active: Decimal, states: Sequence[StatePrice], state: str) -> Decimal | None:
    """Return the hourly price in a state: its own, or its factor of the active price; None where the plan says nothing.

    A state without a price that is a kind of another one costs what that one does.
    """
    if state == ACTIVE:
        return active
    for price in states:
        if price.state == state:
            return price.per_hour if price.factor is None else active * price.factor
    return hourly_price(active, states, CHARGED_AS[state]) if state in CHARGED_AS else None


def charge_time(
    usage: StateUsage, part: TimeInterval, *, hourly: Decimal | None, version: PriceVersion
) -> Charge | Unbilled:
    """Make the charge of an instance's seconds."""
    if hourly is None:
        reason = f"the price plan has no price for flavor {usage.flavor_name} in state {usage.state}"
        return unbilled_state(usage, part, meter=INSTANCE_TIME, reason=reason)
    return Charge(
        meter=INSTANCE_TIME,
        resource_id=usage.resource_id,
        resource_name=usage.name,
        state=usage.state,
        flavor_name=usage.flavor_name,
        interval=part,
        quantity=seconds_of(part),
        base_unit="s",
        unit="hour",
        unit_price=hourly,
        per=SECONDS_AN_HOUR,
        version_id=version.id,
        version_number=version.number,
        evidence=segment_evidence(usage),
    )


def unbilled_state(usage: StateUsage, part: TimeInterval, *, meter: str, reason: str) -> Unbilled:
    """Keep an instance's time or disk that no price covers."""
    seconds = seconds_of(part)
    quantity, unit = (seconds, "s") if meter == INSTANCE_TIME else (usage.disk_gib * seconds, "GiB*s")
    return Unbilled(meter, usage.resource_id, usage.name, part, quantity, unit, reason)


def unbilled_counter(usage: CounterUsage, *, reason: str) -> Unbilled:
    """Keep what a counter counted that no price covers."""
    return Unbilled(usage.meter, usage.resource_id, usage.name, usage.interval, usage.quantity, usage.unit, reason)


def segment_evidence(usage: StateUsage) -> str:
    """Name the two lifecycle events between which the usage lies."""
    return f"events:{usage.opened_by}:{usage.closed_by or 'open'}"


def assert_every_unit_once(
    records: Sequence[UsageRecord], rated: Iterable[Charge | Unbilled], *, windows: Sequence[PriceWindow]
) -> None:
    """Assert that what came in is what is charged or unbilled, by resource and meter: nothing twice, nothing lost."""
    balance: defaultdict[tuple[UUID, str], Decimal] = defaultdict(Decimal)
    for record in records:
        match record:
            case StateUsage():
                seconds = sum((seconds_of(part) for part, _ in parts_of(record.interval, windows)), Decimal(0))
                assert seconds == seconds_of(record.interval), "the price windows cover the usage once"
                balance[record.resource_id, INSTANCE_TIME] += seconds
                balance[record.resource_id, DISK_SPACE] += record.disk_gib * seconds
            case CounterUsage():
                balance[record.resource_id, record.meter] += record.quantity
    for item in rated:
        balance[item.resource_id, item.meter] -= item.quantity
    assert not any(balance.values()), "every unit is charged exactly once"


def charge_order(charge: Charge) -> tuple[object, ...]:
    """Order charges by all that they are, never by how they came."""
    what = (charge.meter, charge.resource_id, charge.resource_name, charge.state, charge.flavor_name)
    price = (charge.version_id, charge.base_unit, charge.unit, charge.unit_price, charge.per)
    return (*what, charge.interval.start, charge.interval.end, *price, charge.evidence, charge.quantity)


def unbilled_order(item: Unbilled) -> tuple[object, ...]:
    """Order unbilled usage by all that it is."""
    what = (item.meter, item.resource_id, item.resource_name, item.interval.start, item.interval.end)
    return (*what, item.reason, item.base_unit, item.quantity)
