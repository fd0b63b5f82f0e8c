"""One look at a host's counters: its guests, what their ports exchanged with the outside, and its own interfaces.

Where the packet counters do not answer, the guests are read all the same.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import structlog

from collectors.network_counters import samples_of_interfaces, samples_of_traffic
from collectors.polling import samples_of_host
from compute.domain_xml import tap_name
from compute.hypervisor.contract import (
    Hypervisor,
    HypervisorUnavailable,
    InstanceSpec,
    InstanceStats,
    InterfaceStats,
    PortTraffic,
)
from foundation.instruments import counter, gauge, histogram
from metering.model import Sample

Read = TypeVar("Read")

log = structlog.get_logger()

POLLS = counter("nephoscope_agent_polls_total", "Polls of the host: read or failed.", "outcome")
POLL_DURATION = histogram("nephoscope_agent_poll_duration_seconds", "How long the host took to tell all its counters.")
GUESTS = gauge("nephoscope_agent_guests", "Running guests that the last poll read.")
LAST_READING = gauge("nephoscope_agent_last_reading_timestamp_seconds", "When the host was last read, since 1970.")


@dataclass(frozen=True, slots=True)
class HostReading:
    """What one look at a host told."""

    instances: Sequence[InstanceStats] = ()
    traffic: Sequence[PortTraffic] = ()
    interfaces: Sequence[InterfaceStats] = ()


def read_host(hypervisor: Hypervisor) -> HostReading:
    """Read a host, each source with one call. Raises HypervisorUnavailable when it does not tell its guests."""
    started, outcome = time.perf_counter(), "failed"
    try:
        reading = HostReading(
            hypervisor.read_stats(),
            _read_or_none(hypervisor.read_traffic, "packet counters"),
            _read_or_none(hypervisor.read_interfaces, "interfaces"),
        )
        outcome = "read"
    finally:
        POLLS.add(1, outcome)
        POLL_DURATION.observe(time.perf_counter() - started)
    GUESTS.set(len(reading.instances))
    return reading


def read_last(hypervisor: Hypervisor, instance_id: UUID, spec: InstanceSpec | None) -> HostReading:
    """Read one guest that is about to end, held still; of one that is off, what its ports exchanged before it ended."""
    reading = hypervisor.take_last_reading(instance_id)
    devices = {tap_name(port.port_id) for port in spec.ports} if spec is not None else set[str]()
    traffic = _read_or_none(hypervisor.read_traffic, "packet counters") if devices else ()
    return HostReading(
        () if reading is None else (reading,), [counted for counted in traffic if counted.device in devices]
    )


def samples_of_reading(
    reading: HostReading, specs: Mapping[UUID, InstanceSpec], *, host: str, observed_at: datetime
) -> list[Sample]:
    """Make the samples of one look at a host."""
    LAST_READING.set(observed_at.timestamp())
    return [
        *samples_of_host(reading.instances, specs, host=host, observed_at=observed_at),
        *samples_of_traffic(reading.traffic, specs, observed_at=observed_at),
        *(samples_of_interfaces(reading.interfaces, host=host, observed_at=observed_at) if host else ()),
    ]


def _read_or_none(read: Callable[[], Sequence[Read]], what: str) -> Sequence[Read]:
    try:
        return read()
    except HypervisorUnavailable as error:
        log.warning("host.counters_unread", what=what, reason=error.message)
        return ()
