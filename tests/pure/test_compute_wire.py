"""The compute dialects' wire shapes: what each microversion shows, and how launches and filters are read."""

import json
from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Address
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from api.glance.images import values_of
from api.neutron.lists import matches as matches_neutron
from api.nova.actions import last_lines, read_action
from api.nova.filters import read_filters
from api.nova.operators import version_number
from api.nova.requests import ServerCreateBody
from api.nova.servers_wire import from_wire_server, to_wire_server
from api.nova.versions import Microversion
from compute.model import Port
from compute.service.keypairs import fingerprint_of_key
from compute.service.launches import hostname_of_name
from foundation.errors import Invalid
from tests.identity_builders import a_caller
from tests.pure.test_compute_decisions import NOW, an_instance

IMAGE = "01a1fc37-0ff7-7347-b743-d6ce5c5c2931"
NETWORK = "01a1fc37-0ff7-7347-b743-d6ce5c5c2932"
NOVACLIENT_LAUNCH = {
    "server": {
        "name": "testvm001",
        "imageRef": IMAGE,
        "flavorRef": "1",
        "max_count": 1,
        "min_count": 1,
        "networks": [{"uuid": NETWORK}],
    }
}
"""What python-novaclient sends for the classic script."""


def a_port() -> Port:
    return Port(
        id=UUID(int=5),
        project_id="p",
        network_id=UUID(NETWORK),
        network_name="private",
        subnet_id=UUID(int=6),
        instance_id=UUID(int=9),
        position=0,
        mac_address="fa:16:3e:00:00:01",
        ip_address=IPv4Address("10.0.0.5"),
        security_group_ids=[UUID(int=7)],
        vm_state="active",
        host_name="host-1",
        created_at=NOW,
    )


def shown(microversion: Microversion, *, is_admin: bool = False, **changes: Any) -> dict[str, Any]:
    instance = replace(an_instance(), ports=(a_port(),), **changes)
    return to_wire_server(
        instance,
        root="http://h/compute",
        microversion=microversion,
        is_admin=is_admin,
        now=NOW,
        group_names={UUID(int=7): "default"},
    )


def read(body: Any, microversion: Microversion = (2, 1)) -> Any:
    return from_wire_server(ServerCreateBody.model_validate(body).server, microversion)


@given(st.integers(1, 96), st.booleans())
def test_every_microversion_shows_all_that_the_one_before_did(minor: int, is_admin: bool) -> None:
    before, after = shown((2, max(1, minor - 1)), is_admin=is_admin), shown((2, minor), is_admin=is_admin)
    assert set(before) <= set(after)
    json.dumps(after)


def test_each_addition_comes_with_its_own_microversion() -> None:
    for name, since in (
        ("locked", 9),
        ("description", 19),
        ("tags", 26),
        ("trusted_image_certificates", 63),
        ("server_groups", 71),
        ("locked_reason", 73),
        ("OS-EXT-SRV-ATTR:hostname", 90),
        ("pinned_availability_zone", 96),
    ):
        assert name not in shown((2, since - 1))
        assert name in shown((2, since))


def test_the_flavor_is_a_link_before_2_47_and_numbers_from_then_on() -> None:
    assert set(shown((2, 46))["flavor"]) == {"id", "links"}
    assert shown((2, 47))["flavor"]["original_name"] == "n1.nano"


def test_only_an_operator_sees_the_host() -> None:
    assert not any("host" in name.lower() and "EXT-SRV" in name for name in shown((2, 1)))
    assert shown((2, 1), is_admin=True)["OS-EXT-SRV-ATTR:host"] == "host-1"


def test_addresses_groups_and_the_fault_are_written() -> None:
    server = shown((2, 1), vm_state="error", fault_message="it broke", fault_code=500, fault_at=NOW)
    assert server["addresses"]["private"][0]["addr"] == "10.0.0.5"
    assert server["security_groups"] == [{"name": "default"}]
    assert server["fault"] == {"code": 500, "created": "2026-01-01T00:00:00Z", "message": "it broke"}


def test_a_silent_hosts_instance_is_unknown_without_power() -> None:
    server = shown((2, 1), host_seen_at=NOW - timedelta(hours=1))
    assert (server["status"], server["OS-EXT-STS:power_state"]) == ("UNKNOWN", 0)


def test_the_classic_launch_is_read() -> None:
    request = read(NOVACLIENT_LAUNCH)
    assert (request.name, request.flavor_id, str(request.image_id)) == ("testvm001", "1", IMAGE)
    assert [str(id_) for id_ in request.network_ids] == [NETWORK]
    assert (request.count_min, request.count_max) == (1, 1)


def launch(**more: Any) -> Any:
    return {"server": NOVACLIENT_LAUNCH["server"] | more}


