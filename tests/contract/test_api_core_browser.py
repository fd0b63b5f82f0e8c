"""What a browser meets: the session's cookie and CSRF token, the live stream, the pages and their security headers."""

import asyncio
import gc
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from api import front
from api.app import create_app
from api.context import ApiContext
from api.native.series import to_wire_instant
from api.native.stream import Broadcast, messages_of
from foundation import outbox
from foundation.clock import utc_now
from foundation.database import Pool, transaction
from foundation.settings import Settings
from identity.policy import product_caller
from tests.contract.conftest import LiveApi

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PAGE = {"Accept": "text/html,*/*"}


def a_client(pool: Pool, var: Path) -> TestClient:
    context = ApiContext(settings=Settings(var=var), pool=pool, clock=lambda: NOW)
    return TestClient(create_app(context))


@pytest.fixture
def client(pool: Pool, tmp_path: Path) -> Iterator[TestClient]:
    with a_client(pool, tmp_path) as opened:
        yield opened


@pytest.fixture
def password(passwords: dict[str, str]) -> str:
    return passwords["demo"]


def test_signing_in_sets_a_cookie_that_scripts_cannot_read(client: TestClient, password: str) -> None:
    answer = client.post("/v1/session", json={"username": "demo", "password": password})
    assert answer.status_code == 200
    session = answer.json()
    assert session["user"]["name"] == session["project"]["name"] == "demo"
    assert session["roles"] == ["member", "reader"]
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
    assert session["csrf_token"] not in cookie
    assert answer.headers["cache-control"] == "no-store"
    assert client.get("/v1/session").json() == session


def test_a_cookie_alone_changes_nothing_and_with_the_csrf_token_signs_out(client: TestClient, password: str) -> None:
    session = client.post("/v1/session", json={"username": "demo", "password": password, "project": "demo"}).json()
    assert client.delete("/v1/session").status_code == 403
    assert client.delete("/v1/session", headers={"X-CSRF-Token": "0" * 64}).status_code == 403
    assert client.delete("/v1/session", headers={"X-CSRF-Token": session["csrf_token"]}).status_code == 204
    assert client.get("/v1/session").status_code == 401


def test_a_token_in_the_header_needs_no_csrf_token(client: TestClient, password: str) -> None:
    answer = client.post("/v1/session", json={"username": "demo", "password": password})
    headers = {"X-Auth-Token": answer.cookies["nephoscope_session"]}
    client.cookies.clear()
    assert client.get("/v1/session", headers=headers).json()["csrf_token"] == ""
    assert client.delete("/v1/session", headers=headers).status_code == 204


def test_the_cookie_counts_in_no_openstack_dialect(client: TestClient, password: str) -> None:
    client.post("/v1/session", json={"username": "demo", "password": password})
    assert client.get("/identity/v3/projects").status_code == 401


