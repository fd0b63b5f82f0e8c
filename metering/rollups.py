"""Buckets and dirty ranges: which bucket an instant lies in, and which stretches of which metrics a batch touched. Pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metering.model import SHARD_COUNT

RANGE_GAP_US = 3_600 * 1_000_000
"""Samples of one batch further apart than this make two ranges, so that a late one does not dirty all between."""


@dataclass(frozen=True, slots=True)
class DirtyRanges:
    """What a batch touched in one shard: parallel arrays of metric keys and the first and last instant, in microseconds."""

    shard: int
    metric_keys: list[int]
    first_us: list[int]
    last_us: list[int]


def bucket_start_us(instant_us: int, granularity_us: int) -> int:
    """Return the beginning of the bucket, counted from 1970 as Gnocchi does."""
    return instant_us - instant_us % granularity_us


def shard_of(metric_key: int) -> int:
    """Return the shard that rolls a metric up."""
    return metric_key % SHARD_COUNT


def dirty_ranges(metric_keys: NDArray[np.int64], observed_us: NDArray[np.int64]) -> list[DirtyRanges]:
    """Return the ranges that samples touch, a shard each; the samples are sorted by metric key and time."""
    if len(metric_keys) == 0:
        return []
    starts_anew = np.ones(len(metric_keys), dtype=bool)
    starts_anew[1:] = (np.diff(metric_keys) != 0) | (np.diff(observed_us) > RANGE_GAP_US)
    first = np.flatnonzero(starts_anew)
    last = np.append(first[1:], len(metric_keys)) - 1
    keys = metric_keys[first]
    shards = keys % SHARD_COUNT
    ranges: list[DirtyRanges] = []
    for shard in np.unique(shards).tolist():
        chosen = shards == shard
        ranges.append(
            DirtyRanges(
                shard,
                keys[chosen].tolist(),
                observed_us[first[chosen]].tolist(),
                observed_us[last[chosen]].tolist(),
            )
        )
    return ranges
