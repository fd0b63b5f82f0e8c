"""What is served of series equals a naive reckoning over the raw measures, rolled up or not, batched and repeated at will."""

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.database import Pool, Transaction
from foundation.ids import new_hex_id
from identity.model import Caller
from metering.archive_policies import Definition, new_policy
from metering.model import SHARD_COUNT, Metric
from metering.operations_syntax import parse_operations
from metering.service import aggregating, measures, metrics, policies, roll_up_shard
from metering.service.aggregating import MeasuresRequest
from metering.service.measures import Measures
from metering.service.metrics import MetricRequest
from metering.service.referencing import AggregatesRequest
from tests.conftest import own_pool
from tests.identity_builders import a_caller

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
NOON_S = int(NOON.timestamp())
MINUTE_US, HOUR_US = 60_000_000, 3_600_000_000
METHODS = ("mean", "sum", "min", "max", "count", "first", "last", "std", "median", "95pct", "1pct")
LAWS = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
Batch = Sequence[tuple[int, float]]
"""Values by second since noon, as one request brings them; of two for one second the later holds."""

batches = st.lists(
    st.lists(st.tuples(st.integers(0, 7_300), st.integers(-1_000, 1_000).map(float)), min_size=1, max_size=12),
    min_size=1,
    max_size=5,
)


@pytest.fixture(scope="module")
def pool(cluster_url: str) -> Generator[Pool]:
    """A database of these tests alone: they roll up whatever there is."""
    with own_pool(cluster_url) as opened:
        yield opened


def a_metric(tx: Transaction, caller: Caller) -> Metric:
    """Make a metric that serves every method by the minute and the hour."""
    name = f"policy-{new_hex_id()}"
    kept = [Definition(MINUTE_US, 10_000), Definition(HOUR_US, 10_000)]
    policies.create_archive_policy(tx, new_policy(name, back_window=0, definitions=kept, methods=["*"]))
    return metrics.create_metric(tx, caller, MetricRequest(archive_policy_name=name))


def write(tx: Transaction, caller: Caller, metric: Metric, batch: Batch) -> None:
    times = np.array([(NOON_S + second) * 1_000_000 for second, _ in batch], dtype=np.int64)
    own = Measures(times, np.array([value for _, value in batch]))
    measures.post_metric_measures(tx, caller, metric, own, received_at=NOON + timedelta(days=1))


def write_all(tx: Transaction, caller: Caller, metric: Metric, given: Sequence[Batch], *, rolled_up: int) -> None:
    """Write batches, and roll up when so many of them are in."""
    for place, batch in enumerate(given):
        if place == rolled_up:
            for shard in range(SHARD_COUNT):
                roll_up_shard(tx, shard=shard)
        write(tx, caller, metric, batch)


def raw_of(given: Sequence[Batch]) -> dict[int, float]:
    """Return what is left when the last write to a second wins."""
    return {second: value for batch in given for second, value in batch}


def reduced(method: str, values: Sequence[float]) -> float:
    """Reckon an aggregation; the standard deviation of one value is not known."""
    if method.endswith("pct"):
        return float(np.percentile(values, int(method.removesuffix("pct"))))
    if method == "std":
        return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    plain: Mapping[str, Callable[[Sequence[float]], float]] = {
        "mean": lambda own: sum(own) / len(own),
        "sum": sum,
        "min": min,
        "max": max,
        "count": len,
        "first": lambda own: own[0],
        "last": lambda own: own[-1],
        "median": lambda own: float(np.median(own)),
    }
    return float(plain[method](values))


def oracle(raw: Mapping[int, float], method: str, width_s: int) -> dict[int, float]:
    """Reckon buckets from the raw values; `rate:` is about the difference of each value to the one before it."""
    ordered = sorted(raw.items())
    if method.startswith("rate:"):
        ordered = [(at, value - before) for (_, before), (at, value) in pairwise(ordered)]
    buckets: dict[int, list[float]] = {}
    for second, value in ordered:
        buckets.setdefault(second - second % width_s, []).append(value)
    found = {bucket: reduced(method.removeprefix("rate:"), values) for bucket, values in buckets.items()}
    return {bucket: value for bucket, value in found.items() if not math.isnan(value)}


