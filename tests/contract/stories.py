"""The stories that are recorded: what people type and what programs call, with the real clients as they are installed."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from openstack.connection import Connection

from tests.compute_builders import MANIFEST

IMAGE: str = MANIFEST["name"]
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMzgpwLAC3Dl6xYoIvMNgmG5JJNmrO4IkI5vbnzNAQ6p someone"
HELLO = "#!/bin/sh\necho hello from user data\n"
BATCH = '{{"vm-story": {{"disk": [{{"timestamp": "{hour}", "value": 1}}, {{"timestamp": "{later}", "value": 2.5}}]}}}}'
FILES: Mapping[str, str] = {"hello.sh": HELLO, "id.pub": PUBLIC_KEY + "\n", "batch.json": BATCH}
"""What commands read from the folder in which they run; `{hour}` and `{later}` are instants that the recording chooses."""

COMMAND_LINE = ("python-openstackclient", "osc-lib", "openstacksdk", "keystoneauth1")
METRIC = (*COMMAND_LINE, "gnocchiclient")
ALARM = (*COMMAND_LINE, "aodhclient")
SDK = ("openstacksdk", "keystoneauth1")
CLASSIC = ("python-novaclient", "openstacksdk", "keystoneauth1")

ScriptNames = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shell:
    """A line that somebody types after `openstack`."""

    line: str
    sees_others: bool = False
    needs_host: bool = False
    is_refused: bool = False


@dataclass(frozen=True, slots=True)
class Script:
    """Lines of a program; they share the connection and what they keep in a dictionary."""

    lines: str
    sees_others: bool = False
    needs_host: bool = False
    is_refused: bool = False


@dataclass(frozen=True, slots=True)
class Story:
    """One user's way through the cloud in a new project."""

    name: str
    clients: Sequence[str]
    steps: Sequence[Shell | Script]
    role: Literal["member", "admin"] = "member"
    prepare: Callable[[Connection], ScriptNames] = field(default=lambda cloud: {"cloud": cloud})


def classic(cloud: Connection) -> ScriptNames:
    """What the classic script begins with: novaclient on a session, and the SDK for images and networks."""
    from novaclient import client

    make: Any = client.Client  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return {"cloud": cloud, "nt": make("2.1", session=cloud.session)}


SIGNING_IN = Story(
    "signing in",
    COMMAND_LINE,
    [
        Shell("token issue"),
        Shell("catalog list"),
        Shell("project list --my-projects"),
        Shell("user list", is_refused=True),
        Shell("--os-password wrong token issue", is_refused=True),
    ],
)

SERVER = Story(
    "the life of a server",
    COMMAND_LINE,
    [
        Shell("image list"),
        Shell("flavor list", sees_others=True),
        Shell("network list"),
        Shell(f"server create --image {IMAGE} --flavor n1.nano --network private --user-data hello.sh web1"),
        Shell("server list"),
        Shell("server list --long --status ACTIVE"),
        Shell("server show web1"),
        Shell("server stop web1"),
        Shell("server show web1"),
        Shell("server stop web1", is_refused=True),
        Shell("server start web1"),
        Shell("server reboot web1"),
        Shell("server set --property tier=web web1"),
        Shell("server set --name web2 web1"),
        Shell("console log show web2", needs_host=True),
        Shell("server event list web2"),
        Shell("port list --server web2"),
        Shell("server delete web2"),
        Shell("server list"),
        Shell("server show web2", is_refused=True),
    ],
)

AROUND = Story(
    "what is around servers",
    COMMAND_LINE,
    [
        Shell(f"image show {IMAGE}"),
        Shell("flavor show n1.nano"),
        Shell("network show private"),
        Shell("subnet list"),
        Shell("port list"),
        Shell("security group list"),
        Shell("security group rule list"),
        Shell("quota show"),
        Shell("limits show --absolute"),
        Shell("keypair create --public-key id.pub mine"),
        Shell("keypair create made"),
        Shell("keypair list"),
        Shell("keypair show mine"),
        Shell("keypair delete mine made"),
        Shell("availability zone list --compute"),
        Shell("server group list"),
        Shell("volume list"),
        Shell("image show nobody", is_refused=True),
        Shell("network create mine", is_refused=True),
    ],
)

