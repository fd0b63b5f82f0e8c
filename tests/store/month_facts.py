"""The facts of a random quarter of a random project, as they happen and before anybody tells them."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TypeAlias, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from metering.model import LifecycleState

INSTANCES, COUNTERS, VOLUMES = 2, 2, 2
STATES: tuple[LifecycleState, ...] = (
    *("active", "stopped", "paused", "suspended", "shelved", "error", "host_down", "deleted"),
)
FLAVORS = ("m1.small", "m1.large", "m1.huge")
SUBJECTS = ("customer", "=other@x?y")
GRADES = ("ssd", "hdd")
Element = TypeVar("Element")
DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Lived:
    """An instance entered a state, in a flavor and under a name."""

    instance: int
    at: datetime
    event_id: UUID
    state: LifecycleState
    flavor: str
    name: str


@dataclass(frozen=True, slots=True)
class Counted:
    """A poll read a counter of outgoing bytes, since a boot or (None) since nobody knows when."""

    counter: int
    boot: datetime | None
    at: datetime
    value: int
    adopted: bool


@dataclass(frozen=True, slots=True)
class Emitted:
    """A program told of something used, as a CloudEvent; its id is its own."""

    event_id: int
    at: datetime
    subject: str
    amount: float


@dataclass(frozen=True, slots=True)
class Told:
    """The volume service told of a volume in a notification, the only one of its instant; `is_ours` says whether it was the project's by then."""

    volume: int
    at: datetime
    is_end: bool
    size_gib: int
    grade: str
    is_ours: bool


Fact: TypeAlias = Lived | Counted | Emitted | Told


@dataclass(frozen=True, slots=True)
class Calendar:
    """Three months in a zone, and what changes the prices in them."""

    zone: ZoneInfo
    edges: tuple[datetime, ...]
    dearer_from: datetime
    moved_at: datetime | None

    @property
    def marks(self) -> list[datetime]:
        """Instants at which something else begins to hold."""
        return [*self.edges, self.dearer_from, *([self.moved_at] if self.moved_at is not None else [])]


