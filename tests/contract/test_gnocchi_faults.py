"""Faults in the form in which Gnocchi's clients read them: status, and where there is one the cause, the reason and the detail."""

from collections.abc import Iterator
from typing import Any
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
    assert (status, [one["name"] for one in all_of_it]) == (200, ["load", "power"])


def test_only_json_comes_and_goes(admin: Person) -> None:
    body, path = {"archive_policy_name": "low"}, "/v1/metric"
    assert refused(admin, "POST", path, body, headers={"Content-Type": "text/plain"})[0] == 415
    assert admin.send("POST", path, body, headers={"Content-Type": "application/json; charset=utf-8"})[0] == 201
    for accept in ("text/plain", "text/html", "image/*, text/*"):
        assert refused(admin, "GET", path, headers={"Accept": accept})[0] == 406, accept
    for accept in ("text/html, */*;q=0.1", "application/*", "application/json"):
        assert admin.send("GET", path, headers={"Accept": accept})[0] == 200, accept
