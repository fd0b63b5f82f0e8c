"""The Gnocchi dialect as its real client calls it: `openstack metric`, gnocchiclient and bare requests."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import requests
from gnocchiclient import exceptions
from gnocchiclient.v1 import client as gnocchi
from keystoneauth1 import session
from keystoneauth1.identity import v3

from foundation.database import Pool, transaction
from metering.model import Sample
from metering.service import ingest_samples
from tests.contract.conftest import LiveApi

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = NOW.replace(minute=0, second=0) - timedelta(hours=2)


def a_name(stem: str) -> str:
    """Return a name that no other test uses."""
    return f"{stem}-{uuid4().hex[:8]}"


@contextmanager
def signed_in(live_api: LiveApi, user: str) -> Generator[Any]:
    """Lend the real client, signed in as admin or demo."""
    password = live_api.admin_password if user == "admin" else live_api.demo_password
    auth = v3.Password(
        f"{live_api.url}/identity/v3",
        username=user,
        password=password,
        project_name=user,
        user_domain_name="Default",
        project_domain_name="Default",
    )
    connections = requests.Session()
    with connections:
        keystone = session.Session(auth, session=connections)
        yield gnocchi.Client(session=keystone, adapter_options={"endpoint_override": f"{live_api.url}/metric"})


@pytest.fixture(scope="module")
def admin(live_api: LiveApi) -> Iterator[Any]:
    with signed_in(live_api, "admin") as client:
        yield client


@pytest.fixture(scope="module")
def demo(live_api: LiveApi) -> Iterator[Any]:
    with signed_in(live_api, "demo") as client:
        yield client


def openstack(live_api: LiveApi, *arguments: str, cloud: str = "nephoscope-admin") -> Any:
    """Run `openstack metric ...` and read its JSON."""
    done = live_api.openstack("metric", *arguments, "-f", "json", cloud=cloud)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def iso(instant: datetime) -> str:
    return instant.isoformat()


def test_the_command_line_makes_measures_and_shows_them(live_api: LiveApi) -> None:
    name = a_name("temperature")
    metric = openstack(live_api, "create", name, "--archive-policy-name", "medium", "--unit", "C")
    assert (metric["name"], metric["unit"], metric["archive_policy/name"]) == (name, "C", "medium")
    # With the zone: without it the client takes them for times of its own machine's zone.
    measures = [f"{iso(HOUR + timedelta(seconds=s))}@{v}" for s, v in ((0, 10), (30, 20), (60, 40))]
    added = live_api.openstack("metric", "measures", "add", metric["id"], *(x for m in measures for x in ("-m", m)))
    assert added.returncode == 0, added.stderr
    shown = openstack(live_api, "measures", "show", metric["id"], "--utc", "--refresh")
    assert [(row["granularity"], row["value"]) for row in shown] == [(3600.0, 70 / 3), (60.0, 15.0), (60.0, 40.0)]
    peak = openstack(live_api, "measures", "show", metric["id"], "--aggregation", "max", "--granularity", "60")
    assert [row["value"] for row in peak] == [20.0, 40.0]
    again = openstack(live_api, "measures", "show", metric["id"], "--granularity", "60", "--resample", "120")
    assert [row["value"] for row in again] == [27.5]
    assert name in {row["name"] for row in openstack(live_api, "list")}
    assert openstack(live_api, "show", metric["id"])["archive_policy/name"] == "medium"
    deleted = live_api.openstack("metric", "delete", metric["id"])
    assert deleted.returncode == 0, deleted.stderr
    gone = live_api.openstack("metric", "show", metric["id"])
    assert gone.returncode != 0
    assert f"Metric {metric['id']} does not exist" in gone.stderr


def test_every_listing_command_works(live_api: LiveApi) -> None:
    assert "ceilometer-low" in {row["name"] for row in openstack(live_api, "archive-policy", "list")}
    assert openstack(live_api, "archive-policy-rule", "list")
    assert "instance" in {row["name"] for row in openstack(live_api, "resource-type", "list")}
    assert "mean" in json.dumps(openstack(live_api, "capabilities", "list"))
    assert openstack(live_api, "status")
    server = live_api.openstack("metric", "server", "version", "-f", "json")
    assert server.returncode == 0, server.stderr


def test_archive_policies_and_rules_live_and_die(admin: Any) -> None:
    name, rule = a_name("policy"), a_name("rule")
    made = admin.archive_policy.create(
        {"name": name, "back_window": 0, "definition": [{"granularity": "5 minutes", "timespan": "30 days"}]}
    )
    assert made["definition"] == [{"granularity": "0:05:00", "points": 8640, "timespan": "30 days, 0:00:00"}]
    assert made["aggregation_methods"] == ["count", "max", "mean", "min", "std", "sum"]
    with pytest.raises(exceptions.ArchivePolicyAlreadyExists):
        admin.archive_policy.create({"name": name, "definition": [{"granularity": "1s", "points": 5}]})
    wider = admin.archive_policy.update(name, {"definition": [{"granularity": "0:05:00", "points": 10}]})
    assert wider["definition"][0]["points"] == 10
    with pytest.raises(exceptions.BadRequest, match="same granularity"):
        admin.archive_policy.update(name, {"definition": [{"granularity": "1s", "points": 10}] * 2})
    admin.archive_policy_rule.create({"name": rule, "metric_pattern": f"{name}.*", "archive_policy_name": name})
    metric = admin.metric.create(name=f"{name}.x")
    assert metric["archive_policy"]["name"] == name
    with pytest.raises(exceptions.BadRequest, match=f"Archive policy {name} is still in use"):
        admin.archive_policy.delete(name)
    admin.archive_policy_rule.delete(rule)
    with pytest.raises(exceptions.ArchivePolicyRuleNotFound):
        admin.archive_policy_rule.get(rule)
    with pytest.raises(exceptions.ArchivePolicyNotFound):
        admin.archive_policy.get("none")


def test_resources_have_types_history_and_search(live_api: LiveApi, admin: Any) -> None:
    kind, vm = a_name("kind").replace("-", "_"), a_name("vm")
    admin.resource_type.create(
        {"name": kind, "attributes": {"host": {"type": "string"}, "cores": {"type": "number", "required": False}}}
    )
    with pytest.raises(exceptions.ResourceTypeAlreadyExists):
        admin.resource_type.create({"name": kind})
    with pytest.raises(exceptions.BadRequest, match="required key not provided"):
        admin.resource.create(kind, {"id": vm})
    made = admin.resource.create(kind, {"id": vm, "host": "a", "metrics": {"load": {"archive_policy_name": "low"}}})
    assert made["original_resource_id"] == vm
    with pytest.raises(exceptions.ResourceAlreadyExists):
        admin.resource.create(kind, {"id": vm, "host": "a"})
    with pytest.raises(exceptions.NamedMetricAlreadyExists):
        admin.metric.create(name="load", resource_id=vm)
    changed = admin.resource.update(kind, vm, {"host": "b", "cores": 4})
    assert (changed["host"], changed["cores"]) == ("b", 4)
    assert [state["host"] for state in admin.resource.history(kind, vm)] == ["a", "b"]
    for query in (
        {"=": {"host": "b"}},
        {"and": [{"=": {"host": "b"}}, {"ge": {"cores": 4}}]},
        {"not": {"=": {"host": "a"}}},
        {"like": {"host": "b%"}},
        {"in": {"host": ["b", "c"]}},
        "host = 'b' and not (cores < 4 or host in ['x', 'y'])",
    ):
        found = admin.resource.search(resource_type=kind, query=query)
        assert [one["id"] for one in found] == [made["id"]], query
    assert openstack(live_api, "resource", "show", "--type", kind, vm)["host"] == "b"
    assert openstack(live_api, "resource", "search", "--type", kind, "host = 'b'")[0]["id"] == made["id"]
    assert admin.metric.get("load", resource_id=vm)["archive_policy"]["name"] == "low"
    assert admin.resource.batch_delete({"=": {"host": "b"}}, resource_type=kind) == {"deleted": 1}
    with pytest.raises(exceptions.ResourceNotFound):
        admin.resource.get(kind, vm)
    with pytest.raises(exceptions.ResourceTypeNotFound):
        admin.resource.list(resource_type="no_such_type")


def test_lists_are_paged_by_links(admin: Any) -> None:
    kind = a_name("paged").replace("-", "_")
    admin.resource_type.create({"name": kind})
    ids = [admin.resource.create(kind, {"id": a_name("r")})["id"] for _ in range(3)]
    first = admin.resource.list(resource_type=kind, limit=2)
    assert [one["id"] for one in first] == ids[:2]
    rest = admin.resource.list(resource_type=kind, limit=2, marker=first[-1]["id"])
    assert [one["id"] for one in rest] == ids[2:]
    backwards = admin.resource.list(resource_type=kind, sorts=["started_at:desc-nullslast", "id:desc"])
    assert [one["id"] for one in backwards] == ids[::-1]


def test_batches_by_metric_and_by_resource(admin: Any) -> None:
    vm = a_name("vm")
    metric = admin.metric.create(name=a_name("m"), archive_policy_name="low")["id"]
    measure = {"timestamp": iso(HOUR), "value": 4}
    admin.metric.batch_metrics_measures({metric: [measure, measure]})
    assert [value for _, _, value in admin.metric.get_measures(metric)] == [4]
    unknown = str(uuid4())
    with pytest.raises(exceptions.BadRequest) as raised:
        admin.metric.batch_metrics_measures({unknown: [measure]})
    assert "Unknown metrics" in str(raised.value)
    with pytest.raises(exceptions.BadRequest) as raised:
        admin.metric.batch_resources_metrics_measures({vm: {"load": [measure]}}, create_metrics=True)
    assert "Unknown resources" in str(raised.value)
    admin.resource.create("generic", {"id": vm})
    with pytest.raises(exceptions.BadRequest):
        admin.metric.batch_resources_metrics_measures({vm: {"load": [measure]}})
    body = {vm: {"load": [measure], "heat": {"archive_policy_name": "high", "unit": "C", "measures": [measure]}}}
    admin.metric.batch_resources_metrics_measures(body, create_metrics=True)
    assert admin.metric.get("heat", resource_id=vm)["unit"] == "C"
    assert [value for _, _, value in admin.metric.get_measures("load", resource_id=vm, granularity=60)] == [4]


def a_busy_group(pool: Pool, project_id: str) -> str:
    """Make two guests of a scaling group that burn 80 % and 40 % of a CPU, read each minute by the product."""
    group = a_name("group")
    for share in (0.8, 0.4):
        guest = uuid4()
        samples = [
            Sample(
                resource_id=guest,
                resource_type="instance",
                original_resource_id=str(guest),
                project_id=project_id,
                user_id=None,
                meter="cpu",
                meter_type="cumulative",
                unit="ns",
                observed_at=HOUR + timedelta(minutes=minute),
                value=minute * 60 * share * 1e9,
                attributes={"server_group": group, "vcpus": "1"},
            )
            for minute in range(10)
        ]
        with transaction(pool) as tx:
            ingest_samples(tx, samples, received_at=NOW)
    return group


def project_of(client: Any) -> str:
    return client.api.get_project_id()


def test_cpu_percent_of_a_group_by_the_operations_language(live_api: LiveApi, demo: Any, pool: Pool) -> None:
    group = a_busy_group(pool, project_of(demo))
    operations = "(* (/ (aggregate mean (metric cpu rate:mean)) 60000000000.0) 100)"
    search = f"server_group='{group}'"
    answer = demo.aggregates.fetch(
        operations=operations, resource_type="instance", search=search, granularity=60, start=iso(HOUR), stop=iso(NOW)
    )
    points = answer["measures"]["aggregated"]
    assert [round(value, 6) for _, _, value in points] == [60.0] * 9
    shown = openstack(
        live_api, "aggregates", operations, search, "--resource-type", "instance", "--granularity", "60",
        cloud="nephoscope-demo",
    )  # fmt: skip
    assert len(shown) == 9
    assert {float(row["value"]) for row in shown} == {60.0}
    grouped = demo.aggregates.fetch(
        operations="(aggregate max (metric cpu rate:sum))",
        resource_type="instance", search=search, granularity=60, groupby=["server_group", "project_id"],
    )  # fmt: skip
    assert [one["group"] for one in grouped] == [{"server_group": group, "project_id": project_of(demo)}]
    tree = demo.aggregates.fetch(
        operations="(metric cpu mean)", resource_type="instance", search=search, granularity=60
    )
    assert len(tree["measures"]) == 2
    with pytest.raises(exceptions.NotFound, match="does not exist"):
        demo.aggregates.fetch(operations=operations, resource_type="instance", search="server_group='none'")


def test_cpu_percent_is_drawn_for_a_group_and_for_nobody_elses(
    live_api: LiveApi, admin: Any, demo: Any, pool: Pool
) -> None:
    group = a_busy_group(pool, project_of(admin))
    query = urllib.parse.urlencode({"group_id": group, "start": iso(HOUR), "stop": iso(HOUR + timedelta(minutes=12))})

    def fetch(client: Any, query: str) -> Any:
        wanted = urllib.request.Request(
            f"{live_api.url}/v1/series/cpu-percent?{query}", headers={"X-Auth-Token": client.api.get_token()}
        )
        with urllib.request.urlopen(wanted) as answer:
            return json.load(answer)

    found = fetch(admin, query)
    assert (found["unit"], found["granularity_s"], len(found["series"])) == ("%", 60, 2)
    assert sorted(one["points"][1][1] for one in found["series"]) == [40, 80]
    assert [one["points"][11][1] for one in found["series"]] == [None, None]
    assert [value for _, value in found["aggregate"]] == [60] * 9
    assert fetch(demo, query)["series"] == []
    with pytest.raises(urllib.error.HTTPError) as raised:
        fetch(demo, "granularity=60")
    with raised.value as refused:
        assert refused.code == 400


def test_another_projects_things_do_not_exist_and_the_meters_cannot_be_forged(
    admin: Any, demo: Any, pool: Pool
) -> None:
    foreign = admin.metric.create(name=a_name("m"), archive_policy_name="low")["id"]
    measure = [{"timestamp": iso(HOUR), "value": 1}]
    for call in (
        lambda: demo.metric.get(foreign),
        lambda: demo.metric.get_measures(foreign),
        lambda: demo.metric.add_measures(foreign, measure),
        lambda: demo.metric.delete(foreign),
    ):
        with pytest.raises(exceptions.MetricNotFound):
            call()
    with pytest.raises(exceptions.BadRequest, match="Unknown metrics"):
        demo.metric.batch_metrics_measures({foreign: measure})
    assert foreign not in {metric["id"] for metric in demo.metric.list()}
    vm = a_name("vm")
    admin.resource.create("generic", {"id": vm})
    with pytest.raises(exceptions.ResourceNotFound):
        demo.resource.get("generic", vm)
    group = a_busy_group(pool, project_of(demo))
    guest = demo.resource.search(resource_type="instance", query={"=": {"server_group": group}})[0]
    with pytest.raises(exceptions.Forbidden):
        demo.metric.add_measures(guest["metrics"]["cpu"], measure)
    with pytest.raises(exceptions.Forbidden):
        demo.resource.delete(guest["id"])
    with pytest.raises(exceptions.Forbidden):
        demo.archive_policy.create({"name": a_name("p"), "definition": [{"granularity": "1s", "points": 5}]})


BAD_BODIES = {
    "not JSON": b"{",
    "NaN": b'[{"timestamp": "2026-01-01T00:00:00", "value": NaN}]',
    "infinity": b'[{"timestamp": "2026-01-01T00:00:00", "value": 1e999}]',
    "no value": b'[{"timestamp": "2026-01-01T00:00:00"}]',
    "text value": b'[{"timestamp": "2026-01-01T00:00:00", "value": "1"}]',
    "a truth": b'[{"timestamp": "2026-01-01T00:00:00", "value": true}]',
    "absurd time": b'[{"timestamp": "5138-11-16T09:46:40", "value": 1}]',
    "ancient time": b'[{"timestamp": "1969-12-31T23:59:59", "value": 1}]',
    "no time": b'[{"timestamp": "yesterday-ish", "value": 1}]',
    "huge integer": b'[{"timestamp": "2026-01-01T00:00:00", "value": ' + b"9" * 5000 + b"}]",
    "not a list": b'{"timestamp": 1}',
    "deep": b"[" * 5000 + b"]" * 5000,
    "not UTF-8": b"\xff\xfe",
    "lone surrogate": b'[{"timestamp": "\\ud800", "value": 1}]',
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_bad_measures_are_refused_with_a_sentence(admin: Any, live_api: LiveApi, name: str) -> None:
    metric = admin.metric.create(name=a_name("m"), archive_policy_name="low")["id"]
    status, body = bare(live_api, admin, f"/metric/v1/metric/{metric}/measures", BAD_BODIES[name])
    assert 400 <= status < 500, body
    assert json.loads(body)["description"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/metric/v1/search/resource/generic", "[" * 60 + "]" * 60),
        ("/metric/v1/search/resource/generic", '{"and": []}'),
        ("/metric/v1/search/resource/generic", json.dumps({"not": {"not": {"not": {"=": {"id": {"a": 1}}}}}})),
        ("/metric/v1/search/resource/generic", '{"<": {"started_at": "x"}}'),
        ("/metric/v1/search/resource/generic?filter=" + "not%20" * 50 + "a=1", ""),
        ("/metric/v1/search/resource/generic?filter=a%3D%27unclosed", ""),
        ("/metric/v1/search/resource/generic?limit=-1", "{}"),
        ("/metric/v1/search/resource/generic?sort=;drop", "{}"),
        ("/metric/v1/aggregates", '{"operations": "(((("}'),
        ("/metric/v1/aggregates", json.dumps({"operations": "(abs " * 50 + "(metric cpu mean)" + ")" * 50})),
        ("/metric/v1/aggregates", '{"operations": "(metric not-an-id mean)"}'),
        ("/metric/v1/aggregates?granularity=0", '{"operations": "(metric cpu mean)", "search": {}}'),
        ("/metric/v1/aggregates?fill=x", '{"operations": "(metric cpu mean)", "search": {}}'),
        ("/metric/v1/metric", '{"archive_policy_name": "low", "unit": "' + "u" * 40 + '"}'),
        ("/metric/v1/metric", '{"archive_policy_name": "low", "no_such_field": 1}'),
        ("/metric/v1/metric", '{"archive_policy_name": "low", "name": "a\\u0000b"}'),
        ("/metric/v1/archive_policy", '{"name": "x", "definition": [{"granularity": 1e300, "points": 1}]}'),
        ("/metric/v1/resource/generic", '{"id": "x/y"}'),
    ],
)
def test_bad_requests_are_refused_with_a_sentence(admin: Any, live_api: LiveApi, path: str, body: str) -> None:
    status, answer = bare(live_api, admin, path, body.encode())
    assert 400 <= status < 500, answer
    assert json.loads(answer)["description"]


def test_versions_are_served_and_a_token_is_needed(live_api: LiveApi) -> None:
    with urllib.request.urlopen(f"{live_api.url}/metric/") as answer:
        assert json.load(answer)["versions"][0]["links"][0]["href"] == f"{live_api.url}/metric/v1/"
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(f"{live_api.url}/metric/v1/metric")
    with raised.value as refused:
        assert refused.code == 401


def bare(live_api: LiveApi, client: Any, path: str, body: bytes) -> tuple[int, str]:
    """Send bytes as they are."""
    headers = {"X-Auth-Token": client.api.get_token(), "Content-Type": "application/json"}
    wanted = urllib.request.Request(f"{live_api.url}{path}", data=body, headers=headers, method="POST")
    try:
        with urllib.request.urlopen(wanted) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
