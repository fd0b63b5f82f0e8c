"""The libvirt XML of guests and networks, built element by element: text is only ever a text node or a checked attribute."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TypeAlias
from uuid import UUID

from lxml import etree

from compute.hypervisor.contract import InstanceSpec, NetworkSpec, PortSpec, ShutdownRequest, SpecRefused

Element: TypeAlias = etree._Element  # pyright: ignore[reportPrivateUsage]  # lxml names its element class so

NAMESPACE = "https://nephoscope.example/libvirt/1"
"""Marks our own elements in a domain's or network's metadata."""

BOOT_NAMESPACE = "https://nephoscope.example/libvirt/boot/1"
"""Marks the live-only metadata element that holds the boot epoch; it goes when the guest goes."""

SHUTDOWN_NAMESPACE = "https://nephoscope.example/libvirt/shutdown/1"
"""Marks the live-only metadata element that tells that the guest was asked to shut itself down."""

PREFIX = "nephoscope"
MEMORY_STATS_PERIOD_S = 5
ROOT_DEVICE = "vda"
CONFIG_DEVICE = "vdb"
TEXT_LENGTH_MAX = 65_536


@dataclass(frozen=True, slots=True)
class GuestFiles:
    """Where a guest's own files lie on the host, by paths that the hypervisor's user can reach."""

    disk: Path
    config_drive: Path
    console_log: Path
    image: Path
    kernel: Path | None
    ramdisk: Path | None


@dataclass(frozen=True, slots=True)
class GuestMark:
    """What we wrote into a guest's metadata: whose it is and which ports it has."""

    installation: str
    instance_id: UUID
    project_id: str
    ports: tuple[PortSpec, ...]
    host_boot: str = ""


def domain_name(installation: str, instance_id: UUID) -> str:
    """Name a guest in libvirt; made of our ids alone."""
    return f"nepho-{installation}-{instance_id}"


def network_name(installation: str, network_id: UUID) -> str:
    """Name a network in libvirt; made of our ids alone."""
    return f"nepho-{installation}-{network_id}"


def tap_name(port_id: UUID) -> str:
    """Name a port's device on the host (Linux allows 15 characters)."""
    return f"nt{port_id.hex[-12:]}"


def bridge_name(network_id: UUID) -> str:
    """Name a network's bridge on the host (Linux allows 15 characters)."""
    return f"nb{network_id.hex[-12:]}"


def build_domain_xml(
    spec: InstanceSpec,
    *,
    installation: str,
    virt_type: str,
    files: GuestFiles,
    owner: str,
    host_boot: str = "",
) -> str:
    """Describe a guest to libvirt: virtio devices, direct kernel boot where the image has a kernel, serial console to a file.

    `owner` is the user and group ("+64055:+64055") as which QEMU runs; its files are handed to it by us, so that libvirt
    never changes the owner of an image that many guests share. `host_boot` names the boot of the host in which the guest was
    last started, so that a guest that the host took down with it is told from one that never ran.
    """
    domain = etree.Element("domain", type=virt_type)
    _add(domain, "name", domain_name(installation, spec.instance_id))
    _add(domain, "uuid", str(spec.instance_id))
    domain.append(_metadata(spec, installation=installation, host_boot=host_boot))
    _add(domain, "memory", str(spec.memory_mib), unit="MiB")
    _add(domain, "vcpu", str(spec.vcpus), placement="static")
    _add_boot(domain, spec, files)
    features = _add(domain, "features")
    _add(features, "acpi")
    _add(features, "apic")
    _add(domain, "cpu", mode="host-passthrough" if virt_type == "kvm" else "maximum")
    _add(domain, "clock", offset="utc")
    _add(domain, "on_poweroff", "destroy")
    _add(domain, "on_reboot", "restart")
    _add(domain, "on_crash", "destroy")
    _add_devices(domain, spec, installation=installation, files=files)
    label = _add(domain, "seclabel", type="static", model="dac", relabel="no")
    _add(label, "label", owner)
    return etree.tostring(domain, encoding="unicode", pretty_print=True)


def _add_boot(domain: Element, spec: InstanceSpec, files: GuestFiles) -> None:
    system = _add(domain, "os")
    _add(system, "type", "hvm", arch="x86_64", machine="pc")
    if files.kernel is None:
        _add(system, "boot", dev="hd")
        return
    _add(system, "kernel", str(files.kernel))
    if files.ramdisk is not None:
        _add(system, "initrd", str(files.ramdisk))
    _add(system, "cmdline", spec.disk.kernel_command_line or "console=ttyS0")


