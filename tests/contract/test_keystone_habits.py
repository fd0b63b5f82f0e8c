"""What administrators do to Keystone besides the documents: lock themselves out, and ask for what is not there."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from api.context import ApiContext
from foundation.clock import utc_now
from foundation.database import Pool
from foundation.settings import Settings
from tests.contract.test_keystone import project_scope, sign_in

V3 = "/identity/v3"
PASSWORD = "a long pass phrase"


@pytest.fixture
def client(pool: Pool) -> Iterator[TestClient]:
    with TestClient(create_app(ApiContext(settings=Settings(), pool=pool, clock=utc_now))) as opened:
        yield opened


@pytest.fixture
def first(client: TestClient, passwords: dict[str, str]) -> dict[str, str]:
    """The first admin."""
    return sign_in(client, "admin", passwords["admin"], scope=project_scope("admin"))


def an_admin(client: TestClient, first: dict[str, str]) -> tuple[dict[str, str], dict[str, Any]]:
    """Another admin, of a project of its own: its token's header, and the ids of user, project and role."""
    name = f"habit-{uuid4().hex}"
    project = client.post(f"{V3}/projects", json={"project": {"name": name}}, headers=first).json()["project"]
    user = client.post(f"{V3}/users", json={"user": {"name": name, "password": PASSWORD}}, headers=first).json()["user"]
    role = client.get(f"{V3}/roles?name=admin", headers=first).json()["roles"][0]
    ids = {"user": user["id"], "project": project["id"], "role": role["id"]}
    assert client.put(grant(ids), headers=first).status_code == 204
    return sign_in(client, name, PASSWORD, scope=project_scope(name)), ids


def grant(ids: dict[str, Any]) -> str:
    return f"{V3}/projects/{ids['project']}/users/{ids['user']}/roles/{ids['role']}"


def test_an_admin_cannot_lock_itself_out_and_another_admin_can_do_all_of_it(
    client: TestClient, first: dict[str, str]
) -> None:
    own, ids = an_admin(client, first)
    user, project = f"{V3}/users/{ids['user']}", f"{V3}/projects/{ids['project']}"
    for answer in (
        client.delete(user, headers=own),
        client.patch(user, json={"user": {"enabled": False}}, headers=own),
        client.delete(project, headers=own),
        client.patch(project, json={"project": {"enabled": False}}, headers=own),
        client.delete(grant(ids), headers=own),
    ):
        assert answer.status_code == 403, answer.text
        assert answer.json()["error"]["message"].startswith("You cannot ")
    assert client.get(user, headers=own).json()["user"]["enabled"]
    assert client.head(grant(ids), headers=own).status_code == 204
    assert client.patch(user, json={"user": {"description": "still here"}}, headers=own).status_code == 200
    for left in (
        client.delete(grant(ids), headers=first),
        client.delete(project, headers=first),
        client.delete(user, headers=first),
    ):
        assert left.status_code == 204


def test_an_admin_gives_back_a_role_that_is_not_its_last(client: TestClient, first: dict[str, str]) -> None:
    own, ids = an_admin(client, first)
    other = client.post(f"{V3}/projects", json={"project": {"name": uuid4().hex}}, headers=own).json()["project"]["id"]
    place = grant(ids | {"project": other})
    assert client.put(place, headers=own).status_code == 204
    assert client.delete(place, headers=own).status_code == 204
    assert client.delete(place, headers=own).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "said"),
    [
        ("POST", "roles", "admin, member and reader"),
        ("POST", "domains", "one domain"),
        ("PATCH", "domains/default", "one domain"),
        ("POST", "groups", "no groups"),
        ("POST", "services", "catalog"),
        ("DELETE", "endpoints/x", "catalog"),
        ("POST", "credentials", "credentials is not offered"),
        ("POST", "users/x/application_credentials", "application_credentials is not offered"),
        ("PUT", "projects/x/tags/y", "no tags"),
    ],
)
def test_what_is_fixed_is_refused_in_a_sentence(
    client: TestClient, first: dict[str, str], method: str, path: str, said: str
) -> None:
    answer = client.request(method, f"{V3}/{path}", json={}, headers=first)
    assert answer.status_code == 403
    assert said in answer.json()["error"]["message"]
    assert client.request(method, f"{V3}/{path}", json={}).status_code == 401


@pytest.mark.parametrize("path", ["credentials", "OS-TRUST/trusts", "policies", "users/x/application_credentials"])
def test_a_list_that_is_not_offered_is_not_there(client: TestClient, first: dict[str, str], path: str) -> None:
    answer = client.get(f"{V3}/{path}", headers=first)
    assert answer.status_code == 404
    assert "not offered" in answer.json()["error"]["message"]


def test_tags_of_a_project_are_refused_and_not_forgotten_silently(client: TestClient, first: dict[str, str]) -> None:
    new = {"project": {"name": uuid4().hex, "tags": ["x"]}}
    answer = client.post(f"{V3}/projects", json=new, headers=first)
    assert answer.status_code == 400
    assert "tags" in answer.json()["error"]["message"]
    made = client.post(f"{V3}/projects", json={"project": {"name": uuid4().hex, "tags": []}}, headers=first)
    assert made.status_code == 201
    place = f"{V3}/projects/{made.json()['project']['id']}"
    assert client.patch(place, json={"project": {"tags": ["x"]}}, headers=first).status_code == 400
    assert client.patch(place, json={"project": {"tags": [], "description": "d"}}, headers=first).status_code == 200
