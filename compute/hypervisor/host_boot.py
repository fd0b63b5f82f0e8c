"""Which boot of the host this is: the kernel's name for it, that no change of the clock touches."""

from pathlib import Path

HOST_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def read_host_boot() -> str:
    """Read the name of the host's present boot."""
    return HOST_BOOT_ID.read_text().strip()
