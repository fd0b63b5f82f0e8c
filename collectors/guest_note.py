"""A note on disk of whose a host's guests are, so that an agent that starts while the database is away knows for whom it reads.

What a guest is made of stays out of it: no user data, no key, no path.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import structlog

from collectors.spool import write_durably
from compute.hypervisor.contract import DiskSpec, InstanceSpec, PortSpec

log = structlog.get_logger()


@dataclass(slots=True)
class GuestNote:
    """The note of one host's agent; what it holds can describe a guest's samples, and can make no guest."""

    path: Path
    _written: Mapping[UUID, InstanceSpec] | None = None

    def keep(self, specs: Mapping[UUID, InstanceSpec]) -> None:
        """Write the note where it differs from what was written before; a disk that refuses it costs only the note."""
        if specs == self._written:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_durably(self.path, msgspec.json.encode([described(spec) for spec in specs.values()], enc_hook=str))
        except OSError as error:
            log.warning("agent.guest_note_unwritten", reason=str(error))
            return
        self._written = dict(specs)

    def read(self) -> dict[UUID, InstanceSpec]:
        """Read the note; empty where there is none that can be read."""
        try:
            specs = msgspec.json.decode(self.path.read_bytes(), type=list[InstanceSpec], dec_hook=decode_text)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            log.warning("agent.guest_note_unread", reason=str(error))
            return {}
        return {spec.instance_id: spec for spec in specs}


def described(spec: InstanceSpec) -> InstanceSpec:
    """Return what samples tell of a guest, without what it is made of."""
    return InstanceSpec(
        instance_id=spec.instance_id,
        project_id=spec.project_id,
        user_id=spec.user_id,
        name=spec.name,
        vcpus=spec.vcpus,
        memory_mib=spec.memory_mib,
        disk=DiskSpec(Path(), "raw", spec.disk.size_gib),
        ports=tuple(PortSpec(port.port_id, port.network_id, port.mac_address, port.ip_address) for port in spec.ports),
        flavor_name=spec.flavor_name,
        hostname=spec.hostname,
        metadata=spec.metadata,
        availability_zone=spec.availability_zone,
    )


def decode_text(wanted: type, text: Any) -> Any:
    """Read the types that JSON has no form for. Raises ValueError."""
    if wanted is IPv4Address:
        return IPv4Address(text)
    if issubclass(wanted, Path):
        return Path(text)
    raise ValueError(f"a note of guests holds no {wanted.__name__}")
