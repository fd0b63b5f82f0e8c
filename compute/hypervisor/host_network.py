"""The host's own network, as far as we ask or change it: which subnets it uses, forwarding, a lease given back, its counters."""

import fcntl
import json
import secrets
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from itertools import islice
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from compute.hypervisor.contract import HypervisorUnavailable, InterfaceStats
from compute.hypervisor.host_boot import read_host_boot
from compute.hypervisor.nft_command import list_table_names

IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
FORWARD_BEFORE = Path("/run/nephoscope-ip-forward-before")
"""What forwarding was before the first installation on this machine turned it on; the last to leave puts it back."""

DEFAULT_ROUTES = frozenset({"default", "0.0.0.0/1", "128.0.0.0/1"})
"""What leads anywhere, as one route or in the two halves in which a VPN lays it over another; no subnet is used by it."""

IP_TIMEOUT_S = 10
MTU_DEFAULT = 1500
SO_BINDTODEVICE = 25
DHCP_SERVER_PORT = 67
INTERFACES_MAX = 256
KINDS_OF_GUESTS = frozenset({"tun", "veth"})
"""What such an interface is when it hangs on a bridge: a guest's or a container's end of it."""

KINDS_WITHOUT_TRAFFIC = frozenset({"ifb", "dummy"})

LOOPBACK_FLAG = 0x8
OUR_BRIDGES = "nb"
DHCP_MAGIC = bytes((99, 130, 83, 99))


def run_ip(*arguments: str) -> list[dict[str, Any]]:
    """Ask iproute2; return its JSON. Raises HypervisorUnavailable."""
    try:
        done = subprocess.run(
            ["ip", "-j", *arguments], capture_output=True, text=True, timeout=IP_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise HypervisorUnavailable(f"the host does not say how its network is: {error}") from error
    return json.loads(done.stdout or "[]")


def read_routed_subnets(*, except_devices: Collection[str]) -> Sequence[IPv4Network]:
    """List the IPv4 networks that the host routes to anything but these devices."""
    return [
        IPv4Network(route["dst"])
        for route in run_ip("-4", "route", "show", "table", "all")
        if route["dst"] not in DEFAULT_ROUTES and route.get("dev") not in except_devices and route.get("dev") != "lo"
    ]


def read_mtu() -> int:
    """Return the packet size that passes every way of the host's default route, so that guests do not send larger ones."""
    for route in run_ip("-4", "route", "show", "default"):
        devices = {way["dev"] for way in (route, *route.get("nexthops", ())) if "dev" in way}
        sizes = [int(link["mtu"]) for device in devices for link in run_ip("link", "show", "dev", device)]
        if sizes:
            return min(MTU_DEFAULT, *sizes)
    return MTU_DEFAULT


def is_forwarding_on() -> bool:
    """Tell whether the host routes, and our note of how it was before is there."""
    return IP_FORWARD.read_text().strip() == "1" and FORWARD_BEFORE.exists()


def turn_forwarding_on() -> None:
    """Let the host route for our networks, and remember how it was; to be called before the first network is made."""
    if not FORWARD_BEFORE.exists():
        FORWARD_BEFORE.write_text(IP_FORWARD.read_text())
    if IP_FORWARD.read_text().strip() != "1":
        IP_FORWARD.write_text("1")


def put_forwarding_back(*, is_needed: bool) -> None:
    """Put forwarding back as it was, unless another installation or another network of the host still needs it."""
    others = [name for name in list_table_names() if name.startswith("nephoscope_")]
    if others or not FORWARD_BEFORE.exists():
        return
    if not is_needed:
        IP_FORWARD.write_text(FORWARD_BEFORE.read_text())
    FORWARD_BEFORE.unlink()


def release_lease(bridge: str, *, server: IPv4Address, address: IPv4Address, mac_address: str) -> None:
    """Give a lease back in a removed guest's name (DHCPRELEASE, RFC 2131 4.4.6), so that its address is free at once.

    It names the card and no client id: dnsmasq then finds the lease whatever id the guest had used. A bridge or a server
    that is gone has no lease to give back.
    """
    card = bytes.fromhex(mac_address.replace(":", ""))
    header = struct.pack("!BBBBIHH", 1, 1, len(card), 0, secrets.randbits(32), 0, 0)
    addresses = address.packed + bytes(12)
    body = header + addresses + card.ljust(16, b"\0") + bytes(192) + DHCP_MAGIC
    options = bytes((53, 1, 7, 54, 4)) + server.packed + bytes((255,))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        try:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sender.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, bridge.encode() + b"\0")
            sender.sendto(body + options, (str(server), DHCP_SERVER_PORT))
        except OSError:
            return


