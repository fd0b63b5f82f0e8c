"""The agent's process on real guests: from an order to a lease and a console, through kills, to a host without a trace."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

from compute import service as compute
from compute.domain_xml import SHUTDOWN_NAMESPACE, domain_name, network_name
from compute.errors import InstanceNotFound
from compute.hypervisor.host_network import read_routed_subnets
from compute.lifecycle import derive_task
from compute.model import Instance, LaunchRequest
from entrypoints.bootstrap import choose_subnets, read_manifest
from foundation.database import Pool, open_pool, transaction
from foundation.ids import new_hex_id, new_id
from tests.compute_builders import a_project
from tests.conftest import ROOT, migrate, with_database
from tests.identity_builders import a_caller

pytestmark = [pytest.mark.guests, pytest.mark.timeout(1_800)]

WAIT_S = 300
"""How long anything may take to come true: some seconds, but emulated and on a machine that has ten times as much to do."""
POLL_INTERVAL_S = 1
STOP_GRACE_S = 40
"""Long enough for an emulated guest to shut down and for an agent to start while a deaf one is waited for, on such a machine too."""
DEAF = b"#!/bin/sh\nkillall acpid && echo deaf now\n"
USER_DATA = b"#!/bin/sh\necho the order was $((6 * 7))\nping -c 3 -s 1000 8.8.8.8\n"
AWAY_URL = "postgresql://nobody@127.0.0.1:1/away"
READ_BETWEEN: LiteralString = """
    SELECT count(*) FROM measure m JOIN metric k ON k.key = m.metric_key
    WHERE k.name = 'cpu' AND k.resource_id = %s AND m.observed_at BETWEEN %s AND %s
"""
COUNTERS: LiteralString = """
    SELECT m.value FROM measure m JOIN metric k ON k.key = m.metric_key JOIN resource r ON r.id = k.resource_id
    WHERE k.name = %s AND (r.id = %s OR r.original_resource_id LIKE '%%' || %s::text || '%%')
    ORDER BY m.observed_at
"""
KINDS: LiteralString = """
    SELECT payload->>'kind' FROM outbox_event WHERE topic = 'instance.lifecycle' AND key = %s ORDER BY id
"""


def run(*command: str) -> str:
    """What a program prints; empty where it fails."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


