"""Gnocchi's operations language over series: say which metrics it needs, and evaluate it. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from metering.aggregates import Floats, Grid, Instants, aggregate_columns, method_of, resample, rolling
from metering.operations_syntax import Expression, OperationsInvalid
from metering.periods import Width, calendar_period

ROLLING_WINDOW_MAX = 10_000
RESAMPLE_S_MAX = 1_000_000_000

BINARY: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "+": np.add, "add": np.add, "-": np.subtract, "sub": np.subtract, "*": np.multiply, "mul": np.multiply,
    "/": np.true_divide, "div": np.true_divide, "%": np.mod, "mod": np.mod, "^": np.power, "**": np.power, "pow": np.power,
    "==": np.equal, "=": np.equal, "eq": np.equal, "!=": np.not_equal, "<>": np.not_equal, "≠": np.not_equal,
    "ne": np.not_equal, ">": np.greater, "gt": np.greater, ">=": np.greater_equal, "≥": np.greater_equal,
    "ge": np.greater_equal, "<": np.less, "lt": np.less, "<=": np.less_equal, "≤": np.less_equal, "le": np.less_equal,
    "and": np.logical_and, "∧": np.logical_and, "or": np.logical_or, "∨": np.logical_or,
}  # fmt: skip
COMPARISONS = frozenset(
    name
    for name, operator in BINARY.items()
    if operator not in (np.add, np.subtract, np.multiply, np.true_divide, np.mod, np.power)
)
UNARY: Mapping[str, Callable[[Floats], Floats]] = {
    "abs": np.absolute,
    "absolute": np.absolute,
    "neg": np.negative,
    "negative": np.negative,
    "cos": np.cos,
    "sin": np.sin,
    "tan": np.tan,
    "floor": np.floor,
    "ceil": np.ceil,
}


@dataclass(frozen=True, slots=True, order=True)
class MetricWanted:
    """A metric, by id or by name, and how its samples are aggregated in a bucket."""

    metric: str
    aggregation: str


@dataclass(frozen=True, slots=True)
class Column:
    """Which series a column of the matrix is; owner is the resource, where metrics are looked up by name.

    `matched` is the metric's own name where a pattern was wanted, which may be several of one resource.
    """

    wanted: MetricWanted
    owner: str = ""
    matched: str = ""

    @property
    def metric(self) -> str:
        """What the metric is called in an answer."""
        return self.matched or self.wanted.metric


@dataclass(frozen=True, slots=True)
class Matrix:
    """Series side by side; once aggregated it is one series of no metric's own."""

    width: Width
    times_us: Instants
    values: Floats
    columns: tuple[Column, ...]
    is_aggregated: bool = False


def metrics_wanted(expression: Expression) -> tuple[MetricWanted, ...]:
    """Return the metrics that the operations name, each once, in the order in which they occur."""
    found: dict[MetricWanted, None] = {}
    collect_wanted(expression, found)
    if not found:
        raise OperationsInvalid("no (metric <name> <aggregation>) in it")
    return tuple(found)


def collect_wanted(expression: Expression, found: dict[MetricWanted, None]) -> None:
    """Add what a part of the operations names."""
    if not isinstance(expression, list) or not expression:
        return
    if expression[0] == "metric":
        found.update(dict.fromkeys(wanted_of(expression)))
        return
    for part in expression[1:]:
        collect_wanted(part, found)


def wanted_of(expression: list[Expression]) -> list[MetricWanted]:
    """Read (metric name aggregation) or (metric (name aggregation) (name aggregation) ...)."""
    pairs = expression[1:] if len(expression) > 1 and isinstance(expression[1], list) else [expression[1:]]
    wanted: list[MetricWanted] = []
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or isinstance(pair[0], list) or not isinstance(pair[1], str):
            raise OperationsInvalid("metric is written (metric <name or id> <aggregation>)")
        name = pair[0] if isinstance(pair[0], str) else f"{pair[0]:g}"
        wanted.append(MetricWanted(name, pair[1]))
    return wanted


def evaluate(expression: Expression, matrix: Matrix) -> Matrix:
    """Evaluate operations over the series of the metrics that they name, all of one granularity."""
    with np.errstate(all="ignore"):
        result = evaluate_part(expression, matrix)
    if isinstance(result, int | float):
        raise OperationsInvalid("the result is a number, not a series")
    return result


def evaluate_part(expression: Expression, matrix: Matrix) -> "Matrix | float":
    """Evaluate one part; a number stays a number."""
    if isinstance(expression, int | float):
        return expression
    if isinstance(expression, str) or not expression or not isinstance(expression[0], str):
        raise OperationsInvalid(f"{expression!r} is not an operation")
    name, parts = expression[0].lower(), expression[1:]
    if name == "metric":
        return select(matrix, wanted_of(expression))
    if name in UNARY:
        return over_values(name, UNARY[name], only_series(name, parts, matrix))
    if name in BINARY:
        return binary(name, parts, matrix)
    special = SPECIAL.get(name)
    if special is None:
        raise OperationsInvalid(f"'{name}' is not an operation")
    return special(name, parts, matrix)