def served(tx: Transaction, metric: Metric, method: str, resample_us: int | None = None) -> dict[int, dict[int, float]]:
    """Return what is served, by width in seconds and second since noon."""
    request = MeasuresRequest(
        method=method,
        start=None,
        stop=None,
        granularity_us=None if resample_us is None else MINUTE_US,
        resample=resample_us,
        now=NOON + timedelta(days=1),
    )
    return {
        int(width) // 1_000_000: {
            at // 1_000_000 - NOON_S: value
            for at, value in zip(series.times_us.tolist(), series.values.tolist(), strict=True)
            if not math.isnan(value)
        }
        for width, series in aggregating.get_measures(tx, metric, request)
    }


@LAWS
@given(given=batches, method=st.sampled_from(METHODS), rate=st.booleans(), data=st.data())
def test_an_aggregate_is_what_the_raw_measures_make(
    tx: Transaction, given: list[Batch], method: str, rate: bool, data: st.DataObject
) -> None:
    rolled_up = data.draw(st.integers(0, len(given)), label="rolled up after")
    repeats = data.draw(st.lists(st.sampled_from(given[-1:]), max_size=2), label="repeated")
    caller = a_caller()
    metric = a_metric(tx, caller)
    write_all(tx, caller, metric, [*given, *repeats], rolled_up=rolled_up)
    asked = f"rate:{method}" if rate else method
    answer = served(tx, metric, asked)
    for width_s in (60, 3_600):
        assert answer[width_s] == pytest.approx(oracle(raw_of(given), asked, width_s), rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("seconds", [[0], [0, 10]], ids=["no increase", "one increase"])
def test_a_deviation_takes_two_increases(tx: Transaction, seconds: Sequence[int]) -> None:
    caller = a_caller()
    metric = a_metric(tx, caller)
    write_all(tx, caller, metric, [[(second, 1.0) for second in seconds]], rolled_up=1)
    assert served(tx, metric, "rate:std") == {60: {}, 3_600: {}}


@LAWS
@given(given=batches, method=st.sampled_from(["sum", "min", "max", "first", "last"]), data=st.data())
def test_downsampling_twice_equals_once(tx: Transaction, given: list[Batch], method: str, data: st.DataObject) -> None:
    rolled_up = data.draw(st.integers(0, len(given)), label="rolled up after")
    caller = a_caller()
    metric = a_metric(tx, caller)
    write_all(tx, caller, metric, given, rolled_up=rolled_up)
    assert served(tx, metric, method, resample_us=HOUR_US)[3_600] == served(tx, metric, method)[3_600]


FILLS: Mapping[str, Callable[[float | None, float | None], float | None]] = {
    "0": lambda one, other: (one or 0) + (other or 0),
    "null": lambda one, other: None if one is None and other is None else (one or 0) + (other or 0),
    "dropna": lambda one, other: None if one is None and other is None else (one or 0) + (other or 0),
}


@LAWS
@given(
    first=batches,
    second=batches,
    fill=st.sampled_from(sorted(FILLS)),
    method=st.sampled_from(["mean", "max", "rate:sum"]),
)
def test_an_aggregate_over_metrics_is_what_their_raw_measures_make(
    tx: Transaction, first: list[Batch], second: list[Batch], fill: str, method: str
) -> None:
    caller = a_caller()
    pair = a_metric(tx, caller), a_metric(tx, caller)
    write_all(tx, caller, pair[0], first, rolled_up=1)
    write_all(tx, caller, pair[1], second, rolled_up=len(second))
    operations = f"(* (aggregate sum (metric ({pair[0].id} {method}) ({pair[1].id} {method}))) 2)"
    request = AggregatesRequest(
        expression=parse_operations(operations),
        now=NOON + timedelta(days=1),
        granularities_us=(MINUTE_US,),
        fill=0.0 if fill == "0" else "null" if fill == "null" else "dropna",
    )
    matrix = aggregating.aggregate(tx, caller, request)[0].matrices[0]
    ours = dict(zip((matrix.times_us // 1_000_000 - NOON_S).tolist(), matrix.values[:, 0].tolist(), strict=True))
    one, other = oracle(raw_of(first), method, 60), oracle(raw_of(second), method, 60)
    expected = {at: FILLS[fill](one.get(at), other.get(at)) for at in {*one, *other}}
    present = {at: 2 * value for at, value in expected.items() if value is not None}
    assert {at: value for at, value in ours.items() if not math.isnan(value)} == pytest.approx(present)
