"""Nova, Glance, Neutron and Cinder as the real clients call them, on a live API and a live agent of a simulated host."""

import base64
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import novaclient.client
import novaclient.exceptions
import pytest
import requests
from openstack.config import OpenStackConfig
from openstack.connection import Connection

from compute import service as compute
from entrypoints.bootstrap import project_id_of
from foundation.database import Pool, transaction
from tests.compute_builders import MANIFEST
from tests.contract.conftest import ROOT, LiveApi

pytestmark = [
    pytest.mark.filterwarnings("ignore:Support for InfluxDB"),
    pytest.mark.filterwarnings("ignore::openstack.warnings.RemovedInSDK50Warning"),
    pytest.mark.filterwarnings("ignore::openstack.warnings.RemovedInSDK60Warning"),
]
"""What the clients say of their own inside; none of it is ours."""

WAIT_S_MAX = 180.0
NANO = "n1.nano"
NOBODY = "0190f2d4-0000-7000-8000-00000000dead"
"""An identity that nothing has; a constant, since it becomes part of tests' names, which all workers must agree on."""
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class LiveCloud:
    """The API with a host behind it, and a member's connection."""

    api: LiveApi
    demo: Connection
    admin: Connection

    def get(self, path: str, *, headers: dict[str, str] | None = None) -> requests.Response:
        """GET as the member."""
        token = self.demo.auth_token
        assert token is not None
        return requests.get(self.api.url + path, headers={"X-Auth-Token": token, **(headers or {})}, timeout=120)

    def post(self, path: str, body: Any, *, version: str = "2.1") -> requests.Response:
        """POST as the member."""
        token = self.demo.auth_token
        assert token is not None
        headers = {"X-Auth-Token": token, "OpenStack-API-Version": f"compute {version}"}
        return requests.post(self.api.url + path, json=body, headers=headers, timeout=120)


@pytest.fixture(scope="module")
def cloud(
    live_api: LiveApi, pool: Pool, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveCloud]:
    """Make networks, flavors and an image, and start the agent of a host of a thousand simulated guests."""
    now = datetime.now(UTC)
    with transaction(pool) as tx:
        projects = [project_id_of(tx, name) for name in ("admin", "demo")]
        free = list(IPv4Network("10.88.0.0/16").subnets(new_prefix=24))[:40]
        compute.bootstrap_flavors(tx, now=now)
        compute.bootstrap_networks(tx, project_ids=projects, free_cidrs=free, shared_owner_id=projects[0], now=now)
        compute.register_image(tx, MANIFEST, project_id=projects[0], now=now)
    directory = tmp_path_factory.mktemp("agent")
    environment = os.environ | {
        "NEPHO_DATABASE_URL": database_url,
        "NEPHO_VAR": str(directory),
        "NEPHO_HYPERVISORS": "simulated:1000",
        "NEPHO_INSTALLATION": "test",
        "PYTHONPATH": str(ROOT),
    }
    log_path = directory / "agent.log"
    with (
        log_path.open("wb") as log,
        subprocess.Popen([sys.executable, "-m", "entrypoints.agent"], env=environment, stdout=log, stderr=log) as agent,
    ):
        try:
            made = LiveCloud(live_api, connect(live_api, "nephoscope-demo"), connect(live_api, "nephoscope-admin"))
            until(lambda: hosts_up(made, agent, log_path))
            yield made
        finally:
            agent.terminate()
            agent.wait(WAIT_S_MAX)


def connect(live_api: LiveApi, name: str) -> Connection:
    """Sign in by the clouds.yaml that users get."""
    region: Any = OpenStackConfig(config_files=[str(live_api.clouds_yaml)]).get_one(cloud=name)
    return Connection(config=region)


def hosts_up(cloud: LiveCloud, agent: subprocess.Popen[bytes], log_path: Path) -> bool:
    """Tell whether the agent has registered."""
    assert agent.poll() is None, log_path.read_text()
    return any(host.state == "up" for host in cloud.admin.compute.hypervisors())


