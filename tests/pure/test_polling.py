"""A host's reading made into samples: Ceilometer's words, and nothing invented."""

from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from collectors.polling import memory_usage_mib, samples_of_host, samples_of_instance
from compute.hypervisor.contract import (
    DiskSpec,
    DiskStats,
    InstanceSpec,
    InstanceStats,
    PortStats,
    PowerState,
)
from metering.model import Sample, resource_id_of

AT = datetime(2026, 1, 1, tzinfo=UTC)
ID = UUID("0199a000-0000-7000-8000-00000000abcd")
SPEC = InstanceSpec(
    ID, "p", "u", "web", 2, 512, DiskSpec(Path("x"), "qcow2", 5), metadata=(("metering.server_group", "g"),)
)
DISK = DiskStats("vda", 1, 2, 3, 4, 5, 6, 7, 8, 9)
PORT = PortStats("nt1", "52:54:00:00:00:01", 10, 11, 12, 13, 14, 15, 16, 17)
READING = InstanceStats(ID, PowerState.RUNNING, 99, 1_000, 2, 4096, 1024, 2048, 3072, 512, 256, (DISK,), (PORT,))

EXPECTED = {
    "cpu": ("cumulative", "ns", 1_000),
    "vcpus": ("gauge", "vcpu", 2),
    "memory": ("gauge", "MiB", 512),
    "memory.usage": ("gauge", "MiB", 3),
    "memory.available": ("gauge", "MiB", 4),
    "memory.resident": ("gauge", "MiB", 3),
    "memory.swap.in": ("cumulative", "MiB", 0.5),
    "memory.swap.out": ("cumulative", "MiB", 0.25),
    "power.state": ("gauge", "state", 1),
    "disk.root.size": ("gauge", "GiB", 5),
    "disk.device.read.bytes": ("cumulative", "B", 1),
    "disk.device.read.requests": ("cumulative", "request", 2),
    "disk.device.read.latency": ("cumulative", "ns", 3),
    "disk.device.write.bytes": ("cumulative", "B", 4),
    "disk.device.write.requests": ("cumulative", "request", 5),
    "disk.device.write.latency": ("cumulative", "ns", 6),
    "disk.device.capacity": ("gauge", "B", 7),
    "disk.device.allocation": ("gauge", "B", 8),
    "disk.device.usage": ("gauge", "B", 9),
    "network.incoming.bytes": ("cumulative", "B", 10),
    "network.incoming.packets": ("cumulative", "packet", 11),
    "network.incoming.packets.drop": ("cumulative", "packet", 12),
    "network.incoming.packets.error": ("cumulative", "packet", 13),
    "network.outgoing.bytes": ("cumulative", "B", 14),
    "network.outgoing.packets": ("cumulative", "packet", 15),
    "network.outgoing.packets.drop": ("cumulative", "packet", 16),
    "network.outgoing.packets.error": ("cumulative", "packet", 17),
}


def samples_of(reading: InstanceStats) -> list[Sample]:
    return list(samples_of_instance(reading, SPEC, host="h", observed_at=AT))


def test_a_full_reading_gives_every_meter_once_with_its_type_and_unit() -> None:
    samples = samples_of(READING)
    assert {s.meter: (s.meter_type, s.unit, s.value) for s in samples} == EXPECTED
    assert len(samples) == len(EXPECTED)


def test_samples_belong_to_the_resources_that_ceilometer_names() -> None:
    by_type = {sample.resource_type: sample for sample in samples_of(READING)}
    assert by_type["instance"].original_resource_id == str(ID)
    assert by_type["instance"].resource_id == ID
    assert by_type["instance"].attributes["server_group"] == "g"
    assert by_type["instance_disk"].original_resource_id == f"{ID}-vda"
    assert by_type["instance_network_interface"].original_resource_id == f"instance-0000abcd-{ID}-nt1"
    for sample in by_type.values():
        assert sample.resource_id == resource_id_of(sample.original_resource_id)
        assert (sample.observed_at, sample.boot_epoch, sample.project_id) == (AT, 99, "p")


@given(st.sets(st.sampled_from([f.name for f in fields(InstanceStats) if f.default is None])))
def test_what_the_host_does_not_tell_makes_no_sample_and_no_zero(missing: set[str]) -> None:
    partial = replace(READING, **dict.fromkeys(missing, None))
    told = {(s.meter, s.value) for s in samples_of(partial)}
    assert all(value == EXPECTED[meter][2] for meter, value in told if meter != "memory.usage")
    if "cpu_time_ns" in missing:
        assert "cpu" not in {meter for meter, _ in told}


def test_memory_usage_falls_back_to_what_is_unused() -> None:
    assert memory_usage_mib(replace(READING, memory_usable_kib=None)) == 2
    assert memory_usage_mib(replace(READING, memory_usable_kib=None, memory_unused_kib=None)) is None


def test_a_guest_of_which_nobody_knows_whose_it_is_makes_no_sample() -> None:
    assert samples_of_host([READING], {}, host="h", observed_at=AT) == []
    assert len(samples_of_host([READING], {ID: SPEC}, host="h", observed_at=AT)) == len(EXPECTED)
