"""Our networks on a libvirt host: bridge and DHCP by libvirt, packet rules by us, both brought to what our guests need.

What is needed is read from the marks that libvirt keeps with networks and guests, so nothing is forgotten when the agent ends.
"""

import time
from collections.abc import Collection, Iterable, Sequence
from ipaddress import IPv4Network
from uuid import UUID

import libvirt

from compute.domain_xml import (
    bridge_name,
    build_dhcp_host_xml,
    build_network_xml,
    network_name,
    read_dhcp_hosts,
    read_network_addresses,
    read_network_mark,
)
from compute.hypervisor.contract import LaunchFailure, NetworkSpec, PortSpec
from compute.hypervisor.host_network import (
    HostLock,
    is_forwarding_on,
    put_forwarding_back,
    read_mtu,
    read_routed_subnets,
    release_lease,
    turn_forwarding_on,
)
from compute.hypervisor.libvirt_connection import LibvirtConnection, VirtNetwork
from compute.hypervisor.nftables import PacketFilter

LIVE_AND_KEPT = libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE | libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG

LEASE_CHECKS_MAX = 25
LEASE_CHECK_INTERVAL_S = 0.02


class LibvirtNetworks:
    """The networks of one installation on one host; every method is used inside the connection's `calls()`."""

    def __init__(self, connection: LibvirtConnection) -> None:
        self._connection = connection
        self.packet_filter = PacketFilter(connection.installation)

    def specs(self) -> dict[UUID, NetworkSpec]:
        """Read back every network of ours that libvirt knows, active or not."""
        with self._connection.calls() as host:
            found = [
                read_network_mark(network.XMLDesc(0), installation=self._connection.installation)
                for network in self._networks(host)
            ]
        return {spec.network_id: spec for spec in found if spec is not None}

    def active_ids(self) -> frozenset[UUID]:
        """Say which of our networks work now."""
        with self._connection.calls() as host:
            return frozenset(UUID(network.UUIDString()) for network in self._networks(host) if network.isActive() == 1)

    def ensure(self, spec: NetworkSpec) -> None:
        """Make the network and let it work. Raises LaunchFailure when its subnet is the host's own."""
        with self._connection.calls() as host:
            network = self._connection.find_network(spec.network_id)
            if network is None:
                self._require_free(spec)
                self._turn_forwarding_on()
                xml = build_network_xml(spec, installation=self._connection.installation, mtu=read_mtu())
                network = host.networkDefineXML(xml)
            if network.isActive() != 1:
                self._turn_forwarding_on()
                network.create()

    def delete(self, network_id: UUID) -> None:
        """Remove the network and its bridge."""
        with self._connection.calls():
            network = self._connection.find_network(network_id)
            if network is None:
                return
            if network.isActive() == 1:
                network.destroy()
            network.undefine()

    def converge_addresses(self, ports: Iterable[PortSpec], *, running: Collection[UUID]) -> None:
        """Let DHCP and the packet rules know these ports of our guests, and no others; those of `running` guests keep their flows."""
        port_list = list(ports)
        specs = self.specs()
        with self._connection.calls():
            for spec in specs.values():
                network = self._connection.find_network(spec.network_id)
                if network is not None:
                    wanted = [port for port in port_list if port.network_id == spec.network_id]
                    self._converge_dhcp(network, spec, wanted)
        self.packet_filter.converge(specs.values(), port_list, running=running)
        if specs and not is_forwarding_on():
            self._turn_forwarding_on()

    def _turn_forwarding_on(self) -> None:
        """Our tables come first: by them an installation that leaves the machine knows that forwarding is still needed."""
        with HostLock():
            self.packet_filter.ensure()
            turn_forwarding_on()

    def release(self, *, is_forwarding_needed: bool) -> None:
        """Take down all our networks and packet rules and put the host's forwarding back."""
        for network_id in self.specs():
            self.delete(network_id)
        with HostLock():
            self.packet_filter.remove()
            put_forwarding_back(is_needed=is_forwarding_needed)

    def occupied_subnets(self) -> Sequence[IPv4Network]:
        """List what the host routes, and what libvirt's other networks would use when started."""
        ours = {bridge_name(network_id) for network_id in self.specs()}
        routed = list(read_routed_subnets(except_devices=ours))
        with self._connection.calls() as host:
            prefix = network_name(self._connection.installation, UUID(int=0))[:-36]
            for network in host.listAllNetworks(0):
                described = None if str(network.name()).startswith(prefix) else _describe(network)
                if described is not None:
                    routed += [
                        IPv4Network(f"{address}/{mask}", strict=False)
                        for address, mask in read_network_addresses(described)
                    ]
        return routed

    def has_foreign_active(self) -> bool:
        """Tell whether a network that is not ours works on this host and may need forwarding."""
        prefix = network_name(self._connection.installation, UUID(int=0))[:-36]
        with self._connection.calls() as host:
            return any(
                not str(network.name()).startswith(prefix)
                for network in host.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE)
            )

    def _networks(self, host: VirtNetwork) -> list[VirtNetwork]:
        prefix = network_name(self._connection.installation, UUID(int=0))[:-36]
        return [
            network
            for network in host.listAllNetworks(0)
            if str(network.name()).startswith(prefix) and len(network.name()) == len(prefix) + 36
        ]

    def _require_free(self, spec: NetworkSpec) -> None:
        taken = [subnet for subnet in self.occupied_subnets() if subnet.overlaps(spec.cidr)]
        if taken:
            raise LaunchFailure(f"the network's subnet {spec.cidr} meets {taken[0]}, which this host uses already")

    def _converge_dhcp(self, network: VirtNetwork, spec: NetworkSpec, ports: Sequence[PortSpec]) -> None:
        present = set(read_dhcp_hosts(network.XMLDesc(0)))
        wanted = {(port.mac_address.lower(), port.ip_address): port for port in ports}
        for mac_address, address in present - wanted.keys():
            gone = PortSpec(spec.network_id, spec.network_id, mac_address, address)
            self._end_lease(network, spec, gone)
            self._update_dhcp(network, libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE, gone)
        for key, port in wanted.items():
            if key not in present:
                self._update_dhcp(network, libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, port)

    def _end_lease(self, network: VirtNetwork, spec: NetworkSpec, port: PortSpec) -> None:
        """Give back the lease of a guest that is gone, and see it go: the next guest with its address waits for nobody."""
        if network.isActive() != 1 or not network.DHCPLeases(port.mac_address):
            return
        bridge = bridge_name(spec.network_id)
        release_lease(bridge, server=spec.gateway_ip, address=port.ip_address, mac_address=port.mac_address)
        for _ in range(LEASE_CHECKS_MAX):
            if not network.DHCPLeases(port.mac_address):
                return
            time.sleep(LEASE_CHECK_INTERVAL_S)

    def _update_dhcp(self, network: VirtNetwork, command: int, port: PortSpec) -> None:
        flags = LIVE_AND_KEPT if network.isActive() == 1 else libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG
        network.update(command, libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST, -1, build_dhcp_host_xml(port), flags)


def _describe(network: VirtNetwork) -> str | None:
    """Return a network's XML; None where its owner has removed it since it was listed."""
    try:
        return str(network.XMLDesc(0))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_NETWORK:
            return None
        raise
