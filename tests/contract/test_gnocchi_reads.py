"""Reads that are answered in one thread: as whom, from which instant, and what is said where the caller or the database fails."""

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.testclient import TestClient

from api.body import new_router
from api.context import ApiContext
from api.dialect import create_dialect_app
from api.native.problems import render_problem
from api.reads import answer_read
from foundation.database import Pool, Transaction, transaction
from foundation.errors import NotFound
from foundation.settings import Settings
from identity import directory, service
from identity.directory import Grant, NewProject, NewUser
from identity.model import DEFAULT_DOMAIN_ID, Caller
from identity.service import ProjectScope, Reference
from tests.contract.conftest import LiveApi
from tests.contract.test_gnocchi_pushes import Sender

NOW = datetime(2026, 1, 1, tzinfo=UTC)
router = new_router()


@router.get("/read")
async def read(request: Request, fail: str = "") -> Response:
    def respond(tx: Transaction, caller: Caller) -> Response:
        if fail == "missing":
            raise NotFound("it is not there")
        if fail == "statement":
            tx.execute("SELECT set_config('application_name', 'reads', true)")
            tx.execute("SELECT 'x'::integer + %s", (1,)).fetchone()
        if fail == "write":
            tx.execute("CREATE TABLE never (id integer)")
        if fail == "timeout":
            tx.execute("SET LOCAL statement_timeout = 50")
            tx.execute("SELECT pg_sleep(5)").fetchone()
        if fail == "terminate":
            with psycopg.connect(tx.info.dsn + (f" password={tx.info.password}" if tx.info.password else "")) as other:
                other.execute("SELECT pg_terminate_backend(%s)", (tx.info.backend_pid,))
        row = tx.execute(
            "SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')"
        ).fetchone()
        return JSONResponse({"caller": caller.user_name, "isolation": row})

    return await answer_read(request, respond)


@pytest.fixture(scope="module")
def app(pool: Pool) -> FastAPI:
    context = ApiContext(settings=Settings(), pool=pool, clock=lambda: NOW)
    made = create_dialect_app(context, title="Reads", render=render_problem)
    made.include_router(router)
    return made


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app) as opened:
        yield opened


@pytest.fixture
def token(pool: Pool) -> service.IssuedToken:
    """A token of a new reader in a new project."""
    with transaction(pool) as tx:
        service.bootstrap(tx, NOW)
        admin_login = service.find_login(tx, Reference(name="admin", domain_id=DEFAULT_DOMAIN_ID))
        assert admin_login is not None
        until = service.token_expiry(NOW, lifetime_s=3600)
        admin = service.issue_token(
            tx, admin_login, scope=service.DefaultScope(), methods=["password"], now=NOW, expires_at=until
        )
        project = directory.create_project(tx, admin.token, new=NewProject(f"project-{uuid4().hex}"), now=NOW)
        user = directory.create_user(tx, admin.token, new=NewUser(f"reader-{uuid4().hex}", None), now=NOW)
        role = next(one for one in directory.list_roles(tx) if one.name == "reader")
        directory.assign_role(tx, admin.token, Grant(user.id, role.id, project.id))
        login = service.find_login(tx, Reference(id=user.id))
        assert login is not None
        scope = ProjectScope(Reference(id=project.id))
        return service.issue_token(tx, login, scope=scope, methods=["password"], now=NOW, expires_at=until)


def test_a_read_sees_one_instant_and_cannot_write(client: TestClient, token: service.IssuedToken) -> None:
    headers = {"X-Auth-Token": token.secret}
    answer = client.get("/read", headers=headers)
    assert answer.json() == {"caller": token.token.user_name, "isolation": ["repeatable read", "on"]}
    refused = client.get("/read", params={"fail": "write"}, headers=headers)
    assert refused.status_code >= 400
    assert client.get("/read", headers=headers).status_code == 200


def test_a_token_that_is_revoked_is_refused_at_its_next_use(
    client: TestClient, pool: Pool, token: service.IssuedToken
) -> None:
    headers = {"X-Auth-Token": token.secret}
    assert client.get("/read", headers=headers).status_code == 200
    with transaction(pool) as tx:
        service.revoke_token(tx, token.token.hash)
    assert client.get("/read", headers=headers).status_code == 401
    assert client.get("/read").status_code == 401


@pytest.mark.parametrize(
    ("fail", "status"), [("missing", 404), ("statement", 400), ("timeout", 503), ("terminate", 503)]
)
def test_a_read_that_fails_says_so_and_leaves_a_connection_that_serves_the_next(
    client: TestClient, token: service.IssuedToken, fail: str, status: int
) -> None:
    headers = {"X-Auth-Token": token.secret}
    for _ in range(3):
        assert client.get("/read", params={"fail": fail}, headers=headers).status_code == status
        assert client.get("/read", headers=headers).status_code == 200


@pytest.fixture(scope="module")
def admin(live_api: LiveApi) -> Iterator[Sender]:
    sender = Sender(live_api, "admin")
    with sender.http:
        yield sender


def test_what_was_acknowledged_is_read_at_once_however_often_the_read_was_planned_before(admin: Sender) -> None:
    name = f"policy-{uuid4().hex[:8]}"
    body = {"name": name, "definition": [{"granularity": "1 m", "points": 100}]}
    assert admin.call("POST", "/v1/archive_policy", json=body).status_code == 201
    metric = admin.call("POST", "/v1/metric", json={"archive_policy_name": name}).json()["id"]
    path = f"/v1/metric/{metric}/measures?granularity=60&start=2026-03-01&stop=2026-03-02"
    for minute in range(30):
        measure = {"timestamp": f"2026-03-01T00:{minute:02}:00", "value": minute}
        assert admin.call("POST", f"/v1/metric/{metric}/measures", json=[measure]).status_code == 202
        assert [value for _, _, value in admin.call("GET", path).json()] == list(range(minute + 1))
    assert admin.call("GET", f"/v1/metric/{uuid4()}/measures").status_code == 404
    assert admin.call("GET", "/v1/metric/no-id/measures").status_code == 404
    assert admin.call("GET", f"/v1/metric/{metric}/measures?granularity=7").status_code == 404
    assert admin.call("GET", f"/v1/metric/{metric}/measures?start=nonsense").status_code == 400
