"""The rest of Gnocchi's interface: what its documentation promises beyond the commands of its client."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.gnocchi.routes import allow_origins
from tests.contract.conftest import LiveApi
from tests.contract.test_gnocchi import HOUR, a_name, signed_in


class Person:
    """Sends requests as one user; answers (status, body)."""

    def __init__(self, url: str, client: Any) -> None:
        self.url, self.client, self.connections = f"{url}/metric", client, requests.Session()
        self.headers: Mapping[str, str] = {}

    def send(
        self, method: str, path: str, body: object = None, *, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Send a request with a JSON body; text and bytes go as they are."""
        raw = body if isinstance(body, str | bytes) or body is None else json.dumps(body)
        given = {"X-Auth-Token": self.client.api.get_token(), "Content-Type": "application/json", **(headers or {})}
        answer = self.connections.request(
            method, self.url + path, data=raw, headers=given, timeout=120, allow_redirects=False
        )
        self.headers = answer.headers
        is_json = "json" in answer.headers.get("Content-Type", "") and answer.content
        return answer.status_code, answer.json() if is_json else answer.text


@pytest.fixture(scope="module")
def people(live_api: LiveApi) -> Iterator[Mapping[str, Person]]:
    with ExitStack() as stack:
        found: dict[str, Person] = {}
        for user in ("admin", "demo"):
            person = Person(live_api.url, stack.enter_context(signed_in(live_api, user)))
            stack.enter_context(person.connections)
            found[user] = person
        yield found


@pytest.fixture
def admin(people: Mapping[str, Person]) -> Person:
    return people["admin"]


@pytest.fixture
def demo(people: Mapping[str, Person]) -> Person:
    return people["demo"]


def a_kind(admin: Person, **attributes: object) -> str:
    """Make a resource type."""
    kind = a_name("kind").replace("-", "_")
    status, body = admin.send("POST", "/v1/resource_type", {"name": kind, "attributes": attributes})
    assert status == 201, body
    return kind


def a_resource(person: Person, kind: str = "generic", **fields: object) -> Any:
    """Make a resource."""
    status, body = person.send("POST", f"/v1/resource/{kind}", {"id": a_name("vm"), **fields})
    assert status == 201, body
    return body


def a_metric(person: Person, *points: tuple[int, float], policy: str = "medium") -> str:
    """Make a metric with measures at so many seconds of the hour."""
    status, body = person.send("POST", "/v1/metric", {"archive_policy_name": policy})
    assert status == 201, body
    post(person, f"/v1/metric/{body['id']}/measures", points)
    return str(body["id"])


def post(person: Person, path: str, points: tuple[tuple[int, float], ...]) -> None:
    """Write measures at so many seconds of the hour."""
    at = HOUR.timestamp()
    status, body = person.send("POST", path, [{"timestamp": at + second, "value": value} for second, value in points])
    assert status == 202, body


def patch_type(person: Person, kind: str, *operations: object) -> tuple[int, Any]:
    """Send a JSON patch."""
    return person.send(
        "PATCH", f"/v1/resource_type/{kind}", list(operations), headers={"Content-Type": "application/json-patch+json"}
    )


