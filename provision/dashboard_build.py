"""Builds the dashboard into var/dashboard/dist, from a copy of its sources, so that the sources' folder stays clean."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from provision.children import ChildFailed, Say, run_child
from provision.failures import ProvisionError
from provision.installation import ROOT, Installation

SOURCES = ROOT / "dashboard"
LEFT_OUT = frozenset({"node_modules", "dist", ".vite", "test-results"})


def source_files() -> Iterator[Path]:
    """Every file that the build may read, in a fixed order."""
    for folder, folders, files in os.walk(SOURCES):
        folders[:] = sorted(name for name in folders if name not in LEFT_OUT)
        yield from (Path(folder) / name for name in sorted(files))


def wanted_digest() -> str:
    """Changes when any of the dashboard's sources does."""
    digest = hashlib.sha256()
    for path in source_files():
        digest.update(str(path.relative_to(SOURCES)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def is_built(installation: Installation) -> bool:
    """Whether what is served is built from the present sources."""
    stamp = installation.stamps / "dashboard"
    served = installation.var / "dashboard/dist/index.html"
    return not (SOURCES / "package.json").exists() or (
        served.exists() and stamp.exists() and stamp.read_text() == wanted_digest()
    )


def build(installation: Installation, *, say: Say) -> None:
    """Install the pinned packages and build; the page that is served changes only when all of it went well."""
    digest = wanted_digest()
    work = _prepare_work(installation, say=say)
    _run_script("build", installation=installation, say=say)
    served = installation.var / "dashboard/dist"
    shutil.rmtree(served, ignore_errors=True)
    (work / "dist").rename(served)
    # A power loss must not leave a stamp without the pages.
    os.sync()
    stamp = installation.stamps / "dashboard"
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(digest)


def write_types(installation: Installation, *, say: Say) -> None:
    """Make the TypeScript types of the native API from openapi.json, in the sources."""
    work = _prepare_work(installation, say=say)
    _run_script("api:types", installation=installation, say=say)
    shutil.copyfile(work / "src/api/schema.d.ts", SOURCES / "src/api/schema.d.ts")


def run_script(script: str, installation: Installation) -> int:
    """Run one of the dashboard's own checks or tests with its output as it is; returns its exit code."""
    work = _prepare_work(installation, say=lambda _: None)
    npm = installation.python.parent / "npm"
    return subprocess.call([npm, "run", "--silent", script], cwd=work, env=_environment(installation))


def _prepare_work(installation: Installation, *, say: Say) -> Path:
    work = installation.var / "dashboard/work"
    copy_sources(work)
    if not _has_packages(work):
        try:
            npm = installation.python.parent / "npm"
            run_child([npm, "ci", "--no-progress"], say=say, cwd=work, environment=_environment(installation))
        except ChildFailed as failure:
            raise ProvisionError(
                f"The dashboard's packages could not be installed ({failure.reason('npm error', 'npm ERR!')}).",
                mend="Check the network and npm's registry setting, and run it again.",
            ) from failure
        (work / "node_modules/.lock-digest").write_text(_lock_digest(work))
    return work


def _run_script(script: str, *, installation: Installation, say: Say) -> None:
    work, npm = installation.var / "dashboard/work", installation.python.parent / "npm"
    try:
        run_child([npm, "run", script], say=say, cwd=work, environment=_environment(installation))
    except ChildFailed as failure:
        raise ProvisionError(
            f"The dashboard could not be built ({failure.reason('error')}).",
            mend="Mend its source and run `make dashboard`.",
        ) from failure


def _environment(installation: Installation) -> dict[str, str]:
    path = f"{installation.python.parent}:{os.environ.get('PATH', '/usr/bin:/bin')}"
    return {**os.environ, "PATH": path, "CI": "true", "NO_COLOR": "1"}


def copy_sources(work: Path) -> None:
    """Bring the working copy up to date, its installed packages kept."""
    work.mkdir(parents=True, exist_ok=True)
    for old in work.iterdir():
        if old.name != "node_modules":
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    for path in source_files():
        target = work / path.relative_to(SOURCES)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _lock_digest(work: Path) -> str:
    return hashlib.sha256((work / "package-lock.json").read_bytes()).hexdigest()


def _has_packages(work: Path) -> bool:
    kept = work / "node_modules/.lock-digest"
    return kept.exists() and kept.read_text() == _lock_digest(work)
