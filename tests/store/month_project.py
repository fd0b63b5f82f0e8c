"""A project whose quarter is told to the real services: its account and prices, and each fact as its source tells it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from time import monotonic, sleep
from uuid import UUID, uuid5

from billing.model import Authorship, Invoice, InvoiceLine, PriceVersion, PriceVersionId
from billing.prices import CounterPrice, DiskPrice, FlavorPrice, Price, SizePrice, StatePrice
from billing.service import (
    account_of,
    add_price_version,
    assign_plan,
    create_price_plan,
    set_account,
)
from collectors.definitions.files import Catalogue, load_catalogue
from collectors.listening import Message, take_messages
from foundation.database import Pool, Transaction, transaction
from foundation.ids import new_hex_id
from foundation.interval import TimeInterval
from metering.event_meters import resource_name_of
from metering.model import LifecycleEvent, Sample, resource_id_of
from metering.service import ingest_samples, record_lifecycle_event
from metering.service.retention import Step
from metering.service.rolling import dirty_shards, roll_up_shard, shard_lease
from orchestration.retention import RetentionTerms, take_step
from tests.conftest import PATIENCE_S
from tests.event_builders import make_meter, send, wire
from tests.notification_payloads import T0, a_volume
from tests.notification_payloads import Told as Notification
from tests.store.month_facts import (
    COUNTERS,
    DAY,
    INSTANCES,
    SUBJECTS,
    VOLUMES,
    Counted,
    Emitted,
    Fact,
    Lived,
    Story,
    Told,
)
from tests.store.month_oracle import DISK_GIB, OUTGOING, RAM_MIB, VCPUS, Key, Names, Oracle, Tariff

BY = Authorship(actor="user:tester", reason="a test", request_id="req-1")
SPACE = UUID("6a4f5d0e-6a3e-4c1c-9d0b-2f6f6d1f7d11")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MIB, GIB = Decimal(2**20), Decimal(2**30)
TOKENS = "tokens"


def tariffs() -> tuple[Tariff, Tariff, Tariff]:
    """Return the prices at first, those that are dearer, and those of another plan, which knows fewer things."""
    factors = {"stopped": Decimal("0.25"), "error": Decimal(0)}
    counters = {OUTGOING: (Decimal(10), MIB), TOKENS: (Decimal("0.003"), Decimal(1000))}
    cheap = Tariff(
        "cheap",
        {"m1.small": Decimal("4.1")},
        (Decimal("0.0137"), Decimal("0.0071")),
        factors,
        {"shelved": Decimal(1)},
        Decimal("744.5"),
        {**counters, "volume.size.time": (Decimal(3), Decimal(86_400))},
    )
    dear = replace(
        cheap,
        name="dear",
        flavors={},
        size=(Decimal(3), Decimal("0.7")),
        disk=None,
        counters={"volume.size.time": (Decimal(5), Decimal(86_400)), OUTGOING: (Decimal(25), MIB)},
    )
    graded = {
        "volume.size.time@ssd": (Decimal(9), Decimal(3600)),
        OUTGOING: (Decimal("0.1"), GIB),
        TOKENS: (Decimal(2), Decimal(1)),
    }
    moved = Tariff("moved", {"m1.large": Decimal(7)}, None, {}, {"paused": Decimal(2)}, Decimal(31), graded)
    return cheap, dear, moved


def prices_of(tariff: Tariff) -> list[Price]:
    """Write a tariff as the product's prices."""
    states = (
        *(StatePrice(state, factor=factor) for state, factor in tariff.factors.items()),
        *(StatePrice(state, per_hour=hour) for state, hour in tariff.hourly.items()),
    )
    units = {OUTGOING: "B", TOKENS: "token"}
    return [
        *(FlavorPrice(flavor, hour, states) for flavor, hour in tariff.flavors.items()),
        *([SizePrice(*tariff.size, states)] if tariff.size is not None else []),
        *([DiskPrice(tariff.disk)] if tariff.disk is not None else []),
        *(
            CounterPrice(meter, units.get(meter, "GiB*s"), "unit", per, price)
            for meter, (price, per) in tariff.counters.items()
        ),
    ]


