"""The small guest image: Debian's cloud kernel, an initramfs with its drivers, and a root disk with busybox."""

import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from provision.children import Say
from provision.failures import ProvisionError
from provision.kernel_modules import load_order
from provision.umask import read_by_all

META_PACKAGE = "linux-image-cloud-amd64"
RECIPE = "2"
"""Raised when the way the image is made changes other than in the files below."""
RECIPE_FILES = Path(__file__).with_name("guest")
BUSYBOX = Path("/bin/busybox")
RESIZER = Path("/sbin/resize2fs")
"""What a guest lets its root file system grow with; busybox has nothing for it."""
LOADER = Path("/lib64/ld-linux-x86-64.so.2")
LIBRARY = re.compile(r"(/\S+) \(0x")

DISK_MIB = 256
BLOCK_BYTES, JOURNAL_MIB, GROWS_TO_GIB, BYTES_A_FILE = 4_096, 8, 1_024, 65_536
"""mke2fs would give so small a file system small blocks, by which it could grow to 32 GiB and no further. What it keeps free to grow to
8 TiB does not fit into one transaction of so small a journal; what it writes while it grows is mostly room for files' inodes.
"""

KERNEL_COMMAND_LINE = "console=ttyS0 quiet no_timer_check tsc=unstable panic=5"
"""On a busy host that emulates, the kernel's test of its timer can fail though the timer is right (no_timer_check), and its measure of
the processor's clock can be wrong by a factor, so that its seconds are not ours (tsc=unstable: it then takes the ACPI timer's)."""

WANTED_MODULES = ("virtio_pci", "virtio_net", "virtio_blk", "virtio_balloon", "virtio_rng", "isofs", "button", "evdev")
"""isofs reads the config drive (a second virtio disk); button and evdev hear the host's shutdown request."""

COMMAND_TIMEOUT_S = 300


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One of the image's three parts, its path relative to the manifest."""

    file: str
    format: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class GuestImage:
    """What the image store registers: a kernel, a ramdisk and a root disk that refers to both."""

    name: str
    folder: Path
    recipe: str
    kernel_version: str
    kernel_command_line: str
    kernel: ImageFile
    initramfs: ImageFile
    disk: ImageFile

    def path(self, part: ImageFile) -> Path:
        """The absolute path of one of the parts."""
        return self.folder / part.file

    def is_whole(self) -> bool:
        """Whether all parts are there in their sizes: a power cut, a full disk or a hand may have taken some of it."""
        parts = [(self.path(part), part.size_bytes) for part in (self.kernel, self.initramfs, self.disk)]
        return all(path.is_file() and path.stat().st_size == size for path, size in parts)


def folder_of(var: Path) -> Path:
    """Where the present image is: a link to the folder of its build. Older folders stay, since guests' disks rest on them."""
    return var.resolve() / "images" / "guest"


def load_manifest(var: Path) -> GuestImage:
    """The image that `make setup` built; raises ProvisionError where there is none."""
    image = find_image(folder_of(var).resolve())
    if image is None:
        raise ProvisionError("The guest image is not built.", mend="Run `make setup`.")
    return image


def find_image(folder: Path) -> GuestImage | None:
    """The whole image that a folder holds, or None."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        image = GuestImage(
            name=manifest["name"],
            folder=folder,
            recipe=manifest["recipe"],
            kernel_version=manifest["kernel_version"],
            kernel_command_line=manifest["kernel_command_line"],
            kernel=ImageFile(**manifest["kernel"]),
            initramfs=ImageFile(**manifest["initramfs"]),
            disk=ImageFile(**manifest["disk"]),
        )
    except (FileNotFoundError, NotADirectoryError, TypeError, KeyError, ValueError):
        return None
    return image if image.is_whole() else None


def recipe_digest() -> str:
    """Changes when the image is to be made anew: with RECIPE, with how the kernel is started, or with the scripts that the guest runs."""
    digest = hashlib.sha256(f"{RECIPE} {KERNEL_COMMAND_LINE}".encode())
    for path in sorted(RECIPE_FILES.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def is_built(var: Path) -> bool:
    """Whether the image is there, whole, and made by the present recipe."""
    image = find_image(folder_of(var).resolve())
    return image is not None and image.recipe == recipe_digest()


def build(var: Path, *, say: Say) -> GuestImage:
    """Make the image's files unless they are there; all or nothing. Raises ProvisionError."""
    if is_built(var):
        return load_manifest(var)
    link = folder_of(var)
    work, scratch = (link.with_name(f"guest.{name}") for name in ("partial", "scratch"))
    try:
        with read_by_all(), _told():
            for old in (work, scratch):
                shutil.rmtree(old, ignore_errors=True)
                old.mkdir(parents=True)
            folder = _find_folder(link.parent)
            if folder is None:
                _build(work, scratch=scratch, say=say)
                folder = _keep(work)
            pointer = scratch / "guest"
            pointer.symlink_to(folder.name)
            pointer.rename(link)
            _sync(link.parent)
    finally:
        for left in (work, scratch):
            shutil.rmtree(left, ignore_errors=True)
    return load_manifest(var)


