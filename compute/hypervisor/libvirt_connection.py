"""One connection to a libvirtd: its event thread, its loss and return, its errors in our words, and only what is ours."""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias
from uuid import UUID

import libvirt

from compute.domain_xml import NAMESPACE, domain_name, network_name, read_guest_mark
from compute.hypervisor.contract import (
    HypervisorRefusal,
    HypervisorUnavailable,
    LaunchFailure,
    LifecycleNotice,
    NoticeKind,
    StopReason,
)

KEEPALIVE_INTERVAL_S = 5
KEEPALIVE_COUNT = 3

Domain: TypeAlias = Any
"""A virDomain; libvirt's binding has no types."""
VirtNetwork: TypeAlias = Any
"""A virNetwork."""

LOST_SOURCES = {libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE}

STOP_REASONS = {
    libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN: StopReason.GUEST_SHUTDOWN,
    libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED: StopReason.STOPPED,
    libvirt.VIR_DOMAIN_SHUTOFF_CRASHED: StopReason.CRASHED,
    libvirt.VIR_DOMAIN_SHUTOFF_DAEMON: StopReason.CRASHED,
    libvirt.VIR_DOMAIN_SHUTOFF_FAILED: StopReason.FAILED,
    libvirt.VIR_DOMAIN_SHUTOFF_SAVED: StopReason.STOPPED,
    libvirt.VIR_DOMAIN_SHUTOFF_MIGRATED: StopReason.STOPPED,
}
"""Why an inactive domain is off, where this libvirtd remembers it."""

STOPPED_DETAILS = {
    libvirt.VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN: StopReason.GUEST_SHUTDOWN,
    libvirt.VIR_DOMAIN_EVENT_STOPPED_CRASHED: StopReason.CRASHED,
    libvirt.VIR_DOMAIN_EVENT_STOPPED_FAILED: StopReason.CRASHED,
}

EVENT_KINDS = {
    libvirt.VIR_DOMAIN_EVENT_STARTED: NoticeKind.STARTED,
    libvirt.VIR_DOMAIN_EVENT_RESUMED: NoticeKind.RESUMED,
    libvirt.VIR_DOMAIN_EVENT_SHUTDOWN: NoticeKind.SHUTTING_DOWN,
    libvirt.VIR_DOMAIN_EVENT_STOPPED: NoticeKind.STOPPED,
    libvirt.VIR_DOMAIN_EVENT_CRASHED: NoticeKind.CRASHED,
    libvirt.VIR_DOMAIN_EVENT_UNDEFINED: NoticeKind.REMOVED,
}


class EventLoop:
    """libvirt's event loop, one thread for the whole program; it sleeps until something happens."""

    _lock = threading.Lock()
    _is_running = False

    @classmethod
    def ensure_running(cls) -> None:
        """Start the thread once, before the first connection is opened."""
        with cls._lock:
            if cls._is_running:
                return
            libvirt.virEventRegisterDefaultImpl()
            libvirt.registerErrorHandler(_ignore_error, None)
            threading.Thread(target=cls._run, name="libvirt-events", daemon=True).start()
            cls._is_running = True

    @staticmethod
    def _run() -> None:
        while True:
            libvirt.virEventRunDefaultImpl()


def _ignore_error(_context: object, _error: object) -> None:
    """libvirt prints errors by itself unless told not to; each of them reaches us as an exception."""


