"""Every route of every dialect with another project's ids: nothing of it is told, nothing of it is changed."""

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Network
from typing import Any
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from api.app import create_app, create_dialects
from api.context import ApiContext
from compute import service as compute
from foundation.database import Pool, transaction
from foundation.settings import Settings
from tests.compute_builders import MANIFEST

PLACEHOLDER = re.compile(r"\{[^}]*\}")
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{32}\b")
PROJECTS_WIDE = "all_tenants=1&all_projects=true&details=true&q.field=all_projects&q.op=eq&q.value=true"
POLICY = "isolation-low"
NEVER_ENDS = "/stream"
REPORTS = ("/v1/billing", "/v1/usage")
"""Made anew at each request, with an id of their own."""
BODIES: tuple[dict[str, Any], ...] = (
    {},
    {"name": "changed"},
    {"delete": None},
    {"os-stop": None},
    {"forceDelete": None},
)


@dataclass(frozen=True, slots=True)
class Member:
    """A user of a project of its own, and how it calls."""

    client: TestClient
    project_id: str
    headers: dict[str, str]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        return self.client.request(method, path, json=body, headers=self.headers, follow_redirects=False)

    def make(self, path: str, body: Any) -> Any:
        answer = self.call("POST", path, body)
        assert answer.status_code < 300, f"{path}: {answer.text}"
        return answer.json()


@pytest.fixture(scope="module")
def context(pool: Pool) -> ApiContext:
    return ApiContext(settings=Settings(), pool=pool, clock=lambda: datetime.now(UTC))


@pytest.fixture(scope="module")
def client(context: ApiContext) -> Iterator[TestClient]:
    with TestClient(create_app(context)) as opened:
        yield opened


@pytest.fixture(scope="module")
def operations(context: ApiContext) -> list[tuple[str, str]]:
    """Every (method, path) of every dialect."""
    found: list[tuple[str, str]] = []
    for prefix, app in create_dialects(context).items():
        with warnings.catch_warnings(action="ignore"):
            paths: dict[str, Any] = app.openapi()["paths"]
        found += [
            (method.upper(), prefix + path)
            for path, methods in paths.items()
            for method in methods
            if path != NEVER_ENDS and not path.startswith(("/session", "/v3/auth"))
        ]
    return found


def signed_in(client: TestClient, name: str, password: str) -> dict[str, str]:
    user = {"name": name, "domain": {"id": "default"}, "password": password}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}
    return {"X-Auth-Token": client.post("/identity/v3/auth/tokens", json=body).headers["x-subject-token"]}


def a_member(admin: Member) -> Member:
    """Make a project and a member of it, as an admin does."""
    name, password = f"member-{uuid4().hex}", uuid4().hex
    project = admin.make("/identity/v3/projects", {"project": {"name": name}})["project"]
    wire = {"name": name, "password": password, "default_project_id": project["id"]}
    user = admin.make("/identity/v3/users", {"user": wire})["user"]
    role = admin.call("GET", "/identity/v3/roles?name=member").json()["roles"][0]
    admin.call("PUT", f"/identity/v3/projects/{project['id']}/users/{user['id']}/roles/{role['id']}")
    return Member(admin.client, project["id"], signed_in(admin.client, name, password))


@pytest.fixture(scope="module")
def admin(client: TestClient, passwords: dict[str, str]) -> Member:
    return Member(client, "", signed_in(client, "admin", passwords["admin"]))


