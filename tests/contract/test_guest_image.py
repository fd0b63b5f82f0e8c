"""The guest image is made whole or not at all: with the real apt, from an archive of the test's own on a file system that can be full."""

import hashlib
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from provision import guest_image
from provision.failures import ProvisionError

APT_CONFIGURATION = """
Dir::State "{root}/state";
Dir::State::status "{root}/status";
Dir::Cache "{root}/cache";
Dir::Etc::sourcelist "{root}/sources.list";
Dir::Etc::sourceparts "{root}/none";
Dir::Log "{root}/log";
APT::Sandbox::User "root";
APT::Architecture "amd64";
APT::Architectures "amd64";
Acquire::Languages "none";
"""
MODULES = ("virtio", "virtio_pci", "virtio_net", "virtio_blk", "isofs")


@dataclass
class Archive:
    """A Debian archive with one kernel in it, and an apt that knows no other."""

    root: Path

    @property
    def kernels(self) -> list[Path]:
        """The packages of kernels that lie there."""
        return [path for path in self.packages.glob("*.deb") if "meta" not in path.name]

    @property
    def packages(self) -> Path:
        """Where they lie."""
        return self.root / "repo"

    def publish(self, version: str, *, suffix: str = ".ko") -> None:
        """Put a kernel there in place of the one before."""
        for old in self.packages.glob("*"):
            old.unlink()
        tree = self.root / f"kernel-{version}{suffix}"
        modules = tree / f"lib/modules/{version}-cloud-amd64/kernel"
        modules.mkdir(parents=True)
        for name in MODULES:
            (modules / f"{name}{suffix}").write_bytes(b"\0depends=\0" + os.urandom(200))
        (tree / "boot").mkdir()
        (tree / f"boot/vmlinuz-{version}-cloud-amd64").write_bytes(os.urandom(50_000))
        name = f"linux-image-{version}-cloud-amd64"
        index = [
            self._pack(tree, "kernel", f"Package: {name}\nVersion: 1"),
            self._pack(self.root / f"meta-{version}", "meta", f"Package: {guest_image.META_PACKAGE}\nVersion: {version}\nDepends: {name}"),
        ]  # fmt: skip
        (self.packages / "Packages").write_text("\n".join(index))

    def _pack(self, tree: Path, name: str, fields: str) -> str:
        """Make a package of a tree; return its entry in the index."""
        control = f"{fields}\nArchitecture: amd64\nMaintainer: nobody <nobody@example.org>\nDescription: for a test\n"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN/control").write_text(control)
        packed = self.packages / f"{name}-{tree.name}.deb"
        subprocess.run(["dpkg-deb", "-Znone", "--root-owner-group", "-b", str(tree), str(packed)], check=True)
        content = packed.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        return f"{control}Filename: ./{packed.name}\nSize: {len(content)}\nSHA256: {digest}\n"


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """An archive with a kernel, of which apt has the list."""
    root = tmp_path / "apt"
    for name in ("repo", "state/lists/partial", "cache/archives/partial", "none", "log"):
        (root / name).mkdir(parents=True)
    (root / "status").touch()
    (root / "sources.list").write_text(f"deb [trusted=yes] copy:{root}/repo ./\n")
    (root / "apt.conf").write_text(APT_CONFIGURATION.format(root=root))
    monkeypatch.setenv("APT_CONFIG", str(root / "apt.conf"))
    made = Archive(root)
    made.publish("6.1.0-1")
    subprocess.run(["apt-get", "-q", "update"], check=True, capture_output=True)
    return made


@pytest.fixture
def var(tmp_path: Path) -> Path:
    """Where an installation keeps what it makes."""
    folder = tmp_path / "var"
    folder.mkdir()
    return folder


def build(var: Path) -> guest_image.GuestImage:
    return guest_image.build(var, say=lambda _: None)


def left_in(var: Path) -> list[str]:
    images = var / "images"
    return sorted(path.name for path in images.iterdir()) if images.exists() else []


@pytest.mark.usefixtures("archive")
def test_an_image_is_built_once_and_then_found(var: Path) -> None:
    assert not guest_image.is_built(var)
    image = build(var)
    assert guest_image.is_built(var)
    assert build(var) == image
    assert image.name == "nephoscope-guest-linux-6.1.0-1"
    assert left_in(var) == ["guest", image.folder.name]
    for part in (image.kernel, image.initramfs, image.disk):
        content = image.path(part).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (part.size_bytes, part.sha256)
    subprocess.run(["qemu-img", "check", "-q", "-f", "qcow2", str(image.path(image.disk))], check=True)
    listing = subprocess.run(
        ["cpio", "-t", "--quiet"], input=unzipped(image), capture_output=True, check=True
    ).stdout.decode()
    assert {"init", "modules/order", "modules/virtio_blk.ko"} <= set(listing.split())


def unzipped(image: guest_image.GuestImage) -> bytes:
    return subprocess.run(["gzip", "-dc", image.path(image.initramfs)], capture_output=True, check=True).stdout


def test_an_archive_that_moved_on_since_its_list_was_fetched_is_no_failure(archive: Archive, var: Path) -> None:
    archive.publish("6.1.0-2")
    assert build(var).kernel_version == "6.1.0-2-cloud-amd64"


def test_a_machine_without_package_lists_fetches_them(archive: Archive, var: Path) -> None:
    shutil.rmtree(archive.root / "state/lists")
    assert build(var).kernel_version == "6.1.0-1-cloud-amd64"


