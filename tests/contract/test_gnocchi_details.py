"""Details of Gnocchi's interface that its own conformance suite asks for, over the wire."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from tests.contract.conftest import LiveApi
from tests.contract.test_gnocchi_pushes import Sender

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def admin(live_api: LiveApi) -> Iterator[Sender]:
    sender = Sender(live_api, "admin")
    with sender.http:
        yield sender


def a_policy(admin: Sender, *definition: dict[str, Any]) -> str:
    name = f"policy-{uuid4().hex[:8]}"
    made = admin.call("POST", "/v1/archive_policy", json={"name": name, "definition": list(definition)})
    assert made.status_code == 201, made.text
    return name


def a_metric(admin: Sender, policy: str, values: dict[int, float]) -> str:
    """Make a metric with values at these seconds."""
    metric = admin.call("POST", "/v1/metric", json={"archive_policy_name": policy}).json()["id"]
    measures = [{"timestamp": AT.timestamp() + second, "value": value} for second, value in values.items()]
    assert admin.call("POST", f"/v1/metric/{metric}/measures", json=measures).status_code == 202
    return str(metric)


def aggregated(admin: Sender, operations: str, query: str = "") -> list[float]:
    answer = admin.call("POST", f"/v1/aggregates?granularity=1{query}", json={"operations": operations})
    assert answer.status_code == 200, answer.text
    return [value for _, _, value in answer.json()["measures"]["aggregated"]]


def test_a_granularity_alone_is_kept_for_ever(admin: Sender) -> None:
    name = a_policy(admin, {"granularity": "1 second"})
    shown = admin.call("GET", f"/v1/archive_policy/{name}").json()
    assert shown["definition"] == [{"granularity": "0:00:01", "points": None, "timespan": None}]
    for wrong in (
        {"points": 5},
        {"timespan": "1 day"},
        {"granularity": "1 d", "points": 2**39},
        {"granularity": "1s", "points": 0},
    ):
        body = {"name": f"p{uuid4().hex}", "definition": [wrong]}
        assert admin.call("POST", "/v1/archive_policy", json=body).status_code == 400, wrong


def test_what_was_made_is_told_by_its_whole_address_even_with_letters_of_any_script(admin: Sender) -> None:
    name = f"✔éñ☃-{uuid4().hex[:8]}"
    body = {"name": name, "definition": [{"granularity": "1 second"}]}
    made = admin.call("POST", "/v1/archive_policy", json=body)
    assert made.status_code == 201, made.text
    assert made.headers["location"].startswith(f"{admin.url}/v1/archive_policy/%E2%9C%94")
    assert admin.http.get(made.headers["location"], timeout=120).json()["name"] == name
    metric = admin.call("POST", "/v1/metric", json={"archive_policy_name": name})
    assert metric.json()["archive_policy_name"] == name
    assert admin.http.get(metric.headers["location"], timeout=120).json()["id"] == metric.json()["id"]
    resource = admin.call("POST", "/v1/resource/generic", json={"id": f"☃{uuid4().hex}"})
    assert admin.http.get(resource.headers["location"], timeout=120).json()["id"] == resource.json()["id"]
    types = admin.call("GET", "/v1/resource").json()
    assert types["generic"] == f"{admin.url}/v1/resource/generic"


def test_an_archive_policy_that_is_not_there_is_a_wrong_request(admin: Sender) -> None:
    refused = admin.call("POST", "/v1/metric", json={"archive_policy_name": "none-such"})
    assert (refused.status_code, refused.json()["description"]) == (400, "Archive policy none-such does not exist")
    rule = {"name": f"r{uuid4().hex}", "metric_pattern": "x", "archive_policy_name": "none-such"}
    assert admin.call("POST", "/v1/archive_policy_rule", json=rule).status_code == 400


def test_a_method_that_nobody_knows_does_not_exist(admin: Sender) -> None:
    metric = a_metric(admin, "low", {0: 1})
    assert admin.call("GET", f"/v1/metric/{metric}/measures?aggregation=wtf").status_code == 404
    assert admin.call("GET", f"/v1/aggregation/metric?metric={metric}&aggregation=wtf").status_code == 404


def test_values_are_carried_forward_and_backward(admin: Sender) -> None:
    policy = a_policy(admin, {"granularity": "1 second"})
    first = a_metric(admin, policy, {1: 10, 3: 30, 4: 40})
    second = a_metric(admin, policy, {0: 1, 3: 3, 5: 5})
    difference = f"(aggregate mean (- (metric {first} mean) (metric {second} mean)))"
    assert aggregated(admin, difference) == [27]
    assert aggregated(admin, difference, "&fill=ffill") == [9, 27, 37, 35]
    assert aggregated(admin, difference, "&fill=bfill") == [9, 7, 27, 35]
    assert aggregated(admin, difference, "&fill=full_ffill") == [9, 9, 27, 37, 35]
    assert aggregated(admin, difference, "&fill=full_bfill") == [9, 7, 27, 35, 35]
    empty = a_metric(admin, policy, {})
    nothing = f"(aggregate mean (- (metric {first} mean) (metric {empty} mean)))"
    assert aggregated(admin, nothing, "&fill=full_ffill") == []


def test_the_rate_of_an_aggregate_is_the_difference_of_its_values(admin: Sender) -> None:
    policy = a_policy(admin, {"granularity": "1 second"})
    one, two = a_metric(admin, policy, {0: 1, 1: 4, 2: 9}), a_metric(admin, policy, {0: 3, 1: 4, 2: 5})
    both = f"(metric ({one} mean) ({two} mean))"
    assert aggregated(admin, f"(aggregate rate:mean {both})") == [2, 3]
    assert aggregated(admin, f"(aggregate rate:max {both})") == [1, 5]
    refused = admin.call("POST", "/v1/aggregates", json={"operations": f"(aggregate rate:wtf {both})"})
    assert refused.status_code == 400


def test_a_series_may_be_clipped_from_either_side_of_its_bounds(admin: Sender) -> None:
    policy = a_policy(admin, {"granularity": "1 second"})
    metric = f"(metric {a_metric(admin, policy, {0: 1, 1: 5, 2: 9})} mean)"
    for operation, values in (
        (f"(clip_min {metric} 4)", [4, 5, 9]),
        (f"(clip_min 4 {metric})", [4, 5, 9]),
        (f"(clip_max {metric} 4)", [1, 4, 4]),
        (f"(clip {metric} 2 6)", [2, 5, 6]),
        (f"(clip 2 6 {metric})", [2, 5, 6]),
    ):
        assert aggregated(admin, f"(aggregate mean {operation})") == values, operation


def test_metrics_to_aggregate_may_come_in_the_body(admin: Sender) -> None:
    policy = a_policy(admin, {"granularity": "1 second"}, {"granularity": "60s"})
    ids = [a_metric(admin, policy, {0: 1, 1: 3}), a_metric(admin, policy, {0: 5})]
    answer = admin.call("POST", "/v1/aggregation/metric?granularity=1&fill=null", json=ids)
    assert [value for _, _, value in answer.json()] == [3, 3]
    every = admin.call("GET", f"/v1/aggregation/metric?metric={ids[0]}&metric={ids[1]}&fill=0&aggregation=sum")
    assert [(width, value) for _, width, value in every.json()] == [(60, 9), (1, 6), (1, 3)]
    wrongs: list[Any] = [{}, ["x"], [None], [[ids[0]]]]
    for wrong in wrongs:
        assert admin.call("POST", "/v1/aggregation/metric", json=wrong).status_code == 400, wrong


def test_ids_may_be_compared_with_null(admin: Sender) -> None:
    name = f"r-{uuid4().hex}"
    made = admin.call("POST", "/v1/resource/generic", json={"id": name}).json()["id"]
    both = {"and": [{"!=": {"id": None}}, {"=": {"original_resource_id": name}}]}
    assert [one["id"] for one in admin.call("POST", "/v1/search/resource/generic", json=both).json()] == [made]
    text = f"id != null and original_resource_id = '{name}'"
    found = admin.call("POST", "/v1/search/resource/generic", params={"filter": text}).json()
    assert [one["id"] for one in found] == [made]
    none = {"and": [{"=": {"id": None}}, {"=": {"original_resource_id": name}}]}
    assert admin.call("POST", "/v1/search/resource/generic", json=none).json() == []


def test_rules_stand_with_the_more_specific_pattern_first(admin: Sender) -> None:
    stem = f"disk{uuid4().hex[:6]}"
    for pattern in (f"{stem}.*", f"{stem}.io.*"):
        rule = {"name": f"r-{uuid4().hex}", "metric_pattern": pattern, "archive_policy_name": "low"}
        assert admin.call("POST", "/v1/archive_policy_rule", json=rule).status_code == 201
    rules = [one["metric_pattern"] for one in admin.call("GET", "/v1/archive_policy_rule").json()]
    assert [one for one in rules if one.startswith(stem)] == [f"{stem}.io.*", f"{stem}.*"]


def test_a_sort_key_that_is_none_is_named(admin: Sender) -> None:
    refused = admin.call("GET", "/v1/metric?sort=nonexistent_key:asc")
    assert (refused.status_code, refused.json()["description"]) == (
        400,
        "Sort key supplied is invalid: nonexistent_key",
    )


@pytest.mark.parametrize(
    "rule",
    [
        {"type": "string", "min_length": 5, "max_length": 2},
        {"type": "string", "min_length": "1"},
        {"type": "string", "max_length": None},
        {"type": "string", "max_length": -1},
        {"type": "number", "min": 5, "max": 2},
        {"type": "number", "min": "low"},
        {"type": "number", "max": [1]},
        {"type": "number", "min": True},
    ],
)
def test_a_type_whose_attribute_could_hold_nothing_is_refused(admin: Sender, rule: dict[str, Any]) -> None:
    body = {"name": f"t{uuid4().hex}", "attributes": {"size": rule}}
    assert admin.call("POST", "/v1/resource_type", json=body).status_code == 400


@pytest.mark.parametrize("path", ["/v1/metric/a%0Ab", "/v1/resource/generic/a%0A", "/v1/archive_policy/%0A%0D"])
def test_a_newline_in_an_address_leads_nowhere_in_the_dialects_own_form(admin: Sender, path: str) -> None:
    answer = admin.call("GET", path)
    assert (answer.status_code, answer.json()["code"]) == (404, 404)
