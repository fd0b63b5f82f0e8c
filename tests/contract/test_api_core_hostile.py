"""Every route of every dialect against what nobody should send: the answer is never a 5xx, and never a hang."""

import re
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from api.app import create_app, create_dialects
from api.context import ApiContext
from foundation.database import Pool
from foundation.settings import Settings
from tests.conftest import open_patient_pool

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLACEHOLDER = re.compile(r"\{[^}]*\}")
ODD_IDS = (
    "0",
    "..",
    "%E2%80%AE",
    "a" * 300,
    "01a1fc37-0ff7-7347-b743-d6ce5c5c2931",
    "not-a-uuid",
    "%27%20OR%201=1--",
    "%F0%9F%92%A9",
)
ODD_QUERIES = (
    "",
    "limit=-1&marker=%00",
    "limit=99999999999999999999&marker=x&sort_key=password&sort_dir=sideways&fields=%ff",
    "limit=NaN&start=yesterday&stop=9999-99-99&granularity=-inf&name=%ED%A0%80",
    "start=2026-01-01T00:00:00&stop=5138-11-16T09:46:39Z&granularity=0&limit=1",
    "start=1e400&end=-1&stop=Infinity&granularity=1e-320&changes-since=never&q.field=x&q.op=~~&q.value=",
    "q.field=a&q.field=b&filter=%7B%22and%22%3A%5B%5D&groupby=&details=maybe&all_tenants=perhaps",
)
ODD_BODIES = (
    b"",
    b"null",
    b"0",
    b'"text"',
    b"[]",
    b"{}",
    b"[[[[[[]]]]]]",
    b'{"": null}',
    b"{",
    b"\xff\xfe\x00",
    b'{"a": NaN}',
    b'{"name": "\\u0000"}',
    b"[" * 5000,
    b'{"server": [], "project": 1, "user": null, "auth": "x", "os-start": {}, "name": {}, "threshold": "NaN"}',
    b'[{"timestamp": "never", "value": "NaN"}, {"timestamp": 1e300, "value": 1}, 7]',
)


@pytest.fixture(scope="module")
def own_pool(database_url: str) -> Iterator[Pool]:
    """A pool with one connection more than requests at once, so that one which leaks would be seen."""
    opened = open_patient_pool(database_url, size_max=2)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def context(own_pool: Pool) -> ApiContext:
    return ApiContext(settings=Settings(), pool=own_pool, clock=lambda: NOW)


@pytest.fixture(scope="module")
def client(context: ApiContext) -> Iterator[TestClient]:
    with TestClient(create_app(context)) as opened:
        yield opened


@pytest.fixture(scope="module")
def admin(client: TestClient, passwords: dict[str, str]) -> dict[str, str]:
    user = {"name": "admin", "domain": {"id": "default"}, "password": passwords["admin"]}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}
    token = client.post("/identity/v3/auth/tokens", json=body).headers["x-subject-token"]
    return {"X-Auth-Token": token}


def operations_of(app: FastAPI) -> list[tuple[str, str]]:
    with warnings.catch_warnings(action="ignore"):  # of operation ids, which only the native API publishes
        paths: dict[str, Any] = app.openapi()["paths"]
    return [(method.upper(), path) for path, operations in paths.items() for method in operations]


DIALECTS = ("/v1", "/identity", "/compute", "/image", "/network", "/volume", "/metric", "/alarming")


@pytest.mark.parametrize("prefix", DIALECTS)
def test_no_odd_request_is_a_5xx(client: TestClient, context: ApiContext, admin: dict[str, str], prefix: str) -> None:
    dialects = create_dialects(context)
    if prefix not in dialects:
        pytest.skip(f"{prefix} is not served yet")
    failures: list[str] = []
    for number, (method, path) in enumerate(operations_of(dialects[prefix])):
        if path == "/stream" or (method, path) == ("DELETE", "/session"):
            continue
        for turn in range(max(len(ODD_IDS), len(ODD_QUERIES)) if method == "GET" else len(ODD_BODIES)):
            odd_id = ODD_IDS[(turn + number) % len(ODD_IDS)]
            url = prefix + PLACEHOLDER.sub(odd_id, path) + "?" + ODD_QUERIES[turn % len(ODD_QUERIES)]
            content = None if method in {"GET", "HEAD"} else ODD_BODIES[turn % len(ODD_BODIES)]
            headers = admin | {"Content-Type": "application/json", "X-Subject-Token": "nph_odd"}
            answer = client.request(method, url, headers=headers, content=content, follow_redirects=False)
            if answer.status_code >= 500 and answer.status_code != 501:
                failures.append(
                    f"{answer.status_code} {method} {url[:150]} {(content or b'')[:60]!r}: {answer.text[:150]}"
                )
    assert not failures, "\n".join(failures[:20])


def test_no_connection_was_lost_on_the_way(client: TestClient, own_pool: Pool) -> None:
    assert client.get("/readyz").status_code == 200
    assert own_pool.get_stats().get("requests_waiting", 0) == 0
