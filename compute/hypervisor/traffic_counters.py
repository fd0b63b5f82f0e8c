"""The counters of what passes between our ports and the world outside the cloud: their names, epochs and places. Pure.

There is one named counter for each port and direction. Its name carries the port's device and its epoch, the microsecond at which
it was made, so that the kernel keeps both as long as the counter lives; it starts with `PACKETS_AT_BIRTH` packets, so that one
that was reset from outside is known by having fewer, without anybody remembering what it had.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast

from compute.domain_xml import bridge_name, tap_name
from compute.hypervisor.contract import PortSpec, PortTraffic

PACKETS_AT_BIRTH = 2**62
FAMILY = "inet"
Direction: TypeAlias = Literal["incoming", "outgoing"]
DIRECTIONS: tuple[Direction, ...] = ("outgoing", "incoming")
PLACE_TYPE = ["ifname", "ipv4_addr"]
NAME = re.compile(r"(incoming|outgoing)_([A-Za-z0-9]{1,15})_([0-9]{1,17})")

Json: TypeAlias = dict[str, Any]
Place: TypeAlias = tuple[str, str]
"""A bridge and a guest's address on it: what a forwarded packet shows of its port."""


@dataclass(frozen=True, slots=True, order=True)
class CounterName:
    """What a counter's name says: which way, whose, and since when."""

    direction: Direction
    device: str
    epoch: int

    @property
    def text(self) -> str:
        """The name as the kernel has it."""
        return f"{self.direction}_{self.device}_{self.epoch}"


@dataclass(frozen=True, slots=True)
class CounterValue:
    """What a counter shows."""

    packets: int = PACKETS_AT_BIRTH
    bytes: int = 0

    @property
    def was_reset(self) -> bool:
        """Whether somebody has set it to zero since it was made."""
        return self.packets < PACKETS_AT_BIRTH


@dataclass(frozen=True, slots=True)
class TrafficState:
    """The counters that exist, and which of them counts at which place, in each direction."""

    counters: Mapping[CounterName, CounterValue] = field(default_factory=dict[CounterName, CounterValue])
    places: Mapping[tuple[Direction, Place], CounterName] = field(
        default_factory=dict[tuple[Direction, Place], CounterName]
    )

    @property
    def idle(self) -> frozenset[CounterName]:
        """Counters that count nothing any more: another has their place."""
        return frozenset(self.counters) - frozenset(self.places.values())


def map_name(direction: Direction) -> str:
    """Name the map from places to counters of one direction."""
    return f"external_{direction}"


def wanted_places(ports: Iterable[PortSpec]) -> dict[Place, str]:
    """Say at which places to count, and for which device."""
    return {(bridge_name(port.network_id), str(port.ip_address)): tap_name(port.port_id) for port in ports}


def read_traffic_state(listing: Json) -> TrafficState:
    """Read counters and their places out of nft's JSON listing of our table; what has no name of ours is left alone."""
    counters: dict[CounterName, CounterValue] = {}
    places: dict[tuple[Direction, Place], CounterName] = {}
    for item in listing.get("nftables", []):
        if "counter" in item and (name := read_name(item["counter"]["name"])) is not None:
            counters[name] = CounterValue(int(item["counter"]["packets"]), int(item["counter"]["bytes"]))
        for direction in DIRECTIONS:
            if item.get("map", {}).get("name") == map_name(direction):
                for key, text in item["map"].get("elem", []):
                    name = read_name(text)
                    if name is not None:
                        bridge, address = key["concat"]
                        places[direction, (bridge, address)] = name
    return TrafficState(counters, places)


def read_name(text: str) -> CounterName | None:
    """Read a counter's name; None when it is none of these."""
    found = NAME.fullmatch(text)
    return CounterName(cast(Direction, found[1]), found[2], int(found[3])) if found else None


