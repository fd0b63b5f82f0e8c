"""The journeys on real guests: a reading becomes money, a reading becomes capacity, and a stopped product finds everything again."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest

from entrypoints.demo_cloud import DemoCloud
from foundation.ids import new_hex_id
from tests.conftest import ROOT, migrated_database
from tests.journeys.conftest import POLL_INTERVAL_S
from tests.journeys.stack import STOPPED_S_MAX, Stack, eventually, running_stack

pytestmark = [pytest.mark.guests, pytest.mark.timeout(1_800)]

BOOT_S_MAX = 300.0
"""How long a guest may take to boot or to end: some seconds, but emulated and on a machine that has ten times as much to do."""
STORY_END_S_MAX = 120
AGENT_S_MAX = 240.0
LAST_WORDS = """#!/bin/sh
boot=$(($(cat boot 2>/dev/null || echo 0) + 1))
echo $boot >boot
disk=$(dmesg | grep -q 'recovery complete' && echo cut || echo closed)
echo "boot $boot found the disk $disk and $(cat words 2>/dev/null || echo nothing) ."
rm -f words
trap 'echo "last words of boot $boot" >words; exit' TERM
while :; do sleep 0.2; done
"""
"""Writes in its last moment and never waits for the disk; each boot tells what it finds, and whether the journal had to be replayed."""


def launch(cloud: DemoCloud, name: str, *, user_data: str = "") -> str:
    """Launch the smallest instance by openstack's own requests and return its id once it is ACTIVE."""
    flavors = {flavor["name"]: flavor["id"] for flavor in cloud.get("/compute/v2.1/flavors")["flavors"]}
    server: dict[str, Any] = {
        "name": name,
        "flavorRef": flavors["n1.nano"],
        "imageRef": cloud.get("/image/v2/images")["images"][0]["id"],
        "user_data": base64.b64encode(user_data.encode()).decode(),
    }
    server_id: str = cloud.post("/compute/v2.1/servers", {"server": server})["server"]["id"]
    wait_for_status(cloud, server_id, "ACTIVE")
    return server_id


def status_of(cloud: DemoCloud, server_id: str) -> str:
    """Return an instance's status, or DELETED where it is gone."""
    answer = cloud.http.get(f"/compute/v2.1/servers/{server_id}")
    return "DELETED" if answer.status_code == 404 else str(answer.json()["server"]["status"])


def wait_for_status(cloud: DemoCloud, server_id: str, status: str) -> None:
    """Wait until an instance has a status."""
    eventually(lambda: status_of(cloud, server_id) == status, within_s=BOOT_S_MAX, what=f"{server_id} {status}")


def console_of(cloud: DemoCloud, server_id: str) -> str:
    """Return what the guest printed."""
    answer = cloud.post(f"/compute/v2.1/servers/{server_id}/action", {"os-getConsoleOutput": {}})
    return str(answer["output"])


def wait_for_console(cloud: DemoCloud, server_id: str, text: str) -> str:
    """Wait until the guest has printed something and return all that it printed."""
    said = lambda: console if text in (console := console_of(cloud, server_id)) else ""  # noqa: E731
    return eventually(said, within_s=BOOT_S_MAX, what=f"{text!r} on the console")


def guest_process(server_id: str) -> psutil.Process:
    """Return the QEMU process of an instance."""
    found = [each for each in psutil.process_iter(["cmdline"]) if server_id in " ".join(each.info["cmdline"] or [])]
    qemu = [each for each in found if "qemu-system" in " ".join(each.info["cmdline"])]
    assert qemu, f"no QEMU process of {server_id}"
    return qemu[0]


def host_traces(installation: str) -> list[str]:
    """List what carries the installation's id on this host and runs: guests, networks, packet-filter tables."""
    listed = ["virsh -q list --name", "virsh -q net-list --name", "nft list tables"]
    lines = [subprocess.run(each.split(), capture_output=True, text=True, check=False).stdout for each in listed]
    return [line for line in "\n".join(lines).splitlines() if installation in line]


