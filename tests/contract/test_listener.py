"""The listener's own process against a real RabbitMQ, with notifications from the real oslo.messaging: nothing lost, nothing twice."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from kombu.connection import Connection
from kombu.entity import Exchange
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from typer.testing import CliRunner

from entrypoints.__main__ import command_line
from foundation.database import Pool, transaction
from foundation.exposition import families_of, read_all
from foundation.ids import new_hex_id
from metering.model import resource_id_of
from provision.rabbitmq import Broker, running_test_broker
from tests.conftest import migrated_database, open_patient_pool
from tests.contract.conftest import spare_port
from tests.notification_payloads import (
    Told,
    a_swift_request,
    a_volume,
    an_audit,
    an_identity,
    an_image,
    an_instance,
    sensors,
)

ROOT = Path(__file__).parent.parent.parent
PATIENCE_S = 120.0
NOTIFIER_TIMEOUT_S = 180


@pytest.fixture(scope="module")
def certificate() -> tuple[str, str]:
    return self_signed_certificate()


@pytest.fixture(scope="module")
def tls_port() -> int:
    return spare_port()


@pytest.fixture(scope="module")
def broker(certificate: tuple[str, str], tls_port: int) -> Iterator[Broker]:
    """A broker that also speaks TLS."""
    settings = (
        f"listeners.ssl.default = 127.0.0.1:{tls_port}",
        "ssl_options.certfile = /broker/certificate.pem",
        "ssl_options.keyfile = /broker/key.pem",
    )
    files = {"rabbitmq.conf": "\n".join(settings) + "\n", "certificate.pem": certificate[0], "key.pem": certificate[1]}
    with running_test_broker(ROOT / "var", files=files) as running:
        yield running


def self_signed_certificate() -> tuple[str, str]:
    """A certificate of 127.0.0.1 and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    return built.public_bytes(serialization.Encoding.PEM).decode(), pem.decode()


@pytest.fixture(scope="module")
def own_url(cluster_url: str) -> Iterator[str]:
    with migrated_database(cluster_url, f"listener_{new_hex_id()}") as url:
        yield url


@pytest.fixture(scope="module")
def pool(own_url: str) -> Iterator[Pool]:
    opened = open_patient_pool(own_url, size_max=2)
    yield opened
    opened.close()


@contextmanager
def opened(url: str) -> Generator[Pool]:
    pool = open_patient_pool(url, size_max=2)
    try:
        yield pool
    finally:
        pool.close()


@pytest.fixture
def queue() -> str:
    return f"nephoscope-{uuid4().hex[:8]}"


def environment_of(broker: Broker, url: str, queue: str, **settings: str) -> dict[str, str]:
    return os.environ | {
        "NEPHO_AMQP_URL": broker.url.replace("amqp://", "rabbit://"),
        "NEPHO_DATABASE_URL": url,
        "NEPHO_NOTIFICATION_QUEUE": queue,
        "NEPHO_AMQP_DURABLE_QUEUES": "false",
        "PYTHONPATH": str(ROOT),
        **settings,
    }


@contextmanager
def listening(
    environment: dict[str, str], log: Path, *, program: Sequence[str] = ("-m", "entrypoints.listener")
) -> Generator["subprocess.Popen[bytes]"]:
    """The listener's process while the block runs, from when its queue is bound."""
    own = environment | {"NEPHO_VAR": str(log.parent / "var")}
    with log.open("ab") as written:
        child = subprocess.Popen([sys.executable, *program], cwd=ROOT, env=own, stdout=written, stderr=written)
    try:
        until(lambda: "listener.connected" in log.read_text(), lambda: log.read_text())
        yield child
    finally:
        child.terminate()
        child.wait(PATIENCE_S)


def until(holds: Callable[[], bool], say: Callable[[], object] = lambda: "") -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, say()
        time.sleep(0.05)


def notify(broker: Broker, told: Sequence[tuple[str, Told]], *options: str) -> None:
    """Let the real library send what services tell, each on its exchange."""
    notifications = [
        {
            "exchange": exchange,
            "event_type": one.event_type,
            "payload": one.payload,
            "context": one.context,
            "publisher_id": one.publisher_id,
        }
        for exchange, one in told
    ]
    program = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("notifier.py"))]
    sent = subprocess.run(
        [*program, broker.url.replace("amqp://", "rabbit://"), *options],
        input=json.dumps(notifications),
        text=True,
        capture_output=True,
        timeout=NOTIFIER_TIMEOUT_S,
        check=False,
    )
    assert sent.returncode == 0, sent.stderr


