"""Lets the host forget the flows of addresses whose guest is gone: what its connection tracking, and so its NAT, still knows of them.

The kernel of the network namespace that the caller is in is asked, and only flows outside of zones that somebody made are touched.
"""

import errno
import os
import socket
import time
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address

import structlog

from compute.hypervisor.flow_messages import (
    DONE,
    ERROR,
    TOLD,
    Flow,
    Message,
    list_requests,
    read_flow,
    read_messages,
    write_forget,
    write_list,
)

NETLINK_NETFILTER = 12
SOL_NETLINK, CAP_ACK = 270, 10
"""With it, an error comes without the order that it is about."""

RECEIVED_BYTES_MAX = 1 << 18
ORDERS_A_MESSAGE = 256
LOOKS_MAX = 3
"""All is forgotten when a look finds nothing: a table that the kernel resizes meanwhile can hide a flow from one look."""

FORGET_S_MAX = 10.0
"""The caller makes or deletes a guest, and waits."""

LET_BE = frozenset({errno.ENOENT, errno.EBUSY})
"""A flow that has ended meanwhile, and one that a network card has taken over from the kernel."""

MEND = "let the agent run as root on a kernel with nf_conntrack_netlink; else a new guest may get what was sent to the former one at its address"

log = structlog.get_logger()


class FlowTable:
    """The flows that this host tracks."""

    def __init__(self, *, seconds_max: float = FORGET_S_MAX) -> None:
        self._seconds_max = seconds_max
        self._is_told = False

    def forget(self, addresses: Collection[IPv4Address]) -> int:
        """Forget every flow of these addresses; return how many. That the host does not let us is said once, and stops nobody."""
        forgotten = 0
        try:
            for _ in range(LOOKS_MAX if addresses else 0):
                with Conversation.opened(seconds_max=self._seconds_max) as kernel:
                    found = kernel.find(addresses)
                    kernel.forget(found)
                forgotten += len(found)
                if not found:
                    break
        except (OSError, ValueError) as error:
            if not self._is_told:
                log.warning("flows.not_forgotten", reason=str(error), mend=MEND)
            self._is_told = True
        return forgotten


class Conversation:
    """Questions and answers with the kernel's connection tracking, until a deadline."""

    def __init__(self, opened: socket.socket, *, deadline: float) -> None:
        self._socket = opened
        self._deadline = deadline
        self._sequence = 0

    @classmethod
    @contextmanager
    def opened(cls, *, seconds_max: float) -> Generator["Conversation"]:
        """Open a conversation of at most so many seconds."""
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as opened:
            opened.bind((0, 0))
            opened.setsockopt(SOL_NETLINK, CAP_ACK, 1)
            yield cls(opened, deadline=time.monotonic() + seconds_max)

    def find(self, addresses: Collection[IPv4Address]) -> Sequence[Flow]:
        """Find the flows that have one of these addresses at either end, as they began or as NAT turned them."""
        wanted, found = frozenset(addresses), dict[bytes, Flow]()
        for question in list_requests(wanted):
            self._sequence += 1
            self._send(write_list(question, sequence=self._sequence))
            for message in self._answers(last=self._sequence):
                flow = read_flow(message.body) if message.kind == TOLD else None
                if flow is not None and not flow.is_in_zone and flow.addresses & wanted:
                    found[flow.original] = flow
        return list(found.values())

    def forget(self, flows: Sequence[Flow]) -> None:
        """Let the kernel forget these flows; each is known by its ends and its number, so that none that came since is meant."""
        for start in range(0, len(flows), ORDERS_A_MESSAGE):
            self._send(write_forget(flows[start : start + ORDERS_A_MESSAGE], sequence=self._sequence + 1))
            self._sequence += 2
            for _ in self._answers(last=self._sequence):
                pass

    def _send(self, message: bytes) -> None:
        self._set_timeout()
        self._socket.send(message)

    def _answers(self, *, last: int) -> Generator[Message]:
        """Give what is told until the end of the last question. Raises OSError for an error that is not to be let be."""
        while True:
            self._set_timeout()
            for message in read_messages(self._socket.recv(RECEIVED_BYTES_MAX)):
                if message.error and message.error not in LET_BE:
                    raise OSError(message.error, os.strerror(message.error))
                if message.sequence == last and message.kind in (DONE, ERROR):
                    return
                yield message

    def _set_timeout(self) -> None:
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the host's connection tracking is too slow to be searched")
        self._socket.settimeout(left_s)
