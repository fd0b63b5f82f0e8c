"""The dashboard's sources: its own tests and checks pass, and its types are those of the API as it is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from entrypoints.openapi import describe_native_api
from tests.browser.conftest import BUILT_BY_MAKE, DASHBOARD

RUN_S_MAX = 900
pytestmark = pytest.mark.timeout(RUN_S_MAX + 60)


def run_script(name: str) -> None:
    """Run one of package.json's scripts where the packages are installed."""
    work = DASHBOARD if (DASHBOARD / "node_modules").exists() else BUILT_BY_MAKE / "work"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["npm", "run", name],
        cwd=work,
        env={**os.environ, "PATH": path, "CI": "true", "NO_COLOR": "1", "DEBUG_PRINT_LIMIT": "0"},
        capture_output=True,
        text=True,
        timeout=RUN_S_MAX,
        check=False,
    )
    assert done.returncode == 0, f"npm run {name}:\n{done.stdout[-6000:]}{done.stderr[-2000:]}"


def test_the_committed_description_is_that_of_the_api() -> None:
    committed = (DASHBOARD / "openapi.json").read_bytes()
    assert committed == describe_native_api(), (
        "the native API has changed: run `make openapi` and commit what it writes"
    )


def test_the_types_are_made_from_the_description() -> None:
    run_script("api:check")


def test_the_sources_are_formatted_linted_and_typed() -> None:
    run_script("check")


def test_the_tests_of_its_parts_pass() -> None:
    run_script("test")


def test_no_address_of_a_registry_is_in_the_lock_file() -> None:
    assert '"resolved"' not in (DASHBOARD / "package-lock.json").read_text()
