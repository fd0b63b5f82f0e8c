"""When a guest's boot began, as libvirt's live metadata keeps it and the kernel tells it of the guest's QEMU."""

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import libvirt

from compute.domain_xml import BOOT_NAMESPACE, PREFIX, build_boot_mark, read_boot_host, read_boot_mark
from compute.hypervisor.host_boot import read_host_boot
from compute.hypervisor.libvirt_connection import Domain

PID_FOLDER = Path("/run/libvirt/qemu")


def read_or_note_boot(domain: Domain) -> int:
    """Read the boot epoch from the guest's live metadata; where it is not noted yet, find it out and note it.

    A guest that was migrated here brings the note of its former host, and its counters begin anew: so does its epoch.
    """
    live, host_boot = libvirt.VIR_DOMAIN_AFFECT_LIVE, read_host_boot()
    try:
        noted = domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, BOOT_NAMESPACE, live)
        if read_boot_host(noted) in {"", host_boot}:
            return read_boot_mark(noted)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN_METADATA:
            raise
    epoch = find_boot_epoch(str(domain.name()))
    mark = build_boot_mark(epoch, host_boot=host_boot)
    domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, mark, f"{PREFIX}boot", BOOT_NAMESPACE, live)
    return epoch


def find_boot_epoch(domain_name: str) -> int:
    """Return when the guest's QEMU began, in microseconds since 1970, or now where that cannot be seen.

    The kernel tells it in ticks since the host's boot (resolution 10 ms).
    """
    now_us = time.time_ns() // 1_000
    try:
        pid = int((PID_FOLDER / f"{domain_name}.pid").read_text())
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return now_us
    age_us = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000 - int(fields[19]) * 1_000_000 // os.sysconf(
        "SC_CLK_TCK"
    )
    return now_us - max(0, age_us)


def epoch_time(boot_epoch: int) -> datetime:
    """Return a boot epoch as a time."""
    return datetime.fromtimestamp(boot_epoch / 1_000_000, UTC)
