"""Commands on an installation's database: whatever is wrong with it or with a setting is one sentence and exit code 2."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from psycopg.conninfo import make_conninfo
from typer.testing import CliRunner

from entrypoints.__main__ import command_line
from tests.conftest import PATIENCE_S
from tests.contract.conftest import spare_port

ROOT = Path(__file__).parent.parent.parent
COMMANDS = (
    ("dead-letters", "list"),
    ("dead-letters", "discard", str(uuid4())),
    ("doctor", "metering"),
    ("retention", "plan"),
    ("retention", "run"),
    ("seed-demo",),
    ("verify", "rollups", "--all"),
)


def run(command: tuple[str, ...], var: Path, **settings: str) -> Any:
    environment = {"NEPHO_VAR": str(var), "NEPHO_DATABASE_URL": "", "COLUMNS": "300", **settings}
    return CliRunner().invoke(command_line, list(command), env=environment)


def refusal(answer: Any) -> str:
    """The one line that a command wrote before it gave up; an empty one ends the picture of a progress."""
    assert (answer.exit_code, answer.stdout.strip()) == (2, ""), (answer.stdout, answer.stderr, answer.exception)
    (line,) = answer.stderr.strip().splitlines()
    return line


@pytest.mark.parametrize("command", COMMANDS)
def test_a_database_that_has_no_schema_is_named_with_its_mend(
    command: tuple[str, ...], cluster_url: str, tmp_path: Path
):
    empty = make_conninfo(cluster_url, dbname="postgres")
    said = refusal(run(command, tmp_path, NEPHO_DATABASE_URL=empty))
    assert said == "nephoscope: the database has not the schema that this needs: run `nepho migrate`"


@pytest.mark.parametrize("command", COMMANDS)
def test_where_nothing_runs_every_command_says_so(command: tuple[str, ...], tmp_path: Path):
    said = refusal(run(command, tmp_path))
    assert said == "nephoscope: no installation runs here: start `make run`, or set NEPHO_DATABASE_URL"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_setting_that_cannot_be_right_is_named(command: tuple[str, ...], tmp_path: Path):
    said = refusal(run(command, tmp_path, NEPHO_RAW_KEEP_DAYS="many"))
    assert said.startswith("nephoscope: NEPHO_RAW_KEEP_DAYS=many is not allowed: it takes a whole number from 35")


def test_a_database_that_does_not_answer_is_a_sentence(tmp_path: Path):
    nobody = f"postgresql://x@127.0.0.1:{spare_port()}/x?connect_timeout=1"
    assert "nephoscope: the database" in refusal(run(("dead-letters", "list"), tmp_path, NEPHO_DATABASE_URL=nobody))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "nephoscope: set NEPHO_AMQP_URL to the broker, amqp://user:password@host:5672/\n"),
        (
            {"NEPHO_NOTIFICATION_BATCH": "0"},
            "nephoscope: NEPHO_NOTIFICATION_BATCH=0 is not allowed: it takes a whole number from 1 to 1000"
            " (messages in one transaction at most).\n",
        ),
        (
            {"NEPHO_AMQP_URL": "http://broker"},
            "nephoscope: NEPHO_AMQP_URL, http://broker, is none of a broker: write it as amqp://user:password@host:5672/\n",
        ),
    ],
)
def test_the_listener_says_what_is_wrong_with_its_settings_wherever_var_is(
    settings: dict[str, str], said: str, tmp_path: Path
):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NEPHO_")}
    done = subprocess.run(
        [sys.executable, "-m", "entrypoints", "listener"],
        cwd=ROOT,
        env=environment | {"NEPHO_VAR": str(tmp_path), **settings},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (2, said)
