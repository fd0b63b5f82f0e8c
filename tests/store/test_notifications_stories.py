"""Each OpenStack service's story, told by its notifications: the resources, their lives, their meters, and what they cost time for."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID, uuid4

import pytest

from collectors.definitions.files import Catalogue, load_catalogue
from collectors.listening import Message, Taken, take_messages
from foundation.database import Transaction
from foundation.interval import TimeInterval
from metering.model import resource_id_of
from metering.service import counter_samples, counter_usage, existence_segments, state_segments
from tests.notification_payloads import (
    T0,
    Told,
    a_swift_request,
    a_versioned_instance,
    a_volume,
    an_audit,
    an_identity,
    an_image,
    an_instance,
    sensors,
)

NOW = datetime(2026, 11, 20, tzinfo=UTC)
HOUR = TimeInterval(T0, T0 + timedelta(hours=1))


@lru_cache(maxsize=1)
def catalogue() -> Catalogue:
    return load_catalogue()


def take(tx: Transaction, told: Sequence[Told], *, exchange: str = "nova") -> Taken:
    messages = [Message(one.body(), exchange, "notifications.info") for one in told]
    return take_messages(tx, messages, catalogue=catalogue(), now=NOW)


def taken_whole(tx: Transaction, told: Sequence[Told]) -> None:
    result = take(tx, told)
    assert (result.taken, result.dead) == (len(told), 0), reasons(tx)


def reasons(tx: Transaction) -> list[str]:
    return [row[0] for row in tx.execute("SELECT reason FROM dead_letter WHERE state = 'waiting'")]


@pytest.fixture
def project() -> str:
    return f"project-{uuid4()}"


def resource_of(tx: Transaction, name: str) -> dict[str, Any]:
    row = tx.execute(
        "SELECT resource_type, project_id, attributes, started_at, ended_at FROM resource WHERE id = %s",
        (resource_id_of(name),),
    ).fetchone()
    assert row is not None, f"no resource {name}"
    return dict(zip(("type", "project", "attributes", "started_at", "ended_at"), row, strict=True))


def measures_of(tx: Transaction, name: str, meter: str) -> list[tuple[float, float]]:
    """A meter's measures on a resource: seconds after T0, and the value."""
    rows = tx.execute(
        "SELECT m.observed_at, m.value FROM measure m JOIN metric c ON c.key = m.metric_key"
        " WHERE c.resource_id = %s AND c.name = %s ORDER BY m.observed_at, m.value",
        (resource_id_of(name), meter),
    )
    return [((at - T0).total_seconds(), value) for at, value in rows]


def meters_of(tx: Transaction, name: str) -> dict[str, tuple[str, str]]:
    rows = tx.execute(
        "SELECT name, meter_type, unit FROM metric WHERE resource_id = %s AND status = 'active'",
        (resource_id_of(name),),
    )
    return {row[0]: (row[1], row[2]) for row in rows}


def lives(tx: Transaction, project: str) -> list[tuple[str, str, float, float, str | None]]:
    """Instances' segments: state, flavor, from and to in seconds after T0."""
    found = state_segments(tx, project_id=project, interval=HOUR)
    return [
        (s.state, s.flavor_name, (s.started_at - T0).total_seconds(), (s.ended_at - T0).total_seconds(), s.name)
        for s in found
        if s.ended_at is not None
    ]


def stays(tx: Transaction, project: str, meter: str) -> list[tuple[Decimal, str, float, float]]:
    """Other resources' segments: size, grade, from and to in seconds after T0."""
    found = existence_segments(tx, project_id=project, meter=meter, interval=HOUR)
    return [
        (s.size, s.grade, (s.started_at - T0).total_seconds(), (s.ended_at - T0).total_seconds())
        for s in found
        if s.ended_at is not None
    ]


def time_of(tx: Transaction, project: str, meter: str) -> Decimal:
    return sum((u.quantity for u in counter_usage(tx, project_id=project, meter=meter, interval=HOUR)), Decimal(0))


