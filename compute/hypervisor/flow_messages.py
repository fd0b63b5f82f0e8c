"""What is asked of and told by the kernel's connection tracking, as netlink messages (ctnetlink, IPv4). Pure.

The numbers are those of linux/netfilter/nfnetlink_conntrack.h and linux/netlink.h.
"""

import socket
import struct
from collections.abc import Collection, Generator, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

SUBSYSTEM = 1 << 8
TOLD, LIST, FORGET = SUBSYSTEM | 0, SUBSYSTEM | 1, SUBSYSTEM | 2
ERROR, DONE = 2, 3
IS_REQUEST, IS_ACKNOWLEDGED, IS_DUMP = 0x1, 0x4, 0x300

HEADER = struct.Struct("=IHHII")
FAMILY = struct.pack("=BBH", socket.AF_INET, 0, 0)
ATTRIBUTE = struct.Struct("=HH")
IS_NESTED, TYPE_MASK = 0x8000, 0x3FFF

ORIGINAL, REPLY, STATUS, ID, ZONE, FILTER, STATUS_MASK = 1, 2, 3, 12, 18, 25, 26
IP_OF_TUPLE, ZONE_OF_TUPLE = 1, 3
SOURCE, TARGET = 1, 2
ORIGINAL_FLAGS = 1
HAS_OTHER_TARGET = 32
"""The status of a flow whose packets were turned to another target than they named."""

FILTERED_ADDRESSES_MAX = 2
"""For more addresses than this it costs less to be told the whole table once than to let the kernel search it for each of them."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A tracked flow: what names it to the kernel, every address in it, and whether it is in a zone that somebody made."""

    original: bytes
    number: bytes
    addresses: frozenset[IPv4Address]
    is_in_zone: bool


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the kernel; `error` is an errno or 0, None for what is neither the end nor an error."""

    kind: int
    sequence: int
    body: bytes
    error: int | None


def list_requests(addresses: Collection[IPv4Address]) -> Sequence[bytes]:
    """Write the bodies of the questions that find all flows of these addresses, and perhaps others: kernels before 5.8 do not filter.

    For a reply's addresses no kernel of Debian 12 filters rightly, so flows that were turned to another target are asked for as such.
    """
    if len(addresses) > FILTERED_ADDRESSES_MAX:
        return [b""]
    turned = _attribute(STATUS, struct.pack(">I", HAS_OTHER_TARGET))
    mask = _attribute(STATUS_MASK, struct.pack(">I", HAS_OTHER_TARGET))
    return [
        *(_with_original(address, place) for address in sorted(addresses) for place in (SOURCE, TARGET)),
        turned + mask,
    ]


def write_list(body: bytes, *, sequence: int) -> bytes:
    """Write the question for all flows that fit."""
    return _message(LIST, IS_REQUEST | IS_DUMP, body, sequence=sequence)


def write_forget(flows: Iterable[Flow], *, sequence: int) -> bytes:
    """Write the orders to forget these flows, one after another; only the last is acknowledged. There is at least one.

    An order without a flow's name would forget everybody's.
    """
    named = list(flows)
    assert named
    assert all(flow.original and flow.number for flow in named)
    bodies = [_attribute(ORIGINAL | IS_NESTED, flow.original) + _attribute(ID, flow.number) for flow in named]
    orders = [_message(FORGET, IS_REQUEST, body, sequence=sequence) for body in bodies[:-1]]
    return b"".join([*orders, _message(FORGET, IS_REQUEST | IS_ACKNOWLEDGED, bodies[-1], sequence=sequence + 1)])


def read_messages(received: bytes) -> Generator[Message]:
    """Part what came in one piece into its messages. Raises ValueError on what no kernel says."""
    at = 0
    while at + HEADER.size <= len(received):
        length, kind, _, sequence, _ = HEADER.unpack_from(received, at)
        if length < HEADER.size or at + length > len(received):
            raise ValueError("the kernel's answer is cut off")
        body, error = received[at + HEADER.size : at + length], None
        if kind in (ERROR, DONE):
            error = -struct.unpack_from("=i", body)[0] if len(body) >= 4 else 0
        yield Message(kind, sequence, body, error)
        at += _padded(length)


def read_flow(body: bytes) -> Flow | None:
    """Read a flow that was told; None for one without a name."""
    told = dict(_attributes(body[len(FAMILY) :]))
    if ORIGINAL not in told or ID not in told:
        return None
    tuples = [dict(_attributes(told[part])) for part in (ORIGINAL, REPLY) if part in told]
    ends = [dict(_attributes(one.get(IP_OF_TUPLE, b""))) for one in tuples]
    addresses = frozenset(
        IPv4Address(end[place]) for end in ends for place in (SOURCE, TARGET) if len(end.get(place, b"")) == 4
    )
    is_in_zone = ZONE in told or any(ZONE_OF_TUPLE in one for one in tuples)
    return Flow(told[ORIGINAL], told[ID], addresses, is_in_zone)


def _with_original(address: IPv4Address, place: int) -> bytes:
    ends = _attribute(IP_OF_TUPLE | IS_NESTED, _attribute(place, address.packed))
    return _attribute(ORIGINAL | IS_NESTED, ends) + _attribute(
        FILTER | IS_NESTED, _attribute(ORIGINAL_FLAGS, struct.pack("=I", place))
    )


def _message(kind: int, flags: int, body: bytes, *, sequence: int) -> bytes:
    return HEADER.pack(HEADER.size + len(FAMILY) + len(body), kind, flags, sequence, 0) + FAMILY + body


def _attribute(kind: int, content: bytes) -> bytes:
    length = ATTRIBUTE.size + len(content)
    return ATTRIBUTE.pack(length, kind) + content + bytes(_padded(length) - length)


def _attributes(content: bytes) -> Generator[tuple[int, bytes]]:
    at = 0
    while at + ATTRIBUTE.size <= len(content):
        length, kind = ATTRIBUTE.unpack_from(content, at)
        if length < ATTRIBUTE.size or at + length > len(content):
            raise ValueError("an attribute of a flow is cut off")
        yield kind & TYPE_MASK, content[at + ATTRIBUTE.size : at + length]
        at += _padded(length)


def _padded(length: int) -> int:
    return (length + 3) & ~3
