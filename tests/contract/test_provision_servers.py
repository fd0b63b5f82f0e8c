"""The embedded servers and the checks before them, with real programs and ports."""

import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from celery import Celery

from provision import machine, redis_server, timescaledb
from provision.failures import ProvisionError
from tests.contract.conftest import spare_port

PATIENCE_S = 120.0


def test_a_taken_port_names_the_next_one():
    port = spare_port()
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(ProvisionError, match=f"NEPHO_LISTEN=127.0.0.1:{port + 1} make run"),
    ):
        machine.check_port(f"127.0.0.1:{port}")
    machine.check_port(f"127.0.0.1:{port}")


@pytest.mark.parametrize("address", ["192.0.2.1:8798", "no-such-host.invalid:8798"])
def test_an_address_that_this_machine_does_not_have_is_not_a_taken_port(address: str):
    with pytest.raises(ProvisionError, match=r"cannot be listened on: .*Name an address of this machine.*127\.0\.0\.1"):
        machine.check_port(address)


def test_a_socket_whose_owner_is_too_busy_to_answer_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine, "SOCKET_ANSWER_TIMEOUT_S", 0.1)
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(str(tmp_path / "socket"))
        busy.listen(0)
        waiting.connect(str(tmp_path / "socket"))
        with pytest.raises(ProvisionError, match="Somebody listens on"):
            machine.free_socket(tmp_path / "socket")
        assert (tmp_path / "socket").exists()


def test_the_broker_keeps_messages_rather_than_throw_them_away_and_leaves_nothing():
    with redis_server.running_redis() as url:
        folder = Path(url.removeprefix("redis+socket://")).parent
        client: Any = redis.Redis(unix_socket_path=str(folder / redis_server.SOCKET_NAME))
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("port") == {"port": "0"}
        client.close()
        assert folder.stat().st_mode & 0o077 == 0
    assert not folder.exists()


def test_celery_reaches_the_broker_by_its_url():
    with redis_server.running_redis() as url:
        queue: Any = Celery("test", broker=url)
        queue.conf.broker_transport_options = {"socket_timeout": 10, "socket_connect_timeout": 5}
        with queue.connection_for_write() as connection:
            sender = connection.SimpleQueue("try")
            sender.put({"id": 1})
            message = sender.get(timeout=PATIENCE_S)
            assert message.payload == {"id": 1}
            message.ack()
            sender.close()


def test_the_database_checks_its_pages_and_lets_the_product_be_no_superuser(cluster_url: str):
    with psycopg.connect(cluster_url) as connection:
        asked = connection.execute(
            "SELECT current_setting('data_checksums'), current_setting('timescaledb.telemetry_level'),"
            " current_setting('listen_addresses'), (SELECT rolsuper FROM pg_roles WHERE rolname = 'nepho')"
        )
        assert asked.fetchone() == ("on", "off", "", False)


def has_words(pid: int) -> bool:
    """Tell whether there is such a process, and it is more than a name that nobody has asked for."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_database_ends_when_its_supervisor_is_killed(tmp_path: Path):
    tree = timescaledb.tree_of(Path("var"))
    if not timescaledb.is_installed(Path("var")):
        timescaledb.install(Path("var"), say=print)
    code = (
        "import sys, time; from pathlib import Path; from provision import timescaledb as t;"
        f"folder, run = Path({str(tmp_path / 'data')!r}), Path({str(tmp_path)!r}) / 'run';"
        f"s = t.start(t.Cluster(Path({str(tree)!r}), folder, run, Path({str(tmp_path / 'log')!r}), durable=False));"
        "print(s.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        supervisor.kill()
    deadline = time.monotonic() + PATIENCE_S
    while has_words(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)
