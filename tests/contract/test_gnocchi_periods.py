"""Measures laid into the periods of the calendar, as Gnocchi's letters ask for it."""

from collections.abc import Iterator

import pytest

from tests.contract.conftest import LiveApi
from tests.contract.test_gnocchi import a_name, signed_in
from tests.contract.test_gnocchi_interface import Person

MEASURES = (
    ("2024-12-31T23:00:00", 2), ("2025-01-01T00:00:00", 4), ("2025-02-03T10:00:00", 6), ("2025-04-05T23:59:59", 8),
    ("2025-04-06T00:00:00", 10), ("2025-09-30T12:00:00", 12),
)  # fmt: skip


@pytest.fixture
def admin(live_api: LiveApi) -> Iterator[Person]:
    with signed_in(live_api, "admin") as client:
        person = Person(live_api.url, client)
        with person.connections:
            yield person


@pytest.fixture
def metric(admin: Person) -> str:
    """A metric of days with measures of two years."""
    policy = a_name("days")
    body = {"name": policy, "definition": [{"granularity": "1 day"}, {"granularity": "1 hour"}]}
    assert admin.send("POST", "/v1/archive_policy", body)[0] == 201
    made: str = admin.send("POST", "/v1/metric", {"archive_policy_name": policy})[1]["id"]
    measures = [{"timestamp": at, "value": value} for at, value in MEASURES]
    assert admin.send("POST", f"/v1/metric/{made}/measures", measures)[0] == 202
    return made


@pytest.mark.parametrize(
    ("letter", "answered"),
    [
        ("Y", [("2024-01-01", 2), ("2025-01-01", 8)]),
        ("H", [("2024-07-01", 2), ("2025-01-01", 7), ("2025-07-01", 12)]),
        ("Q", [("2024-10-01", 2), ("2025-01-01", 5), ("2025-04-01", 9), ("2025-07-01", 12)]),
        ("M", [("2024-12-01", 2), ("2025-01-01", 4), ("2025-02-01", 6), ("2025-04-01", 9), ("2025-09-01", 12)]),
        ("W", [("2024-12-29", 3), ("2025-02-02", 6), ("2025-03-30", 8), ("2025-04-06", 10), ("2025-09-28", 12)]),
    ],
)
def test_measures_are_laid_into_the_periods_of_the_calendar(
    admin: Person, metric: str, letter: str, answered: list[tuple[str, float]]
) -> None:
    wanted = [[f"{day}T00:00:00+00:00", letter, value] for day, value in answered]
    whole = f"granularity=86400&resample={letter}&start=2024-01-01"
    assert admin.send("GET", f"/v1/metric/{metric}/measures?{whole}") == (200, wanted)
    assert admin.send("GET", f"/v1/aggregation/metric?metric={metric}&{whole}") == (200, wanted)
    operations = {"operations": ["resample", "mean", letter, ["metric", metric, "mean"]]}
    status, body = admin.send("POST", "/v1/aggregates?granularity=86400&start=2024-01-01", operations)
    assert (status, body["measures"][metric]["mean"]) == (200, wanted)


def test_a_period_needs_a_granularity_and_gnocchis_letter(admin: Person, metric: str) -> None:
    path = f"/v1/metric/{metric}/measures"
    status, body = admin.send("GET", f"{path}?resample=M")
    assert (status, body["description"]) == (400, "A granularity must be specified to resample")
    for wrong in ("D", "m", "YM", "MS", "-1"):
        assert admin.send("GET", f"{path}?granularity=86400&resample={wrong}")[0] == 400, wrong
        operations = {"operations": ["resample", "mean", wrong, ["metric", metric, "mean"]]}
        assert admin.send("POST", "/v1/aggregates", operations)[0] == 400, wrong