def test_the_story_of_make_run_scales_out_and_in_and_ends_with_an_explained_invoice(guest_stack: Stack) -> None:
    environment = os.environ | {
        "NEPHO_VAR": str(guest_stack.var),
        "NEPHO_LISTEN": guest_stack.url.removeprefix("http://"),
        "PYTHONPATH": str(ROOT),
    }
    told: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-m", "entrypoints.demo"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as story:
        assert story.stdout is not None
        for line in story.stdout:
            told.append(line.rstrip())
            if "that is the story" in line:
                break
        story.send_signal(signal.SIGTERM)
        assert story.wait(STORY_END_S_MAX) == 0, "\n".join(told)
    text = "\n".join(told)
    assert "alarm cpu-high" in text
    assert "scaled out" in text
    assert "scaled in again" in text
    assert "draft invoice" in text
    assert text.count("why:") >= 2, text
    check_scaling_activities(guest_stack.cloud())


def check_scaling_activities(cloud: DemoCloud) -> None:
    """Both directions are recorded with the alarm that caused them."""
    group = cloud.items("/v1/scaling/groups")[0]
    activities = cloud.items(f"/v1/scaling/groups/{group['id']}/activities")
    resizes = [(each["size_before"], each["size_after"]) for each in activities if each["decision"] == "resize"]
    assert (2, 3) in resizes
    assert (3, 2) in resizes
    assert all(each["reason"] for each in activities)


def test_a_guests_time_and_traffic_become_a_draft_invoice_that_explains_itself(guest_stack: Stack) -> None:
    cloud = guest_stack.cloud()
    server_id = launch(cloud, "billed")
    rows = eventually(
        lambda: json.loads(
            guest_stack.openstack("metric", "measures", "show", "--resource-id", server_id, "cpu", "-f", "json")
        ),
        within_s=BOOT_S_MAX,
        what="readings through gnocchiclient",
    )
    assert rows[-1]["value"] > 0
    period = cloud.get("/v1/billing/cost")["period"]
    invoice = cloud.post("/v1/billing/invoices", {"start": period["start"], "end": period["end"]})
    assert invoice["lines"]
    assert sum(Decimal(line["amount"]) for line in invoice["lines"]) == Decimal(invoice["subtotal"])
    for line in invoice["lines"]:
        explained = cloud.get(f"/v1/billing/invoices/{invoice['id']}/lines/{line['number']}/explain")
        assert explained["formula"]
    guest_stack.openstack("server", "delete", "--wait", server_id)


def test_a_guest_that_is_killed_from_outside_is_noticed_and_says_why(guest_stack: Stack) -> None:
    cloud = guest_stack.cloud()
    server_id = launch(cloud, "killed")
    guest_process(server_id).kill()
    eventually(lambda: status_of(cloud, server_id) in {"SHUTOFF", "ERROR"}, within_s=BOOT_S_MAX, what="noticed")
    server = cloud.get(f"/compute/v2.1/servers/{server_id}")["server"]
    assert server["fault"]["message"]
    guest_stack.openstack("server", "delete", "--wait", server_id)


def test_a_stop_and_a_soft_reboot_let_the_guest_write_its_last_words_and_a_hard_one_does_not(
    guest_stack: Stack,
) -> None:
    cloud = guest_stack.cloud()
    server_id = launch(cloud, "writing", user_data=LAST_WORDS)
    wait_for_console(cloud, server_id, "boot 1 found the disk closed and nothing .")
    guest_stack.openstack("server", "stop", server_id)
    wait_for_status(cloud, server_id, "SHUTOFF")
    assert "shutting down" in guest_stack.openstack("console", "log", "show", server_id)
    guest_stack.openstack("server", "start", server_id)
    wait_for_console(cloud, server_id, "boot 2 found the disk closed and last words of boot 1 .")

    guest_stack.openstack("server", "reboot", "--soft", server_id)
    wait_for_console(cloud, server_id, "boot 3 found the disk closed and last words of boot 2 .")
    wait_for_status(cloud, server_id, "ACTIVE")

    guest_stack.openstack("server", "reboot", "--hard", server_id)
    wait_for_console(cloud, server_id, "found the disk cut")
    wait_for_status(cloud, server_id, "ACTIVE")
    guest_stack.openstack("server", "delete", "--wait", server_id)