def test_nova_tells_the_life_of_an_instance(tx: Transaction, project: str):
    instance = str(uuid4())

    def told(event: str, state: str, at_s: float, **changes: Any) -> Told:
        return Told(f"compute.instance.{event}", an_instance(instance, project, state, **changes), at_s)

    large = {"instance_type": "m1.large", "instance_flavor_id": "4", "vcpus": 4, "memory_mb": 8192, "root_gb": 80}
    taken_whole(
        tx,
        [
            told("create.end", "active", 0),
            told("power_off.end", "stopped", 100),
            told("power_on.end", "active", 200),
            told("finish_resize.end", "resized", 300, **large),
            told("resize.confirm.end", "active", 350, **large),
            told("suspend.end", "suspended", 400, **large),
            told("resume.end", "active", 500, **large),
            told("pause.end", "paused", 550, **large),
            told("unpause.end", "active", 560, **large),
            told("shelve.end", "shelved", 600, **large),
            told("shelve_offload.end", "shelved_offloaded", 610, **large, host=None),
            told("unshelve.end", "active", 700, **large),
            told("rebuild.end", "active", 750, **large),
            told("live_migration.post.dest.end", "active", 800, **large, host="compute-2"),
            told("volume.attach", "active", 810, **large, host="compute-2"),
            told("exists", "active", 900, **large, host="compute-2"),
            told("delete.end", "deleted", 1000, **large, host="compute-2"),
        ],
    )
    assert lives(tx, project) == [
        ("active", "m1.small", 0, 100, "web-1"),
        ("stopped", "m1.small", 100, 200, "web-1"),
        ("active", "m1.small", 200, 300, "web-1"),
        ("active", "m1.large", 300, 400, "web-1"),
        ("suspended", "m1.large", 400, 500, "web-1"),
        ("active", "m1.large", 500, 550, "web-1"),
        ("paused", "m1.large", 550, 560, "web-1"),
        ("active", "m1.large", 560, 600, "web-1"),
        ("shelved", "m1.large", 600, 700, "web-1"),
        ("active", "m1.large", 700, 1000, "web-1"),
    ]
    resource = resource_of(tx, instance)
    assert (resource["type"], resource["project"]) == ("instance", project)
    assert resource["ended_at"] == T0 + timedelta(seconds=1000)
    told_of = resource["attributes"]
    assert (told_of["host"], told_of["flavor_name"], told_of["image_ref"]) == ("compute-2", "m1.large", "image-1")
    assert (told_of["server_group"], told_of["launched_at"]) == ("group-1", "2026-10-31T23:59:58+00:00")
    assert measures_of(tx, instance, "compute.instance.booting.time") == [(0, 18)]
    assert measures_of(tx, instance, "memory")[:4] == [(0, 2048), (100, 2048), (200, 2048), (300, 8192)]
    assert meters_of(tx, instance) == {
        "memory": ("gauge", "MiB"),
        "vcpus": ("gauge", "vcpu"),
        "disk.root.size": ("gauge", "GiB"),
        "disk.ephemeral.size": ("gauge", "GiB"),
        "compute.instance.booting.time": ("gauge", "sec"),
    }
    history = tx.execute("SELECT count(*) FROM resource_revision WHERE id = %s", (resource_id_of(instance),)).fetchone()
    assert history is not None
    assert history[0] >= 3


def test_novas_versioned_notifications_tell_the_same_life(tx: Transaction, project: str):
    instance = str(uuid4())

    def told(event: str, state: str, at_s: float, **changes: Any) -> Told:
        return Told(f"instance.{event}", a_versioned_instance(instance, project, state, **changes), at_s)

    taken_whole(
        tx,
        [
            told("create.end", "active", 0),
            told("power_off.end", "stopped", 60, power_state="shutdown"),
            told("power_on.end", "active", 120),
            told("resize_finish.end", "resized", 180, flavor={"name": "m1.large", "vcpus": 4}),
            told("shelve_offload.end", "shelved_offloaded", 240, host=None, flavor={"name": "m1.large", "vcpus": 4}),
            told("delete.end", "deleted", 300, flavor={"name": "m1.large", "vcpus": 4}),
        ],
    )
    assert [life[:4] for life in lives(tx, project)] == [
        ("active", "m1.small", 0, 60),
        ("stopped", "m1.small", 60, 120),
        ("active", "m1.small", 120, 180),
        ("active", "m1.large", 180, 240),
        ("shelved", "m1.large", 240, 300),
    ]
    assert measures_of(tx, instance, "compute.instance.booting.time") == [(0, 18)]