def publish(broker: Broker, bodies: Sequence[bytes], *, exchange: str = "nova", durable: bool = False) -> None:
    """Send bytes as they are, and wait until the broker has them."""
    with Connection(broker.url, transport_options={"confirm_publish": True}) as opened:
        connection: Any = opened
        producer = connection.Producer()
        for body in bodies:
            producer.publish(
                body,
                exchange=Exchange(exchange, type="topic", durable=durable, auto_delete=False),
                routing_key="notifications.info",
                content_type="application/json",
                content_encoding="utf-8",
                delivery_mode=2,
            )


def one_value(pool: Pool, statement: Any, *parameters: object) -> Any:
    with transaction(pool) as tx:
        row = tx.execute(statement, parameters).fetchone()
    return None if row is None else row[0]


def total_of(pool: Pool, resource: str, meter: str) -> float:
    """The sum of a delta meter's measures."""
    return one_value(
        pool,
        "SELECT coalesce(sum(m.value), 0) FROM measure m JOIN metric c ON c.key = m.metric_key"
        " WHERE c.resource_id = %s AND c.name = %s",
        resource_id_of(resource),
        meter,
    )


def type_of(pool: Pool, resource: str) -> str | None:
    return one_value(pool, "SELECT resource_type FROM resource WHERE id = %s", resource_id_of(resource))


def requests(account: str, count: int) -> list[Told]:
    return [
        Told("objectstore.http.request", a_swift_request(account, "storage.objects.outgoing.bytes", 10), at_s=number)
        for number in range(count)
    ]


def tool(environment: dict[str, str], *arguments: str) -> Any:
    """Run `nepho dead-letters` with these settings."""
    return CliRunner().invoke(command_line, ["dead-letters", *arguments], env=environment | {"COLUMNS": "300"})


def test_what_each_service_sends_by_the_real_library_becomes_its_resources(
    broker: Broker, own_url: str, pool: Pool, queue: str, tmp_path: Path
):
    project = f"project-{uuid4()}"
    names = {
        kind: str(uuid4())
        for kind in ("instance", "image", "volume", "ip", "user", "stack", "zone", "node", "db", "cluster")
    }
    account = uuid4().hex
    trove = {"tenant_id": project, "instance_id": names["db"], "instance_type": "s", "volume_size": 5, "name": "db"}
    floating = {"floatingip": {"id": names["ip"], "floating_ip_address": "198.51.100.7"}}
    owner = {"user_id": "user-1", "project_id": project}
    told = [
        ("nova", Told("compute.instance.create.end", an_instance(names["instance"], project, "active"))),
        ("nova", Told("compute.instance.create.start", an_instance(names["instance"], project, "building"))),
        ("glance", Told("image.upload", an_image(names["image"], project))),
        ("cinder", Told("volume.create.end", a_volume(names["volume"], project))),
        ("neutron", Told("floatingip.create.end", floating, context=owner)),
        ("keystone", Told("identity.user.created", an_identity(names["user"]))),
        ("swift", requests(account, 1)[0]),
        ("heat", Told("orchestration.stack.create.end", {"tenant_id": project, "stack_identity": names["stack"]})),
        ("designate", Told("dns.zone.create", {"id": names["zone"], "tenant_id": project, "name": "example.org."})),
        ("trove", Told("trove.instance.create", trove)),
        ("sahara", Told("sahara.cluster.create", {"cluster_id": names["cluster"], "project_id": project})),
        ("ironic", Told("hardware.ipmi.metrics", sensors(names["node"]))),
        ("barbican", Told("audit.http.response", an_audit(project, "service/security/secrets"))),
        ("zaqar", Told("audit.http.response", an_audit(project, "service/messaging/queues"))),
    ]
    expected = {
        names["instance"]: "instance",
        names["image"]: "image",
        names["volume"]: "volume",
        names["ip"]: "network",
        names["user"]: "identity",
        account: "swift_account",
        names["stack"]: "stack",
        names["zone"]: "dns_zone",
        names["db"]: "database_instance",
        names["cluster"]: "data_cluster",
        f"{names['node']}-Inlet Temp (0x3)": "ipmi",
        f"{project}/key-manager": "request_account",
        f"{project}/messaging": "request_account",
    }
    with listening(environment_of(broker, own_url, queue), tmp_path / "log"):
        notify(broker, told)
        until(
            lambda: {name: type_of(pool, name) for name in expected} == expected,
            lambda: ({name: type_of(pool, name) for name in expected}, (tmp_path / "log").read_text()),
        )
    assert one_value(pool, "SELECT project_id FROM resource WHERE id = %s", resource_id_of(names["ip"])) == project
    assert one_value(pool, "SELECT count(*) FROM lifecycle_event WHERE project_id = %s", project) == 1


