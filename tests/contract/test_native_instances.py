"""Instances in the native API, as the dashboard and programs call it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network
from typing import Any
from uuid import UUID, uuid4

import pytest
from httpx2 import Client

from compute import service as compute
from compute.hypervisor.contract import PowerState, StopReason
from compute.model import HostSession, Image
from entrypoints.bootstrap import project_id_of
from foundation.database import Pool, transaction
from tests.compute_builders import MANIFEST, a_capacity, a_guest, an_observation
from tests.contract.conftest import LiveApi

NOBODY = "0190f2d4-0000-7000-8000-00000000dead"
"""An identity that nothing has; a constant, since it becomes part of tests' names, which all workers must agree on."""


class Bench:
    """The native API as two members see it, and the agent of a host whose word the test speaks."""

    def __init__(self, live_api: LiveApi, pool: Pool) -> None:
        self.pool = pool
        self.demo = self.sign_in(live_api, "demo", live_api.demo_password)
        self.admin = self.sign_in(live_api, "admin", live_api.admin_password)
        self.at = datetime.now(UTC)
        self.session, self.image = self.prepare()

    def sign_in(self, live_api: LiveApi, name: str, password: str) -> Client:
        user = {"name": name, "domain": {"id": "default"}, "password": password}
        scope = {"project": {"name": name, "domain": {"id": "default"}}}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
        client = Client(base_url=live_api.url, trust_env=False, timeout=60)
        token = client.post("/identity/v3/auth/tokens", json=body).headers["x-subject-token"]
        client.headers["x-auth-token"] = token
        return client

    def prepare(self) -> tuple[HostSession, Image]:
        with transaction(self.pool) as tx:
            projects = [project_id_of(tx, name) for name in ("demo", "admin")]
            free = list(IPv4Network("10.90.0.0/20").subnets(new_prefix=24))
            compute.bootstrap_flavors(tx, now=self.at)
            compute.bootstrap_networks(
                tx, project_ids=projects, free_cidrs=free, shared_owner_id=projects[1], now=self.at
            )
            image = compute.register_image(tx, MANIFEST, project_id=projects[1], now=self.at)
            capacity = a_capacity(f"host-{uuid4().hex[:8]}", memory_mib=4_000_000)
            return compute.register_host(tx, capacity=capacity, hypervisor_uri="simulated:1", now=self.at), image

    def see(self, *guests: Any) -> None:
        """Report what the host has."""
        self.at = max(self.at + timedelta(microseconds=1), datetime.now(UTC))
        with transaction(self.pool) as tx:
            observation = an_observation(*guests, at=self.at)
            compute.record_observation(tx, session=self.session, observation=observation, now=self.at)

    def launch(self, **more: Any) -> list[dict[str, Any]]:
        body = {"name": "native", "image_id": str(self.image.id), "flavor_id": "0"} | more
        answer = self.demo.post("/v1/instances", json=body)
        assert answer.status_code == 202, answer.text
        return answer.json()["items"]

    def show(self, instance_id: str) -> dict[str, Any]:
        answer = self.demo.get(f"/v1/instances/{instance_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def bench(live_api: LiveApi, pool: Pool) -> Iterator[Bench]:
    made = Bench(live_api, pool)
    yield made
    for item in made.demo.get("/v1/instances?limit=1000").json()["items"]:
        made.demo.delete(f"/v1/instances/{item['id']}")
    made.see()
    with transaction(pool) as tx:
        compute.begin_host_stop(tx, session=made.session)
    made.demo.close()
    made.admin.close()


def test_an_instance_is_launched_shown_stopped_started_and_deleted(bench: Bench) -> None:
    (made,) = bench.launch(user_data="echo hello", metadata={"metering.server_group": str(UUID(int=7))})
    assert (made["status"], made["flavor"]["name"], made["host"]) == ("BUILD", "n1.nano", None)
    assert made["scaling_group_id"] == str(UUID(int=7))
    id_ = UUID(made["id"])
    bench.see(a_guest(id_))
    shown = bench.show(made["id"])
    assert (shown["status"], shown["power_state"], shown["image_name"]) == ("ACTIVE", "running", MANIFEST["name"])
    assert len(shown["addresses"]) == 1
    assert bench.demo.post(f"/v1/instances/{id_}/stop").status_code == 202
    bench.see(a_guest(id_, power=PowerState.SHUTOFF, reason=StopReason.STOPPED))
    assert bench.show(made["id"])["status"] == "SHUTOFF"
    refused = bench.demo.post(f"/v1/instances/{id_}/stop")
    assert (refused.status_code, refused.headers["content-type"]) == (409, "application/problem+json")
    assert bench.demo.post(f"/v1/instances/{id_}/start").status_code == 202
    bench.see(a_guest(id_, boot_epoch=2))
    assert bench.demo.delete(f"/v1/instances/{id_}").status_code == 202
    bench.see()
    assert bench.demo.get(f"/v1/instances/{id_}").status_code == 404


def test_pages_follow_each_other_and_a_filter_narrows_them(bench: Bench) -> None:
    group = str(uuid4())
    ids = {item["id"] for item in bench.launch(count=5, metadata={"metering.server_group": group})}
    shown: list[str] = []
    query: dict[str, Any] = {"limit": 2, "scaling_group_id": group}
    for _ in range(4):
        page = bench.demo.get("/v1/instances", params=query).json()
        shown += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
    assert len(shown) == 5
    assert set(shown) == ids
    assert bench.demo.get("/v1/instances", params={"status": "ERROR", "scaling_group_id": group}).json()["items"] == []


def test_why_a_guest_ended_is_told(bench: Bench) -> None:
    (made,) = bench.launch()
    id_ = UUID(made["id"])
    bench.see(a_guest(id_))
    bench.see(a_guest(id_, power=PowerState.SHUTOFF, reason=StopReason.CRASHED))
    ended = bench.show(made["id"])
    assert ended["status"] == "ERROR"
    assert "ended unexpectedly" in ended["fault"]


def test_another_project_finds_nothing(bench: Bench, live_api: LiveApi) -> None:
    body = {"name": "theirs", "image_id": str(bench.image.id), "flavor_id": "0"}
    theirs = bench.admin.post("/v1/instances", json=body).json()["items"][0]["id"]
    for method, path in (("GET", ""), ("POST", "/stop"), ("POST", "/start"), ("DELETE", "")):
        assert bench.demo.request(method, f"/v1/instances/{theirs}{path}").status_code == 404
    assert theirs not in [item["id"] for item in bench.demo.get("/v1/instances?limit=1000").json()["items"]]
    assert bench.admin.get(f"/v1/instances/{theirs}").json()["host"] is not None
    assert bench.admin.delete(f"/v1/instances/{theirs}").status_code == 202


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": "a\nb"},
        {"flavor_id": "none-such"},
        {"image_id": NOBODY},
        {"image_id": "x"},
        {"count": 0},
        {"count": 1001},
        {"count": 101},
        {"network_ids": [NOBODY]},
        {"host": "host-1"},
        {"metadata": {"": "x"}},
    ],
    ids=str,
)
def test_a_wrong_launch_is_a_problem_with_a_sentence(bench: Bench, change: dict[str, Any]) -> None:
    body = {"name": "wrong", "image_id": str(bench.image.id), "flavor_id": "0"} | change
    answer = bench.demo.post("/v1/instances", json=body)
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.json()["detail"]