def test_both_forms_of_novas_notifications_make_one_life(tx: Transaction, project: str):
    instance = str(uuid4())
    taken_whole(
        tx,
        [
            Told("compute.instance.create.end", an_instance(instance, project, "active"), 0),
            Told("instance.create.end", a_versioned_instance(instance, project, "active"), 0.01),
            Told("compute.instance.delete.end", an_instance(instance, project, "deleted"), 60),
            Told("instance.delete.end", a_versioned_instance(instance, project, "deleted"), 60.01),
        ],
    )
    assert [life[:4] for life in lives(tx, project)] == [("active", "m1.small", 0, 60)]


def test_an_instance_that_is_still_built_costs_nothing_and_one_that_failed_says_so(tx: Transaction, project: str):
    instance = str(uuid4())
    told = [
        Told("compute.instance.update", an_instance(instance, project, "building"), 0),
        Told("compute.instance.update", an_instance(instance, project, "error"), 10),
    ]
    result = take(tx, told)
    assert (result.taken, result.ignored, result.dead) == (1, 1, 0)
    assert [life[0] for life in lives(tx, project)] == ["error"]


def test_compute_monitors_tell_of_their_host(tx: Transaction):
    host = f"compute-{uuid4()}"
    metrics = [
        {"name": "cpu.frequency", "value": 1600, "timestamp": "2026-11-01T00:00:05", "source": "libvirt"},
        {"name": "cpu.user.percent", "value": 0.25, "timestamp": "2026-11-01T00:00:05", "source": "libvirt"},
        {"name": "cpu.user.time", "value": 17421440000000, "timestamp": "2026-11-01T00:00:05", "source": "libvirt"},
    ]
    taken_whole(tx, [Told("compute.metrics.update", {"host": host, "nodename": "node", "metrics": metrics}, 6)])
    assert measures_of(tx, f"{host}_node", "compute.node.cpu.user.percent") == [(5, 25)]
    assert meters_of(tx, f"{host}_node")["compute.node.cpu.user.time"] == ("cumulative", "ns")


def test_glance_tells_of_images_their_bytes_and_what_they_served(tx: Transaction, project: str):
    image = str(uuid4())
    sent = {"image_id": image, "bytes_sent": 1000, "owner_id": project, "receiver_tenant_id": "other"}
    told = [
        Told("image.create", an_image(image, project, status="queued", size=None), 0),
        Told("image.update", an_image(image, project, status="queued", size=None), 1),
        Told("image.upload", an_image(image, project), 10),
        Told("image.activate", an_image(image, project), 11),
        Told("image.send", sent, 20),
        Told("image.send", {**sent, "bytes_sent": 500}, 20),
        Told("image.delete", an_image(image, project, status="deleted"), 110),
    ]
    result = take(tx, told)
    assert (result.taken, result.ignored, result.dead) == (5, 2, 0), reasons(tx)
    assert stays(tx, project, "image.size") == [(Decimal(1 << 30), "", 10, 110)]
    assert time_of(tx, project, "image.size.time") == (1 << 30) * 100
    assert [value for _, value in measures_of(tx, image, "image.serve")] == [500, 1000]
    assert time_of(tx, project, "image.serve") == 1500
    assert meters_of(tx, image)["image.download"] == ("delta", "B")
    assert resource_of(tx, image)["attributes"]["disk_format"] == "qcow2"