@pytest.mark.parametrize("moment_s", [0.1, 1.0])
def test_an_agent_that_is_killed_while_it_makes_and_deletes_guests_leaves_no_orphan(
    guest_stack: Stack, moment_s: float
) -> None:
    cloud = guest_stack.cloud()
    flavors = {flavor["name"]: flavor["id"] for flavor in cloud.get("/compute/v2.1/flavors")["flavors"]}
    image = cloud.get("/image/v2/images")["images"][0]["id"]
    server = {"name": "interrupted", "flavorRef": flavors["n1.nano"], "imageRef": image}
    server_id = cloud.post("/compute/v2.1/servers", {"server": server})["server"]["id"]
    kill_agent_after(guest_stack, moment_s)
    wait_for_status(cloud, server_id, "ACTIVE")
    cloud.http.delete(f"/compute/v2.1/servers/{server_id}").raise_for_status()
    kill_agent_after(guest_stack, moment_s)
    wait_for_status(cloud, server_id, "DELETED")
    domains = subprocess.run(["virsh", "-q", "list", "--all", "--name"], capture_output=True, text=True, check=True)
    assert server_id not in domains.stdout
    no_file = lambda: not [path for path in guest_stack.var.rglob("*") if server_id in path.name]  # noqa: E731
    eventually(no_file, within_s=BOOT_S_MAX, what="no file of it")


def kill_agent_after(stack: Stack, moment_s: float) -> None:
    """Kill the agent so long from now, and wait until the supervisor has started another."""
    time.sleep(moment_s)
    dead = stack.kill_family("agent")
    eventually(lambda: stack.process("agent").pid != dead.pid, within_s=AGENT_S_MAX, what="another agent")


def test_a_stopped_product_leaves_nothing_running_and_finds_its_guests_again(cluster_url: str, tmp_path: Path) -> None:
    with migrated_database(cluster_url, f"again_{new_hex_id()}") as url:
        settings = {
            "NEPHO_DATABASE_URL": url,
            "NEPHO_POLL_INTERVAL_S": str(POLL_INTERVAL_S),
            "NEPHO_INSTALLATION": f"a{new_hex_id()[-8:]}",
        }
        with running_stack(tmp_path / "var", settings) as stack:
            server_id = launch(stack.cloud(), "kept")
            assert host_traces(settings["NEPHO_INSTALLATION"])
            assert stack.stop() == 0
        assert host_traces(settings["NEPHO_INSTALLATION"]) == []
        with running_stack(tmp_path / "var", settings) as stack:
            wait_for_status(stack.cloud(), server_id, "ACTIVE")
            stack.openstack("server", "delete", "--wait", server_id)
            stack.up.send_signal(signal.SIGINT)
            assert stack.up.wait(STOPPED_S_MAX) == 0


def test_six_guests_of_one_request_run_and_go(guest_stack: Stack) -> None:
    cloud = guest_stack.cloud()
    flavors = {flavor["name"]: flavor["id"] for flavor in cloud.get("/compute/v2.1/flavors")["flavors"]}
    image = cloud.get("/image/v2/images")["images"][0]["id"]
    server = {"name": "six", "flavorRef": flavors["n1.nano"], "imageRef": image, "min_count": 6, "max_count": 6}
    cloud.post("/compute/v2.1/servers", {"server": server})
    ids = [each["id"] for each in cloud.get("/compute/v2.1/servers", name="^six-[1-6]$")["servers"]]
    assert len(ids) == 6
    for server_id in ids:
        wait_for_status(cloud, server_id, "ACTIVE")
        assert guest_process(server_id).is_running()
    for server_id in ids:
        cloud.http.delete(f"/compute/v2.1/servers/{server_id}").raise_for_status()
    for server_id in ids:
        wait_for_status(cloud, server_id, "DELETED")
