"""What a project owes by the facts that were told: reckoned naively, instant by instant, from the list of them alone."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple
from uuid import UUID

from metering.model import LifecycleState
from tests.store.month_facts import (
    COUNTERS,
    INSTANCES,
    MICROSECOND,
    SUBJECTS,
    VOLUMES,
    Calendar,
    Counted,
    Emitted,
    Fact,
    Lived,
    Told,
)

VCPUS = {"m1.small": 1, "m1.large": 2, "m1.huge": 8}
RAM_MIB = {"m1.small": 512, "m1.large": 1536, "m1.huge": 4096}
DISK_GIB = {"m1.small": 10, "m1.large": 0, "m1.huge": 40}
AS_OTHERS = {"paused": "active", "suspended": "stopped", "shelved": "stopped"}
OUTGOING = "network.outgoing.bytes"
WIDE = Context(prec=100, rounding=ROUND_HALF_EVEN)
TWELVE_PLACES = Decimal("1E-12")


class Key(NamedTuple):
    """What one quantity is charged as."""

    meter: str
    resource_id: UUID
    state: str
    flavor: str
    version: str
    unit_price: Decimal
    per: Decimal


@dataclass(frozen=True, slots=True)
class Tariff:
    """Prices in plain figures: of flavors in their states, of size, disk, and counters by (meter, base unit)."""

    name: str
    flavors: dict[str, Decimal]
    size: tuple[Decimal, Decimal] | None
    factors: dict[str, Decimal]
    hourly: dict[str, Decimal]
    disk: Decimal | None
    counters: dict[str, tuple[Decimal, Decimal]]

    def hour_of(self, flavor: str, state: str) -> Decimal | None:
        """Return what an hour of a flavor costs in a state, None where nothing is said of it."""
        if flavor in self.flavors:
            active = self.flavors[flavor]
        elif self.size is not None:
            active = VCPUS[flavor] * self.size[0] + Decimal(RAM_MIB[flavor]) / 1024 * self.size[1]
        else:
            return None
        for said in (state, AS_OTHERS.get(state)):
            if said == "active":
                return active
            if said in self.factors:
                return active * self.factors[said]
            if said in self.hourly:
                return self.hourly[said]
        return None


@dataclass(frozen=True, slots=True)
class Names:
    """Which things of the real store the things of the story are."""

    instances: Sequence[UUID]
    counters: Sequence[UUID]
    subjects: dict[str, UUID]
    volumes: Sequence[UUID]
    tokens: str


@dataclass(frozen=True, slots=True)
class Owed:
    """Quantities by what they are charged as, and what no price covers by meter and resource."""

    charged: dict[Key, Fraction]
    unbilled: dict[tuple[str, UUID], Fraction]

    @property
    def amount(self) -> Fraction:
        """What it comes to, exact."""
        return sum((q * Fraction(k.unit_price) / Fraction(k.per) for k, q in self.charged.items()), Fraction(0))


@dataclass(frozen=True, slots=True)
class Oracle:
    """Knows the prices and the calendar, and reckons any list of facts anew each time."""

    calendar: Calendar
    names: Names
    cheap: Tariff
    dear: Tariff
    moved: Tariff

    def tariff_at(self, instant: datetime) -> Tariff:
        """Return the prices that hold at an instant."""
        if self.calendar.moved_at is not None and instant >= self.calendar.moved_at:
            return self.moved
        return self.dear if instant >= self.calendar.dearer_from else self.cheap

    def owed(self, facts: Sequence[Fact], *, start: datetime, end: datetime) -> Owed:
        """Reckon what facts come to in [start, end)."""
        sums: defaultdict[Key | tuple[str, UUID], Fraction] = defaultdict(Fraction)
        edges = sorted({start, end, *(at for at in self.calendar.marks if start < at < end)})
        meters = {OUTGOING, *(meter for begin in edges[:-1] for meter in self.tariff_at(begin).counters)}
        told = [fact.at for fact in facts if isinstance(fact, Lived | Told)]
        cuts = sorted({start, end, *(at for at in [*told, *self.calendar.marks] if start < at < end)})
        for begin, until in pairwise(cuts):
            seconds = Fraction((until - begin) // MICROSECOND, 1_000_000)
            for key, per_second in self.rates_at(facts, begin, meters=meters):
                sums[key] += per_second * seconds
        for begin, until in pairwise(edges):
            for meter, resource_id, amount in self.counted(facts, start=begin, end=until):
                if meter in meters:
                    sums[self.counter_key(self.tariff_at(begin), meter, resource_id)] += amount
        charged = {key: quantity for key, quantity in sums.items() if isinstance(key, Key) and quantity}
        unbilled = {key: quantity for key, quantity in sums.items() if not isinstance(key, Key) and quantity}
        return Owed(charged, unbilled)

    def rates_at(
        self, facts: Sequence[Fact], instant: datetime, *, meters: set[str]
    ) -> Iterator[tuple[Key | tuple[str, UUID], Fraction]]:
        """Say what accrues each second at an instant; volumes' time is asked for under the names that prices have for it."""
        tariff = self.tariff_at(instant)
        for place in range(INSTANCES):
            life = life_at(facts, place, instant)
            if life is not None:
                yield from self.instance_rates(tariff, life, instant)
        for place in range(VOLUMES):
            volume = volume_at(facts, place, instant)
            if volume is not None and volume.is_ours:
                for meter in ("volume.size.time", f"volume.size.time@{volume.grade}"):
                    if meter in meters:
                        yield self.counter_key(tariff, meter, self.names.volumes[place]), Fraction(volume.size_gib)

    def instance_rates(
        self, tariff: Tariff, life: Lived, instant: datetime
    ) -> Iterator[tuple[Key | tuple[str, UUID], Fraction]]:
        """Say what an instance accrues: its time, and its disk in GiB-seconds."""
        resource_id = self.names.instances[life.instance]
        hour = tariff.hour_of(life.flavor, life.state)
        if hour is None:
            yield ("instance", resource_id), Fraction(1)
        else:
            yield Key("instance", resource_id, life.state, life.flavor, tariff.name, hour, Decimal(3600)), Fraction(1)
        disk_gib = Fraction(DISK_GIB[life.flavor])
        if tariff.disk is None:
            yield ("disk", resource_id), disk_gib
        else:
            month = self.month_seconds(instant)
            yield Key("disk", resource_id, "", "", tariff.name, tariff.disk, month), disk_gib

    def month_seconds(self, instant: datetime) -> Decimal:
        """Return how many seconds the month of an instant really has where the project is."""
        local = instant.astimezone(self.calendar.zone)
        first = datetime(local.year, local.month, 1, tzinfo=self.calendar.zone).astimezone(UTC)
        after = datetime(local.year, local.month + 1, 1, tzinfo=self.calendar.zone).astimezone(UTC)
        return Decimal(int((after - first).total_seconds()))

    def counter_key(self, tariff: Tariff, meter: str, resource_id: UUID) -> Key | tuple[str, UUID]:
        """Say what a counted unit is charged as."""
        if meter not in tariff.counters:
            return (meter, resource_id)
        price, per = tariff.counters[meter]
        return Key(meter, resource_id, "", "", tariff.name, price, per)

    def counted(self, facts: Sequence[Fact], *, start: datetime, end: datetime) -> Iterator[tuple[str, UUID, Fraction]]:
        """Say what each counter and subject counted in [start, end), kept to twelve places."""
        for place in range(COUNTERS):
            rise = counter_rise(facts, place, start=start, end=end)
            yield OUTGOING, self.names.counters[place], rise
        emitted: dict[int, Emitted] = {}
        for fact in facts:
            if isinstance(fact, Emitted):
                emitted.setdefault(fact.event_id, fact)
        for subject in SUBJECTS:
            total = Decimal(0)
            for event in emitted.values():
                if event.subject == subject and start <= event.at < end:
                    total = WIDE.add(total, Decimal(repr(event.amount)))
            yield self.names.tokens, self.names.subjects[subject], Fraction(total.quantize(TWELVE_PLACES, context=WIDE))


