"""Our packet rules as values: the sets, chains and rules of both tables, and what changes in the sets. Pure."""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any, TypeAlias
from uuid import UUID

from compute.domain_xml import bridge_name, tap_name
from compute.hypervisor.contract import NetworkSpec, PortSpec
from compute.hypervisor.traffic_counters import DIRECTIONS, Json, build_maps, map_name

INET = "inet"
BRIDGE = "bridge"
COUNTING_PRIORITY = 300
"""After every filter of the host, so that what is refused is not counted."""

MORE_FRAGMENTS = 0x2000


@dataclass(frozen=True, slots=True)
class SetKey:
    """One set of our tables."""

    family: str
    name: str


BRIDGES = SetKey(INET, "bridges")
"""Our bridges."""
LOOPS = SetKey(INET, "loops")
"""Each bridge with itself: where the kernel passes bridged packets through us too (br_netfilter), a network stays whole."""
GATEWAYS = SetKey(INET, "gateways")
"""Each bridge with the host's address on it."""
ROUTES = SetKey(INET, "routes")
"""Bridge and subnet of the networks that may speak to the outside."""
SUBNETS = SetKey(INET, "subnets")
"""The subnets that are hidden behind the host's address."""
TAPS = SetKey(BRIDGE, "taps")
"""The devices of our guests."""
CARDS = SetKey(BRIDGE, "cards")
"""Device and MAC of each port."""
ADDRESSES = SetKey(BRIDGE, "addresses")
"""Device, MAC and address of each port."""

SET_TYPES: Mapping[SetKey, tuple[Any, list[str]]] = {
    BRIDGES: ("ifname", []),
    LOOPS: (["ifname", "ifname"], []),
    GATEWAYS: (["ifname", "ipv4_addr"], []),
    ROUTES: (["ifname", "ipv4_addr"], ["interval"]),
    SUBNETS: ("ipv4_addr", ["interval"]),
    TAPS: ("ifname", []),
    CARDS: (["ifname", "ether_addr"], []),
    ADDRESSES: (["ifname", "ether_addr", "ipv4_addr"], []),
}

DROP_COUNTERS: Mapping[str, str] = {"isolated": INET, "refused": INET, "spoofed": BRIDGE}
"""What we drop is counted under its reason."""

Elements: TypeAlias = Mapping[SetKey, frozenset[tuple[str, ...]]]


def table_name(installation: str) -> str:
    """Name our table."""
    return f"nephoscope_{installation}"


def wanted_elements(networks: Iterable[NetworkSpec], ports: Iterable[PortSpec]) -> Elements:
    """Say what our sets must hold for these networks and ports."""
    network_list, port_list = list(networks), list(ports)
    routed = [network for network in network_list if network.is_routed]
    return {
        BRIDGES: frozenset((bridge_name(network.network_id),) for network in network_list),
        LOOPS: frozenset((bridge_name(network.network_id),) * 2 for network in network_list),
        GATEWAYS: frozenset((bridge_name(network.network_id), str(network.gateway_ip)) for network in network_list),
        ROUTES: frozenset((bridge_name(network.network_id), str(network.cidr)) for network in routed),
        SUBNETS: frozenset((str(network.cidr),) for network in routed),
        TAPS: frozenset((tap_name(port.port_id),) for port in port_list),
        CARDS: frozenset((tap_name(port.port_id), port.mac_address.lower()) for port in port_list),
        ADDRESSES: frozenset(_address_of(port) for port in port_list),
    }


def build_tables(table: str) -> list[Json]:
    """Write both tables whole: sets, counters, chains and rules, without elements."""
    commands: list[Json] = [_add("table", {"family": family, "name": table}) for family in (INET, BRIDGE)]
    for key, (element_type, flags) in SET_TYPES.items():
        new_set: Json = {"family": key.family, "table": table, "name": key.name, "type": element_type}
        commands.append(_add("set", new_set | ({"flags": flags} if flags else {})))
    for name, family in DROP_COUNTERS.items():
        commands.append(_add("counter", {"family": family, "table": table, "name": name}))
    commands += build_maps(table)
    for family, chain, rules in (
        (INET, _chain("forward", "filter", 0), _forward_rules()),
        (INET, _chain("forward", "filter", COUNTING_PRIORITY) | {"name": "counting"}, _counting_rules()),
        (INET, _chain("input", "filter", 0), _input_rules()),
        (INET, _chain("postrouting", "nat", 100), _nat_rules()),
        (BRIDGE, _chain("prerouting", "filter", -200), _address_rules()),
    ):
        commands.append(_add("chain", chain | {"family": family, "table": table}))
        commands += [
            _add("rule", {"family": family, "table": table, "chain": chain["name"], "expr": rule}) for rule in rules
        ]
    return [*commands, *_edition_of(table, commands)]


