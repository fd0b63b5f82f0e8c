"""The operations language: what each operation does, what it refuses, and that missing values stay missing."""

import math
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.errors import Invalid
from metering.aggregates import METHODS, Grid, Series, aggregate_columns, grid_of, percentile_fraction, resample
from metering.operations import Column, Matrix, MetricWanted, evaluate, metrics_wanted
from metering.operations_syntax import parse_operations

NAN = math.nan
MINUTE_US = 60_000_000


def a_matrix(*series: list[float], metric: str = "cpu", owners: tuple[str, ...] = ()) -> Matrix:
    """Return series of one metric side by side, a minute apart."""
    values = np.array(series, dtype=np.float64).T
    columns = tuple(Column(MetricWanted(metric, "mean"), owners[n] if owners else f"r{n}") for n in range(len(series)))
    return Matrix(MINUTE_US, np.arange(len(series[0])) * MINUTE_US, values, columns)


def answer(operations: object, matrix: Matrix) -> list[list[float]]:
    return evaluate(parse_operations(operations), matrix).values.T.tolist()


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ("(metric cpu mean)", [[1, 2, 4], [3, 6, 12]]),
        ("(* (/ (aggregate mean (metric cpu mean)) 2) 100)", [[100, 200, 400]]),
        (["*", ["aggregate", "mean", ["metric", "cpu", "mean"]], 2], [[4, 8, 16]]),
        ("(+ 1 (metric cpu mean))", [[2, 3, 5], [4, 7, 13]]),
        ("(- 10 (metric cpu mean))", [[9, 8, 6], [7, 4, -2]]),
        ("(aggregate max (metric cpu mean))", [[3, 6, 12]]),
        ("(aggregate count (metric cpu mean))", [[2, 2, 2]]),
        ("(rateofchange (metric cpu mean))", [[1, 2], [3, 6]]),
        ("(rateofchangesec (metric cpu mean))", [[1 / 60, 2 / 60], [3 / 60, 6 / 60]]),
        ("(rolling sum 2 (metric cpu mean))", [[3, 6], [9, 18]]),
        ("(resample sum 120 (metric cpu mean))", [[3, 4], [9, 12]]),
        ("(abs (neg (metric cpu mean)))", [[1, 2, 4], [3, 6, 12]]),
        ("(clip_max 5 (metric cpu mean))", [[1, 2, 4], [3, 5, 5]]),
        ("(clip 2 5 (metric cpu mean))", [[2, 2, 4], [3, 5, 5]]),
        ("(>= (metric cpu mean) 4)", [[0, 0, 1], [0, 1, 1]]),
        ("(and (> (metric cpu mean) 1) (< (metric cpu mean) 12))", [[0, 1, 1], [1, 1, 0]]),
        ("(metric \"cpu\" 'mean')", [[1, 2, 4], [3, 6, 12]]),
        ("(- (metric cpu mean) (aggregate mean (metric cpu mean)))", [[-1, -2, -4], [1, 2, 4]]),
    ],
)
def test_operations(operations: object, expected: list[list[float]]) -> None:
    assert answer(operations, a_matrix([1, 2, 4], [3, 6, 12])) == expected


def test_missing_values_stay_missing_and_are_left_out_of_aggregates() -> None:
    matrix = a_matrix([1, NAN, NAN], [3, 6, NAN])
    (mean,) = answer("(aggregate mean (metric cpu mean))", matrix)
    assert mean[:2] == [2, 6]
    assert math.isnan(mean[2])
    (first, _) = answer("(> (metric cpu mean) 0)", matrix)
    assert first[0] == 1
    assert math.isnan(first[1])


def test_two_metrics_of_the_same_resources_are_paired_by_resource() -> None:
    used = a_matrix([1, 2], [30, 40], metric="used", owners=("a", "b"))
    whole = a_matrix([4, 4], metric="whole", owners=("b",))
    both = Matrix(MINUTE_US, used.times_us, np.hstack([used.values, whole.values]), used.columns + whole.columns)
    result = evaluate(parse_operations("(/ (metric used mean) (metric whole mean))"), both)
    assert [column.owner for column in result.columns] == ["b"]
    assert result.values.T.tolist() == [[7.5, 10]]


