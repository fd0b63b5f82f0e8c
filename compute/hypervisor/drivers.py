"""Opens the driver that a setting names: a libvirt URI, or `simulated:N` for tests and scale runs."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from compute.hypervisor.contract import Hypervisor
from compute.hypervisor.simulated import SimulatedHypervisor
from foundation.errors import Invalid

SIMULATED_SCHEME = "simulated:"
GUESTS_MAX = 100_000


def open_hypervisor(
    uri: str, *, installation: str, root: Path, virt_type: str, clock: Callable[[], datetime]
) -> Hypervisor:
    """Make the driver for one host; nothing is connected yet. Raises Invalid for a setting that names none."""
    if not uri.startswith(SIMULATED_SCHEME):
        from compute.hypervisor.libvirt_driver import LibvirtHypervisor  # only where libvirt is used is it loaded

        return LibvirtHypervisor(uri, installation=installation, root=root, virt_type=virt_type)
    size = uri.removeprefix(SIMULATED_SCHEME)
    if not size.isdecimal() or not 1 <= int(size) <= GUESTS_MAX:
        raise Invalid(f"'{uri}' names no host; write simulated: and a number of guests from 1 to {GUESTS_MAX}")
    return SimulatedHypervisor(now=clock(), guests_max=int(size), clock=clock)
