"""Completeness and the doctor on the native API of a live server: pages, who may see what, and what bad input is told."""

from collections.abc import Iterator, Mapping
from typing import Any

import httpx2
import pytest

from foundation.database import Pool, transaction
from foundation.ids import new_id
from metering.completeness import Poll
from metering.service import ingest_samples, record_lifecycle_event, record_poll
from tests.contract.conftest import LiveApi
from tests.metering_builders import RECEIVED_AT, a_sample, an_event, at

PERIOD = {"start": "2026-03-01T00:00:00Z", "end": "2026-03-01T03:00:00Z"}


class Person:
    """A signed-in user."""

    def __init__(self, client: httpx2.Client, name: str, password: str) -> None:
        user = {"name": name, "domain": {"id": "default"}, "password": password}
        scope = {"project": {"name": name, "domain": {"id": "default"}}}
        identity = {"methods": ["password"], "password": {"user": user}}
        answer = client.post("/identity/v3/auth/tokens", json={"auth": {"identity": identity, "scope": scope}})
        self.client, self.token = client, answer.headers["X-Subject-Token"]
        self.project_id: str = answer.json()["token"]["project"]["id"]

    def get(self, path: str, **query: Any) -> tuple[int, Any]:
        answer = self.client.get(f"/v1{path}", params=query, headers={"X-Auth-Token": self.token})
        return answer.status_code, answer.json()


@pytest.fixture(scope="module")
def people(live_api: LiveApi) -> Iterator[Mapping[str, Person]]:
    with httpx2.Client(base_url=live_api.url, trust_env=False, timeout=60) as client:
        yield {
            "admin": Person(client, "admin", live_api.admin_password),
            "demo": Person(client, "demo", live_api.demo_password),
        }


@pytest.fixture(scope="module")
def instance(people: Mapping[str, Person], pool: Pool) -> str:
    """An instance of the demo project that was read for two hours, with ten minutes missing."""
    found, project, host = new_id(), people["demo"].project_id, f"kvm-{new_id()}"
    with transaction(pool) as tx:
        record_lifecycle_event(tx, an_event(0, "active", instance_id=found, project_id=project, host=host))
        record_lifecycle_event(tx, an_event(7200, "deleted", instance_id=found, project_id=project, host=host))
        kept = [60 * n for n in range(120) if not 30 <= n < 40]
        ingest_samples(
            tx, [a_sample(s, s, resource_id=found, project_id=project) for s in kept], received_at=RECEIVED_AT
        )
        for second in kept:
            record_poll(tx, Poll(host, at(second), 60_000_000, 1, 0))
    return str(found)


def test_the_hours_of_a_resource_come_with_their_gaps(people: Mapping[str, Person], instance: str) -> None:
    status, answer = people["demo"].get("/completeness", resource_id=instance, **PERIOD)
    assert status == 200, answer
    assert answer["next"] is None
    assert [(item["start"], item["expected"], item["received"], item["missing"]) for item in answer["items"]] == [
        ("2026-03-01T00:00:00Z", 60, 50, 10),
        ("2026-03-01T01:00:00Z", 60, 60, 0),
    ]
    assert answer["items"][0]["gaps"] == [
        {"start": "2026-03-01T00:30:00Z", "end": "2026-03-01T00:40:00Z", "reason": "host_silent"}
    ]
    assert (answer["items"][0]["meter"], answer["items"][0]["unknown_s"]) == ("cpu", 0)


def test_pages_of_one_row_lead_through_all_and_a_foreign_cursor_is_refused(
    people: Mapping[str, Person], instance: str
) -> None:
    demo, seen, cursor = people["demo"], list[str](), None
    for _ in range(5):
        query = {"resource_id": instance, "limit": 1, **PERIOD} | ({"cursor": cursor} if cursor else {})
        status, answer = demo.get("/completeness", **query)
        assert status == 200
        seen += [item["start"] for item in answer["items"]]
        cursor = answer["next"]
        if cursor is None:
            break
    assert seen == ["2026-03-01T00:00:00Z", "2026-03-01T01:00:00Z"]
    status, answer = demo.get("/completeness", resource_id=instance, limit=1, **PERIOD)
    status, problem = demo.get("/completeness", cursor=answer["next"], by="resource", **PERIOD)
    assert (status, problem["field"]) == (400, "cursor")
    assert demo.get("/completeness", cursor="nonsense", **PERIOD)[0] == 400


def test_a_whole_period_is_one_row_a_resource(people: Mapping[str, Person], instance: str) -> None:
    status, answer = people["demo"].get("/completeness", resource_id=instance, by="resource", **PERIOD)
    assert status == 200
    assert [(item["expected"], item["missing"], item["gaps"]) for item in answer["items"]] == [(120, 10, [])]


def test_another_projects_readings_are_for_admins_only(people: Mapping[str, Person], instance: str) -> None:
    demo, admin = people["demo"], people["admin"]
    status, answer = admin.get("/completeness", project_id=demo.project_id, resource_id=instance, **PERIOD)
    assert (status, len(answer["items"])) == (200, 2)
    assert admin.get("/completeness", resource_id=instance, **PERIOD)[0] == 404
    assert demo.get("/completeness", project_id=admin.project_id, **PERIOD)[0] == 404
    assert demo.get("/doctor/metering")[0] == 403
    status, answer = admin.get("/doctor/metering")
    assert status == 200
    assert {"findings", "sources", "instances", "metrics", "is_cut"} == set(answer)


@pytest.mark.parametrize(
    "query",
    [
        {"start": "2026-03-01T00:00:00Z"},
        {"start": "2026-03-01T00:00:00Z", "end": "2026-03-01T00:00:00Z"},
        {"start": "2026-01-01T00:00:00Z", "end": "2026-03-01T00:00:00Z"},
        {"start": "yesterday", "end": "2026-03-01T00:00:00Z"},
        {"start": "0001-01-01T00:00:00Z", "end": "0001-01-02T00:00:00Z"},
        {**PERIOD, "resource_id": "x"},
        {**PERIOD, "by": "minute"},
        {**PERIOD, "limit": 0},
        {**PERIOD, "meter": "\0"},
    ],
)
def test_a_question_that_makes_no_sense_is_the_callers_fault(
    people: Mapping[str, Person], query: dict[str, Any]
) -> None:
    status, problem = people["demo"].get("/completeness", **query)
    assert status == 400, problem
    assert problem["detail"]