def _add_devices(domain: Element, spec: InstanceSpec, *, installation: str, files: GuestFiles) -> None:
    devices = _add(domain, "devices")
    disk = _add(devices, "disk", type="file", device="disk")
    _add(disk, "driver", name="qemu", type="qcow2", discard="unmap")
    _add(disk, "source", file=str(files.disk))
    backing = _add(disk, "backingStore", type="file")
    _add(backing, "format", type=spec.disk.image_format)
    _add(backing, "source", file=str(files.image))
    _add(backing, "backingStore")
    _add(disk, "target", dev=ROOT_DEVICE, bus="virtio")
    drive = _add(devices, "disk", type="file", device="disk")
    _add(drive, "driver", name="qemu", type="raw")
    _add(drive, "source", file=str(files.config_drive))
    _add(drive, "backingStore")
    _add(drive, "target", dev=CONFIG_DEVICE, bus="virtio")
    _add(drive, "readonly")
    for port in spec.ports:
        _add_port(devices, port, installation=installation)
    serial = _add(devices, "serial", type="file")
    _add(serial, "source", path=str(files.console_log))
    _add(serial, "target", port="0")
    _add(devices, "controller", type="usb", model="none")
    balloon = _add(devices, "memballoon", model="virtio")
    _add(balloon, "stats", period=str(MEMORY_STATS_PERIOD_S))
    generator = _add(devices, "rng", model="virtio")
    _add(generator, "backend", "/dev/urandom", model="random")


def _add_port(devices: Element, port: PortSpec, *, installation: str) -> None:
    card = _add(devices, "interface", type="network")
    _add(card, "mac", address=port.mac_address)
    _add(card, "source", network=network_name(installation, port.network_id))
    _add(card, "target", dev=tap_name(port.port_id))
    _add(card, "model", type="virtio")


def _metadata(spec: InstanceSpec, *, installation: str, host_boot: str) -> Element:
    metadata = etree.Element("metadata")
    mark = etree.SubElement(metadata, f"{{{NAMESPACE}}}instance", nsmap={PREFIX: NAMESPACE})
    mark.set("installation", installation)
    mark.set("id", str(spec.instance_id))
    mark.set("host-boot", host_boot)
    mark.set("project", _checked(spec.project_id))
    for port in spec.ports:
        element = etree.SubElement(mark, f"{{{NAMESPACE}}}port")
        element.set("id", str(port.port_id))
        element.set("network", str(port.network_id))
        element.set("mac", _checked(port.mac_address))
        element.set("ip", str(port.ip_address))
    name = etree.SubElement(mark, f"{{{NAMESPACE}}}name")
    name.text = _checked(spec.name)
    return metadata


def read_guest_mark(xml: str) -> GuestMark | None:
    """Read our mark from a metadata element or a whole domain; None where it carries none."""
    root = etree.fromstring(xml.encode(), _parser())
    mark = (
        root if root.tag in {"instance", f"{{{NAMESPACE}}}instance"} else root.find(f"metadata/{{{NAMESPACE}}}instance")
    )
    if mark is None:
        return None
    return GuestMark(
        installation=mark.get("installation", ""),
        instance_id=UUID(mark.get("id", "")),
        project_id=mark.get("project", ""),
        host_boot=mark.get("host-boot", ""),
        ports=tuple(
            PortSpec(
                port_id=UUID(port.get("id", "")),
                network_id=UUID(port.get("network", "")),
                mac_address=port.get("mac", ""),
                ip_address=IPv4Address(port.get("ip", "")),
            )
            for port in mark
            if etree.QName(port).localname == "port"
        ),
    )


def build_boot_mark(boot_epoch: int, *, host_boot: str = "") -> str:
    """Describe a boot for the live metadata, microseconds since 1970, and during which boot of which host it was noted."""
    mark = etree.Element("boot", epoch=str(boot_epoch), host=host_boot)
    return etree.tostring(mark, encoding="unicode")


def read_boot_mark(xml: str) -> int:
    """Read the boot epoch back; 0 where there is none."""
    return int(etree.fromstring(xml.encode(), _parser()).get("epoch", "0"))


def read_boot_host(xml: str) -> str:
    """Read back where a boot was noted; empty where that was not said."""
    return etree.fromstring(xml.encode(), _parser()).get("host", "")


def build_shutdown_mark(request: ShutdownRequest) -> str:
    """Describe for the live metadata what a guest was asked."""
    mark = etree.Element("shutdown", generation=str(request.generation))
    mark.set("asked-at", request.asked_at.isoformat())
    mark.set("repeated-at", request.repeated_at.isoformat())
    return etree.tostring(mark, encoding="unicode")


