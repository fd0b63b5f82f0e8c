"""What a guest may send, asked of a real kernel frame by frame: its neighbour and its host see only what is true and allowed."""

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address

import pytest

from tests.contract.test_network_counters import WAIT_S, Guest, Lab, inside, udp_socket

BROADCAST = b"\xff" * 6
ANOTHER_CARD = bytes.fromhex("525400abcdef")
NOBODY, EVERYBODY = IPv4Address("0.0.0.0"), IPv4Address("255.255.255.255")
HOST_OUTSIDE = IPv4Address("198.51.100.1")
IP, ARP, IP6, VLAN, VLAN_OF_PROVIDERS, REVERSE_ARP = 0x0800, 0x0806, 0x86DD, 0x8100, 0x88A8, 0x8035
EXPERIMENT = 0x88B5
ALL_FRAMES = 3
MARK = b"<<mark>>"
"""Stands in a frame where its number will be: bridges cut off what follows a packet's end."""
SILENCE_S = 0.3
MORE_FRAGMENTS = 0x2000
CARD_OF_QUESTION = 14 + 20 + 8 + 28
"""Where a DHCP message names its client's card (RFC 2131, 2: chaddr), in an Ethernet frame."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A guest that is put to the test, its neighbour, and somebody on a network apart."""

    lab: Lab
    guest: Guest
    neighbour: Guest
    stranger: Guest

    @property
    def mac(self) -> bytes:
        """The guest's own card."""
        return bytes.fromhex(self.guest.port.mac_address.replace(":", ""))

    @property
    def near(self) -> bytes:
        """The neighbour's card."""
        return bytes.fromhex(self.neighbour.port.mac_address.replace(":", ""))

    def datagram(
        self,
        source: IPv4Address | None = None,
        target: IPv4Address | None = None,
        *,
        sport: int = 1000,
        dport: int = 1000,
        content: bytes = MARK,
        fragment: int = 0,
    ) -> bytes:
        """A UDP datagram in its IP packet, from the guest to its neighbour where nothing else is said."""
        ends = (source or self.guest.port.ip_address).packed + (target or self.neighbour.port.ip_address).packed
        header = struct.pack("!BBHHHBBH", 0x45, 0, 28 + len(content), 1, fragment, 64, socket.IPPROTO_UDP, 0) + ends
        total = sum(struct.unpack("!10H", header))
        checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
        udp = struct.pack("!HHHH", sport, dport, 8 + len(content), 0) + content
        return header[:10] + struct.pack("!H", checksum) + header[12:] + udp

    def claim(self, address: IPv4Address | None = None, *, mac: bytes | None = None, operation: int = 2) -> bytes:
        """An ARP message that says whose an address is, the guest's own where nothing else is said."""
        said = (mac or self.mac) + (address or self.guest.port.ip_address).packed
        asked = bytes(6) + self.neighbour.port.ip_address.packed
        return struct.pack("!HHBBH", 1, IP, 6, 4, operation) + said + asked + MARK

    def frame(self, kind: int, content: bytes, *, source: bytes | None = None, target: bytes | None = None) -> bytes:
        """An Ethernet frame, from the guest to its neighbour where nothing else is said."""
        return (target or self.near) + (source or self.mac) + struct.pack("!H", kind) + content


def tagged(kind: int, content: bytes, *, vlan: int) -> bytes:
    return struct.pack("!HH", vlan, kind) + content


@pytest.fixture
def scene() -> Iterator[Scene]:
    lab = Lab()
    try:
        network, apart = lab.network(1), lab.network(2)
        guest, neighbour, stranger = lab.guest(network, 5), lab.guest(network, 6), lab.guest(apart, 5)
        lab.converge()
        yield Scene(lab, guest, neighbour, stranger)
    finally:
        lab.close()


def seen_by_neighbour(scene: Scene, frames: dict[str, bytes]) -> dict[str, bytes]:
    """Send frames as the guest, each with a number in it, and return those that came out; an honest one comes last."""
    last = "the last one"
    marks = {name: b"<%06d>" % number for number, name in enumerate((*frames, last))}
    with inside(scene.neighbour.namespace):
        listening = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_FRAMES))
    with inside(scene.guest.namespace):
        sending = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    seen: dict[str, bytes] = {}
    with listening, sending:
        listening.bind(("eth0", 0))
        listening.settimeout(WAIT_S)
        sending.bind(("eth0", 0))
        for name, frame in {**frames, last: scene.frame(IP, scene.datagram())}.items():
            assert MARK in frame
            sending.send(frame.replace(MARK, marks[name]))
        ends = time.monotonic() + WAIT_S
        while last not in seen and time.monotonic() < ends:
            received = listening.recv(65_536)
            seen = {name: received for name, mark in marks.items() if mark in received} | seen
    assert seen.pop(last)
    return seen


def test_what_is_true_passes(scene: Scene) -> None:
    honest = {
        "a datagram": scene.frame(IP, scene.datagram()),
        "an answer to who has my address": scene.frame(ARP, scene.claim()),
        "a question who has another": scene.frame(ARP, scene.claim(operation=1), target=BROADCAST),
        "a question before an address is used": scene.frame(ARP, scene.claim(NOBODY, operation=1), target=BROADCAST),
        "a question for an address": scene.frame(
            IP, scene.datagram(NOBODY, EVERYBODY, sport=68, dport=67), target=BROADCAST
        ),
    }
    assert seen_by_neighbour(scene, honest).keys() == honest.keys()


