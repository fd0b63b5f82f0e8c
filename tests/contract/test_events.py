"""CloudEvents over real HTTP: every form, an answer for each event, limits, hostile bodies, and projects that see their own only."""

import base64
import http.client
import json
import threading
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keystoneauth1 import session as keystone_session
from keystoneauth1.identity import v3

from metering.event_model import EVENTS_MAX
from tests.contract.conftest import LiveApi

STRUCTURED, BATCHED = "application/cloudevents+json", "application/cloudevents-batch+json"
START = datetime(2026, 3, 1, tzinfo=UTC)
MARCH = "start=2026-03-01T00:00:00Z&end=2026-04-01T00:00:00Z"


class Sender:
    """The native API as one user calls it."""

    def __init__(self, api: LiveApi, name: str, password: str) -> None:
        auth = v3.Password(
            auth_url=f"{api.url}/identity/v3",
            username=name,
            password=password,
            project_name=name,
            user_domain_name="Default",
            project_domain_name="Default",
        )
        session = keystone_session.Session(auth=auth)
        self.token, self.project_id, self.url = str(session.get_token()), str(session.get_project_id()), api.url
        session.session.close()

    def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Call and return the status and the JSON of the answer; bytes go as they are."""
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"X-Auth-Token": self.token, "Content-Type": "application/json", **(headers or {})}
        request = urllib.request.Request(f"{self.url}{path}", content, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                raw = answer.read()
                return answer.status, json.loads(raw) if raw else None
        except urllib.error.HTTPError as error:
            with error:
                raw = error.read()
                return error.code, json.loads(raw) if raw else None

    def post(self, body: Any, form: str = BATCHED, query: str = "") -> tuple[int, Any]:
        """Send events."""
        return self.call("POST", f"/v1/events{query}", body, {"Content-Type": form})

    def meter(self, **changes: Any) -> str:
        """Make a meter of a type of its own and return the name of both."""
        name = f"tokens-{uuid4().hex}"
        body = {"name": name, "event_type": name, "aggregation": "sum", "value": "$.tokens", "unit": "token", **changes}
        status, made = self.call("POST", "/v1/meters", body)
        assert status == 201, made
        return name

    def usage(self, meter: str, query: str = "") -> dict[str, str]:
        """Return what a meter counted in March by subject."""
        status, told = self.call("GET", f"/v1/meters/{meter}/usage?{MARCH}{query}")
        assert status == 200, told
        return {item["subject"]: item["quantity"] for item in told["items"]}


@pytest.fixture(scope="module")
def demo(live_api: LiveApi) -> Sender:
    return Sender(live_api, "demo", live_api.demo_password)


@pytest.fixture(scope="module")
def admin(live_api: LiveApi) -> Sender:
    return Sender(live_api, "admin", live_api.admin_password)


def an_event(kind: str, *, seconds: float = 0, **changes: Any) -> dict[str, Any]:
    """Return an event of ten tokens with an id of its own."""
    at = (START + timedelta(seconds=seconds)).isoformat()
    event: dict[str, Any] = {"specversion": "1.0", "id": uuid4().hex, "source": "/app", "type": kind, "subject": "c"}
    return {**event, "time": at, "data": {"tokens": 10}, **changes}


def test_a_batch_is_answered_event_by_event(demo: Sender) -> None:
    kind = demo.meter()
    good, lacking = an_event(kind), an_event(kind, data={})
    status, answer = demo.post([good, lacking, good, {"id": "x"}])
    assert status == 200
    assert {name: answer[name] for name in ("accepted", "duplicate", "rejected")} == {
        "accepted": 1,
        "duplicate": 1,
        "rejected": 2,
    }
    assert answer["events"][0] == {"index": 0, "id": good["id"], "outcome": "accepted", "meters": [kind]}
    assert answer["events"][1]["field"] == "data.tokens"
    assert "send it as a number" in answer["events"][1]["reason"]
    assert answer["events"][2]["outcome"] == "duplicate"
    assert answer["events"][3]["field"] == "specversion"
    assert demo.usage(kind) == {"c": "10"}
    assert demo.post([])[1] == {"accepted": 0, "duplicate": 0, "rejected": 0, "events": []}


def test_an_event_on_its_own_is_answered_by_the_status_too(demo: Sender) -> None:
    kind = demo.meter()
    event = an_event(kind)
    for form in (STRUCTURED, f"{STRUCTURED}; charset=utf-8", STRUCTURED.upper()):
        assert demo.post(event, form)[0] == 200
    status, problem = demo.post({**event, "id": "other", "source": "not a uri"}, STRUCTURED)
    assert (status, problem["status"], problem["field"]) == (400, 400, "source")
    assert problem["detail"] == problem["events"][0]["reason"]
    assert problem["instance"].startswith("req-")
    assert demo.usage(kind) == {"c": "10"}


def test_attributes_may_come_as_headers(demo: Sender) -> None:
    kind, name = demo.meter(), uuid4().hex
    attributes = {"ce-specversion": "1.0", "ce-source": "/app", "ce-type": kind, "ce-time": START.isoformat()}
    attributes |= {"ce-id": name, "ce-subject": "Euro%20%E2%82%AC%20%F0%9F%98%80", "Content-Type": "application/json"}
    status, answer = demo.call("POST", "/v1/events", {"tokens": 3}, attributes)
    assert (status, answer["accepted"]) == (200, 1)
    assert demo.usage(kind) == {"Euro € 😀": "3"}
    other = {**attributes, "ce-id": name + "b", "ce-type": "untold", "Content-Type": "image/png", "ce-myext": "x"}
    assert demo.call("POST", "/v1/events", b"\x89PNG", other)[0] == 200
    _, page = demo.call("GET", f"/v1/events?source=/app&id={name}b")
    (shown,) = page["items"]
    assert shown["event"]["data_base64"] == base64.b64encode(b"\x89PNG").decode()
    assert (shown["event"]["myext"], shown["event"]["datacontenttype"]) == ("x", "image/png")
    assert demo.call("POST", "/v1/events", b"{", attributes)[0] == 400
    assert demo.call("POST", "/v1/events", {"tokens": 3}, {"ce-id": "1", "Content-Type": "application/json"})[0] == 400


def test_the_three_forms_say_the_same(live_api: LiveApi, demo: Sender) -> None:
    kind = demo.meter()
    event = an_event(kind, myext="x")
    assert demo.post([event])[1]["accepted"] == 1
    headers = {f"ce-{name}": value for name, value in event.items() if name != "data"} | {"X-Auth-Token": demo.token}
    for form in ({}, {"Content-Type": "application/json"}):
        connection = http.client.HTTPConnection(live_api.url.removeprefix("http://"), timeout=120)
        connection.request("POST", "/v1/events", json.dumps(event["data"]).encode(), {**headers, **form})
        answer = json.loads(connection.getresponse().read())
        connection.close()
        assert answer["duplicate"] == 1
        assert "something else" not in answer["events"][0]["reason"]
    assert "something else" not in demo.post(event, STRUCTURED)[1]["events"][0]["reason"]


@pytest.mark.parametrize(
    "form", ["application/json", "text/plain", "application/cloudevents+avro", "application/cloudevents"]
)
def test_another_content_type_is_told_what_to_send(demo: Sender, form: str) -> None:
    status, problem = demo.post([], form)
    assert status == 415
    assert BATCHED in problem["detail"]


@pytest.mark.parametrize(
    ("body", "form"),
    [
        (b"", BATCHED),
        (b"", STRUCTURED),
        (b"{", STRUCTURED),
        (b"\xff\xfe", BATCHED),
        (b"[" * 200_000, BATCHED),
        (b"{}", BATCHED),
        (b"[]", STRUCTURED),
        (b"[{}" + b",{}" * EVENTS_MAX + b"]", BATCHED),
    ],
)
def test_only_a_body_that_cannot_be_read_fails_as_a_whole(demo: Sender, body: bytes, form: str) -> None:
    status, problem = demo.post(body, form)
    assert status == 400, problem
    assert problem["detail"]


def test_a_body_beyond_the_limit_is_refused(demo: Sender) -> None:
    try:
        status, _ = demo.post(b" " * (8 * 1024 * 1024 + 1))
    except (urllib.error.URLError, ConnectionError):
        return
    assert status == 413


@pytest.mark.parametrize(
    "part",
    [
        '{"a": 1, "a": 2}',
        '{"tokens": NaN}',
        '{"tokens": 1e999}',
        '{"tokens": ' + "9" * 5000 + "}",
        r'{"x": "\u0000"}',
        r'{"x": "\ud83d"}',
        "[" * 500 + "]" * 500,
        '{"tokens": 1e200}',
        '{"tokens": "٣"}',
    ],
)
def test_a_hostile_event_costs_only_itself(demo: Sender, part: str) -> None:
    kind = demo.meter()
    bad = json.dumps(an_event(kind, data=None))[:-5] + part + "}"
    status, answer = demo.post(f"[{bad},{json.dumps(an_event(kind))}]".encode())
    assert status == 200, answer
    assert [one["outcome"] for one in answer["events"]] == ["rejected", "accepted"]
    assert answer["events"][0]["reason"]
    assert demo.usage(kind) == {"c": "10"}


def test_ten_senders_of_the_same_events_count_each_once(demo: Sender) -> None:
    kind = demo.meter()
    events = [an_event(kind, seconds=n % 3) for n in range(200)]
    accepted, lock = list[int](), threading.Lock()

    def work(seed: int) -> None:
        for _ in range(2):
            status, answer = demo.post(events[seed * 10 :] + events[: seed * 10])
            assert status == 200
            with lock:
                accepted.append(answer["accepted"])

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(accepted) == 20
    assert sum(accepted) == 200
    assert demo.usage(kind) == {"c": "2000"}


def test_an_event_without_a_meter_is_told_so_and_counted_by_one_that_is_made_later(demo: Sender) -> None:
    kind = f"later-{uuid4().hex}"
    _, answer = demo.post([an_event(kind)])
    assert answer["events"][0]["meters"] == []
    assert "made later" in answer["events"][0]["note"]
    meter = demo.meter(event_type=kind)
    assert demo.usage(meter) == {"c": "10"}


def test_what_events_counted_is_read_by_the_metric_api(demo: Sender) -> None:
    kind = demo.meter(group_by={"model": "$.model"})
    who = uuid4().hex
    events = [an_event(kind, subject=who, data={"tokens": n, "model": "m" if n % 2 else "k"}) for n in range(1, 5)]
    assert demo.post(events)[1]["accepted"] == 4
    search = {"and": [{"=": {"subject": who}}, {"=": {"model": "m"}}]}
    status, (resource,) = demo.call("POST", "/metric/v1/search/resource/event_subject", search)
    assert (status, resource["model"]) == (200, "m")
    path = f"/metric/v1/resource/event_subject/{resource['id']}/metric/{kind}/measures?granularity=60&aggregation="
    assert demo.call("GET", path + "sum")[1] == [["2026-03-01T00:00:00+00:00", 60.0, 4.0]]
    assert demo.call("GET", path + "count")[1] == [["2026-03-01T00:00:00+00:00", 60.0, 2.0]]
    request = {
        "operations": f"(aggregate sum (metric {kind} sum))",
        "resource_type": "event_subject",
        "search": {"=": {"subject": who}},
    }
    status, groups = demo.call("POST", "/metric/v1/aggregates?groupby=model&granularity=60", request)
    assert status == 200
    sums = {group["group"]["model"]: group["measures"]["measures"]["aggregated"][0][2] for group in groups}
    assert sums == {"m": 4.0, "k": 6.0}


def test_the_page_of_events_says_what_was_answered(demo: Sender) -> None:
    kind = demo.meter()
    good, bad = an_event(kind), an_event(kind, time="2026-03-01T00:00:00")
    demo.post([good, bad, good])
    _, page = demo.call("GET", f"/v1/events?type={kind}&limit=2")
    assert [item["outcome"] for item in page["items"]] == ["duplicate", "rejected"]
    assert "time zone" in page["items"][1]["reason"]
    assert json.loads(page["items"][1]["content"])["id"] == bad["id"]
    _, rest = demo.call("GET", f"/v1/events?type={kind}&limit=2&cursor={page['next']}")
    (kept,) = rest["items"]
    assert (kept["outcome"], kept["event"]["data"]) == ("accepted", {"tokens": 10})
    assert kept["meters"][0]["value"] == 10.0
    assert demo.call("GET", f"/v1/events/{kept['id']}")[1] == kept
    assert demo.call("GET", f"/v1/events/{page['items'][1]['id']}")[1]["field"] == "time"
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat().replace("+", "%2B")
    assert demo.call("GET", f"/v1/events?from={soon}")[1] == {"items": [], "next": None}
    assert len(demo.call("GET", f"/v1/events?type={kind}&to={soon}&outcome=rejected")[1]["items"]) == 1


@pytest.mark.parametrize(
    "query",
    [
        "cursor=x",
        "cursor=WzEsMl0",
        "from=2026-01-01T00:00:00",
        "from=9999-01-01T00:00:00Z",
        "outcome=lost",
        "limit=0",
        "id=%00",
    ],
)
def test_a_wrong_question_is_told_why(demo: Sender, query: str) -> None:
    status, problem = demo.call("GET", f"/v1/events?{query}")
    assert status == 400
    assert problem["detail"]


def test_a_project_sees_and_sends_its_own_only_and_an_admin_names_one(demo: Sender, admin: Sender) -> None:
    kind = demo.meter()
    event = an_event(kind)
    assert admin.post([event], query=f"?project_id={demo.project_id}")[1]["accepted"] == 1
    assert demo.post([event])[1]["duplicate"] == 1
    assert admin.post([event])[1]["events"][0]["meters"] == []
    assert demo.usage(kind) == {"c": "10"}
    (own,) = admin.call("GET", f"/v1/events?source=/app&id={event['id']}")[1]["items"]
    assert own["project_id"] == admin.project_id
    assert demo.call("GET", f"/v1/events/{own['id']}")[0] == 404
    assert demo.post([event], query=f"?project_id={admin.project_id}")[0] == 404
    assert demo.call("GET", f"/v1/events?project_id={admin.project_id}")[0] == 404
    assert admin.post([event], query="?project_id=mistyped")[0] == 404
    assert admin.call("GET", f"/v1/meters/{kind}")[0] == 404
    assert admin.call("GET", f"/v1/meters/{kind}?project_id={demo.project_id}")[0] == 200


def test_nothing_comes_in_without_a_token(demo: Sender) -> None:
    request = urllib.request.Request(f"{demo.url}/v1/events", b"[]", {"Content-Type": BATCHED})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=120)
    assert caught.value.code == 401
    caught.value.close()


def test_an_event_becomes_money_and_its_line_is_explained_by_it(admin: Sender) -> None:
    kind = f"answers-{uuid4().hex}"
    status, made = admin.call("POST", "/identity/v3/projects", {"project": {"name": kind}})
    assert status == 201
    mine = f"?project_id={made['project']['id']}"
    meter = {"name": kind, "event_type": kind, "aggregation": "sum", "value": "tokens", "unit": "token"}
    assert admin.call("POST", f"/v1/meters{mine}", meter)[0] == 201
    plan = admin.call("POST", "/v1/billing/price-plans", {"name": kind, "currency": "JPY", "reason": "r"})[1]["id"]
    begin = START.isoformat()
    price = {"kind": "counter", "meter": kind, "base_unit": "token", "unit": "token", "per": "1", "price": "2"}
    version = {"effective_from": begin, "prices": [price], "reason": "r"}
    assert admin.call("POST", f"/v1/billing/price-plans/{plan}/versions", version)[0] == 201
    assignment = {"plan_id": plan, "effective_from": begin, "reason": "r"}
    assert admin.call("POST", f"/v1/billing/account/plans{mine}", assignment)[0] == 201
    events = [an_event(kind, data={"tokens": n}) for n in (1, 2, 4)]
    assert admin.post([*events, *events], query=mine)[1]["accepted"] == 3
    period = {"project_id": made["project"]["id"], "start": begin, "end": (START + timedelta(days=1)).isoformat()}
    status, invoice = admin.call("POST", "/v1/billing/invoices", period)
    assert status in (200, 201), invoice
    (line,) = invoice["lines"]
    assert (line["quantity"], line["amount"]) == ("7", "14")
    _, told = admin.call("GET", f"/v1/billing/invoices/{invoice['id']}/lines/1/explain")
    assert sorted(sample["increase"] for sample in told["counter"]["samples"]) == ["1", "2", "4"], told
    more = [an_event(kind, data={"tokens": 1}) for _ in range(6_000)]
    assert admin.post(more, query=mine)[1]["accepted"] == 6_000
    assert admin.call("POST", "/v1/billing/invoices", period)[1]["id"] == invoice["id"]
    status, told = admin.call("GET", f"/v1/billing/invoices/{invoice['id']}/lines/1/explain")
    assert status == 200, told
    assert [hour["increase"] for hour in told["counter"]["hours"]] == ["6007"]


PARTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
NONSENSE = st.dictionaries(
    st.sampled_from(("specversion", "id", "source", "type", "subject", "time", "data", "data_base64", "x", "X")),
    st.sampled_from(("1.0", "/a", "fuzzed", "2026-03-01T00:00:00Z", "AAEC", "")) | PARTS,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(batch=st.lists(NONSENSE | PARTS, max_size=6), form=st.sampled_from((BATCHED, STRUCTURED)))
def test_nonsense_is_answered_and_never_breaks_anything(demo: Sender, batch: list[Any], form: str) -> None:
    status, answer = demo.post(batch if form == BATCHED else (batch or [{}])[0], form)
    assert status in (200, 400), answer
    if form == BATCHED:
        assert status == 200
        assert [one["index"] for one in answer["events"]] == list(range(len(batch)))
        assert all(one["outcome"] == "accepted" or one["reason"] for one in answer["events"])
    assert demo.call("GET", "/v1/events?limit=20")[0] == 200
