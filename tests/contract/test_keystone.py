"""Keystone's dialect request by request: the answers' shapes, statuses and headers that the clients rely on."""

import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from api.context import ApiContext
from foundation.database import Pool, transaction
from foundation.settings import Settings
from identity import directory
from identity.logins import FAILURES_PER_ACCOUNT_MAX, WINDOW_S

START = datetime(2026, 1, 1, tzinfo=UTC)


class HeldClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock()


@pytest.fixture
def client(pool: Pool, clock: HeldClock) -> Iterator[TestClient]:
    context = ApiContext(settings=Settings(), pool=pool, clock=clock)
    with TestClient(create_app(context), base_url="http://127.0.0.1:8780") as opened:
        yield opened


def auth(name: str, password: str, *, scope: Any = None) -> dict[str, Any]:
    user = {"name": name, "domain": {"name": "Default"}, "password": password}
    wire: dict[str, Any] = {"identity": {"methods": ["password"], "password": {"user": user}}}
    if scope is not None:
        wire["scope"] = scope
    return {"auth": wire}


def project_scope(name: str) -> dict[str, Any]:
    return {"project": {"name": name, "domain": {"id": "default"}}}


def sign_in(client: TestClient, name: str, password: str, *, scope: Any = None) -> dict[str, str]:
    answer = client.post("/identity/v3/auth/tokens", json=auth(name, password, scope=scope))
    assert answer.status_code == 201, answer.text
    return {"X-Auth-Token": answer.headers["x-subject-token"]}


@pytest.fixture
def admin(client: TestClient, passwords: dict[str, str]) -> dict[str, str]:
    return sign_in(client, "admin", passwords["admin"], scope=project_scope("admin"))


@pytest.fixture
def demo(client: TestClient, passwords: dict[str, str]) -> dict[str, str]:
    return sign_in(client, "demo", passwords["demo"], scope=project_scope("demo"))


@pytest.mark.parametrize("path", ["/identity", "/identity/"])
def test_the_root_offers_its_versions_with_300(client: TestClient, path: str) -> None:
    answer = client.get(path, follow_redirects=False)
    assert answer.status_code == 300
    version = answer.json()["versions"]["values"][0]
    assert version["id"] == "v3.14"
    assert version["links"] == [{"rel": "self", "href": "http://127.0.0.1:8780/identity/v3/"}]


@pytest.mark.parametrize("path", ["/identity/v3", "/identity/v3/"])
def test_the_version_describes_itself(client: TestClient, path: str) -> None:
    assert client.get(path).json()["version"]["status"] == "stable"


def test_a_password_gives_a_scoped_token_with_roles_and_catalog(client: TestClient, passwords: dict[str, str]) -> None:
    answer = client.post("/identity/v3/auth/tokens", json=auth("demo", passwords["demo"], scope=project_scope("demo")))
    assert answer.status_code == 201
    assert answer.headers["x-subject-token"].startswith("nph_")
    assert answer.headers["x-openstack-request-id"].startswith("req-")
    token = answer.json()["token"]
    assert token["methods"] == ["password"]
    assert token["user"]["name"] == "demo"
    assert token["user"]["domain"] == {"id": "default", "name": "Default"}
    assert token["project"]["name"] == "demo"
    assert {role["name"] for role in token["roles"]} == {"member", "reader"}
    assert token["issued_at"] == "2026-01-01T00:00:00.000000Z"
    assert token["expires_at"] == "2026-01-01T12:00:00.000000Z"
    urls = {entry["type"]: entry["endpoints"][0]["url"] for entry in token["catalog"]}
    assert urls["image"] == "http://127.0.0.1:8780/image"
    assert urls["network"] == "http://127.0.0.1:8780/network"
    assert urls["compute"] == "http://127.0.0.1:8780/compute/v2.1"


def test_nocatalog_leaves_the_catalog_out(client: TestClient, passwords: dict[str, str]) -> None:
    body = auth("demo", passwords["demo"], scope=project_scope("demo"))
    assert "catalog" not in client.post("/identity/v3/auth/tokens?nocatalog", json=body).json()["token"]


def test_without_a_scope_the_default_project_is_taken_and_unscoped_means_none(
    client: TestClient, passwords: dict[str, str]
) -> None:
    default = client.post("/identity/v3/auth/tokens", json=auth("demo", passwords["demo"])).json()["token"]
    assert default["project"]["name"] == "demo"
    unscoped = client.post("/identity/v3/auth/tokens", json=auth("demo", passwords["demo"], scope="unscoped"))
    assert "project" not in unscoped.json()["token"]
    assert "roles" not in unscoped.json()["token"]