def test_nothing_forged_passes(scene: Scene) -> None:
    gateway, stolen = scene.lab.networks[0].gateway_ip, scene.neighbour.port.ip_address
    ip6 = (
        struct.pack("!IHBB", 6 << 28, 16, socket.IPPROTO_UDP, 255) + bytes(32) + bytes((0, 1, 0, 1, 0, 16, 0, 0)) + MARK
    )
    forged = {
        "another's card": scene.frame(IP, scene.datagram(), source=ANOTHER_CARD),
        "a card that is a group": scene.frame(IP, scene.datagram(), source=b"\x01" + scene.mac[1:]),
        "another's address": scene.frame(IP, scene.datagram(stolen)),
        "the gateway's address": scene.frame(IP, scene.datagram(gateway)),
        "no address": scene.frame(IP, scene.datagram(NOBODY)),
        "a claim to the gateway's address": scene.frame(ARP, scene.claim(gateway)),
        "an unasked claim to another's address": scene.frame(ARP, scene.claim(stolen, operation=1), target=BROADCAST),
        "a claim for another's card": scene.frame(ARP, scene.claim(mac=ANOTHER_CARD)),
        "a claim from another's card": scene.frame(ARP, scene.claim(), source=ANOTHER_CARD),
        "a reverse claim": scene.frame(REVERSE_ARP, scene.claim(operation=3), target=BROADCAST),
        "IPv6": scene.frame(IP6, ip6, target=BROADCAST),
        "an offer of an address": scene.frame(IP, scene.datagram(sport=67, dport=68)),
        "an offer to all": scene.frame(IP, scene.datagram(NOBODY, EVERYBODY, sport=67, dport=68), target=BROADCAST),
        "another's address in a VLAN": scene.frame(VLAN, tagged(IP, scene.datagram(stolen), vlan=5)),
        "another's address in no VLAN": scene.frame(VLAN, tagged(IP, scene.datagram(stolen), vlan=0)),
        "an offer of an address in no VLAN": scene.frame(VLAN, tagged(IP, scene.datagram(sport=67, dport=68), vlan=0)),
        "a claim in a VLAN": scene.frame(VLAN, tagged(ARP, scene.claim(stolen), vlan=5)),
        "a claim in no VLAN": scene.frame(VLAN, tagged(ARP, scene.claim(stolen), vlan=0)),
        "IPv6 in no VLAN": scene.frame(VLAN, tagged(IP6, ip6, vlan=0), target=BROADCAST),
        "a VLAN in a VLAN": scene.frame(
            VLAN_OF_PROVIDERS, tagged(VLAN, tagged(IP, scene.datagram(stolen), vlan=5), vlan=6)
        ),
        "a bridge's words": scene.frame(60, b"\x42\x42\x03" + MARK + bytes(49)),
        "an unknown protocol": scene.frame(EXPERIMENT, MARK),
    }
    assert seen_by_neighbour(scene, forged) == {}
    with inside(scene.lab.host):
        scene.lab.packet_filter.remove()
    assert forged.keys() - seen_by_neighbour(scene, forged).keys() <= {"a card that is a group"}


def test_whoever_asks_for_an_address_or_declines_one_does_it_for_its_own_card(scene: Scene) -> None:
    def asked(card: bytes, target: IPv4Address = EVERYBODY, *, fragment: int = 0) -> bytes:
        content = bytes((1, 1, 6, 0)) + bytes(24) + card.ljust(16, b"\0") + MARK
        source = NOBODY if target == EVERYBODY else None
        return scene.frame(IP, scene.datagram(source, target, sport=68, dport=67, content=content, fragment=fragment))

    gateway = scene.lab.networks[0].gateway_ip
    frames = {
        "for my card": asked(scene.mac),
        "for another's": asked(ANOTHER_CARD),
        "for another's, from an address": asked(ANOTHER_CARD, gateway),
        "in pieces": asked(ANOTHER_CARD, gateway, fragment=MORE_FRAGMENTS),
    }
    seen = seen_by_neighbour(scene, frames)
    assert {name: frame[CARD_OF_QUESTION : CARD_OF_QUESTION + 6] for name, frame in seen.items()} == dict.fromkeys(
        frames.keys() - {"in pieces"}, scene.mac
    )


def heard_by_host(scene: Scene, address: IPv4Address, port: int) -> bool:
    """Tell whether a datagram of the guest reaches what listens on a port of all of the host's addresses.

    It is followed by another that is allowed, from the same card: when that one is there, the first would be too.
    """
    with (
        udp_socket(scene.lab.host, port) as listening,
        udp_socket(scene.lab.host, 53 if port == 67 else 67) as last,
        udp_socket(scene.guest.namespace) as asking,
    ):
        asking.sendto(b"asked", (str(address), port))
        asking.sendto(b"last", (str(scene.lab.networks[0].gateway_ip), last.getsockname()[1]))
        assert last.recv(100) == b"last"
        listening.settimeout(SILENCE_S)
        with suppress(TimeoutError):
            return listening.recv(100) == b"asked"
    return False


def test_a_guest_asks_its_own_gateway_for_names_and_no_other_address_of_the_host(scene: Scene) -> None:
    own, others = (network.gateway_ip for network in scene.lab.networks)
    assert heard_by_host(scene, own, 53)
    assert heard_by_host(scene, own, 67)
    assert not heard_by_host(scene, own, 123)
    assert [
        (str(address), port)
        for address in (others, HOST_OUTSIDE)
        for port in (53, 67)
        if heard_by_host(scene, address, port)
    ] == []