def test_a_resource_type_gains_and_loses_attributes_and_its_resources_with_it(admin: Person, demo: Person) -> None:
    kind = a_kind(admin, host={"type": "string", "required": False}, cores={"type": "number", "required": False})
    made = a_resource(admin, kind, host="a", cores=2)
    admin.send("PATCH", f"/v1/resource/{kind}/{made['id']}", {"host": "b"})
    zone = {"op": "add", "path": "/attributes/zone", "value": {"type": "string", "options": {"fill": "north"}}}
    status, body = patch_type(admin, kind, zone, {"op": "remove", "path": "/attributes/cores"})
    assert status == 200, body
    assert sorted(body["attributes"]) == ["host", "zone"]
    _, states = admin.send("GET", f"/v1/resource/{kind}/{made['id']}/history")
    assert [(state["host"], state["zone"], "cores" in state) for state in states] == [
        ("a", "north", False), ("b", "north", False),
    ]  # fmt: skip
    _, found = admin.send("POST", f"/v1/search/resource/{kind}", {"=": {"zone": "north"}})
    assert [one["id"] for one in found] == [made["id"]]
    assert patch_type(admin, kind, zone)[0] == 200
    assert patch_type(demo, kind, zone)[0] == 403


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "add", "path": "/attributes/a", "value": {"type": "string"}},
        {"op": "add", "path": "/attributes/a", "value": {"type": "number", "options": {"fill": "text"}}},
        {"op": "add", "path": "/attributes/a", "value": {"type": ["string"], "required": False}},
        {"op": "add", "path": "/attributes/a", "value": {"type": "string", "options": 1}},
        {"op": "add", "path": "/attributes/a"},
        {"op": "add", "path": "/attributes/id", "value": {"required": False}},
        {"op": "add", "path": "/attributes/host", "value": {"type": "number", "required": False}},
        {"op": "remove", "path": "/attributes/nowhere"},
        {"op": "remove", "path": "/name"},
        {"op": "replace", "path": "/attributes/host", "value": {}},
        {"op": "remove"},
        "remove",
    ],
)
def test_a_change_of_a_resource_type_that_cannot_be_is_refused_whole(admin: Person, operation: object) -> None:
    kind = a_kind(admin, host={"type": "string", "required": False})
    fine = {"op": "add", "path": "/attributes/fine", "value": {"type": "string", "required": False}}
    status, body = patch_type(admin, kind, fine, operation)
    assert status == 400, body
    assert list(admin.send("GET", f"/v1/resource_type/{kind}")[1]["attributes"]) == ["host"]


