"""Commands that are one process or one step: without their servers, or with a path that cannot be written, they end in one sentence."""

import os
from pathlib import Path
from typing import Any

import pytest
from psycopg import connect
from typer.testing import CliRunner

from entrypoints.__main__ import command_line
from entrypoints.installed_database import servers_of_a_process
from foundation.ids import new_hex_id
from tests.conftest import with_database
from tests.contract.conftest import spare_port

NOTHING_RUNS = "nephoscope: no installation runs here: start `make run`, or set NEPHO_DATABASE_URL"


def run(command: list[str], var: Path, **settings: str) -> Any:
    environment = {"NEPHO_VAR": str(var), "NEPHO_DATABASE_URL": "", "NEPHO_REDIS_URL": "", **settings}
    return CliRunner().invoke(command_line, command, env=environment)


def refusal(answer: Any) -> str:
    assert answer.exit_code == 2, (answer.stdout, answer.stderr, answer.exception)
    (line,) = answer.stderr.strip().splitlines()
    return line


@pytest.mark.parametrize("process", ["api", "worker", "agent"])
def test_a_process_alone_looks_for_no_database_of_the_machines(
    process: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*_: object) -> None:
        raise AssertionError("the process was started")

    monkeypatch.setattr(os, "execv", started)
    assert refusal(run([process], tmp_path)) == NOTHING_RUNS


def test_a_process_alone_takes_the_servers_that_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEPHO_VAR", str(tmp_path))
    monkeypatch.setenv("NEPHO_DATABASE_URL", "postgresql://db.example/nepho")
    monkeypatch.setenv("NEPHO_REDIS_URL", "redis://redis.example/0")
    assert servers_of_a_process("worker") == {"NEPHO_DATABASE_URL": "postgresql://db.example/nepho"}
    assert servers_of_a_process("scheduler") == {}


def test_migrate_says_that_nothing_runs_or_what_the_database_refuses(
    cluster_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEPHO_DATABASE_URL", "")
    assert refusal(run(["migrate"], tmp_path)) == NOTHING_RUNS
    away = f"postgresql://127.0.0.1:{spare_port()}/nepho"
    assert refusal(run(["migrate"], tmp_path, NEPHO_DATABASE_URL=away)).startswith(
        "nephoscope: the database refused it: "
    )


def test_migrate_makes_the_schema_of_the_database_that_is_named(
    cluster_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEPHO_DATABASE_URL", "")
    name = f"migrated_{new_hex_id()}"
    with connect(cluster_url, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"'.encode())
        try:
            address = with_database(cluster_url, name)
            done = run(["migrate"], tmp_path, NEPHO_DATABASE_URL=address)
            assert done.exit_code == 0, (done.stderr, done.exception)
            with connect(address) as made:
                assert made.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
        finally:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def test_a_description_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    wrong = tmp_path / "none" / "openapi.json"
    assert refusal(run(["openapi", str(wrong)], tmp_path)) == (
        f"nephoscope: {wrong} cannot be written: No such file or directory"
    )