def test_cinder_tells_of_volumes_snapshots_and_backups(tx: Transaction, project: str):
    volume, snapshot, backup = str(uuid4()), str(uuid4()), str(uuid4())
    attached = [{"server_id": "4b4f7ff2-3f3e-4d2f-8f60-111111111111"}]
    of = {"tenant_id": project, "user_id": "user-1", "display_name": "copy", "status": "available"}
    taken_whole(
        tx,
        [
            Told("volume.create.end", a_volume(volume, project), 0),
            Told("volume.attach.end", a_volume(volume, project, volume_attachment=attached), 50),
            Told("volume.resize.end", a_volume(volume, project, size=30, volume_attachment=attached), 100),
            Told("volume.detach.end", a_volume(volume, project, size=30), 150),
            Told("volume.retype", a_volume(volume, project, size=30, volume_type="hdd"), 200),
            Told("snapshot.create.end", {**of, "snapshot_id": snapshot, "volume_id": volume, "volume_size": 30}, 210),
            Told("backup.create.end", {**of, "backup_id": backup, "volume_id": volume, "size": 30}, 220),
            Told("volume.exists", a_volume(volume, project, size=30, volume_type="hdd"), 250),
            Told("snapshot.delete.end", {**of, "snapshot_id": snapshot, "volume_size": 30, "status": "deleted"}, 310),
            Told("volume.delete.end", a_volume(volume, project, size=30, volume_type="hdd"), 400),
            Told("volume.exists", a_volume(volume, project, size=30, status="deleted"), 3000),
        ],
    )
    assert stays(tx, project, "volume.size") == [
        (Decimal(10), "ssd", 0, 100),
        (Decimal(30), "ssd", 100, 200),
        (Decimal(30), "hdd", 200, 400),
    ]
    assert time_of(tx, project, "volume.size.time") == 10 * 100 + 30 * 300
    assert time_of(tx, project, "volume.size.time@hdd") == 30 * 200
    assert stays(tx, project, "snapshot.size") == [(Decimal(30), "", 210, 310)]
    assert stays(tx, project, "backup.size") == [(Decimal(30), "", 220, 3600)]
    assert measures_of(tx, volume, "volume.size")[:3] == [(0, 10), (50, 10), (100, 30)]
    found = resource_of(tx, volume)
    assert (found["type"], found["ended_at"]) == ("volume", T0 + timedelta(seconds=400))
    assert found["attributes"]["image_id"] == "8f5b5a52-6e2a-4b5e-9a57-4b7f3f4d3a11"


def test_a_volume_that_changes_hands_is_each_ones_for_its_time(tx: Transaction, project: str):
    volume, other = str(uuid4()), f"other-{uuid4()}"
    taken_whole(
        tx,
        [
            Told("volume.create.end", a_volume(volume, project), 0),
            Told("volume.transfer.accept.end", a_volume(volume, other), 1000),
        ],
    )
    assert stays(tx, project, "volume.size") == [(Decimal(10), "ssd", 0, 1000)]
    assert stays(tx, other, "volume.size") == [(Decimal(10), "ssd", 1000, 3600)]
    assert resource_of(tx, volume)["project"] == other


def test_backends_that_say_no_number_make_no_sample(tx: Transaction):
    pool = f"host@lvm#{uuid4()}"
    payload = {"name_to_id": pool, "total": 100, "free": "infinite", "allocated": 20, "provisioned": 20.5}
    taken_whole(tx, [Told("capacity.pool.lvm", payload)])
    assert set(meters_of(tx, pool)) == {
        f"volume.provider.pool.capacity.{kind}" for kind in ("total", "allocated", "provisioned")
    }


@pytest.mark.parametrize(
    ("noun", "meter", "resource_type"),
    [
        ("network", "network", "network"),
        ("subnet", "subnet", "subnet"),
        ("port", "port", "port"),
        ("router", "router", "router"),
        ("floatingip", "ip.floating", "network"),
        ("security_group", "security_group", "security_group"),
    ],
)
def test_neutron_tells_of_what_is_made_and_gone(
    tx: Transaction, project: str, noun: str, meter: str, resource_type: str
):
    one, several = str(uuid4()), [str(uuid4()), str(uuid4())]
    shown = {"id": one, "tenant_id": project, "project_id": project, "name": "n"}
    by_admin = {"tenant_id": "admins-own", "user_id": "admin"}
    many = [{**shown, "id": name} for name in several]
    taken_whole(
        tx,
        [
            Told(f"{noun}.create.end", {noun: shown}, 0, by_admin),
            Told(f"{noun}.create.end", {f"{noun}s": many}, 10),
            Told(f"{noun}.update.end", {noun: shown}, 20),
            Told(f"{noun}.delete.end", {f"{noun}_id": one}, 60, by_admin),
        ],
    )
    assert sorted(stays(tx, project, meter)) == [(1, "", 0, 60), (1, "", 10, 3600), (1, "", 10, 3600)]
    assert time_of(tx, project, f"{meter}.time") == 60 + 2 * 3590
    found = resource_of(tx, one)
    assert (found["type"], found["project"], found["ended_at"]) == (
        resource_type,
        project,
        T0 + timedelta(seconds=60),
    )
    assert measures_of(tx, one, meter) == [(0, 1), (20, 1)]