def until(is_true: Callable[[], Found]) -> Found:
    """Wait until something holds."""
    deadline = time.monotonic() + WAIT_S_MAX
    while not (found := is_true()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.1)
    return found


@pytest.fixture
def nova(cloud: LiveCloud) -> Any:
    """The classic client."""
    make: Any = novaclient.client.Client  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return make("2.1", session=cloud.demo.session)


def gone(nova: Any, server_id: str) -> bool:
    try:
        nova.servers.get(server_id)
    except novaclient.exceptions.NotFound:
        return True
    return False


def status_of(nova: Any, server_id: str) -> str:
    return nova.servers.get(server_id).status


def a_server(nova: Any, cloud: LiveCloud, **arguments: Any) -> Any:
    image = nova.glance.find_image(MANIFEST["name"])
    made = nova.servers.create(
        name=f"s-{uuid4().hex[:8]}", image=image, flavor=nova.flavors.find(name=NANO), **arguments
    )
    until(lambda: status_of(nova, made.id) == "ACTIVE")
    return nova.servers.get(made.id)


def test_the_classic_script_launches_on_the_second_network(cloud: LiveCloud, nova: Any) -> None:
    im = list(cloud.demo.image.images())
    fv = nova.flavors.list()
    nw = list(cloud.demo.network.networks())
    made = nova.servers.create(name="testvm001", image=im[0], flavor=fv[0], nics=[{"net-id": nw[1].id}])
    until(lambda: status_of(nova, made.id) == "ACTIVE")
    shown = nova.servers.get(made.id)
    assert [network.name for network in nw] == ["private", "shared"]
    assert list(shown.addresses) == ["shared"]
    assert shown.addresses["shared"][0]["OS-EXT-IPS-MAC:mac_addr"].startswith("fa:16:3e:")
    nova.servers.delete(made.id)
    until(lambda: gone(nova, made.id))


def test_novaclient_stops_starts_reboots_and_reads_the_console(cloud: LiveCloud, nova: Any) -> None:
    server = a_server(nova, cloud, userdata="echo hello from user data", meta={"metering.server_group": "web"})
    nova.servers.stop(server)
    until(lambda: status_of(nova, server.id) == "SHUTOFF")
    with pytest.raises(novaclient.exceptions.Conflict, match="Cannot 'stop' instance"):
        nova.servers.stop(server)
    nova.servers.start(server)
    until(lambda: status_of(nova, server.id) == "ACTIVE")
    nova.servers.reboot(server)
    until(lambda: status_of(nova, server.id) == "ACTIVE")
    assert "hello from user data" in nova.servers.get_console_output(server)
    assert nova.servers.get_console_output(server, length=1).count("\n") == 1
    assert nova.servers.get(server.id).metadata == {"metering.server_group": "web"}
    assert [a.action for a in nova.instance_action.list(server)] == ["reboot", "start", "stop", "create"]
    nova.servers.delete(server)
    until(lambda: gone(nova, server.id))


def test_a_hundred_in_one_request_and_the_next_one_is_refused(cloud: LiveCloud, nova: Any) -> None:
    image, flavor = nova.glance.find_image(MANIFEST["name"]), nova.flavors.find(name=NANO)
    until(lambda: not nova.servers.list())
    nova.servers.create(name="fleet", image=image, flavor=flavor, min_count=100, max_count=100)
    with pytest.raises(
        novaclient.exceptions.Forbidden,
        match="Quota exceeded for instances: Requested 1, but already used 100 of 100 instances",
    ):
        nova.servers.create(name="one-more", image=image, flavor=flavor)
    until(lambda: len(nova.servers.list(search_opts={"status": "ACTIVE"})) == 100)
    names = sorted(server.name for server in nova.servers.list())
    assert names == sorted(f"fleet-{number}" for number in range(1, 101))
    pages = [nova.servers.list(limit=40), nova.servers.list(limit=-1)]
    assert [len(page) for page in pages] == [40, 100]
    assert nova.limits.get().to_dict()["absolute"]["totalInstancesUsed"] == 100
    for server in nova.servers.list():
        nova.servers.delete(server)
    until(lambda: not nova.servers.list())


