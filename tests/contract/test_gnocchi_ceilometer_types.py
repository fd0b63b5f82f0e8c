"""What Ceilometer's upgrade does to the resource types, again at every upgrade: made where missing, their attributes added as they are."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from gnocchiclient import exceptions

from tests.contract.conftest import LiveApi
from tests.contract.test_gnocchi import signed_in

TEXT = {"type": "string", "min_length": 0, "max_length": 255}
OPTIONAL_TEXT, REQUIRED_TEXT = {**TEXT, "required": False}, {**TEXT, "required": True}
OPTIONAL_TIME, OPTIONAL_ID = {"type": "datetime", "required": False}, {"type": "uuid", "required": False}
TYPES: dict[str, dict[str, Any]] = {
    "instance": {"flavor_id": REQUIRED_TEXT, "host": REQUIRED_TEXT, "display_name": REQUIRED_TEXT},
    "nova_compute": {"host_name": REQUIRED_TEXT},
    "ipmi_sensor": {"node": REQUIRED_TEXT},
}
CHANGES: list[tuple[str, dict[str, dict[str, Any]]]] = [
    ("volume", {"volume_type": OPTIONAL_TEXT}),
    ("instance", {"flavor_name": {**REQUIRED_TEXT, "options": {"fill": ""}}}),
    ("instance", {"launched_at": OPTIONAL_TIME, "created_at": OPTIONAL_TIME, "deleted_at": OPTIONAL_TIME}),
    ("volume", {"image_id": OPTIONAL_ID, "instance_id": OPTIONAL_ID}),
]


@pytest.fixture
def admin(live_api: LiveApi) -> Iterator[Any]:
    with signed_in(live_api, "admin") as client:
        yield client
        was = [{"op": "add", "path": "/attributes/flavor_name", "value": OPTIONAL_TEXT}]
        client.resource_type.update("instance", was)


def upgrade(admin: Any) -> None:
    """Bring the types to where Ceilometer wants them, which changes attributes whether or not they are there."""
    for name, attributes in TYPES.items():
        try:
            admin.resource_type.get(name=name)
        except exceptions.ResourceTypeNotFound:
            admin.resource_type.create(resource_type={"name": name, "attributes": attributes})
    for name, attributes in CHANGES:
        patch = [{"op": "add", "path": f"/attributes/{one}", "value": rule} for one, rule in attributes.items()]
        admin.resource_type.update(name, patch)


def test_ceilometer_upgrades_the_types_as_often_as_it_likes(admin: Any) -> None:
    before, told = str(uuid4()), str(uuid4())
    admin.resource.create("instance", {"id": before, "display_name": "web"})
    for _ in range(2):
        upgrade(admin)
    assert admin.resource_type.get("instance")["attributes"]["flavor_name"] == REQUIRED_TEXT
    assert admin.resource.get("instance", before)["flavor_name"] == ""
    facts = {"display_name": "web", "host": "a", "flavor_id": "1", "flavor_name": "m1.tiny", "image_ref": None}
    metrics = {"cpu": {"archive_policy_name": "low", "unit": "ns"}}
    made = admin.resource.create(
        "instance", {"id": told, "user_id": None, "project_id": None, **facts, "metrics": metrics}
    )
    assert (made["flavor_name"], list(made["metrics"])) == ("m1.tiny", ["cpu"])
    changed = admin.resource.update(
        "instance", told, {"display_name": "db", "flavor_name": "m1.small", "server_group": None}
    )
    assert (changed["display_name"], changed["flavor_name"]) == ("db", "m1.small")
    assert admin.resource.update("instance", told, {"ended_at": "2096-03-01T12:00:00+00:00"})["ended_at"] is not None
