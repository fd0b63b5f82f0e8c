"""What users of the OpenStack clients do besides the documents: other alphabets, places that are not there, hints that cannot be kept."""

from collections.abc import Generator, Iterator
from urllib.parse import quote

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
from tests.contract.test_server_small_wants import URL, Member, a_member


@pytest.fixture(scope="module")
def pool(cluster_url: str) -> Generator[Pool]:
    """A cloud of its own, with a host of its own."""
    with own_pool(cluster_url) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(pool: Pool) -> Iterator[TestClient]:
    with TestClient(create_app(ApiContext(settings=Settings(public_url=URL), pool=pool, clock=utc_now))) as opened:
        yield opened


@pytest.fixture(scope="module")
def cloud(pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> StoryCloud:
    return StoryCloud(pool, tmp_path_factory.mktemp("habits"), clock=utc_now)


@pytest.fixture(scope="module")
def member(client: TestClient, cloud: StoryCloud) -> Member:
    """A new project with one server."""
    return a_member(client, cloud, "member")


@pytest.mark.parametrize("tag", ["日本", "ключ", "🚀 launch", "50 %"])
def test_a_tag_may_be_of_any_alphabet(member: Member, tag: str) -> None:
    place = f"SERVER/tags/{quote(tag)}"
    put = member.ask("PUT", place)
    assert put.status_code == 201, put.text
    assert put.headers["Location"] == f"{URL}/compute/v2.1/servers/{member.server_id}/tags/{quote(tag)}"
    assert tag in member.tags()
    assert member.ask("GET", place).status_code == 204
    assert member.ask("DELETE", place).status_code == 204


@pytest.mark.parametrize("tag", ["a/b", "a,b"])
def test_a_tag_that_no_request_could_name_is_refused_however_it_comes(member: Member, tag: str) -> None:
    replaced = member.ask("PUT", "SERVER/tags", {"tags": [tag]})
    assert replaced.status_code == 400
    assert "comma" in replaced.json()["badRequest"]["message"]
    headers = {"X-Auth-Token": member.token}
    images = member.client.get(f"/image/v2/images?name={MANIFEST['name']}", headers=headers).json()["images"]
    launch = {"name": "tagged", "imageRef": images[0]["id"], "flavorRef": "0", "networks": "auto", "tags": [tag]}
    launched = member.ask("POST", "/servers", {"server": launch})
    assert launched.status_code == 400
    assert "comma" in launched.json()["badRequest"]["message"]


def test_a_hint_to_a_server_group_is_refused_since_nobody_would_keep_it(member: Member) -> None:
    images = member.client.get("/image/v2/images", headers={"X-Auth-Token": member.token}).json()["images"]
    launch = {"name": "apart", "imageRef": images[0]["id"], "flavorRef": "0", "networks": "auto"}
    group = "01a1feec-6ed3-72f3-bf53-d3b23cada7ae"
    for word in ("os:scheduler_hints", "OS-SCH-HNT:scheduler_hints"):
        answer = member.ask("POST", "/servers", {"server": launch, word: {"group": group}})
        assert answer.status_code == 400
        assert group in answer.json()["badRequest"]["message"]
    assert member.ask("POST", "/servers", {"server": launch, "os:scheduler_hints": {"query": "x"}}).status_code == 202


@pytest.mark.parametrize("path", ["routers/nope", "floatingips/1.2.3.4", "qos/policies", "subnetpools", "trunks"])
def test_neutron_has_no_such_place_and_says_so_as_of_any_other(member: Member, path: str) -> None:
    answer = member.client.get(f"/network/v2.0/{path}", headers={"X-Auth-Token": member.token})
    assert answer.status_code == 404
    assert answer.json()["NeutronError"]["message"]


def test_an_image_is_not_given_out_and_the_answer_says_so(member: Member) -> None:
    headers = {"X-Auth-Token": member.token}
    image = member.client.get("/image/v2/images", headers=headers).json()["images"][0]["id"]
    answer = member.client.get(f"/image/v2/images/{image}/file", headers=headers)
    assert answer.status_code == 403
    assert "not given out" in answer.text
    assert member.client.get(f"/image/v2/images/{image}/nonsense", headers=headers).status_code == 404


def test_an_admin_asks_for_deleted_servers_and_sees_no_others(client: TestClient, cloud: StoryCloud) -> None:
    admin = a_member(client, cloud, "admin")
    images = client.get("/image/v2/images", headers={"X-Auth-Token": admin.token}).json()["images"]
    launch = {"name": "to go", "imageRef": images[0]["id"], "flavorRef": "0", "networks": "auto"}
    gone = admin.ask("POST", "/servers", {"server": launch}).json()["server"]["id"]
    assert admin.ask("DELETE", f"/servers/{gone}").status_code == 204
    cloud.rest()
    for path in ("/servers?deleted=True", "/servers/detail?deleted=1", "/servers?deleted=True&status=DELETED"):
        assert [server["id"] for server in admin.ask("GET", path).json()["servers"]] == [gone], path
    assert admin.ask("GET", "/servers?deleted=True&status=ACTIVE").json()["servers"] == []
    assert [server["id"] for server in admin.ask("GET", "/servers?deleted=False").json()["servers"]] == [
        admin.server_id
    ]


def test_access_to_a_private_flavor_and_quotas_of_volumes_are_refused_in_a_sentence(member: Member) -> None:
    access = member.ask("POST", "/flavors/0/action", {"addTenantAccess": {"tenant": "x"}})
    assert access.status_code == 400
    assert "private flavor" in access.json()["badRequest"]["message"]
    headers = {"X-Auth-Token": member.token}
    quota = member.client.put("/volume/v3/os-quota-sets/x", json={"quota_set": {"volumes": 5}}, headers=headers)
    assert quota.status_code == 403
    assert "no volumes" in quota.text


def test_flavors_come_in_the_order_of_their_ids_or_as_asked(client: TestClient, cloud: StoryCloud) -> None:
    admin = a_member(client, cloud, "admin")
    name = f"tiny-{admin.server_id[-12:]}"
    body = {"flavor": {"name": name, "ram": 1, "vcpus": 1, "disk": 1, "id": f"z{name}"}}
    assert admin.ask("POST", "/flavors", body).status_code == 200

    def listed(query: str = "") -> list[str]:
        return [flavor["id"] for flavor in admin.ask("GET", f"/flavors{query}").json()["flavors"]]

    assert listed() == sorted(listed())
    assert listed()[0] == "0"
    assert listed("?sort_key=memory_mb")[0] == f"z{name}"
    assert listed("?sort_key=memory_mb&sort_dir=desc")[-1] == f"z{name}"
    assert listed("?sort_dir=desc") == listed()[::-1]
    assert listed(f"?limit=1&marker={listed()[0]}") == [listed()[1]]
    assert admin.ask("GET", "/flavors?sort_key=nonsense").status_code == 400
    assert admin.ask("GET", "/flavors?sort_dir=up").status_code == 400