def read_shutdown_mark(xml: str) -> ShutdownRequest:
    """Read back what a guest was asked."""
    mark = etree.fromstring(xml.encode(), _parser())
    return ShutdownRequest(
        generation=int(mark.get("generation", "0")),
        asked_at=datetime.fromisoformat(mark.get("asked-at", "")),
        repeated_at=datetime.fromisoformat(mark.get("repeated-at", "")),
    )


def build_network_xml(spec: NetworkSpec, *, installation: str, mtu: int) -> str:
    """Describe a network to libvirt: a bridge and DHCP for known MACs only; it adds no packet rule of its own."""
    network = etree.Element("network")
    _add(network, "name", network_name(installation, spec.network_id))
    _add(network, "uuid", str(spec.network_id))
    mark = etree.SubElement(_add(network, "metadata"), f"{{{NAMESPACE}}}network", nsmap={PREFIX: NAMESPACE})
    mark.set("installation", installation)
    mark.set("id", str(spec.network_id))
    mark.set("project", _checked(spec.project_id or ""))
    mark.set("cidr", str(spec.cidr))
    mark.set("gateway", str(spec.gateway_ip))
    mark.set("routed", "yes" if spec.is_routed else "no")
    mark.set("name-servers", " ".join(str(server) for server in spec.name_servers))
    _add(network, "forward", mode="open")
    _add(network, "bridge", name=bridge_name(spec.network_id), stp="off", delay="0")
    _add(network, "mtu", size=str(mtu))
    names = _add(network, "dns")
    for server in spec.name_servers:
        _add(names, "forwarder", addr=str(server))
    address = _add(network, "ip", address=str(spec.gateway_ip), prefix=str(spec.cidr.prefixlen))
    _add(address, "dhcp")
    return etree.tostring(network, encoding="unicode", pretty_print=True)


def read_network_mark(xml: str, *, installation: str) -> NetworkSpec | None:
    """Read back a network that we described; None where it carries no mark of this installation."""
    mark = etree.fromstring(xml.encode(), _parser()).find(f"metadata/{{{NAMESPACE}}}network")
    if mark is None or mark.get("installation") != installation:
        return None
    return NetworkSpec(
        network_id=UUID(mark.get("id", "")),
        project_id=mark.get("project") or None,
        cidr=IPv4Network(mark.get("cidr", "")),
        gateway_ip=IPv4Address(mark.get("gateway", "")),
        is_routed=mark.get("routed") == "yes",
        name_servers=tuple(IPv4Address(server) for server in mark.get("name-servers", "").split()),
    )


def build_dhcp_host_xml(port: PortSpec) -> str:
    """Describe the fixed address of a port to a network's DHCP."""
    return etree.tostring(
        etree.Element("host", mac=_checked(port.mac_address), ip=str(port.ip_address)), encoding="unicode"
    )


def read_dhcp_hosts(network_xml: str) -> Sequence[tuple[str, IPv4Address]]:
    """Read the fixed addresses of a network: MAC and address."""
    root = etree.fromstring(network_xml.encode(), _parser())
    return [(host.get("mac", ""), IPv4Address(host.get("ip", ""))) for host in root.iterfind("ip/dhcp/host")]


def read_network_addresses(network_xml: str) -> Sequence[tuple[str, str]]:
    """Read address and prefix length (or netmask) of a libvirt network, IPv4 only."""
    root = etree.fromstring(network_xml.encode(), _parser())
    return [
        (address.get("address", ""), address.get("prefix") or address.get("netmask", "32"))
        for address in root.iterfind("ip")
        if address.get("family", "ipv4") == "ipv4"
    ]


def _parser() -> etree.XMLParser:
    return etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False)


def _add(parent: Element, tag: str, text: str | None = None, **attributes: str) -> Element:
    element = etree.SubElement(parent, tag)
    for name, value in attributes.items():
        element.set(name, _checked(value))
    if text is not None:
        element.text = _checked(text)
    return element


def _checked(text: str) -> str:
    """Let through what XML can carry; a control character or an endless text is refused with a sentence."""
    if len(text) > TEXT_LENGTH_MAX:
        raise SpecRefused(f"a text of {len(text)} characters is too long for a guest's description")
    if any(not _is_xml_character(character) for character in text):
        raise SpecRefused("a text for a guest has control characters; leave them out")
    return text


def _is_xml_character(character: str) -> bool:
    code = ord(character)
    return code in {0x9, 0xA} or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000
