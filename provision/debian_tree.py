"""A private tree of packages from a newer Debian, unpacked beside the machine's own system and never mixed with it."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from provision.apt_sources import (
    AptSource,
    parse_deb822,
    parse_one_line_style,
    render_deb822,
    sources_of_suite,
)
from provision.children import Say
from provision.failures import ProvisionError

APT_TIMEOUT_S = 900
PACKAGES_MAX = 400
LEFT_OUT = ("./usr/share/doc/*", "./usr/share/man/*", "./usr/share/info/*", "./usr/share/locale/*", "./var/lib/dpkg/*")
MERGED_FOLDERS = ("bin", "sbin", "lib", "lib64")


def machine_sources(etc_apt: Path = Path("/etc/apt")) -> list[AptSource]:
    """Every binary archive that the machine's apt is configured with."""
    found: list[AptSource] = []
    for path in [etc_apt / "sources.list", *sorted((etc_apt / "sources.list.d").glob("*"))]:
        if path.suffix == ".sources":
            found.extend(parse_deb822(path.read_text()))
        elif path.suffix == ".list" and path.is_file():
            found.extend(parse_one_line_style(path.read_text()))
    return found


def machine_suite(os_release: Path = Path("/etc/os-release")) -> str:
    """The code name of the machine's Debian, `bookworm` for Debian 12."""
    for line in os_release.read_text().splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.partition("=")[2].strip().strip('"')
    return ""


def build_tree(tree: Path, *, suite: str, packages: Sequence[str], say: Say, etc_apt: Path = Path("/etc/apt")) -> None:
    """Fetch the packages of the suite by the machine's own mirrors and unpack them under `tree`; all or nothing."""
    sources = sources_of_suite(machine_sources(etc_apt), machine_suite=machine_suite(), wanted_suite=suite)
    if not sources:
        raise ProvisionError(
            f"This machine's apt sources name no Debian mirror that could also give {suite}.",
            mend="Add a Debian mirror with the component main to /etc/apt/sources.list and run it again.",
        )
    work = tree.with_name(tree.name + ".partial")
    shutil.rmtree(work, ignore_errors=True)
    try:
        archives = _download(work / "apt", sources=sources, packages=packages, say=say)
        say(f"unpacking {len(archives)} packages")
        _unpack(archives, work / "tree")
        _finish_tree(work / "tree")
        # A power loss must not leave a tree that has its stamp and lacks its files.
        os.sync()
        shutil.rmtree(tree, ignore_errors=True)
        (work / "tree").rename(tree)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _download(state: Path, *, sources: Sequence[AptSource], packages: Sequence[str], say: Say) -> list[Path]:
    for folder in ("lists/partial", "cache/archives/partial", "etc"):
        (state / folder).mkdir(parents=True)
    (state / "status").touch()
    (state / "etc/debian.sources").write_text(render_deb822(sources))
    options = {
        "Dir::State": state,
        "Dir::State::lists": state / "lists",
        "Dir::State::status": state / "status",
        "Dir::Cache": state / "cache",
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": state / "etc",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "APT::Default-Release": "",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        "Acquire::http::Timeout": "30",
    }
    flags = [f"-o{name}={value}" for name, value in options.items()]
    say("reading the package lists")
    _apt([*flags, "update", "--error-on=any"])
    say(f"fetching {', '.join(packages)}")
    _apt([*flags, "install", "--download-only", "--yes", "--no-install-recommends", *packages])
    archives = sorted((state / "cache/archives").glob("*.deb"))
    assert 0 < len(archives) <= PACKAGES_MAX, f"apt fetched {len(archives)} packages"
    return archives


def _apt(arguments: Sequence[str]) -> None:
    try:
        result = subprocess.run(
            ["apt-get", "-q", *arguments],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            timeout=APT_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _apt_failure(f"no answer within {APT_TIMEOUT_S} s") from None
    if result.returncode != 0:
        raise _apt_failure(apt_error(result.stderr))


def apt_error(output: str) -> str:
    """The line of apt's output that says why it failed."""
    lines = output.strip().splitlines()
    marked = [line for mark in ("E:", "Err", "W:") for line in lines if line.startswith(mark)]
    return (marked or lines[-1:] or ["apt-get failed"])[0]


def _apt_failure(reason: str) -> ProvisionError:
    if "free space" in reason or "No space left" in reason:
        mend = "Free some, or set NEPHO_VAR to a folder on a larger disk, and run it again."
    elif "NO_PUBKEY" in reason or "not signed" in reason:
        mend = "Install the newest debian-archive-keyring (`apt-get install debian-archive-keyring`) and run it again."
    else:
        mend = "Check that `apt-get update` works on this machine, then run it again."
    return ProvisionError(f"Debian's package mirror did not give what is needed ({reason}).", mend=mend)


def _unpack(archives: Sequence[Path], tree: Path) -> None:
    for name in MERGED_FOLDERS:
        (tree / "usr" / name).mkdir(parents=True, exist_ok=True)
        (tree / name).symlink_to(f"usr/{name}")
    for archive in archives:
        _unpack_one(archive, tree)


def _unpack_one(archive: Path, tree: Path) -> None:
    skipped = [f"--exclude={pattern}" for pattern in LEFT_OUT]
    writing = ["tar", "-x", "--keep-directory-symlink", *skipped, "-C", tree]
    reading = ["dpkg-deb", "--fsys-tarfile", archive]
    plain = {**os.environ, "LC_ALL": "C.UTF-8"}
    with subprocess.Popen(reading, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as reader:
        tar = subprocess.run(
            writing, env=plain, stdin=reader.stdout, stderr=subprocess.PIPE, text=True, errors="replace", check=False
        )
    if tar.returncode != 0 or reader.returncode != 0:
        reason = (tar.stderr.strip().splitlines() or [f"dpkg-deb ended with code {reader.returncode}"])[0]
        raise ProvisionError(
            f"The package {archive.name} could not be unpacked ({reason}).",
            mend="See that there is room on the disk, and run it again to fetch it anew.",
        )


def _finish_tree(tree: Path) -> None:
    """What the packages' own install scripts would have made: mount points, a temporary folder, the time zone."""
    for folder in ("dev", "proc", "tmp", "run", "etc"):
        (tree / folder).mkdir(exist_ok=True)
    (tree / "tmp").chmod(0o1777)
    localtime = tree / "etc/localtime"
    localtime.unlink(missing_ok=True)
    localtime.symlink_to("/usr/share/zoneinfo/Etc/UTC")