def test_neutron_counts_the_bandwidth_of_a_label(tx: Transaction, project: str):
    label = str(uuid4())
    of = {"label_id": label, "tenant_id": project, "pkts": 5, "time": 60, "host": "net-1"}
    taken_whole(tx, [Told("l3.meter", {**of, "bytes": 300}, 0), Told("l3.meter", {**of, "bytes": 200}, 60)])
    assert time_of(tx, project, "bandwidth") == 500
    assert meters_of(tx, label) == {"bandwidth": ("delta", "B")}


def test_keystone_is_counted_in_its_basic_and_its_cadf_form(tx: Transaction):
    user, trust, role = str(uuid4()), str(uuid4()), str(uuid4())
    taken_whole(
        tx,
        [
            Told("identity.user.created", {"resource_info": user}, 0),
            Told("identity.user.updated", an_identity(user), 10),
            Told("identity.OS-TRUST:trust.created", an_identity(trust), 20),
            Told("identity.role_assignment.created", an_identity("", role=role, user=user, resource_info=None), 30),
            Told("identity.authenticate", an_identity("", outcome="failure", initiator={"id": user}), 40),
            Told("identity.authenticate", an_identity("", outcome="failure", initiator={"id": user}), 40),
            Told("identity.authenticate", an_identity("", outcome="success", initiator={"id": user}), 50),
        ],
    )
    assert meters_of(tx, user) == {
        f"identity.{name}": ("delta", "user")
        for name in ("user.created", "user.updated", "authenticate.failure", "authenticate.success")
    }
    assert [value for _, value in measures_of(tx, user, "identity.authenticate.failure")] == [1, 1]
    assert meters_of(tx, trust) == {"identity.trust.created": ("delta", "trust")}
    assert resource_of(tx, role)["type"] == "identity"


def test_an_account_of_a_project_that_keystone_told_of_before_is_the_projects_own(tx: Transaction):
    account = uuid4().hex
    request = Told("objectstore.http.request", a_swift_request(account, "storage.objects.outgoing.bytes", 30), 950)
    taken_whole(tx, [Told("identity.project.created", an_identity(account), 0)])
    taken_whole(tx, [request])
    taken_whole(tx, [Told("identity.project.updated", an_identity(account), 960)])
    used = counter_usage(tx, project_id=account, meter="storage.objects.outgoing.bytes", interval=HOUR)
    assert [usage.quantity for usage in used] == [30]
    assert resource_of(tx, account)["type"] == "swift_account"


def a_poll_of_swift(account: str, *, size: int, objects: int, at_s: float) -> Told:
    """What Ceilometer's polling agent sends of an account and of one of its containers."""

    def counted(name: str, unit: str, volume: int, resource: str = account) -> dict[str, Any]:
        return {
            "counter_name": name,
            "counter_type": "gauge",
            "counter_unit": unit,
            "counter_volume": volume,
            "user_id": None,
            "project_id": account,
            "resource_id": resource,
            "timestamp": (T0 + timedelta(seconds=at_s)).replace(tzinfo=None).isoformat(),
            "resource_metadata": {},
            "source": "openstack",
            "message_id": str(uuid4()),
        }

    samples = [
        counted("storage.objects.size", "B", size),
        counted("storage.objects", "object", objects),
        counted("storage.objects.containers", "container", 1),
        counted("storage.containers.objects.size", "B", size, f"{account}/photos"),
        counted("cpu", "ns", 5, str(uuid4())),
    ]
    return Told("telemetry.polling", {"samples": samples}, at_s + 1)


