"""The first step of every `make` target, in a folder of its own, on a machine whose package index does not answer."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.conftest import ROOT

NOWHERE = "http://127.0.0.1:9/simple"


def bootstrap(folder: Path, command: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PIP_INDEX_URL": NOWHERE, "PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "0"}
    script = ["sh", str(folder / "provision" / "bootstrap.sh"), command]
    return subprocess.run(script, env=environment, capture_output=True, text=True, timeout=120, check=False)


def a_clone(folder: Path) -> Path:
    (folder / "provision").mkdir()
    (folder / "requirements").mkdir()
    shutil.copy(ROOT / "provision" / "bootstrap.sh", folder / "provision")
    shutil.copy(ROOT / "requirements" / "provision.txt", folder / "requirements")
    return folder


def test_what_a_failed_set_up_left_is_cleaned_away_without_a_package_index(tmp_path: Path) -> None:
    clone = a_clone(tmp_path)
    (clone / "var" / "provision.partial").mkdir(parents=True)
    cleaned = bootstrap(clone, "clean")
    assert (cleaned.returncode, cleaned.stderr) == (0, "")
    assert not (clone / "var").exists()


def test_clean_uses_the_installer_that_is_there_and_keeps_everything_where_that_fails(tmp_path: Path) -> None:
    clone = a_clone(tmp_path)
    program = clone / "var" / "provision" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "asked for $*"\nexit 3\n')
    program.chmod(0o755)
    refused = bootstrap(clone, "clean")
    assert (refused.returncode, refused.stdout) == (3, "asked for -m provision clean\n")
    assert program.exists()
    program.write_text("#!/bin/sh\n")
    assert bootstrap(clone, "clean").returncode == 0
    assert not (clone / "var").exists()