def test_the_command_line_client_lives_through_a_server(cloud: LiveCloud, nova: Any) -> None:
    name = f"cli-{uuid4().hex[:8]}"
    image = MANIFEST["name"]
    images, flavors, networks, made = looked_at(
        cloud,
        "nephoscope-demo",
        [
            "image list",
            "flavor list",
            "network list",
            f"server create --image {image} --flavor {NANO} --network private {name}",
        ],
    )
    assert image in [row["Name"] for row in images]
    assert NANO in [flavor["Name"] for flavor in flavors]
    assert {network["Name"] for network in networks} == {"private", "shared"}
    until(lambda: status_of(nova, made["id"]) == "ACTIVE")
    rows, shown = looked_at(cloud, "nephoscope-demo", ["server list", f"server show {name}"])
    listed = next(row for row in rows if row["Name"] == name)
    assert (listed["Status"], listed["Image"], listed["Flavor"]) == ("ACTIVE", image, NANO)
    assert list(listed["Networks"]) == ["private"]
    assert shown["name"] == name
    for act, status in (("stop", "SHUTOFF"), ("start", "ACTIVE"), ("reboot", "ACTIVE")):
        done = cloud.api.openstack("server", act, name, cloud="nephoscope-demo")
        assert done.returncode == 0, done.stderr
        until(lambda status=status: status_of(nova, made["id"]) == status)
    console = cloud.api.openstack("console", "log", "show", name, cloud="nephoscope-demo")
    assert "Booting" in console.stdout, console.stderr
    gone_now = cloud.api.openstack("server", "delete", "--wait", name, cloud="nephoscope-demo")
    assert gone_now.returncode == 0, gone_now.stderr
    assert gone(nova, made["id"])