@pytest.mark.parametrize(
    ("body", "microversion"),
    [
        (launch(description="x"), (2, 18)),
        (launch(tags=["x"]), (2, 51)),
        (launch(hostname="x"), (2, 89)),
        (launch(networks="auto"), (2, 36)),
        (launch(networks=None), (2, 37)),
        (launch(imageRef="http://evil/x"), (2, 1)),
        (launch(networks=[{"uuid": NETWORK, "fixed_ip": "::1"}]), (2, 1)),
        (launch(user_data="%"), (2, 1)),
        (launch(block_device_mapping_v2=[{"source_type": "volume", "uuid": IMAGE}]), (2, 1)),
    ],
    ids=str,
)
def test_what_a_microversion_does_not_know_is_refused(body: Any, microversion: Microversion) -> None:
    with pytest.raises(Invalid):
        read(body, microversion)


def test_networks_may_be_auto_or_none_where_the_microversion_says_so() -> None:
    assert read(launch(networks="auto"), (2, 37)).is_networked
    assert not read(launch(networks="none"), (2, 37)).is_networked


@given(st.text(max_size=300))
def test_any_name_gives_a_host_name_of_rfc_1123(name: str) -> None:
    hostname = hostname_of_name(name, UUID(int=1))
    assert 1 <= len(hostname) <= 63
    assert hostname.strip("-") == hostname
    assert set(hostname) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


@pytest.mark.parametrize(
    ("text", "values"),
    [("a", ["a"]), ("in:a,b", ["a", "b"]), ('in:"a,b",c', ["a,b", "c"]), ("in:", [""])],
)
def test_glances_in_filter_is_read(text: str, values: list[str]) -> None:
    assert values_of(text) == values


def test_neutrons_filters_know_booleans_and_addresses() -> None:
    port = {"id": "1", "shared": False, "fixed_ips": [{"subnet_id": "s", "ip_address": "10.0.0.5"}]}
    assert matches_neutron(port, QueryParams("shared=False&fixed_ips=ip_address=10.0.0.5"))
    assert not matches_neutron(port, QueryParams("shared=True"))
    assert not matches_neutron(port, QueryParams("fixed_ips=ip_address=10.0.0.6"))
    assert matches_neutron(port, QueryParams("id=1&id=2&nothing=x"))


@pytest.mark.parametrize("body", [None, [], {}, {"os-start": None, "os-stop": None}, {"fly": 1}, {"resize": {}}])
def test_an_action_is_one_known_key(body: Any) -> None:
    with pytest.raises(Invalid):
        read_action(body)


def test_a_list_of_servers_is_narrowed_by_what_the_client_asks() -> None:
    asked = "not-tags=a,b&not-tags-any=c&tags-any=d&key_name=k&availability_zone=z&changes-before=2026-01-01T00:00:00"
    query = read_filters(QueryParams(asked), caller=a_caller("p"))
    assert query is not None
    filters = query.filters
    assert (filters.not_tags, filters.not_tags_any, filters.tags_any) == ({"a", "b"}, {"c"}, {"d"})
    assert (filters.key_name, filters.availability_zone) == ("k", "z")
    assert filters.changed_before is not None
    assert filters.changed_before.isoformat() == "2026-01-01T00:00:00+00:00"


@pytest.mark.parametrize("asked", ["locked=True", "config_drive=False", "ip6=fe80::1", "status=FLYING"])
def test_what_no_server_here_can_be_is_an_empty_list_and_not_all_of_them(asked: str) -> None:
    assert read_filters(QueryParams(asked), caller=a_caller("p")) is None


@pytest.mark.parametrize("asked", ["locked=False", "config_drive=True", "ip6="])
def test_what_every_server_here_is_narrows_nothing(asked: str) -> None:
    assert read_filters(QueryParams(asked), caller=a_caller("p")) is not None


def test_a_console_is_cut_to_the_lines_asked_for() -> None:
    assert last_lines("a\nb\nc\n", {"length": 2}) == "b\nc\n"
    assert last_lines("a\nb\n", {"length": "1"}) == "b\n"
    assert last_lines("a\nb\n", {"length": -1}) == last_lines("a\nb\n", {}) == "a\nb\n"
    wrong_lengths: tuple[Any, ...] = ("x", -2, True, 10**9, 1.5, "²", "9" * 5_000, "--1", "", [], {})
    for wrong in wrong_lengths:
        with pytest.raises(Invalid):
            last_lines("a", {"length": wrong})


def test_a_key_is_known_by_its_fingerprint_and_nonsense_has_none() -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMzgpwLAC3Dl6xYoIvMNgmG5JJNmrO4IkI5vbnzNAQ6p someone"
    assert len(fingerprint_of_key(key).split(":")) == 16
    for wrong in ("", "ssh-rsa", "ssh-rsa !!!", "ssh-rsa AAAA", key.replace("ssh-ed25519", "ssh-rsa"), f"{key}\n{key}"):
        with pytest.raises(Invalid):
            fingerprint_of_key(wrong)


def test_a_hypervisors_version_is_a_number_to_nova() -> None:
    assert version_number("7.2.22") == 7_002_022
    assert version_number("") == 0
