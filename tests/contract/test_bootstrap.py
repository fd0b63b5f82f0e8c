"""The first step of every `make` target, in a folder of its own, on a machine whose package index does not answer."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

from tests.conftest import ROOT

NOWHERE = "http://127.0.0.1:9/simple"


def bootstrap(folder: Path, command: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    given = {"PIP_INDEX_URL": NOWHERE, "PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "0", **settings}
    environment = {**os.environ, **given}
    script = ["sh", str(folder / "provision" / "bootstrap.sh"), command]
    return subprocess.run(script, env=environment, capture_output=True, text=True, timeout=240, check=False)


def a_clone(folder: Path) -> Path:
    (folder / "provision").mkdir()
    (folder / "requirements").mkdir()
    shutil.copy(ROOT / "provision" / "bootstrap.sh", folder / "provision")
    shutil.copy(ROOT / "requirements" / "provision.txt", folder / "requirements")
    return folder


def an_installer(clone: Path, script: str) -> Path:
    """In place of the Python that would have been prepared."""
    program = clone / "var" / "provision" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    shutil.copy(ROOT / "requirements" / "provision.txt", clone / "var" / "provision" / "requirements.txt")
    return program


def test_what_a_failed_set_up_left_is_cleaned_away_without_a_package_index(tmp_path: Path) -> None:
    clone = a_clone(tmp_path)
    (clone / "var" / "provision.partial").mkdir(parents=True)
    cleaned = bootstrap(clone, "clean")
    assert (cleaned.returncode, cleaned.stderr) == (0, "")
    assert not (clone / "var").exists()


def test_clean_uses_the_installer_that_is_there_and_keeps_everything_where_that_fails(tmp_path: Path) -> None:
    clone = a_clone(tmp_path)
    program = an_installer(clone, 'echo "asked for $*"; exit 3')
    refused = bootstrap(clone, "clean")
    assert (refused.returncode, refused.stdout) == (3, "asked for -m provision clean\n")
    assert program.exists()
    program.write_text("#!/bin/sh\n")
    assert bootstrap(clone, "clean").returncode == 0
    assert not (clone / "var").exists()


def test_clean_says_that_a_folder_somewhere_else_stays(tmp_path: Path) -> None:
    clone = a_clone(tmp_path)
    an_installer(clone, "exit 0")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    cleaned = bootstrap(clone, "clean", NEPHO_VAR=str(elsewhere))
    assert cleaned.returncode == 0
    assert f"remove {elsewhere} yourself" in cleaned.stdout
    assert elsewhere.exists()
    assert not (clone / "var").exists()


def test_a_second_one_waits_for_the_first_and_uses_what_that_made(tmp_path: Path) -> None:
    clone = a_clone(tmp_path)
    (clone / "var").mkdir()
    script = ["sh", str(clone / "provision" / "bootstrap.sh"), "setup"]
    with (clone / "var" / "bootstrap.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with subprocess.Popen(script, stdout=subprocess.PIPE, text=True) as second:
            assert second.stdout is not None
            assert "waiting for another" in second.stdout.readline()
            an_installer(clone, 'echo "asked for $*"')
            fcntl.flock(lock, fcntl.LOCK_UN)
            assert second.stdout.read() == "asked for -m provision setup\n"
    with (clone / "var" / "bootstrap.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_the_terminals_encoding_does_not_matter_to_what_we_print_and_name(tmp_path: Path) -> None:
    clone = a_clone(tmp_path)
    an_installer(clone, "exec python3 -I -X utf8=0 -c 'import sys; print(chr(0x2713), sys.getfilesystemencoding())'")
    told = bootstrap(clone, "setup", LC_ALL="POSIX", PYTHONCOERCECLOCALE="0")
    assert (told.returncode, told.stdout) == (0, "\u2713 utf-8\n")


def test_a_machine_that_installs_something_itself_just_now_is_waited_for(tmp_path: Path) -> None:
    clone = a_clone(tmp_path)
    script = clone / "provision" / "bootstrap.sh"
    script.write_text(script.read_text().replace("/usr/bin/python3.11", str(tmp_path / "no-python")))
    apt = tmp_path / "bin" / "apt-get"
    apt.parent.mkdir()
    apt.write_text('#!/bin/sh\necho "apt-get $*" >&2\nexit 100\n')
    apt.chmod(0o755)
    failed = bootstrap(clone, "setup", PATH=f"{apt.parent}:{os.environ['PATH']}")
    assert failed.returncode == 1
    asked = [line for line in failed.stderr.splitlines() if line.startswith("apt-get")]
    assert asked
    assert all("DPkg::Lock::Timeout=120" in line for line in asked)
