"""A believable history of two small projects, made up tick by tick from a fixed seed: the same for every run. Sample data only."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TypeAlias
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from metering.model import LifecycleEvent, LifecycleState, MeterType, Sample, resource_id_of

NAMESPACE = UUID("6e657068-6f73-5000-8000-73616d706c65")
TICK = timedelta(minutes=5)
TICK_S = 300
ZONE = ZoneInfo("Asia/Tokyo")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WEB_COUNT_MIN, WEB_COUNT_MAX = 2, 6
WEB_LOAD_EACH = 55.0
"""Percent of one web server's CPU above which another one is started."""
OFFICE_HOURS = range(9, 19)

Fact: TypeAlias = LifecycleEvent | Sample


@dataclass(frozen=True, slots=True)
class Size:
    """A flavor as it is on a segment."""

    id: str
    name: str
    vcpus: int
    ram_mib: int
    disk_gib: int


SMALL = Size("2", "m1.small", 1, 2048, 20)
MEDIUM = Size("3", "m1.medium", 2, 4096, 40)
LARGE = Size("4", "m1.large", 4, 8192, 80)


@dataclass(slots=True)
class Machine:
    """A made-up instance and its counters since its last boot."""

    project_id: str
    name: str
    size: Size
    born_at: datetime
    group: str | None = None
    state: LifecycleState = "active"
    booted_at: datetime = EPOCH
    read_at: datetime = EPOCH
    cpu_ns: int = 0
    sent: int = 0
    received: int = 0
    id: UUID = field(init=False)

    def __post_init__(self) -> None:
        self.id = uuid5(NAMESPACE, f"{self.project_id}/{self.name}/{self.born_at.isoformat()}")

    def turn(self, at: datetime, kind: str, state: LifecycleState, *, size: Size | None = None) -> LifecycleEvent:
        """Change the machine's state or size, and say so as a lifecycle event."""
        if state == "active" and (kind == "create" or self.state != "active"):
            self.booted_at, self.read_at = at, at
            self.cpu_ns = self.sent = self.received = 0
        self.state, self.size = state, size or self.size
        return LifecycleEvent(
            event_id=uuid5(self.id, f"{kind}/{at.isoformat()}"),
            instance_id=self.id,
            project_id=self.project_id,
            user_id=None,
            kind=kind,
            state=state,
            observed_at=at,
            name=self.name,
            flavor_id=self.size.id,
            flavor_name=self.size.name,
            vcpus=self.size.vcpus,
            ram_mib=self.size.ram_mib,
            disk_gib=self.size.disk_gib,
            host=None,
            metadata={} if self.group is None else {"metering.server_group": self.group},
        )

    def run(self, until: datetime, *, cpu_percent: float, bytes_s: float) -> None:
        """Let the counters run on until an instant."""
        seconds = (until - self.read_at) / timedelta(seconds=1)
        self.read_at = until
        self.cpu_ns += int(seconds * 1e9 * self.size.vcpus * cpu_percent / 100)
        self.sent += int(seconds * bytes_s)
        self.received += int(seconds * bytes_s * 0.18)

    def read(self, *, cpu_percent: float) -> Iterator[Sample]:
        """Read the counters, as an agent would."""
        named = {"display_name": self.name, "flavor_name": self.size.name}
        instance = {**named, "server_group": self.group} if self.group is not None else named
        memory_mib = self.size.ram_mib * (0.32 + cpu_percent / 250)
        yield self.sample("cpu", "cumulative", "ns", value=self.cpu_ns, attributes=instance)
        yield self.sample("memory.usage", "gauge", "MiB", value=round(memory_mib, 1), attributes=instance)
        port = {"name": f"tap{self.id.hex[:8]}", "instance_id": str(self.id)}
        yield self.sample("network.outgoing.bytes", "cumulative", "B", value=self.sent, attributes=port)
        yield self.sample("network.incoming.bytes", "cumulative", "B", value=self.received, attributes=port)

    def sample(
        self, meter: str, meter_type: MeterType, unit: str, *, value: float, attributes: Mapping[str, str]
    ) -> Sample:
        """Make one sample of the instance or of its network card."""
        is_port = "instance_id" in attributes
        original_id = f"instance-{self.id.hex[-8:]}-{self.id}-{attributes['name']}" if is_port else str(self.id)
        return Sample(
            resource_id=resource_id_of(original_id),
            resource_type="instance_network_interface" if is_port else "instance",
            original_resource_id=original_id,
            project_id=self.project_id,
            user_id=None,
            meter=meter,
            meter_type=meter_type,
            unit=unit,
            observed_at=self.read_at,
            value=value,
            boot_epoch=(self.booted_at - EPOCH) // timedelta(microseconds=1),
            attributes=attributes,
        )