def test_what_services_sent_before_anybody_listened_is_read_from_their_own_queues(
    broker: Broker, own_url: str, pool: Pool, tmp_path: Path
):
    volume = str(uuid4())
    notify(broker, [("cinder", Told("volume.create.end", a_volume(volume, "p")))])
    with listening(environment_of(broker, own_url, ""), tmp_path / "log"):
        until(lambda: type_of(pool, volume) == "volume")


def test_a_message_that_cannot_be_taken_waits_with_its_reason_until_that_is_mended(
    broker: Broker, own_url: str, pool: Pool, queue: str, tmp_path: Path
):
    volume, marker = str(uuid4()), str(uuid4())
    payload = a_volume(volume, "p")
    payload["size_gb"] = payload.pop("size")
    environment = environment_of(broker, own_url, queue)
    with listening(environment, tmp_path / "log"):
        told = Told("volume.create.end", payload)
        body = told.body()
        publish(broker, [b"{not json " + marker.encode(), body, body], exchange="cinder")
        until(lambda: one_value(pool, "SELECT times_seen FROM dead_letter WHERE message_id = %s", told.message_id) == 2)
        after = Told("volume.create.end", a_volume(str(uuid4()), "p"))
        publish(broker, [after.body()], exchange="cinder")
        until(lambda: type_of(pool, after.payload["volume_id"]) == "volume")
    assert waiting(broker, queue) == 0
    assert outcomes(tmp_path) == {"dead": 3, "taken": 1}
    listed = tool(environment, "list").stdout
    assert "the message is not JSON" in listed
    assert "definition cinder-volume: existence.size: nothing where a size should be" in listed
    letter = str(one_value(pool, "SELECT id FROM dead_letter WHERE message_id = %s", told.message_id))
    again = tool(environment, "replay", letter)
    assert (again.exit_code, "still waits" in again.stdout) == (1, True)
    mended = tmp_path / "definitions"
    mended.mkdir()
    own = (
        (ROOT / "collectors/definitions/cinder.yaml")
        .read_text()
        .replace("size: payload.size\n", "size: [payload.size, payload.size_gb]\n")
    )
    (mended / "cinder.yaml").write_text(own)
    again = tool(environment | {"NEPHO_DEFINITIONS": str(mended)}, "replay", letter)
    assert (again.exit_code, again.stdout) == (0, f"{letter} replayed\n")
    assert type_of(pool, volume) == "volume"
    garbage = str(one_value(pool, "SELECT id FROM dead_letter WHERE position(%s in body) > 0", marker.encode()))
    assert marker in tool(environment, "show", garbage).stdout
    assert tool(environment, "discard", garbage).stdout == f"{garbage} discarded\n"
    twice = tool(environment, "discard", garbage)
    assert (twice.exit_code, "was discarded already" in twice.stderr) == (2, True)


def test_what_cannot_be_kept_stays_with_the_broker_until_there_is_room(
    broker: Broker, cluster_url: str, queue: str, tmp_path: Path
):
    with migrated_database(cluster_url, f"letters_{new_hex_id()}") as url, opened(url) as pool:
        environment = environment_of(broker, url, queue, NEPHO_DEAD_LETTERS_MIB_MAX="10")
        after = Told("volume.create.end", a_volume(str(uuid4()), "p"))
        log = tmp_path / "log"
        with listening(environment, log):
            publish(broker, [b"%d " % number + b"{" * 1_000_000 for number in range(12)], exchange="cinder")
            until(lambda: "listener.dead_letters_full" in log.read_text(), lambda: log.read_text())
            assert one_value(pool, "SELECT count(*) FROM dead_letter") == 10
            publish(broker, [after.body()], exchange="cinder")
            listed = tool(environment, "list", "--limit", "2")
            assert "\n10 wait and take 9.5 of 10 MiB; the oldest since " in listed.stdout
            assert tool(environment, "discard", "--all").exit_code == 0
            until(lambda: type_of(pool, after.payload["volume_id"]) == "volume", lambda: log.read_text())
            assert one_value(pool, "SELECT count(*) FROM dead_letter WHERE state = 'waiting'") == 2
        assert waiting(broker, queue) == 0


