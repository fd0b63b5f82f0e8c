"""The one place that reads the wall clock; only entrypoints call it, everything else is given the time."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the present instant as an aware UTC datetime with microseconds."""
    return datetime.now(UTC)
