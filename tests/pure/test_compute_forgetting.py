"""Whose flows a host forgets: of ports that come and are not running, and of ports that are gone; and how the kernel is told. Pure."""

import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.hypervisor.contract import NetworkSpec, PortSpec
from compute.hypervisor.flow_messages import (
    FORGET,
    HEADER,
    IS_ACKNOWLEDGED,
    Flow,
    list_requests,
    read_flow,
    read_messages,
    write_forget,
    write_list,
)
from compute.hypervisor.packet_rules import Elements, decide_forgetting, wanted_elements

NETWORK = NetworkSpec(UUID(int=1), "p", IPv4Network("10.9.1.0/24"), IPv4Address("10.9.1.1"))
NOTHING: Elements = {}


def a_port(number: int, *, address: int | None = None) -> PortSpec:
    mac = f"52:54:00:00:01:{number:02X}"
    return PortSpec(
        UUID(int=number << 96), NETWORK.network_id, mac, NETWORK.cidr[number if address is None else address]
    )


def addresses(ports: Iterable[PortSpec]) -> frozenset[IPv4Address]:
    return frozenset(port.ip_address for port in ports)


numbers = st.sets(st.integers(2, 250), max_size=6)


@given(before=numbers, after=numbers, running=numbers)
def test_every_port_that_comes_begins_without_flows_and_leaves_none_behind(
    before: set[int], after: set[int], running: set[int]
) -> None:
    present = wanted_elements([NETWORK], [a_port(number) for number in before])
    wanted = [a_port(number) for number in after]
    runs = {a_port(number).port_id for number in running}
    decided = decide_forgetting(present, [NETWORK], ports=wanted, running=runs)
    assert decided.before == addresses(a_port(number) for number in after - before - running)
    assert decided.after == addresses(a_port(number) for number in before - after)
    again = decide_forgetting(wanted_elements([NETWORK], wanted), [NETWORK], ports=wanted, running=runs)
    assert not again.before | again.after


def test_an_address_that_passes_from_port_to_port_at_once_is_forgotten_before_the_new_one_has_rules() -> None:
    present = wanted_elements([NETWORK], [a_port(5)])
    decided = decide_forgetting(present, [NETWORK], ports=[a_port(6, address=5)], running=())
    assert decided.before == {NETWORK.cidr[5]}
    assert not decided.after


def test_addresses_outside_our_own_networks_are_never_named() -> None:
    elsewhere = PortSpec(UUID(int=9 << 96), UUID(int=2), "52:54:00:00:02:09", IPv4Address("192.0.2.9"))
    present = wanted_elements([NETWORK], [elsewhere])
    assert not decide_forgetting(present, [NETWORK], ports=[], running=()).after
    assert not decide_forgetting(NOTHING, [NETWORK], ports=[elsewhere], running=()).before
    assert not decide_forgetting(present, [], ports=[], running=()).after


def ends_of(address: IPv4Address | IPv6Address) -> bytes:
    """A flow's ends as the kernel writes them, of which only the source is told."""
    return struct.pack("=HHHH4s", 12, 0x8001, 8, 1, address.packed)


named_flows = st.lists(
    st.tuples(st.ip_addresses(v=4).map(ends_of), st.binary(min_size=4, max_size=4)), min_size=1, max_size=9
)


@given(named=named_flows)
def test_every_order_to_forget_names_a_flow_and_only_the_last_is_acknowledged(named: list[tuple[bytes, bytes]]) -> None:
    flows = [Flow(original, number, frozenset(), is_in_zone=False) for original, number in named]
    written, at, flags = write_forget(flows, sequence=7), 0, list[int]()
    for message in read_messages(written):
        assert message.kind == FORGET
        flow = read_flow(message.body)
        assert flow is not None
        assert (flow.original, flow.number) == named[len(flags)]
        flags.append(HEADER.unpack_from(written, at)[2])
        at += (HEADER.size + len(message.body) + 3) & ~3
    assert [bool(flag & IS_ACKNOWLEDGED) for flag in flags] == [False] * (len(named) - 1) + [True]
    assert len(flags) == len(named)


def test_an_order_that_names_no_flow_is_never_written() -> None:
    with pytest.raises(AssertionError):
        write_forget([], sequence=1)
    with pytest.raises(AssertionError):
        write_forget([Flow(b"", b"1234", frozenset(), is_in_zone=False)], sequence=1)


def test_few_addresses_are_searched_for_by_the_kernel_and_many_in_one_reading_of_the_whole_table() -> None:
    few, many = addresses([a_port(2)]), addresses(a_port(number) for number in range(2, 20))
    assert all(list_requests(few))
    assert list(list_requests(many)) == [b""]


@given(content=st.binary(max_size=80))
def test_what_no_kernel_says_is_refused_and_nothing_else_happens(content: bytes) -> None:
    for read in (lambda: list(read_messages(content)), lambda: read_flow(content)):
        try:
            read()
        except ValueError:
            continue


def test_an_errno_is_read_from_an_error_and_from_an_end() -> None:
    for kind in (2, 3):
        body = struct.pack("=i", -1)
        [message] = read_messages(HEADER.pack(HEADER.size + len(body), kind, 0, 4, 0) + body)
        assert (message.error, message.sequence) == (1, 4)
    [asked] = read_messages(write_list(b"", sequence=3))
    assert asked.error is None
