"""How far raw samples may be dropped: sealed before they go, and never further than anything that rests on them allows. Pure.

Raw samples go by chunks. Before a chunk goes, every bucket that has a reading in it is *sealed*: its rollup is computed a last time
and then stays. So the seal lies a little later than the drop: where the widest bucket ends that the drop cuts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from metering.samples import instant_of, microseconds_of

SEAL_AGE_MIN = timedelta(days=30)
"""Younger samples are never sealed, whatever the settings: what is late by days is the rule after an outage."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Raw samples observed in [start, end), and the room that they take."""

    start: datetime
    end: datetime
    bytes: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Why nothing observed from an instant on may be sealed, in a sentence."""

    needed_since: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Boundary:
    """Samples before `drop_before` may go once all buckets that have a reading before `seal_before` are final."""

    drop_before: datetime
    seal_before: datetime


def sealing_boundary(drop_before: datetime, granularities_us: Iterable[int]) -> Boundary:
    """Return the boundary for dropping up to an instant.

    From the seal on, no bucket of any width holds a sample from before the drop.
    """
    drop_us = microseconds_of(drop_before)
    seal_us = max((-(-drop_us // width) * width for width in granularities_us), default=drop_us)
    return Boundary(drop_before, instant_of(max(seal_us, drop_us)))


def decide_boundary(chunks: Sequence[Chunk], granularities_us: Sequence[int], holds: Sequence[Hold]) -> Boundary | None:
    """Return how far chunks may go so that nothing is sealed that is held, or None where none may."""
    limit = min((hold.needed_since for hold in holds), default=None)
    for end in sorted({chunk.end for chunk in chunks}, reverse=True):
        boundary = sealing_boundary(end, granularities_us)
        if limit is None or boundary.seal_before <= limit:
            return boundary
    return None


def binding_holds(holds: Sequence[Hold], *, limit: int) -> Sequence[Hold]:
    """Return the holds that reach furthest back, the strictest first."""
    return sorted(holds, key=lambda hold: hold.needed_since)[:limit]