def outcomes(folder: Path) -> dict[str, float]:
    """What a listener has counted, as `/metrics` would tell it."""
    families = families_of(read_all(folder / "var" / "run" / "metrics").values)
    (counted,) = [family for family in families if family.name == "nephoscope_notifications_total"]
    return {labels["outcome"]: value for _, labels, value in counted.samples}


def waiting(broker: Broker, queue: str) -> int:
    """How many messages the broker keeps for a queue that nobody reads."""
    with Connection(broker.url) as opened:
        connection: Any = opened
        with connection.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).message_count)


def test_while_the_database_is_away_nothing_is_acknowledged_and_nothing_lost(
    broker: Broker, own_url: str, pool: Pool, cluster_url: str, queue: str, tmp_path: Path
):
    account = uuid4().hex
    with listening(environment_of(broker, own_url, queue), tmp_path / "log"):
        with without_database(cluster_url, own_url):
            publish(broker, [told.body() for told in requests(account, 30)], exchange="swift")
            until(lambda: "listener.database_away" in (tmp_path / "log").read_text())
            time.sleep(5)
        until(lambda: total_of(pool, account, "storage.objects.outgoing.bytes") == 300)
    assert waiting(broker, queue) == 0
    assert total_of(pool, account, "storage.api.request") == 30


@contextmanager
def without_database(cluster_url: str, url: str) -> Generator[None]:
    """Let the database refuse everybody while the block runs, and end who is connected."""
    database = str(conninfo_to_dict(url)["dbname"])
    name = sql.Identifier(database)
    with psycopg.connect(cluster_url, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
        try:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (database,))
            yield
        finally:
            connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))


def test_a_broker_that_is_killed_and_comes_back_loses_nothing_that_it_had_confirmed(
    broker: Broker, own_url: str, pool: Pool, queue: str, tmp_path: Path
):
    account = uuid4().hex
    environment = environment_of(
        broker,
        own_url,
        queue,
        NEPHO_AMQP_DURABLE_QUEUES="true",
        NEPHO_NOTIFICATION_EXCHANGES="durable-swift",
        NEPHO_VAR=str(tmp_path / "var"),
    )
    told = requests(account, 60)
    with listening(environment, tmp_path / "first"):
        publish(broker, [one.body() for one in told[:20]], exchange="durable-swift", durable=True)
        until(lambda: total_of(pool, account, "storage.api.request") == 20)
    publish(broker, [one.body() for one in told[20:40]], exchange="durable-swift", durable=True)
    broker.kill()
    log = tmp_path / "second"
    with log.open("ab") as written:
        child = subprocess.Popen(
            [sys.executable, "-m", "entrypoints.listener"], cwd=ROOT, env=environment, stdout=written, stderr=written
        )
    try:
        until(lambda: "listener.broker_away" in log.read_text())
        broker.start()
        until(lambda: total_of(pool, account, "storage.api.request") == 40, lambda: log.read_text())
        publish(broker, [one.body() for one in told[40:]], exchange="durable-swift", durable=True)
        until(lambda: total_of(pool, account, "storage.api.request") == 60, lambda: log.read_text())
    finally:
        child.terminate()
        assert child.wait(PATIENCE_S) == 0
    assert total_of(pool, account, "storage.objects.outgoing.bytes") == 600


def test_a_message_that_is_delivered_again_counts_once(
    broker: Broker, own_url: str, pool: Pool, queue: str, tmp_path: Path
):
    account = uuid4().hex
    told = requests(account, 5)
    with listening(environment_of(broker, own_url, queue, NEPHO_NOTIFICATION_BATCH="3"), tmp_path / "log"):
        for _ in range(3):
            publish(broker, [one.body() for one in told], exchange="swift")
        last = requests(account, 1)
        publish(broker, [last[0].body()], exchange="swift")
        until(
            lambda: one_value(pool, "SELECT 1 FROM heard_notification WHERE message_id = %s", last[0].message_id) == 1
        )
    assert total_of(pool, account, "storage.api.request") == 6
    assert total_of(pool, account, "storage.objects.outgoing.bytes") == 60