def test_a_state_of_a_resource_has_a_tag_that_requests_can_ask_for(demo: Person) -> None:
    made = a_resource(demo)
    created = demo.headers["ETag"]
    path = f"/v1/resource/generic/{made['id']}"
    status, shown = demo.send("GET", path)
    assert (status, demo.headers["ETag"], shown) == (200, created, made)
    for asked, answered in (
        ({"If-None-Match": created}, 304), ({"If-None-Match": "*"}, 304), ({"If-None-Match": '"other"'}, 200),
        ({"If-Match": f'"other", {created}'}, 200), ({"If-Match": '"other"'}, 412), ({"If-Match": "*"}, 200),
        ({"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, 304), ({"If-Modified-Since": "no date"}, 200),
        ({"If-Unmodified-Since": "Thu, 01 Jan 2015 00:00:00 GMT"}, 412),
    ):  # fmt: skip
        assert demo.send("GET", path, headers=asked)[0] == answered, asked
    change = {"started_at": "2026-01-01T00:00:00"}
    assert demo.send("PATCH", path, change, headers={"If-Match": '"other"'})[0] == 412
    assert demo.send("PATCH", path, change, headers={"If-None-Match": created})[0] == 412
    assert demo.send("GET", path)[1] == made
    assert demo.send("PATCH", path, change, headers={"If-Match": created})[0] == 200
    changed = demo.headers["ETag"]
    assert demo.send("DELETE", path, headers={"If-Match": created})[0] == 412
    demo.send("POST", f"{path}/metric", {"load": {"archive_policy_name": "low"}})
    assert demo.send("DELETE", path, headers={"If-Match": changed})[0] == 412
    demo.send("GET", path)
    assert demo.send("DELETE", path, headers={"If-Match": demo.headers["ETag"]})[0] == 204
    assert demo.send("PATCH", path, change, headers={"If-Match": "*"})[0] == 404


def test_a_change_of_metrics_keeps_what_is_named_and_deletes_the_rest(admin: Person, demo: Person) -> None:
    low = {"archive_policy_name": "low"}
    made = a_resource(demo, metrics={"a": low, "b": low})
    path = f"/v1/resource/generic/{made['id']}"
    status, body = demo.send("PATCH", path, {"metrics": {"a": made["metrics"]["a"], "c": low}})
    assert (status, sorted(body["metrics"])) == (200, ["a", "c"])
    assert body["metrics"]["a"] == made["metrics"]["a"]
    assert demo.send("GET", f"/v1/metric/{made['metrics']['b']}")[0] == 404
    foreign = a_metric(admin)
    status, body = demo.send("PATCH", path, {"metrics": {"a": made["metrics"]["a"], "stolen": foreign}})
    assert status == 400
    assert sorted(demo.send("GET", path)[1]["metrics"]) == ["a", "c"]


def test_the_older_aggregation_over_metrics(admin: Person, demo: Person) -> None:
    first, second = a_metric(admin, (0, 2), (60, 4)), a_metric(admin, (60, 8), (120, 16))
    path = f"/v1/aggregation/metric?metric={first}&metric={second}&granularity=60"
    whole = f"&start={HOUR.timestamp()}&stop={HOUR.timestamp() + 180}"
    status, body = admin.send("GET", path + "&needed_overlap=0" + whole)
    assert (status, [value for _, _, value in body]) == (200, [2, 6, 16])
    assert [value for _, _, value in admin.send("GET", path + "&fill=0&aggregation=sum")[1]] == [2, 12, 16]
    assert [value for _, _, value in admin.send("GET", path + "&fill=0&reaggregation=max&resample=3600")[1]] == [26 / 3]
    status, body = admin.send("GET", path + whole)
    assert status == 400
    assert "overlap" in body["description"]["reason"]
    one = f"/v1/aggregation/metric?metric={first}"
    assert [point[1:] for point in admin.send("GET", one)[1]] == [[3600, 3], [60, 2], [60, 4]]
    status, body = demo.send("GET", one)
    assert (status, body["description"]) == (404, f"Metric {first} does not exist")
    assert admin.send("GET", one + "&aggregation=no")[0] == 404
    for wrong in ("&reaggregation=no", "&resample=7200", "&granularity=x", "&fill=x"):
        assert admin.send("GET", one + wrong)[0] == 400, wrong
    assert admin.send("GET", "/v1/aggregation/metric?metric=x")[0] == 400
    assert admin.send("GET", "/v1/aggregation/metric") == (200, [])


def test_the_older_aggregation_over_resources_and_groups_of_them(admin: Person, demo: Person) -> None:
    kind = a_kind(admin, host={"type": "string"}, zone={"type": "string"})
    for host, zone, value in (("a", "n", 1.0), ("a", "n", 3.0), ("b", "s", 5.0)):
        made = a_resource(admin, kind, host=host, zone=zone, metrics={"cpu": {"archive_policy_name": "medium"}})
        post(admin, f"/v1/metric/{made['metrics']['cpu']}/measures", ((0, value),))
    path = f"/v1/aggregation/resource/{kind}/metric/cpu?granularity=60"
    status, body = admin.send("POST", path + "&groupby=host&groupby=zone", {})
    assert status == 200, body
    assert [(one["group"], one["measures"][0][2]) for one in body] == [
        ({"host": "a", "zone": "n"}, 2), ({"host": "b", "zone": "s"}, 5),
    ]  # fmt: skip
    assert [point[2] for point in admin.send("POST", path, {"=": {"host": "a"}})[1]] == [2]
    assert admin.send("POST", path + "&filter=host='c'") == (200, [])
    assert demo.send("POST", path, {}) == (200, [])
    assert admin.send("POST", "/v1/aggregation/resource/nowhere/metric/cpu", {})[0] == 404


def pages(person: Person, path: str, method: str = "GET") -> list[Any]:
    """Follow the links of a list to its end."""
    found: list[Any] = []
    for _ in range(20):
        status, body = person.send(method, path, {} if method == "POST" else None)
        assert status == 200, body
        found += body
        link = person.headers.get("Link")
        if link is None:
            return found
        path = link.split(">")[0].removeprefix("<").removeprefix(person.url)
    raise AssertionError("the pages do not end")


@pytest.mark.parametrize(
    "sort", ["id", "ended_at:desc", "ended_at:asc", "project_id,started_at:desc", "user_id,id:desc"]
)
def test_pages_hold_each_resource_once_whatever_they_are_sorted_by(admin: Person, demo: Person, sort: str) -> None:
    kind = a_kind(admin)
    ends = [None, "2026-01-03T00:00:00", None, "2026-01-02T00:00:00", "2026-01-03T00:00:00"]
    start = {"started_at": "2026-01-01T00:00:00"}
    made = [a_resource(demo, kind, **({**start, "ended_at": end} if end else start)) for end in ends]
    whole = pages(demo, f"/v1/resource/{kind}?sort={sort}")
    assert sorted(one["id"] for one in whole) == sorted(one["id"] for one in made)
    for limit in (1, 2):
        assert pages(demo, f"/v1/resource/{kind}?sort={sort}&limit={limit}") == whole
    assert pages(demo, f"/v1/search/resource/{kind}?sort={sort}&limit=2", "POST") == whole
    if sort.startswith("ended_at"):
        assert [one["ended_at"] is None for one in whole] == [False] * 3 + [True] * 2
    foreign = a_resource(admin, kind, **start)["id"]
    for absent in (foreign, "00000000-0000-0000-0000-000000000000"):
        assert demo.send("GET", f"/v1/resource/{kind}?marker={absent}")[0] == 400


def test_history_is_paged_by_revision_and_shows_what_is_asked(admin: Person, demo: Person) -> None:
    kind = a_kind(admin, host={"type": "string"})
    made = a_resource(demo, kind, host="0")
    path = f"/v1/resource/{kind}/{made['id']}"
    for host in "123":
        assert demo.send("PATCH", path, {"host": host})[0] == 200
    assert [one["host"] for one in pages(demo, f"{path}/history?limit=1")] == ["0", "1", "2", "3"]
    assert [one["host"] for one in pages(demo, f"{path}/history?sort=revision_start:desc&limit=2")] == list("3210")
    assert len(pages(demo, f"/v1/resource/{kind}?history=true&limit=3")) == 4
    _, states = demo.send("GET", f"{path}/history?attrs=host,revision_end&limit=1")
    assert [sorted(one) for one in states] == [["host", "revision_end"]]
    generic = f"/v1/resource/generic/{made['id']}/history"
    assert "host" not in demo.send("GET", generic)[1][0]
    assert demo.send("GET", f"{generic}?details=true")[1][0]["host"] == "0"
    for wrong in ("marker=x", f"marker={made['id']}@x", "sort=nothing", "limit=-1"):
        assert demo.send("GET", f"{path}/history?{wrong}")[0] == 400, wrong


def test_metrics_are_paged_sorted_and_filtered(demo: Person) -> None:
    unit = a_name("u")[:31]
    for name in ("b", "a", None, "c", "b"):
        body = {"archive_policy_name": "low", "unit": unit, **({"name": name} if name else {})}
        assert demo.send("POST", "/v1/metric", body)[0] == 201
    for sort, names in (("name", ["a", "b", "b", "c", None]), ("name:desc", ["c", "b", "b", "a", None])):
        path = f"/v1/metric?unit={unit}&sort={sort}"
        whole = pages(demo, path)
        assert [one["name"] for one in whole] == names
        assert pages(demo, f"{path}&limit=2") == whole
        assert pages(demo, f"{path}&limit=1") == whole


def test_many_resources_are_deleted_at_once_but_never_all_by_mistake(admin: Person, demo: Person) -> None:
    kind = a_kind(admin, host={"type": "string"})
    for host in "aab":
        a_resource(demo, kind, host=host)
    a_resource(admin, kind, host="a")
    for body, query in ((None, ""), ("{}", ""), (None, "?filter="), (None, "?filter=%20")):
        assert demo.send("DELETE", f"/v1/resource/{kind}{query}", body)[0] == 400
    assert demo.send("DELETE", f"/v1/resource/{kind}?filter=host='a'") == (200, {"deleted": 2})
    assert demo.send("DELETE", f"/v1/resource/{kind}/", {"=": {"host": "b"}}) == (200, {"deleted": 1})
    assert demo.send("DELETE", f"/v1/resource/{kind}", {"=": {"host": "a"}}) == (200, {"deleted": 0})
    assert len(admin.send("GET", f"/v1/resource/{kind}")[1]) == 1


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ({">=": 4}, [4, 9]),
        ({"≠": 4}, [1, 9]),
        ({"and": [{">": 1}, {"lt": 9}]}, [4]),
        ({"∨": [{"=": 1}, {"eq": 9}]}, [1, 9]),
        ({"=": [{"mod": 2}, 1]}, [1, 9]),
        ({">": [{"×": 3}, {"+": 8}]}, [9]),
    ],
)
def test_measures_are_searched_by_their_values(admin: Person, query: object, values: list[float]) -> None:
    metric = a_metric(admin, (0, 1), (60, 4), (120, 9))
    path = f"/v1/search/metric?metric_id={metric}&granularity=60"
    status, body = admin.send("POST", path, query)
    assert status == 200, body
    assert [value for _, _, value in body[metric]] == values


