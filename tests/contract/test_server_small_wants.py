"""Small things that people do to servers with the command line client: one tag at a time, and what this cloud says to what it does not offer."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from api.context import ApiContext
from foundation.clock import utc_now
from foundation.database import Pool
from foundation.settings import Settings
from tests.compute_builders import MANIFEST
from tests.conftest import own_pool
from tests.contract.story_cloud import StoryCloud

URL = "http://wants.example"
Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def pool(cluster_url: str) -> Generator[Pool]:
    """A cloud of its own, with a host of its own."""
    with own_pool(cluster_url) as opened:
        yield opened


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody with a server."""

    client: TestClient
    token: str
    server_id: str

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request about the server."""
        headers = {"X-Auth-Token": self.token, "OpenStack-API-Version": "compute 2.90"}
        url = f"/compute/v2.1{path}".replace("SERVER", f"/servers/{self.server_id}")
        return self.client.request(method, url, headers=headers, json=body)

    def tags(self) -> list[str]:
        """The server's tags."""
        tags: list[str] = self.ask("GET", "SERVER/tags").json()["tags"]
        return tags


@pytest.fixture(scope="module")
def client(pool: Pool) -> Iterator[TestClient]:
    with TestClient(create_app(ApiContext(settings=Settings(public_url=URL), pool=pool, clock=utc_now))) as opened:
        yield opened


@pytest.fixture(scope="module")
def cloud(pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> StoryCloud:
    return StoryCloud(pool, tmp_path_factory.mktemp("wants"), clock=utc_now)


@pytest.fixture
def member(client: TestClient, cloud: StoryCloud) -> Member:
    """A new project with one server."""
    return a_member(client, cloud, "member")


def a_member(client: TestClient, cloud: StoryCloud, role: str) -> Member:
    account = cloud.account(role)
    domain = {"id": "default"}
    user = {"name": account.user_name, "password": account.password, "domain": domain}
    scope = {"project": {"name": account.project_name, "domain": domain}}
    identity = {"methods": ["password"], "password": {"user": user}}
    signed_in = client.post("/identity/v3/auth/tokens", json={"auth": {"identity": identity, "scope": scope}})
    token = signed_in.headers["X-Subject-Token"]
    headers = {"X-Auth-Token": token}
    images = client.get(f"/image/v2/images?name={MANIFEST['name']}", headers=headers).json()["images"]
    launch = {"server": {"name": "web", "imageRef": images[0]["id"], "flavorRef": "0"}}
    made = client.post("/compute/v2.1/servers", json=launch, headers=headers)
    return Member(client, token, made.json()["server"]["id"])


def test_a_tag_is_put_once_looked_for_and_taken_away(member: Member) -> None:
    put = member.ask("PUT", "SERVER/tags/web")
    assert (put.status_code, put.content) == (201, b"")
    assert put.headers["Location"] == f"{URL}/compute/v2.1/servers/{member.server_id}/tags/web"
    assert member.ask("PUT", "SERVER/tags/web").status_code == 204
    assert member.ask("PUT", "SERVER/tags/north").status_code == 201
    assert member.tags() == ["north", "web"]
    assert member.ask("GET", "SERVER/tags/web").status_code == 204
    assert member.ask("DELETE", "SERVER/tags/web").status_code == 204
    for method in ("GET", "DELETE"):
        lost = member.ask(method, "SERVER/tags/web")
        assert lost.status_code == 404
        assert "web" in lost.json()["itemNotFound"]["message"]
    assert member.ask("DELETE", "SERVER/tags").status_code == 204
    assert member.tags() == []


def test_a_tag_that_is_too_long_or_one_too_many_is_refused_and_changes_nothing(member: Member) -> None:
    for wrong in ("x" * 61, "a,b", "a%2Fb"):
        answer = member.ask("PUT", f"SERVER/tags/{wrong}")
        assert answer.status_code in (400, 404), wrong
    assert member.tags() == []
    assert member.ask("PUT", "SERVER/tags", {"tags": [f"t{number}" for number in range(50)]}).status_code == 200
    refused = member.ask("PUT", "SERVER/tags/one-more")
    assert refused.status_code == 400
    assert "50" in refused.json()["badRequest"]["message"]
    assert len(member.tags()) == 50


def test_tags_are_of_microversion_2_26_and_of_ones_own_server(
    member: Member, client: TestClient, cloud: StoryCloud
) -> None:
    path = f"/compute/v2.1/servers/{member.server_id}/tags/web"
    assert client.put(path, headers={"X-Auth-Token": member.token}).status_code == 404
    other = a_member(client, cloud, "member")
    for method in ("GET", "PUT", "DELETE"):
        assert other.ask(method, f"/servers/{member.server_id}/tags/web").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "what"),
    [
        ("POST", "SERVER/remote-consoles", "console"),
        ("POST", "SERVER/os-interface", "interfaces"),
        ("DELETE", "SERVER/os-interface/00000000-0000-0000-0000-000000000001", "interfaces"),
        ("POST", "SERVER/os-volume_attachments", "volumes"),
        ("GET", "SERVER/diagnostics", "metric"),
        ("POST", "/os-server-groups", "Server groups"),
        ("POST", "/os-aggregates", "aggregates"),
    ],
)
def test_what_is_not_offered_is_refused_in_a_sentence_that_names_it(
    member: Member, method: str, path: str, what: str
) -> None:
    answer = member.ask(method, path, {"anything": {}} if method == "POST" else None)
    assert answer.status_code == 400
    message = answer.json()["badRequest"]["message"]
    assert what in message
    assert "not offered" in message


def test_an_operator_finds_no_migrations_and_a_member_may_not_look(
    member: Member, client: TestClient, cloud: StoryCloud
) -> None:
    assert member.ask("GET", "/os-migrations").status_code == 403
    assert a_member(client, cloud, "admin").ask("GET", "/os-migrations").json() == {"migrations": []}


def test_quotas_that_nobody_can_change_are_reset_without_a_word(client: TestClient, cloud: StoryCloud) -> None:
    operator, other = a_member(client, cloud, "admin"), a_member(client, cloud, "member")
    for path, done in (("/volume/v3/os-quota-sets/demo", 200), ("/network/v2.0/quotas/demo", 204)):
        headers = {"X-Auth-Token": operator.token}
        assert client.delete(path, headers=headers).status_code == done
        assert client.delete(path, headers={"X-Auth-Token": other.token}).status_code == 403
