"""Series as arrays, and how several become one: aggregation over metrics, over time, and rolling. Pure.

A missing value is NaN; every aggregation leaves missing values out and is NaN where there is nothing left.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from foundation.errors import Invalid
from metering.periods import Width, starts_of

Floats: TypeAlias = NDArray[np.float64]
Instants: TypeAlias = NDArray[np.int64]
Reduction: TypeAlias = Callable[[Floats, int], Floats]


@dataclass(frozen=True, slots=True)
class Series:
    """Values of buckets in order of time; times are microseconds since 1970."""

    times_us: Instants
    values: Floats


@dataclass(frozen=True, slots=True)
class Grid:
    """Several series on common times: values[time, series]."""

    times_us: Instants
    values: Floats


class UnknownMethod(Invalid):
    """No such way to aggregate."""

    def __init__(self, method: str) -> None:
        super().__init__(f"'{method}' is not a valid aggregation method", field="aggregation")


CARRYING: Mapping[str, tuple[bool, ...]] = {
    "ffill": (True,),
    "bfill": (False,),
    "full_ffill": (True, False),
    "full_bfill": (False, True),
}
"""How each way of filling carries values: forward (True) or backward, one after the other."""


def carried(grid: Grid, filling: str) -> Grid:
    """Put the value before, or after, where a series has none; what none comes before or after stays unknown."""
    values = grid.values
    for forward in CARRYING[filling]:
        rows = values if forward else values[::-1]
        known = np.where(np.isnan(rows), 0, np.arange(len(rows))[:, None])
        latest = np.maximum.accumulate(known, axis=0)
        filled = np.take_along_axis(rows, latest, axis=0)
        values = filled if forward else filled[::-1]
    return Grid(grid.times_us, values)


def grid_of(series: Sequence[Series], *, filler: float = np.nan) -> Grid:
    """Lay series on the times at which any of them has a value; `filler` stands where one has none."""
    if series and all(np.array_equal(series[0].times_us, one.times_us) for one in series[1:]):
        return Grid(series[0].times_us, np.ascontiguousarray(np.stack([one.values for one in series], axis=1)))
    times = np.unique(np.concatenate([s.times_us for s in series])) if series else np.empty(0, dtype=np.int64)
    values = np.full((len(times), len(series)), filler, dtype=np.float64)
    for column, one in enumerate(series):
        values[np.searchsorted(times, one.times_us), column] = one.values
    return Grid(times, values)


def shares_of(times_us: Instants, *, width_us: int, spans: Sequence[tuple[int, int]]) -> Floats:
    """Return which part of each bucket (0 to 1) lies in spans that do not overlap."""
    covered = np.zeros(len(times_us), dtype=np.float64)
    for start_us, stop_us in spans:
        low = np.maximum(times_us, start_us)
        high = np.minimum(times_us + width_us, stop_us)
        covered += np.maximum(high - low, 0)
    return covered / width_us


def count_present(values: Floats, axis: int) -> Floats:
    """Count the values that are there."""
    return np.count_nonzero(~np.isnan(values), axis=axis).astype(np.float64)


def sum_present(values: Floats, axis: int) -> Floats:
    """Add the values that are there; NaN where none is."""
    return np.where(count_present(values, axis) > 0, np.nansum(values, axis=axis), np.nan)


def mean_present(values: Floats, axis: int) -> Floats:
    """Average the values that are there."""
    count = count_present(values, axis)
    return np.nansum(values, axis=axis) / np.where(count > 0, count, np.nan)


def min_present(values: Floats, axis: int) -> Floats:
    """Return the least value that is there."""
    return np.fmin.reduce(values, axis=axis, initial=np.nan)


def max_present(values: Floats, axis: int) -> Floats:
    """Return the greatest value that is there."""
    return np.fmax.reduce(values, axis=axis, initial=np.nan)


def std_present(values: Floats, axis: int) -> Floats:
    """Return the sample standard deviation (n - 1) as Gnocchi does; NaN for fewer than two values."""
    count = count_present(values, axis)
    deviations = values - np.expand_dims(mean_present(values, axis), axis)
    return np.sqrt(np.nansum(deviations**2, axis=axis) / np.where(count > 1, count - 1, np.nan))


def first_present(values: Floats, axis: int) -> Floats:
    """Return the first value that is there."""
    position = np.expand_dims(np.argmax(~np.isnan(values), axis=axis), axis)
    return np.take_along_axis(values, position, axis=axis).squeeze(axis)


def last_present(values: Floats, axis: int) -> Floats:
    """Return the last value that is there."""
    return first_present(np.flip(values, axis=axis), axis)


def percentile_present(fraction: float) -> Reduction:
    """Return the aggregation that interpolates a percentile (0 to 1) of the values that are there."""

    def percentile(values: Floats, axis: int) -> Floats:
        ordered = np.moveaxis(np.sort(values, axis=axis), axis, -1)
        count = count_present(ordered, -1)
        place = np.where(count > 0, (count - 1) * fraction, 0)
        low = np.floor(place).astype(np.int64)
        high = np.ceil(place).astype(np.int64)
        low_values = np.take_along_axis(ordered, low[..., None], axis=-1)[..., 0]
        high_values = np.take_along_axis(ordered, high[..., None], axis=-1)[..., 0]
        return np.asarray(low_values + (high_values - low_values) * (place - low), dtype=np.float64)

    return percentile


METHODS: Mapping[str, Reduction] = {
    "mean": mean_present,
    "sum": sum_present,
    "min": min_present,
    "max": max_present,
    "std": std_present,
    "count": count_present,
    "first": first_present,
    "last": last_present,
    "median": percentile_present(0.5),
    **{f"{percent}pct": percentile_present(percent / 100) for percent in range(1, 100)},
}


def aggregate_columns(values: Floats, method: str) -> Floats:
    """Make one series of several: values[time, series] become values[time]."""
    if values.shape[1] == 0:
        return mean_present(values, 1)
    return method_of(method)(values, 1)


def method_of(method: str) -> Reduction:
    """Return an aggregation by its name; raise UnknownMethod."""
    try:
        return METHODS[method]
    except KeyError:
        raise UnknownMethod(method) from None


def percentile_fraction(method: str) -> float | None:
    """Return the percentile (0 to 1) that a method without its `rate:` names, or None."""
    if method == "median":
        return 0.5
    number = method.removesuffix("pct")
    is_percentile = method.endswith("pct") and number.isdecimal() and not number.startswith("0") and len(number) <= 2
    return int(number) / 100 if is_percentile else None


def resample(grid: Grid, *, width: Width, method: str) -> Grid:
    """Aggregate over time into wider buckets, or into periods of the calendar."""
    if len(grid.times_us) == 0:
        return grid
    starts, first = np.unique(starts_of(grid.times_us, width), return_index=True)
    bounds = [*first.tolist(), len(grid.times_us)]
    aggregate = method_of(method)
    rows = [aggregate(grid.values[low:high], 0) for low, high in pairwise(bounds)]
    return Grid(starts, np.array(rows, dtype=np.float64))


def rolling(grid: Grid, *, window: int, method: str) -> Grid:
    """Aggregate each value with the window - 1 before it."""
    windows = np.lib.stride_tricks.sliding_window_view(grid.values, window, axis=0)
    return Grid(grid.times_us[window - 1 :], method_of(method)(np.ascontiguousarray(windows), -1))