def select(matrix: Matrix, wanted: Sequence[MetricWanted]) -> Matrix:
    """Return the columns of some metrics."""
    named = frozenset(wanted)
    chosen = [place for place, column in enumerate(matrix.columns) if column.wanted in named]
    return replace(matrix, values=matrix.values[:, chosen], columns=tuple(matrix.columns[place] for place in chosen))


def only_series(name: str, parts: list[Expression], matrix: Matrix) -> Matrix:
    """Evaluate the one part that an operation takes."""
    if len(parts) != 1:
        raise OperationsInvalid(f"{name} takes one series")
    return series_of(name, parts[0], matrix)


def series_of(name: str, part: Expression, matrix: Matrix) -> Matrix:
    """Evaluate a part that must be a series."""
    result = evaluate_part(part, matrix)
    if isinstance(result, int | float):
        raise OperationsInvalid(f"{name} takes a series, not a number")
    return result


def over_values(_: str, function: Callable[[Floats], Floats], matrix: Matrix) -> Matrix:
    """Apply a function to each value."""
    return replace(matrix, values=function(matrix.values))


def binary(name: str, parts: list[Expression], matrix: Matrix) -> "Matrix | float":
    """Apply an operator to series and numbers, from left to right."""
    if len(parts) < 2:
        raise OperationsInvalid(f"{name} takes two operands")
    result = evaluate_part(parts[0], matrix)
    for part in parts[1:]:
        result = pairwise(name, result, evaluate_part(part, matrix))
    return result


def pairwise(name: str, left: "Matrix | float", right: "Matrix | float") -> "Matrix | float":
    """Apply an operator to two operands; two sets of series have the same times and as many series, or one of them is one."""
    operator = BINARY[name]
    if isinstance(left, int | float) and isinstance(right, int | float):
        return float(operator(np.float64(left), np.float64(right)))  # pyright: ignore[reportArgumentType]
    if isinstance(left, int | float) or isinstance(right, int | float):
        series = left if isinstance(left, Matrix) else cast(Matrix, right)
        first = left.values if isinstance(left, Matrix) else np.float64(left)
        second = right.values if isinstance(right, Matrix) else np.float64(right)
        return replace(series, values=known_where(name, operator(first, second), series.values))  # pyright: ignore[reportArgumentType]
    left, right = on_common_times(left, right)
    left, right = by_owner(left, right)
    wide = left if left.values.shape[1] >= right.values.shape[1] else right
    narrow = right if wide is left else left
    if narrow.values.shape[1] not in (1, wide.values.shape[1]):
        raise OperationsInvalid(f"{name} between {left.values.shape[1]} and {right.values.shape[1]} series")
    values = known_where(name, operator(left.values, right.values), left.values + right.values)
    return replace(wide, values=values, is_aggregated=left.is_aggregated or right.is_aggregated)


def known_where(name: str, values: Floats, operands: Floats) -> Floats:
    """Make truth a number, and leave it unknown where an operand is."""
    if name not in COMPARISONS:
        return values
    return np.where(np.isnan(operands), np.nan, values.astype(np.float64))


def on_common_times(left: Matrix, right: Matrix) -> tuple[Matrix, Matrix]:
    """Cut two sets of series to the times that both have."""
    if left.width != right.width:
        raise OperationsInvalid("the operands have different granularities; resample one of them")
    if np.array_equal(left.times_us, right.times_us):
        return left, right
    times, left_rows, right_rows = np.intersect1d(left.times_us, right.times_us, return_indices=True)
    return (
        replace(left, times_us=times, values=left.values[left_rows]),
        replace(right, times_us=times, values=right.values[right_rows]),
    )


def by_owner(left: Matrix, right: Matrix) -> tuple[Matrix, Matrix]:
    """Pair the series of two metrics by their resource, leaving out resources that lack one of them."""
    left_owners = [column.owner for column in left.columns]
    right_owners = [column.owner for column in right.columns]
    if left.is_aggregated or right.is_aggregated or not all(left_owners) or left_owners == right_owners:
        return left, right
    if len({*left_owners}) < len(left_owners) or len({*right_owners}) < len(right_owners):
        raise OperationsInvalid(
            "a pattern finds several series of a resource, and the other operand has others; name the metrics"
        )
    common = [owner for owner in left_owners if owner in set(right_owners)]
    left_places = [left_owners.index(owner) for owner in common]
    right_places = [right_owners.index(owner) for owner in common]
    return (
        replace(left, values=left.values[:, left_places], columns=tuple(left.columns[p] for p in left_places)),
        replace(right, values=right.values[:, right_places], columns=tuple(right.columns[p] for p in right_places)),
    )


