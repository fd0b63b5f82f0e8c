"""The whole product as `nepho up` runs it, in a folder and with an installation id of its own, for tests to use, to kill and to stop."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import psutil
import yaml

from entrypoints.demo_cloud import Credentials, DemoCloud
from foundation.ids import new_hex_id
from provision import with_parent
from tests.conftest import ROOT
from tests.contract.conftest import spare_port

SERVED_S_MAX = 420.0
STOPPED_S_MAX = 300.0
CLIENT_S_MAX = 300.0
LOOK_INTERVAL_S = 0.2
ARGUMENTS_OF = {
    "api": "entrypoints.http",
    "worker": "worker",
    "scheduler": "entrypoints.schedule",
    "agent": "entrypoints.agent",
}

Found = TypeVar("Found")


def eventually(look: Callable[[], Found], *, within_s: float, what: str) -> Found:
    """Look until something is found; errors of the way there count as nothing found."""
    deadline = time.monotonic() + within_s
    last: Any = None
    while time.monotonic() < deadline:
        try:
            last = look()
        except (OSError, AssertionError, LookupError, httpx2.HTTPError, psutil.Error) as error:
            last = error
        else:
            if last:
                return last
        time.sleep(LOOK_INTERVAL_S)
    raise AssertionError(f"{what}: not within {within_s:.0f} s; last seen: {last!r}")


@dataclass(slots=True)
class Stack:
    """One running `nepho up`."""

    url: str
    var: Path
    up: "subprocess.Popen[bytes]"
    clients: list[DemoCloud] = field(default_factory=list[DemoCloud])

    def cloud(self, name: str = "demo") -> DemoCloud:
        """Sign in as one of the first users."""
        auth = yaml.safe_load((self.var / "clouds.yaml").read_text())["clouds"][f"nephoscope-{name}"]["auth"]
        cloud = DemoCloud(self.url, Credentials(auth["username"], auth["password"], auth["project_name"]))
        self.clients.append(cloud)
        cloud.sign_in()
        return cloud

    def openstack(self, *arguments: str, cloud: str = "nephoscope-demo") -> str:
        """Run the real command line client and return what it printed; an error of it is an AssertionError."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
        environment |= {"OS_CLIENT_CONFIG_FILE": str(self.var / "clouds.yaml"), "no_proxy": "*"}
        command = [str(Path(sys.executable).parent / "openstack"), "--os-cloud", cloud, *arguments]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=CLIENT_S_MAX, check=False
        )
        assert done.returncode == 0, f"openstack {' '.join(arguments)}: {done.stderr[-2000:]}"
        return done.stdout

    def delete_all(self) -> None:
        """Delete every group and instance of the demo project and wait until they are gone."""
        cloud = self.cloud()
        for group in cloud.items("/v1/scaling/groups"):
            cloud.http.delete(f"/v1/scaling/groups/{group['id']}").raise_for_status()
        for server in cloud.get("/compute/v2.1/servers")["servers"]:
            cloud.http.delete(f"/compute/v2.1/servers/{server['id']}")
        gone = lambda: not cloud.get("/compute/v2.1/servers")["servers"]  # noqa: E731
        eventually(gone, within_s=STOPPED_S_MAX, what="all instances deleted")

    def process(self, service: str) -> psutil.Process:
        """Return the running process of a service: the eldest whose command line is that service's."""
        found = [child for child in psutil.Process(self.up.pid).children(recursive=True) if is_service(child, service)]
        assert found, f"{service} does not run"
        return min(found, key=lambda child: child.create_time())

    def kill_family(self, service: str) -> psutil.Process:
        """Kill a service and all its children at once, as the kernel would for want of memory."""
        parent = self.process(service)
        for member in [parent, *parent.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.send_signal(signal.SIGKILL)
        return parent

    def stop(self) -> int:
        """Ask it to stop as Ctrl-C does, and return its exit code."""
        self.up.send_signal(signal.SIGINT)
        return self.up.wait(STOPPED_S_MAX)


def is_service(process: psutil.Process, service: str) -> bool:
    """Tell whether a process is that service, by its arguments."""
    try:
        return ARGUMENTS_OF[service] in process.cmdline()
    except psutil.Error:
        return False


def lay_folder(var: Path) -> None:
    """Make a folder for an installation with the guest image that setting up has built, shared by hard links, and our Python."""
    var.mkdir(parents=True, exist_ok=True)
    if not (var / "venv").exists():
        (var / "venv").symlink_to(sys.prefix)
    image = ROOT / "var" / "images" / "guest"
    if image.exists() and not (var / "images").exists():
        shutil.copytree(image, var / "images" / "guest", copy_function=os.link, dirs_exist_ok=True)


@contextmanager
def running_stack(var: Path, settings: Mapping[str, str]) -> Generator[Stack]:
    """Serve while the block runs; what is left afterwards is stopped by force, by the supervisor's own rule."""
    lay_folder(var)
    port = spare_port()
    environment = os.environ | {
        "DEMO": "0",
        "NEPHO_VAR": str(var),
        "NEPHO_LISTEN": f"127.0.0.1:{port}",
        "NEPHO_INSTALLATION": f"t{new_hex_id()[-8:]}",
        "PYTHONPATH": str(ROOT),
        **settings,
    }
    log = (var / "up.log").open("wb")
    up = subprocess.Popen(
        with_parent.launch(signal.SIGINT, sys.executable, "-m", "entrypoints", "up"),
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        process_group=0,
    )
    stack = Stack(f"http://127.0.0.1:{port}", var, up)
    try:
        eventually(lambda: is_ready(stack), within_s=SERVED_S_MAX, what="the product serves")
        yield stack
    finally:
        log.close()
        for client in stack.clients:
            client.http.close()
        if up.poll() is None:
            stack.stop()


def is_ready(stack: Stack) -> bool:
    """Tell whether the API says that it is ready; a supervisor that has ended is an error at once."""
    if stack.up.poll() is not None:
        raise RuntimeError((stack.var / "up.log").read_text(errors="replace")[-3000:])
    cloud = DemoCloud(stack.url, Credentials("", "", ""))
    try:
        return cloud.http.get("/readyz").status_code == 200
    finally:
        cloud.http.close()
