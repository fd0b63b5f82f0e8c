"""Our packet rules on this host: two nftables tables named after the installation, for NAT, isolation of networks and true addresses.

The chains are written once and stay; what changes are the elements of their sets, so that counters go on counting. Tables that are
not whole are written again in one transaction, which carries the counters over. Only the tables of our own installation are ever
read, changed or removed.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from compute.hypervisor.contract import NetworkSpec, PortSpec, PortTraffic
from compute.hypervisor.flow_table import FlowTable
from compute.hypervisor.nft_command import list_table, run_nft
from compute.hypervisor.packet_rules import (
    BRIDGE,
    DROP_COUNTERS,
    INET,
    Elements,
    SetKey,
    build_tables,
    decide_changes,
    decide_forgetting,
    parts_of,
    read_elements,
    table_name,
    wanted_elements,
)
from compute.hypervisor.traffic_counters import (
    CounterName,
    Json,
    TrafficState,
    add_counters,
    decide_counters,
    put_in_place,
    read_traffic_state,
    remove_counters,
    renew_reset_counters,
    traffic_of,
    wanted_places,
)


@dataclass(frozen=True, slots=True)
class TableState:
    """What our tables hold; `is_whole` is False when a set, a map or a rule is missing or of another edition."""

    elements: Elements
    traffic: TrafficState
    is_whole: bool


class PacketFilter:
    """The tables of one installation on this host; `now_us` tells the time in microseconds since 1970."""

    def __init__(self, installation: str, *, now_us: Callable[[], int] = lambda: time.time_ns() // 1_000) -> None:
        self.table = table_name(installation)
        self._now_us = now_us
        self._told: frozenset[CounterName] = frozenset()
        self._flows = FlowTable()

    def converge(
        self, networks: Iterable[NetworkSpec], ports: Iterable[PortSpec], *, running: Collection[UUID] = ()
    ) -> None:
        """Bring our tables to what these networks and ports need, in one transaction; where they are not whole, make them anew.

        A port begins without flows: those of its address are forgotten before its rules and counters are made, so that whoever is
        killed in between forgets them once more, and again when it has gone. The ports of `running` guests keep theirs.
        """
        network_list, port_list = list(networks), list(ports)
        state = self._read_state()
        forgetting = decide_forgetting(state.elements, network_list, ports=port_list, running=running)
        anew = [] if state.is_whole else self._build_anew(state.traffic)
        present = state if state.is_whole else TableState({}, TrafficState(state.traffic.counters), is_whole=True)
        commands = [
            *anew,
            *decide_changes(self.table, present=present.elements, wanted=wanted_elements(network_list, port_list)),
            *decide_counters(self.table, present.traffic, wanted=wanted_places(port_list), epoch=self._now_us()),
        ]
        self._flows.forget(forgetting.before)
        if commands:
            run_nft(commands)
        self._flows.forget(forgetting.after)

    def ensure(self) -> None:
        """Make the tables where they are missing or not whole; for whom they are there, they stay so."""
        state = self._read_state()
        if not state.is_whole:
            kept = decide_changes(self.table, present={}, wanted=state.elements)
            run_nft([*self._build_anew(state.traffic), *kept, *put_in_place(self.table, state.traffic)])

    def remove(self) -> None:
        """Take our tables away."""
        run_nft(self._removal())

    def read_traffic(self) -> Sequence[PortTraffic] | None:
        """Read the counters of all ports, with one look at our tables; None when they are not whole, and so may not count or hold.

        A counter that was reset from outside is replaced; what it has is told now and, when it no longer counts, once more.
        """
        state = self._read_state()
        if not state.is_whole:
            return None
        idle = state.traffic.idle
        done = idle & self._told
        commands = [
            *remove_counters(self.table, done),
            *renew_reset_counters(self.table, state.traffic, epoch=self._now_us()),
        ]
        if commands:
            run_nft(commands)
        self._told = idle
        return traffic_of(state.traffic, without=done)

    def count_drops(self) -> dict[str, int]:
        """Say how many packets each reason for dropping has cost: isolated, refused, spoofed."""
        drops: dict[str, int] = {}
        for family in (INET, BRIDGE):
            for item in (list_table(family, self.table) or {}).get("nftables", []):
                if "counter" in item and item["counter"]["name"] in DROP_COUNTERS:
                    drops[item["counter"]["name"]] = int(item["counter"]["packets"])
        return drops

    def read(self) -> Elements | None:
        """Read the present elements, None when a table is missing or not whole."""
        state = self._read_state()
        return state.elements if state.is_whole else None

    def _build_anew(self, former: TrafficState) -> list[Json]:
        return [*self._removal(), *build_tables(self.table), *add_counters(self.table, former.counters)]

    def _removal(self) -> list[Json]:
        """Remove whether there or not: an add of an existing table does nothing."""
        tables = [{"table": {"family": family, "name": self.table}} for family in (INET, BRIDGE)]
        return [{verb: table} for table in tables for verb in ("add", "delete")]

    def _read_state(self) -> TableState:
        elements: dict[SetKey, frozenset[tuple[str, ...]]] = {}
        traffic, found = TrafficState(), Counter[tuple[str, ...]]()
        for family in (INET, BRIDGE):
            listing = list_table(family, self.table) or {}
            elements |= read_elements(listing)
            traffic = read_traffic_state(listing) if family == INET else traffic
            found += parts_of(item for item in listing.get("nftables", []))
        wanted = parts_of(command["add"] for command in build_tables(self.table))
        is_whole = all(found[part] >= count for part, count in wanted.items())
        return TableState(elements, traffic, is_whole)
