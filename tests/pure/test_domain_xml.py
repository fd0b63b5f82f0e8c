"""The XML of guests and networks: any text stays text, and what we marked can be read back."""

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree

from compute.domain_xml import (
    NAMESPACE,
    GuestFiles,
    bridge_name,
    build_boot_mark,
    build_domain_xml,
    build_network_xml,
    domain_name,
    read_boot_mark,
    read_guest_mark,
    read_network_mark,
    tap_name,
)
from compute.errors import LaunchInvalid
from compute.hypervisor.contract import DiskSpec, InstanceSpec, NetworkSpec, PortSpec, SpecRefused
from compute.model import LaunchRequest
from compute.service.launches import check_request

FILES = GuestFiles(
    disk=Path("/var/i/disk.qcow2"),
    config_drive=Path("/var/i/config.iso"),
    console_log=Path("/var/i/console.log"),
    image=Path("/var/images/x"),
    kernel=Path("/var/images/kernel"),
    ramdisk=Path("/var/images/ramdisk"),
)
XML_TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff"))


def a_spec(name: str = "web", project_id: str = "p") -> InstanceSpec:
    port = PortSpec(uuid4(), uuid4(), "52:54:00:00:00:01", IPv4Address("10.1.2.3"))
    disk = DiskSpec(Path("x"), "qcow2", 1, kernel_command_line="console=ttyS0")
    return InstanceSpec(uuid4(), project_id, "u", name, 2, 512, disk, ports=(port,))


def built(spec: InstanceSpec, *, virt_type: str = "qemu", files: GuestFiles = FILES) -> str:
    return build_domain_xml(
        spec, installation="abc", virt_type=virt_type, files=files, owner="+107:+107", host_boot="b"
    )


def shape(xml: str) -> list[tuple[str, tuple[str, ...]]]:
    """All elements with their attributes' names: what markup there is, whatever the texts say."""
    return [(str(element.tag), tuple(sorted(map(str, element.attrib)))) for element in etree.fromstring(xml).iter()]


@given(st.text(st.characters(), min_size=1, max_size=5))
@example("web\uffff")
@example("web\ud800")
def test_a_name_that_is_taken_for_an_order_can_be_a_guests(name: str) -> None:
    try:
        check_request(LaunchRequest(name, uuid4(), "0"))
    except LaunchInvalid:
        return
    built(a_spec(name))


@given(XML_TEXT)
def test_a_name_is_only_ever_text(name: str) -> None:
    xml = built(a_spec(name))
    assert shape(xml) == shape(built(a_spec()))
    assert etree.fromstring(xml).findtext(f"metadata/{{{NAMESPACE}}}instance/{{{NAMESPACE}}}name") == name


@given(XML_TEXT)
def test_the_mark_of_a_guest_can_be_read_back(project_id: str) -> None:
    spec = a_spec(project_id=project_id)
    mark = read_guest_mark(built(spec))
    assert mark is not None
    assert (mark.installation, mark.instance_id, mark.ports) == ("abc", spec.instance_id, spec.ports)
    assert mark.host_boot == "b"
    assert mark.project_id == project_id


@pytest.mark.parametrize("text", ["a\x00b", "\x1b[2J", "\ud800", "\ufffe", "x" * 70_000])
def test_text_that_xml_cannot_carry_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(SpecRefused, match="text"):
        built(a_spec(text))


def test_emulation_and_kvm_ask_for_their_own_processor() -> None:
    emulated, accelerated = etree.fromstring(built(a_spec())), etree.fromstring(built(a_spec(), virt_type="kvm"))
    assert (emulated.get("type"), emulated.find("cpu").get("mode")) == ("qemu", "maximum")  # type: ignore[union-attr]
    assert (accelerated.get("type"), accelerated.find("cpu").get("mode")) == ("kvm", "host-passthrough")  # type: ignore[union-attr]
    assert [element.tag for element in emulated.iterfind("features/*")] == ["acpi", "apic"]


def test_every_disk_names_its_format_and_the_end_of_its_chain() -> None:
    disks = etree.fromstring(built(a_spec())).findall("devices/disk")
    assert [disk.find("driver").get("type") for disk in disks] == ["qcow2", "raw"]  # type: ignore[union-attr]
    chain = disks[0].find("backingStore")
    assert chain is not None
    assert chain.find("format").get("type") == "qcow2"  # type: ignore[union-attr]
    assert len(chain.find("backingStore")) == 0  # type: ignore[arg-type]
    assert disks[1].find("readonly") is not None


def test_an_image_without_a_kernel_boots_from_its_disk() -> None:
    whole = GuestFiles(FILES.disk, FILES.config_drive, FILES.console_log, FILES.image, None, None)
    root = etree.fromstring(built(a_spec(), files=whole))
    assert root.find("os/kernel") is None
    assert root.find("os/boot").get("dev") == "hd"  # type: ignore[union-attr]


@given(st.uuids(), st.uuids())
def test_names_on_the_host_are_made_of_ids_and_fit_linux(one: UUID, other: UUID) -> None:
    assert len(tap_name(one)) <= 15
    assert len(bridge_name(one)) <= 15
    assert domain_name("a", one) != domain_name("b", one)
    if one.hex[-12:] != other.hex[-12:]:
        assert tap_name(one) != tap_name(other)


@given(st.integers(min_value=0, max_value=2**53))
def test_a_boot_epoch_can_be_read_back(epoch: int) -> None:
    assert read_boot_mark(build_boot_mark(epoch)) == epoch


def test_a_network_can_be_read_back_and_another_installation_s_cannot() -> None:
    spec = NetworkSpec(
        uuid4(), None, IPv4Network("10.5.0.0/24"), IPv4Address("10.5.0.1"), name_servers=(IPv4Address("9.9.9.9"),)
    )
    xml = build_network_xml(spec, installation="abc", mtu=1400)
    assert read_network_mark(xml, installation="abc") == spec
    assert read_network_mark(xml, installation="abcd") is None
    forward = etree.fromstring(xml).find("forward")
    assert forward is not None
    assert forward.get("mode") == "open"
