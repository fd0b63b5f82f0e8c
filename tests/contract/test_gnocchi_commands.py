"""Every command of `openstack metric`, as the real command line client runs it against the live API."""

import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.contract.conftest import LiveApi

HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
Command = Callable[..., Any]


@pytest.fixture
def metric(live_api: LiveApi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """Run `openstack metric ...` inside this process, which spares each command the client's start; return what it prints.

    The client logs to stderr from then on, and would take eventlet along where it is installed, which warns of every
    later fork: other tests of this process are spared both.
    """
    monkeypatch.setitem(sys.modules, "eventlet", None)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(live_api.clouds_yaml))
    monkeypatch.setenv("OS_CLOUD", "nephoscope-admin")
    monkeypatch.setenv("NO_PROXY", "*")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from openstackclient import shell

    def run(words: str, *arguments: str, form: str = "json") -> Any:
        formatted = ("-f", form) if form else ()
        capsys.readouterr()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            status = shell.OpenStackShell().run(["metric", *words.split(), *arguments, *formatted])
        told = capsys.readouterr()
        assert status == 0, f"{words} {arguments}: {told.err[-300:]}"
        return json.loads(told.out) if form == "json" else told.out

    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield run
    root.setLevel(level)
    for added in [handler for handler in root.handlers if handler not in handlers]:
        root.removeHandler(added)


def a_name(stem: str) -> str:
    """Return a name that no other test uses."""
    return f"{stem}_{uuid4().hex[:8]}"


def at(seconds: int) -> str:
    """Return an instant of the hour that the tests measure."""
    return (HOUR + timedelta(seconds=seconds)).isoformat()


pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


def test_the_commands_of_archive_policies_and_rules(metric: Command) -> None:
    policy, rule = a_name("policy"), a_name("rule")
    made = metric(
        "archive-policy create", policy, "-d", "granularity:5m,points:100", "-d", "granularity:1h,timespan:30d",
        "-m", "mean", "-m", "95pct", "-b", "2",
    )  # fmt: skip
    assert (made["name"], made["back_window"]) == (policy, 2)
    assert policy in {one["name"] for one in metric("archive-policy list")}
    assert "95pct" in metric("archive-policy show", policy)["aggregation_methods"]
    updated = metric(
        "archive-policy update", policy, "-d", "granularity:5m,points:200", "-d", "granularity:1h,timespan:30d"
    )
    assert [part["points"] for part in updated["definition"]] == [200, 720]
    metric("archive-policy-rule create", rule, "-a", policy, "-m", f"{policy}.*")
    assert rule in {one["name"] for one in metric("archive-policy-rule list")}
    assert metric("archive-policy-rule show", rule)["metric_pattern"] == f"{policy}.*"
    metric("archive-policy-rule delete", rule, form="")
    metric("archive-policy delete", policy, form="")


def test_the_commands_of_resource_types(metric: Command) -> None:
    kind = a_name("kind")
    metric("resource-type create", kind, "-a", "host:string:true:max_length=9", "-a", "cores:number:false:min=1")
    assert kind in {one["name"] for one in metric("resource-type list")}
    metric("resource create", "--type", kind, vm := a_name("vm"), "-a", "host:a")
    changed = metric("resource-type update", kind, "-a", "zone:string:true:fill=north", "-r", "cores")
    assert "attributes/zone" in changed
    assert "attributes/cores" not in changed
    assert metric("resource show", "--type", kind, vm)["zone"] == "north"
    assert metric("resource-type show", kind)["name"] == kind
    metric("resource delete", vm, form="")
    metric("resource-type create", spare := a_name("kind"))
    metric("resource-type delete", spare, form="")


def test_the_commands_of_resources(metric: Command) -> None:
    vm, group = a_name("vm"), a_name("group")
    spare = metric("create", a_name("spare"), "-a", "low")["id"]
    made = metric(
        "resource create",
        "--type",
        "instance",
        vm,
        "-a",
        f"server_group:{group}",
        "-n",
        "cpu:low",
        "-m",
        f"load:{spare}",
    )
    assert sorted(made["metrics"]) == ["cpu", "load"]
    changed = metric("resource update", "--type", "instance", vm, "-a", "host:b", "-d", "cpu", "-n", "heat:medium")
    assert (changed["host"], sorted(changed["metrics"])) == ("b", ["heat", "load"])
    assert made["id"] in {
        one["id"] for one in metric("resource list", "--type", "instance", "--details", "--sort", "started_at:desc")
    }
    found = metric("resource search", "--type", "instance", f"server_group='{group}'", "--limit", "5")
    assert [one["id"] for one in found] == [made["id"]]
    history = metric("resource history", "--type", "instance", "--details", vm)
    assert [one["host"] for one in history] == [None, "b"]
    both = metric("resource search", "--type", "instance", "--history", f"server_group='{group}'")
    assert len(both) == 2
    assert metric("resource batch delete", "--type", "instance", f"server_group='{group}'") == {"deleted": 1}
    metric("resource create", again := a_name("vm"))
    metric("resource delete", again, form="")


def test_the_commands_of_metrics_and_measures(metric: Command, tmp_path: Path) -> None:
    vm, group = a_name("vm"), a_name("group")
    metric("resource create", "--type", "instance", vm, "-a", f"server_group:{group}")
    first = metric("create", "cpu", "-r", vm, "-a", "medium")["id"]
    second = metric("create", a_name("m"), "-a", "medium", "-u", "C")["id"]
    assert first in {one["id"] for one in metric("list", "--sort", "name:asc")}
    assert metric("show", "cpu", "-r", vm)["id"] == first
    metric("measures add", "cpu", "-r", vm, "-m", f"{at(0)}@2", "-m", f"{at(60)}@4", form="")
    batch = tmp_path / "batch.json"
    batch.write_text(json.dumps({second: [{"timestamp": at(0), "value": 6}, {"timestamp": at(60), "value": 8}]}))
    metric("measures batch-metrics", str(batch), form="")
    batch.write_text(json.dumps({vm: {"disk": [{"timestamp": at(0), "value": 1}]}}))
    metric("measures batch-resources-metrics", "--create-metrics", str(batch), form="")
    shown = metric("measures show", "cpu", "-r", vm, "--granularity", "60", "--aggregation", "max", "--refresh")
    assert [row["value"] for row in shown] == [2, 4]
    both = metric("measures aggregation", "-m", first, second, "--granularity", "60", "--reaggregation", "sum")
    assert [row["value"] for row in both] == [8, 12]
    grouped = metric(
        "measures aggregation", "-m", "cpu", "--query", f"server_group='{group}'", "--resource-type", "instance",
        "--groupby", "server_group", "--granularity", "60",
    )  # fmt: skip
    assert [(row["group"], row["value"]) for row in grouped] == [(f"server_group: {group}", v) for v in (2, 4)]
    plain = metric("aggregates", f"(+ (metric {first} mean) 1)", "--granularity", "60")
    assert [row["value"] for row in plain] == [3, 5]
    asked = ("(metric cpu mean)", f"server_group='{group}'", "--resource-type", "instance", "--groupby", "id")
    assert [row["value"] for row in metric("aggregates", *asked, "--granularity", "60", "--fill", "0")] == [2, 4]
    metric("delete", "cpu", "-r", vm, form="")
    metric("delete", second, form="")


def test_the_commands_about_the_service(metric: Command) -> None:
    assert "99pct" in json.dumps(metric("capabilities list"))
    assert {
        "storage/total number of measures to process",
        "storage/number of metric having measures to process",
    } <= set(metric("status"))
    assert metric("server version")["version"]