def life_at(facts: Sequence[Fact], place: int, instant: datetime) -> Lived | None:
    """Return the last fact of an instance up to an instant, None before its first and once it was deleted."""
    own = [fact for fact in facts if isinstance(fact, Lived) and fact.instance == place and fact.at <= instant]
    gone: LifecycleState = "deleted"
    if not own or any(fact.state == gone for fact in own):
        return None
    return max(own, key=lambda fact: (fact.at, fact.event_id))


def volume_at(facts: Sequence[Fact], place: int, instant: datetime) -> Told | None:
    """Return the last fact of a volume up to an instant, None before its first and once it was gone."""
    own = [fact for fact in facts if isinstance(fact, Told) and fact.volume == place and fact.at <= instant]
    if not own or any(fact.is_end for fact in own):
        return None
    return max(own, key=lambda fact: fact.at)


def counter_rise(facts: Sequence[Fact], place: int, *, start: datetime, end: datetime) -> Fraction:
    """Add up what each reading adds to the one before it of its boot; what was told last of an instant holds."""
    held: dict[tuple[datetime | None, datetime], Counted] = {}
    for fact in facts:
        if isinstance(fact, Counted) and fact.counter == place:
            held[fact.boot, fact.at] = fact
    rise = 0
    for reading in held.values():
        if not start <= reading.at < end:
            continue
        earlier = [other for other in held.values() if other.boot == reading.boot and other.at < reading.at]
        if not earlier:
            rise += reading.value if reading.boot is not None and not reading.adopted else 0
            continue
        before = max(earlier, key=lambda other: other.at)
        fallen = reading.value if reading.boot is None else 0
        rise += reading.value - before.value if reading.value >= before.value else fallen
    return Fraction(rise)