@dataclass(slots=True)
class Project:
    """A project whose story is being told: what was told of it, and what its final invoices have charged of each month."""

    pool: Pool
    project_id: str
    story: Story
    oracle: Oracle
    versions: Mapping[PriceVersionId, str]
    told: list[Fact] = field(default_factory=list[Fact])
    final: dict[int, Invoice] = field(default_factory=dict[int, Invoice])
    documents: dict[int, bytes] = field(default_factory=dict[int, bytes])
    charged: dict[int, dict[Key, Fraction]] = field(default_factory=dict[int, dict[Key, Fraction]])

    def month(self, place: int) -> TimeInterval:
        """Return a month of the story."""
        return TimeInterval(*self.story.calendar.edges[place : place + 2])

    @property
    def afterwards(self) -> datetime:
        """An instant after all of it."""
        return self.story.calendar.edges[-1] + DAY

    def key_of(self, line: InvoiceLine) -> Key:
        """Say what a line is charged as, in the oracle's words."""
        version = self.versions[line.price_version_id]
        return Key(line.meter, line.resource_id, line.state, line.flavor_name, version, line.unit_price, line.per_base)


def begin(pool: Pool, story: Story) -> Project:
    """Make the project of a story, with its account and its prices."""
    project_id, calendar = new_hex_id(), story.calendar
    long_ago = calendar.edges[0] - 30 * DAY
    cheap, dear, moved = tariffs()
    with transaction(pool) as tx:
        tokens = make_meter(tx, project_id, unit="token").name
        named = [named_after(tariff, tokens) for tariff in (cheap, dear, moved)]
        terms = replace(account_of(tx, project_id), series=f"L-{project_id[-20:].upper()}", currency="USD")
        set_account(tx, replace(terms, time_zone=calendar.zone.key), now=long_ago, by=BY)
        plan = create_price_plan(tx, name=f"plan {project_id}", currency="USD", now=long_ago, by=BY)
        other = create_price_plan(tx, name=f"other {project_id}", currency="USD", now=long_ago, by=BY)
        made: list[PriceVersion] = [
            add_price_version(tx, owner.id, prices_with(tariff, tokens), effective_from=since, now=long_ago, by=BY)
            for owner, tariff, since in (
                (plan, cheap, long_ago),
                (plan, dear, calendar.dearer_from),
                (other, moved, long_ago),
            )
        ]
        assign_plan(tx, project_id, plan.id, effective_from=long_ago, now=long_ago, by=BY)
        if calendar.moved_at is not None:
            assign_plan(tx, project_id, other.id, effective_from=calendar.moved_at, now=long_ago, by=BY)
    oracle = Oracle(calendar, names_of(project_id, tokens), *named)
    versions = {version.id: tariff.name for version, tariff in zip(made, named, strict=True)}
    return Project(pool, project_id, story, oracle, versions)


def named_after(tariff: Tariff, tokens: str) -> Tariff:
    """Put the name that the meter of tokens really has into a tariff."""
    return replace(tariff, counters={tokens if m == TOKENS else m: price for m, price in tariff.counters.items()})


def prices_with(tariff: Tariff, tokens: str) -> list[Price]:
    """Write a tariff as prices, with the name that the meter of tokens really has."""
    return [
        replace(price, meter=tokens) if isinstance(price, CounterPrice) and price.meter == TOKENS else price
        for price in prices_of(tariff)
    ]


def names_of(project_id: str, tokens: str) -> Names:
    """Name the things of a project."""
    own = {kind: [uuid5(SPACE, f"{project_id} {kind} {place}") for place in range(3)] for kind in "icv"}
    subjects = {name: resource_id_of(resource_name_of(project_id, name, groups=())) for name in SUBJECTS}
    return Names(own["i"][:INSTANCES], own["c"][:COUNTERS], subjects, own["v"][:VOLUMES], tokens)


@lru_cache(maxsize=1)
def catalogue() -> Catalogue:
    """What the volume service's notifications mean."""
    return load_catalogue()


def tell(project: Project, facts: Sequence[Fact]) -> None:
    """Tell facts through the services that take them in, in one transaction."""
    now = project.afterwards
    with transaction(project.pool) as tx:
        for fact in facts:
            if isinstance(fact, Lived):
                record_lifecycle_event(tx, lifecycle_event(project, fact), received_at=now)
        samples = [sample_of(project, fact) for fact in facts if isinstance(fact, Counted)]
        result = ingest_samples(tx, samples, received_at=now)
        assert result.rejected == ()
        events = [
            wire(e.event_id, time=e.at.isoformat(), subject=e.subject, data={"tokens": e.amount})
            for e in facts
            if isinstance(e, Emitted)
        ]
        if events:
            answers = send(tx, project.project_id, events, now=now)
            assert {answer.outcome for answer in answers} <= {"accepted", "duplicate"}
        messages = [message_of(project, fact) for fact in facts if isinstance(fact, Told)]
        if messages:
            assert take_messages(tx, messages, catalogue=catalogue(), now=now).dead == 0
        sealed_until = read_sealed_until(tx)
    project.told.extend(facts_that_hold(project.told, facts, sealed_until=sealed_until))


