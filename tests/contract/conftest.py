"""The live API: the real process of entrypoints.http on a spare port, with the test database, for the real clients to call."""

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from foundation.database import Pool, transaction
from identity.service import bootstrap, reset_password

ROOT = Path(__file__).parent.parent.parent
START_S_MAX = 180.0
SPARE_PORTS = range(20_000, 32_000)
SPARE_PORT_TRIES_MAX = 100


@dataclass(frozen=True, slots=True)
class LiveApi:
    """Where it listens, how its users sign in, and the file from which clients read both."""

    url: str
    admin_password: str
    demo_password: str
    clouds_yaml: Path
    pid: int

    def openstack(self, *arguments: str, cloud: str = "nephoscope-admin") -> subprocess.CompletedProcess[str]:
        """Run the real command line client."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
        environment |= {"OS_CLIENT_CONFIG_FILE": str(self.clouds_yaml), "NO_PROXY": "*", "no_proxy": "*"}
        command = [str(Path(sys.executable).parent / "openstack"), "--os-cloud", cloud, *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture(scope="session")
def passwords(pool: Pool) -> dict[str, str]:
    """The passwords of admin and demo; tests that change a password make a user of their own."""
    admin_password, demo_password = sign_in_accounts(pool)
    return {"admin": admin_password, "demo": demo_password}


@pytest.fixture(scope="session")
def live_api(
    passwords: dict[str, str], database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveApi]:
    """Start the API once a session; everything that tests make through it is committed, so they name things uniquely."""
    port = spare_port()
    url = f"http://127.0.0.1:{port}"
    directory = tmp_path_factory.mktemp("live_api")
    clouds_yaml = directory / "clouds.yaml"
    admin_password, demo_password = passwords["admin"], passwords["demo"]
    clouds_yaml.write_text(yaml.safe_dump(clouds(url, admin_password=admin_password, demo_password=demo_password)))
    with running_api(database_url, directory, port=port) as api:
        yield LiveApi(url, admin_password, demo_password, clouds_yaml, api.pid)


@contextmanager
def running_api(database_url: str, directory: Path, *, port: int) -> Generator[subprocess.Popen[bytes]]:
    """Run the API's own process until the block ends."""
    environment = os.environ | {
        "NEPHO_LISTEN": f"127.0.0.1:{port}",
        "NEPHO_DATABASE_URL": database_url,
        "NEPHO_VAR": str(directory),
        "NEPHO_API_THREADS": "4",
        "NEPHO_DATABASE_POOL_SIZE": "4",
        "PYTHONPATH": str(ROOT),
    }
    log_path = directory / "api.log"
    command = [sys.executable, "-m", "entrypoints.http"]
    with (
        log_path.open("ab") as log,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log) as api,
    ):
        try:
            wait_until_ready(f"http://127.0.0.1:{port}", api, log_path)
            yield api
        finally:
            api.terminate()
            try:
                api.wait(10)
            except subprocess.TimeoutExpired:
                api.kill()


def sign_in_accounts(pool: Pool) -> tuple[str, str]:
    """Return passwords of admin and demo, whether or not another test has made them."""
    with transaction(pool) as tx:
        made = bootstrap(tx, datetime.now(UTC))
        admin = made.admin or reset_password(tx, "admin")
        demo = made.demo or reset_password(tx, "demo")
    return admin.password, demo.password


def clouds(url: str, *, admin_password: str, demo_password: str) -> dict[str, object]:
    """Return what clouds.yaml holds for the two users."""
    users = (("admin", admin_password), ("demo", demo_password))
    return {
        "clouds": {
            f"nephoscope-{name}": {
                "auth": {
                    "auth_url": f"{url}/identity",
                    "username": name,
                    "password": password,
                    "project_name": name,
                    "user_domain_name": "Default",
                    "project_domain_name": "Default",
                },
                "region_name": "RegionOne",
                "identity_api_version": 3,
            }
            for name, password in users
        }
    }


def spare_port() -> int:
    """Return a port that is free now and that the kernel gives to nobody who leaves the choice to it.

    By chance from the operating system, not from `random`, whose state is the same in all processes at the same test.
    """
    for _ in range(SPARE_PORT_TRIES_MAX):
        port = secrets.choice(SPARE_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no spare port")


def wait_until_ready(url: str, api: subprocess.Popen[bytes], log_path: Path) -> None:
    """Wait until the process answers /readyz, or fail with what it wrote."""
    deadline = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline and api.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    pytest.fail(f"the API did not start:\n{log_path.read_text()}")