def test_what_swift_stores_is_told_by_ceilometers_polls_and_has_a_price_by_the_second(tx: Transaction):
    account = uuid4().hex
    taken_whole(
        tx,
        [
            Told("identity.project.created", an_identity(account), 0),
            a_poll_of_swift(account, size=1000, objects=2, at_s=300),
            a_poll_of_swift(account, size=1000, objects=3, at_s=600),
            a_poll_of_swift(account, size=5000, objects=4, at_s=900),
            Told("objectstore.http.request", a_swift_request(account, "storage.objects.outgoing.bytes", 30), 950),
            Told("identity.project.deleted", an_identity(account), 1200),
        ],
    )
    assert stays(tx, account, "storage.objects.size") == [(1000, "", 300, 900), (5000, "", 900, 1200)]
    assert measures_of(tx, account, "storage.objects") == [(300, 2), (600, 3), (900, 4)]
    assert measures_of(tx, account, "storage.objects.size") == [(300, 1000), (600, 1000), (900, 5000)]
    assert measures_of(tx, f"{account}/photos", "storage.containers.objects.size")[-1] == (900, 5000)
    resource = resource_of(tx, account)
    assert (resource["type"], resource["project"]) == ("swift_account", account)
    used = counter_usage(tx, project_id=account, meter="storage.objects.outgoing.bytes", interval=HOUR)
    assert [usage.quantity for usage in used] == [30]


def test_swift_counts_bytes_and_requests_of_the_account(tx: Transaction):
    account = uuid4().hex
    stranger = {"initiator": {"id": "anonymous", "project_id": "stranger"}}
    taken_whole(
        tx,
        [
            Told(
                "objectstore.http.request",
                a_swift_request(account, "storage.objects.outgoing.bytes", 28, **stranger),
                0,
            ),
            Told("objectstore.http.request", a_swift_request(account, "storage.objects.outgoing.bytes", 30), 0),
            Told("objectstore.http.request", a_swift_request(account, "storage.objects.incoming.bytes", 7), 5),
        ],
    )
    assert time_of(tx, account, "storage.objects.outgoing.bytes") == 58
    assert time_of(tx, account, "storage.objects.incoming.bytes") == 7
    assert time_of(tx, account, "storage.api.request") == 3
    assert resource_of(tx, account)["type"] == "swift_account"
    assert meters_of(tx, account)["storage.api.request"] == ("delta", "request")


def test_heat_tells_of_stacks(tx: Transaction, project: str):
    stack = str(uuid4())
    of = {"tenant_id": project, "user_identity": "user-1", "stack_identity": stack, "stack_name": "shop"}
    taken_whole(
        tx,
        [
            Told("orchestration.stack.create.end", of, 0),
            Told("orchestration.stack.update.end", of, 10),
            Told("orchestration.stack.suspend.end", of, 20),
            Told("orchestration.stack.resume.end", of, 30),
            Told("orchestration.stack.delete.end", of, 40),
        ],
    )
    assert stays(tx, project, "stack") == [(1, "", 0, 40)]
    assert time_of(tx, project, "stack.update") == 1
    assert set(meters_of(tx, stack)) == {f"stack.{k}" for k in ("create", "update", "suspend", "resume", "delete")}


def test_trove_tells_of_databases_and_their_volumes(tx: Transaction, project: str):
    database = str(uuid4())
    of = {
        "tenant_id": project,
        "user_id": "user-1",
        "instance_id": database,
        "name": "orders",
        "instance_type": "db.small",
        "volume_size": 5,
        "state": "ACTIVE",
        "nova_instance_id": str(uuid4()),
    }
    taken_whole(
        tx,
        [
            Told("trove.instance.create", of, 0),
            Told("trove.instance.modify_volume", {**of, "volume_size": 8}, 100),
            Told("trove.instance.modify_flavor", {**of, "instance_type": "db.large"}, 200),
            Told("trove.instance.exists", {**of, "instance_type": "db.large"}, 250),
            Told("trove.instance.delete", {**of, "deleted_at": "2026-11-01T00:05:00"}, 301),
        ],
    )
    assert stays(tx, project, "trove.instance") == [(1, "db.small", 0, 200), (1, "db.large", 200, 300)]
    assert stays(tx, project, "trove.volume.size") == [(5, "", 0, 100), (8, "", 100, 300)]
    assert resource_of(tx, database)["type"] == "database_instance"