@pytest.fixture(scope="module")
def owner(admin: Member, pool: Pool) -> Member:
    """A member with one of each: instance, keypair, resource, metric, alarm, scaling group and policy."""
    member = a_member(admin)
    now = datetime.now(UTC)
    with transaction(pool) as tx:
        free = list(IPv4Network("10.99.0.0/16").subnets(new_prefix=24))[:10]
        compute.bootstrap_flavors(tx, now=now)
        compute.bootstrap_networks(
            tx, project_ids=[member.project_id], free_cidrs=free, shared_owner_id=member.project_id, now=now
        )
        compute.register_image(tx, MANIFEST, project_id=member.project_id, now=now)
    flavor = member.call("GET", "/compute/v2.1/flavors").json()["flavors"][0]["id"]
    image = member.call("GET", "/image/v2/images").json()["images"][0]["id"]
    network = next(
        one["id"]
        for one in member.call("GET", "/network/v2.0/networks").json()["networks"]
        if one["project_id"] == member.project_id and not one["shared"]
    )
    server = {"name": "secret-server", "imageRef": image, "flavorRef": flavor, "networks": [{"uuid": network}]}
    member.call("POST", "/compute/v2.1/servers", {"server": server})
    resource = str(uuid4())
    admin.call(
        "POST",
        "/metric/v1/archive_policy",
        {"name": POLICY, "definition": [{"granularity": "60s", "points": 60}], "aggregation_methods": ["mean"]},
    )
    metrics = {"secret.metric": {"archive_policy_name": POLICY}}
    member.make("/metric/v1/resource/generic", {"id": resource, "metrics": metrics})
    rule = {"metric": "secret.metric", "resource_id": resource, "resource_type": "generic", "threshold": 1}
    rule |= {"aggregation_method": "mean", "granularity": 60, "evaluation_periods": 1, "comparison_operator": "gt"}
    kind = "gnocchi_resources_threshold"
    member.make("/alarming/v2/alarms", {"name": "secret-alarm", "type": kind, f"{kind}_rule": rule})
    launch = {"image_id": image, "flavor_id": flavor, "network_ids": [network]}
    wire = {"name": "secret-group", "size_min": 0, "size_max": 2, "launch": launch}
    group = member.make("/v1/scaling/groups", wire)
    change = {"name": "secret-policy", "adjustment_type": "change_in_capacity", "adjustment": 1}
    member.make(f"/v1/scaling/groups/{group['id']}/policies", change)
    return member


@pytest.fixture(scope="module")
def stranger(admin: Member) -> Member:
    return a_member(admin)


def ids_seen_by(member: Member, operations: list[tuple[str, str]]) -> set[str]:
    """Every id in every list that the member can ask for, and in what those ids lead to."""
    seen: set[str] = set()
    for method, path in operations:
        if method == "GET" and "{" not in path:
            seen |= set(ID.findall(member.call("GET", path).text))
    return seen


@pytest.fixture(scope="module")
def secrets(owner: Member, stranger: Member, operations: list[tuple[str, str]]) -> set[str]:
    """The ids that are the owner's alone."""
    own = ids_seen_by(owner, operations) - ids_seen_by(stranger, operations)
    groups = owner.call("GET", "/v1/scaling/groups").json()["items"]
    for group in groups:
        own |= set(ID.findall(owner.call("GET", f"/v1/scaling/groups/{group['id']}/policies").text))
    own |= {owner.project_id}
    assert len(own) >= 6
    return own - ids_seen_by(stranger, operations)


def test_no_list_tells_a_stranger_anything(
    stranger: Member, secrets: set[str], operations: list[tuple[str, str]]
) -> None:
    leaks = [
        path
        for method, path in operations
        if method == "GET" and "{" not in path
        for query in ("", f"?{PROJECTS_WIDE}")
        if set(ID.findall(stranger.call("GET", path + query).text)) & secrets
    ]
    assert not leaks


def test_no_route_with_an_id_tells_a_stranger_anything(
    stranger: Member, secrets: set[str], operations: list[tuple[str, str]]
) -> None:
    leaks: list[str] = []
    for method, path in operations:
        if method != "GET" or "{" not in path:
            continue
        for secret in sorted(secrets):
            url = PLACEHOLDER.sub(secret, path)
            answer = stranger.call("GET", url)
            told = set(ID.findall(answer.text)) & secrets - {secret}
            if told or "secret-" in answer.text or "secret.metric" in answer.text:
                leaks.append(f"{answer.status_code} {url}: {answer.text[:200]}")
    assert not leaks, "\n".join(leaks[:20])


def test_no_route_lets_a_stranger_change_anything(
    owner: Member, stranger: Member, secrets: set[str], operations: list[tuple[str, str]]
) -> None:
    before = snapshot(owner, operations)
    for method, path in operations:
        if method in {"GET", "HEAD"} or "{" not in path:
            continue
        for number, secret in enumerate(sorted(secrets)):
            stranger.call(method, PLACEHOLDER.sub(secret, path), BODIES[number % len(BODIES)])
    assert snapshot(owner, operations) == before


def snapshot(member: Member, operations: list[tuple[str, str]]) -> dict[str, list[str]]:
    """The ids that each of the member's lists shows; an answer that is none has a request id, which is new each time."""
    return {
        path: sorted(set(ID.findall(answer.text)))
        for method, path in operations
        if method == "GET" and "{" not in path and not path.startswith(REPORTS)
        for answer in [member.call("GET", path)]
        if answer.status_code == 200
    }