MANY = Story(
    "many servers in one request",
    COMMAND_LINE,
    [
        Shell(f"server create --image {IMAGE} --flavor n1.nano --network private --min 3 --max 3 many"),
        Shell("server list --sort-column Name"),
        Shell("server list --limit 2 --name many"),
        Shell(
            f"server create --image {IMAGE} --flavor n1.nano --network private --min 200 --max 200 many",
            is_refused=True,
        ),
        Shell(f"server create --image {IMAGE} --flavor n1.nano --network nowhere one", is_refused=True),
        Shell("server delete many-1 many-2 many-3"),
    ],
)

DIRECTORY = Story(
    "an operator and the directory",
    COMMAND_LINE,
    [
        Shell("project list", sees_others=True),
        Shell("user list", sees_others=True),
        Shell("role list"),
        Shell("project create --description trial story-project"),
        Shell("project set --disable story-project"),
        Shell("project show story-project"),
        Shell("project list --disabled", sees_others=True),
        Shell("project set --enable story-project"),
        Shell("user create --password a-made-up-one --email ada@example.com story-user"),
        Shell("user show story-user"),
        Shell("role add --user story-user --project story-project reader"),
        Shell("role assignment list --user story-user --names"),
        Shell("role remove --user story-user --project story-project reader"),
        Shell("user delete story-user"),
        Shell("project delete story-project"),
        Shell("project show story-project", is_refused=True),
        Shell("endpoint list"),
    ],
    role="admin",
)

OPERATOR = Story(
    "an operator and the cloud",
    COMMAND_LINE,
    [
        Shell("hypervisor list --long"),
        Shell("compute service list"),
        Shell(f"server create --image {IMAGE} --flavor n1.nano --network private op1"),
        Shell("server list --all-projects", sees_others=True),
        Shell("flavor create --ram 128 --disk 1 --vcpus 1 story-flavor"),
        Shell("flavor set --property hw:cpu_policy=shared story-flavor"),
        Shell("flavor show story-flavor"),
        Shell("flavor delete story-flavor"),
        Shell("quota set --instances 7 --cores 9 admin"),
        Shell("quota show admin"),
        Shell("quota delete admin"),
        Shell("usage list", sees_others=True),
        Shell("server set --tag web op1"),
        Shell("server unset --tag web op1"),
        Shell("server delete op1"),
    ],
    role="admin",
)

POLICIES = Story(
    "archive policies and resource types",
    METRIC,
    [
        Shell(
            "metric archive-policy create story-policy -d granularity:5m,points:100 -d granularity:1h,timespan:30d"
            " -m mean -m 95pct -b 2"
        ),
        Shell("metric archive-policy list", sees_others=True),
        Shell("metric archive-policy update story-policy -d granularity:5m,points:200 -d granularity:1h,timespan:30d"),
        Shell("metric archive-policy show story-policy"),
        Shell("metric archive-policy-rule create story-rule -a story-policy -m 'story.*'"),
        Shell("metric archive-policy-rule list", sees_others=True),
        Shell("metric archive-policy-rule show story-rule"),
        Shell("metric archive-policy-rule delete story-rule"),
        Shell("metric archive-policy delete story-policy"),
        Shell("metric archive-policy show story-policy", is_refused=True),
        Shell("metric resource-type create story_kind -a host:string:true:max_length=9 -a cores:number:false:min=1"),
        Shell("metric resource-type list", sees_others=True),
        Shell("metric resource-type update story_kind -a zone:string:true:fill=north -r cores"),
        Shell("metric resource-type show story_kind"),
        Shell("metric resource-type delete story_kind"),
        Shell("metric status"),
        Shell("metric capabilities list"),
        Shell("metric server version"),
    ],
    role="admin",
)

METRICS = Story(
    "metrics and measures",
    METRIC,
    [
        Shell("metric resource create --type instance vm-story -a server_group:story -n cpu:medium"),
        Shell("metric resource list --type instance"),
        Shell("metric resource show --type instance vm-story"),
        Shell("metric measures add cpu -r vm-story -m '{hour}@2' -m '{later}@4'"),
        Shell("metric measures batch-resources-metrics --create-metrics batch.json"),
        Shell("metric measures show cpu -r vm-story --granularity 60 --aggregation max --refresh"),
        Shell(
            "metric measures aggregation -m cpu --query \"server_group='story'\" --resource-type instance"
            " --groupby server_group --granularity 60"
        ),
        Shell(
            "metric aggregates '(* (metric cpu mean) 2)' \"server_group='story'\" --resource-type instance --granularity 60"
        ),
        Shell("metric show cpu -r vm-story"),
        Shell("metric list --sort name:asc"),
        Shell("metric resource update --type instance vm-story -a host:b -n heat:low -d disk"),
        Shell("metric resource search --type instance \"server_group='story'\" --limit 5"),
        Shell("metric resource history --type instance --details vm-story"),
        Shell("metric delete cpu -r vm-story"),
        Shell("metric show cpu -r vm-story", is_refused=True),
        Shell("metric resource delete vm-story"),
    ],
)

