"""A wrong setting is told before minutes of set-up, by the first Python that can read settings."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from provision import set_up
from provision.failures import ProvisionError
from provision.installation import ROOT, Installation, this_installation
from provision.python_environment import wanted_digest
from provision.set_up import Step
from tests.contract.conftest import spare_port

SENTENCE = "NEPHO_POLL_INTERVAL_S=soon is not allowed: it takes a number from 1 to 3600"


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """A folder of its own in which nothing is set up but Python, and a setting that is wrong."""
    monkeypatch.setenv("NEPHO_VAR", str(tmp_path))
    monkeypatch.setenv("NEPHO_POLL_INTERVAL_S", "soon")
    (tmp_path / "venv").symlink_to(ROOT / "var" / "venv")
    return this_installation()


def some_steps(done: list[str], *, is_python_there: bool) -> list[Step]:
    """Steps that only note that they were taken."""

    def step(title: str) -> Step:
        return Step(title, lambda: title == set_up.PYTHON and is_python_there, lambda _: done.append(title))

    return [step(title) for title in ("Debian packages", set_up.PYTHON, "guest image")]


@pytest.mark.parametrize(("is_python_there", "taken"), [(True, []), (False, ["Debian packages", set_up.PYTHON])])
def test_a_wrong_setting_is_told_as_soon_as_there_is_a_python_that_reads_settings(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, is_python_there: bool, taken: list[str]
) -> None:
    done: list[str] = []
    made = some_steps(done, is_python_there=is_python_there)

    def steps(_: Installation, *, packages: Sequence[str]) -> list[Step]:
        return made

    monkeypatch.setattr(set_up, "steps", steps)
    with pytest.raises(ProvisionError, match=r"NEPHO_POLL_INTERVAL_S=soon is not allowed.*Mend that"):
        set_up.set_up(installation, packages=[], to_serve=True)
    assert done == taken
    set_up.set_up(installation, packages=[])
    assert "guest image" in done


def test_make_run_says_one_sentence_before_it_makes_anything(installation: Installation) -> None:
    installation.stamps.mkdir(parents=True, exist_ok=True)
    (installation.stamps / "venv").write_text(wanted_digest())
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NEPHO_LISTEN": f"127.0.0.1:{spare_port()}"}
    command = [installation.python, "-m", "provision", "run"]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"nephoscope: {SENTENCE}")
    assert ended.stderr.count("\n") == 1
    assert not (installation.var / "postgresql").exists()
    assert not (installation.var / "timescaledb").exists()