class HostLock:
    """Holds off the other installations of this machine while something that all share is changed."""

    def __init__(self, path: Path = Path("/run/nephoscope.lock")) -> None:
        self._path = path

    def __enter__(self) -> None:
        self._file = self._path.open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self._file.close()


class HostInterfaces:
    """The counters of the host's interfaces, with an epoch that is noted under `folder` as long as the host's boot lasts."""

    def __init__(self, folder: Path, *, now_us: Callable[[], int] = lambda: time.time_ns() // 1_000) -> None:
        self._note = folder / "host-boot.json"
        self._now_us = now_us
        self._boot: tuple[int, bool] | None = None

    def read(self) -> Sequence[InterfaceStats]:
        """Read all interfaces in one dump; one that was taken out and put back has another number, and so another epoch."""
        if self._boot is None:
            self._boot = note_boot(self._note, boot_id=read_host_boot(), now_us=self._now_us())
        epoch, is_adopted = self._boot
        try:
            with IPRoute() as opened:
                netlink: Any = opened
                links: list[dict[str, Any]] = [dict(link) for link in netlink.link("dump")]
        except (OSError, NetlinkError) as error:
            raise HypervisorUnavailable(f"the host does not tell its interfaces' counters: {error}") from error
        return interfaces_of(links, epoch=epoch, is_adopted=is_adopted)


def interfaces_of(links: Sequence[Mapping[str, Any]], *, epoch: int, is_adopted: bool) -> list[InterfaceStats]:
    """Read the host's own of the links in a netlink dump, up to a bound: guests have any number beside them."""
    found = (read_interface(link, epoch=epoch, is_adopted=is_adopted) for link in links)
    return list(islice((interface for interface in found if interface is not None), INTERFACES_MAX))


def read_interface(link: Mapping[str, Any], *, epoch: int, is_adopted: bool) -> InterfaceStats | None:
    """Read one link of a netlink dump; None for what is not the host's own."""
    attributes = dict(link["attrs"])
    kind = dict(dict(attributes.get("IFLA_LINKINFO") or {}).get("attrs", ())).get("IFLA_INFO_KIND", "")
    device, counters = str(attributes.get("IFLA_IFNAME", "")), attributes.get("IFLA_STATS64")
    is_ours = kind == "bridge" and device.startswith(OUR_BRIDGES)
    is_of_guest = kind in KINDS_OF_GUESTS and "IFLA_MASTER" in attributes
    is_idle = kind in KINDS_WITHOUT_TRAFFIC or bool(int(link["flags"]) & LOOPBACK_FLAG)
    if counters is None or is_of_guest or is_ours or is_idle:
        return None
    return InterfaceStats(
        device=device,
        boot_epoch=epoch + int(link["index"]),
        is_adopted=is_adopted,
        incoming_bytes=counters["rx_bytes"],
        incoming_packets=counters["rx_packets"],
        incoming_errors=counters["rx_errors"],
        incoming_drops=counters["rx_dropped"],
        outgoing_bytes=counters["tx_bytes"],
        outgoing_packets=counters["tx_packets"],
        outgoing_errors=counters["tx_errors"],
        outgoing_drops=counters["tx_dropped"],
    )


def note_boot(path: Path, *, boot_id: str, now_us: int) -> tuple[int, bool]:
    """Return the epoch of the host's boot and whether it began before we knew this host; a new boot gets a new epoch.

    The kernel names a boot and tells no instant of it that a change of the clock leaves alone, so the first look at it is kept.
    """
    try:
        noted = json.loads(path.read_text())
        if noted["boot_id"] == boot_id:
            return int(noted["epoch"]), bool(noted["is_adopted"])
        is_adopted = False
    except (OSError, ValueError, KeyError, TypeError):
        is_adopted = True
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps({"boot_id": boot_id, "epoch": now_us, "is_adopted": is_adopted}))
    unfinished.rename(path)
    return now_us, is_adopted
