"""The packet counters as values: which counter has which place, and that no change of ours loses or doubles what was counted."""

from ipaddress import IPv4Address
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from compute.domain_xml import tap_name
from compute.hypervisor.contract import PortSpec
from compute.hypervisor.traffic_counters import (
    PACKETS_AT_BIRTH,
    CounterName,
    CounterValue,
    Direction,
    Json,
    Place,
    TrafficState,
    decide_counters,
    read_name,
    read_traffic_state,
    renew_reset_counters,
    traffic_of,
    wanted_places,
)


def a_port(number: int, *, network: int = 1) -> PortSpec:
    return PortSpec(
        UUID(int=number), UUID(int=network), f"52:54:00:00:00:{number:02x}", IPv4Address(f"10.9.0.{number}")
    )


def apply(state: TrafficState, commands: list[Json]) -> TrafficState:
    """Do what nft would do, with its strictness: nothing goes that is not there or is in use, nothing comes twice."""
    counters, places = dict(state.counters), dict(state.places)
    for command in commands:
        for verb, content in command.items():
            listing: Json = {"nftables": [{"counter": {"packets": 0, "bytes": 0} | content.get("counter", {})}]}
            if "element" in content:
                listing = {"nftables": [{"map": content["element"]}]}
            change = read_traffic_state(listing)
            if verb == "add":
                assert not change.counters.keys() & counters.keys()
                assert not change.places.keys() & places.keys()
                assert all(name in counters for name in change.places.values())
                counters |= change.counters
                places |= change.places
            else:
                assert all(places.get(key) == name for key, name in change.places.items())
                assert not change.counters.keys() & set(places.values())
                counters = {name: value for name, value in counters.items() if name not in change.counters}
                places = {key: name for key, name in places.items() if key not in change.places}
    return TrafficState(counters, places)


ports = st.sets(st.integers(2, 9), max_size=5).map(lambda numbers: [a_port(number) for number in sorted(numbers)])


@given(st.lists(st.tuples(ports, st.integers(0, 1000), st.booleans()), min_size=1, max_size=6))
def test_whatever_comes_and_goes_each_port_has_one_counter_a_direction_and_keeps_it(
    steps: list[tuple[list[PortSpec], int, bool]],
) -> None:
    state = TrafficState()
    for number, (wanted, counted, is_reset) in enumerate(steps):
        before = dict(state.places)
        places = wanted_places(wanted)
        state = apply(state, decide_counters("t", state, wanted=places, epoch=number + 1))
        assert {(way, place): name.device for (way, place), name in state.places.items()} == {
            (way, place): device for way in ("incoming", "outgoing") for place, device in places.items()
        }
        for key in before.keys() & state.places.keys():
            assert state.places[key] == before[key]
        assert decide_counters("t", state, wanted=places, epoch=99) == []
        state = TrafficState({name: CounterValue(bytes=counted) for name in state.counters}, state.places)
        if is_reset:
            state = TrafficState({name: CounterValue(3, 7) for name in state.counters}, state.places)
            renewed = apply(state, renew_reset_counters("t", state, epoch=number + 50))
            assert renewed.idle == frozenset(state.counters)
            assert all(renewed.counters[name] == state.counters[name] for name in renewed.idle)
            assert renew_reset_counters("t", renewed, epoch=98) == []
            state = TrafficState(
                {name: value for name, value in renewed.counters.items() if name not in renewed.idle}, renewed.places
            )


def test_a_port_that_changes_its_address_keeps_its_counter() -> None:
    port, moved = a_port(5), PortSpec(UUID(int=5), UUID(int=2), "52:54:00:00:00:05", IPv4Address("10.9.7.7"))
    state = apply(TrafficState(), decide_counters("t", TrafficState(), wanted=wanted_places([port]), epoch=1))
    after = apply(state, decide_counters("t", state, wanted=wanted_places([moved]), epoch=2))
    assert after.counters == state.counters
    assert after.places.keys() != state.places.keys()


def test_an_address_that_passes_to_another_port_is_counted_anew() -> None:
    port, heir = a_port(5), PortSpec(UUID(int=6), UUID(int=1), "52:54:00:00:00:06", IPv4Address("10.9.0.5"))
    state = apply(TrafficState(), decide_counters("t", TrafficState(), wanted=wanted_places([port]), epoch=1))
    after = apply(state, decide_counters("t", state, wanted=wanted_places([heir]), epoch=2))
    assert {name.device for name in after.counters} == {tap_name(heir.port_id)}
    assert {name.epoch for name in after.counters} == {2}


def test_a_counter_with_fewer_packets_than_at_its_birth_was_reset_and_has_a_new_epoch() -> None:
    ways: tuple[Direction, ...] = ("incoming", "outgoing")
    names = {way: CounterName(way, "nt1", 1000) for way in ways}
    place: Place = ("nb1", "10.9.0.5")
    places: dict[tuple[Direction, Place], CounterName] = {(way, place): names[way] for way in ways}
    values = {names["incoming"]: CounterValue(PACKETS_AT_BIRTH + 4, 600), names["outgoing"]: CounterValue(4, 600)}
    state = TrafficState(values, places)
    assert [(counted.direction, counted.counter_epoch, counted.bytes) for counted in traffic_of(state)] == [
        ("incoming", 1000, 600),
        ("outgoing", 1001, 600),
    ]


@given(st.text(max_size=40))
def test_a_counter_that_is_not_ours_is_left_alone(text: str) -> None:
    name = read_name(text)
    assert name is None or name.text == text
    assert read_name("isolated") is None
