"""Removes from the host what an installation defined there, by its id in the names: guests, networks, packet rules, mounts."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from provision import libvirt_daemons
from provision.installation import Installation

COMMAND_TIMEOUT_S = 30
DEFINITIONS = Path("/etc/libvirt/qemu")
LIBVIRT_LISTS = (("list", "destroy", "undefine"), ("net-list", "net-destroy", "net-undefine"))
"""How guests and networks are listed, ended and forgotten."""


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


def _output(*command: str) -> str:
    """What the command prints; nothing where it fails or is not installed."""
    arguments: Sequence[str] = command
    try:
        return subprocess.run(arguments, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