def aggregate(name: str, parts: list[Expression], matrix: Matrix) -> Matrix:
    """(aggregate <method> <series>): make one series of several; `rate:` takes the differences of what that gives."""
    method = word(name, parts, 2)
    series = series_of(name, parts[1], matrix)
    values = aggregate_columns(series.values, method.removeprefix("rate:"))
    made = replace(series, values=values[:, None], columns=series.columns[:1], is_aggregated=True)
    return differences_of(made) if method.startswith("rate:") else made


def resampled(name: str, parts: list[Expression], matrix: Matrix) -> Matrix:
    """(resample <method> <seconds> <series>): aggregate over time; a letter such as M is a period of the calendar."""
    method = word(name, parts, 3)
    width = (calendar_period(parts[1]) if isinstance(parts[1], str) else None) or width_of(number(name, parts[1]))
    series = series_of(name, parts[2], matrix)
    grid = resample(Grid(series.times_us, series.values), width=width, method=method)
    return replace(series, width=width, times_us=grid.times_us, values=grid.values)


def width_of(seconds: float) -> int:
    """Return the width of a bucket in microseconds."""
    width = round(seconds * 1_000_000) if abs(seconds) <= RESAMPLE_S_MAX else 0
    if width <= 0:
        raise OperationsInvalid(f"resample takes a granularity above 0 and of at most {RESAMPLE_S_MAX} seconds")
    return width


def rolled(name: str, parts: list[Expression], matrix: Matrix) -> Matrix:
    """(rolling <method> <window> <series>): aggregate each value with those before it."""
    method = word(name, parts, 3)
    window = int(number(name, parts[1]))
    series = series_of(name, parts[2], matrix)
    if not 1 <= window <= ROLLING_WINDOW_MAX:
        raise OperationsInvalid(f"rolling takes a window of 1 to {ROLLING_WINDOW_MAX}")
    if window > len(series.times_us):
        raise OperationsInvalid(f"Rolling window '{window}' is greater than serie length '{len(series.times_us)}'")
    grid = rolling(Grid(series.times_us, series.values), window=window, method=method.removeprefix("rate:"))
    made = replace(series, times_us=grid.times_us, values=grid.values)
    return differences_of(made) if method.startswith("rate:") else made


def changes(name: str, parts: list[Expression], matrix: Matrix) -> Matrix:
    """(rateofchange <series>) and (rateofchangesec <series>): the difference to the value before, or that per second."""
    series = only_series(name, parts, matrix)
    made = differences_of(series)
    if name == "rateofchangesec":
        return replace(made, values=made.values / (np.diff(series.times_us) / 1e6)[:, None])
    return made


def differences_of(series: Matrix) -> Matrix:
    """Return the difference of each value to the one before."""
    return replace(series, times_us=series.times_us[1:], values=np.diff(series.values, axis=0))


def clipped(name: str, parts: list[Expression], matrix: Matrix) -> Matrix:
    """(clip <series> <low> <high>), (clip_min <series> <low>), (clip_max <series> <high>); the series may come last too."""
    place = 0 if parts and isinstance(parts[0], list) else -1
    bounds = parts[1:] if place == 0 else parts[:-1]
    if len(bounds) != (2 if name == "clip" else 1):
        raise OperationsInvalid(f"{name} takes a series and {'two bounds' if name == 'clip' else 'a bound'}")
    series = series_of(name, parts[place], matrix)
    limits = [number(name, bound) for bound in bounds]
    low = limits[0] if name in ("clip", "clip_min") else None
    high = limits[-1] if name in ("clip", "clip_max") else None
    return replace(series, values=np.clip(series.values, low, high))


def word(name: str, parts: list[Expression], length: int) -> str:
    """Return the aggregation method that an operation begins with; it takes so many parts."""
    if len(parts) != length or not isinstance(parts[0], str):
        raise OperationsInvalid(f"{name} takes an aggregation method and {length - 1} more")
    is_rated = parts[0].startswith("rate:") and name in ("aggregate", "rolling")
    method_of(parts[0].removeprefix("rate:") if is_rated else parts[0])
    return parts[0]


def number(name: str, part: Expression) -> float:
    """Return a part that must be a number."""
    if not isinstance(part, int | float):
        raise OperationsInvalid(f"{name} takes a number, not {part!r}")
    return part


SPECIAL: Mapping[str, Callable[[str, list[Expression], Matrix], Matrix]] = {
    "aggregate": aggregate,
    "resample": resampled,
    "rolling": rolled,
    "rateofchange": changes,
    "rateofchangesec": changes,
    "clip": clipped,
    "clip_min": clipped,
    "clip_max": clipped,
}
