"""Slips of the pen in Gnocchi's dialect: an attribute that no resource has, and which metric was just made."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from tests.contract.conftest import LiveApi
from tests.contract.test_gnocchi_pushes import Sender


@pytest.fixture(scope="module")
def demo(live_api: LiveApi) -> Iterator[Sender]:
    sender = Sender(live_api, "demo")
    with sender.http:
        yield sender


def an_instance(demo: Sender) -> dict[str, Any]:
    name = f"slip-{uuid4().hex}"
    body = {"id": name, "display_name": name, "host": "h", "flavor_id": "0"}
    made = demo.call("POST", "/v1/resource/instance", json=body)
    assert made.status_code == 201, made.text
    resource: dict[str, Any] = made.json()
    return resource


def test_an_attribute_that_no_such_resource_has_is_refused_wherever_a_filter_is_read(demo: Sender) -> None:
    resource = an_instance(demo)
    wrong = {"=": {"display_nam": resource["display_name"]}}
    body = {"operations": "(metric cpu mean)", "resource_type": "instance", "search": wrong}
    for answer in (
        demo.call("POST", "/v1/search/resource/instance", json=wrong),
        demo.call("POST", "/v1/search/resource/instance?history=true", json={"not": wrong}),
        demo.call("POST", "/v1/aggregates", json=body),
        demo.call("DELETE", "/v1/resource/instance?filter=display_nam!='x'"),
    ):
        assert answer.status_code == 400, answer.text
        assert "no resource of the type instance has a display_nam" in answer.text
    kept = demo.call("POST", "/v1/search/resource/instance", json={"=": {"id": resource["id"]}})
    assert [one["id"] for one in kept.json()] == [resource["id"]]


@pytest.mark.parametrize(
    "attribute",
    [
        "display_name",
        "type",
        "creator",
        "started_at",
        "ended_at",
        "revision_start",
        "revision_end",
        "created_by_user_id",
    ],
)
def test_what_every_resource_has_and_what_its_type_names_can_be_asked_for(demo: Sender, attribute: str) -> None:
    assert demo.call("POST", "/v1/search/resource/instance", json={"=": {attribute: None}}).status_code == 200


def test_a_generic_search_may_name_what_any_type_has(demo: Sender) -> None:
    resource = an_instance(demo)
    found = demo.call("POST", "/v1/search/resource/generic", json={"=": {"display_name": resource["display_name"]}})
    assert [one["id"] for one in found.json()] == [resource["id"]]


def test_the_metric_that_was_made_is_the_first_of_the_answer_since_the_client_shows_the_first(demo: Sender) -> None:
    place = f"/v1/resource/generic/{an_instance(demo)['id']}/metric"
    for name in ("middle", "zulu", "alpha"):
        made = demo.call("POST", place, json={name: {"archive_policy_name": "low"}})
        assert made.json()[0]["name"] == name
    assert [one["name"] for one in demo.call("GET", place).json()] == ["alpha", "middle", "zulu"]