@dataclass
class Site:
    """An installation on this machine with its agent's process, database and guests."""

    pool: Pool
    url: str
    root: Path
    installation: str
    caller: Any
    image_id: UUID
    prefix: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self, *, url: str = "") -> None:
        """Start the agent, or one that looks for its database elsewhere."""
        environment = os.environ | {
            "NEPHO_DATABASE_URL": url or self.url,
            "NEPHO_VAR": str(self.root),
            "NEPHO_INSTALLATION": self.installation,
            "NEPHO_POLL_INTERVAL_S": str(POLL_INTERVAL_S),
            "NEPHO_STOP_GRACE_S": str(STOP_GRACE_S),
            "NEPHO_HYPERVISORS": "qemu:///system",
            "PYTHONPATH": str(ROOT),
        }
        with (self.root / "agent.log").open("ab") as log:
            command = [*self.prefix, sys.executable, "-m", "entrypoints.agent"]
            self.process = subprocess.Popen(command, env=environment, stderr=log)

    def kill(self) -> None:
        """End the agent as kill -9 does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def interrupt(self) -> int:
        """End the agent as Ctrl-C does; return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(timeout=WAIT_S)
        self.process = None
        return code

    def launch(self, user_data: bytes = USER_DATA) -> UUID:
        """Order one small guest."""
        request = LaunchRequest(name="web", image_id=self.image_id, flavor_id="0", user_data=user_data)
        with transaction(self.pool) as tx:
            return compute.create_instances(tx, caller=self.caller, request=request, now=datetime.now(UTC))[0].id

    def active(self) -> UUID:
        """Order one guest and wait until it runs."""
        instance_id = self.launch()
        self.wait_until(lambda: self.read(instance_id).vm_state == "active")
        return instance_id

    def delete(self, instance_id: UUID) -> None:
        """Order a guest's end."""
        with transaction(self.pool) as tx:
            compute.delete_instance(tx, caller=self.caller, instance_id=instance_id, now=datetime.now(UTC))

    def stop(self, instance_id: UUID) -> None:
        """Order a guest to be off."""
        with transaction(self.pool) as tx:
            compute.stop_instance(tx, caller=self.caller, instance_id=instance_id, now=datetime.now(UTC))

    def is_asked(self, instance_id: UUID) -> bool:
        """Whether the guest's power button was pressed in this boot."""
        return SHUTDOWN_NAMESPACE in run("virsh", "dumpxml", domain_name(self.installation, instance_id))

    def read(self, instance_id: UUID) -> Instance:
        """The guest's record."""
        with transaction(self.pool) as tx:
            return compute.get_instance(tx, caller=self.caller, instance_id=instance_id)

    def is_gone(self, instance_id: UUID) -> bool:
        """Whether the API has the guest no more."""
        try:
            self.read(instance_id)
        except InstanceNotFound:
            return True
        return False

    def kinds(self, instance_id: UUID) -> list[str]:
        """What was told about the guest's life."""
        with transaction(self.pool) as tx:
            return [row[0] for row in tx.execute(KINDS, (str(instance_id),)).fetchall()]

    def counter(self, instance_id: UUID, meter: str) -> list[float]:
        """The stored values of one of its meters."""
        with transaction(self.pool) as tx:
            rows = tx.execute(COUNTERS, (meter, instance_id, instance_id)).fetchall()
        return [row[0] for row in rows]

    def readings_between(self, instance_id: UUID, begin: datetime, end: datetime) -> int:
        """How many readings of the guest are stored of a time."""
        with transaction(self.pool) as tx:
            row = tx.execute(READ_BETWEEN, (instance_id, begin, end)).fetchone()
        return row[0] if row else 0

    def console(self, instance_id: UUID) -> str:
        """The console as the API would show it, through the agent."""
        with transaction(self.pool) as tx:
            compute.request_console(tx, caller=self.caller, instance_id=instance_id, now=datetime.now(UTC))
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            with transaction(self.pool) as tx:
                found = compute.find_console(tx, caller=self.caller, instance_id=instance_id)
            if found is not None and found.answered_at is not None and found.answered_at >= found.requested_at:
                return found.output
            time.sleep(0.1)
        pytest.fail(f"the agent showed no console within {WAIT_S} s")

    def qemu_pid(self, instance_id: UUID) -> int:
        """The guest's process."""
        name = domain_name(self.installation, instance_id)
        return int(run(*self.prefix, "cat", f"/run/libvirt/qemu/{name}.pid"))

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Wait for something to come true."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            if holds():
                return
            time.sleep(0.2)
        pytest.fail(f"it did not come true within {WAIT_S} s\n{(self.root / 'agent.log').read_text()[-3000:]}")

    def traces(self) -> list[str]:
        """Everything on this machine that carries the installation's id."""
        marks = [
            line
            for kind in ("list", "net-list")
            for line in run(*self.prefix, "virsh", kind, "--all", "--name").split()
            if line.startswith(network_name(self.installation, UUID(int=0))[:-36])
        ]
        marks += [line for line in run("nft", "list", "tables").splitlines() if f"_{self.installation}" in line]
        return marks + [str(path) for path in (self.root / "instances").glob("*")]