def test_sahara_tells_of_clusters(tx: Transaction, project: str):
    cluster = str(uuid4())
    of = {"cluster_id": cluster, "project_id": project, "name": "hadoop", "cluster_status": "Active"}
    taken_whole(tx, [Told("sahara.cluster.create", of, 0), Told("sahara.cluster.delete", of, 90)])
    assert stays(tx, project, "sahara.cluster") == [(1, "", 0, 90)]


def test_ironic_tells_of_nodes_and_what_their_sensors_read(tx: Transaction, project: str):
    node = str(uuid4())
    shown = {"ironic_object.data": {"uuid": node, "owner": project, "name": "rack1-1", "resource_class": "large"}}
    taken_whole(
        tx,
        [
            Told("baremetal.node.create.end", shown, 0),
            Told("hardware.ipmi.metrics", sensors(node), 10),
            Told("baremetal.node.delete.end", shown, 50),
        ],
    )
    assert stays(tx, project, "baremetal.node") == [(1, "large", 0, 50)]
    assert measures_of(tx, f"{node}-Inlet Temp (0x3)", "hardware.ipmi.temperature") == [(10, 26)]
    assert measures_of(tx, f"{node}-Fan 1 (0x30)", "hardware.ipmi.fan") == [(10, 4080)]
    assert meters_of(tx, f"{node}-Pwr (0x94)") == {"hardware.ipmi.current": ("gauge", "W")}
    assert meters_of(tx, f"{node}-P1 (0x20)") == {}


def test_designate_tells_of_zones(tx: Transaction, project: str):
    zone = str(uuid4())
    of = {"id": zone, "tenant_id": project, "name": "example.org.", "status": "ACTIVE"}
    taken_whole(
        tx, [Told("dns.zone.create", of, 0), Told("dns.domain.exists", of, 60), Told("dns.zone.delete", of, 70)]
    )
    assert stays(tx, project, "dns.zone") == [(1, "", 0, 70)]
    assert resource_of(tx, zone)["attributes"]["name"] == "example.org."


@pytest.mark.parametrize(
    ("uri", "account"), [("service/security/secrets", "key-manager"), ("service/messaging/queues", "messaging")]
)
def test_barbican_and_zaqar_count_their_requests(tx: Transaction, project: str, uri: str, account: str):
    taken_whole(
        tx,
        [
            Told("audit.http.response", an_audit(project, uri), 0),
            Told("audit.http.response", an_audit(project, uri, "failure"), 1),
        ],
    )
    assert time_of(tx, project, f"{account}.api.request") == 2
    assert time_of(tx, project, f"{account}.api.request.failed") == 1
    assert resource_of(tx, f"{project}/{account}")["type"] == "request_account"


def test_manila_tells_of_shares(tx: Transaction, project: str):
    share = str(uuid4())
    of = {"share_id": share, "project_id": project, "name": "home", "proto": "NFS", "size": 2}
    taken_whole(
        tx,
        [
            Told("share.create.end", of, 0),
            Told("share.extend.end", {**of, "size": 4}, 100),
            Told("share.delete.end", of, 200),
        ],
    )
    assert stays(tx, project, "manila.share.size") == [(2, "", 0, 100), (4, "", 100, 200)]


def test_the_time_of_a_resource_can_be_explained_hour_by_hour(tx: Transaction, project: str):
    volume = str(uuid4())
    taken_whole(tx, [Told("volume.create.end", a_volume(volume, project), 1800)])
    whole = TimeInterval(T0, T0 + timedelta(hours=3))
    (usage,) = counter_usage(tx, project_id=project, meter="volume.size.time", interval=whole)
    pieces = counter_samples(
        tx, project_id=project, resource_id=UUID(volume), meter="volume.size.time", interval=whole, limit=100
    )
    (second,) = counter_samples(
        tx,
        project_id=project,
        resource_id=UUID(volume),
        meter="volume.size.time",
        interval=whole,
        limit=1,
        skipped=1,
    )
    assert second == pieces[1]
    assert usage.unit == "GiB*s"
    assert [piece.increase for piece in pieces] == [10 * 1800, 10 * 3600, 10 * 3600]
    assert sum(piece.increase for piece in pieces) == usage.quantity
