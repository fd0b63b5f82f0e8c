"""Meters of events over real HTTP: made, shown, described, deleted, and what is said of one that cannot be."""

from typing import Any
from uuid import uuid4

import pytest

from tests.contract.conftest import LiveApi
from tests.contract.test_events import MARCH, Sender, an_event


@pytest.fixture(scope="module")
def demo(live_api: LiveApi) -> Sender:
    return Sender(live_api, "demo", live_api.demo_password)


@pytest.fixture(scope="module")
def admin(live_api: LiveApi) -> Sender:
    return Sender(live_api, "admin", live_api.admin_password)


def a_meter(**changes: Any) -> dict[str, Any]:
    """Return a meter of requests by a name of its own."""
    name = f"requests-{uuid4().hex}"
    return {"name": name, "event_type": name, "aggregation": "count", **changes}


def test_a_meter_lives_from_its_making_to_its_deletion(demo: Sender) -> None:
    wanted = a_meter(
        aggregation="sum", value="usage.tokens", unit="token", group_by={"model": "$.model"}, description="d"
    )
    status, made = demo.call("POST", "/v1/meters", wanted)
    assert status == 201
    assert (made["value"], made["group_by"], made["unit"]) == ("$.usage.tokens", {"model": "$.model"}, "token")
    assert made["past"] == {"is_done": True, "counted": 0, "skipped": 0}
    assert demo.call("POST", "/v1/meters", wanted) == (200, made)
    path = f"/v1/meters/{made['name']}"
    assert demo.call("GET", path) == (200, made)
    assert demo.call("PATCH", path, {"description": "other"})[1]["description"] == "other"
    assert demo.call("PATCH", path, {"unit": "other"})[0] == 400
    status, problem = demo.call("POST", "/v1/meters", {**wanted, "unit": "other"})
    assert (status, "choose another name" in problem["detail"]) == (409, True)
    assert demo.call("DELETE", path) == (204, None)
    assert demo.call("GET", path)[0] == 404
    assert demo.call("DELETE", path)[0] == 404
    assert demo.call("GET", f"{path}/usage?{MARCH}")[0] == 404


def test_meters_are_listed_in_pages(demo: Sender) -> None:
    names = {demo.call("POST", "/v1/meters", a_meter())[1]["name"] for _ in range(3)}
    found, cursor = set[str](), ""
    for _ in range(300):
        _, page = demo.call("GET", f"/v1/meters?limit=2{cursor}")
        assert len(page["items"]) <= 2
        found |= {item["name"] for item in page["items"]}
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert names <= found


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "Not a name"}, "name"),
        ({"name": "cpu"}, "name"),
        ({"aggregation": "median"}, "aggregation"),
        ({"aggregation": "sum"}, "value"),
        ({"value": "$.x"}, "value"),
        ({"group_by": {"id": "$.x"}}, "group_by"),
        ({"surplus": 1}, "surplus"),
        ({"event_type": ""}, "event_type"),
    ],
)
def test_a_meter_that_cannot_be_is_told_which_field_to_mend(demo: Sender, changes: dict[str, Any], field: str) -> None:
    status, problem = demo.call("POST", "/v1/meters", a_meter(**changes))
    assert (status, problem["field"]) == (400, field)


def test_only_an_admin_makes_and_deletes_a_meter_of_every_project(demo: Sender, admin: Sender) -> None:
    wanted = a_meter(all_projects=True)
    assert demo.call("POST", "/v1/meters", wanted)[0] == 403
    status, made = admin.call("POST", "/v1/meters", wanted)
    assert (status, made["project_id"]) == (201, None)
    path = f"/v1/meters/{made['name']}"
    assert demo.post([an_event(made["event_type"])])[1]["events"][0]["meters"] == [made["name"]]
    assert demo.usage(made["name"]) == {"c": "1"}
    assert demo.call("DELETE", path)[0] == 403
    assert admin.call("POST", f"/v1/meters?project_id={demo.project_id}", a_meter(all_projects=True))[0] == 400
    assert admin.call("DELETE", path)[0] == 204
    assert demo.post([an_event(made["event_type"])])[1]["events"][0]["meters"] == []


@pytest.mark.parametrize(
    "query",
    [
        "",
        "start=2026-01-01T00:00:00Z",
        f"{MARCH}&subject=%00",
        f"{MARCH}&cursor=x",
        "start=2026-03-02T00:00:00Z&end=2026-03-01T00:00:00Z",
    ],
)
def test_a_wrong_question_for_usage_is_told_why(demo: Sender, query: str) -> None:
    status, problem = demo.call("GET", f"/v1/meters/{demo.meter()}/usage?{query}")
    assert (status, bool(problem["detail"])) == (400, True)


def test_usage_tells_subjects_groups_and_when(demo: Sender) -> None:
    kind = demo.meter(group_by={"model": "$.model"})
    events = [an_event(kind, seconds=s, data={"tokens": "0.1", "model": "m"}) for s in (1, 0, 2)]
    assert demo.post(events)[1]["accepted"] == 3
    _, told = demo.call("GET", f"/v1/meters/{kind}/usage?{MARCH}&subject=c")
    (item,) = told["items"]
    assert (item["quantity"], item["event_count"], item["groups"], item["subject"]) == ("0.3", 3, {"model": "m"}, "c")
    assert (item["first_at"], item["last_at"]) == ("2026-03-01T00:00:00Z", "2026-03-01T00:00:02Z")
    assert told["unit"] == "token"
    assert demo.call("GET", f"/v1/meters/{kind}/usage?{MARCH}&subject=d")[1]["items"] == []
