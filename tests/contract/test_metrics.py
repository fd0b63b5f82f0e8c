"""GET /metrics of the live API: who may read it, that it is Prometheus's form, that processes add up, and that labels are bounded."""

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

import entrypoints.agent
import entrypoints.jobs
import entrypoints.verify
from api.app import create_app
from api.context import ApiContext
from api.metrics import PROCESSES, RESIDENT
from foundation.clock import utc_now
from foundation.database import open_pool
from foundation.exposition import read_all
from foundation.instruments import INSTRUMENTS
from foundation.settings import Settings
from orchestration.watch import DATABASE_UP, GAUGES, INVARIANT_VIOLATIONS
from tests.conftest import open_patient_pool
from tests.contract.conftest import LiveApi, running_api, spare_port

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "docs" / "grafana" / "nephoscope.json"
ENTRYPOINTS = (entrypoints.agent, entrypoints.jobs, entrypoints.verify)
"""Imported so that every instrument is declared."""

SHOWN = {
    "nephoscope_agent_last_reading_timestamp_seconds",
    "nephoscope_agent_poll_duration_seconds",
    "nephoscope_alarm_evaluations_total",
    "nephoscope_delivery_attempts_total",
    "nephoscope_http_request_duration_seconds",
    "nephoscope_http_requests_total",
    "nephoscope_measures_total",
    "nephoscope_rollup_verifications_total",
    "nephoscope_spool_bytes",
    "nephoscope_tasks_total",
}
"""What no dashboard of the service may leave out, beside what the database knows."""

UUID_LIKE = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}")


@pytest.fixture
def client(live_api: LiveApi) -> Iterator[httpx2.Client]:
    """A client of the live API."""
    with httpx2.Client(base_url=live_api.url, trust_env=False, timeout=60) as opened:
        yield opened


def families(text: str) -> dict[str, Metric]:
    """Read an exposition; the parser takes _total off a counter's name."""
    return {
        family.name + ("_total" if family.type == "counter" else ""): family
        for family in text_string_to_metric_families(text)
    }


def value(text: str, name: str, **labels: str) -> float:
    """The sum of all samples of that name that have these labels."""
    return sum(
        sample.value
        for family in families(text).values()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def token(client: httpx2.Client, user: str, password: str) -> str:
    body = {"username": user, "password": password, "project": user}
    answer = client.post("/v1/session", json=body)
    assert answer.status_code < 300, answer.text
    return answer.cookies["nephoscope_session"]


def test_a_direct_caller_on_this_machine_reads_all_families(client: httpx2.Client) -> None:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert answer.headers["cache-control"] == "no-store"
    found = families(answer.text)
    assert {PROCESSES, RESIDENT, DATABASE_UP, INVARIANT_VIOLATIONS, *GAUGES} <= found.keys()
    assert {"nephoscope_http_requests_total", "nephoscope_measures_total"} <= found.keys()
    assert value(answer.text, DATABASE_UP) == 1
    assert value(answer.text, PROCESSES, process="api") == 1
    assert value(answer.text, RESIDENT, process="api") > 10_000_000


def test_requests_are_counted_by_dialect_template_and_status_and_never_by_id(
    client: httpx2.Client, live_api: LiveApi
) -> None:
    secret = token(client, "demo", live_api.demo_password)
    template = {"dialect": "metric", "route": "/v1/metric/{metric_id}", "method": "GET", "status": "404"}
    before = client.get("/metrics").text
    assert value(before, "nephoscope_http_requests_total", dialect="v1", route="/v1/session", method="POST") >= 0
    for number in range(5):
        client.get(f"/metric/v1/metric/0000000{number}-0000-4000-8000-000000000000", headers={"X-Auth-Token": secret})
        client.get(f"/metric/no/such/thing/{number}")
    after = client.get("/metrics").text
    assert value(after, "nephoscope_http_requests_total", **template) - value(
        before, "nephoscope_http_requests_total", **template
    ) == pytest.approx(5)
    unmatched = {"dialect": "metric", "route": "unmatched"}
    assert (
        value(after, "nephoscope_http_requests_total", **unmatched)
        - value(before, "nephoscope_http_requests_total", **unmatched)
        == 5
    )
    assert value(after, "nephoscope_http_request_duration_seconds_count", dialect="metric") >= 10
    for family in families(after).values():
        for sample in family.samples:
            assert not any(UUID_LIKE.search(text) for text in sample.labels.values()), sample


def test_measures_are_counted_by_what_became_of_them(client: httpx2.Client, live_api: LiveApi) -> None:
    headers = {"X-Auth-Token": token(client, "admin", live_api.admin_password)}
    made = client.post("/metric/v1/metric", json={"name": "watched", "archive_policy_name": "low"}, headers=headers)
    measures = [{"timestamp": f"2026-03-01T00:00:{second:02}", "value": second} for second in range(10)]
    counts: list[dict[str, float]] = []
    for _ in range(3):
        text = client.get("/metrics").text
        counts.append({way: value(text, "nephoscope_measures_total", outcome=way) for way in ("accepted", "repeated")})
        answer = client.post(f"/metric/v1/metric/{made.json()['id']}/measures", json=measures, headers=headers)
        assert answer.status_code == 202
    assert counts[1]["accepted"] - counts[0]["accepted"] == 10
    assert counts[2]["repeated"] - counts[1]["repeated"] == 10


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "203.0.113.9"},
        {"Forwarded": "for=203.0.113.9"},
        {"Via": "1.1 proxy"},
        {"Host": "rebound.example.com"},
    ],
)
def test_who_comes_through_a_proxy_or_a_foreign_name_needs_an_admins_token(
    client: httpx2.Client, live_api: LiveApi, headers: dict[str, str]
) -> None:
    assert client.get("/metrics", headers=headers).status_code == 401
    assert client.get("/metrics", headers={**headers, "X-Auth-Token": "nothing"}).status_code == 401
    member = token(client, "demo", live_api.demo_password)
    assert client.get("/metrics", headers={**headers, "X-Auth-Token": member}).status_code == 403
    admin = token(client, "admin", live_api.admin_password)
    assert client.get("/metrics", headers={**headers, "X-Auth-Token": admin}).status_code == 200
    assert client.get("/metrics", headers={**headers, "Authorization": f"Bearer {admin}"}).status_code == 200


