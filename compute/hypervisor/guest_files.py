"""A guest's files on its host: one folder an instance, made whole or not at all, owned by the user as which QEMU runs.

QEMU runs as an ordinary user. Where that user cannot reach our folder (a clone under /root), the folder is also mounted at
a short path under /run, and the guests use that; the files themselves stay where they are.
"""

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from compute.config_drive import build_config_drive
from compute.domain_xml import GuestFiles
from compute.hypervisor.contract import CONSOLE_BYTES_MAX, DiskSpec, InstanceSpec, LaunchFailure, SpecRefused

DISK_FILE = "disk.qcow2"
CONFIG_DRIVE_FILE = "config.iso"
CONSOLE_FILE = "console.log"
MAKING_PREFIX = ".making-"
DELETING_PREFIX = ".deleting-"
PREFIXES = ("", MAKING_PREFIX, DELETING_PREFIX)
MIB = 1024**2
GIB = 1024**3

MOUNT_TIMEOUT_S = 10
QEMU_IMG_TIMEOUT_S = 60
QEMU_IMG_LIMITS = ("--as=1073741824", "--cpu=30", "--fsize=1073741824", "--nofile=64", "--core=0")
"""What qemu-img may use: address space and file size in bytes, processor time in seconds."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The user and group as which QEMU runs."""

    uid: int
    gid: int

    @property
    def label(self) -> str:
        """The owner as libvirt writes it."""
        return f"+{self.uid}:+{self.gid}"


class GuestFolder:
    """All instances' folders of one installation: `instances/<uuid>` and `images` under the same root."""

    def __init__(self, root: Path, *, installation: str, owner: Owner, runtime_root: Path = Path("/run")) -> None:
        self.instances = root.absolute() / "instances"
        self.images = root.absolute() / "images"
        self.owner = owner
        self._runtime = runtime_root / f"nephoscope-{installation}-guests"
        for folder in (self.instances, self.images):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o755)

    def files_of(self, spec: InstanceSpec) -> GuestFiles:
        """Say by which paths the guest's QEMU reaches its files. Raises SpecRefused for a path outside the image store."""
        folder = self._reachable(self.instances) / str(spec.instance_id)
        disk = spec.disk
        return GuestFiles(
            disk=folder / DISK_FILE,
            config_drive=folder / CONFIG_DRIVE_FILE,
            console_log=folder / CONSOLE_FILE,
            image=self._image(disk.image_path),
            kernel=self._image(disk.kernel_path) if disk.kernel_path else None,
            ramdisk=self._image(disk.ramdisk_path) if disk.ramdisk_path else None,
        )

    def make(self, spec: InstanceSpec) -> None:
        """Make the folder with disk and config drive; it appears under its name only when it is whole. Raises LaunchFailure."""
        final = self.instances / str(spec.instance_id)
        if final.is_dir():
            return
        drive = build_config_drive(spec)
        image = self._image(spec.disk.image_path)
        making = self.instances / f"{MAKING_PREFIX}{spec.instance_id}"
        shutil.rmtree(making, ignore_errors=True)
        try:
            with told_without_paths("the guest's files could not be made"):
                making.mkdir(mode=0o711)
                make_overlay(making / DISK_FILE, image, spec.disk)
                self._write(making / CONFIG_DRIVE_FILE, drive)
                self._hand_over(making / DISK_FILE)
                self._hand_over(making / CONFIG_DRIVE_FILE)
                making.chmod(0o711)
                sync_folder(making)
                making.rename(final)
                sync_folder(self.instances)
        except LaunchFailure:
            shutil.rmtree(making, ignore_errors=True)
            raise

    def require_whole(self, instance_id: UUID) -> None:
        """Raise LaunchFailure when the disk or the config drive is gone: no new disk is ever put in place of a lost one."""
        folder = self.instances / str(instance_id)
        for name in (DISK_FILE, CONFIG_DRIVE_FILE):
            if not (folder / name).is_file():
                raise LaunchFailure(f"the guest's {name} is gone from this host")
            with told_without_paths(f"the guest's {name} could not be given to the hypervisor"):
                self._hand_over(folder / name)

    def remove(self, instance_id: UUID) -> None:
        """Remove all files of an instance, wherever an earlier removal or making of them was stopped."""
        folder = self.instances / str(instance_id)
        deleting = self.instances / f"{DELETING_PREFIX}{instance_id}"
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(deleting, ignore_errors=True)
            folder.rename(deleting)
        for leftover in (deleting, self.instances / f"{MAKING_PREFIX}{instance_id}"):
            if leftover.exists():
                shutil.rmtree(leftover)
        sync_folder(self.instances)

    def list_ids(self) -> frozenset[UUID]:
        """Say of which instances any file exists."""
        found: set[UUID] = set()
        for entry in self.instances.iterdir():
            name = entry.name.removeprefix(MAKING_PREFIX).removeprefix(DELETING_PREFIX)
            with suppress(ValueError):
                found.add(UUID(name))
        return frozenset(instance_id for instance_id in found if self._has_files(instance_id))

    def _has_files(self, instance_id: UUID) -> bool:
        """Tell whether a removal would find any; a UUID may be spelled in more ways than ours."""
        return any((self.instances / f"{prefix}{instance_id}").exists() for prefix in PREFIXES)

    def read_console(self, instance_id: UUID) -> str:
        """Read the end of the serial console; the log's predecessor is read too, where the log was just rotated."""
        folder = self.instances / str(instance_id)
        text = b""
        for name in (CONSOLE_FILE, f"{CONSOLE_FILE}.0"):
            text = read_tail(folder / name, CONSOLE_BYTES_MAX - len(text)) + text
            if len(text) >= CONSOLE_BYTES_MAX:
                break
        return text.decode("utf-8", errors="replace").replace("\x00", "")

    def free_gib(self) -> int:
        """Say how large the file system is that holds the disks."""
        return shutil.disk_usage(self.instances).total // GIB

    def free_mib(self) -> int:
        """Say how much the hypervisor's user can still write there."""
        return shutil.disk_usage(self.instances).free // MIB

    def release(self) -> None:
        """Take away the paths under /run, where there are any."""
        for folder in (self.instances, self.images):
            point = self._runtime / folder.name
            if is_mounted(point):
                run_mount("umount", str(point))
        for point in (self._runtime / "instances", self._runtime / "images", self._runtime):
            if point.is_dir() and not is_mounted(point):
                try:
                    point.rmdir()
                except OSError:
                    return

    def _image(self, path: Path) -> Path:
        """Find an image file in the store; it is read by every guest and written by none."""
        relative = path.relative_to(self.images) if path.is_absolute() and path.is_relative_to(self.images) else path
        if relative.is_absolute() or ".." in relative.parts:
            raise SpecRefused(f"the image file {path} is not in this host's image store")
        stored = self.images / relative
        if not stored.is_file() or not stored.resolve().is_relative_to(self.images.resolve()):
            raise LaunchFailure(f"the image file {relative} is not in this host's image store")
        if not stored.stat().st_mode & stat.S_IROTH or not is_open_below(self.images, stored.parent):
            raise LaunchFailure(f"the image file {relative} cannot be read by the hypervisor; make it readable for all")
        return self._reachable(self.images) / relative

    def _reachable(self, folder: Path) -> Path:
        """Return a path by which QEMU's user reaches the folder: its own, or a mount of it under /run."""
        if is_open_to_all(folder):
            return folder
        point = self._runtime / folder.name
        if is_mounted(point) and not point.samefile(folder):  # of a folder that was removed since
            run_mount("umount", str(point))
            if is_mounted(point):
                raise LaunchFailure(f"{point} shows another folder, and guests use it; stop them, or `umount {point}`")
        if not is_mounted(point):
            point.mkdir(parents=True, exist_ok=True, mode=0o711)
            self._runtime.chmod(0o711)
            failure = run_mount("mount", "--bind", str(folder), str(point))
            if failure:
                raise LaunchFailure(
                    f"the hypervisor's user cannot reach {folder}, and mounting it under /run failed: "
                    f"{failure}; put the installation where other users may pass through"
                )
        return point

    def _write(self, path: Path, content: bytes) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def _hand_over(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            os.fchown(descriptor, self.owner.uid, self.owner.gid)
            os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)