def ticks(start: datetime, end: datetime) -> Iterator[datetime]:
    """Return the ticks of [start, end)."""
    count = -((start - end) // TICK)
    yield from (start + n * TICK for n in range(count) if start + n * TICK < end)


def daylight(at: datetime) -> float:
    """Return how busy people are at a time of day and week in the zone, from 0 to 1."""
    local = at.astimezone(ZONE)
    hour = local.hour + local.minute / 60
    busy = max(0.0, math.sin((hour - 7) / 17 * math.pi)) ** 1.5 if hour >= 7 else 0.0
    return busy * (0.55 if local.weekday() >= 5 else 1.0)


def webshop_history(project_id: str, start: datetime, end: datetime) -> Iterator[Fact]:
    """A web group that follows the day from 2 to 6 servers, with a campaign on the 10th, and a database resized on the 12th."""
    random = Random(f"webshop {start.isoformat()}")  # noqa: S311 - made-up load, not a secret
    group = str(uuid5(NAMESPACE, f"{project_id}/web"))
    database = Machine(project_id, "sample-db-1", MEDIUM, start)
    yield database.turn(start, "create", "active")
    web: list[Machine] = []
    born = 0
    for tick in ticks(start, end):
        local = tick.astimezone(ZONE)
        campaign = 1.6 if local.day == 10 and 12 <= local.hour < 22 else 1.0
        load = (45 + 230 * daylight(tick)) * campaign * random.uniform(0.88, 1.12)
        count = min(WEB_COUNT_MAX, max(WEB_COUNT_MIN, math.ceil(load / WEB_LOAD_EACH)))
        while len(web) < count:
            born += 1
            at = tick + timedelta(seconds=random.randint(5, 40))
            web.append(Machine(project_id, f"sample-web-{born}", SMALL, at, group))
            yield web[-1].turn(at, "create", "active")
        if len(web) > count + 1:
            yield from retire(web.pop(), tick, cpu_percent=5, bytes_s=2e4)
        if (local.day, local.hour, local.minute) == (12, 3, 0):
            yield from resize(database, tick, LARGE if database.size is MEDIUM else MEDIUM)
        after = tick + TICK
        for machine in web:
            yield from work(
                machine,
                after,
                cpu_percent=min(97, load / len(web) * random.uniform(0.92, 1.08)),
                bytes_s=load / len(web) * 2600,
            )
        yield from work(database, after, cpu_percent=min(95, 8 + load / 7), bytes_s=load * 900)


def research_history(project_id: str, start: datetime, end: datetime) -> Iterator[Fact]:
    """Two large machines that run in office hours and stand still at night, and a notebook whose host was away on the 9th."""
    random = Random(f"research {start.isoformat()}")  # noqa: S311 - made-up load, not a secret
    batch = [Machine(project_id, f"sample-batch-{n}", LARGE, start) for n in (1, 2)]
    notebook = Machine(project_id, "sample-notebook", SMALL, start)
    for machine in (*batch, notebook):
        yield machine.turn(start, "create", "active")
    for tick in ticks(start, end):
        local = tick.astimezone(ZONE)
        is_open = local.weekday() < 5 and local.hour in OFFICE_HOURS
        for machine in batch:
            if is_open and machine.state == "stopped":
                yield machine.turn(tick + timedelta(seconds=random.randint(3, 50)), "start", "active")
            elif not is_open and machine.state == "active":
                yield from stop(machine, tick + timedelta(seconds=random.randint(3, 50)))
        if local.day == 9 and local.hour == 4:
            if local.minute == 10:
                yield notebook.turn(tick, "host_down", "host_down")
            elif local.minute == 35:
                yield notebook.turn(tick, "start", "active")
        after = tick + TICK
        for machine in batch:
            yield from work(machine, after, cpu_percent=random.choice((96.0, 97.5, 99.0, 41.0)), bytes_s=4e5)
        yield from work(notebook, after, cpu_percent=random.uniform(1, 12), bytes_s=6e3)


def work(machine: Machine, until: datetime, *, cpu_percent: float, bytes_s: float) -> Iterator[Sample]:
    """Let a running machine work for a tick and read it."""
    if machine.state == "active":
        machine.run(until, cpu_percent=cpu_percent, bytes_s=bytes_s)
        yield from machine.read(cpu_percent=cpu_percent)


def stop(machine: Machine, at: datetime) -> Iterator[Fact]:
    """Stop a machine after a last reading."""
    machine.run(at, cpu_percent=50, bytes_s=4e5)
    yield from machine.read(cpu_percent=50)
    yield machine.turn(at, "stop", "stopped")


def retire(machine: Machine, tick: datetime, *, cpu_percent: float, bytes_s: float) -> Iterator[Fact]:
    """Delete a machine after a last reading."""
    at = tick + timedelta(seconds=21)
    machine.run(at, cpu_percent=cpu_percent, bytes_s=bytes_s)
    yield from machine.read(cpu_percent=cpu_percent)
    yield machine.turn(at, "delete", "deleted")


def resize(machine: Machine, tick: datetime, size: Size) -> Iterator[Fact]:
    """Stop a machine, give it another size, and start it again two minutes later."""
    yield from stop(machine, tick + timedelta(seconds=12))
    yield machine.turn(tick + timedelta(seconds=70), "resize", "stopped", size=size)
    yield machine.turn(tick + timedelta(seconds=131), "start", "active")


HISTORIES = {"sample-webshop": webshop_history, "sample-research": research_history}
"""Each is a project of its own, marked by its name."""
