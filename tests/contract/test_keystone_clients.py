"""The real clients against Keystone's dialect on a live server: python-openstackclient and openstacksdk, unmodified."""

import json
from typing import Any
from uuid import uuid4

import openstack
import pytest
from openstack.connection import Connection

from tests.contract.conftest import LiveApi

pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")


def output_of(live_api: LiveApi, *arguments: str, cloud: str = "nephoscope-admin") -> Any:
    done = live_api.openstack(*arguments, "-f", "json", cloud=cloud)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("cloud", ["nephoscope-admin", "nephoscope-demo"])
def test_openstack_token_issue_gives_a_project_token(live_api: LiveApi, cloud: str) -> None:
    token = output_of(live_api, "token", "issue", cloud=cloud)
    assert token["id"].startswith("nph_")
    assert token["project_id"]
    assert token["user_id"]


def test_openstack_catalog_list_names_every_dialect(live_api: LiveApi) -> None:
    catalog = output_of(live_api, "catalog", "list", cloud="nephoscope-demo")
    assert {entry["Type"] for entry in catalog} >= {
        "identity",
        "compute",
        "image",
        "network",
        "volumev3",
        "block-storage",
        "metric",
        "alarming",
    }


def test_openstack_makes_shows_disables_and_deletes_a_project(live_api: LiveApi) -> None:
    name = f"project-{uuid4().hex}"
    made = output_of(live_api, "project", "create", "--description", "a trial", name)
    assert made["description"] == "a trial"
    assert output_of(live_api, "project", "show", name)["id"] == made["id"]
    assert live_api.openstack("project", "set", "--disable", name).returncode == 0
    assert output_of(live_api, "project", "show", made["id"])["enabled"] is False
    assert made["id"] in {row["ID"] for row in output_of(live_api, "project", "list", "--disabled")}
    assert live_api.openstack("project", "delete", name).returncode == 0
    gone = live_api.openstack("project", "show", name)
    assert gone.returncode != 0
    assert name in gone.stderr


def test_openstack_makes_a_user_and_gives_and_takes_a_role(live_api: LiveApi) -> None:
    name = f"user-{uuid4().hex}"
    made = output_of(live_api, "user", "create", "--password", "a long password", "--email", "a@example.com", name)
    assert made["name"] == name
    grant = ("--user", name, "--project", "demo", "reader")
    assert live_api.openstack("role", "add", *grant).returncode == 0
    rows = output_of(live_api, "role", "assignment", "list", "--user", name, "--names")
    assert [(row["Role"], row["User"], row["Project"]) for row in rows] == [
        ("reader", f"{name}@Default", "demo@Default")
    ]
    assert live_api.openstack("role", "remove", *grant).returncode == 0
    assert output_of(live_api, "role", "assignment", "list", "--user", name) == []
    assert live_api.openstack("user", "delete", name).returncode == 0


def test_openstack_tells_a_member_that_only_an_admin_may_list_users(live_api: LiveApi) -> None:
    refused = live_api.openstack("user", "list", cloud="nephoscope-demo")
    assert refused.returncode != 0
    assert "admin role" in refused.stderr


def test_openstack_with_a_wrong_password_says_so_and_no_more(live_api: LiveApi) -> None:
    refused = live_api.openstack("--os-password", "wrong", "token", "issue", cloud="nephoscope-demo")
    assert refused.returncode != 0
    assert "requires authentication" in refused.stderr


@pytest.mark.parametrize("what", ["role", "endpoint"])
def test_openstack_lists(live_api: LiveApi, what: str) -> None:
    assert output_of(live_api, what, "list")


@pytest.fixture
def connection(live_api: LiveApi) -> Any:
    opened: Connection = openstack.connect(
        auth={
            "auth_url": f"{live_api.url}/identity",
            "username": "admin",
            "password": live_api.admin_password,
            "project_name": "admin",
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        },
        region_name="RegionOne",
    )
    yield opened
    opened.close()


def test_openstacksdk_walks_the_directory(connection: Any) -> None:
    assert {"admin", "demo"} <= {project.name for project in connection.identity.projects()}
    assert {"admin", "demo"} <= {user.name for user in connection.identity.users()}
    assert {"admin", "member", "reader"} <= {role.name for role in connection.identity.roles()}
    assert connection.identity.find_project("demo").name == "demo"
    assert connection.identity.find_project("nowhere") is None


def test_openstacksdk_finds_each_endpoint(connection: Any, live_api: LiveApi) -> None:
    assert connection.session.get_endpoint(service_type="image") == f"{live_api.url}/image"
    assert connection.session.get_endpoint(service_type="compute") == f"{live_api.url}/compute/v2.1"


def test_openstacksdk_makes_and_deletes_a_user(connection: Any) -> None:
    user = connection.identity.create_user(name=f"user-{uuid4().hex}", password="a long password")
    assert connection.identity.get_user(user.id).name == user.name
    connection.identity.delete_user(user)
    assert connection.identity.find_user(user.name) is None