def test_a_search_of_measures_that_cannot_be_is_refused(admin: Person, demo: Person) -> None:
    metric = a_metric(admin, (0, 1))
    path = f"/v1/search/metric?metric_id={metric}"
    deep: object = 1
    for _ in range(32):
        deep = {"+": deep}
    several: list[object] = [1, 2, 3]
    refused: list[object] = ["{}", "[]", 1, {"x": 1}, {"and": "x"}, {"=": "1"}, {"=": several}, {"=": True}, deep]
    for wrong in (*refused, {">": 1, "<": 2}):
        assert admin.send("POST", path, wrong)[0] == 400, wrong
    assert admin.send("POST", path + "&aggregation=last", {">": 0})[0] == 404
    assert admin.send("POST", "/v1/search/metric", {">": 0})[0] == 400
    assert demo.send("POST", path, {">": 0})[0] == 404
    assert admin.send("POST", "/v1/search/metric?metric_id=x", {">": 0})[0] == 404


def test_with_history_a_bucket_is_shared_out_to_the_groups_in_which_a_resource_was(admin: Person, demo: Person) -> None:
    kind = a_kind(admin, flavor={"type": "string"}, zone={"type": "string", "required": False})
    vms = [a_resource(demo, kind, flavor="small", metrics={"cpu": {"archive_policy_name": "medium"}}) for _ in "ab"]
    this_hour = int((datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - HOUR).total_seconds())
    for vm in vms:
        post(demo, f"/v1/metric/{vm['metrics']['cpu']}/measures", ((0, 10), (this_hour, 10)))
    changed = demo.send("PATCH", f"/v1/resource/{kind}/{vms[0]['id']}", {"flavor": "large"})[1]["revision_start"]
    into = datetime.fromisoformat(changed).timestamp() - HOUR.timestamp() - this_hour
    search: dict[str, object] = {}
    body = {"operations": "(aggregate sum (metric cpu mean))", "resource_type": kind, "search": search}
    path = "/v1/aggregates?granularity=3600&groupby=flavor&groupby=project_id"
    status, now = demo.send("POST", path, body)
    assert status == 200, now
    assert [(one["group"]["flavor"], [point[2] for point in one["measures"]["measures"]["aggregated"]]) for one in now] == [
        ("large", [10, 10]), ("small", [10, 10]),
    ]  # fmt: skip
    status, then = demo.send("POST", f"{path}&use_history=true", body)
    assert status == 200, then
    told = {one["group"]["flavor"]: [point[2] for point in one["measures"]["measures"]["aggregated"]] for one in then}
    if 0 < into < 3600:
        assert told["small"] == [20, pytest.approx(10 + 10 * into / 3600)]
        assert told["large"] == [pytest.approx(10 * (3600 - into) / 3600)]
    only = {**body, "search": {"=": {"flavor": "large"}}}
    [large] = demo.send("POST", f"{path}&use_history=true", only)[1]
    assert len(large["measures"]["measures"]["aggregated"]) == (1 if into < 3600 else 0)


