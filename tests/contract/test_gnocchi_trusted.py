"""The ways in without Keystone, as the real clients use them, and every refusal that keeps them from being open doors."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
from pydantic import ValidationError

from entrypoints.preflight import describe_wrong, read_settings
from foundation.settings import Settings
from tests.contract.conftest import LiveApi, running_api, spare_port


def running_with(database_url: str, directory: Path, *, mode: str, peers: str) -> Iterator[str]:
    """Run the API with a way in that is off by default."""
    port = spare_port()
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("NEPHO_TRUSTED_AUTH", mode)
            patch.setenv("NEPHO_TRUSTED_PROXIES", peers)
            stack.enter_context(running_api(database_url, directory, port=port))
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def basic_url(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from running_with(database_url, tmp_path_factory.mktemp("basic"), mode="basic", peers="")


@pytest.fixture(scope="module")
def headers_url(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from running_with(database_url, tmp_path_factory.mktemp("headers"), mode="headers", peers="127.0.0.1")


@pytest.fixture(scope="module")
def far_url(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Believes a proxy at another address, not us."""
    yield from running_with(database_url, tmp_path_factory.mktemp("far"), mode="headers", peers="192.0.2.7")


def client(program: str, *arguments: str) -> Any:
    """Run a real command line client without any OpenStack environment and read its JSON."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "GNOCCHI_"))}
    command = [str(Path(sys.executable).parent / program), *arguments, "-f", "json"]
    done = subprocess.run(
        command, env=environment | {"NO_PROXY": "*"}, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def basic(name: str) -> dict[str, str]:
    return {"Authorization": "basic " + base64.b64encode(f"{name}:".encode()).decode()}


def headers(user: str, project: str, roles: str) -> dict[str, str]:
    return {"X-User-Id": user, "X-Project-Id": project, "X-Roles": roles}


def status_of(url: str, path: str, sent: dict[str, str]) -> int:
    return requests.get(f"{url}{path}", headers=sent, timeout=120).status_code


def test_gnocchis_own_client_needs_only_a_name_in_basic_mode(basic_url: str) -> None:
    way_in = ("--os-auth-type", "gnocchi-basic", "--endpoint", f"{basic_url}/metric", "--user")
    vm, metric = f"vm-{uuid4().hex[:8]}", f"m-{uuid4().hex[:8]}"
    made = client("gnocchi", *way_in, "admin", "metric", "create", metric, "-a", "low")
    assert (made["creator"], made["name"]) == ("admin", metric)
    resource = client("gnocchi", *way_in, "alice", "resource", "create", vm, "-n", "cpu:low")
    assert resource["creator"] == "alice"
    assert client("gnocchi", *way_in, "admin", "status")
    seen = client("gnocchi", *way_in, "alice", "resource", "show", vm)
    assert seen["original_resource_id"] == vm


def test_a_user_of_basic_mode_sees_nothing_of_another(basic_url: str) -> None:
    alice, bob = f"alice{uuid4().hex[:8]}", f"bob{uuid4().hex[:8]}"
    body = {"archive_policy_name": "low"}
    made = requests.post(f"{basic_url}/metric/v1/metric", headers=basic(alice), json=body, timeout=120)
    metric = made.json()
    assert (metric["creator"], metric["created_by_user_id"], metric["created_by_project_id"]) == (alice, alice, "")
    path = f"/metric/v1/metric/{metric['id']}"
    assert status_of(basic_url, path, basic(alice)) == 200
    assert status_of(basic_url, path, basic(bob)) == 404
    assert status_of(basic_url, path, basic("admin")) == 200
    listed = requests.get(f"{basic_url}/metric/v1/metric?creator={alice}", headers=basic("admin"), timeout=120).json()
    assert [one["id"] for one in listed] == [metric["id"]]
    refused = requests.post(f"{basic_url}/metric/v1/archive_policy", headers=basic(alice), json={}, timeout=120)
    assert refused.status_code == 403


def test_gnocchis_client_behind_a_proxy_that_signs_in_for_it(headers_url: str) -> None:
    project = uuid4().hex
    way_in = (
        "--os-auth-type", "gnocchi-noauth", "--endpoint", f"{headers_url}/metric", "--user-id", "u1", "--project-id", project,
    )  # fmt: skip
    made = client("gnocchi", *way_in, "--roles", "member", "metric", "create", "-a", "low", "load")
    assert made["creator"] == f"u1:{project}"
    path = f"/metric/v1/metric/{made['id']}"
    assert status_of(headers_url, path, headers("u1", "another", "member")) == 404
    assert status_of(headers_url, path, headers("u9", "another", "Admin")) == 200


def test_aodhs_client_without_keystone(headers_url: str) -> None:
    name = f"alarm-{uuid4().hex[:8]}"
    way_in = (
        "--os-auth-type", "aodh-noauth", "--aodh-endpoint", f"{headers_url}/alarming", "--user-id", "u1",
        "--project-id", uuid4().hex, "--roles", "member",
    )  # fmt: skip
    made = client(
        "aodh", *way_in, "alarm", "create", "--name", name, "--type", "gnocchi_resources_threshold",
        "--metric", "cpu", "--threshold", "5", "--resource-type", "instance", "--resource-id", str(uuid4()),
        "--aggregation-method", "mean",
    )  # fmt: skip
    assert (made["name"], made["user_id"]) == (name, "u1")
    assert [one["name"] for one in client("aodh", *way_in, "alarm", "list")] == [name]


def test_headers_prove_nothing_where_the_way_in_is_off(live_api: LiveApi) -> None:
    for sent in (headers("u1", "p1", "admin"), basic("admin")):
        for path in ("/metric/v1/metric", "/alarming/v2/alarms"):
            assert status_of(live_api.url, path, sent) == 401


def test_headers_from_another_peer_prove_nothing(far_url: str) -> None:
    for sent in (headers("u1", "p1", "admin"), headers("u1", "p1", "member"), {"X-User-Id": "u1"}, basic("admin")):
        assert status_of(far_url, "/metric/v1/metric", sent) == 401
        assert status_of(far_url, "/alarming/v2/alarms", {**sent, "X-Forwarded-For": "192.0.2.7"}) == 401


def test_one_way_in_does_not_open_the_other(basic_url: str, headers_url: str) -> None:
    assert status_of(basic_url, "/metric/v1/metric", headers("u1", "p1", "admin")) == 401
    assert status_of(headers_url, "/metric/v1/metric", basic("admin")) == 401


@pytest.mark.parametrize(
    "sent",
    [
        {"X-User-Id": "u1"},
        {"X-User-Id": "u1", "X-Project-Id": "p1"},
        headers("u1", "p1", ","),
        headers("", "p1", "admin"),
        headers("u1", "", "admin"),
        headers("u:1", "p1", "admin"),
        headers("u1", "p 1", "admin"),
        headers("u1", "p" * 256, "admin"),
        headers("u1", "p1", ",".join(["admin"] * 51)),
    ],
)
def test_half_a_name_is_no_name(headers_url: str, sent: dict[str, str]) -> None:
    assert status_of(headers_url, "/metric/v1/metric", sent) == 401


def test_a_header_that_comes_twice_is_refused(headers_url: str) -> None:
    host = headers_url.removeprefix("http://")
    command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"http://{host}/metric/v1/metric"]
    once = ["-H", "X-User-Id: u1", "-H", "X-Project-Id: p1", "-H", "X-Roles: member"]
    for sent, status in (
        (once, "200"),
        ([*once, "-H", "X-Roles: admin"], "401"),
        ([*once, "-H", "x-user-id: u2"], "401"),
    ):
        assert subprocess.run([*command, *sent], capture_output=True, text=True, check=True).stdout == status


@pytest.mark.parametrize(
    "encoded", ["", "!!!", "/////w==", base64.b64encode(b":x").decode(), base64.b64encode(b"a b:").decode()]
)
def test_a_basic_name_that_cannot_be_read_is_refused(basic_url: str, encoded: str) -> None:
    answer = requests.get(f"{basic_url}/metric/v1/metric", headers={"Authorization": f"Basic {encoded}"}, timeout=120)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic")


def test_a_page_that_calls_us_by_a_name_of_its_own_is_refused(basic_url: str) -> None:
    port = basic_url.rpartition(":")[2]
    for host, status in (
        (f"127.0.0.1:{port}", 200),
        (f"localhost:{port}", 200),
        ("evil.example", 401),
        ("[::1", 401),
        ("", 401),
    ):
        assert status_of(basic_url, "/metric/v1/metric", {**basic("admin"), "Host": host}) == status


@pytest.mark.parametrize(
    "path", ["/v1/instances", "/compute/v2.1/servers", "/network/v2.0/networks", "/image/v2/images"]
)
def test_the_ways_in_serve_no_other_dialect(basic_url: str, headers_url: str, path: str) -> None:
    assert status_of(headers_url, path, headers("u1", "p1", "admin")) == 401
    assert status_of(basic_url, path, basic("admin")) == 401


def test_tokens_are_good_beside_a_way_in(live_api: LiveApi, basic_url: str) -> None:
    user = {"name": "demo", "domain": {"id": "default"}, "password": live_api.demo_password}
    scope = {"project": {"name": "demo", "domain": {"id": "default"}}}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
    issued = requests.post(f"{live_api.url}/identity/v3/auth/tokens", json=body, timeout=120)
    token = {"X-Auth-Token": issued.headers["x-subject-token"]}
    assert status_of(basic_url, "/metric/v1/metric", token) == 200
    assert status_of(basic_url, "/metric/v1/metric", {"X-Auth-Token": "wrong"}) == 401


@pytest.mark.parametrize("listen", ["0.0.0.0:8780", "[::]:8780", "192.0.2.1:80", "cloud.example:80"])
@pytest.mark.parametrize("mode", ["basic", "headers"])
def test_the_server_refuses_to_start_where_anybody_could_be_anybody(
    listen: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEPHO_LISTEN", listen)
    monkeypatch.setenv("NEPHO_TRUSTED_AUTH", mode)
    told = read_settings()
    assert isinstance(told, str)
    assert told.startswith(f"NEPHO_TRUSTED_AUTH={mode} is not allowed: ")
    assert "NEPHO_TRUSTED_PROXIES" in told
    monkeypatch.setenv("NEPHO_TRUSTED_PROXIES", "192.0.2.7")
    assert isinstance(read_settings(), Settings)


@pytest.mark.parametrize("listen", ["127.0.0.1:8780", "127.0.0.9:1", "localhost:8780", "[::1]:8780"])
def test_on_loopback_it_starts(listen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEPHO_LISTEN", listen)
    monkeypatch.setenv("NEPHO_TRUSTED_AUTH", "basic")
    assert Settings().trusted_auth == "basic"


def test_a_way_in_that_is_not_known_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEPHO_TRUSTED_AUTH", "remoteuser")
    with pytest.raises(ValidationError) as raised:
        Settings()
    assert "NEPHO_TRUSTED_AUTH=remoteuser is not allowed" in describe_wrong(Settings, raised.value.errors()[0])


def test_a_host_that_is_none_is_no_failure_of_ours(headers_url: str) -> None:
    sent = headers("u1", "p1", "admin") | {"Host": "[::1"}
    assert status_of(headers_url, "/metric/v1/archive_policy", sent) == 200
    requests.post(f"{headers_url}/metric/v1/metric", headers=sent, json={"archive_policy_name": "low"}, timeout=120)
    assert status_of(headers_url, "/metric/v1/metric?limit=1", sent) == 200
    assert status_of(headers_url, "/alarming/v2/alarms?limit=1", sent) == 200