def test_the_system_is_a_scope_for_the_admin_alone(client: TestClient, passwords: dict[str, str]) -> None:
    scope = {"system": {"all": True}}
    granted = client.post("/identity/v3/auth/tokens", json=auth("admin", passwords["admin"], scope=scope))
    assert granted.json()["token"]["system"] == {"all": True}
    refused = client.post("/identity/v3/auth/tokens", json=auth("demo", passwords["demo"], scope=scope))
    assert refused.status_code == 401


def test_a_token_gives_another_scope_and_its_end_stays(client: TestClient, passwords: dict[str, str]) -> None:
    unscoped = sign_in(client, "demo", passwords["demo"], scope="unscoped")
    body = {
        "auth": {
            "identity": {"methods": ["token"], "token": {"id": unscoped["X-Auth-Token"]}},
            "scope": project_scope("demo"),
        }
    }
    token = client.post("/identity/v3/auth/tokens", json=body).json()["token"]
    assert token["project"]["name"] == "demo"
    assert token["methods"] == ["password", "token"]
    assert token["expires_at"] == "2026-01-01T12:00:00.000000Z"


def test_a_token_is_shown_checked_and_revoked(client: TestClient, admin: dict[str, str], demo: dict[str, str]) -> None:
    url = "/identity/v3/auth/tokens"
    subject = {"X-Subject-Token": demo["X-Auth-Token"]}
    shown = client.get(url, headers=admin | subject)
    assert shown.status_code == 200
    assert shown.headers["x-subject-token"] == demo["X-Auth-Token"]
    assert shown.json()["token"]["user"]["name"] == "demo"
    assert client.head(url, headers=demo | subject).status_code == 200
    assert client.delete(url, headers=demo | subject).status_code == 204
    assert client.get(url, headers=admin | subject).status_code == 404
    assert client.get("/identity/v3/auth/projects", headers=demo).status_code == 401


def test_nobody_but_an_admin_looks_at_anothers_token(
    client: TestClient, admin: dict[str, str], demo: dict[str, str]
) -> None:
    subject = {"X-Subject-Token": admin["X-Auth-Token"]}
    assert client.get("/identity/v3/auth/tokens", headers=demo | subject).status_code == 404
    assert client.delete("/identity/v3/auth/tokens", headers=demo | subject).status_code == 404


def test_a_token_ends_when_its_time_is_over(client: TestClient, demo: dict[str, str], clock: HeldClock) -> None:
    assert client.get("/identity/v3/auth/projects", headers=demo).status_code == 200
    clock.now = START + timedelta(hours=12)
    assert client.get("/identity/v3/auth/projects", headers=demo).status_code == 401


def test_a_wrong_password_an_unknown_user_and_an_unknown_project_are_answered_alike(
    client: TestClient, passwords: dict[str, str]
) -> None:
    answers = [
        client.post("/identity/v3/auth/tokens", json=body)
        for body in (
            auth("demo", "wrong"),
            auth("nobody", "wrong"),
            auth("demo", passwords["demo"], scope=project_scope("nowhere")),
            auth("demo", passwords["demo"], scope=project_scope("admin")),
        )
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].json()["error"]["title"] == "Unauthorized"


def test_an_unknown_user_takes_as_long_as_a_wrong_password(client: TestClient, passwords: dict[str, str]) -> None:
    def work_s(name: str) -> float:
        started = time.process_time()
        client.post("/identity/v3/auth/tokens", json=auth(name, "wrong"))
        return time.process_time() - started

    assert passwords
    nobody = f"nobody-{uuid4().hex}"
    times = [(work_s("demo"), work_s(nobody)) for _ in range(7)]
    known, unknown = (statistics.median(column) for column in zip(*times, strict=True))
    assert 0.4 < known / unknown < 2.5


def test_guessing_is_stopped_with_429_and_goes_on_after_the_window(
    client: TestClient, passwords: dict[str, str], clock: HeldClock
) -> None:
    for _ in range(FAILURES_PER_ACCOUNT_MAX):
        assert client.post("/identity/v3/auth/tokens", json=auth("demo", "wrong")).status_code == 401
    stopped = client.post("/identity/v3/auth/tokens", json=auth("demo", passwords["demo"]))
    assert stopped.status_code == 429
    assert 1 <= int(stopped.headers["retry-after"]) <= WINDOW_S + 1
    assert client.post("/identity/v3/auth/tokens", json=auth("admin", passwords["admin"])).status_code == 201
    clock.now = START + timedelta(seconds=WINDOW_S)
    assert client.post("/identity/v3/auth/tokens", json=auth("demo", passwords["demo"])).status_code == 201