class LibvirtConnection:
    """A connection that opens when it is first needed, and again after a loss; each use of it is inside `calls()`."""

    def __init__(self, uri: str, *, installation: str) -> None:
        self.uri = uri
        self.installation = installation
        self.generation = 0
        self._connection: Any = None
        self._was_lost = False
        self._callback: Callable[[LifecycleNotice], None] | None = None

    def subscribe(self, callback: Callable[[LifecycleNotice], None]) -> None:
        """Pass lifecycle events on from now on; a callback must return at once."""
        self._callback = callback

    @contextmanager
    def calls(self) -> Generator[Any]:
        """Give the open connection; a loss inside closes it and raises HypervisorUnavailable, a no raises HypervisorRefusal."""
        connection = self._opened()
        try:
            yield connection
        except libvirt.libvirtError as error:
            if error.get_error_domain() in LOST_SOURCES or not self._is_alive(connection):
                self._lose()
                raise HypervisorUnavailable(f"the hypervisor {self.uri} went away: {error}") from error
            raise HypervisorRefusal(f"the hypervisor {self.uri} refused: {error}") from error

    def close(self) -> None:
        """Close the connection; what runs goes on."""
        if self._connection is not None:
            with suppress(libvirt.libvirtError):
                self._connection.close()
        self._connection = None

    def find_domain(self, instance_id: UUID) -> Domain | None:
        """Find the guest of an instance; one that is not marked as this installation's is none of ours.

        To be used inside `calls()`.
        """
        try:
            domain = self._connection.lookupByUUIDString(str(instance_id))
            if domain.name() != domain_name(self.installation, instance_id):
                raise LaunchFailure(f"the id {instance_id} is in use on this host by a guest that is not ours")
            mark = read_guest_mark(domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE, 0))
        except libvirt.libvirtError as error:
            if error.get_error_code() in {libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_NO_DOMAIN_METADATA}:
                return None
            raise
        return domain if mark is not None and mark.installation == self.installation else None

    def list_domains(self) -> list[Domain]:
        """List our guests; to be used inside `calls()`."""
        prefix = domain_name(self.installation, UUID(int=0))[:-36]
        return [
            domain
            for domain in self._connection.listAllDomains(0)
            if str(domain.name()).startswith(prefix) and len(domain.name()) == len(prefix) + 36
        ]

    def find_network(self, network_id: UUID) -> VirtNetwork | None:
        """Find one of our networks by its name; to be used inside `calls()`."""
        try:
            return self._connection.networkLookupByName(network_name(self.installation, network_id))
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_NETWORK:
                return None
            raise

    def _opened(self) -> Any:
        if self._connection is not None and self._is_alive(self._connection):
            return self._connection
        if self._connection is not None:
            self._lose()
        EventLoop.ensure_running()
        try:
            connection: Any = libvirt.open(self.uri)
            connection.setKeepAlive(KEEPALIVE_INTERVAL_S, KEEPALIVE_COUNT)
            connection.registerCloseCallback(self._on_close, None)
            connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._on_lifecycle, None)
        except libvirt.libvirtError as error:
            self._was_lost = True
            raise HypervisorUnavailable(f"the hypervisor {self.uri} does not answer: {error}") from error
        self._connection = connection
        self.generation += 1
        if self._was_lost:
            self._was_lost = False
            self._notify(LifecycleNotice(NoticeKind.RECONNECTED))
        return connection

    def _lose(self) -> None:
        self.close()
        self._was_lost = True

    def _is_alive(self, connection: Any) -> bool:
        try:
            return connection.isAlive() == 1
        except libvirt.libvirtError:
            return False

    def _on_close(self, *_event: Any) -> None:
        self._notify(LifecycleNotice(NoticeKind.DISCONNECTED))

    def _on_lifecycle(self, _connection: Any, *happening: Any) -> None:
        domain, event, detail, _context = happening
        instance_id = UUID(domain.UUIDString())
        if domain.name() != domain_name(self.installation, instance_id):
            return
        kind, reason = EVENT_KINDS.get(event, NoticeKind.CHANGED), StopReason.NONE
        if event == libvirt.VIR_DOMAIN_EVENT_STOPPED:
            reason = STOPPED_DETAILS.get(detail, StopReason.STOPPED)
        elif (event, detail) == (libvirt.VIR_DOMAIN_EVENT_SUSPENDED, libvirt.VIR_DOMAIN_EVENT_SUSPENDED_IOERROR):
            kind, reason = NoticeKind.STALLED, StopReason.DISK_FULL
        self._notify(LifecycleNotice(kind, instance_id, reason))

    def _notify(self, notice: LifecycleNotice) -> None:
        if self._callback is not None:
            self._callback(notice)
