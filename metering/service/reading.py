"""Reading series: never behind what was acknowledged."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from math import isfinite

import numpy as np

from foundation.database import Transaction
from metering.aggregates import Series, UnknownMethod, aggregate_columns, grid_of, percentile_fraction
from metering.model import BUCKET_METHODS, Window, WindowQuery
from metering.operations import Column, Matrix, MetricWanted, evaluate, metrics_wanted
from metering.operations_syntax import Expression, parse_operations
from metering.rollups import bucket_start_us
from metering.samples import instant_of, microseconds_of
from metering.store import metrics as metric_store
from metering.store import search
from metering.store.search import MetricSearch
from metering.store.series import BucketColumns, SeriesAsked, read_buckets, read_percentiles


@dataclass(frozen=True, slots=True)
class SeriesWanted:
    """One metric's buckets by one aggregation method; start is cut down to a bucket's beginning."""

    metric_key: int
    method: str
    granularity_us: int
    start: datetime
    stop: datetime

    @property
    def asked(self) -> SeriesAsked:
        """What the store is asked."""
        start_us = bucket_start_us(microseconds_of(self.start), self.granularity_us)
        return SeriesAsked(self.metric_key, self.granularity_us, instant_of(start_us), self.stop)


def read_series(tx: Transaction, wanted: Iterable[SeriesWanted]) -> Mapping[SeriesWanted, Series]:
    """Read many series, in one statement for each aggregation method that occurs; a series without a value is empty.

    Raises UnknownMethod for a method that nothing computes.
    """
    by_method: dict[str, list[SeriesWanted]] = defaultdict(list)
    for one in dict.fromkeys(wanted):
        by_method[one.method].append(one)
    answers: dict[SeriesWanted, Series] = {}
    for method, group in by_method.items():
        columns = read_method(tx, [one.asked for one in group], method)
        answers.update(split_series(columns, group))
    return answers


def read_method(tx: Transaction, asked: Sequence[SeriesAsked], method: str) -> BucketColumns:
    """Read all series of one aggregation method."""
    if method in BUCKET_METHODS:
        return read_buckets(tx, asked, method=method)
    fraction = percentile_fraction(method.removeprefix("rate:"))
    if fraction is None:
        raise UnknownMethod(method)
    return read_percentiles(tx, asked, fraction=fraction, is_rate=method.startswith("rate:"))


def split_series(columns: BucketColumns, wanted: Sequence[SeriesWanted]) -> Mapping[SeriesWanted, Series]:
    """Cut what was read into the series that were wanted."""
    pieces: dict[tuple[int, int], Series] = {}
    ends = np.flatnonzero((np.diff(columns.metric_keys) != 0) | (np.diff(columns.granularities_us) != 0)) + 1
    bounds = [0, *ends.tolist(), len(columns.metric_keys)]
    for low, high in pairwise(bounds):
        if low < high:
            name = (int(columns.metric_keys[low]), int(columns.granularities_us[low]))
            pieces[name] = Series(columns.buckets_us[low:high], columns.values[low:high])
    empty = Series(np.empty(0, dtype=np.int64), np.empty(0))
    answers: dict[SeriesWanted, Series] = {}
    bounds_us: dict[tuple[datetime, datetime, int], tuple[int, int]] = {}
    for one in wanted:
        span = (one.start, one.stop, one.granularity_us)
        if span not in bounds_us:
            bounds_us[span] = (microseconds_of(one.asked.start), microseconds_of(one.stop))
        piece = pieces.get((one.metric_key, one.granularity_us), empty)
        low, high = np.searchsorted(piece.times_us, bounds_us[span])
        answers[one] = Series(piece.times_us[low:high], piece.values[low:high])
    return answers


@dataclass(frozen=True, slots=True)
class PreparedQuery:
    """A window query with its operations read: an expression, or None where methods are named."""

    query: WindowQuery
    expression: "Expression | None"
    wanted: tuple[MetricWanted, ...]

    @property
    def granularity_us(self) -> int:
        """The bucket's width."""
        return round(self.query.granularity_s * 1_000_000)