@contextmanager
def told_without_paths(what: str) -> Generator[None]:
    """Let the system's no become the instance's fault, which its project reads: where files lie on the host is not its business."""
    try:
        yield
    except OSError as error:
        raise LaunchFailure(f"{what}: {error.strerror or type(error).__name__}") from error


def make_overlay(path: Path, image: Path, disk: DiskSpec) -> None:
    """Make a private qcow2 overlay over an image, with both formats named and never guessed. Raises LaunchFailure."""
    virtual_bytes = int(run_qemu_img("info", "--output=json", "-f", disk.image_format, str(image))["virtual-size"])
    wanted_bytes = disk.size_gib * GIB or virtual_bytes
    if wanted_bytes < virtual_bytes:
        raise LaunchFailure(
            f"the flavor's disk of {disk.size_gib} GiB is smaller than the image ({-(-virtual_bytes // GIB)} GiB)"
        )
    run_qemu_img("create", "-q", "-f", "qcow2", "-F", disk.image_format, "-b", str(image), str(path), str(wanted_bytes))


def run_qemu_img(*arguments: str) -> dict[str, Any]:
    """Run qemu-img within QEMU_IMG_LIMITS; return what it printed as JSON. Raises LaunchFailure."""
    command = ["prlimit", *QEMU_IMG_LIMITS, "--", "qemu-img", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=QEMU_IMG_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LaunchFailure(f"qemu-img {arguments[0]} did not finish ({type(error).__name__})") from error
    if done.returncode != 0:
        reason = done.stderr.strip() or f"it ended with {done.returncode}"
        for path in (Path(argument) for argument in arguments if argument.startswith("/")):
            reason = reason.replace(str(path), path.name)
        raise LaunchFailure(f"qemu-img {arguments[0]} failed: {reason[:500]}")
    return json.loads(done.stdout) if done.stdout.strip() else {}


def run_mount(*command: str) -> str:
    """Run mount or umount; return why it failed, empty when it did not."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MOUNT_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]} did not finish ({type(error).__name__})"
    return "" if done.returncode == 0 else done.stderr.strip() or f"{command[0]} ended with {done.returncode}"


def is_open_to_all(folder: Path) -> bool:
    """Tell whether any user may pass through every folder on the way."""
    return all(part.stat().st_mode & stat.S_IXOTH for part in (folder, *folder.parents))


def is_open_below(root: Path, folder: Path) -> bool:
    """Tell whether any user may pass through the folders from a root down to one of its folders."""
    between = (folder, *folder.parents)[: len(folder.relative_to(root).parts)]
    return all(part.stat().st_mode & stat.S_IXOTH for part in between)


def is_mounted(point: Path) -> bool:
    """Tell whether something is mounted at this very path."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return any(line.split(" ")[4] == str(point).replace(" ", "\\040") for line in lines)


def read_tail(path: Path, length_max: int) -> bytes:
    """Read the last bytes of a file that a guest fills; empty when there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return b""
    with os.fdopen(descriptor, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - length_max))
        return file.read(length_max)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