THRESHOLD = "--type gnocchi_aggregation_by_resources_threshold --metric cpu --threshold 50 --comparison-operator gt"
QUERY = '\'{"=": {"server_group": "web"}}\''

ALARMS = Story(
    "alarms",
    ALARM,
    [
        Shell(
            f"alarm create --name hot {THRESHOLD} --aggregation-method rate:mean --granularity 60 --evaluation-periods 2"
            f" --query {QUERY} --resource-type instance --alarm-action https://hooks.example.com/hook"
        ),
        Shell("alarm list"),
        Shell("alarm show --name hot"),
        Shell("alarm update --name hot --threshold 70 --severity critical"),
        Shell("alarm state get --name hot"),
        Shell("alarm state set --name hot --state ok"),
        Shell("alarm list --filter name=hot --sort timestamp:desc --limit 5"),
        Shell("alarm-history search --query 'type=creation'"),
        Shell("alarm quota show"),
        Shell("alarming capabilities list"),
        Shell(
            "alarm create --name wrong --type gnocchi_resources_threshold --metric cpu --threshold 1"
            " --resource-type instance --resource-id x --aggregation-method mean --granularity 7x",
            is_refused=True,
        ),
        Shell("alarm delete --name hot"),
        Shell("alarm list"),
    ],
)

SDK_SERVER = Story(
    "a server by openstacksdk",
    SDK,
    [
        Script(
            f"""image = cloud.image.find_image("{IMAGE}")
flavor = cloud.compute.find_flavor("n1.nano")
network = cloud.network.find_network("private")
server = cloud.compute.create_server(name="sdk", image_id=image.id, flavor_id=flavor.id, networks=[{{"uuid": network.id}}],
                                     user_data="{base64.b64encode(HELLO.encode()).decode()}")"""
        ),
        Script("server = cloud.compute.wait_for_server(server, wait=5)"),
        Script('assert cloud.compute.find_server("sdk").id == server.id'),
        Script("ports = list(cloud.network.ports(device_id=server.id))"),
        Script('cloud.compute.set_server_metadata(server, tier="web")'),
        Script("assert cloud.compute.fetch_server_metadata(server).metadata == {'tier': 'web'}"),
        Script("assert [one.name for one in cloud.compute.servers()] == ['sdk']"),
        Script("cloud.compute.stop_server(server)"),
        Script("server = cloud.compute.wait_for_server(server, status='SHUTOFF', wait=5)"),
        Script("cloud.compute.get_quota_set(cloud.current_project_id, usage=True)"),
        Script("cloud.compute.delete_server(server)"),
        Script("cloud.compute.wait_for_delete(server, wait=5)"),
    ],
)

CLASSIC_SCRIPT = Story(
    "the classic script",
    CLASSIC,
    [
        Script(
            """fv = nt.flavors.list()
im = nt.glance.list()
nw = list(cloud.network.networks())
server = nt.servers.create(name="testvm001", image=im[0], flavor=fv[0], nics=[{"net-id": nw[1].id}])"""
        ),
        Script("server = nt.servers.get(server.id)"),
        Script("assert [each.name for each in nt.servers.list()] == ['testvm001']"),
        Script("nt.servers.stop(server)"),
        Script("nt.servers.start(server)"),
        Script("nt.servers.reboot(server, 'HARD')"),
        Script("nt.servers.get_console_output(server, length=10)", needs_host=True),
        Script("nt.keypairs.create('classic')"),
        Script("nt.keypairs.delete('classic')"),
        Script("nt.limits.get()"),
        Script("nt.servers.delete(server)"),
        Script("nt.servers.get(server.id)", is_refused=True),
    ],
    prepare=classic,
)

STORIES: Sequence[Story] = [
    SIGNING_IN, SERVER, AROUND, MANY, DIRECTORY, OPERATOR, POLICIES, METRICS, ALARMS, SDK_SERVER, CLASSIC_SCRIPT,
]  # fmt: skip