def _edition_of(table: str, commands: Sequence[Json]) -> list[Json]:
    """Name an empty chain after what the tables say, so that rules of another release are seen to be others, however many they are."""
    digest = hashlib.sha256(json.dumps(commands, sort_keys=True).encode()).hexdigest()
    return [
        _add("chain", {"family": family, "table": table, "name": f"edition_{digest[:12]}"}) for family in (INET, BRIDGE)
    ]


def _forward_rules() -> list[list[Json]]:
    ours_in, ours_out = _match(_meta("iifname"), "@bridges"), _match(_meta("oifname"), "@bridges")
    return [
        [_match(_meta("iifname"), "@bridges", "!="), _match(_meta("oifname"), "@bridges", "!="), {"accept": None}],
        [_match({"concat": [_meta("iifname"), _meta("oifname")]}, "@loops"), {"accept": None}],
        [ours_in, ours_out, {"counter": "isolated"}, {"drop": None}],
        [_established(), {"accept": None}],
        [_match({"concat": [_meta("iifname"), _payload("ip", "saddr")]}, "@routes"), {"accept": None}],
        [{"counter": "refused"}, {"drop": None}],
    ]


def _counting_rules() -> list[list[Json]]:
    """Count what passes between a port and the outside: not between our bridges, and what is for the host never comes here."""
    out, back = _meta("iifname"), _meta("oifname")
    return [
        [_match(out, "@bridges"), _match(back, "@bridges"), {"accept": None}],
        *(
            [{"counter": {"map": {"key": {"concat": [bridge, _payload("ip", field)]}, "data": f"@{map_name(way)}"}}}]
            for way, bridge, field in zip(DIRECTIONS, (out, back), ("saddr", "daddr"), strict=True)
        ),
    ]


def _input_rules() -> list[list[Json]]:
    """What a guest may ask of its host: an address and names from its own gateway, and an echo; all else is refused."""
    of_gateway = _match({"concat": [_meta("iifname"), _payload("ip", "daddr")]}, "@gateways")
    return [
        [_match(_meta("iifname"), "@bridges", "!="), {"accept": None}],
        [_established(), {"accept": None}],
        [_match(_payload("ip", "daddr"), "255.255.255.255"), _match(_payload("udp", "dport"), 67), {"accept": None}],
        [of_gateway, _match(_payload("udp", "dport"), {"set": [53, 67]}), {"accept": None}],
        [of_gateway, _match(_payload("tcp", "dport"), 53), {"accept": None}],
        [_match(_payload("icmp", "type"), "echo-request"), {"accept": None}],
        [{"counter": "refused"}, {"drop": None}],
    ]


def _nat_rules() -> list[list[Json]]:
    return [
        [_match(_payload("ip", "saddr"), "@subnets"), _match(_meta("oifname"), "@bridges", "!="), {"masquerade": None}]
    ]


def _address_rules() -> list[list[Json]]:
    """A guest speaks only by its own MAC and address, and never as a DHCP server; there is no IPv6 yet.

    The card for which it asks DHCP for an address, or declines one, is written over with the card that asks: there is no way to compare them.
    """
    to_dhcp = _match(_payload("udp", "dport"), 67)
    card = {"concat": [_meta("iifname"), _payload("ether", "saddr")]}
    arp_card = {"concat": [_meta("iifname"), _payload("arp", "saddr ether")]}
    drop: list[Json] = [{"counter": "spoofed"}, {"drop": None}]
    return [
        [_match(_meta("iifname"), "@taps", "!="), {"accept": None}],
        [_match(_payload("ether", "type"), "ip6"), {"drop": None}],
        [_match(card, "@cards", "!="), *drop],
        [to_dhcp, _match({"&": [_payload("ip", "frag-off"), MORE_FRAGMENTS]}, 0, "!="), *drop],
        [to_dhcp, {"mangle": {"key": _bits("th", 288, 48), "value": _bits("ll", 48, 48)}}],
        [
            _match(_payload("ip", "saddr"), "0.0.0.0"),  # noqa: S104  # a guest without an address yet
            _match(_payload("udp", "sport"), 68),
            to_dhcp,
            {"accept": None},
        ],
        [_match(_payload("udp", "sport"), 67), *drop],
        [
            _match({"concat": [_meta("iifname"), _payload("ether", "saddr"), _payload("ip", "saddr")]}, "@addresses"),
            {"accept": None},
        ],
        [
            _match(
                {"concat": [_meta("iifname"), _payload("arp", "saddr ether"), _payload("arp", "saddr ip")]},
                "@addresses",
            ),
            {"accept": None},
        ],
        [_match(arp_card, "@cards"), _match(_payload("arp", "saddr ip"), "0.0.0.0"), {"accept": None}],  # noqa: S104
        drop,
    ]


