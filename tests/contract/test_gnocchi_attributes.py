"""Attributes as Gnocchi's users name them."""

from collections.abc import Iterator
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
