"""The Aodh dialect with the real clients: openstack alarm, and aodhclient's own requests."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from aodhclient.exceptions import BadRequest
from aodhclient.v2 import client as aodh_client
from keystoneauth1 import session as keystone_session
from keystoneauth1.identity import v3

from alarms import service
from foundation.clock import utc_now
from foundation.database import Pool, transaction
from tests.contract.conftest import LiveApi

DEMO = "nephoscope-demo"
QUERY = json.dumps({"=": {"server_group": "watched only here"}})
"""No other test makes an instance of this group, whose readings would change what an alarm says."""


def run(api: LiveApi, *arguments: str, cloud: str = DEMO) -> Any:
    """Run openstack and read its JSON."""
    done = api.openstack(*arguments, "-f", "json", cloud=cloud)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def create(api: LiveApi, name: str, *more: str) -> dict[str, Any]:
    made: dict[str, Any] = run(
        api, "alarm", "create", "--name", name, "--type", "gnocchi_aggregation_by_resources_threshold",
        "--metric", "cpu", "--threshold", "50", "--comparison-operator", "gt", "--aggregation-method", "rate:mean",
        "--granularity", "10", "--evaluation-periods", "2", "--query", QUERY, "--resource-type", "instance", *more,
    )  # fmt: skip
    return made


@pytest.fixture
def name() -> str:
    return f"alarm-{uuid4()}"


@pytest.fixture(scope="module")
def session(live_api: LiveApi) -> keystone_session.Session:
    auth = v3.Password(
        auth_url=f"{live_api.url}/identity/v3",
        username="demo",
        password=live_api.demo_password,
        project_name="demo",
        user_domain_name="Default",
        project_domain_name="Default",
    )
    return keystone_session.Session(auth=auth)


@pytest.fixture
def aodh(session: keystone_session.Session) -> Iterator[Any]:
    """aodhclient, and no alarm of the project there before or left behind."""
    made: Any = aodh_client.Client(session, region_name="RegionOne")
    delete_all(made)
    yield made
    delete_all(made)


def delete_all(aodh: Any) -> None:
    """Delete the alarms that the project has."""
    for alarm in aodh.alarm.list():
        aodh.alarm.delete(alarm["alarm_id"])


def test_an_alarm_is_made_shown_listed_changed_and_deleted_by_the_command_line(live_api: LiveApi, name: str) -> None:
    made = create(live_api, name, "--alarm-action", "https://hooks.example/a", "--severity", "critical")
    assert made["state"] == "insufficient data"
    assert made["threshold"] == 50
    assert made["granularity"] == 10
    assert made["query"] == QUERY
    assert made["alarm_actions"] == ["https://hooks.example/a"]
    alarm_id = made["alarm_id"]
    assert run(live_api, "alarm", "show", alarm_id)["name"] == name
    assert run(live_api, "alarm", "show", "--name", name)["alarm_id"] == alarm_id
    (listed,) = run(live_api, "alarm", "list", "--filter", f"name={name}")
    assert listed["alarm_id"] == alarm_id
    assert listed["severity"] == "critical"
    changed = run(live_api, "alarm", "update", alarm_id, "--threshold", "75", "--description", "hot")
    assert (changed["threshold"], changed["description"], changed["severity"]) == (75, "hot", "critical")
    assert changed["query"] == QUERY
    assert live_api.openstack("alarm", "delete", alarm_id, cloud=DEMO).returncode == 0
    gone = live_api.openstack("alarm", "show", alarm_id, cloud=DEMO)
    assert gone.returncode != 0
    assert "not found" in gone.stderr.lower()


def test_a_state_is_read_and_set_and_the_history_tells_it(live_api: LiveApi, aodh: Any, name: str) -> None:
    alarm_id = aodh.alarm.create(an_alarm(name))["alarm_id"]
    assert aodh.alarm.get_state(alarm_id) == "insufficient data"
    assert run(live_api, "alarm", "state", "set", alarm_id, "--state", "alarm")["state"] == "alarm"
    assert run(live_api, "alarm", "state", "get", alarm_id)["state"] == "alarm"
    told = run(live_api, "alarm-history", "show", alarm_id)
    assert [row["type"] for row in told] == ["state transition", "creation"]
    assert json.loads(told[0]["detail"])["state"] == "alarm"
    aodh.alarm.delete(alarm_id)
    told = aodh.alarm_history.search(json.dumps({"=": {"alarm_id": alarm_id}}))
    assert {row["type"] for row in told} == {"creation", "state transition", "deletion"}


def test_the_other_types_of_rule_are_made_and_what_we_do_not_evaluate_is_refused_by_name(
    live_api: LiveApi, aodh: Any, name: str
) -> None:
    one = run(
        live_api, "alarm", "create", "--name", name, "--type", "gnocchi_resources_threshold", "--metric", "cpu",
        "--threshold", "1", "--resource-id", str(uuid4()), "--resource-type", "instance", "--aggregation-method", "mean",
        "--time-constraint", "name=office;start='0 9 * * *';duration=3600;timezone=Asia/Tokyo",
    )  # fmt: skip
    assert one["type"] == "gnocchi_resources_threshold"
    assert json.loads(one["time_constraints"])[0]["duration"] == 3600
    kind, metric_id = "gnocchi_aggregation_by_metrics_threshold", str(uuid4())
    rule = {"metrics": [metric_id], "threshold": 1, "aggregation_method": "mean", "granularity": "60"}
    two = aodh.alarm.create({"name": f"{name}-2", "type": kind, f"{kind}_rule": rule})
    assert two[f"{kind}_rule"]["metrics"] == [metric_id]
    with pytest.raises(BadRequest, match="supported are gnocchi_resources_threshold"):
        aodh.alarm.create({"name": f"{name}-3", "type": "event", "event_rule": {"event_type": "x"}})


def a_rule(**changes: Any) -> dict[str, Any]:
    rule = {
        "metric": "cpu",
        "query": QUERY,
        "resource_type": "instance",
        "threshold": 1.0,
        "aggregation_method": "mean",
    }
    return {**rule, **changes}


def an_alarm(name: str, **changes: Any) -> dict[str, Any]:
    kind = "gnocchi_aggregation_by_resources_threshold"
    return {"name": name, "type": kind, f"{kind}_rule": a_rule(), **changes}


def test_lists_are_filtered_sorted_and_paged(aodh: Any, name: str) -> None:
    made = [aodh.alarm.create(an_alarm(f"{name}-{number}"))["alarm_id"] for number in range(3)]
    first = aodh.alarm.list(sorts=["name:asc"], limit=2)
    rest = aodh.alarm.list(sorts=["name:asc"], marker=first[-1]["alarm_id"])
    assert [alarm["alarm_id"] for alarm in [*first, *rest]] == made
    assert aodh.alarm.list(filters={"state": "alarm"}) == []
    assert len(aodh.alarm.list(filters={"enabled": True, "severity": "low"})) == 3
    found = aodh.alarm.query(json.dumps({"or": [{"=": {"name": f"{name}-1"}}, {"=~": {"name": "^.*-2$"}}]}))
    assert {alarm["alarm_id"] for alarm in found} == set(made[1:])


def test_a_whole_put_after_a_get_changes_what_it_says_and_not_the_state(aodh: Any, name: str) -> None:
    alarm = aodh.alarm.create(an_alarm(name))
    aodh.alarm.set_state(alarm["alarm_id"], "ok")
    stale = {**alarm, "description": "changed"}
    aodh.alarm.update(alarm["alarm_id"], stale)
    assert aodh.alarm.get_state(alarm["alarm_id"]) == "ok"
    wished = aodh.alarm.update(alarm["alarm_id"], {"state": "alarm"})
    assert wished["state"] == "alarm"


def test_capabilities_and_quotas_answer(aodh: Any, live_api: LiveApi, pool: Pool) -> None:
    assert aodh.capabilities.list()["api"]["alarms:query:complex"]
    project_id = aodh.quota.list()["project_id"]
    assert aodh.quota.list()["quotas"][0]["resource"] == "alarms"
    assert run(live_api, "alarm", "quota", "set", project_id, "--alarm", "5", cloud="nephoscope-admin")
    assert aodh.quota.list()["quotas"][0]["limit"] == 5
    token = aodh.api.session.get_token()
    assert call(live_api, "DELETE", f"/v2/quotas/{project_id}", token)[0] == 403
    with transaction(pool) as tx:
        tx.execute("DELETE FROM alarm_quota WHERE project_id = %s", (project_id,))


def call(api: LiveApi, method: str, path: str, token: str, body: bytes | None = None) -> tuple[int, Any]:
    """Call the dialect without a client."""
    headers = {"X-Auth-Token": token, "Content-Type": "application/json"}
    request = urllib.request.Request(f"{api.url}/alarming{path}", data=body, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


BAD_ALARMS = [
    an_alarm("n", type="composite"),
    an_alarm("n", type=None),
    an_alarm(""),
    an_alarm("n" * 256),
    an_alarm("n", unknown=1),
    an_alarm("n", severity="mild"),
    an_alarm("n", alarm_actions=["ftp://x/"]),
    an_alarm("n", alarm_actions=["scaling:x"]),
    an_alarm("n", alarm_actions=["https://u:p@x/"]),
    an_alarm("n", alarm_actions="https://x/"),
    an_alarm("n", time_constraints=[{"name": "x", "start": "never", "duration": 1}]),
    an_alarm("n", gnocchi_aggregation_by_resources_threshold_rule=None),
    *(
        an_alarm("n", gnocchi_aggregation_by_resources_threshold_rule=a_rule(**change))
        for change in (
            {"threshold": "hot"}, {"threshold": None}, {"evaluation_periods": 0}, {"evaluation_periods": 101},
            {"granularity": 0}, {"granularity": -1}, {"granularity": 10**12}, {"comparison_operator": "like"},
            {"aggregation_method": "often"}, {"query": "not json"}, {"query": "[]"}, {"query": '{"~": {"a": 1}}'},
            {"operations": "(("}, {"operations": "(boom (metric cpu mean))"}, {"extra": 1}, {"resource_type": ""},
        )
    ),
]  # fmt: skip


def test_bad_input_gets_aodh_s_own_400_with_a_sentence(live_api: LiveApi, session: keystone_session.Session) -> None:
    token = str(session.get_token())
    raw = [
        b"",
        b"[]",
        b"3",
        b"{",
        b'{"name": NaN}',
        b'{"name": "a", "name": "b"}',
        b'"' + b"\\ud800" + b'"',
        b"[" * 5000,
    ]
    for body in [*(json.dumps(alarm).encode() for alarm in BAD_ALARMS), *raw]:
        status, answer = call(live_api, "POST", "/v2/alarms", token, body)
        assert status == 400, body
        assert len(answer["error_message"]["faultstring"]) > 8
        assert answer["error_message"]["faultcode"] == "Client"
    for path in ("/v2/alarms?q.field=nope&q.op=eq&q.value=1", "/v2/alarms?sort=rule", "/v2/alarms?q.field=name"):
        assert call(live_api, "GET", path, token)[0] == 400
    twice = "q.field=name&q.op=eq&q.value=a&q.field=name&q.op=eq&q.value=b"
    assert call(live_api, "GET", f"/v2/alarms?{twice}", token)[0] == 400
    no_query = an_alarm("n", gnocchi_aggregation_by_resources_threshold_rule=a_rule(query="{"))
    status, answer = call(live_api, "POST", "/v2/alarms", token, json.dumps(no_query).encode())
    assert answer["error_message"]["faultstring"].startswith("query is not JSON")
    status, answer = call(live_api, "POST", "/v2/query/alarms", token, b'{"filter": "{"}')
    assert (status, answer["error_message"]["faultstring"][:18]) == (400, "filter is not JSON")
    assert call(live_api, "GET", "/v2/alarms?q.field=all_projects&q.op=eq&q.value=true", token)[0] == 403
    assert call(live_api, "GET", "/v2/alarms/nonsense", token)[0] == 404
    assert call(live_api, "GET", f"/v2/alarms/{uuid4()}", token)[0] == 404
    assert call(live_api, "GET", "/v2/alarms", "wrong")[0] == 401
    log = json.dumps(an_alarm("n", alarm_actions=["log://"])).encode()
    assert call(live_api, "POST", "/v2/alarms", token, log)[0] == 401


def test_a_stranger_gets_404_for_everything_of_another_project(live_api: LiveApi, aodh: Any, name: str) -> None:
    with transaction_of(live_api) as alarm_id:
        token = aodh.api.session.get_token()
        for method, path, body in (
            ("GET", "", None), ("DELETE", "", None), ("GET", "/state", None), ("PUT", "/state", b'"ok"'),
            ("GET", "/history", None), ("PUT", "", json.dumps(an_alarm(name)).encode()),
        ):  # fmt: skip
            assert call(live_api, method, f"/v2/alarms/{alarm_id}{path}", token, body)[0] == 404


class transaction_of:  # noqa: N801 - reads as the context it is
    """An alarm of the admin's project, for as long as the block."""

    def __init__(self, api: LiveApi) -> None:
        self.api = api
        self.alarm_id = ""

    def __enter__(self) -> str:
        made = self.api.openstack(
            "alarm", "create", "--name", f"admin-{uuid4()}", "--type", "gnocchi_resources_threshold", "--metric", "cpu",
            "--threshold", "1", "--resource-id", str(uuid4()), "--resource-type", "instance",
            "--aggregation-method", "mean", "-f", "json",
        )  # fmt: skip
        self.alarm_id = json.loads(made.stdout)["alarm_id"]
        return self.alarm_id

    def __exit__(self, *_: object) -> None:
        self.api.openstack("alarm", "delete", self.alarm_id)


def test_what_an_evaluation_says_is_what_the_client_shows(aodh: Any, name: str, pool: Pool) -> None:
    alarm = aodh.alarm.create(an_alarm(name))
    time.sleep(0.01)
    with transaction(pool) as tx:
        service.evaluate_due(tx, utc_now())
    shown = aodh.alarm.get(alarm["alarm_id"])
    assert shown["state"] == "insufficient data"
    assert "datapoints are unknown" in shown["state_reason"]
    assert shown["evaluate_timestamp"] is not None
