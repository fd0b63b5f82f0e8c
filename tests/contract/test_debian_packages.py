"""How apt is asked for the machine's packages, by a program in its place that notes what it is asked and fails."""

import os
from pathlib import Path

import pytest

from provision import debian_packages
from provision.failures import ProvisionError


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the program notes its arguments, a line a call."""
    program = tmp_path / "apt-get"
    program.write_text(
        f'#!/bin/sh\necho "$*" >>{tmp_path}/asked\ncase "$*" in *update*) exit 0;; esac\n'
        "echo 'Reading package lists...'; echo 'E: dpkg was interrupted, run dpkg --configure -a'; echo last; exit 100\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path / "asked"


def test_the_lists_are_fetched_once_where_the_present_ones_do_not_do_and_apts_reason_is_told(asked: Path) -> None:
    with pytest.raises(
        ProvisionError, match=r"E: dpkg was interrupted, run dpkg --configure -a\).*apt-get install one two"
    ):
        debian_packages.install(["one", "two"], say=lambda _: None)
    first, second, third = asked.read_text().splitlines()
    assert (" update" in first, " update" in second, third) == (False, True, first)


def test_nobody_is_asked_about_a_configuration_file_that_he_changed(asked: Path) -> None:
    with pytest.raises(ProvisionError):
        debian_packages.install(["one"], say=lambda _: None)
    call = asked.read_text().splitlines()[0]
    assert "-oDpkg::Options::=--force-confold" in call.split()
    assert "-oDPkg::Lock::Timeout=120" in call.split()
