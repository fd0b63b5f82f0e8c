"""A guest's files on its host: whole or not there, whatever ends or fills up on the way; with the real qemu-img and real mounts."""

import os
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from compute.hypervisor.contract import DiskSpec, InstanceSpec, LaunchFailure, SpecRefused
from compute.hypervisor.guest_files import CONFIG_DRIVE_FILE, CONSOLE_FILE, DISK_FILE, GuestFolder, Owner

HOST_MIB = 4
OWNER = Owner(64_055, 108)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own, which can be filled."""
    root = tmp_path / "host"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={HOST_MIB}m", "tmpfs", str(root)], check=True)
    try:
        yield root
    finally:
        subprocess.run(["umount", str(root)], check=True)


@pytest.fixture
def folder(host: Path, tmp_path: Path) -> Iterator[GuestFolder]:
    """The folder of an installation on it, with one image."""
    made = GuestFolder(host, installation="t1", owner=OWNER, runtime_root=tmp_path / "run")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(made.images / "disk"), "1M"], check=True)
    try:
        yield made
    finally:
        made.release()


def a_spec(user_data: bytes | None = b"#!/bin/sh\n# a secret\n") -> InstanceSpec:
    disk = DiskSpec(Path("disk"), "qcow2", 1)
    return InstanceSpec(uuid4(), "p", "u", "web", 1, 64, disk, user_data=user_data)


def fill(host: Path, *, spare_bytes: int) -> Path:
    """Leave so many bytes free."""
    filler = host / "filler"
    free = os.statvfs(host).f_bavail * os.statvfs(host).f_frsize
    filler.write_bytes(bytes(free - spare_bytes))
    return filler


@pytest.mark.parametrize("spare_bytes", [0, 128 * 1024, 256 * 1024])
def test_a_full_disk_leaves_nothing_half_made_and_is_told_in_a_sentence_without_the_host_s_paths(
    host: Path, folder: GuestFolder, spare_bytes: int
) -> None:
    spec, filler = a_spec(), fill(host, spare_bytes=spare_bytes)
    with pytest.raises(LaunchFailure, match="No space left on device") as failure:
        folder.make(spec)
    assert str(host) not in failure.value.message
    assert "/run/" not in failure.value.message
    assert list(folder.instances.iterdir()) == []
    filler.unlink()
    folder.make(spec)
    folder.require_whole(spec.instance_id)


def test_what_a_killed_agent_left_half_made_is_known_and_neither_used_nor_kept(folder: GuestFolder) -> None:
    spec = a_spec()
    left = folder.instances / f".making-{spec.instance_id}"
    left.mkdir()
    (left / DISK_FILE).write_bytes(b"half")
    assert folder.list_ids() == {spec.instance_id}
    with pytest.raises(LaunchFailure, match="gone"):
        folder.require_whole(spec.instance_id)
    folder.make(spec)
    made = folder.instances / str(spec.instance_id)
    assert [entry.name for entry in folder.instances.iterdir()] == [made.name]
    subprocess.run(["qemu-img", "check", "-q", "-f", "qcow2", str(made / DISK_FILE)], check=True)


def test_a_removal_that_was_killed_goes_on(folder: GuestFolder) -> None:
    spec = a_spec()
    folder.make(spec)
    (folder.instances / str(spec.instance_id)).rename(folder.instances / f".deleting-{spec.instance_id}")
    assert folder.list_ids() == {spec.instance_id}
    for _ in range(2):
        folder.remove(spec.instance_id)
    assert list(folder.instances.iterdir()) == []


def test_a_disk_with_what_a_guest_wrote_is_never_made_anew(folder: GuestFolder) -> None:
    spec = a_spec()
    folder.make(spec)
    disk = folder.instances / str(spec.instance_id) / DISK_FILE
    before = disk.stat().st_ino
    folder.make(spec)
    assert disk.stat().st_ino == before
    disk.unlink()
    folder.make(spec)
    with pytest.raises(LaunchFailure, match=r"disk\.qcow2 is gone"):
        folder.require_whole(spec.instance_id)


def test_a_host_whose_file_system_became_read_only_is_told_in_a_sentence(host: Path, folder: GuestFolder) -> None:
    spec = a_spec()
    folder.make(spec)
    folder.files_of(spec)
    subprocess.run(["mount", "-o", "remount,ro", str(host)], check=True)
    with pytest.raises(LaunchFailure, match="Read-only file system") as failure:
        folder.require_whole(spec.instance_id)
    assert str(host) not in failure.value.message


def test_only_the_hypervisor_s_user_reads_a_guest_s_disk_and_user_data(folder: GuestFolder) -> None:
    spec = a_spec()
    folder.make(spec)
    place = folder.instances / str(spec.instance_id)
    assert stat.S_IMODE(place.stat().st_mode) == 0o711
    for name in (DISK_FILE, CONFIG_DRIVE_FILE):
        made = (place / name).stat()
        assert (made.st_uid, made.st_gid, stat.S_IMODE(made.st_mode)) == (OWNER.uid, OWNER.gid, 0o600)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../secret"])
def test_an_image_outside_the_store_is_refused(folder: GuestFolder, name: str) -> None:
    (folder.images.parent / "secret").write_bytes(b"x")
    spec = a_spec()
    with pytest.raises(SpecRefused, match="image store"):
        folder.make(replace(spec, disk=replace(spec.disk, image_path=Path(name))))


def test_a_link_out_of_the_image_store_is_not_followed(folder: GuestFolder) -> None:
    secret = folder.images.parent / "secret"
    secret.write_bytes(b"x")
    (folder.images / "link").symlink_to(secret)
    spec = a_spec()
    with pytest.raises(LaunchFailure, match="not in this host's image store"):
        folder.make(replace(spec, disk=replace(spec.disk, image_path=Path("link"))))


def test_a_guest_whose_image_is_gone_is_told_so(folder: GuestFolder) -> None:
    spec = a_spec()
    folder.make(spec)
    (folder.images / "disk").unlink()
    with pytest.raises(LaunchFailure, match="disk is not in this host's image store"):
        folder.files_of(spec)


def test_an_image_in_a_folder_that_is_closed_to_others_is_told_before_the_guest_starts(folder: GuestFolder) -> None:
    closed = folder.images / "closed"
    closed.mkdir(mode=0o700)
    (folder.images / "disk").rename(closed / "disk")
    spec = a_spec()
    with pytest.raises(LaunchFailure, match="cannot be read by the hypervisor"):
        folder.files_of(replace(spec, disk=replace(spec.disk, image_path=Path("closed/disk"))))


def test_the_place_under_run_leads_to_this_folder_or_is_refused(folder: GuestFolder, tmp_path: Path) -> None:
    other, point = tmp_path / "other", tmp_path / "run" / "nephoscope-t1-guests" / "images"
    for path in (other, point):
        path.mkdir(parents=True)
    (other / "in use").touch()
    subprocess.run(["mount", "--bind", str(other), str(point)], check=True)
    with (point / "in use").open(), pytest.raises(LaunchFailure, match="another folder"):
        folder.files_of(a_spec())
    assert folder.files_of(a_spec()).image == point / "disk"
    assert (point / "disk").samefile(folder.images / "disk")


def test_only_folders_that_removal_would_find_are_told_as_an_instance_s(folder: GuestFolder) -> None:
    known = uuid4()
    for name in (str(known), uuid4().hex, str(uuid4()).upper(), f"{uuid4()}.kept", "lost+found"):
        (folder.instances / name).mkdir()
    assert folder.list_ids() == {known}


def test_the_console_is_read_to_its_bound_over_a_rotation(folder: GuestFolder) -> None:
    instance_id = UUID(int=7)
    place = folder.instances / str(instance_id)
    place.mkdir()
    assert folder.read_console(instance_id) == ""
    (place / f"{CONSOLE_FILE}.0").write_bytes(b"x" * 300_000 + b"before\n")
    (place / CONSOLE_FILE).write_bytes(b"after\x00\xff\n")
    text = folder.read_console(instance_id)
    assert text.endswith("before\nafter\N{REPLACEMENT CHARACTER}\n")
    assert len(text) <= 256 * 1024