def test_a_pattern_stands_for_all_metrics_of_a_resource_that_it_fits(admin: Person, demo: Person) -> None:
    kind = a_kind(admin)
    policy = {"archive_policy_name": "medium"}
    names = ("disk.vda.bytes", "disk.vdb.bytes", "cpu")
    vms = [a_resource(demo, kind, metrics=dict.fromkeys(names, policy)) for _ in "ab"]
    for number, vm in enumerate(vms):
        for place, name in enumerate(names):
            post(demo, f"/v1/metric/{vm['metrics'][name]}/measures", ((0, 10 * number + place),))
    path = "/v1/aggregates?granularity=60"

    def ask(operations: object) -> Any:
        status, told = demo.send("POST", path, {"operations": operations, "resource_type": kind, "search": {}})
        return told["measures"] if status == 200 else (status, told)

    disks = ask("(metric disk.* mean)")
    assert {owner: {name: own["mean"][0][2] for name, own in found.items()} for owner, found in disks.items()} == {
        vms[0]["id"]: {"disk.vda.bytes": 0, "disk.vdb.bytes": 1},
        vms[1]["id"]: {"disk.vda.bytes": 10, "disk.vdb.bytes": 11},
    }
    assert ask("(aggregate sum (metric disk.vd?.bytes mean))")["aggregated"][0][2] == 22
    assert ask(["*", ["metric", "disk.*", "mean"], 2])[vms[1]["id"]]["disk.vdb.bytes"]["mean"][0][2] == 22
    assert ask("(+ (metric disk.* mean) (metric disk.* mean))")[vms[0]["id"]]["disk.vdb.bytes"]["mean"][0][2] == 2
    status, told = ask("(+ (metric disk.* mean) (metric cpu mean))")
    assert (status, "name the metrics" in str(told)) == (400, True)
    assert ask("(metric net.* mean)")[0] == 404


