"""What to look for when asking whether anything has become known of some intervals since each was looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from uuid import UUID

from foundation.interval import TimeInterval
from metering.model import Snapshot


@dataclass(frozen=True, slots=True)
class SeenInterval:
    """An interval that somebody has read, under a name of theirs, and the snapshot that was read."""

    key: UUID
    interval: TimeInterval
    seen: Snapshot


@dataclass(frozen=True, slots=True)
class SeenIntervals:
    """Intervals in order of time, none of which share time."""

    ordered: tuple[SeenInterval, ...]

    def __post_init__(self) -> None:
        for earlier, later in pairwise(self.ordered):
            assert earlier.interval.end <= later.interval.start, "intervals in order, and without shared time"

    @property
    def oldest_unseen(self) -> list[int]:
        """Return for each interval the lowest transaction id that it or any later one may not have seen."""
        lowest = [oldest_unseen(one.seen) for one in self.ordered]
        return list(accumulate(reversed(lowest), min))[::-1]


def in_order(intervals: Sequence[SeenInterval]) -> SeenIntervals:
    """Put intervals in order of time."""
    return SeenIntervals(tuple(sorted(intervals, key=lambda one: one.interval.start)))


def oldest_unseen(seen: Snapshot) -> int:
    """Return a snapshot's xmin: all transactions below it had ended, and so were seen."""
    return int(seen.split(":", 1)[0])


def recency(seen: Snapshot) -> tuple[int, int]:
    """Order snapshots that were taken one after the other: by the first transaction that had not begun, then by xmin."""
    xmin, xmax, _ = seen.split(":")
    return int(xmax), int(xmin)