def decide_counters(table: str, state: TrafficState, *, wanted: Mapping[Place, str], epoch: int) -> list[Json]:
    """Say what brings the counters to the places where they are wanted, each device with the counter that it has.

    A device without a counter gets one of this epoch, and so does one whose counter was reset; the old one stays, idle, until its
    last value is told. The counters of devices that are wanted nowhere go.
    """
    chosen = _counters_in_use(state)
    target: dict[tuple[Direction, Place], CounterName] = {
        (direction, place): chosen.get((direction, device), CounterName(direction, device, epoch))
        for direction in DIRECTIONS
        for place, device in wanted.items()
    }
    leaving = {key: name for key, name in state.places.items() if target.get(key) != name}
    coming = {key: name for key, name in target.items() if state.places.get(key) != name}
    devices = set(wanted.values())
    gone = [name for name in state.counters if name.device not in devices]
    return [
        *_change_places(table, "delete", leaving),
        *remove_counters(table, gone),
        *add_counters(table, {name: CounterValue() for name in coming.values() if name not in state.counters}),
        *_change_places(table, "add", coming),
    ]


def renew_reset_counters(table: str, state: TrafficState, *, epoch: int) -> list[Json]:
    """Say what gives every place whose counter was reset from outside a new one."""
    places = {place: name.device for (_, place), name in state.places.items()}
    return decide_counters(table, state, wanted=places, epoch=epoch) if _has_reset(state) else []


def remove_counters(table: str, names: Collection[CounterName]) -> list[Json]:
    """Say what takes counters away that count nothing."""
    return [{"delete": {"counter": {"family": FAMILY, "table": table, "name": name.text}}} for name in sorted(names)]


def add_counters(table: str, counters: Mapping[CounterName, CounterValue]) -> list[Json]:
    """Say what makes counters, with what they show at first."""
    return [
        {
            "add": {
                "counter": {
                    "family": FAMILY,
                    "table": table,
                    "name": name.text,
                    "packets": counters[name].packets,
                    "bytes": counters[name].bytes,
                }
            }
        }
        for name in sorted(counters)
    ]


def put_in_place(table: str, state: TrafficState) -> list[Json]:
    """Say what lets counters count at their places again, in maps that are empty."""
    return _change_places(table, "add", state.places)


def traffic_of(state: TrafficState, *, without: Collection[CounterName] = ()) -> list[PortTraffic]:
    """Say what each counter has seen; one that was reset counts from a new epoch, so that nothing is negative or counted twice."""
    return [
        PortTraffic(name.device, name.direction, value.bytes, name.epoch + int(value.was_reset))
        for name, value in sorted(state.counters.items(), key=lambda item: item[0])
        if name not in without
    ]


def build_maps(table: str) -> list[Json]:
    """Write the maps from places to counters, empty."""
    return [
        {
            "add": {
                "map": {
                    "family": FAMILY,
                    "table": table,
                    "name": map_name(direction),
                    "type": PLACE_TYPE,
                    "map": "counter",
                }
            }
        }
        for direction in DIRECTIONS
    ]


def _counters_in_use(state: TrafficState) -> dict[tuple[Direction, str], CounterName]:
    """Say which counter each device has: the one at its place, else the latest that a rebuilt table carried over."""
    chosen: dict[tuple[Direction, str], CounterName] = {}
    for name in [*sorted(state.counters), *state.places.values()]:
        if name in state.counters and not state.counters[name].was_reset:
            chosen[name.direction, name.device] = name
    return chosen


def _has_reset(state: TrafficState) -> bool:
    return any(name in state.counters and state.counters[name].was_reset for name in state.places.values())


def _change_places(table: str, verb: str, places: Mapping[tuple[Direction, Place], CounterName]) -> list[Json]:
    commands: list[Json] = []
    for direction in DIRECTIONS:
        elements = [
            [{"concat": list(place)}, name.text]
            for (towards, place), name in sorted(places.items())
            if towards == direction
        ]
        if elements:
            element = {"family": FAMILY, "table": table, "name": map_name(direction), "elem": elements}
            commands.append({verb: {"element": element}})
    return commands