def test_only_this_machine_may_read_without_a_token_unless_the_operator_says_otherwise(
    live_api: LiveApi, database_url: str, tmp_path: Path
) -> None:
    pool = open_patient_pool(database_url, size_max=2)
    settings = Settings(var=tmp_path)
    try:
        for cidrs, peer, status in (
            (settings.metrics_cidrs, "192.0.2.7", 401),
            ("192.0.2.0/24", "192.0.2.7", 200),
            ("192.0.2.0/24", "127.0.0.1", 401),
            ("", "127.0.0.1", 401),
            (settings.metrics_cidrs, "::1", 200),
        ):
            context = ApiContext(
                settings=settings.model_copy(update={"metrics_cidrs": cidrs}), pool=pool, clock=utc_now
            )
            with TestClient(create_app(context), client=(peer, 1), base_url="http://127.0.0.1") as asking:
                assert asking.get("/metrics").status_code == status, (cidrs, peer)
    finally:
        pool.close()


def test_while_the_database_is_away_that_is_told_and_what_only_it_knows_is_left_out(tmp_path: Path) -> None:
    url = f"postgresql://nobody@127.0.0.1:{spare_port()}/nothing"
    pool = open_pool(url, size_max=1, application_name="test-metrics")
    pool.timeout = 0.2
    try:
        context = ApiContext(settings=Settings(var=tmp_path), pool=pool, clock=utc_now)
        with TestClient(create_app(context), client=("127.0.0.1", 1), base_url="http://127.0.0.1") as asking:
            text = asking.get("/metrics").text
    finally:
        pool.close()
    found = families(text)
    assert value(text, DATABASE_UP) == 0
    assert not GAUGES.keys() & found.keys()
    assert INVARIANT_VIOLATIONS not in found


def test_two_processes_are_one_answer_whichever_is_asked_and_a_killed_one_takes_no_count_along(
    database_url: str, tmp_path: Path
) -> None:
    ports = spare_port(), spare_port()
    request = {"dialect": "front", "route": "/healthz", "status": "200"}
    with (
        running_api(database_url, tmp_path, port=ports[0]),
        running_api(database_url, tmp_path, port=ports[1]) as second,
    ):
        for port, times in zip(ports, (3, 4), strict=True):
            for _ in range(times):
                httpx2.get(f"http://127.0.0.1:{port}/healthz", trust_env=False, timeout=60)
        texts = [httpx2.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=60).text for port in ports]
        assert [value(text, "nephoscope_http_requests_total", **request) for text in texts] == [7, 7]
        assert value(texts[1], PROCESSES, process="api") == 2
        second.kill()
        second.wait(60)
        after = httpx2.get(f"http://127.0.0.1:{ports[0]}/metrics", trust_env=False, timeout=60).text
        assert value(after, "nephoscope_http_requests_total", **request) == 7
        assert value(after, PROCESSES, process="api") == 1
    assert read_all(tmp_path / "run" / "metrics").running == []


def test_many_watchers_at_once_ask_the_database_once(client: httpx2.Client) -> None:
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(client.get("/metrics").status_code)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 8


def exposed_names() -> set[str]:
    """Every name that a query may use."""
    names = {PROCESSES, RESIDENT, DATABASE_UP, INVARIANT_VIOLATIONS, *GAUGES}
    for instrument in INSTRUMENTS.values():
        suffixes = ("_bucket", "_sum", "_count") if instrument.kind == "histogram" else ("",)
        names |= {instrument.name + suffix for suffix in suffixes}
    return names


def queries(panel: dict[str, Any]) -> Iterator[str]:
    yield from (target["expr"] for target in panel.get("targets", []))
    for inner in panel.get("panels", []):
        yield from queries(inner)


def test_every_query_of_the_dashboard_names_only_metrics_that_exist() -> None:
    board = json.loads(DASHBOARD.read_text())
    asked = [expr for panel in board["panels"] for expr in queries(panel)]
    named = {name for expr in asked for name in re.findall(r"nephoscope_[a-z_]+", expr)}
    assert named <= exposed_names(), named - exposed_names()
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in named}
    assert shown >= {PROCESSES, RESIDENT, DATABASE_UP, INVARIANT_VIOLATIONS, *GAUGES, *SHOWN}
    assert all("nephoscope_" in expr for expr in asked)


def test_the_panels_of_the_dashboard_lie_beside_and_below_each_other() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (column, row)
        for panel in panels
        for column in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for row in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(column for column, _ in cells) < 24
