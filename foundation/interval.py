"""Half-open intervals of time: [start, end) in aware UTC."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, order=True)
class TimeInterval:
    """The instants from start up to but not including end."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("an interval needs aware datetimes")
        if not self.start < self.end:
            raise ValueError(
                f"an interval must start before it ends: {self.start.isoformat()} .. {self.end.isoformat()}"
            )

    @property
    def duration(self) -> timedelta:
        """The length in elapsed time; a 25-hour day is 25 hours."""
        return self.end - self.start

    def contains(self, instant: datetime) -> bool:
        """Tell whether the instant lies in [start, end)."""
        return self.start <= instant < self.end

    def intersection(self, other: "TimeInterval") -> "TimeInterval | None":
        """Return the shared part, or None where the two do not overlap."""
        start, end = max(self.start, other.start), min(self.end, other.end)
        return TimeInterval(start, end) if start < end else None
