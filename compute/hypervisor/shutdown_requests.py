"""The power button of a guest: pressed through ACPI, and noted in the guest's live metadata, which libvirt drops when the guest ends."""

from contextlib import suppress
from uuid import UUID

import libvirt

from compute.domain_xml import PREFIX, SHUTDOWN_NAMESPACE, build_shutdown_mark, read_shutdown_mark
from compute.hypervisor.contract import ShutdownRequest
from compute.hypervisor.libvirt_connection import Domain


class ShutdownRequests:
    """What running guests were asked, kept by libvirt and remembered here; a guest's boot is known by libvirt's run number."""

    def __init__(self) -> None:
        self._known: dict[UUID, tuple[int, ShutdownRequest | None]] = {}

    def forget(self) -> None:
        """Read all anew: run numbers are unique only while one libvirtd runs."""
        self._known.clear()

    def forget_guest(self, instance_id: UUID) -> None:
        """Keep nothing of a guest that is gone."""
        self._known.pop(instance_id, None)

    def find(self, domain: Domain) -> ShutdownRequest | None:
        """Return what a guest was asked in this boot, or None."""
        instance_id, run = run_of(domain)
        known_run, request = self._known.get(instance_id, (None, None))
        if known_run != run:
            request = read_request(domain)
            self._known[instance_id] = (run, request)
        return request

    def press(self, domain: Domain, request: ShutdownRequest) -> None:
        """Press first and note then: who is killed in between presses again, and no guest waits for a press that never came."""
        (instance_id, run), xml = run_of(domain), build_shutdown_mark(request)
        with suppress(libvirt.libvirtError):
            domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
        kind, live = libvirt.VIR_DOMAIN_METADATA_ELEMENT, libvirt.VIR_DOMAIN_AFFECT_LIVE
        try:
            domain.setMetadata(kind, xml, f"{PREFIX}shutdown", SHUTDOWN_NAMESPACE, live)
        except libvirt.libvirtError:
            if domain.isActive():
                raise
            return
        self._known[instance_id] = (run, request)


def run_of(domain: Domain) -> tuple[UUID, int]:
    """Return what tells one run of a guest from its next."""
    return UUID(domain.UUIDString()), int(domain.ID())


def read_request(domain: Domain) -> ShutdownRequest | None:
    """Read what libvirt keeps; a guest that ended just now was asked nothing."""
    live = libvirt.VIR_DOMAIN_AFFECT_LIVE
    try:
        return read_shutdown_mark(domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, SHUTDOWN_NAMESPACE, live))
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN_METADATA and domain.isActive():
            raise
        return None