def month_edges(zone: ZoneInfo) -> tuple[datetime, ...]:
    """Return the first instants of March, April, May and June 2026."""
    return tuple(datetime(2026, month, 1, tzinfo=zone).astimezone(UTC) for month in (3, 4, 5, 6))


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    """Choose where the project is, when its plan gets dearer, and when it moves to another plan, if ever."""
    zone = ZoneInfo(draw(st.sampled_from(["Asia/Tokyo", "America/New_York", "Australia/Lord_Howe"])))
    edges = month_edges(zone)
    within = st.integers(0, (edges[-1] - edges[0]) // MICROSECOND).map(lambda us: edges[0] + us * MICROSECOND)
    changes = st.one_of(within, st.sampled_from(edges))
    return Calendar(zone, edges, draw(changes), draw(st.none() | changes))


def instants(calendar: Calendar) -> st.SearchStrategy[datetime]:
    """Any instant from before the first month until its last day, above all those beside which something changes."""
    first, last = calendar.edges[0] - 3 * DAY, calendar.edges[-1]
    seconds = st.integers(0, (last - first) // timedelta(seconds=1) - 1).map(lambda s: first + timedelta(seconds=s))
    beside = st.tuples(st.sampled_from(calendar.marks), st.sampled_from([-MICROSECOND, 0 * MICROSECOND, MICROSECOND]))
    return st.one_of(seconds, seconds, beside.map(lambda pair: min(pair[0] + pair[1], last - MICROSECOND)))


def few_or_many(
    one: st.SearchStrategy[Element], *, identity: Callable[[Element], Hashable] | None = None
) -> st.SearchStrategy[list[Element]]:
    """None, a few or a dozen, no two of one identity."""
    return st.one_of(*(st.lists(one, min_size=few, max_size=few + 6, unique_by=identity) for few in (0, 0, 6, 12)))


def lives(calendar: Calendar) -> st.SearchStrategy[list[Fact]]:
    """What becomes of the instances: every state, resizes, renames, two facts of one instant, facts after the end."""
    one = st.builds(
        Lived,
        instance=st.integers(0, INSTANCES - 1),
        at=instants(calendar),
        event_id=st.uuids(),
        state=st.sampled_from(STATES),
        flavor=st.sampled_from(FLAVORS),
        name=st.sampled_from(["web", "=web", "db"]),
    )
    return few_or_many(one, identity=lambda life: life.event_id).map(list[Fact])


@st.composite
def readings(draw: st.DrawFn, calendar: Calendar) -> Sequence[Fact]:
    """What polls read: boots, resets, noise, polls that were missed, and an instant that is read again as something else."""
    boots: list[datetime | None] = [*draw(st.lists(instants(calendar), max_size=3)), None]
    found: list[Counted] = []
    for at, boot, step in draw(few_or_many(st.tuples(instants(calendar), st.sampled_from(boots), st.integers(-3, 20)))):
        seen_at = at if boot is None or at >= boot - DAY else boot + (boot - at)
        if seen_at < calendar.edges[-1]:
            counter, is_adopted = draw(st.integers(0, COUNTERS - 1)), draw(st.sampled_from([False, False, True]))
            elapsed_h = max(0, (seen_at - (boot or calendar.edges[0])) // timedelta(hours=1))
            value = max(0, 2**20 * (elapsed_h // 8 + step) + step)
            found.append(Counted(counter, boot, seen_at, value, is_adopted))
    again = draw(st.lists(st.tuples(st.sampled_from(found), st.integers(0, 2**23)), max_size=4)) if found else []
    return [*found, *(replace(one, value=value) for one, value in again)]


def emissions(calendar: Calendar) -> st.SearchStrategy[list[Fact]]:
    """What programs told; an id may come twice and say something else then, which is not taken."""
    amounts = st.sampled_from([0.0, 1.0, 0.1, 0.3, 1e-13, 5e-13, 1.4e-12, 2.5e-12, 9e15, 12345.678])
    one = st.builds(Emitted, st.integers(0, 12), instants(calendar), st.sampled_from(SUBJECTS), amounts)
    return few_or_many(one).map(list[Fact])


def tellings(calendar: Calendar) -> st.SearchStrategy[list[Fact]]:
    """What became of volumes: resized, of another grade, another project's, gone; one fact an instant."""
    one = st.builds(
        Told,
        volume=st.integers(0, VOLUMES - 1),
        at=instants(calendar),
        is_end=st.sampled_from([False, False, False, True]),
        size_gib=st.integers(1, 9),
        grade=st.sampled_from(GRADES),
        is_ours=st.sampled_from([True, True, False]),
    )
    return few_or_many(one, identity=lambda told: (told.volume, told.at)).map(list[Fact])


@dataclass(frozen=True, slots=True)
class Tell:
    """These facts come in one batch, in this order."""

    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class RollUp:
    """The rollups are brought up to date."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A month is drafted after so many of its seconds."""

    month: int
    after_s: int


@dataclass(frozen=True, slots=True)
class Finalize:
    """A month's invoice is made final, unless it is."""

    month: int


Step: TypeAlias = Tell | RollUp | Draft | Finalize


@dataclass(frozen=True, slots=True)
class Story:
    """A quarter: what holds in it, and all that is told and done, in order."""

    calendar: Calendar
    steps: tuple[Step, ...]

    @property
    def facts(self) -> list[Fact]:
        """All facts in the order in which they are told, repeats too."""
        return [fact for step in self.steps if isinstance(step, Tell) for fact in step.facts]


acts = st.one_of(
    st.just(RollUp()),
    st.builds(Draft, st.integers(0, 2), st.integers(1, 3_000_000)),
    st.builds(Finalize, st.integers(0, 2)),
)


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """Tell facts in any order, batching and repetition, and let anything be done between two batches."""
    calendar = draw(calendars())
    facts = [
        fact for kind in (lives, readings, emissions, tellings) for fact in draw(kind(calendar), label=kind.__name__)
    ]
    repeated = draw(st.lists(st.sampled_from(facts), max_size=6)) if facts else []
    order = draw(st.permutations([*facts, *repeated]))
    cuts = draw(st.lists(st.integers(0, len(order)), max_size=5))
    steps: list[Step] = []
    for begin, end in pairwise(sorted({0, *cuts, len(order)})):
        steps.append(Tell(tuple(order[begin:end])))
        steps.extend(draw(st.lists(acts, max_size=2)))
    return Story(calendar, tuple(steps))
