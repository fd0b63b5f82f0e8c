"""A private tree of Debian packages: with the real apt and dpkg, from an archive of the test's own."""

import hashlib
import os
import subprocess
from email.utils import formatdate
from pathlib import Path

import pytest

from provision.debian_tree import build_tree
from provision.failures import ProvisionError

CONTROL = "Package: tiny\nVersion: 1\nArchitecture: amd64\nMaintainer: Nobody <nobody@example.org>\nDescription: tiny\n"
UNSIGNED = 'Acquire::AllowInsecureRepositories "true";\nAPT::Get::AllowUnauthenticated "true";\nDir::Log "/dev/null";\n'
CONTENT_BYTES = 3_000_000


@pytest.fixture
def etc_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What stands in for /etc/apt: it names an archive on this disk, which gives one package, and is not signed."""
    archive = tmp_path / "archive"
    index = archive / "dists/trixie/main/binary-amd64/Packages"
    index.parent.mkdir(parents=True)
    package = _package(tmp_path / "package", archive / "tiny.deb")
    digest, size = hashlib.sha256(package.read_bytes()).hexdigest(), package.stat().st_size
    index.write_text(f"{CONTROL}Filename: tiny.deb\nSize: {size}\nSHA256: {digest}\n")
    digest, size = hashlib.sha256(index.read_bytes()).hexdigest(), index.stat().st_size
    head = f"Suite: trixie\nCodename: trixie\nArchitectures: amd64\nComponents: main\nDate: {formatdate(usegmt=True)}\n"
    (archive / "dists/trixie/Release").write_text(f"{head}SHA256:\n {digest} {size} main/binary-amd64/Packages\n")
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "sources.list").write_text(f"deb file:{archive} bookworm main\n")
    _configure(etc, UNSIGNED, monkeypatch)
    return etc


def _package(content: Path, package: Path) -> Path:
    (content / "DEBIAN").mkdir(parents=True)
    (content / "DEBIAN/control").write_text(CONTROL)
    (content / "usr/bin").mkdir(parents=True)
    (content / "usr/bin/tiny").write_bytes(os.urandom(CONTENT_BYTES))
    subprocess.run(["dpkg-deb", "-Znone", "-b", content, package], check=True, capture_output=True)
    return package


def _configure(etc: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (etc / "apt.conf").write_text(text)
    monkeypatch.setenv("APT_CONFIG", str(etc / "apt.conf"))


def build(tree: Path, etc_apt: Path) -> None:
    build_tree(tree, suite="trixie", packages=("tiny",), say=lambda _: None, etc_apt=etc_apt)


def test_an_archive_on_the_disk_and_a_machine_that_prefers_its_own_release_give_the_tree(
    etc_apt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _configure(etc_apt, f'{UNSIGNED}APT::Default-Release "bookworm";\n', monkeypatch)
    build(tmp_path / "tree", etc_apt)
    assert (tmp_path / "tree/bin/tiny").stat().st_size == CONTENT_BYTES
    assert not (tmp_path / "tree.partial").exists()


def test_a_disk_that_is_full_while_packages_are_unpacked_is_one_sentence(etc_apt: Path, tmp_path: Path) -> None:
    full_disk = tmp_path / "small"
    full_disk.mkdir()
    size = f"size={CONTENT_BYTES * 3 // 2}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "nephoscope-test", full_disk], check=True)
    try:
        with pytest.raises(ProvisionError, match=r"tiny_1_amd64\.deb could not be unpacked \(tar: .*room on the disk"):
            build(full_disk / "tree", etc_apt)
        assert list(full_disk.iterdir()) == []
    finally:
        subprocess.run(["umount", full_disk], check=True)


def test_what_was_there_stays_where_the_new_tree_cannot_be_fetched(etc_apt: Path, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/old").touch()
    (tmp_path / "archive/tiny.deb").write_bytes(b"cut")
    with pytest.raises(ProvisionError, match="package mirror did not give what is needed"):
        build(tmp_path / "tree", etc_apt)
    assert (tmp_path / "tree/old").exists()
    assert not (tmp_path / "tree.partial").exists()
