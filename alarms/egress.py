"""Where a webhook may lead: a network backend that resolves once, checks every address, and connects to that address only.

The URL, and with it the Host header and the TLS server name, stays as it is; only the connection is pinned, so that a name
that resolves differently a moment later (rebinding) changes nothing.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

import httpcore2

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
Resolve: TypeAlias = Callable[[str, int], Sequence[str]]

RESOLVE_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 5.0
ADDRESSES_MAX = 16
PORTS_PUBLIC = frozenset({80, 443})
PORT_HIGH_MIN = 8443

TRANSLATED_NETWORKS = tuple(
    ip_network(text)
    for text in (
        "::/96",  # IPv4-compatible
        "64:ff9b::/96", "64:ff9b:1::/48",  # NAT64
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4
        "192.88.99.0/24",  # 6to4 relays
        "fec0::/10",  # site-local
    )
)  # fmt: skip
"""Addresses in which another address hides: none of them is a public receiver."""


class AddressRefused(Exception):
    """The URL leads where a webhook may not go; the sentence says which address and why."""


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """Where webhooks may go: public addresses over https, and whatever the operator allows by network."""

    allowed: tuple[Network, ...] = ()

    @classmethod
    def from_setting(cls, cidrs: str) -> "EgressPolicy":
        """Read NEPHO_WEBHOOK_ALLOW_CIDRS as the settings do, which take 10.0.0.1/8 for its network."""
        return cls(tuple(ip_network(cidr.strip(), strict=False) for cidr in cidrs.split(",") if cidr.strip()))

    def check(self, text: str, *, port: int, is_tls: bool) -> Address:
        """Return the address in its plainest form, or raise AddressRefused."""
        address = plain_address(text)
        if any(address in network for network in self.allowed if network.version == address.version):
            return address
        if not is_public(address):
            raise AddressRefused(
                f"{address} is not a public address; the operator allows others by NEPHO_WEBHOOK_ALLOW_CIDRS"
            )
        if not is_tls:
            raise AddressRefused(f"{address} is outside this cloud, where only https is used")
        if port not in PORTS_PUBLIC and port < PORT_HIGH_MIN:
            raise AddressRefused(f"port {port} is not one for webhooks: use 443, or {PORT_HIGH_MIN} and above")
        return address


def plain_address(text: str) -> Address:
    """Read an address; an IPv4 address written as IPv6 (::ffff:a.b.c.d) is that IPv4 address."""
    try:
        address = ip_address(text)
    except ValueError as error:
        raise AddressRefused(f"{text!r} is not an address") from error
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_public(address: Address) -> bool:
    """Tell whether an address belongs to the public Internet, and to one host there."""
    if any(address in network for network in TRANSLATED_NETWORKS if network.version == address.version):
        return False
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_private or address.is_link_local
        or address.is_loopback or address.is_unspecified
    )  # fmt: skip


def resolve_system(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver for every address of a name, and give up when it takes too long."""
    answers: list[str] = []
    failures: list[OSError] = []

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
            answers.extend(str(entry[4][0]) for entry in found)
        except (OSError, UnicodeError) as error:
            failures.append(OSError(f"{host} has no address: {error}"))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(RESOLVE_TIMEOUT_S)
    if failures:
        raise failures[0]
    if not answers:
        raise OSError(f"the name {host} was not resolved within {RESOLVE_TIMEOUT_S:g} s")
    return list(dict.fromkeys(answers))


@dataclass(frozen=True, slots=True)
class Deadline:
    """An end for a whole exchange, however slowly its parts come in."""

    at_monotonic_s: float

    @classmethod
    def after(cls, length_s: float) -> "Deadline":
        """The deadline so many seconds from now."""
        return cls(time.monotonic() + length_s)

    def left_s(self, wanted_s: float | None = None) -> float:
        """Seconds left, at most as many as wanted; raises ReadTimeout when none are."""
        left = self.at_monotonic_s - time.monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout("the whole exchange took too long")
        return left if wanted_s is None else min(left, wanted_s)


class DeadlineStream(httpcore2.NetworkStream):
    """A connection whose every read and write ends at the deadline, also when bytes come in one by one."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there."""
        return self._stream.read(max_bytes, self._deadline.left_s(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of it."""
        self._stream.write(buffer, self._deadline.left_s(timeout))

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        """Begin TLS; the server name is the URL's, not the address's."""
        secured = self._stream.start_tls(ssl_context, server_hostname, self._deadline.left_s(timeout))
        return DeadlineStream(secured, self._deadline)

    def get_extra_info(self, info: str) -> object:
        """Pass on what the connection knows about itself."""
        return self._stream.get_extra_info(info)


class PinnedBackend(httpcore2.NetworkBackend):
    """Connects to a checked address of the host, and to nothing else."""

    def __init__(self, policy: EgressPolicy, *, deadline: Deadline, is_tls: bool, resolve: Resolve) -> None:
        self._policy = policy
        self._deadline = deadline
        self._is_tls = is_tls
        self._resolve = resolve
        self._sockets = httpcore2.SyncBackend()

    def connect_tcp(  # pyright: ignore[reportIncompatibleMethodOverride] - the pool names these arguments
        self,
        host: str,
        port: int,
        *,
        timeout: float | None = None,  # noqa: ARG002 - ours is the deadline
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> httpcore2.NetworkStream:
        """Resolve once, refuse unless every address passes, then connect to the first that answers."""
        try:
            resolved = self._resolve(host, port)[:ADDRESSES_MAX]
        except OSError as error:
            raise httpcore2.ConnectError(str(error)) from error
        addresses = [self._policy.check(text, port=port, is_tls=self._is_tls) for text in resolved]
        failure: Exception = httpcore2.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                left_s = self._deadline.left_s(CONNECT_TIMEOUT_S)
                return DeadlineStream(self._sockets.connect_tcp(str(address), port, left_s), self._deadline)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure
