"""Removes from the host what an installation defined there, by its id in the names: guests, networks, packet rules, mounts.

What all installations share in /run goes with the last of them.
"""

import contextlib
import fcntl
import re
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from provision import libvirt_daemons, redis_server, timescaledb
from provision.installation import Installation

COMMAND_TIMEOUT_S = 30
DEFINITIONS = Path("/etc/libvirt/qemu")
LIBVIRT_LISTS = (("list", "destroy", "undefine"), ("net-list", "net-destroy", "net-undefine"))
"""How guests and networks are listed, ended and forgotten."""
RUN = Path("/run")
LOCK, FORWARD_BEFORE = "nephoscope.lock", "nephoscope-ip-forward-before"
"""What compute's host network keeps there: a lock, and whether the host routed before the first installation made it."""
IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
MARK = "up"
"""In an installation's folder there: which process serves it."""
SOCKETS = (Path("postgresql") / timescaledb.SOCKET_NAME, Path("redis") / redis_server.SOCKET_NAME)
_FOLDER = re.compile(r"nephoscope-[a-z0-9]{1,12}")


def owned(names: str, installation_id: str) -> list[str]:
    """Those of the names, one a line, that carry this installation's id."""
    return [name.strip() for name in names.splitlines() if name.strip().startswith(f"nepho-{installation_id}-")]


def owned_tables(listing: str, installation_id: str) -> list[tuple[str, str]]:
    """Family and name of this installation's tables in what `nft list tables` prints."""
    rows = (line.split() for line in listing.splitlines())
    return [(row[1], row[2]) for row in rows if len(row) == 3 and row[2] == f"nephoscope_{installation_id}"]


def remove(installation: Installation) -> None:
    """Remove all of it; what is not there is no failure."""
    with_guests = DEFINITIONS.is_dir() and any(DEFINITIONS.rglob(f"nepho-{installation.id}-*"))
    if with_guests or any(libvirt_daemons.answers(daemon) for daemon in libvirt_daemons.DAEMONS):
        with libvirt_daemons.running_libvirt(installation.var / "run" / "libvirt-of-clean.json"):
            for listing, end, forget in LIBVIRT_LISTS:
                for name in owned(_output("virsh", "-q", listing, "--all", "--name"), installation.id):
                    _output("virsh", "-q", end, name)
                    _output("virsh", "-q", forget, name)
    for family, table in owned_tables(_output("nft", "list", "tables"), installation.id):
        _output("nft", "delete", "table", family, table)
    mounts = Path(f"/run/nephoscope-{installation.id}-guests")
    for point in (mounts / "images", mounts / "instances"):
        if point.is_mount():
            _output("umount", str(point))
    # Only empty folders go here: what is still mounted must not be emptied.
    for folder in (mounts / "images", mounts / "instances", mounts):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    shutil.rmtree(installation.runtime_dir, ignore_errors=True)
    forget_unused()


def is_dead(folder: Path) -> bool:
    """Whether an installation's folder in /run is surely nobody's: its process is gone and none of its servers answers."""
    if any(_is_answered(folder / name) for name in SOCKETS):
        return False
    mark = folder / MARK
    if mark.exists():
        # One without a colon is being written just now.
        noted = mark.read_text().strip()
        pid, colon, _ = noted.partition(":")
        return bool(colon) and pid.isdecimal() and libvirt_daemons.fingerprint(int(pid)) != noted
    return any((folder / name).is_socket() for name in SOCKETS)


def _is_answered(address: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(1)
        try:
            connection.connect(str(address))
        except TimeoutError:
            return True
        except OSError:
            return False
    return True


def forget_unused(run: Path = RUN) -> None:
    """Remove the folders of installations that were killed and, where no installation is left, what all of them share."""
    for folder in run.glob("nephoscope-*"):
        if _FOLDER.fullmatch(folder.name) and folder.is_dir() and is_dead(folder):
            shutil.rmtree(folder, ignore_errors=True)
    if any(folder.is_dir() for folder in run.glob("nephoscope-*")) or "nephoscope_" in _output("nft", "list", "tables"):
        return
    with contextlib.suppress(FileNotFoundError, BlockingIOError), (run / LOCK).open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _put_forwarding_back(run / FORWARD_BEFORE)
        (run / LOCK).unlink()


def _put_forwarding_back(before: Path) -> None:
    """As the last agent does when it leaves: a network of somebody else still needs forwarding, our note nobody."""
    if before.exists():
        if not _output("virsh", "-q", "net-list", "--name").strip():
            IP_FORWARD.write_text(before.read_text())
        before.unlink()


def _output(*command: str) -> str:
    """What the command prints; nothing where it fails or is not installed."""
    arguments: Sequence[str] = command
    try:
        return subprocess.run(arguments, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
