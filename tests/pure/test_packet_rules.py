"""Our packet rules as values: what the sets must hold, and the way from one state to another."""

from ipaddress import IPv4Address, IPv4Network
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from compute.hypervisor.contract import NetworkSpec, PortSpec
from compute.hypervisor.packet_rules import (
    ADDRESSES,
    ROUTES,
    SET_TYPES,
    Elements,
    build_tables,
    decide_changes,
    read_elements,
    wanted_elements,
)


@st.composite
def worlds(draw: st.DrawFn) -> Elements:
    """The elements for some networks and ports."""
    numbers = draw(st.lists(st.integers(0, 200), unique=True, max_size=4))
    networks = [
        NetworkSpec(
            UUID(int=number),
            "p",
            IPv4Network(f"10.9.{number}.0/24"),
            IPv4Address(f"10.9.{number}.1"),
            is_routed=draw(st.booleans()),
        )
        for number in numbers
    ]
    ports = [
        PortSpec(UUID(int=n * 256 + k), UUID(int=n), f"52:54:00:00:{n:02X}:{k:02x}", IPv4Address(f"10.9.{n}.{k}"))
        for n in numbers
        for k in draw(st.sets(st.integers(2, 250), max_size=3))
    ]
    return wanted_elements(networks, ports)


def apply(present: Elements, commands: list[dict[str, Any]]) -> Elements:
    """Do what nft would do, with nft's strictness: nothing is deleted that is not there."""
    state = {key: set(present.get(key, frozenset())) for key in SET_TYPES}
    for command in commands:
        for verb, content in command.items():
            element = content["element"]
            listing = {"nftables": [{"set": {k: element[k] for k in ("family", "name", "elem")}}]}
            for key, elements in read_elements(listing).items():
                if verb == "delete":
                    assert elements <= state[key]
                    state[key] -= elements
                else:
                    state[key] |= elements
    return {key: frozenset(elements) for key, elements in state.items()}


@given(worlds(), worlds())
def test_the_changes_lead_from_any_state_to_the_wanted_one(present: Elements, wanted: Elements) -> None:
    assert apply(present, decide_changes("t", present=present, wanted=wanted)) == wanted


@given(worlds())
def test_nothing_is_changed_where_all_is_as_wanted(wanted: Elements) -> None:
    assert decide_changes("t", present=wanted, wanted=wanted) == []


def test_only_a_routed_network_may_speak_to_the_outside() -> None:
    inner = NetworkSpec(UUID(int=1), "p", IPv4Network("10.9.1.0/24"), IPv4Address("10.9.1.1"), is_routed=False)
    assert wanted_elements([inner], [])[ROUTES] == frozenset()


def test_a_port_speaks_by_its_own_card_and_address_alone() -> None:
    port = PortSpec(UUID(int=5), UUID(int=1), "52:54:00:AA:00:01", IPv4Address("10.9.1.7"))
    assert wanted_elements([], [port])[ADDRESSES] == {("nt000000000005", "52:54:00:aa:00:01", "10.9.1.7")}


def test_every_object_is_in_our_own_table() -> None:
    for command in build_tables("nephoscope_abc"):
        ((_, content),) = command["add"].items()
        assert (content.get("table") or content["name"]) == "nephoscope_abc"