def test_who_has_a_token_cannot_guess_the_password_by_changing_it(
    client: TestClient, admin: dict[str, str], clock: HeldClock
) -> None:
    name, password = f"user-{uuid4().hex}", "correct horse battery"
    made = client.post("/identity/v3/users", json={"user": {"name": name, "password": password}}, headers=admin).json()
    token = sign_in(client, name, password, scope="unscoped")
    url = f"/identity/v3/users/{made['user']['id']}/password"

    def change(original: str) -> int:
        wish = {"user": {"original_password": original, "password": "another long one"}}
        return client.post(url, json=wish, headers=token).status_code

    assert {change("wrong") for _ in range(FAILURES_PER_ACCOUNT_MAX)} == {401}
    assert change(password) == 429
    clock.now = START + timedelta(seconds=WINDOW_S)
    assert change(password) == 204
    assert client.delete(f"/identity/v3/users/{made['user']['id']}", headers=admin).status_code == 204


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b"null",
        b"{",
        b'{"auth": {"identity": {"methods": []}}}',
        b'{"auth": {"identity": {"methods": ["password"]}}}',
        b'{"auth": {"identity": {"methods": ["password"], "password": {"user": {"password": "x"}}}}}',
        b'{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "\\u0000", "password": "x"}}}}}',
        b'{"auth": {"identity": {"methods": ["token"]}}}',
        b'{"auth": {"identity": {"methods": ["password"], "password": {"user": {"id": 5, "password": NaN}}}}}',
    ],
)
def test_a_malformed_request_for_a_token_is_a_400_in_keystones_form(client: TestClient, body: bytes) -> None:
    answer = client.post("/identity/v3/auth/tokens", content=body)
    assert answer.status_code == 400
    assert set(answer.json()["error"]) == {"code", "message", "title"}


def test_an_unsupported_method_is_a_401(client: TestClient) -> None:
    body = {"auth": {"identity": {"methods": ["totp"]}}}
    assert client.post("/identity/v3/auth/tokens", json=body).status_code == 401


def test_a_body_that_is_too_large_is_a_413_in_keystones_form(client: TestClient) -> None:
    answer = client.post("/identity/v3/auth/tokens", content=b" " * (8 * 1024 * 1024 + 1))
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == 413


def test_without_a_token_every_route_is_a_401_that_says_where_to_sign_in(client: TestClient) -> None:
    for path in ("projects", "users", "roles", "domains", "services", "endpoints", "regions", "role_assignments"):
        answer = client.get(f"/identity/v3/{path}")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Keystone uri=/identity"


def test_a_member_cannot_reach_another_project_or_user(
    client: TestClient, admin: dict[str, str], demo: dict[str, str]
) -> None:
    others = client.get("/identity/v3/projects?name=admin", headers=admin).json()["projects"][0]["id"]
    root = client.get("/identity/v3/users?name=admin", headers=admin).json()["users"][0]["id"]
    assert client.get(f"/identity/v3/projects/{others}", headers=demo).status_code == 404
    assert client.get(f"/identity/v3/users/{root}", headers=demo).status_code == 404
    assert client.get(f"/identity/v3/users/{root}/projects", headers=demo).status_code == 404
    assert client.delete(f"/identity/v3/projects/{others}", headers=demo).status_code == 403
    assert client.get("/identity/v3/projects?name=admin", headers=demo).json()["projects"] == []


def test_a_project_that_still_has_a_scaling_group_is_not_deleted_and_says_so(
    client: TestClient, admin: dict[str, str], pool: Pool
) -> None:
    body = {"project": {"name": uuid4().hex, "domain_id": "default"}}
    project = client.post("/identity/v3/projects", json=body, headers=admin).json()["project"]["id"]
    with transaction(pool) as tx:
        tx.execute(
            "INSERT INTO scaling_group (id, project_id, name, state, launch, size_min, size_max, size_desired, cooldown_s,"
            " victim_order, created_at, updated_at)"
            " VALUES (%s, %s, 'web', 'active', '{}', 0, 1, 0, 0, 'newest', now(), now())",
            (uuid4(), project),
        )
    refused = client.delete(f"/identity/v3/projects/{project}", headers=admin)
    assert refused.status_code == 409
    assert "still has 1 scaling group; delete them first" in refused.json()["error"]["message"]
    assert client.get(f"/identity/v3/projects/{project}", headers=admin).status_code == 200
    with transaction(pool) as tx:
        tx.execute("DELETE FROM scaling_group WHERE project_id = %s", (project,))
    assert client.delete(f"/identity/v3/projects/{project}", headers=admin).status_code == 204


