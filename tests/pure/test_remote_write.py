"""Reading Prometheus' remote write: what is kept, what is left out and told of, and what is refused."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import cramjam
import pytest
from structlog.testing import capture_logs

from api.gnocchi.prometheus import tell_left_out
from api.gnocchi.remote_write import LABELS_MAX, WRITE_REQUEST, WrittenSeries, read_write_request
from foundation.errors import Invalid


def packed(*series: tuple[dict[str, str], Sequence[tuple[float, int]]]) -> bytes:
    message = WRITE_REQUEST()
    for labels, samples in series:
        one = message.timeseries.add()
        for name, value in labels.items():
            one.labels.add(name=name, value=value)
        for value, at_ms in samples:
            one.samples.add(value=value, timestamp=at_ms)
    return bytes(cramjam.snappy.compress_raw(message.SerializeToString()))


def told_in(logged: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What was told of remote writes; another thread of this process may tell of something else meanwhile."""
    return [one for one in logged if one["event"].startswith("remote_write")]


def test_values_that_are_no_numbers_are_passed_over_and_those_too_large_are_counted() -> None:
    body = packed(
        ({"__name__": "up"}, [(1.0, 1_000), (math.nan, 2_000), (math.inf, 3_000), (-1e308, 4_000)]),
        ({"__name__": "down"}, [(0.0, 1_000)]),
    )
    with capture_logs() as logged:
        read = list(read_write_request(body))
    assert read == [
        WrittenSeries({"__name__": "up"}, (1_000_000,), (1.0,), 2),
        WrittenSeries({"__name__": "down"}, (1_000_000,), (0.0,)),
    ]
    assert told_in(logged) == [], "reading is pure"


def test_what_is_left_out_is_told_once_a_message() -> None:
    series = [WrittenSeries({"__name__": f"m{n}"}, (), (), n) for n in range(4)]
    with capture_logs() as logged:
        tell_left_out(series)
        tell_left_out(series[:1])
    assert [(one["event"], one["values"], one["series"], one["first"]) for one in told_in(logged)] == [
        ("remote_write.left_out", 6, 3, "m1")
    ]


def test_a_series_of_too_many_labels_is_refused() -> None:
    labels = {f"l{n}": "v" for n in range(LABELS_MAX + 1)}
    with pytest.raises(Invalid, match=f"at most {LABELS_MAX} labels"):
        list(read_write_request(packed((labels, []))))
