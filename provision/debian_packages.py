"""The Debian packages that the machine must have; only missing ones are installed, and nothing is upgraded for its own sake."""

import os
import subprocess
from collections.abc import Sequence

from provision.children import ChildFailed, Say, run_child
from provision.failures import ProvisionError

RUNTIME = (
    "busybox-static",
    "ca-certificates",
    "cpio",
    "dnsmasq-base",
    "e2fsprogs",
    "gcc",
    "iproute2",
    "libc6-dev",
    "libvirt-clients",
    "libvirt-daemon",
    "libvirt-daemon-driver-qemu",
    "libvirt-daemon-system",
    "libvirt-dev",
    "nftables",
    "pkg-config",
    "python3-dev",
    "qemu-system-x86",
    "qemu-utils",
    "redis-tools",
)
"""redis-tools carries the server's program; redis-server would only add a system service that we must not use."""

TESTS = ("chromium",)


def missing(packages: Sequence[str]) -> list[str]:
    """Those of the packages that are not installed."""
    query = ["dpkg-query", "-W", "-f", "${Package}\t${db:Status-Abbrev}\n", *packages]
    listing = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False).stdout
    return missing_in_listing(listing, packages)


def missing_in_listing(listing: str, packages: Sequence[str]) -> list[str]:
    """Read dpkg-query's answer: `name<tab>ii ` is an installed package."""
    installed = {line.split("\t")[0] for line in listing.splitlines() if line.split("\t")[-1].startswith("ii")}
    return [package for package in packages if package not in installed]


def install(packages: Sequence[str], *, say: Say) -> None:
    """Install them; the package lists are fetched anew only where the present ones do not do."""
    try:
        _install(packages, say=say)
    except ChildFailed:
        try:
            _apt("update", say=say)
            _install(packages, say=say)
        except ChildFailed as failure:
            raise ProvisionError(
                f"Debian packages could not be installed ({failure.reason('E:', 'Err')}).",
                mend=f"Mend it so that `apt-get install {' '.join(packages)}` works, then run it again.",
            ) from failure


CHANGED_FILES_STAY = ("-oDpkg::Options::=--force-confdef", "-oDpkg::Options::=--force-confold")
"""Of a configuration file that somebody changed, dpkg would ask a terminal that it does not have, and fail."""


def _install(packages: Sequence[str], *, say: Say) -> None:
    _apt(*CHANGED_FILES_STAY, "install", "--yes", "--no-install-recommends", *packages, say=say)


def _apt(*arguments: str, say: Say) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    run_child(["apt-get", "-q", "-oDPkg::Lock::Timeout=120", *arguments], say=say, environment=environment)
