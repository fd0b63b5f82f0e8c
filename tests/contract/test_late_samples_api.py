"""Late samples on the native API of a live server: pages, who may see them, and what bad input is told."""

from collections.abc import Iterator, Mapping
from typing import Any

import httpx2
import pytest

from foundation.database import Pool, transaction
from foundation.ids import new_id
from metering.service import ingest_samples
from tests.contract.conftest import LiveApi
from tests.contract.test_completeness_api import Person
from tests.metering_builders import RECEIVED_AT, a_sample


@pytest.fixture(scope="module")
def people(live_api: LiveApi) -> Iterator[Mapping[str, Person]]:
    with httpx2.Client(base_url=live_api.url, trust_env=False, timeout=60) as client:
        yield {
            "admin": Person(client, "admin", live_api.admin_password),
            "demo": Person(client, "demo", live_api.demo_password),
        }


@pytest.fixture(scope="module")
def late(people: Mapping[str, Person], pool: Pool) -> list[float]:
    """Three readings of the demo project that came for a sealed time; the store itself is sealed only while they come."""
    resource, project = new_id(), people["demo"].project_id
    with transaction(pool) as tx:
        ingest_samples(tx, [a_sample(9, 9, resource_id=resource, project_id=project)], received_at=RECEIVED_AT)
    with transaction(pool) as tx:
        tx.execute("UPDATE retention SET sealed_until = '2026-03-02'")
        samples = [a_sample(n, n, resource_id=resource, project_id=project) for n in range(3)]
        assert ingest_samples(tx, samples, received_at=RECEIVED_AT).accepted == 3
        tx.execute("UPDATE retention SET sealed_until = 'epoch'")
    return [0.0, 1.0, 2.0]


def test_late_samples_are_listed_by_pages_in_the_order_in_which_they_came(
    people: Mapping[str, Person], late: list[float]
) -> None:
    seen: list[float] = []
    cursor: str | None = None
    for _ in range(10):
        query: dict[str, Any] = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        status, answer = people["demo"].get("/late-samples", **query)
        assert status == 200, answer
        seen += [item["value"] for item in answer["items"]]
        cursor = answer["next"]
        if cursor is None:
            break
    assert seen == late
    status, answer = people["demo"].get("/late-samples", start="2026-03-01T00:00:01Z", end="2026-03-01T00:00:02Z")
    assert [(item["observed_at"], item["metric"], item["overwrites"]) for item in answer["items"]] == [
        ("2026-03-01T00:00:01Z", "cpu", False)
    ]


def test_another_projects_late_samples_are_for_admins_only(people: Mapping[str, Person], late: list[float]) -> None:
    demo, admin = people["demo"], people["admin"]
    assert len(admin.get("/late-samples", project_id=demo.project_id)[1]["items"]) == len(late)
    assert admin.get("/late-samples")[1]["items"] == []
    assert demo.get("/late-samples", project_id=admin.project_id)[0] == 404


@pytest.mark.parametrize(
    "query",
    [
        {"start": "2026-03-02T00:00:00Z", "end": "2026-03-01T00:00:00Z"},
        {"start": "yesterday"},
        {"cursor": "WyJ4Il0"},
        {"cursor": "Wy0xXQ"},
        {"limit": 0},
    ],
)
def test_a_question_that_makes_no_sense_is_the_callers_fault(
    people: Mapping[str, Person], query: dict[str, Any]
) -> None:
    status, problem = people["demo"].get("/late-samples", **query)
    assert status == 400, problem


def test_measures_of_too_many_weeks_in_one_request_are_refused_with_the_mend(
    people: Mapping[str, Person],
) -> None:
    admin = people["admin"]
    headers = {"X-Auth-Token": admin.token}
    made = admin.client.post("/metric/v1/metric", json={"archive_policy_name": "low"}, headers=headers).json()
    weeks = [{"timestamp": 1_500_000_000 + n * 7 * 86_400, "value": n} for n in range(105)]
    path = f"/metric/v1/metric/{made['id']}/measures"
    answer = admin.client.post(path, json=weeks, headers=headers)
    assert (answer.status_code, "at most 104 weeks" in answer.text) == (400, True)
    assert admin.client.post(path, json=weeks[:3], headers=headers).status_code == 202