@pytest.mark.parametrize(
    "operations",
    [
        "",
        "cpu",
        "()",
        "(metric cpu)",
        "(metric cpu mean",
        "(metric cpu mean))",
        "(nonsense (metric cpu mean))",
        "(aggregate nonsense (metric cpu mean))",
        "(aggregate mean 5)",
        "(resample mean 0 (metric cpu mean))",
        "(rolling mean 99 (metric cpu mean))",
        "(+ (metric cpu mean))",
        "(+ 1 2)",
        ["metric", None, "mean"],
        {"metric": "cpu"},
        5,
        "(abs " * 40 + "(metric cpu mean)" + ")" * 40,
        "(+ " + "(metric cpu mean) " * 600 + ")",
        "(" * 30_000,
    ],
)
def test_what_cannot_be_read_or_does_not_fit_is_refused(operations: object) -> None:
    with pytest.raises(Invalid):
        expression = parse_operations(operations)
        metrics_wanted(expression)
        evaluate(expression, a_matrix([1, 2], [3, 4]))


def test_the_metrics_that_operations_need_are_named_once() -> None:
    expression = parse_operations("(/ (metric (a mean) (b max)) (metric a mean))")
    assert metrics_wanted(expression) == (MetricWanted("a", "mean"), MetricWanted("b", "max"))


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    with suppress(Invalid):
        metrics_wanted(parse_operations(text))


@given(
    st.lists(st.lists(st.one_of(st.just(NAN), st.floats(-1e9, 1e9)), min_size=3, max_size=3), min_size=1, max_size=6),
    st.sampled_from(sorted(METHODS)),
)
def test_aggregations_agree_with_numpys_own(rows: list[list[float]], method: str) -> None:
    ours = aggregate_columns(np.array(rows, dtype=np.float64), method)
    for row, value in zip(rows, ours.tolist(), strict=True):
        present = np.array([number for number in row if not math.isnan(number)])
        expected = expected_of(method, present)
        assert value == pytest.approx(expected, nan_ok=True, rel=1e-9, abs=1e-6)


def expected_of(method: str, present: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> float:
    """Return what an aggregation of values, none missing, must be."""
    if method == "count":
        return len(present)
    if len(present) == 0 or (method == "std" and len(present) < 2):
        return NAN
    fraction = percentile_fraction(method)
    if fraction is not None:
        return float(np.percentile(present, fraction * 100))
    if method == "std":
        return float(np.std(present, ddof=1))
    plain = {"mean": np.mean, "sum": np.sum, "min": np.min, "max": np.max}
    return float(
        {"first": present[0], "last": present[-1]}[method] if method in ("first", "last") else plain[method](present)
    )


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(-1000, 1000)), unique_by=lambda row: row[0], max_size=30))
def test_downsampling_twice_equals_once_for_sums(rows: list[tuple[int, int]]) -> None:
    ordered = sorted(rows)
    times = np.array([second * 1_000_000 for second, _ in ordered], dtype=np.int64)
    grid = Grid(times, np.array([[float(value)] for _, value in ordered]).reshape(len(ordered), 1))
    once = resample(grid, width=120_000_000, method="sum")
    twice = resample(resample(grid, width=60_000_000, method="sum"), width=120_000_000, method="sum")
    assert once.times_us.tolist() == twice.times_us.tolist()
    assert once.values.tolist() == twice.values.tolist()


def test_a_grid_has_every_time_once_and_its_filler_where_a_series_has_none() -> None:
    one = Series(np.array([0, 2], dtype=np.int64), np.array([1.0, 2.0]))
    other = Series(np.array([2, 3], dtype=np.int64), np.array([5.0, 6.0]))
    grid = grid_of([one, other], filler=0)
    assert grid.times_us.tolist() == [0, 2, 3]
    assert grid.values.tolist() == [[1, 0], [2, 5], [0, 6]]