def test_a_listener_killed_between_commit_and_acknowledgement_counts_nothing_twice(
    broker: Broker, own_url: str, pool: Pool, queue: str, tmp_path: Path
):
    account = uuid4().hex
    environment = environment_of(broker, own_url, queue)
    dying = ("-m", "tests.contract.listener_that_dies")
    with listening(environment, tmp_path / "dying", program=dying) as child:
        publish(broker, [one.body() for one in requests(account, 12)], exchange="swift")
        assert child.wait(PATIENCE_S) == -9
    committed = total_of(pool, account, "storage.api.request")
    assert committed > 0
    until(lambda: waiting(broker, queue) == 12)
    with listening(environment, tmp_path / "log"):
        last = Told("image.upload", an_image(str(uuid4()), "p"))
        publish(broker, [last.body()], exchange="glance")
        until(lambda: type_of(pool, last.payload["id"]) == "image")
    assert waiting(broker, queue) == 0
    assert total_of(pool, account, "storage.api.request") == 12
    assert total_of(pool, account, "storage.objects.outgoing.bytes") == 120


def test_tls_is_spoken_with_a_broker_whose_certificate_is_right_and_with_no_other(
    broker: Broker, own_url: str, pool: Pool, queue: str, tmp_path: Path, certificate: tuple[str, str], tls_port: int
):
    trusted, other = tmp_path / "ca.pem", tmp_path / "other.pem"
    trusted.write_text(certificate[0])
    other.write_text(self_signed_certificate()[0])
    secure = environment_of(broker, own_url, queue, NEPHO_AMQP_URL=f"amqps://guest:guest@127.0.0.1:{tls_port}//")
    with listening(secure | {"NEPHO_AMQP_CA_FILE": str(trusted)}, tmp_path / "log"):
        told = Told("image.upload", an_image(str(uuid4()), "p"))
        publish(broker, [told.body()], exchange="glance")
        until(lambda: type_of(pool, told.payload["id"]) == "image")
    log = tmp_path / "refused"
    with log.open("ab") as written:
        child = subprocess.Popen(
            [sys.executable, "-m", "entrypoints.listener"],
            cwd=ROOT,
            env=secure | {"NEPHO_AMQP_CA_FILE": str(other)},
            stdout=written,
            stderr=written,
        )
    try:
        until(lambda: "certificate verify failed" in log.read_text(), log.read_text)
        assert "listener.connected" not in log.read_text()
    finally:
        child.terminate()
        child.wait(PATIENCE_S)


def test_two_listeners_share_the_work_and_count_each_message_once(
    broker: Broker, own_url: str, pool: Pool, queue: str, tmp_path: Path
):
    account, volumes = uuid4().hex, [str(uuid4()) for _ in range(5)]
    sizes = [
        Told("volume.resize.end", a_volume(volumes[number % 5], account, size=number + 1), at_s=number)
        for number in range(100)
    ]
    told = [one for pair in zip(requests(account, 100), sizes, strict=True) for one in pair]
    environment = environment_of(
        broker, own_url, queue, NEPHO_NOTIFICATION_BATCH="7", NEPHO_NOTIFICATION_BATCH_WAIT_MS="5"
    )
    with listening(environment, tmp_path / "one"), listening(environment, tmp_path / "other"):
        for exchange in ("swift", "cinder"):
            publish(broker, [one.body() for one in told], exchange=exchange)
        until(lambda: total_of(pool, account, "storage.api.request") == 100)
        until(lambda: one_value(pool, "SELECT count(*) FROM resource_event WHERE project_id = %s", account) == 100)
        until(lambda: waiting(broker, queue) == 0)
    assert total_of(pool, account, "storage.objects.outgoing.bytes") == 1000
    sizes_kept = [
        one_value(
            pool,
            "SELECT size::int FROM resource_event WHERE resource_id = %s ORDER BY observed_at DESC LIMIT 1",
            volume,
        )
        for volume in volumes
    ]
    assert sizes_kept == [96, 97, 98, 99, 100]
    for log in ("one", "other"):
        assert '"taken"' in (tmp_path / log).read_text(), "each listener took a part"
