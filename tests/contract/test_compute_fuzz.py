"""A signed-in member sends the compute dialects nonsense: every answer is the dialect's own 2xx, 3xx or 4xx, never a 5xx."""

from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import IPv4Network
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from httpx2 import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compute import service as compute
from entrypoints.bootstrap import project_id_of
from foundation.database import Pool, transaction
from tests.compute_builders import MANIFEST
from tests.contract.conftest import LiveApi
from tests.contract.fuzzing import places_of, with_change

FUZZ = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
SERVER_ID = "01a1fc37-0ff7-7347-b743-d6ce5c5c2931"
LAUNCH: dict[str, Any] = {
    "server": {
        "name": "fuzz",
        "imageRef": SERVER_ID,
        "flavorRef": "0",
        "networks": [{"uuid": SERVER_ID, "fixed_ip": "10.0.0.9"}],
        "metadata": {"key": "value"},
        "security_groups": [{"name": "default"}],
        "user_data": "aGVsbG8=",
        "key_name": "key",
        "min_count": 1,
        "max_count": 2,
        "block_device_mapping_v2": [{"uuid": SERVER_ID, "source_type": "image", "destination_type": "local"}],
    },
    "os:scheduler_hints": {"query": "x"},
}
BODIES: dict[str, Any] = {
    "POST /compute/v2.1/servers": LAUNCH,
    f"POST /compute/v2.1/servers/{SERVER_ID}/action": {"reboot": {"type": "HARD"}},
    f"PUT /compute/v2.1/servers/{SERVER_ID}": {"server": {"name": "other"}},
    f"PUT /compute/v2.1/servers/{SERVER_ID}/metadata": {"metadata": {"key": "value"}},
    f"PUT /compute/v2.1/servers/{SERVER_ID}/tags": {"tags": ["one"]},
    "POST /compute/v2.1/flavors": {"flavor": {"name": "f", "ram": 64, "vcpus": 1, "disk": 1, "id": "auto"}},
    "POST /compute/v2.1/os-keypairs": {"keypair": {"name": "key", "public_key": "ssh-ed25519 AAAA"}},
    "PUT /compute/v2.1/os-quota-sets/p": {"quota_set": {"instances": 1, "force": True}},
    "POST /image/v2/images": {"name": "x", "disk_format": "raw"},
    "POST /network/v2.0/ports": {"port": {"network_id": SERVER_ID}},
    "POST /volume/v3/volumes": {"volume": {"size": 1}},
    "POST /v1/instances": {"name": "fuzz", "image_id": SERVER_ID, "flavor_id": "0", "count": 2},
}
LISTS = {
    "/compute/v2.1/servers": "limit marker sort_key sort_dir name status image flavor ip changes-since tags all_tenants uuid",
    "/compute/v2.1/servers/detail": "limit marker deleted vm_state tenant_id host reservation_id status",
    "/compute/v2.1/flavors/detail": "limit marker is_public minRam minDisk",
    "/compute/v2.1/os-simple-tenant-usage/p": "start end detailed limit marker",
    "/compute/v2.1/limits": "tenant_id reserved",
    "/image/v2/images": "limit marker name id names sort sort_key sort_dir size_min size_max os_hidden visibility tag owner",
    "/network/v2.0/networks": "limit marker fields sort_key sort_dir name id shared tags router:external",
    "/network/v2.0/ports": "limit marker fields device_id fixed_ips mac_address sort_key",
    "/network/v2.0/security-group-rules": "security_group_id direction sort_key sort_dir",
    "/volume/v3/volumes/detail": "limit marker all_tenants",
    "/v1/instances": "limit cursor status scaling_group_id",
}
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
junk = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=5
)
words = st.sampled_from(
    ["-1", "0", "1", "99999999999999999999", SERVER_ID, "in:a,b", 'in:"', "(", "[a", "a{1,99999}", "asc", "desc", "name",
     "9999-12-31T23:59:59+23:59", "0001-01-01T00:00:00-23:59", "None", "True", "id:up", "ip_address=x", "é\u202e", "eyJhIjoxfQ"]
)  # fmt: skip


@pytest.fixture(scope="module")
def member(live_api: LiveApi, pool: Pool) -> Iterator[Client]:
    """A client that carries a member's token; there is an image and a network, and no host."""
    now = datetime.now(UTC)
    with transaction(pool) as tx:
        demo = project_id_of(tx, "demo")
        free = list(IPv4Network("10.89.0.0/20").subnets(new_prefix=24))
        compute.bootstrap_flavors(tx, now=now)
        compute.bootstrap_networks(tx, project_ids=[demo], free_cidrs=free, shared_owner_id=demo, now=now)
        image = compute.register_image(tx, MANIFEST, project_id=demo, now=now)
    LAUNCH["server"]["imageRef"] = BODIES["POST /v1/instances"]["image_id"] = str(image.id)
    user = {"name": "demo", "domain": {"id": "default"}, "password": live_api.demo_password}
    scope = {"project": {"name": "demo", "domain": {"id": "default"}}}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
    with Client(base_url=live_api.url, trust_env=False, timeout=60) as client:
        token = client.post("/identity/v3/auth/tokens", json=body).headers["x-subject-token"]
        client.headers["x-auth-token"] = token
        yield client


@FUZZ
@given(target=st.sampled_from(sorted(BODIES)), version=st.sampled_from(["2.1", "2.37", "2.96"]), drawn=st.data())
def test_a_body_with_nonsense_in_it_never_gets_a_5xx(
    member: Client, target: str, version: str, drawn: st.DataObject
) -> None:
    body = BODIES[target]
    place = drawn.draw(st.sampled_from(list(places_of(body))), label="place")
    method, path = target.split(" ")
    sent = with_change(body, place, drawn.draw(junk, label="value"))
    answer = member.request(method, path, json=sent, headers={"OpenStack-API-Version": f"compute {version}"})
    assert answer.status_code < 500, answer.text
    remove_servers(member)


def remove_servers(member: Client) -> None:
    """Ask for what nonsense happened to launch to be deleted again."""
    for server in member.get("/compute/v2.1/servers", params={"name": "fuzz"}).json()["servers"]:
        assert UUID(server["id"])
        member.delete(f"/compute/v2.1/servers/{server['id']}")


@FUZZ
@given(path=st.sampled_from(sorted(LISTS)), drawn=st.data())
def test_a_query_with_nonsense_in_it_never_gets_a_5xx(member: Client, path: str, drawn: st.DataObject) -> None:
    names = st.sampled_from(LISTS[path].split())
    query = drawn.draw(st.lists(st.tuples(names, words | texts), max_size=4), label="query")
    answer = member.get(path, params=tuple(query))
    assert answer.status_code < 500, answer.text


@FUZZ
@given(
    parts=st.lists(texts.filter(lambda text: text.strip("./") != ""), min_size=1, max_size=3),
    root=st.sampled_from(
        ["/compute/v2.1/servers", "/compute/v2.1/flavors", "/image/v2/images", "/network/v2.0", "/volume/v3"]
    ),
)
def test_a_path_with_nonsense_in_it_never_gets_a_5xx(member: Client, root: str, parts: list[str]) -> None:
    answer = member.get(f"{root}/{'/'.join(quote(part, safe='') for part in parts)}")
    assert answer.status_code < 500, answer.text