def _find_folder(images: Path) -> Path | None:
    """A whole image of the present recipe that was built before."""
    recipe = recipe_digest()
    folders = sorted(images.glob(f"guest-{recipe}*"))
    found = (find_image(folder) for folder in folders)
    return next((image.folder for image in found if image is not None and image.recipe == recipe), None)


def _keep(work: Path) -> Path:
    """Make the files durable and give the folder a name that no other content ever gets: guests' disks would break on another one."""
    content = hashlib.sha256((work / "manifest.json").read_bytes()).hexdigest()
    folder = work.with_name(f"guest-{recipe_digest()}-{content[:8]}")
    for path in (*work.iterdir(), work):
        _sync(path)
    shutil.rmtree(folder, ignore_errors=True)
    return work.rename(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _told() -> Generator[None]:
    try:
        yield
    except (OSError, subprocess.SubprocessError) as error:
        raise ProvisionError(
            f"The guest image could not be made ({error}).", mend="Mend that and run it again."
        ) from error


def _build(work: Path, *, scratch: Path, say: Say) -> None:
    say("fetching Debian's cloud kernel")
    kernel_tree, version = _fetch_kernel(scratch, say=say)
    say("making the initramfs")
    shutil.copyfile(kernel_tree / f"boot/vmlinuz-{version}", work / "kernel")
    _make_initramfs(work / "initramfs", scratch=scratch, modules=kernel_tree / f"lib/modules/{version}/kernel")
    say("making the root disk")
    _make_disk(work / "disk", scratch=scratch)
    manifest = {
        "name": f"nephoscope-guest-linux-{version.removesuffix('-cloud-amd64')}",
        "recipe": recipe_digest(),
        "kernel_version": version,
        "kernel_command_line": KERNEL_COMMAND_LINE,
        "kernel": asdict(_describe(work / "kernel", image_format="raw")),
        "initramfs": asdict(_describe(work / "initramfs", image_format="raw")),
        "disk": asdict(_describe(work / "disk", image_format="qcow2")),
    }
    (work / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


def _run(command: Sequence[str | Path], *, cwd: Path, given: bytes | None = None) -> bytes:
    result = subprocess.run(command, cwd=cwd, input=given, capture_output=True, timeout=COMMAND_TIMEOUT_S, check=False)
    if result.returncode != 0:
        reason = (result.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
        raise ProvisionError(
            f"`{command[0]}` failed while the guest image was made ({reason}).", mend="Mend that and run it again."
        )
    return result.stdout


def _fetch_kernel(scratch: Path, *, say: Say) -> tuple[Path, str]:
    """Fetch and unpack the kernel; where the package lists are missing, or the archive moved on since, they are fetched anew."""
    try:
        return _unpack_kernel(scratch / "deb")
    except ProvisionError:
        say("fetching the package lists anew")
    try:
        _run(["apt-get", "-q", "update"], cwd=scratch)
        return _unpack_kernel(scratch / "deb-anew")
    except ProvisionError as error:
        raise ProvisionError(
            f"Debian's kernel for the guest image could not be fetched: {error.wrong}",
            mend=f"Mend it so that `apt-get update` and `apt-get download {META_PACKAGE}` work, then run it again.",
        ) from error


def _unpack_kernel(tree: Path) -> tuple[Path, str]:
    tree.mkdir()
    depends = _run(["apt-cache", "depends", META_PACKAGE], cwd=tree).decode()
    package = next((w for w in depends.split() if w.startswith("linux-image-") and w != META_PACKAGE), None)
    if package is None:
        raise ProvisionError(
            f"apt knows no {META_PACKAGE} for the guest image.", mend="Run `apt-get update` and run it again."
        )
    _run(["apt-get", "-q", "-oAPT::Sandbox::User=root", "download", package], cwd=tree)
    archive = next(tree.glob("*.deb"))
    _run(["dpkg", "-x", archive.name, "."], cwd=tree)
    return tree, package.removeprefix("linux-image-")


def _make_initramfs(target: Path, *, scratch: Path, modules: Path) -> None:
    tree = scratch / "initramfs"
    for folder in ("bin", "dev", "proc", "sys", "root", "modules"):
        (tree / folder).mkdir(parents=True)
    _install(BUSYBOX, tree / "bin/busybox")
    for applet in ("sh", "mount", "dmesg", "insmod", "uname", "cut", "usleep", "switch_root"):
        (tree / "bin" / applet).symlink_to("busybox")
    _install(RECIPE_FILES / "initramfs-init", tree / "init")
    order = load_order(modules, wanted=WANTED_MODULES)
    if not order:
        raise ProvisionError(
            "Debian's kernel has no driver that the guest image can load: its modules are not `.ko` files.",
            mend="Use a machine with Debian 12.",
        )
    for module in order:
        shutil.copyfile(module, tree / "modules" / module.name)
    (tree / "modules/order").write_text("".join(f"{module.name}\n" for module in order))
    names = "\n".join(sorted(str(path.relative_to(tree)) for path in tree.rglob("*")))
    packed = _run(["cpio", "-o", "-H", "newc", "--owner=0:0", "--quiet"], cwd=tree, given=names.encode())
    target.write_bytes(gzip.compress(packed, 9, mtime=0))


def _install(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    target.chmod(0o755)


def _install_with_libraries(program: Path, tree: Path) -> None:
    """Put a program of this machine into the tree, and the libraries that its loader finds for it."""
    if not program.is_file():
        raise ProvisionError(
            f"There is no {program} for the guest image.", mend="Run `apt-get install e2fsprogs` and run it again."
        )
    libraries = LIBRARY.findall(_run([LOADER, "--list", program], cwd=tree).decode())
    for path in (program, *map(Path, libraries)):
        target = tree / path.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        _install(path, target)


ROOT_FOLDERS = ("bin", "sbin", "usr/bin", "usr/sbin", "etc/init.d", "etc/acpi/PWRF", "dev", "proc", "sys", "run", "tmp",
                "root", "home", "mnt", "var/log", "var/tmp")  # fmt: skip
ROOT_TEXTS: Mapping[str, str] = {
    "etc/passwd": "root::0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/os-release": 'NAME="Nephoscope guest"\nID=nephoscope-guest\nPRETTY_NAME="Nephoscope guest (busybox)"\n',
    "etc/profile": "export PATH=/usr/sbin:/usr/bin:/sbin:/bin\n",
    "etc/resolv.conf": "",
    "etc/hosts": "127.0.0.1 localhost\n",
}


def _make_disk(target: Path, *, scratch: Path) -> None:
    tree = scratch / "root"
    for folder in ROOT_FOLDERS:
        (tree / folder).mkdir(parents=True)
    _install(BUSYBOX, tree / "bin/busybox")
    _install_with_libraries(RESIZER, tree)
    for applet in _run([BUSYBOX, "--list-full"], cwd=scratch).decode().split():
        link = tree / applet
        if not link.exists() and link.parent.is_dir():
            link.symlink_to("/bin/busybox")
    for name in ("sbin/init", "bin/sh"):
        (tree / name).unlink(missing_ok=True)
        (tree / name).symlink_to("/bin/busybox")
    for name, text in ROOT_TEXTS.items():
        (tree / name).write_text(text)
    (tree / "etc/inittab").write_text((RECIPE_FILES / "inittab").read_text())
    _install(RECIPE_FILES / "boot", tree / "etc/init.d/boot")
    _install(RECIPE_FILES / "end", tree / "etc/init.d/end")
    _install(RECIPE_FILES / "udhcpc.script", tree / "etc/udhcpc.script")
    _install(RECIPE_FILES / "power-button", tree / "etc/acpi/PWRF/00000080")
    largest = f"resize={GROWS_TO_GIB * 1024**3 // BLOCK_BYTES}"
    ext4 = ["-q", "-t", "ext4", "-L", "nephoscope-root", "-E", f"root_owner=0:0,lazy_itable_init=0,{largest}"]
    ext4 += ["-b", str(BLOCK_BYTES), "-i", str(BYTES_A_FILE), "-J", f"size={JOURNAL_MIB}"]
    _run(["mke2fs", *ext4, "-d", "root", "disk.raw", f"{DISK_MIB}M"], cwd=scratch)
    _run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "disk.raw", target], cwd=scratch)


def _describe(path: Path, *, image_format: str) -> ImageFile:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.chmod(0o644)
    return ImageFile(file=path.name, format=image_format, size_bytes=path.stat().st_size, sha256=digest)
