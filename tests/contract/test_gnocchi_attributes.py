"""Attributes as Gnocchi's users name them."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from metering.model import PRODUCT_RESOURCE_TYPES
from tests.contract.conftest import LiveApi
from tests.contract.test_gnocchi import a_name, signed_in
from tests.contract.test_gnocchi_interface import Person


@pytest.fixture
def admin(live_api: LiveApi) -> Iterator[Person]:
    with signed_in(live_api, "admin") as client:
        person = Person(live_api.url, client)
        with person.connections:
            yield person


def test_an_attribute_may_have_a_dash_in_its_name(admin: Person) -> None:
    kind, vm = a_name("kind"), str(uuid4())
    assert admin.send("POST", "/v1/resource_type", {"name": kind})[0] == 201
    added = [{"op": "add", "path": "/attributes/rack-row", "value": {"type": "string", "required": False}}]
    headers = {"Content-Type": "application/json-patch+json"}
    assert admin.send("PATCH", f"/v1/resource_type/{kind}", added, headers=headers)[0] == 200
    assert admin.send("POST", f"/v1/resource/{kind}", {"id": vm, "rack-row": "b"})[0] == 201
    status, found = admin.send("POST", f"/v1/search/resource/{kind}?filter=rack-row = 'b'")
    assert (status, [one["id"] for one in found]) == (200, [vm])
    for wrong in ("rack row", "-", "1-a", "a/b"):
        body = {"name": a_name("kind"), "attributes": {wrong: {"type": "string"}}}
        assert admin.send("POST", "/v1/resource_type", body)[0] == 400, wrong


def changed(admin: Person, kind: str, name: str, rule: dict[str, Any]) -> tuple[int, Any]:
    """Change an attribute, or make it; answers (status, body)."""
    patch = [{"op": "add", "path": f"/attributes/{name}", "value": {"type": "string", **rule}}]
    headers = {"Content-Type": "application/json-patch+json"}
    return admin.send("PATCH", f"/v1/resource_type/{kind}", patch, headers=headers)


def test_an_attribute_that_is_there_can_be_made_optional_and_required_again(admin: Person) -> None:
    kind, vm, bare = a_name("kind"), str(uuid4()), str(uuid4())
    attributes = {"rack": {"type": "string", "max_length": 5}}
    assert admin.send("POST", "/v1/resource_type", {"name": kind, "attributes": attributes})[0] == 201
    assert admin.send("POST", f"/v1/resource/{kind}", {"id": vm, "rack": "a1"})[0] == 201
    assert admin.send("POST", f"/v1/resource/{kind}", {"id": bare})[0] == 400
    status, body = changed(admin, kind, "rack", {"required": False, "max_length": 5})
    assert (status, body["attributes"]["rack"]["required"]) == (200, False)
    assert admin.send("POST", f"/v1/resource/{kind}", {"id": bare, "rack": None})[0] == 201
    assert changed(admin, kind, "rack", {"max_length": 9})[0] == 400, "resources without one need a fill"
    status, body = changed(admin, kind, "rack", {"max_length": 9, "options": {"fill": "none"}})
    assert (status, body["attributes"]["rack"]["required"], body["attributes"]["rack"]["max_length"]) == (200, True, 9)
    racks = {one["id"]: one["rack"] for one in admin.send("GET", f"/v1/resource/{kind}")[1]}
    assert racks == {vm: "a1", bare: "none"}


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"type": "number"}, "Type update is not available yet. Changing string to number for attribute rack"),
        ({"min_length": 3}, "min_length can only become lower"),
        ({"min_length": 2, "max_length": 8}, "max_length can only become higher"),
    ],
)
def test_an_attribute_goes_on_to_allow_what_resources_hold(admin: Person, rule: dict[str, Any], told: str) -> None:
    kind = a_name("kind")
    attributes = {"rack": {"type": "string", "min_length": 2, "max_length": 9, "required": False}}
    assert admin.send("POST", "/v1/resource_type", {"name": kind, "attributes": attributes})[0] == 201
    status, body = changed(admin, kind, "rack", {"max_length": 9, **rule} if "type" not in rule else rule)
    assert (status, told in str(body["description"])) == (400, True)


def test_a_type_goes_when_its_resources_have_gone_and_can_be_made_anew(admin: Person) -> None:
    kind, vm = a_name("kind"), str(uuid4())
    path, old = f"/v1/resource_type/{kind}", {"rack": {"type": "string", "required": False}}
    assert admin.send("POST", "/v1/resource_type", {"name": kind, "attributes": old})[0] == 201
    assert admin.send("POST", f"/v1/resource/{kind}", {"id": vm, "rack": "a1"})[0] == 201
    status, body = admin.send("DELETE", path)
    assert (status, body["description"]) == (400, f"Resource type {kind} is still in use")
    assert admin.send("DELETE", f"/v1/resource/{kind}/{vm}")[0] == 204
    assert admin.send("DELETE", path)[0] == 204
    for method, gone in (("GET", path), ("DELETE", path), ("GET", f"/v1/resource/{kind}")):
        assert admin.send(method, gone)[0] == 404, (method, gone)
    assert kind not in {one["name"] for one in admin.send("GET", "/v1/resource_type")[1]}
    new = {"shelf": {"type": "number", "required": False}}
    status, body = admin.send("POST", "/v1/resource_type", {"name": kind, "attributes": new})
    assert (status, list(body["attributes"])) == (201, ["shelf"])
    assert admin.send("GET", f"/v1/resource/{kind}")[1] == []
    assert admin.send("POST", f"/v1/resource/{kind}", {"id": vm, "shelf": 4})[0] == 201
    assert admin.send("GET", f"/v1/resource/{kind}/{vm}")[1]["shelf"] == 4
    assert admin.send("GET", f"/v1/resource/{kind}/{vm}/history")[0] == 200


def test_what_the_product_meters_keeps_its_types(admin: Person) -> None:
    there = {one["name"] for one in admin.send("GET", "/v1/resource_type")[1]}
    assert there >= PRODUCT_RESOURCE_TYPES
    for name in ("generic", "instance", "event_subject", "switch_table"):
        assert admin.send("DELETE", f"/v1/resource_type/{name}")[0] == 400, name


@pytest.mark.parametrize("number", [1e300, -1e300, 2e19, float(2**63), 2**63 - 1, -7])
def test_a_number_of_any_size_is_told_as_it_was(admin: Person, number: float) -> None:
    kind, vm = a_name("kind"), str(uuid4())
    bounds = {"min": -2e300, "max": 2e300}
    attributes = {"size": {"type": "number", "required": False, **bounds}}
    status, made = admin.send("POST", "/v1/resource_type", {"name": kind, "attributes": attributes})
    assert (status, made["attributes"]["size"]["max"]) == (201, 2e300)
    assert admin.send("GET", f"/v1/resource_type/{kind}")[1]["attributes"]["size"] == made["attributes"]["size"]
    metrics = {"cpu": {"archive_policy_name": "low"}}
    status, one = admin.send("POST", f"/v1/resource/{kind}", {"id": vm, "size": number, "metrics": metrics})
    assert (status, one["size"]) == (201, number)
    assert admin.send("GET", f"/v1/resource/{kind}/{vm}")[1]["size"] == number
    assert [found["size"] for found in admin.send("GET", f"/v1/resource/{kind}")[1]] == [number]
    asked: dict[str, Any] = {"operations": "(metric cpu mean)", "resource_type": kind, "search": {}}
    status, groups = admin.send("POST", "/v1/aggregates?groupby=size&details=true", asked)
    assert (status, groups[0]["group"]) == (200, {"size": number})


def test_a_text_has_at_most_as_many_characters_as_in_gnocchi(admin: Person) -> None:
    kind = a_name("kind")
    attributes = {"rack": {"type": "string", "required": False}}
    status, made = admin.send("POST", "/v1/resource_type", {"name": kind, "attributes": attributes})
    assert (status, made["attributes"]["rack"]["max_length"]) == (201, 256)
    for length, expected in ((256, 201), (257, 400)):
        body = {"id": str(uuid4()), "rack": "r" * length}
        assert admin.send("POST", f"/v1/resource/{kind}", body)[0] == expected
        wanted = {"name": a_name("kind"), "attributes": {"rack": {"type": "string", "max_length": length}}}
        assert admin.send("POST", "/v1/resource_type", wanted)[0] == expected
