"""The libvirt driver: guests as domains of QEMU, each marked with our installation's id, converged call by call."""

import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any
from uuid import UUID

import libvirt
from lxml import etree

from compute.domain_xml import NAMESPACE, GuestMark, build_domain_xml, read_guest_mark, tap_name
from compute.hypervisor.boot_epochs import epoch_time, read_or_note_boot
from compute.hypervisor.contract import (
    HostCapacity,
    InstanceSpec,
    InstanceStats,
    InterfaceStats,
    LaunchFailure,
    Leftovers,
    LifecycleNotice,
    NetworkSpec,
    ObservedInstance,
    PortTraffic,
    PowerState,
    ShutdownRequest,
    StopReason,
)
from compute.hypervisor.guest_files import GuestFolder, Owner
from compute.hypervisor.host_boot import read_host_boot
from compute.hypervisor.host_network import HostInterfaces
from compute.hypervisor.libvirt_connection import STOP_REASONS, Domain, LibvirtConnection
from compute.hypervisor.libvirt_networks import LibvirtNetworks
from compute.hypervisor.libvirt_stats import is_stalled, read_instance_stats, read_power_state
from compute.hypervisor.pauses import let_go_on
from compute.hypervisor.shutdown_requests import ShutdownRequests

STATS_WANTED = (
    libvirt.VIR_DOMAIN_STATS_STATE
    | libvirt.VIR_DOMAIN_STATS_CPU_TOTAL
    | libvirt.VIR_DOMAIN_STATS_BALLOON
    | libvirt.VIR_DOMAIN_STATS_VCPU
    | libvirt.VIR_DOMAIN_STATS_INTERFACE
    | libvirt.VIR_DOMAIN_STATS_BLOCK
)
UNDEFINE_FLAGS = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
)
QEMU_USER_DEFAULT = Owner(0, 0)