def test_a_project_lives_from_post_to_delete(client: TestClient, admin: dict[str, str]) -> None:
    name = f"project-{uuid4().hex}"
    made = client.post("/identity/v3/projects", json={"project": {"name": name}}, headers=admin)
    assert made.status_code == 201
    project = made.json()["project"]
    assert project["domain_id"] == "default"
    url = f"/identity/v3/projects/{project['id']}"
    assert project["links"]["self"] == f"http://127.0.0.1:8780{url}"
    again = client.post("/identity/v3/projects", json={"project": {"name": name}}, headers=admin)
    assert again.status_code == 409
    changed = client.patch(url, json={"project": {"description": "told", "enabled": False}}, headers=admin)
    assert (changed.json()["project"]["description"], changed.json()["project"]["enabled"]) == ("told", False)
    assert client.delete(url, headers=admin).status_code == 204
    assert client.get(url, headers=admin).status_code == 404


def test_a_list_is_paged_by_its_next_link(client: TestClient, admin: dict[str, str]) -> None:
    made: list[str] = []
    for _ in range(4):
        name = f"project-{uuid4().hex}"
        answer = client.post("/identity/v3/projects", json={"project": {"name": name}}, headers=admin)
        made.append(answer.json()["project"]["id"])
    seen: list[str] = []
    pages = 0
    url: str | None = f"/identity/v3/projects?limit=2&marker={made[0]}"
    while url is not None:
        page = client.get(url, headers=admin).json()
        seen += [project["id"] for project in page["projects"]]
        url = page["links"]["next"]
        pages += 1
    assert seen == made[1:]
    assert pages == 2


def test_a_role_is_given_checked_and_taken(client: TestClient, admin: dict[str, str]) -> None:
    user = client.post("/identity/v3/users", json={"user": {"name": f"user-{uuid4().hex}"}}, headers=admin).json()[
        "user"
    ]
    project = client.get("/identity/v3/projects?name=demo", headers=admin).json()["projects"][0]
    role = client.get("/identity/v3/roles?name=reader", headers=admin).json()["roles"][0]
    grants = f"/identity/v3/projects/{project['id']}/users/{user['id']}/roles"
    assert client.head(f"{grants}/{role['id']}", headers=admin).status_code == 404
    assert client.put(f"{grants}/{role['id']}", headers=admin).status_code == 204
    assert client.put(f"{grants}/{role['id']}", headers=admin).status_code == 204
    assert client.head(f"{grants}/{role['id']}", headers=admin).status_code == 204
    assert [one["name"] for one in client.get(grants, headers=admin).json()["roles"]] == ["reader"]
    assert client.delete(f"{grants}/{role['id']}", headers=admin).status_code == 204
    assert client.delete(f"{grants}/{role['id']}", headers=admin).status_code == 404


def test_a_list_of_assignments_that_is_too_long_says_that_it_is_cut_off(
    client: TestClient, admin: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "LIST_MAX", 1)
    cut = client.get("/identity/v3/role_assignments", headers=admin).json()
    assert (len(cut["role_assignments"]), cut["truncated"]) == (1, True)
    monkeypatch.setattr(directory, "LIST_MAX", 1_000)
    assert "truncated" not in client.get("/identity/v3/role_assignments?scope.system=all", headers=admin).json()


def test_the_parts_of_the_catalog_are_shown_one_by_one(client: TestClient, demo: dict[str, str]) -> None:
    for plural, singular in (
        ("services", "service"),
        ("endpoints", "endpoint"),
        ("regions", "region"),
        ("domains", "domain"),
    ):
        listed = client.get(f"/identity/v3/{plural}", headers=demo).json()[plural]
        shown = client.get(f"/identity/v3/{plural}/{listed[0]['id']}", headers=demo).json()[singular]
        assert shown == listed[0]
        assert client.get(f"/identity/v3/{plural}/nothing", headers=demo).status_code == 404
