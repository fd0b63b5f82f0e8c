"""The core that every dialect stands on: one transaction a request, limits before work, and a sentence for every failure."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from api.authentication import AdminCaller, RequestCaller, WriterCaller
from api.body import new_router
from api.context import ApiContext
from api.dialect import create_dialect_app
from api.faults import fault_of
from api.guard import HEADERS_COUNT_MAX, QUERY_PARAMETERS_MAX
from api.native.problems import render_problem
from api.pagination import RequestCursorPage, RequestPage
from api.transaction import RequestTransaction, SnapshotTransaction
from foundation.database import Pool, Transaction, open_pool, transaction
from foundation.errors import Conflict, NotFound, QuotaExceeded, Unavailable
from foundation.settings import Settings
from identity import directory, service
from identity.directory import Grant, NewProject, NewUser
from identity.model import DEFAULT_DOMAIN_ID
from identity.service import ProjectScope, Reference

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BODY_BYTES_MAX = 4096
router = new_router()


class Order(BaseModel):
    """A body as any dialect might have."""

    model_config = ConfigDict(extra="forbid")
    count: int
    ratio: float = 0


@router.post("/orders")
def place_order(order: Order) -> Order:
    return order


@router.post("/notes/{name}")
def write_note(tx: RequestTransaction, name: str, fail: str = "") -> dict[str, str]:
    tx.execute("INSERT INTO identity_domain (id, name) VALUES (%s, %s)", (name, name))
    if fail == "raise":
        raise Conflict("no")
    if fail == "terminate":
        with psycopg.connect(tx.info.dsn + (f" password={tx.info.password}" if tx.info.password else "")) as other:
            other.execute("SELECT pg_terminate_backend(%s)", (tx.info.backend_pid,))
    if fail == "cut":
        with socket.socket(fileno=os.dup(tx.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)
    if fail == "disk":
        tx.execute("DO $$ BEGIN RAISE disk_full; END $$")
    if fail == "commit":
        tx.execute("CREATE TEMP TABLE parent (id int PRIMARY KEY) ON COMMIT DROP")
        tx.execute("CREATE TEMP TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED) ON COMMIT DROP")
        tx.execute("INSERT INTO child VALUES (1)")
    return {"note": name}


@router.get("/isolation")
def show_isolation(caller: RequestCaller, tx: SnapshotTransaction) -> dict[str, Any]:
    row = tx.execute(
        "SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')"
    ).fetchone()
    return {"caller": caller.user_name, "isolation": row}


@router.get("/caller-after-transaction")
def show_caller(tx: RequestTransaction, caller: RequestCaller) -> dict[str, Any]:
    row = tx.execute("SELECT current_setting('transaction_isolation')").fetchone()
    return {"caller": caller.user_name, "roles": sorted(caller.roles), "isolation": row}


@router.get("/admins")
def greet_admin(caller: AdminCaller) -> dict[str, str]:
    return {"hello": caller.user_name}


@router.post("/writes")
def greet_writer(caller: WriterCaller) -> dict[str, str]:
    return {"hello": caller.user_name}


@router.get("/slow")
def wait_in_transaction(tx: RequestTransaction) -> dict[str, str]:
    tx.execute("SELECT pg_sleep(0.2)")
    return {}


@router.get("/fail/{kind}")
def fail(kind: str, tx: RequestTransaction) -> None:
    match kind:
        case "missing":
            raise NotFound("it is not there")
        case "quota":
            raise QuotaExceeded("too many")
        case "away":
            raise Unavailable("later", retry_after_s=7)
        case "range":
            tx.execute("SELECT (%s::text)::smallint", ("70000",))
        case "twice":
            tx.execute("INSERT INTO identity_domain (id, name) VALUES ('x', 'x'), ('x', 'x')")
        case _:
            raise RuntimeError("a secret that must not be told")


@router.get("/pages")
def show_page(page: RequestPage) -> dict[str, Any]:
    return {"limit": page.limit, "marker": page.marker}


@router.get("/cursors")
def show_cursor(page: RequestCursorPage) -> dict[str, Any]:
    return {"limit": page.limit}


@pytest.fixture(scope="module")
def app(pool: Pool) -> FastAPI:
    settings = Settings(body_bytes_max=BODY_BYTES_MAX, page_limit_max=50)
    context = ApiContext(settings=settings, pool=pool, clock=lambda: NOW)
    made = create_dialect_app(context, title="Trial", render=render_problem, strips_trailing_slash=True)
    made.include_router(router)
    return made


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app) as opened:
        yield opened


@pytest.fixture(scope="module")
def tokens(pool: Pool) -> dict[str, str]:
    """A token of a new user for each role, in a new project."""
    with transaction(pool) as tx:
        service.bootstrap(tx, NOW)
        admin_login = service.find_login(tx, Reference(name="admin", domain_id=DEFAULT_DOMAIN_ID))
        assert admin_login is not None
        expires_at = service.token_expiry(NOW, lifetime_s=3600)
        admin = service.issue_token(
            tx, admin_login, scope=service.DefaultScope(), methods=["password"], now=NOW, expires_at=expires_at
        )
        project = directory.create_project(tx, admin.token, new=NewProject(f"project-{uuid4().hex}"), now=NOW)
        made: dict[str, str] = {"unscoped": ""}
        for role in directory.list_roles(tx):
            user = directory.create_user(tx, admin.token, new=NewUser(f"{role.name}-{uuid4().hex}", None), now=NOW)
            directory.assign_role(tx, admin.token, Grant(user.id, role.id, project.id))
            login = service.find_login(tx, Reference(id=user.id))
            assert login is not None
            scope = ProjectScope(Reference(id=project.id))
            issued = service.issue_token(tx, login, scope=scope, methods=["password"], now=NOW, expires_at=expires_at)
            made[role.name] = issued.secret
        return made


def is_written(pool: Pool, name: str) -> bool:
    with transaction(pool) as tx:
        return tx.execute("SELECT FROM identity_domain WHERE id = %s", (name,)).fetchone() is not None


def test_a_request_is_one_committed_transaction(client: TestClient, pool: Pool) -> None:
    name = uuid4().hex
    assert client.post(f"/notes/{name}").status_code == 200
    assert is_written(pool, name)


def test_a_request_that_fails_leaves_nothing(client: TestClient, pool: Pool) -> None:
    name = uuid4().hex
    assert client.post(f"/notes/{name}", params={"fail": "raise"}).status_code == 409
    assert not is_written(pool, name)


def test_a_commit_that_the_database_refuses_is_never_answered_as_done(client: TestClient, pool: Pool) -> None:
    name = uuid4().hex
    answer = client.post(f"/notes/{name}", params={"fail": "commit"})
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert not is_written(pool, name)


def test_a_connection_that_dies_before_its_commit_is_a_503_and_the_next_request_works(
    client: TestClient, pool: Pool
) -> None:
    name = uuid4().hex
    answer = client.post(f"/notes/{name}", params={"fail": "terminate"})
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert not is_written(pool, name)
    assert client.post(f"/notes/{name}").status_code == 200


def test_a_full_disk_of_the_database_is_a_503_that_says_so(client: TestClient, pool: Pool) -> None:
    name = uuid4().hex
    answer = client.post(f"/notes/{name}", params={"fail": "disk"})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "60"
    assert "the database's disk is full" in answer.json()["detail"]
    assert not is_written(pool, name)


def test_a_commit_whose_answer_is_lost_is_not_said_to_have_changed_nothing(client: TestClient) -> None:
    answer = client.post(f"/notes/{uuid4().hex}", params={"fail": "cut"})
    assert answer.status_code == 503
    assert "look whether it is there" in answer.text


def test_what_the_database_refuses_is_logged_without_the_row(tx: Transaction) -> None:
    with pytest.raises(psycopg.errors.NotNullViolation) as refused:
        tx.execute("INSERT INTO identity_domain (id, name) VALUES (NULL, 'a secret that must not be told')")
    with capture_logs() as logged:
        assert fault_of(refused.value).status == 400
    (line,) = [one for one in logged if "sqlstate" in one]
    assert (line["table"], line["sqlstate"]) == ("identity_domain", "23502")
    assert "test_api_core.py" in line["place"]
    assert "must not be told" not in json.dumps(line, default=str)


def test_a_database_that_is_away_is_a_503_that_says_when_to_come_back() -> None:
    nowhere = open_pool("postgresql://nobody@127.0.0.1:1/nothing", size_max=1, application_name="tests")
    try:
        context = ApiContext(settings=Settings(), pool=nowhere, clock=lambda: NOW)
        made = create_dialect_app(context, title="Trial", render=render_problem)
        made.include_router(router)
        with TestClient(made) as client:
            answer = client.post("/notes/lost")
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
    finally:
        nowhere.close()


def test_a_snapshot_sees_one_instant_and_writes_nothing(client: TestClient, tokens: dict[str, str]) -> None:
    answer = client.get("/isolation", headers={"X-Auth-Token": tokens["reader"]})
    assert answer.json()["isolation"] == ["repeatable read", "on"]
    after = client.get("/caller-after-transaction", headers={"X-Auth-Token": tokens["reader"]})
    assert after.json()["isolation"] == ["read committed"]
    assert after.json()["roles"] == ["reader"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/admins", {"admin"}),
        ("POST", "/writes", {"admin", "member"}),
        ("GET", "/isolation", {"admin", "member", "reader"}),
    ],
)
def test_each_role_may_do_what_it_is_for(
    client: TestClient, tokens: dict[str, str], method: str, path: str, allowed: set[str]
) -> None:
    for role in ("admin", "member", "reader"):
        answer = client.request(method, path, headers={"X-Auth-Token": tokens[role]})
        assert answer.status_code == (200 if role in allowed else 403), role
    assert client.request(method, path).status_code == 401
    assert client.request(method, path, headers={"X-Auth-Token": "nph_unknown"}).status_code == 401


def test_more_requests_than_connections_and_threads_wait_and_are_all_served(app: FastAPI) -> None:
    statuses: list[int] = []
    with TestClient(app) as client:

        def ask() -> None:
            statuses.append(client.get("/slow").status_code)

        threads = [threading.Thread(target=ask) for _ in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert statuses == [200] * 40


@pytest.mark.parametrize(
    ("kind", "status"), [("missing", 404), ("quota", 403), ("away", 503), ("range", 400), ("twice", 409), ("bug", 500)]
)
def test_every_kind_of_failure_has_its_status_and_tells_no_secret(client: TestClient, kind: str, status: int) -> None:
    answer = client.get(f"/fail/{kind}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["instance"] == answer.headers["x-openstack-request-id"]
    assert "secret" not in answer.text
    if kind == "away":
        assert answer.headers["retry-after"] == "7"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"count": NaN}',
        b'{"count": 1, "ratio": 1e999}',
        b'{"count": 1, "count": 2}',
        b'{"count": 1.5}',
        b'{"count": "\\ud800"}',
        b'{"count": "\\u0000"}',
        b'{"count": ' + b"9" * 3000 + b"}",
        b'{"count": 1, "host": "elsewhere"}',
        b"[" * 2000,
        b"null",
        b"\xff\xfe",
    ],
)
def test_a_bad_body_is_a_400_with_a_sentence(client: TestClient, body: bytes) -> None:
    answer = client.post("/orders", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["detail"]


@pytest.mark.parametrize("headers", [{}, {"content-type": "application/x-www-form-urlencoded"}])
def test_a_body_that_is_not_said_to_be_json_is_a_400_that_names_the_header(
    client: TestClient, headers: dict[str, str]
) -> None:
    answer = client.post("/orders", content=b'{"count": 1}', headers=headers)
    assert answer.status_code == 400
    assert "Content-Type: application/json" in answer.json()["detail"]
    missing = client.post("/orders", headers=headers)
    assert (missing.status_code, "Content-Type" in missing.text) == (400, False)


def test_a_body_that_is_too_large_is_a_413_whether_or_not_it_says_its_length(client: TestClient) -> None:
    large = b'{"count": 1}' + b" " * BODY_BYTES_MAX
    headers = {"content-type": "application/json"}
    assert client.post("/orders", content=large, headers=headers).status_code == 413
    chunks = (large[start : start + 512] for start in range(0, len(large), 512))
    assert client.post("/orders", content=chunks, headers=headers).status_code == 413
    assert client.post("/orders", content=large[:BODY_BYTES_MAX], headers=headers).status_code == 200


@pytest.mark.parametrize(
    "path", ["/pages?limit=-1", "/pages?limit=NaN", "/pages?limit=99999999999999999999", "/cursors?cursor=!!"]
)
def test_a_bad_parameter_is_a_400_that_names_it(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 400
    assert answer.json()["field"] in {"limit", "cursor"}


def test_a_page_is_never_larger_than_the_setting(client: TestClient) -> None:
    assert client.get("/pages").json()["limit"] == 50
    assert client.get("/pages?limit=1000").json()["limit"] == 50
    assert client.get("/pages?limit=0").json()["limit"] == 50
    assert client.get("/pages?limit=7&marker=a").json() == {"limit": 7, "marker": "a"}


def test_headers_and_parameters_are_bounded(client: TestClient) -> None:
    many = {f"x-{number}": "1" for number in range(HEADERS_COUNT_MAX + 1)}
    assert client.get("/pages", headers=many).status_code == 431
    assert client.get("/pages", headers={"x-long": "1" * 40_000}).status_code == 431
    assert client.get("/pages?" + "a=1&" * (QUERY_PARAMETERS_MAX + 1)).status_code == 414
    assert client.get("/pages?marker=%00").status_code == 400
    assert client.get("/fail/%00").status_code == 400


def test_slashes_too_many_are_forgiven(client: TestClient) -> None:
    assert client.get("/pages//").status_code == 200


def test_an_unknown_address_and_method_are_told_in_the_same_form(client: TestClient) -> None:
    assert client.get("/nowhere").json()["status"] == 404
    assert client.delete("/orders").json()["status"] == 405


def test_waiting_for_the_database_is_bounded_in_time(pool: Pool) -> None:
    started = time.monotonic()
    small = open_pool("postgresql://nobody@127.0.0.1:1/nothing", size_max=1, application_name="tests")
    try:
        with pytest.raises(Unavailable), transaction(small):
            pass
    finally:
        small.close()
    assert time.monotonic() - started < 20