def decide_changes(table: str, *, present: Elements, wanted: Elements) -> list[Json]:
    """Say which elements to take out and which to put in, to turn one into the other."""
    commands: list[Json] = []
    for verb, minuend, subtrahend in (("delete", present, wanted), ("add", wanted, present)):
        for key in SET_TYPES:
            elements = sorted(minuend.get(key, frozenset()) - subtrahend.get(key, frozenset()))
            if elements:
                content = [_element(element) for element in elements]
                commands.append(
                    {verb: {"element": {"family": key.family, "table": table, "name": key.name, "elem": content}}}
                )
    return commands


@dataclass(frozen=True, slots=True)
class Forgetting:
    """The addresses whose flows the host forgets: of ports that come, before they have rules; of ports that are gone, after."""

    before: frozenset[IPv4Address]
    after: frozenset[IPv4Address]


def decide_forgetting(
    present: Elements, networks: Iterable[NetworkSpec], *, ports: Iterable[PortSpec], running: Collection[UUID]
) -> Forgetting:
    """Say whose flows to forget; only addresses in our own networks, and never those of a guest that runs."""
    port_list, subnets = list(ports), [network.cidr for network in networks]
    known = present.get(ADDRESSES, frozenset())
    coming = {port.ip_address for port in port_list if port.port_id not in running and _address_of(port) not in known}
    kept = {port.ip_address for port in port_list} - coming
    gone = {IPv4Address(address) for *_, address in known} - {port.ip_address for port in port_list}
    before, after = (
        frozenset(address for address in addresses if any(address in subnet for subnet in subnets))
        for addresses in (coming - kept, gone)
    )
    return Forgetting(before, after)


def _address_of(port: PortSpec) -> tuple[str, str, str]:
    return tap_name(port.port_id), port.mac_address.lower(), str(port.ip_address)


def read_elements(listing: Json) -> dict[SetKey, frozenset[tuple[str, ...]]]:
    """Read the elements of our sets out of nft's JSON listing of a table."""
    found: dict[SetKey, frozenset[tuple[str, ...]]] = {}
    for item in listing.get("nftables", []):
        described = item.get("set")
        if described is None:
            continue
        key = SetKey(described["family"], described["name"])
        found[key] = frozenset(_read_element(element) for element in described.get("elem", []))
    return found


def parts_of(items: Iterable[Json]) -> Counter[tuple[str, ...]]:
    """Count the parts that make a table work: sets, maps, drop counters and chains by name, rules by their chain."""
    parts = Counter[tuple[str, ...]]()
    for item in items:
        for kind in ("set", "map", "counter", "chain"):
            if kind in item:
                parts[kind, item[kind]["family"], item[kind]["name"]] += 1
        if "rule" in item:
            parts["rule", item["rule"]["family"], item["rule"]["chain"]] += 1
    return parts


def _add(kind: str, content: Json) -> Json:
    return {"add": {kind: content}}


def _chain(name: str, kind: str, priority: int) -> Json:
    return {"name": name, "type": kind, "hook": name, "prio": priority, "policy": "accept"}


def _match(left: Json, right: Any, operator: str = "==") -> Json:
    return {"match": {"op": operator, "left": left, "right": right}}


def _meta(key: str) -> Json:
    return {"meta": {"key": key}}


def _payload(protocol: str, name: str) -> Json:
    return {"payload": {"protocol": protocol, "field": name}}


def _bits(base: str, offset: int, length: int) -> Json:
    return {"payload": {"base": base, "offset": offset, "len": length}}


def _established() -> Json:
    return {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}}


def _element(parts: tuple[str, ...]) -> Any:
    written = [_part(part) for part in parts]
    return written[0] if len(written) == 1 else {"concat": written}


def _part(part: str) -> Any:
    if "/" not in part:
        return part
    network = IPv4Network(part)
    return {"prefix": {"addr": str(network.network_address), "len": network.prefixlen}}


def _read_element(element: Any) -> tuple[str, ...]:
    return tuple(_read_part(part) for part in _parts(element))


def _parts(element: Any) -> list[Any]:
    try:
        return element["concat"]
    except (KeyError, TypeError):
        return [element]


def _read_part(part: Any) -> str:
    return part if isinstance(part, str) else f"{part['prefix']['addr']}/{part['prefix']['len']}"