@pytest.fixture
def own_database_url(cluster_url: str) -> Iterator[str]:
    """A database of the test's own, so that the host carries no other test's instances."""
    name = f"test_guests_{new_hex_id()}"
    with psycopg.connect(cluster_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = with_database(cluster_url, name)
    migrate(url, "head")
    yield url
    with psycopg.connect(cluster_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def site(own_database_url: str, tmp_path: Path) -> Iterator[Site]:
    """A bootstrapped installation whose agent runs; at the end nothing of it is left."""
    yield from served_site(own_database_url, tmp_path, prefix=())


def served_site(url: str, root: Path, *, prefix: tuple[str, ...]) -> Iterator[Site]:
    """Serve an installation by this machine's libvirt, or by the one in the namespace that the prefix enters."""
    images = (ROOT / "var" / "images" / "guest").resolve()
    if not images.exists():
        pytest.fail("the guest image is missing: run `make` first")
    shutil.copytree(images, root / "images" / "guest")
    found = read_manifest(root)
    assert found is not None
    manifest, folder = found
    pool = open_pool(url, size_max=2, application_name="test-guests")
    installation = f"j{uuid4().hex[:8]}"
    caller, now = a_caller(), datetime.now(UTC)
    with transaction(pool) as tx:
        a_project(tx, caller.project_id, now=now)
        compute.bootstrap_flavors(tx, now=now)
        free = choose_subnets(read_routed_subnets(except_devices=()), installation=installation)
        projects = [caller.project_id]
        compute.bootstrap_networks(
            tx, project_ids=projects, free_cidrs=free, shared_owner_id=caller.project_id, now=now
        )
        image = compute.register_image(
            tx, {**manifest, "name": f"guest-{new_id()}"}, project_id=caller.project_id, now=now, folder=folder
        )
    made = Site(pool, url, root, installation, caller, image.id, prefix)
    made.start()
    made.wait_until(lambda: "agent.registered" in (root / "agent.log").read_text())
    yield made
    if made.process is not None and made.process.poll() is None:
        made.interrupt()
    for name in run(*prefix, "virsh", "list", "--all", "--name").split():
        if name.startswith(network_name(installation, UUID(int=0))[:-36]):
            run(*prefix, "virsh", "destroy", name)
            run(*prefix, "virsh", "undefine", name)
    pool.close()


def test_an_order_becomes_a_guest_with_a_lease_a_console_and_counters_that_move(site: Site) -> None:
    instance_id = site.active()
    site.wait_until(lambda: "the order was 42" in site.console(instance_id))
    address = site.read(instance_id).ports[0].ip_address
    leases = run(
        "virsh", "net-dhcp-leases", network_name(site.installation, site.read(instance_id).ports[0].network_id)
    )
    assert str(address) in leases
    for meter in ("cpu", "network.outgoing.bytes", "network.incoming.bytes", "disk.device.read.bytes"):
        site.wait_until(lambda meter=meter: len(set(site.counter(instance_id, meter))) > 1)
        values = site.counter(instance_id, meter)
        assert values == sorted(values)
    site.wait_until(lambda: len(site.counter(instance_id, "memory.usage")) > 0)
    site.delete(instance_id)
    site.wait_until(lambda: site.is_gone(instance_id))
    site.wait_until(lambda: [trace for trace in site.traces() if "table" not in trace] == [])
    assert site.kinds(instance_id) == ["create", "delete"]


def test_a_guest_killed_from_outside_is_noticed_and_says_why(site: Site) -> None:
    instance_id = site.active()
    os.kill(site.qemu_pid(instance_id), signal.SIGKILL)
    site.wait_until(lambda: site.read(instance_id).vm_state == "error")
    assert "ended unexpectedly" in str(site.read(instance_id).fault_message)
    assert site.kinds(instance_id) == ["create", "fault"]


@pytest.mark.parametrize("delay_s", [0.05, 0.5, 1.2])
def test_an_agent_killed_in_the_middle_leaves_no_orphan(site: Site, delay_s: float) -> None:
    instance_id = site.launch()
    time.sleep(delay_s)
    site.kill()
    site.start()
    site.wait_until(lambda: site.read(instance_id).vm_state == "active")
    site.delete(instance_id)
    time.sleep(delay_s / 4)
    site.kill()
    site.start()
    site.wait_until(lambda: site.is_gone(instance_id))
    site.wait_until(lambda: [trace for trace in site.traces() if "table" not in trace] == [])
    assert site.kinds(instance_id) == ["create", "delete"]


def test_guests_asked_by_an_agent_that_is_killed_end_stopped_the_deaf_one_by_a_cut_after_the_grace(site: Site) -> None:
    obeying, deaf = site.launch(), site.launch(DEAF)
    site.wait_until(lambda: "the order was 42" in site.console(obeying) and "deaf now" in site.console(deaf))
    ordered_at = time.monotonic()
    for instance_id in (obeying, deaf):
        site.stop(instance_id)
    site.wait_until(lambda: site.is_asked(deaf))
    site.kill()
    assert derive_task(site.read(deaf)) == "powering-off"
    killed_at = datetime.now(UTC)
    site.start(url=AWAY_URL)
    site.wait_until(lambda: len(list((site.root / "spool").glob("*.batch"))) >= 2)
    site.kill()
    site.start()
    away_until = datetime.now(UTC)
    for instance_id in (obeying, deaf):
        site.wait_until(lambda instance_id=instance_id: site.read(instance_id).vm_state == "stopped")
        assert site.kinds(instance_id) == ["create", "stop"]
    assert time.monotonic() - ordered_at >= STOP_GRACE_S
    site.wait_until(lambda: site.readings_between(deaf, killed_at, away_until) >= 2)
    assert "shutting down" in site.console(obeying)
    assert "shutting down" not in site.console(deaf)
    for instance_id in (obeying, deaf):
        site.delete(instance_id)
        site.wait_until(lambda instance_id=instance_id: site.is_gone(instance_id))
    site.wait_until(lambda: [trace for trace in site.traces() if "table" not in trace] == [])


def test_ctrl_c_stops_the_guests_and_the_next_start_finds_them_again(site: Site) -> None:
    instance_id = site.active()
    boot_epoch = site.read(instance_id).boot_epoch
    site.wait_until(lambda: "the order was 42" in site.console(instance_id))
    assert site.interrupt() == 0
    assert '"cut": 0' in (site.root / "agent.log").read_text(), "the guest shut itself down"
    assert site.kinds(instance_id) == ["create", "host_down"]
    assert run("virsh", "domstate", domain_name(site.installation, instance_id)).strip() == "shut off"
    kept = {domain_name(site.installation, instance_id), str(site.root / "instances" / str(instance_id))}
    assert set(site.traces()) == kept
    site.start()
    site.wait_until(lambda: site.read(instance_id).boot_epoch > boot_epoch)
    assert site.kinds(instance_id) == ["create", "host_down", "start"]
    site.delete(instance_id)
    site.wait_until(lambda: site.is_gone(instance_id))


PRIVATE_FOLDERS = ("/run/libvirt", "/var/lib/libvirt", "/etc/libvirt/qemu", "/var/log/libvirt")


class PrivateLibvirt:
    """A libvirtd in a mount namespace of its own, so that a test may kill it and nobody else loses anything."""

    def __init__(self) -> None:
        script = "".join(f"mkdir -p {f} && mount -t tmpfs -o mode=755 none {f} && " for f in PRIVATE_FOLDERS)
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", f"mount --make-rprivate / && {script} echo ready && exec sleep 100000"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.holder.stdout is not None
        assert self.holder.stdout.readline() == "ready\n"
        self.prefix = ("nsenter", "-t", str(self.holder.pid), "-m")
        self._start("virtlogd")
        self._start("libvirtd")

    def restart_after_kill(self, meanwhile: Callable[[], None]) -> None:
        """Kill libvirtd as kill -9 does, let something happen, and start it again."""
        os.kill(self._pid("libvirtd"), signal.SIGKILL)
        meanwhile()
        self._start("libvirtd")

    def end(self) -> None:
        """End the daemons and let the namespace go."""
        for name in ("libvirtd", "virtlogd"):
            os.kill(self._pid(name), signal.SIGTERM)
        self.holder.kill()
        self.holder.wait()
        if self.holder.stdout is not None:
            self.holder.stdout.close()

    def _start(self, name: str) -> None:
        run(*self.prefix, "rm", "-f", f"/run/libvirt/{name}-test.pid")
        subprocess.run([*self.prefix, name, "-d", "-p", f"/run/libvirt/{name}-test.pid"], check=True)

    def _pid(self, name: str) -> int:
        return int(run(*self.prefix, "cat", f"/run/libvirt/{name}-test.pid"))


@pytest.fixture
def private_libvirt() -> Iterator[PrivateLibvirt]:
    """A libvirtd that the test may kill."""
    made = PrivateLibvirt()
    yield made
    made.end()


@pytest.fixture
def private_site(private_libvirt: PrivateLibvirt, own_database_url: str, tmp_path: Path) -> Iterator[Site]:
    """An installation served by that libvirtd."""
    yield from served_site(own_database_url, tmp_path, prefix=private_libvirt.prefix)


def test_guests_run_on_when_libvirtd_is_killed_and_nothing_false_is_told(
    private_site: Site, private_libvirt: PrivateLibvirt
) -> None:
    site = private_site
    living, dying = site.active(), site.active()
    before = site.read(living)
    process = site.qemu_pid(living)

    def meanwhile() -> None:
        site.wait_until(lambda: "hypervisor_away" in (site.root / "agent.log").read_text())
        os.kill(site.qemu_pid(dying), signal.SIGKILL)
        time.sleep(3)
        assert site.read(dying).vm_state == "active"

    private_libvirt.restart_after_kill(meanwhile)
    site.wait_until(lambda: "hypervisor_back" in (site.root / "agent.log").read_text())
    site.wait_until(lambda: site.read(dying).vm_state == "error")
    count = len(site.counter(living, "cpu"))
    site.wait_until(lambda: len(site.counter(living, "cpu")) > count)
    assert site.qemu_pid(living) == process
    assert (site.read(living).vm_state, site.read(living).boot_epoch) == ("active", before.boot_epoch)
    assert site.kinds(living) == ["create"]
    assert site.kinds(dying) == ["create", "fault"]
