"""Searches in measures: what they find, and that they are bounded as a whole."""

from typing import Any

import numpy as np
import pytest

from metering.measure_search import NODES_MAX, MeasureSearchInvalid, parse_measure_search


def found(query: Any, *values: float) -> list[float]:
    series = np.array(values, dtype=np.float64)
    return series[parse_measure_search(query)(series) != 0].tolist()


def test_a_search_compares_values_and_what_operations_make_of_them() -> None:
    assert found({">=": 50}, 10, 50, 90) == [50, 90]
    assert found({"=": [{"mod": 2}, 0]}, 1, 2, 3, 4) == [2, 4]
    assert found({"or": [{"=": 1}, {"and": [{">": 2}, {"<": 4}]}]}, 1, 2, 3, 4) == [1, 3]


def test_a_search_has_a_bounded_number_of_parts_however_they_are_nested() -> None:
    wide = {"or": [{"or": [{"=": n} for n in range(30)]} for _ in range(30)]}
    assert len(wide["or"]) * 30 < NODES_MAX
    with pytest.raises(MeasureSearchInvalid, match=f"more than {NODES_MAX} parts"):
        parse_measure_search(wide)
    assert found({"or": [{"=": n} for n in range(400)]}, 7, 500) == [7]


def test_a_search_that_is_nested_too_deep_is_refused() -> None:
    query: dict[str, Any] = {"=": 1}
    for _ in range(40):
        query = {"and": [query]}
    with pytest.raises(MeasureSearchInvalid, match="nested deeper"):
        parse_measure_search(query)


@pytest.mark.parametrize(
    "query", [[], {}, {"=": 1, "<": 2}, {"or": []}, {"is": 1}, {"=": [1, 2, 3]}, {"=": "x"}, {"=": True}]
)
def test_what_is_no_search_is_refused(query: Any) -> None:
    with pytest.raises(MeasureSearchInvalid):
        parse_measure_search(query)