class LibvirtHypervisor:
    """One libvirt host, for one installation; files lie under `root` (`var`)."""

    def __init__(self, uri: str, *, installation: str, root: Path, virt_type: str = "auto") -> None:
        if not re.fullmatch(r"[a-z0-9]{1,12}", installation):
            raise ValueError("an installation's id has 1 to 12 small letters and digits")
        self.installation = installation
        self.connection = LibvirtConnection(uri, installation=installation)
        self.networks = LibvirtNetworks(self.connection)
        self._root = root
        self._interfaces = HostInterfaces(root / "run")
        self._virt_type = decide_virt_type(virt_type)
        self._folder: GuestFolder | None = None
        self._marks: dict[UUID, GuestMark] = {}
        self._boots: dict[UUID, tuple[int, int]] = {}
        self._shutdowns = ShutdownRequests()
        self._generation = 0

    def capacity(self) -> HostCapacity:
        """Say what the host has."""
        with self.connection.calls() as host:
            architecture, node_memory_mib, vcpus = host.getInfo()[:3]
            total_kib = host.getMemoryStats(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS).get("total", 0)
            version = int(host.getVersion())
            return HostCapacity(
                hostname=host.getHostname(),
                architecture=architecture,
                virt_type=self._virt_type,
                hypervisor_version=f"{version // 1_000_000}.{version // 1_000 % 1_000}.{version % 1_000}",
                vcpus=vcpus,
                memory_mib=max(node_memory_mib, total_kib // 1024),
                disk_gib=self._guest_folder().free_gib(),
                cpu_model=str(etree.fromstring(host.getCapabilities()).findtext("host/cpu/model", "")),
            )

    def list_instances(self) -> Sequence[ObservedInstance]:
        """List every guest of this installation, running or not."""
        with self.connection.calls() as host:
            domains = self.connection.list_domains()
            if not domains:
                return []
            records = host.domainListGetStats(domains, libvirt.VIR_DOMAIN_STATS_STATE, 0)
            return [self._observe(domain, record) for domain, record in records]

    def free_disk_mib(self) -> int:
        """Say how much room there is left where the guests' disks are."""
        return self._guest_folder().free_mib()

    def find_leftovers(self) -> Leftovers:
        """Say of which instances and networks anything exists here."""
        with self.connection.calls():
            defined = {UUID(domain.UUIDString()) for domain in self.connection.list_domains()}
        return Leftovers(frozenset(defined) | self._guest_folder().list_ids(), frozenset(self.networks.specs()))

    def read_stats(self, only: Collection[UUID] | None = None) -> Sequence[InstanceStats]:
        """Read all counters of the running guests in one bulk call; a guest whose QEMU hangs does not hold up the rest."""
        with self.connection.calls() as host:
            domains = [
                domain
                for domain in self.connection.list_domains()
                if domain.ID() >= 0 and (only is None or UUID(domain.UUIDString()) in only)
            ]
            return self._read(host, domains, libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT)

    def read_traffic(self) -> Sequence[PortTraffic]:
        """Read the counters of all ports; packet rules that somebody took away come back, and count from then on."""
        traffic = self.networks.packet_filter.read_traffic()
        if traffic is None:
            self._converge_addresses()
            traffic = self.networks.packet_filter.read_traffic()
        return traffic or ()

    def read_interfaces(self) -> Sequence[InterfaceStats]:
        """Read the counters of the host's own interfaces."""
        return self._interfaces.read()

    def take_last_reading(self, instance_id: UUID) -> InstanceStats | None:
        """Pause the guest and read it."""
        with self.connection.calls() as host:
            domain = self.connection.find_domain(instance_id)
            if domain is None or not domain.isActive():
                return None
            try:
                domain.suspend()
            except libvirt.libvirtError:
                if not domain.isActive():
                    return None
                raise
            readings = self._read(host, [domain], 0)
        return readings[0] if readings else None

    def create_instance(self, spec: InstanceSpec) -> None:
        """Make files first and the definition last, so that a defined guest always has its files."""
        self._guest_folder().make(spec)
        with self.connection.calls():
            if self.connection.find_domain(spec.instance_id) is None:
                self._define(spec, host_boot="")
        self._converge_addresses()

    def start_instance(self, spec: InstanceSpec) -> None:
        """Start the guest, or resume it; its addresses are known to DHCP and packet rules before its first packet."""
        with self.connection.calls():
            domain = self.connection.find_domain(spec.instance_id)
            if domain is not None and domain.isActive():
                let_go_on(domain)
                return
            self._guest_folder().require_whole(spec.instance_id)
            domain = self._define(spec, host_boot=read_host_boot())
        self._converge_addresses()
        with self.connection.calls():
            try:
                domain.create()
            except libvirt.libvirtError as error:
                if error.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID and domain.isActive():
                    return
                raise LaunchFailure(f"the guest does not start: {error.get_error_message()}") from error
            self._boot_epoch(domain)

    def request_shutdown(self, instance_id: UUID, request: ShutdownRequest) -> None:
        """Press the power button of a guest that runs."""
        with self.connection.calls():
            domain = self.connection.find_domain(instance_id)
            if domain is not None and domain.isActive():
                self._forget_after_reconnect()
                self._shutdowns.press(domain, request)

    def stop_instance(self, instance_id: UUID) -> None:
        """Cut the guest's power; its disk stays."""
        with self.connection.calls():
            domain = self.connection.find_domain(instance_id)
            if domain is not None:
                self._destroy(domain)

    def reboot_instance(self, spec: InstanceSpec) -> None:
        """Cut the guest's power and start it again."""
        self.stop_instance(spec.instance_id)
        self.start_instance(spec)

    def delete_instance(self, instance_id: UUID) -> None:
        """Remove everything of the instance; its addresses go before its definition, which is what remembers them."""
        with self.connection.calls():
            domain = self.connection.find_domain(instance_id)
            if domain is not None:
                self._destroy(domain)
        self._converge_addresses(without=instance_id)
        with self.connection.calls():
            domain = self.connection.find_domain(instance_id)
            if domain is not None:
                domain.undefineFlags(UNDEFINE_FLAGS)
        self._marks.pop(instance_id, None)
        self._boots.pop(instance_id, None)
        self._shutdowns.forget_guest(instance_id)
        self._guest_folder().remove(instance_id)

    def console_output(self, instance_id: UUID, *, lines_max: int | None = None) -> str:
        """Return the last lines of the serial console."""
        text = self._guest_folder().read_console(instance_id)
        if lines_max is None:
            return text
        return "".join(text.splitlines(keepends=True)[-lines_max:]) if lines_max > 0 else ""

    def ensure_network(self, spec: NetworkSpec) -> None:
        """Make the network, or put right what differs."""
        self.networks.ensure(spec)
        self._converge_addresses()

    def delete_network(self, network_id: UUID) -> None:
        """Remove the network, its bridge and its packet rules."""
        self.networks.delete(network_id)
        self._converge_addresses()

    def list_networks(self) -> frozenset[UUID]:
        """List our networks that work now."""
        return self.networks.active_ids()

    def occupied_subnets(self) -> Sequence[IPv4Network]:
        """List the IPv4 networks that are not ours."""
        return self.networks.occupied_subnets()

    def subscribe(self, callback: Callable[[LifecycleNotice], None]) -> None:
        """Hear of changes from now on."""
        self.connection.subscribe(callback)

    def release_host(self) -> None:
        """Take down networks and packet rules, put forwarding back, and take away the paths under /run."""
        self.networks.release(is_forwarding_needed=self.networks.has_foreign_active())
        self._guest_folder().release()

    def close(self) -> None:
        """Let go of the connection."""
        self.connection.close()

    def _guest_folder(self) -> GuestFolder:
        if self._folder is None:
            with self.connection.calls() as host:
                owner = read_owner(host.getCapabilities(), self._virt_type)
            self._folder = GuestFolder(self._root, installation=self.installation, owner=owner)
        return self._folder

    def _define(self, spec: InstanceSpec, *, host_boot: str) -> Domain:
        folder = self._guest_folder()
        xml = build_domain_xml(
            spec,
            installation=self.installation,
            virt_type=self._virt_type,
            files=folder.files_of(spec),
            owner=folder.owner.label,
            host_boot=host_boot,
        )
        with self.connection.calls() as host:
            try:
                domain = host.defineXMLFlags(xml, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
            except libvirt.libvirtError as error:
                raise LaunchFailure(f"libvirt refuses the guest: {error.get_error_message()}") from error
        self._marks.pop(spec.instance_id, None)
        return domain

    def _destroy(self, domain: Domain) -> None:
        try:
            domain.destroy()
        except libvirt.libvirtError as error:
            if error.get_error_code() not in {libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_NO_DOMAIN}:
                raise

    def _converge_addresses(self, *, without: UUID | None = None) -> None:
        """Give DHCP and the packet rules exactly the ports that our defined guests have."""
        with self.connection.calls():
            marks = [(self._mark(domain), int(domain.ID()) >= 0) for domain in self.connection.list_domains()]
        ports = [
            (port, is_running)
            for mark, is_running in marks
            if mark is not None and mark.instance_id != without
            for port in mark.ports
        ]
        running = frozenset(port.port_id for port, is_running in ports if is_running)
        self.networks.converge_addresses([port for port, _ in ports], running=running)

    def _mark(self, domain: Domain) -> GuestMark | None:
        self._forget_after_reconnect()
        instance_id = UUID(domain.UUIDString())
        if instance_id not in self._marks:
            try:
                xml = domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE, 0)
            except libvirt.libvirtError as error:
                if error.get_error_code() in {libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_NO_DOMAIN_METADATA}:
                    return None
                raise
            mark = read_guest_mark(xml)
            if mark is None:
                return None
            self._marks[instance_id] = mark
        return self._marks[instance_id]

    def _forget_after_reconnect(self) -> None:
        """libvirt's run numbers of guests are unique only while one libvirtd runs."""
        if self._generation != self.connection.generation:
            self._generation = self.connection.generation
            self._marks.clear()
            self._boots.clear()
            self._shutdowns.forget()

    def _observe(self, domain: Domain, record: Mapping[str, Any]) -> ObservedInstance:
        instance_id = UUID(domain.UUIDString())
        power_state, reason = read_power_state(record), int(record.get("state.reason", 0))
        if power_state in {PowerState.RUNNING, PowerState.PAUSED}:
            boot_epoch = self._find_boot_epoch(domain)
            if boot_epoch is not None:
                asked, began_at = self._shutdowns.find(domain), epoch_time(boot_epoch)
                why = StopReason.DISK_FULL if is_stalled(record) else StopReason.NONE
                return ObservedInstance(instance_id, power_state, boot_epoch, began_at, why, asked)
            power_state, reason = PowerState.SHUTOFF, int(domain.state()[1])
        known = STOP_REASONS.get(reason)
        return ObservedInstance(instance_id, power_state, reason=known or self._reason_unknown_to_libvirt(domain))

    def _find_boot_epoch(self, domain: Domain) -> int | None:
        """Return the boot epoch, or None for a guest that ended just now."""
        try:
            return self._boot_epoch(domain)
        except libvirt.libvirtError:
            if domain.isActive():
                raise
            return None

    def _reason_unknown_to_libvirt(self, domain: Domain) -> StopReason:
        """A libvirtd that was restarted no longer knows why a guest is off; our mark says in which boot of the host it was to start.

        Whether it then did is not known: whoever was to start it may have ended first.
        """
        mark = self._mark(domain)
        if mark is None or not mark.host_boot:
            return StopReason.NEVER_STARTED
        return StopReason.UNSEEN if mark.host_boot == read_host_boot() else StopReason.HOST_DOWN

    def _boot_epoch(self, domain: Domain) -> int:
        """Return when this boot began: noted in the guest's live metadata, which libvirt drops when the guest ends."""
        self._forget_after_reconnect()
        instance_id, run = UUID(domain.UUIDString()), int(domain.ID())
        known_run, boot_epoch = self._boots.get(instance_id, (None, 0))
        if known_run != run:
            boot_epoch = read_or_note_boot(domain)
            self._boots[instance_id] = (run, boot_epoch)
        return boot_epoch

    def _read(self, host: Any, domains: list[Domain], flags: int) -> list[InstanceStats]:
        if not domains:
            return []
        readings: list[InstanceStats] = []
        for domain, record in host.domainListGetStats(domains, STATS_WANTED, flags):
            if read_power_state(record) not in {PowerState.RUNNING, PowerState.PAUSED}:
                continue
            boot_epoch = self._find_boot_epoch(domain)
            if boot_epoch is None:
                continue
            mark = self._mark(domain)
            macs = {tap_name(port.port_id): port.mac_address for port in mark.ports} if mark else {}
            readings.append(read_instance_stats(UUID(domain.UUIDString()), record, boot_epoch=boot_epoch, macs=macs))
        return readings


def decide_virt_type(wanted: str) -> str:
    """Return kvm where the processor has vmx or svm and /dev/kvm opens, else qemu, which is emulation."""
    if wanted != "auto":
        return wanted
    flags = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    has_extension = flags is not None and bool({"vmx", "svm"} & set(flags.group(1).split()))
    return "kvm" if has_extension and os.access("/dev/kvm", os.R_OK | os.W_OK) else "qemu"


def read_owner(capabilities_xml: str, virt_type: str) -> Owner:
    """Read as which user and group libvirt runs QEMU, from its capabilities."""
    for model in etree.fromstring(capabilities_xml).iterfind("host/secmodel"):
        label = model.findtext(f"baselabel[@type='{virt_type}']", "")
        found = re.fullmatch(r"\+(\d+):\+(\d+)", label)
        if model.findtext("model") == "dac" and found:
            return Owner(int(found.group(1)), int(found.group(2)))
    return QEMU_USER_DEFAULT