def looked_at(cloud: LiveCloud, name: str, commands: Sequence[str]) -> list[Any]:
    """Give the command line client several commands in one process, and read the JSON of each."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OS_")}
    environment |= {"OS_CLIENT_CONFIG_FILE": str(cloud.api.clouds_yaml), "NO_PROXY": "*", "no_proxy": "*"}
    client = [str(Path(sys.executable).parent / "openstack"), "--os-cloud", name]
    script = "".join(f"{command} -f json\n" for command in commands)
    done = subprocess.run(
        client, env=environment, input=script, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.stderr.strip() == "", done.stderr
    text, answers = done.stdout, list[Any]()
    while begin := re.search(r"^.{0,40}?([\[{])", text, re.MULTILINE):
        answer, length = json.JSONDecoder().raw_decode(text[begin.start(1) :])
        answers.append(answer)
        text = text[begin.start(1) + length :]
    return answers


def test_the_command_line_client_looks_at_everything_around_servers(cloud: LiveCloud) -> None:
    commands = [
        "quota show",
        "limits show --absolute",
        "keypair list",
        "security group list",
        "security group rule list",
        "port list",
        "subnet list",
        "volume list",
        "availability zone list --compute",
        "server group list",
    ]
    answers = looked_at(cloud, "nephoscope-demo", commands)
    assert len(answers) == len(commands)
    assert [row["Name"] for row in answers[3]] == ["default"]
    assert len(answers[4]) == 4
    assert answers[7] == []


def test_the_operator_looks_at_hosts_and_all_projects(cloud: LiveCloud) -> None:
    image = MANIFEST["name"]
    commands = ["hypervisor list --long", "compute service list", "server list --all-projects", f"image show {image}"]
    hypervisors, services, _, shown = looked_at(cloud, "nephoscope-admin", commands)
    assert "simulated" in [row["Hypervisor Hostname"] for row in hypervisors]
    assert {row["Binary"] for row in services} == {"nova-compute"}
    assert shown["name"] == image


def test_a_project_that_was_made_a_moment_ago_launches_at_once_and_sees_its_use(cloud: LiveCloud) -> None:
    name = f"new-{uuid4().hex[:8]}"
    admin: Any = cloud.admin
    identity = admin.identity
    project = identity.create_project(name=name, domain_id="default")
    user = identity.create_user(name=name, password=name, domain_id="default")
    member = identity.find_role("member")
    identity.assign_project_role_to_user(project, user, member)
    domains = {"user_domain_id": "default", "project_domain_id": "default"}
    sign_in: Any = {"username": name, "password": name, "project_name": name, **domains}
    fresh: Any = Connection(auth=sign_in | {"auth_url": f"{cloud.api.url}/identity/v3"})
    assert [subnet.name for subnet in fresh.network.subnets()] == ["private-subnet", "shared-subnet"]
    flavor, image = fresh.compute.find_flavor(NANO), fresh.image.find_image(MANIFEST["name"])
    made = fresh.compute.create_server(name=name, image_id=image.id, flavor_id=flavor.id, networks="auto")
    server = fresh.compute.wait_for_server(made, wait=WAIT_S_MAX)
    assert list(server.addresses) == ["private"]
    now = datetime.now(UTC).replace(tzinfo=None)
    period = {"start": now - timedelta(hours=1), "end": now + timedelta(hours=1)}
    usage = fresh.compute.get_usage(project.id, **period)
    assert [row["instance_id"] for row in usage.server_usages] == [server.id]
    assert 0 < usage.total_hours < 0.1
    assert usage.total_memory_mb_usage == pytest.approx(usage.total_hours * flavor.ram)
    (listed,) = [each for each in admin.compute.usages(**period) if each.project_id == project.id]
    assert listed.total_hours == pytest.approx(usage.total_hours, abs=0.05)
    assert cloud.get(f"/compute/v2.1/os-simple-tenant-usage/{project.id}").status_code == 403
    assert cloud.get("/compute/v2.1/os-simple-tenant-usage").status_code == 403
    fresh.compute.delete_server(server)
    fresh.compute.wait_for_delete(server, wait=WAIT_S_MAX)
    (row,) = fresh.compute.get_usage(project.id, **period).server_usages
    assert (row["state"], row["ended_at"] is not None) == ("terminated", True)


def test_the_command_line_client_shows_use(cloud: LiveCloud) -> None:
    shown, _ = looked_at(cloud, "nephoscope-admin", ["usage show", "usage list"])
    assert {"Project", "Servers", "CPU Hours"} <= set(shown)


def test_a_key_pair_is_made_listed_shown_and_deleted(nova: Any) -> None:
    name = f"key-{uuid4().hex[:8]}"
    made = nova.keypairs.create(name)
    assert made.private_key.startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    imported = nova.keypairs.create(f"{name}-2", public_key=made.public_key)
    assert imported.fingerprint == made.fingerprint
    assert name in [keypair.name for keypair in nova.keypairs.list()]
    assert nova.keypairs.get(name).public_key == made.public_key
    for each in (name, f"{name}-2"):
        nova.keypairs.delete(each)
    assert name not in [keypair.name for keypair in nova.keypairs.list()]


def test_openstacksdk_launches_waits_and_deletes(cloud: LiveCloud) -> None:
    image = cloud.demo.image.find_image(MANIFEST["name"])
    flavor = cloud.demo.compute.find_flavor(NANO)
    network = cloud.demo.network.find_network("private")
    assert image is not None
    assert flavor is not None
    assert network is not None
    name = f"sdk-{uuid4().hex[:8]}"
    made = cloud.demo.compute.create_server(
        name=name,
        image_id=image.id,
        flavor_id=flavor.id,
        networks=[{"uuid": network.id}],
        user_data=base64.b64encode(b"echo sdk").decode(),
    )
    server = cloud.demo.compute.wait_for_server(made, wait=WAIT_S_MAX)
    assert server.status == "ACTIVE"
    found = cloud.demo.compute.find_server(name)
    assert found is not None
    assert found.id == server.id
    ports = list(cloud.demo.network.ports(device_id=server.id))
    assert len(ports) == 1
    cloud.demo.compute.set_server_metadata(server, tier="web")
    assert cloud.demo.compute.fetch_server_metadata(server).metadata == {"tier": "web"}
    cloud.demo.compute.delete_server(server)
    cloud.demo.compute.wait_for_delete(server, wait=WAIT_S_MAX)
    assert not list(cloud.demo.network.ports(device_id=server.id))


def test_an_admin_makes_flavors_and_changes_quotas(cloud: LiveCloud) -> None:
    name = f"f-{uuid4().hex[:8]}"
    made = cloud.admin.compute.create_flavor(name=name, ram=128, vcpus=1, disk=1)
    cloud.admin.compute.create_flavor_extra_specs(made, {"hw:cpu_policy": "shared"})
    assert cloud.admin.compute.fetch_flavor_extra_specs(made).extra_specs == {"hw:cpu_policy": "shared"}
    cloud.admin.compute.delete_flavor(made)
    assert cloud.admin.compute.find_flavor(name) is None
    project = f"p{uuid4().hex[:8]}"
    cloud.admin.compute.update_quota_set(project, instances=7, cores=9, ram=1024)
    assert cloud.admin.compute.get_quota_set(project).instances == 7
    detail = cloud.admin.compute.get_quota_set(project, usage=True)
    assert detail.usage["instances"] == 0
    cloud.admin.compute.revert_quota_set(project)
    assert cloud.admin.compute.get_quota_set(project).instances == 100


def test_another_projects_server_is_a_404_everywhere(cloud: LiveCloud) -> None:
    image = cloud.admin.image.find_image(MANIFEST["name"])
    flavor = cloud.admin.compute.find_flavor(NANO)
    assert image is not None
    assert flavor is not None
    made = cloud.admin.compute.create_server(name="theirs", image_id=image.id, flavor_id=flavor.id, networks="auto")
    try:
        path = f"/compute/v2.1/servers/{made.id}"
        for part in ("", "/metadata", "/os-interface", "/ips", "/os-instance-actions", "/os-security-groups"):
            answer = cloud.get(path + part)
            assert answer.status_code == 404
            assert answer.json()["itemNotFound"]["code"] == 404
        actions: list[Any] = [{"os-stop": None}, {"reboot": {"type": "HARD"}}, {"os-getConsoleOutput": {}}]
        for action in actions:
            assert cloud.post(f"{path}/action", action).status_code == 404
        assert made.id not in [server.id for server in cloud.demo.compute.servers()]
    finally:
        cloud.admin.compute.delete_server(made)
        cloud.admin.compute.wait_for_delete(made, wait=WAIT_S_MAX)


def test_a_name_that_every_project_has_means_the_admins_own(cloud: LiveCloud) -> None:
    networks = list(cloud.admin.network.networks())
    assert [network.name for network in networks][:2] == ["private", "shared"]
    assert len(networks) > 2
    for find in (cloud.admin.network.find_network("private"), cloud.admin.network.find_security_group("default")):
        assert find is not None
        assert find.project_id == cloud.admin.current_project_id


def test_versions_are_discovered_and_microversions_answered(cloud: LiveCloud) -> None:
    version = requests.get(f"{cloud.api.url}/compute/v2.1/", timeout=120).json()["version"]
    assert (version["min_version"], version["version"]) == ("2.1", "2.96")
    answer = cloud.get("/compute/v2.1/flavors/detail", headers={"OpenStack-API-Version": "compute 2.61"})
    assert answer.headers["OpenStack-API-Version"] == "compute 2.61"
    assert answer.headers["X-OpenStack-Nova-API-Version"] == "2.61"
    assert "extra_specs" in answer.json()["flavors"][0]
    old = cloud.get("/compute/v2.1/flavors/detail")
    assert "extra_specs" not in old.json()["flavors"][0]
    for asked, status in (("2.97", 406), ("9.1", 406), ("two", 400), ("latest", 200)):
        headers = {"X-OpenStack-Nova-API-Version": asked}
        assert cloud.get("/compute/v2.1/flavors", headers=headers).status_code == status
    assert requests.get(f"{cloud.api.url}/image/", timeout=120).status_code == 300
    assert requests.get(f"{cloud.api.url}/network/", timeout=120).json()["versions"][0]["id"] == "v2.0"


WRONG_LAUNCHES: list[Any] = [
    None,
    [],
    {},
    {"server": None},
    {"server": {}},
    {"server": {"name": "x"}},
    {"server": {"name": "x", "flavorRef": "0", "imageRef": "nope"}},
    {"server": {"name": "", "flavorRef": "0", "imageRef": "IMAGE"}},
    {"server": {"name": "x" * 256, "flavorRef": "0", "imageRef": "IMAGE"}},
    {"server": {"name": "x\ty", "flavorRef": "0", "imageRef": "IMAGE"}},
    {"server": {"name": "x", "flavorRef": "999", "imageRef": "IMAGE"}},
    {"server": {"name": "x", "flavorRef": "0", "imageRef": NOBODY}},
    {"server": {"name": "x", "flavorRef": {"id": "0"}, "imageRef": "IMAGE"}},
    {"server": {"name": "x", "flavorRef": "0", "imageRef": "IMAGE", "host_id": "h"}},
    {"server": {"name": "x", "flavorRef": "0", "imageRef": "IMAGE", "desired": "stopped"}},
    {"server": {"name": "x", "flavorRef": "0", "imageRef": "IMAGE", "networks": [{"uuid": "n"}]}},
    {"server": {"name": "x", "flavorRef": "0", "imageRef": "IMAGE", "networks": [{"uuid": NOBODY}]}},
    {"server": {"name": "x", "flavorRef": "0", "imageRef": "IMAGE", "networks": [{"port": NOBODY}]}},
    {"server": {"name": "x", "flavorRef": "0", "imageRef": "IMAGE", "networks": [{}] * 3}},
    {"server": {"name": "x", "flavorRef": "0", "imageRef": "IMAGE", "min_count": 0}},
    {"server": {"name": "x", "flavorRef": "0", "imageRef": "IMAGE", "min_count": 5, "max_count": 2}},
    {"server": {"name": "x", "flavorRef": "0", "imageRef": "IMAGE", "max_count": 10**18}},
    {"server": {"name": "x", "flavorRef": "0", "imageRef": "IMAGE", "max_count": 1.5}},
    {"server": {"name": "x", "flavorRef": "0", "imageRef": "IMAGE", "user_data": "%%%"}},
    {"server": {"name": "x", "flavorRef": "0", "imageRef": "IMAGE", "user_data": "A" * 131_000}},
    {"server": {"name": "x", "flavorRef": "0", "imageRef": "IMAGE", "metadata": {"k": 1}}},
    {"server": {"name": "x", "flavorRef": "0", "imageRef": "IMAGE", "metadata": {"k": "v" * 256}}},
    {"server": {"name": "x", "flavorRef": "0", "imageRef": "IMAGE", "metadata": {str(n): "v" for n in range(129)}}},
    {"server": {"name": "x", "flavorRef": "0", "imageRef": "IMAGE", "security_groups": [{"name": "nobody"}]}},
    {"server": {"name": "x", "flavorRef": "0", "imageRef": "IMAGE", "key_name": "nobody"}},
    {"server": {"name": "x", "flavorRef": "0", "imageRef": "IMAGE", "availability_zone": "mars"}},
    {"server": {"name": "x", "flavorRef": "0", "imageRef": "IMAGE", "tags": ["a"]}},
    {"server": {"name": "x", "flavorRef": "5", "imageRef": "IMAGE", "min_count": 50}},
]


@pytest.mark.parametrize("body", WRONG_LAUNCHES, ids=range(len(WRONG_LAUNCHES)))
def test_a_wrong_launch_gets_novas_4xx_and_a_sentence(cloud: LiveCloud, body: Any) -> None:
    image = cloud.demo.image.find_image(MANIFEST["name"])
    assert image is not None
    filled = json.loads(json.dumps(body).replace('"IMAGE"', json.dumps(image.id)))
    answer = cloud.post("/compute/v2.1/servers", filled)
    assert 400 <= answer.status_code < 500, answer.text
    ((name, fault),) = answer.json().items()
    assert name in {"badRequest", "forbidden", "conflictingRequest"}
    assert fault["code"] == answer.status_code
    assert re.search(r"\w{3}", fault["message"])


WRONG_QUERIES = [
    "/compute/v2.1/servers?limit=-1",
    "/compute/v2.1/servers?limit=x",
    "/compute/v2.1/servers?marker=x",
    f"/compute/v2.1/servers?marker={NOBODY}",
    "/compute/v2.1/servers?sort_key=password",
    "/compute/v2.1/servers?sort_dir=up",
    "/compute/v2.1/servers?name=%5B",
    "/compute/v2.1/servers?name=(a%7C",
    "/compute/v2.1/servers?ip=*",
    "/compute/v2.1/servers?all_tenants=maybe",
    "/compute/v2.1/servers?changes-since=yesterday",
    "/compute/v2.1/servers/x%00y",
    "/compute/v2.1/flavors?minRam=-1",
    "/compute/v2.1/flavors/detail?is_public=perhaps",
    "/compute/v2.1/flavors?marker=nobody",
    "/compute/v2.1/os-keypairs/nobody",
    "/compute/v2.1/os-hypervisors",
    "/compute/v2.1/os-quota-sets/somebody-else",
    "/compute/v2.1/nothing/here",
    "/image/v2/images/nobody",
    "/image/v2/images?limit=-1",
    "/image/v2/images?marker=nobody",
    "/image/v2/images?sort=colour:up",
    "/image/v2/images?size_min=much",
    "/image/v2/images?os_hidden=perhaps",
    "/network/v2.0/networks?sort_key=colour&sort_dir=asc",
    "/network/v2.0/networks/nobody",
    "/network/v2.0/ports?limit=x",
    "/network/v2.0/nothing",
    "/volume/v3/volumes/nobody",
]


@pytest.mark.parametrize("path", WRONG_QUERIES)
def test_a_wrong_query_gets_a_4xx(cloud: LiveCloud, path: str) -> None:
    answer = cloud.get(path)
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/compute/v2.1/servers?status=NONSENSE",
        "/compute/v2.1/servers?flavor=nobody&image=nobody",
        "/compute/v2.1/servers/detail?deleted=False&changes-since=2026-01-01T00:00:00Z&status=ERROR",
        "/compute/v2.1/servers?name=^no-such-name$",
        "/image/v2/images?name=nobody",
        "/image/v2/images?id=in:a,b",
        "/network/v2.0/networks?name=nobody",
    ],
)
def test_what_matches_nothing_is_an_empty_list(cloud: LiveCloud, path: str) -> None:
    answer = cloud.get(path)
    assert answer.status_code == 200, answer.text
    assert next(value for name, value in answer.json().items() if name in ("servers", "images", "networks")) == []


@pytest.mark.parametrize(
    "body", [{}, [], None, {"os-start": None, "os-stop": None}, {"fly": None}, {"resize": {}}, {"reboot": {}}]
)
def test_a_wrong_action_is_a_400(cloud: LiveCloud, nova: Any, body: Any) -> None:
    answer = cloud.post(f"/compute/v2.1/servers/{uuid4()}/action", body)
    assert answer.status_code in (400, 404), answer.text