def test_a_package_that_came_half_is_told_with_its_mend_and_leaves_nothing(archive: Archive, var: Path) -> None:
    (package,) = archive.kernels
    package.write_bytes(package.read_bytes()[:-20_000])
    with pytest.raises(ProvisionError, match="Mend it so that `apt-get update`"):
        build(var)
    assert left_in(var) == []


def test_a_mirror_that_is_away_is_told_with_its_mend_and_leaves_nothing(archive: Archive, var: Path) -> None:
    shutil.rmtree(archive.packages)
    with pytest.raises(ProvisionError, match="Mend it so that `apt-get update`"):
        build(var)
    assert left_in(var) == []


def test_a_kernel_whose_drivers_cannot_be_read_makes_no_image(archive: Archive, var: Path) -> None:
    archive.publish("6.1.0-3", suffix=".ko.xz")
    with pytest.raises(ProvisionError, match="has no driver that"):
        build(var)
    assert left_in(var) == []


@pytest.mark.usefixtures("archive")
def test_a_program_that_is_missing_is_told(var: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("apt-get", "apt-cache", "dpkg", "dpkg-deb", "cpio", "gzip", "tar"):
        program = shutil.which(name)
        assert program is not None
        (tmp_path / "bin" / name).symlink_to(program)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(ProvisionError, match="directory: 'mke2fs'"):
        build(var)
    assert left_in(var) == []


@pytest.fixture
def small(var: Path) -> Iterator[Path]:
    """The same folder on a small file system of its own."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(var)], check=True)
    try:
        yield var
    finally:
        subprocess.run(["umount", str(var)], check=True)


@pytest.mark.usefixtures("archive")
@pytest.mark.parametrize("spare_kib", [8, 200, 700, 1_500, 3_000, 5_500])
def test_a_disk_that_fills_up_at_any_step_is_told_and_leaves_nothing(small: Path, spare_kib: int) -> None:
    free = os.statvfs(small).f_bavail * os.statvfs(small).f_frsize
    (small / "filler").write_bytes(bytes(free - spare_kib * 1024))
    with pytest.raises(ProvisionError, match="No space left on device"):
        build(small)
    assert left_in(small) == []
    assert not guest_image.is_built(small)


@pytest.mark.usefixtures("archive")
@pytest.mark.parametrize("damage", ["manifest.json", "disk", "kernel"])
@pytest.mark.parametrize("is_gone", [True, False])
def test_a_damaged_image_is_made_anew_beside_and_what_rests_on_it_stays(var: Path, damage: str, is_gone: bool) -> None:
    before = build(var)
    file = before.folder / damage
    file.unlink()
    if not is_gone:
        file.touch()
    assert not guest_image.is_built(var)
    after = build(var)
    assert guest_image.is_built(var)
    assert after.folder != before.folder
    assert before.folder.is_dir()


@pytest.mark.usefixtures("archive")
def test_no_other_disk_ever_comes_to_lie_where_guests_disks_rest(var: Path) -> None:
    before = build(var)
    shutil.rmtree(before.folder)
    after = build(var)
    assert after.disk.sha256 == before.disk.sha256 or after.folder != before.folder


@pytest.mark.usefixtures("archive")
def test_the_image_of_an_earlier_recipe_is_used_again(var: Path) -> None:
    image = build(var)
    (var / "images/guest").unlink()
    assert build(var) == image


@pytest.mark.usefixtures("archive")
def test_the_hypervisor_s_user_reads_an_image_that_was_built_under_a_strict_umask(var: Path) -> None:
    before = os.umask(0o077)
    try:
        image = build(var)
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)
    assert stat.S_IMODE(image.folder.stat().st_mode) == 0o755
    for part in (image.kernel, image.initramfs, image.disk):
        assert stat.S_IMODE(image.path(part).stat().st_mode) == 0o644
    raw = image.folder / "raw"
    subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", image.path(image.disk), raw], check=True)
    told = subprocess.run(["debugfs", "-R", "stat /etc", raw], capture_output=True, text=True, check=True).stdout
    assert "Mode:  0755" in told


@pytest.mark.usefixtures("archive")
def test_the_root_disk_can_grow_and_carries_all_that_its_resizer_needs(var: Path, tmp_path: Path) -> None:
    image = build(var)
    raw, tree = tmp_path / "raw", tmp_path / "tree"
    subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", image.path(image.disk), raw], check=True)
    tree.mkdir()
    subprocess.run(["debugfs", "-R", f"rdump / {tree}", raw], check=True, capture_output=True)
    said = subprocess.run(["chroot", tree, "/sbin/resize2fs"], capture_output=True, text=True, check=False)
    assert "Usage: /sbin/resize2fs" in said.stderr
    os.truncate(raw, 300 * 1024**3)
    subprocess.run(["resize2fs", raw], check=True, capture_output=True)
    told = subprocess.run(["dumpe2fs", "-h", raw], capture_output=True, text=True, check=True).stdout
    assert f"Block count:              {300 * 1024**3 // 4_096}\n" in told
    subprocess.run(["e2fsck", "-fn", raw], check=True, capture_output=True)


@pytest.mark.usefixtures("archive")
def test_a_resizer_that_is_missing_is_told_with_its_mend(
    var: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest_image, "RESIZER", tmp_path / "none")
    with pytest.raises(ProvisionError) as told:
        build(var)
    assert "apt-get install e2fsprogs" in told.value.mend
    assert left_in(var) == []
