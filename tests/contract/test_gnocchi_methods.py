"""Every aggregation method and what `aggregates` does where series do not match, against sums done by hand."""

import numpy as np
import pytest

from metering.archive_policies import METHODS_ALL
from tests.contract.test_gnocchi_interface import Person, a_metric, a_name, admin, demo, people

__all__ = ["admin", "demo", "people"]

VALUES = [3.0, 8.0, 1.0, 9.0, 4.0]
CHANGES = np.diff(VALUES).tolist()


def expected(method: str) -> float:
    """Return what a method makes of the values, or of their changes."""
    values = CHANGES if method.startswith("rate:") else VALUES
    name = method.removeprefix("rate:")
    if name.endswith("pct"):
        return float(np.percentile(values, int(name.removesuffix("pct"))))
    plain = {
        "mean": np.mean(values), "sum": sum(values), "min": min(values), "max": max(values), "count": len(values),
        "first": values[0], "last": values[-1], "median": np.median(values), "std": np.std(values, ddof=1),
    }  # fmt: skip
    return float(plain[name])


def test_every_aggregation_method_is_served_and_right(admin: Person) -> None:
    policy = a_name("policy")
    body = {"name": policy, "definition": [{"granularity": 3600, "points": 9}], "aggregation_methods": ["*"]}
    assert admin.send("POST", "/v1/archive_policy", body)[0] == 201
    metric = a_metric(admin, *((60 * n, value) for n, value in enumerate(VALUES)), policy=policy)
    assert set(admin.send("GET", "/v1/capabilities")[1]["aggregation_methods"]) == METHODS_ALL
    for method in sorted(METHODS_ALL):
        status, points = admin.send("GET", f"/v1/metric/{metric}/measures?aggregation={method}")
        assert (status, [point[2] for point in points]) == (200, [pytest.approx(expected(method))]), method


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("fill=0", [2, 12, 16]),
        ("fill=null", [2, 12, 16]),
        ("fill=dropna", [2, 12, 16]),
        ("", [2, 12, 16]),
        ("needed_overlap=30", [12]),
        ("needed_overlap=0&start=0&stop=now", [2, 12, 16]),
    ],
)
def test_series_that_do_not_match_are_filled_or_cut(admin: Person, query: str, values: list[float]) -> None:
    first, second = a_metric(admin, (0, 2), (60, 4)), a_metric(admin, (60, 8), (120, 16))
    operations = f"(aggregate sum (metric ({first} mean) ({second} mean)))"
    status, body = admin.send("POST", f"/v1/aggregates?granularity=60&{query}", {"operations": operations})
    assert status == 200, body
    assert [point[2] for point in body["measures"]["aggregated"]] == values


def test_series_that_overlap_too_little_are_refused_with_their_names(admin: Person) -> None:
    first, second = a_metric(admin, (0, 2)), a_metric(admin, (60, 8))
    operations = f"(aggregate sum (metric ({first} mean) ({second} mean)))"
    status, body = admin.send("POST", "/v1/aggregates?granularity=60&needed_overlap=50", {"operations": operations})
    assert (status, body["description"]["cause"]) == (400, "Metrics cannot be aggregated")
    assert [first, "mean"] in body["description"]["detail"]
