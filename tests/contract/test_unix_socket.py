"""Served on a Unix socket: who may open it may come in, it is put away at the end, and nothing else is ever put away for it."""

import base64
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from api.trust import is_trusted
from entrypoints import up
from entrypoints.preflight import read_settings
from foundation.settings import Settings
from provision import machine
from provision.failures import ProvisionError

ROOT = Path(__file__).parent.parent.parent
PATIENCE_S = 120.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="nepho") as name:
        yield Path(name)


def environment(database_url: str, folder: Path, **more: str) -> dict[str, str]:
    settings = {
        "NEPHO_LISTEN": f"unix:{folder}/api.sock",
        "NEPHO_DATABASE_URL": database_url,
        "NEPHO_VAR": str(folder),
        "NEPHO_DATABASE_POOL_SIZE": "2",
        "PYTHONPATH": str(ROOT),
    }
    return {**os.environ, **settings, **more}


@contextmanager
def running(database_url: str, folder: Path, **more: str) -> Generator[subprocess.Popen[bytes]]:
    """Run the API's own process on a socket until the block ends."""
    command = [sys.executable, "-m", "entrypoints.http"]
    given = environment(database_url, folder, **more)
    with (
        (folder / "log").open("ab") as log,
        subprocess.Popen(command, cwd=ROOT, env=given, stdout=log, stderr=log) as api,
    ):
        try:
            deadline = time.monotonic() + PATIENCE_S
            while not up.is_served(given["NEPHO_LISTEN"]):
                assert time.monotonic() < deadline, (folder / "log").read_text()
                assert api.poll() is None, (folder / "log").read_text()
                time.sleep(0.1)
            yield api
        finally:
            api.send_signal(signal.SIGTERM)
            api.wait(PATIENCE_S)


def ask(folder: Path, path: str, headers: dict[str, str] | None = None) -> httpx2.Response:
    transport = httpx2.HTTPTransport(uds=str(folder / "api.sock"))
    with httpx2.Client(transport=transport, trust_env=False, timeout=PATIENCE_S) as client:
        return client.get(f"http://any.example{path}", headers=headers)


def test_requests_come_over_a_socket(database_url: str, folder: Path) -> None:
    basic = {"Authorization": "basic " + base64.b64encode(b"alice:").decode()}
    told = {"Forwarded": "proto=https;host=cloud.example"}
    with running(database_url, folder, NEPHO_TRUSTED_AUTH="basic"):
        mode = (folder / "api.sock").stat().st_mode
        assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o660)
        assert ask(folder, "/readyz").status_code == 200
        assert ask(folder, "/metric/v1/metric", basic).status_code == 200
        assert ask(folder, "/metric/v1/metric").status_code == 401
        assert ask(folder, "/metrics").status_code == 401
        answer = ask(folder, "/metric/", told).json()
        assert answer["versions"][0]["links"][0]["href"] == "http://localhost/metric/v1/"
        second = subprocess.run(
            [sys.executable, "-m", "entrypoints.http"],
            cwd=ROOT, env=environment(database_url, folder), capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        assert second.returncode == 1
        assert "Somebody listens on" in second.stderr
        assert ask(folder, "/readyz").status_code == 200
    assert not (folder / "api.sock").exists()


def test_a_proxy_on_the_socket_is_believed_where_it_is_named(database_url: str, folder: Path) -> None:
    (folder / "api.sock").unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(folder / "api.sock"))
    told = {"Forwarded": "proto=https;host=cloud.example"}
    more = {"NEPHO_TRUSTED_PROXIES": "unix", "NEPHO_PUBLIC_URL": "https://a.example", "NEPHO_METRICS_CIDRS": "unix"}
    with running(database_url, folder, **more):
        answer = ask(folder, "/metric/", told).json()
        assert ask(folder, "/metrics").status_code == 200
    assert answer["versions"][0]["links"][0]["href"] == "https://cloud.example/metric/v1/"


def test_what_is_no_socket_is_left_alone(folder: Path) -> None:
    (folder / "file").write_text("mine")
    for listen, reason in (
        (f"unix:{folder}/file", "is no socket"),
        (f"unix:{folder}/no/folder.sock", "no folder"),
        (f"unix:{folder}/{'x' * 120}", "longer than"),
    ):
        with pytest.raises(ProvisionError, match=reason):
            machine.check_port(listen)
    assert (folder / "file").read_text() == "mine"
    assert not up.is_served(f"unix:{folder}/file")


def test_a_socket_is_a_place_to_listen_on_and_to_take_a_word_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEPHO_LISTEN", "unix:/run/nephoscope/api.sock")
    monkeypatch.setenv("NEPHO_TRUSTED_AUTH", "headers")
    settings = read_settings()
    assert isinstance(settings, Settings)
    assert (settings.socket_path, settings.base_url) == (Path("/run/nephoscope/api.sock"), "http://localhost")
    monkeypatch.setenv("NEPHO_LISTEN", "unix:relative.sock")
    told = read_settings()
    assert isinstance(told, str)
    assert "NEPHO_LISTEN=unix:relative.sock is not allowed" in told
    assert "unix:/the/path of a socket" in told
    assert Settings(listen="127.0.0.1:1").socket_path is None


def test_only_a_socket_is_the_peer_called_unix() -> None:
    assert is_trusted("unix", "10.0.0.0/8, unix")
    assert not is_trusted("unix", "0.0.0.0/0, ::/0")
    assert is_trusted("10.0.0.1", "unix, 10.0.0.0/8")
    assert not is_trusted("192.0.2.1", "unix")
    assert Settings(metrics_cidrs="unix, 127.0.0.0/8").metrics_cidrs
    with pytest.raises(ValueError, match="unix"):
        Settings(webhook_allow_cidrs="unix")
