"""What is asked of series, what an aggregation method makes of a bucket, and the columns in which the answer is held."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import LiteralString, TypedDict

import numpy as np
from numpy.typing import NDArray

from metering.rollups import shard_of
from metering.samples import OLDEST


@dataclass(frozen=True, slots=True)
class SeriesAsked:
    """A stretch of one metric in buckets of one width: those that begin in [start, stop), start being a bucket's beginning."""

    metric_key: int
    granularity_us: int
    start: datetime
    stop: datetime


@dataclass(frozen=True, slots=True)
class BucketColumns:
    """Buckets with a value, sorted by metric key, granularity and beginning (microseconds since 1970)."""

    metric_keys: NDArray[np.int64]
    granularities_us: NDArray[np.int64]
    buckets_us: NDArray[np.int64]
    values: NDArray[np.float64]


EMPTY = BucketColumns(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64))


class AskedColumns(TypedDict):
    """The parameters that name what is asked."""

    keys: list[int]
    granularities: list[int]
    starts: list[datetime]
    stops: list[datetime]
    start_min: datetime
    stop_max: datetime
    read_until: datetime
    shards: list[int]
    whole_buckets_max: int


WHOLE_BUCKETS_MAX = 32
"""A marked metric's stretch of at most so many buckets is read from raw as a whole, which costs less than asking what the marks touch."""

VALUE_OF: Mapping[LiteralString, LiteralString] = {
    "mean": "sum / count",
    "sum": "sum",
    "min": "min",
    "max": "max",
    "first": "first",
    "last": "last",
    "count": "count",
    "std": "sqrt(greatest(0, deviation_sq) / nullif(count - 1, 0))",
    "rate:mean": "increase_sum / nullif(increase_count, 0)",
    "rate:sum": "increase_sum",
    "rate:min": "increase_min",
    "rate:max": "increase_max",
    "rate:first": "increase_first",
    "rate:last": "increase_last",
    "rate:count": "nullif(increase_count, 0)",
    "rate:std": "sqrt(greatest(0, increase_deviation_sq) / nullif(greatest(increase_count - 1, 0), 0))",
    "rate:per_second": "increase_sum / nullif(increase_elapsed_s, 0)",
}
"""What each of model.BUCKET_METHODS makes of a bucket's statistics."""

IS_ANY_UNKEPT: LiteralString = """EXISTS (
        SELECT FROM unnest(%(keys)s::bigint[], %(granularities)s::bigint[]) AS u (metric_key, granularity_us)
        JOIN metric c ON c.key = u.metric_key
        WHERE NOT EXISTS (
            SELECT FROM archive_policy_granularity g
            WHERE g.archive_policy_name = c.archive_policy_name AND g.granularity_us = u.granularity_us))"""
"""Whether some of the widths that are asked are in no rollups, so that all of it is read from raw."""

VALUE_OF_METHOD: LiteralString = (
    "CASE %(method)s "
    + " ".join(["WHEN '" + method + "' THEN " + value for method, value in VALUE_OF.items()])
    + " END::float8"
)


def asked_columns(asked: Sequence[SeriesAsked]) -> AskedColumns:
    """Return the parameters that name what is asked; stretches of one metric in one width become one that holds them all."""
    stretches: dict[tuple[int, int], tuple[datetime, datetime]] = {}
    for one in asked:
        name = (one.metric_key, one.granularity_us)
        start, stop = stretches.get(name, (one.start, one.stop))
        stretches[name] = (min(start, one.start), max(stop, one.stop))
    return {
        "keys": [key for key, _ in stretches],
        "granularities": [granularity for _, granularity in stretches],
        "starts": [start for start, _ in stretches.values()],
        "stops": [stop for _, stop in stretches.values()],
        "start_min": min((start for start, _ in stretches.values()), default=OLDEST),
        "stop_max": max((stop for _, stop in stretches.values()), default=OLDEST),
        "read_until": end_of_last_bucket(stretches),
        "shards": sorted({shard_of(key) for key, _ in stretches}),
        "whole_buckets_max": WHOLE_BUCKETS_MAX,
    }


def end_of_last_bucket(stretches: Mapping[tuple[int, int], tuple[datetime, datetime]]) -> datetime:
    """Return where the samples end that are read: the bucket that stop cuts is read whole."""
    return max((later(stop, width_us) for (_, width_us), (_, stop) in stretches.items()), default=OLDEST)


def later(instant: datetime, span_us: int) -> datetime:
    """Return an instant moved on, at most to the end of time."""
    try:
        return instant + timedelta(microseconds=span_us)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)
