"""The small guest image: Debian's cloud kernel, an initramfs with its drivers, and a root disk with busybox."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from provision.children import Say
from provision.failures import ProvisionError
from provision.kernel_modules import load_order

META_PACKAGE = "linux-image-cloud-amd64"
RECIPE = "1"
"""Raised when the way the image is made changes other than in the files below."""
RECIPE_FILES = Path(__file__).with_name("guest")
BUSYBOX = Path("/bin/busybox")
DISK_MIB = 256
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


def folder_of(var: Path) -> Path:
    """Where the present image is: a link to the folder of its recipe. Older folders stay, since guests' disks rest on them."""
    return var.resolve() / "images" / "guest"


def load_manifest(var: Path) -> GuestImage:
    """The image that `make setup` built; raises ProvisionError where there is none."""
    folder = folder_of(var).resolve()
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
    except FileNotFoundError:
        raise ProvisionError("The guest image is not built.", mend="Run `make setup`.") from None
    return GuestImage(
        name=manifest["name"],
        folder=folder,
        recipe=manifest["recipe"],
        kernel_version=manifest["kernel_version"],
        kernel_command_line=manifest["kernel_command_line"],
        kernel=ImageFile(**manifest["kernel"]),
        initramfs=ImageFile(**manifest["initramfs"]),
        disk=ImageFile(**manifest["disk"]),
    )


def recipe_digest() -> str:
    """Changes when the image is to be made anew: with RECIPE, with how the kernel is started, or with the scripts that the guest runs."""
    digest = hashlib.sha256(f"{RECIPE} {KERNEL_COMMAND_LINE}".encode())
    for path in sorted(RECIPE_FILES.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def is_built(var: Path) -> bool:
    """Whether the image is there and made by the present recipe."""
    try:
        return load_manifest(var).recipe == recipe_digest()
    except (ProvisionError, TypeError, KeyError, ValueError):
        return False


def build(var: Path, *, say: Say) -> GuestImage:
    """Make the image's files unless they are there; all or nothing."""
    if is_built(var):
        return load_manifest(var)
    link = folder_of(var)
    folder = link.with_name(f"guest-{recipe_digest()}")
    work, scratch = (link.with_name(f"guest.{name}") for name in ("partial", "scratch"))
    for old in (work, scratch):
        shutil.rmtree(old, ignore_errors=True)
        old.mkdir(parents=True)
    try:
        if not folder.exists():
            _build(work, scratch=scratch, say=say)
            work.rename(folder)
        pointer = scratch / "guest"
        pointer.symlink_to(folder.name)
        pointer.rename(link)
    finally:
        for left in (work, scratch):
            shutil.rmtree(left, ignore_errors=True)
    return load_manifest(var)


def _build(work: Path, *, scratch: Path, say: Say) -> None:
    say("fetching Debian's cloud kernel")
    kernel_tree, version = _fetch_kernel(scratch)
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


def _run(command: Sequence[str | Path], *, cwd: Path, text: str | None = None) -> str:
    result = subprocess.run(
        command, cwd=cwd, input=text, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False
    )
    if result.returncode != 0:
        reason = (result.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ProvisionError(
            f"`{command[0]}` failed while the guest image was made ({reason}).", mend="Mend that and run it again."
        )
    return result.stdout


def _fetch_kernel(scratch: Path) -> tuple[Path, str]:
    depends = _run(["apt-cache", "depends", META_PACKAGE], cwd=scratch)
    package = next((w for w in depends.split() if w.startswith("linux-image-") and w != META_PACKAGE), None)
    if package is None:
        raise ProvisionError(
            f"apt knows no {META_PACKAGE} for the guest image.", mend="Run `apt-get update` and run it again."
        )
    tree = scratch / "deb"
    tree.mkdir()
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
    for module in order:
        shutil.copyfile(module, tree / "modules" / module.name)
    (tree / "modules/order").write_text("".join(f"{module.name}\n" for module in order))
    names = "\n".join(sorted(str(path.relative_to(tree)) for path in tree.rglob("*")))
    with target.open("wb") as packed:
        archive = subprocess.run(
            ["cpio", "-o", "-H", "newc", "--owner=0:0", "--quiet"],
            cwd=tree, input=names.encode(), capture_output=True, check=True, timeout=COMMAND_TIMEOUT_S,
        )  # fmt: skip
        subprocess.run(["gzip", "-9n"], input=archive.stdout, stdout=packed, check=True, timeout=COMMAND_TIMEOUT_S)


def _install(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    target.chmod(0o755)


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
    for applet in _run([BUSYBOX, "--list-full"], cwd=scratch).split():
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
    ext4 = ["-q", "-t", "ext4", "-L", "nephoscope-root", "-E", "root_owner=0:0,lazy_itable_init=0"]
    _run(["mke2fs", *ext4, "-d", "root", "disk.raw", f"{DISK_MIB}M"], cwd=scratch)
    _run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "disk.raw", target], cwd=scratch)


def _describe(path: Path, *, image_format: str) -> ImageFile:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.chmod(0o644)
    return ImageFile(file=path.name, format=image_format, size_bytes=path.stat().st_size, sha256=digest)