def read_windows(tx: Transaction, queries: Sequence[WindowQuery]) -> Sequence[Window]:
    """Answer all alarms' windows set-based: the number of statements does not grow with the number of queries.

    A query that selects nothing has no points. Raises Invalid for operations or a method that nothing computes.
    """
    prepared = [prepare(query) for query in queries]
    columns = find_columns(tx, prepared)
    series = read_series(tx, (one for chosen in columns for one, _ in chosen))
    windows: list[Window] = []
    for query, chosen in zip(prepared, columns, strict=True):
        windows.append(Window(query.query.key, points_of(query, [(series[one], column) for one, column in chosen])))
    return windows


def prepare(query: WindowQuery) -> PreparedQuery:
    """Read a query's operations, or the one metric and method that it names."""
    if query.operations is None:
        return PreparedQuery(query, None, (MetricWanted(query.metric, query.aggregation_method),))
    expression = parse_operations(query.operations)
    return PreparedQuery(query, expression, metrics_wanted(expression))


def find_columns(tx: Transaction, prepared: Sequence[PreparedQuery]) -> list[list[tuple[SeriesWanted, Column]]]:
    """Find the series that each query is about."""
    columns: list[list[tuple[SeriesWanted, Column]]] = [[] for _ in prepared]
    searches: list[MetricSearch] = []
    origins: list[tuple[int, MetricWanted]] = []
    for place, one in enumerate(prepared):
        if one.query.metric_ids:
            continue
        for wanted in one.wanted:
            query = one.query
            searches.append(MetricSearch(query.project_id, query.resource_type, wanted.metric, query.search))
            origins.append((place, wanted))
    for found in search.find_metrics(tx, searches) if searches else ():
        place, wanted = origins[found.search]
        columns[place].append(column_of(prepared[place], found.metric_key, wanted, owner=str(found.resource_id)))
    by_id = [place for place, one in enumerate(prepared) if one.query.metric_ids]
    if by_id:
        keys = metric_store.find_visible_keys(
            tx, [(prepared[place].query.project_id, i) for place in by_id for i in prepared[place].query.metric_ids]
        )
        for place in by_id:
            query = prepared[place].query
            for metric_id in query.metric_ids:
                key = keys.get((query.project_id, metric_id))
                for wanted in prepared[place].wanted if key is not None else ():
                    if query.operations is None or wanted.metric == str(metric_id):
                        assert key is not None
                        columns[place].append(column_of(prepared[place], key, wanted, owner=""))
    return columns


def column_of(
    prepared: PreparedQuery, metric_key: int, wanted: MetricWanted, *, owner: str
) -> tuple[SeriesWanted, Column]:
    """Return the series that a query reads of one metric, and what it is in the query's matrix."""
    query = prepared.query
    series = SeriesWanted(metric_key, wanted.aggregation, prepared.granularity_us, query.start, query.stop)
    return series, Column(wanted, owner)


SAME_OF_ONE = frozenset({"mean", "sum", "min", "max", "first", "last", "median"})
"""What leaves a single series as it is; most alarms watch one."""


def points_of(prepared: PreparedQuery, chosen: Sequence[tuple[Series, Column]]) -> tuple[tuple[datetime, float], ...]:
    """Return the points of one query from its series."""
    if not chosen:
        return ()
    if len(chosen) == 1 and prepared.expression is None and prepared.query.reaggregation in SAME_OF_ONE:
        return finite_points(chosen[0][0])
    grid = grid_of([series for series, _ in chosen])
    if prepared.expression is None:
        times_us, values = grid.times_us, aggregate_columns(grid.values, prepared.query.reaggregation)
    else:
        matrix = Matrix(prepared.granularity_us, grid.times_us, grid.values, tuple(column for _, column in chosen))
        result = evaluate(prepared.expression, matrix)
        times_us, values = result.times_us, aggregate_columns(result.values, prepared.query.reaggregation)
    return finite_points(Series(times_us, values))


def finite_points(series: Series) -> tuple[tuple[datetime, float], ...]:
    """Return the points of a series that have a value."""
    return tuple(
        (instant_of(time_us), value)
        for time_us, value in zip(series.times_us.tolist(), series.values.tolist(), strict=True)
        if isfinite(value)
    )
