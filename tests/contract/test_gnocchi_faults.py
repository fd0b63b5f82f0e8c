"""Faults in the form in which Gnocchi's clients read them: status, and where there is one the cause, the reason and the detail."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from tests.contract.conftest import LiveApi
from tests.contract.test_gnocchi import a_name, signed_in
from tests.contract.test_gnocchi_interface import Person


@pytest.fixture
def admin(live_api: LiveApi) -> Iterator[Person]:
    with signed_in(live_api, "admin") as client:
        person = Person(live_api.url, client)
        with person.connections:
            yield person


@pytest.fixture
def metric(admin: Person) -> str:
    made: str = admin.send("POST", "/v1/metric", {"archive_policy_name": "low"})[1]["id"]
    return made


def refused(admin: Person, *request: Any, **more: Any) -> tuple[int, Any]:
    status, body = admin.send(*request, **more)
    return status, body["description"]


def test_a_body_that_does_not_fit_is_told_with_its_cause_and_place(admin: Person) -> None:
    body = {"name": a_name("policy"), "definition": [{"granularity": "1s"}], "cowsay": "moo"}
    told = {"cause": "Invalid input", "reason": "extra keys not allowed @ data['cowsay']", "detail": ["cowsay"]}
    assert refused(admin, "POST", "/v1/archive_policy", body) == (400, told)
    status, told = refused(admin, "POST", "/v1/archive_policy", {"name": "x", "definition": [{"granularity": "0"}]})
    assert (status, told["cause"], told["detail"]) == (400, "Invalid input", ["definition"])
    for raw in ("{", "", '{"a": NaN}'):
        status, told = refused(admin, "POST", "/v1/metric", raw)
        assert (status, told["cause"], told["detail"]) == (400, "Unable to decode body", []), raw


def test_an_argument_that_does_not_fit_is_told_by_its_name(admin: Person, metric: str) -> None:
    for name, path in (
        ("start", f"/v1/metric/{metric}/measures?start=no"),
        ("stop", f"/v1/metric/{metric}/measures?stop=no"),
        ("granularity", f"/v1/metric/{metric}/measures?granularity=no"),
        ("fill", f"/v1/aggregation/metric?metric={metric}&fill=no"),
        ("needed_overlap", f"/v1/aggregation/metric?metric={metric}&needed_overlap=no"),
    ):
        status, told = refused(admin, "GET", path)
        assert (status, told["cause"], told["detail"]) == (400, "Argument value error", name)
        assert told["reason"]


def test_aggregates_tell_what_is_unknown(admin: Person, metric: str) -> None:
    path, unknown = "/v1/aggregates", str(uuid4())
    wanted = {"operations": ["metric", unknown, "mean"]}
    assert refused(admin, "POST", path, wanted) == (404, {"cause": "Unknown metrics", "detail": [unknown]})
    wanted = {"operations": ["metric", metric, "what?"]}
    told = {"cause": "Metrics with unknown aggregation", "detail": [[metric, "what?"]]}
    assert refused(admin, "POST", path, wanted) == (404, told)
    status, told = refused(admin, "POST", f"{path}?granularity=123", {"operations": ["metric", metric, "mean"]})
    assert (status, told["reason"], told["detail"]) == (400, "Granularities are missing", [[metric, "mean", 123]])
    status, told = refused(admin, "POST", path, {"operations": f"(notexist (metric {metric} mean))"})
    assert (status, told["cause"], told["detail"]) == (400, "Invalid input", ["operations"])
    gone = refused(admin, "GET", f"/v1/aggregation/metric?metric={metric}&granularity=123")
    assert gone == (404, f"Aggregation method 'mean' at granularity '123.0' for metric {metric} does not exist")


def test_measures_tell_an_unknown_aggregation_from_an_unknown_width(admin: Person, metric: str) -> None:
    path = f"/v1/metric/{metric}/measures"
    detail = {"metric": metric, "aggregation_method": "wtf"}
    told = {"cause": "Aggregation method does not exist for this metric", "detail": detail}
    assert refused(admin, "GET", f"{path}?aggregation=wtf") == (404, told)
    status, told = refused(admin, "GET", f"{path}?granularity=123")
    assert (status, told) == (
        404,
        f"Aggregation method 'mean' at granularity '123.0' for metric {metric} does not exist",
    )


def test_a_batch_names_unknown_metrics_in_a_sentence(admin: Person) -> None:
    unknown, vm = str(uuid4()), str(uuid4())
    one = [{"timestamp": "2026-01-01T00:00:00", "value": 1}]
    assert refused(admin, "POST", "/v1/batch/metrics/measures", {unknown: one}) == (400, f"Unknown metrics: {unknown}")
    assert admin.send("POST", "/v1/resource/generic", {"id": vm})[0] == 201
    path = "/v1/batch/resources/metrics/measures"
    assert refused(admin, "POST", path, {vm: {"load": one}}) == (400, f"Unknown metrics: {vm}/load")
    status, told = refused(admin, "POST", path, {unknown: {"load": one}})
    assert (status, told["cause"]) == (400, "Unknown resources")


def test_a_name_that_is_taken_is_a_conflict_on_the_resource_and_a_fault_of_a_metric(admin: Person) -> None:
    vm, low = str(uuid4()), {"archive_policy_name": "low"}
    assert admin.send("POST", "/v1/resource/generic", {"id": vm, "metrics": {"load": low}})[0] == 201
    said = "Named metric load already exists"
    assert refused(admin, "POST", f"/v1/resource/generic/{vm}/metric", {"load": low}) == (409, said)
    assert refused(admin, "POST", "/v1/metric", {"resource_id": vm, "name": "load", **low}) == (400, said)
    status, all_of_it = admin.send("POST", f"/v1/resource/generic/{vm}/metric", {"power": low})
    assert (status, [one["name"] for one in all_of_it]) == (200, ["power", "load"])


def test_only_json_comes_and_goes(admin: Person) -> None:
    body, path = {"archive_policy_name": "low"}, "/v1/metric"
    assert refused(admin, "POST", path, body, headers={"Content-Type": "text/plain"})[0] == 415
    assert admin.send("POST", path, body, headers={"Content-Type": "application/json; charset=utf-8"})[0] == 201
    for accept in ("text/plain", "text/html", "image/*, text/*"):
        assert refused(admin, "GET", path, headers={"Accept": accept})[0] == 406, accept
    for accept in ("text/html, */*;q=0.1", "application/*", "application/json"):
        assert admin.send("GET", path, headers={"Accept": accept})[0] == 200, accept


def test_groups_are_by_what_resources_have(admin: Person) -> None:
    kind, vm, low = a_name("kind"), str(uuid4()), {"archive_policy_name": "low"}
    attributes = {"rack": {"type": "string", "required": False}}
    assert admin.send("POST", "/v1/resource_type", {"name": kind, "attributes": attributes})[0] == 201
    assert admin.send("POST", f"/v1/resource/{kind}", {"id": vm, "metrics": {"load": low}})[0] == 201
    search = {"=": {"id": vm}}
    wanted = {"operations": ["metric", "load", "mean"], "search": search}
    for given in (kind, "generic"):
        asked = {**wanted, "resource_type": given}
        for name in ("rack", "project_id", "type", "started_at"):
            status, groups = admin.send("POST", f"/v1/aggregates?groupby={name}", asked)
            assert (status, list(groups[0]["group"])) == (200, [name]), (given, name)
        told = f"Invalid groupby attribute: no resource of the type {given} has a fifth-wheel"
        assert refused(admin, "POST", "/v1/aggregates?groupby=id&groupby=fifth-wheel", asked) == (400, told)
        older = f"/v1/aggregation/resource/{given}/metric/load?groupby=fifth-wheel"
        assert refused(admin, "POST", older, search) == (400, told)


def test_a_list_to_be_in_holds_something_and_an_id_is_like_nothing(admin: Person) -> None:
    path = "/v1/search/resource/generic"
    empty: list[Any] = [{"in": {"id": []}}, {"in": {"user_id": []}}, {"not": {"in": {"user_id": []}}}]
    for wrong in empty:
        assert refused(admin, "POST", path, wrong)[0] == 400, wrong
        assert refused(admin, "DELETE", "/v1/resource/generic", wrong)[0] == 400, wrong
    assert refused(admin, "POST", f"{path}?filter=user_id in []")[0] == 400
    status, told = refused(admin, "POST", path, {"like": {"id": "fa%"}})
    assert (status, "like" in told) == (400, True)


def test_what_a_resource_is_is_not_told_in_a_change(admin: Person) -> None:
    vm = str(uuid4())
    for wrong in ("creator", "type", "revision_start", "created_by_user_id"):
        told = {"cause": "Invalid input", "reason": f"extra keys not allowed @ data['{wrong}']", "detail": [wrong]}
        assert refused(admin, "POST", "/v1/resource/generic", {"id": vm, wrong: "x"}) == (400, told)
    assert admin.send("POST", "/v1/resource/generic", {"id": vm})[0] == 201
    told = {"cause": "Invalid input", "reason": "extra keys not allowed @ data['id']", "detail": ["id"]}
    assert refused(admin, "PATCH", f"/v1/resource/generic/{vm}", {"id": vm}) == (400, told)


def test_what_a_change_names_is_looked_for_before_what_it_would_replace(admin: Person) -> None:
    vm, unknown, low = str(uuid4()), str(uuid4()), {"archive_policy_name": "low"}
    assert admin.send("POST", "/v1/resource/generic", {"id": vm, "metrics": {"load": low}})[0] == 201
    path = f"/v1/resource/generic/{vm}"
    said = f"Metric {unknown} does not exist"
    for name in ("load", "power"):
        assert refused(admin, "PATCH", path, {"metrics": {name: unknown}}) == (400, said)
        assert refused(admin, "POST", f"{path}/metric", {name: unknown}) == (400, said)
    new = {"id": str(uuid4()), "metrics": {"load": unknown}}
    assert refused(admin, "POST", "/v1/resource/generic", new) == (400, said)
    none = {"load": {"archive_policy_name": "none"}}
    assert refused(admin, "PATCH", path, {"metrics": none}) == (400, "Archive policy none does not exist")
    assert refused(admin, "PATCH", path, {"metrics": {"load": low}}) == (409, "Named metric load already exists")


def test_a_marker_that_is_not_there_is_the_callers_fault(admin: Person) -> None:
    unknown = str(uuid4())
    for path in ("/v1/metric", "/v1/resource/generic"):
        status, told = refused(admin, "GET", f"{path}?marker={unknown}")
        assert (status, "marker" in told) == (400, True), path


def test_a_search_for_measures_names_a_width_that_all_keep(admin: Person, metric: str) -> None:
    path = f"/v1/search/metric?metric_id={metric}"
    assert admin.send("POST", f"{path}&granularity=300", {"=": 1})[0] == 200
    detail = {"granularity": 77, "aggregation_method": "mean"}
    told = {"cause": "Aggregation does not exist", "detail": detail}
    assert refused(admin, "POST", f"{path}&granularity=77", {"=": 1}) == (400, told)


def test_a_rule_is_not_renamed_to_another_ones_name(admin: Person) -> None:
    names = [a_name("rule"), a_name("rule")]
    for name in names:
        rule = {"name": name, "metric_pattern": f"{name}.*", "archive_policy_name": "low"}
        assert admin.send("POST", "/v1/archive_policy_rule", rule)[0] == 201
    told = f"Archive policy rule {names[1]} already exists"
    assert refused(admin, "PATCH", f"/v1/archive_policy_rule/{names[0]}", {"name": names[1]}) == (400, told)


def test_a_uuid_is_a_uuid(admin: Person) -> None:
    kind = a_name("kind")
    attributes = {"owner": {"type": "uuid", "required": False}}
    assert admin.send("POST", "/v1/resource_type", {"name": kind, "attributes": attributes})[0] == 201
    body = {"id": str(uuid4()), "owner": "really!"}
    told = {"cause": "Invalid input", "reason": "expected a valid uuid @ data['owner']", "detail": ["owner"]}
    assert refused(admin, "POST", f"/v1/resource/{kind}", body) == (400, told)
    status, made = admin.send("POST", f"/v1/resource/{kind}", {**body, "owner": "0FBB231484614B1A80131FC22F6AFC9C"})
    assert (status, made["owner"]) == (201, "0fbb2314-8461-4b1a-8013-1fc22f6afc9c")


def test_a_long_name_of_a_resource_is_taken_as_gnocchi_takes_it(admin: Person) -> None:
    name = "four score and seven years ago " * 9 + "we the sky"
    assert len(name) == 289
    status, made = admin.send("POST", "/v1/resource/generic", {"id": name})
    assert (status, made["original_resource_id"]) == (201, name)
    assert admin.send("GET", f"/v1/resource/generic/{quote(name)}")[1]["id"] == made["id"]
    status, told = refused(admin, "POST", "/v1/resource/generic", {"id": name + "!"})
    assert (status, told["detail"]) == (400, ["id"])


def test_lines_about_a_resource_of_another_type_are_a_conflict(admin: Person) -> None:
    kind, host = a_name("lines"), a_name("host")
    assert admin.send("POST", "/v1/resource_type", {"name": kind})[0] == 201
    made = admin.send("POST", "/v1/resource/generic", {"id": host})[1]["id"]
    status, told = refused(admin, "POST", f"/v1/influxdb/write?db={kind}", f"load,host={host} value=1")
    assert status == 409
    assert told.startswith(f"Resource {made} already exists")


def test_no_metric_of_a_search_is_told_as_gnocchis_client_reads_it(admin: Person) -> None:
    wanted = {"operations": "(metric (none-of-this mean) (none-of-that mean))", "search": f"id = '{uuid4()}'"}
    told = "Metric ['none-of-that', 'none-of-this'] does not exist"
    assert refused(admin, "POST", "/v1/aggregates", wanted) == (404, told)
    assert refused(admin, "POST", "/v1/aggregates?groupby=id", wanted) == (404, told)


@pytest.mark.parametrize("given", [None, 5, True, [], ["low"]])
def test_a_metric_is_told_by_its_id_or_by_what_it_is_made_with(admin: Person, given: Any) -> None:
    vm = str(uuid4())
    told = "expected a metric's id or an object @ data['metrics']['load']"
    new = {"id": vm, "metrics": {"load": given}}
    status, body = refused(admin, "POST", "/v1/resource/generic", new)
    assert (status, body["reason"]) == (400, told)
    assert admin.send("POST", "/v1/resource/generic", {"id": vm})[0] == 201
    assert refused(admin, "PATCH", f"/v1/resource/generic/{vm}", {"metrics": {"load": given}})[0] == 400
    assert admin.send("GET", f"/v1/resource/generic/{vm}")[1]["metrics"] == {}
