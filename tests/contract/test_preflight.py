"""Why the product cannot start: one sentence that names the setting or the server, and never a password."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from entrypoints import preflight
from entrypoints.supervision import reason_in, run_once
from foundation.ids import new_hex_id
from provision import redis_server
from tests.conftest import with_database
from tests.contract.conftest import spare_port

TIMEOUT_S = 180.0


def run_up(tmp_path: Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "NEPHO_VAR": str(tmp_path), "NEPHO_LISTEN": f"127.0.0.1:{spare_port()}", **settings}
    command = [sys.executable, "-m", "entrypoints.up"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


def test_a_setting_out_of_range_is_named_before_anything_is_started(tmp_path: Path):
    ended = run_up(tmp_path, NEPHO_POLL_INTERVAL_S="0", DEMO="0")
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr == (
        "nephoscope: NEPHO_POLL_INTERVAL_S=0 is not allowed: it takes a number from 1 to 3600"
        " (seconds between two readings of a host). Mend that and run it again.\n"
    )
    assert "NEPHO_POLL_INTERVAL_S=0" in (tmp_path / "log" / "preflight.log").read_text()
    assert not (tmp_path / "run").exists()


def test_a_database_that_does_not_answer_is_named_without_its_password(tmp_path: Path):
    ended = run_up(
        tmp_path,
        NEPHO_DATABASE_URL="postgresql://nepho:verysecret@127.0.0.1:9/books",
        NEPHO_HYPERVISORS="simulated:1",
        DEMO="0",
    )
    assert ended.returncode == 1
    assert "database and broker run" not in ended.stdout
    assert "NEPHO_DATABASE_URL names, books on 127.0.0.1:9, does not answer (Connection refused)" in ended.stderr
    assert "verysecret" not in ended.stderr + ended.stdout


def test_a_database_that_refuses_says_why(cluster_url: str):
    sentence = preflight.ask_database(cluster_url.replace("/postgres?", "/nowhere?"))
    assert "refuses us" in sentence
    assert 'database "nowhere" does not exist' in sentence
    assert preflight.ask_database(cluster_url) == ""


def test_a_database_that_cannot_hold_every_script_is_refused(cluster_url: str):
    name = f"latin_{new_hex_id()}"
    made = sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C'")
    with psycopg.connect(cluster_url, autocommit=True) as connection:
        connection.execute(made.format(sql.Identifier(name)))
    sentence = preflight.ask_database(with_database(cluster_url, name))
    with psycopg.connect(cluster_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
    assert f"names, {name} on " in sentence
    assert "is encoded in LATIN1" in sentence
    assert "ENCODING 'UTF8'" in sentence


def test_what_is_no_database_url_is_said():
    assert "NEPHO_DATABASE_URL is no PostgreSQL URL" in preflight.ask_database("mysql:/x y")


def test_a_broker_is_asked_and_named_without_its_password():
    with redis_server.running_redis() as url:
        assert preflight.ask_broker(url) == ""
    sentence = preflight.ask_broker("redis://:verysecret@127.0.0.1:9/0")
    assert "NEPHO_REDIS_URL names, redis://127.0.0.1:9/0, does not answer" in sentence
    assert "verysecret" not in sentence


@pytest.mark.parametrize(("name", "value"), [("API_THREADS", "many"), ("VIRT_TYPE", "xen"), ("PAGE_LIMIT_MAX", "0")])
def test_every_refused_setting_is_named_with_its_value(name: str, value: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(f"NEPHO_{name}", value)
    assert str(preflight.read_settings()).startswith(f"NEPHO_{name}={value} is not allowed: it takes ")


def test_a_step_that_fails_keeps_its_whole_output_and_gives_the_error_as_the_reason(tmp_path: Path):
    code = (
        "print('begun', flush=True); raise ValueError('no such shard\\n(Background on this error at: https://x.y/z)')"
    )
    log = tmp_path / "log" / "step.log"
    reason = run_once([sys.executable, "-c", code], environment=os.environ, log=log, timeout_s=TIMEOUT_S)
    assert reason == "ValueError: no such shard"
    assert log.read_text().startswith("begun\nTraceback")
    assert "Background on this error" in log.read_text()


def test_the_reason_is_the_last_line_where_nothing_was_raised():
    assert reason_in("one\ntwo words\n\n") == "two words"
    assert reason_in("") == ""