def test_another_site_cannot_sign_a_browser_in(client: TestClient, password: str) -> None:
    credentials = {"username": "demo", "password": password}
    assert client.post("/v1/session", json=credentials, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert client.post("/v1/session", data=credentials).status_code == 400


@pytest.mark.parametrize(
    "credentials",
    [
        {"username": "demo", "password": "wrong"},
        {"username": "nobody", "password": "wrong"},
        {"username": "demo", "password": "wrong", "project": "admin"},
    ],
)
def test_a_failed_sign_in_is_a_401_problem_without_a_cookie(client: TestClient, credentials: dict[str, str]) -> None:
    answer = client.post("/v1/session", json=credentials)
    assert answer.status_code == 401
    assert answer.json()["detail"] == "The request you have made requires authentication."
    assert "set-cookie" not in answer.headers


def test_the_native_api_is_described_by_openapi_3_1_and_every_route_by_a_page(client: TestClient) -> None:
    description = client.get("/v1/openapi.json").json()
    assert description["openapi"].startswith("3.1")
    assert {"/session", "/stream"} <= set(description["paths"])
    page = client.get("/docs")
    assert "/identity/v3/auth/tokens" in page.text
    assert "<script" not in page.text


def test_pages_allow_only_our_own_files_and_no_frame(client: TestClient) -> None:
    headers = client.get("/", headers=PAGE).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"


def test_the_dashboards_files_are_served_and_nothing_beside_them(client: TestClient, tmp_path: Path) -> None:
    files = tmp_path / front.DASHBOARD_FOLDER
    (files / "assets").mkdir(parents=True)
    (files / "index.html").write_text("<p>the page")
    (files / "assets" / "app-1.js").write_text("1")
    (files.parent / "secret.txt").write_text("secret")
    (files / "link.txt").symlink_to(files.parent / "secret.txt")
    assert client.get("/", headers=PAGE).text == "<p>the page"
    assert client.get("/instances/1", headers=PAGE).text == "<p>the page"
    assert "immutable" in client.get("/assets/app-1.js").headers["cache-control"]
    assert client.get("/assets/app-2.js").status_code == 404
    for path in ("/..%2fsecret.txt", "/%2e%2e/secret.txt", "/link.txt", "/assets/..%2f..%2fsecret.txt"):
        assert "secret" not in client.get(path).text


def test_a_dashboard_that_is_not_built_says_so(client: TestClient) -> None:
    answer = client.get("/", headers=PAGE)
    assert answer.status_code == 503
    assert "not built yet" in answer.text
    assert client.get("/favicon.svg").status_code == 404


def test_health_needs_no_token(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ok"}


def open_stream(live_api: LiveApi, token: str) -> HTTPResponse:
    request = urllib.request.Request(f"{live_api.url}/v1/stream", headers={"X-Auth-Token": token})
    return cast(HTTPResponse, urllib.request.urlopen(request, timeout=60))


def live_session(live_api: LiveApi) -> tuple[str, dict[str, Any]]:
    body = json.dumps({"username": "demo", "password": live_api.demo_password}).encode()
    request = urllib.request.Request(
        f"{live_api.url}/v1/session", data=body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        token = answer.headers["set-cookie"].partition("=")[2].partition(";")[0]
        return token, json.load(answer)


def test_the_stream_tells_the_project_what_changed_and_nothing_of_others(live_api: LiveApi, pool: Pool) -> None:
    token, session = live_session(live_api)
    mine, others = str(uuid4()), str(uuid4())

    is_told = threading.Event()

    def change() -> None:
        """Again and again, since what was there at the stream's first look is old to it."""
        while not is_told.wait(1):
            with transaction(pool) as tx:
                for project_id, instance_id in (("another", others), (session["project"]["id"], mine)):
                    payload = {"project_id": project_id, "instance_id": instance_id, "name": "a name that stays inside"}
                    outbox.append(tx, "instance.lifecycle", key=instance_id, payload=payload)

    with open_stream(live_api, token) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        changing = threading.Thread(target=change)
        changing.start()
        lines: list[str] = []
        try:
            while not lines or not lines[-1].startswith("data:"):
                lines.append(stream.readline().decode().rstrip("\n"))
        finally:
            is_told.set()
            changing.join()
    assert lines[0] == "retry: 2000"
    assert lines[-2] == "event: instance"
    assert json.loads(lines[-1].removeprefix("data: "))["id"] == mine
    assert others not in "".join(lines)
    with transaction(pool) as tx:
        tx.execute("DELETE FROM outbox_event WHERE key IN (%s, %s)", (mine, others))


def test_the_streams_of_a_user_are_bounded(live_api: LiveApi) -> None:
    token, _ = live_session(live_api)
    opened = [open_stream(live_api, token) for _ in range(10)]
    try:
        with pytest.raises(urllib.error.HTTPError) as refused:
            open_stream(live_api, token)
        assert refused.value.code == 403
        refused.value.close()
    finally:
        for stream in opened:
            stream.close()


def test_a_stream_whose_reader_left_before_its_first_byte_takes_no_place(pool: Pool) -> None:
    async def open_and_leave() -> int:
        context = ApiContext(settings=Settings(), pool=pool, clock=utc_now)
        broadcast = Broadcast(context)
        subscription = broadcast.open(product_caller(project_id="p", user_id="u"))
        answer = messages_of(broadcast, subscription, context=context, secret="")
        assert len(broadcast.subscriptions) == 1
        del subscription, answer
        gc.collect()
        return len(broadcast.subscriptions)

    with ThreadPoolExecutor(1) as apart:  # a browser's test may have left this thread with a loop of its own
        assert apart.submit(lambda: asyncio.run(open_and_leave())).result() == 0


def test_a_stream_needs_a_token(live_api: LiveApi) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        open_stream(live_api, "nph_none")
    assert refused.value.code == 401
    refused.value.close()


def test_the_streams_times_end_in_z_as_all_others_do() -> None:
    assert to_wire_instant(datetime(2026, 1, 1, 9, tzinfo=timezone(timedelta(hours=9)))) == "2026-01-01T00:00:00Z"