def test_the_status_counts_what_waits_and_the_health_is_told_to_anybody(admin: Person, demo: Person) -> None:
    metric = a_metric(demo, (0, 1))
    status, body = admin.send("GET", "/v1/status")
    assert (status, body["storage"]["measures_to_process"][metric]) == (200, 1)
    assert body["storage"]["summary"]["metrics"] >= 1
    assert "measures_to_process" not in admin.send("GET", "/v1/status?details=false")[1]["storage"]
    assert demo.send("GET", "/v1/status")[0] == 403
    assert demo.connections.get(f"{demo.url}/healthcheck", timeout=120).status_code == 200


def test_only_the_origins_that_are_set_may_call_from_a_browser() -> None:
    app = FastAPI()
    allow_origins(app, "https://grafana.example/, https://other.example")
    with TestClient(app) as browser:
        asked = {"Origin": "https://grafana.example", "Access-Control-Request-Method": "DELETE"}
        preflight = browser.options("/v1/metric", headers={**asked, "Access-Control-Request-Headers": "X-Auth-Token"})
        assert preflight.status_code == 200
        assert preflight.headers["Access-Control-Allow-Origin"] == "https://grafana.example"
        foreign = browser.get("/openapi.json", headers={"Origin": "https://evil.example"})
        assert "Access-Control-Allow-Origin" not in foreign.headers