def facts_that_hold(told: Sequence[Fact], facts: Sequence[Fact], *, sealed_until: datetime) -> Iterator[Fact]:
    """Leave out the readings that are no longer taken for what was told first, since the time that they are of is sealed."""
    known = {(fact.counter, fact.boot, fact.at) for fact in told if isinstance(fact, Counted)}
    for fact in facts:
        if isinstance(fact, Counted) and fact.at < sealed_until and (fact.counter, fact.boot, fact.at) in known:
            continue
        yield fact


def read_sealed_until(tx: Transaction) -> datetime:
    """Return before which instant the store is sealed."""
    row: tuple[datetime] | None = tx.execute("SELECT sealed_until FROM retention").fetchone()
    assert row is not None
    return row[0]


def lifecycle_event(project: Project, fact: Lived) -> LifecycleEvent:
    """Write a fact of an instance's life as the compute core tells it; its id is the project's own, in the same order."""
    return LifecycleEvent(
        event_id=event_id_of(project, fact),
        instance_id=project.oracle.names.instances[fact.instance],
        project_id=project.project_id,
        user_id=None,
        kind="update",
        state=fact.state,
        observed_at=fact.at,
        name=fact.name,
        flavor_id=fact.flavor,
        flavor_name=fact.flavor,
        vcpus=VCPUS[fact.flavor],
        ram_mib=RAM_MIB[fact.flavor],
        disk_gib=DISK_GIB[fact.flavor],
    )


def event_id_of(project: Project, fact: Lived) -> UUID:
    """Return an id that no other story has, and that sorts among the story's as the fact's own does."""
    lives = {other.event_id for other in project.story.facts if isinstance(other, Lived)}
    rank = sorted(lives).index(fact.event_id)
    return UUID(int=(rank << 120) | (UUID(project.project_id).int >> 8))


def sample_of(project: Project, fact: Counted) -> Sample:
    """Write a reading as the agent does."""
    names = project.oracle.names
    return Sample(
        resource_id=names.counters[fact.counter],
        resource_type="instance_network_interface",
        original_resource_id=f"port-{fact.counter}",
        project_id=project.project_id,
        user_id=None,
        meter=OUTGOING,
        meter_type="cumulative",
        unit="B",
        observed_at=fact.at,
        value=fact.value,
        boot_epoch=0 if fact.boot is None else (fact.boot - EPOCH) // timedelta(microseconds=1),
        adopted=fact.adopted,
        attributes={"instance_id": str(names.instances[fact.counter])},
    )


def message_of(project: Project, fact: Told) -> Message:
    """Write what is told of a volume as the volume service does; a redelivery is the same message."""
    payload = a_volume(
        str(project.oracle.names.volumes[fact.volume]),
        project.project_id if fact.is_ours else f"{project.project_id}-other",
        size=fact.size_gib,
        volume_type=fact.grade,
    )
    kind = "volume.delete.end" if fact.is_end else "volume.resize.end"
    own_id = str(uuid5(project.oracle.names.volumes[fact.volume], fact.at.isoformat()))
    told = Notification(kind, payload, (fact.at - T0).total_seconds(), message_id=own_id)
    return Message(told.body(), "cinder", "notifications.info")


def retain(project: Project) -> None:
    """Let all raw samples go that may, a year and a half later, as the workers do."""
    terms = RetentionTerms(timedelta(days=400), timedelta(days=90))
    give_up_at = monotonic() + PATIENCE_S
    while monotonic() < give_up_at:
        with transaction(project.pool) as tx:
            step = take_step(tx, terms, now=project.afterwards + 500 * DAY)
        if step is Step.NOTHING:
            return
        if step is Step.WAITING_FOR_ROLLUPS:
            roll_up(project.pool)
        elif step is Step.WAITING:
            sleep(0.05)
    raise AssertionError("retention came to no end")


def roll_up(pool: Pool) -> None:
    """Bring all rollups up to date, as the workers do."""
    with transaction(pool) as tx:
        shards = dirty_shards(tx)
    for shard in shards:
        with shard_lease(pool, shard) as lease:
            assert lease is not None
            while roll_up_shard(lease, shard=shard).more:
                pass
