"""Counters through stop and start, reboot, rebuild, migration, resets and outages: usage is what was consumed, and never negative."""

from collections.abc import Generator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import LiteralString
from uuid import UUID

import pytest

from billing.model import Authorship
from billing.prices import CounterPrice
from billing.service import add_price_version, assign_plan, create_price_plan, draft_invoice, invoice_lines
from collectors.network_counters import samples_of_traffic
from collectors.polling import disk_identity, port_identity, samples_of_host
from compute import service as compute
from compute.domain_xml import ROOT_DEVICE, tap_name
from compute.hypervisor.contract import DiskStats, InstanceSpec, PortStats, StopReason
from compute.hypervisor.simulated import Load, SimulatedGuest, SimulatedHypervisor
from compute.model import Instance
from foundation.database import Pool, Transaction, transaction
from foundation.ids import new_hex_id
from foundation.interval import TimeInterval
from metering.counters import Reading, total_increase
from metering.model import Sample
from metering.service import counter_samples, counter_usage, ingest_samples
from tests.compute_builders import NOW, a_cloud
from tests.conftest import own_pool
from tests.metering_builders import RECEIVED_AT, a_project, a_sample, at
from tests.store.test_agent import Rig
from tests.store.test_metering_rollups import roll_up_all

LONG = TimeInterval(NOW - timedelta(days=40), NOW + timedelta(days=40))
BOOT_US = 1_772_323_200_000_000
BY = Authorship(actor="user:tester", reason="a test", request_id="req-1")
LOAD = Load(cpu_fraction=0.5, outgoing_bytes=2_000, external_outgoing_bytes=1_500, external_incoming_bytes=600)


class TruthfulHost(SimulatedHypervisor):
    """A simulated host that remembers what each ended boot had consumed: the truth that usage is held to."""

    def __init__(self, *, now: datetime, hostname: str) -> None:
        super().__init__(now=now, hostname=hostname)
        self.default_load = LOAD
        self.ended: dict[UUID, list[tuple[int, int]]] = {}

    def _end(self, guest: SimulatedGuest, reason: StopReason) -> None:
        super()._end(guest, reason)
        self.ended.setdefault(guest.spec.instance_id, []).append((guest.cpu_time_ns, guest.outgoing_bytes))

    def consumed(self, instance_id: UUID) -> tuple[int, int]:
        """CPU ns and outgoing bytes of all its boots, as far as they were counted."""
        boots = list(self.ended.get(instance_id, []))
        guest = self.guests.get(instance_id)
        if guest is not None and guest.boot_epoch:
            boots.append((guest.cpu_time_ns, guest.outgoing_bytes))
        return sum(boot[0] for boot in boots), sum(boot[1] for boot in boots)


@pytest.fixture(scope="module")
def pool(cluster_url: str) -> Generator[Pool]:
    """A database of these tests alone: their hosts would take other tests' instances, and they roll up all there is."""
    with own_pool(cluster_url) as opened:
        yield opened


@pytest.fixture
def rig(pool: Pool, tmp_path: Path) -> Rig:
    """A cloud of one truthful host; hosts of the tests before take nothing."""
    hostname = f"host-{new_hex_id()}"
    with transaction(pool) as tx:
        cloud = a_cloud(tx, hostname=hostname)
    return Rig(pool, "", "", tmp_path, cloud, TruthfulHost(now=NOW, hostname=hostname))


def used(rig: Rig, instance: Instance, meter: str) -> int:
    """What the project's instance has used of a meter, by all its resources."""
    with transaction(rig.pool) as tx:
        usages = counter_usage(tx, project_id=rig.cloud.caller.project_id or "", meter=meter, interval=LONG)
    mine = [usage for usage in usages if usage.instance_id == instance.id]
    assert len({usage.resource_id for usage in mine}) == len(mine)
    return int(sum((usage.quantity for usage in mine), Decimal(0)))


def truth(rig: Rig, instance: Instance) -> tuple[int, int]:
    assert isinstance(rig.host, TruthfulHost)
    return rig.host.consumed(instance.id)


def epochs(rig: Rig, instance: Instance) -> int:
    return len({epoch for _, epoch, _ in rig.samples(instance.id, "cpu")})


def test_stop_and_start_count_every_boot_whole(rig: Rig) -> None:
    instance = rig.active()
    for _ in range(3):
        rig.step(95)
        rig.stop_instance(instance.id)
        rig.step(7)
        assert (used(rig, instance, "cpu"), used(rig, instance, "network.outgoing.bytes")) == truth(rig, instance)
        start(rig, instance)
        rig.step(13)
    rig.step(60)
    assert epochs(rig, instance) == 4
    assert (used(rig, instance, "cpu"), used(rig, instance, "network.outgoing.bytes")) == truth(rig, instance)


def start(rig: Rig, instance: Instance) -> None:
    with transaction(rig.pool) as tx:
        compute.start_instance(tx, caller=rig.cloud.caller, instance_id=instance.id, now=rig.host.now)


def test_a_reboot_between_two_polls_loses_nothing(rig: Rig) -> None:
    instance = rig.active()
    for _ in range(3):
        rig.step(61)
        with transaction(rig.pool) as tx:
            compute.reboot_instance(
                tx, caller=rig.cloud.caller, instance_id=instance.id, is_hard=True, now=rig.host.now
            )
        rig.step(1)
    rig.step(60)
    assert epochs(rig, instance) == 4
    assert (used(rig, instance, "cpu"), used(rig, instance, "network.outgoing.bytes")) == truth(rig, instance)


def test_a_boot_that_nobody_watched_is_known_by_its_epoch_and_only_what_nobody_read_is_missing(rig: Rig) -> None:
    instance = rig.active()
    rig.step(60)
    spec = rig.host.guests[instance.id].spec
    seen = truth(rig, instance)[0]
    rig.host.advance(rig.host.now + timedelta(hours=2))
    rig.host.reboot_instance(spec)
    unread = truth(rig, instance)[0] - seen
    rig.host.advance(rig.host.now + timedelta(hours=3))
    rig.agent = rig.new_agent()
    rig.step(1)
    rig.step(60)
    assert epochs(rig, instance) == 2
    assert used(rig, instance, "cpu") == truth(rig, instance)[0] - unread


def test_a_rebuilt_instance_is_one_resource_with_a_new_boot(rig: Rig) -> None:
    instance = rig.active()
    rig.step(60)
    spec = rig.host.guests[instance.id].spec
    before = truth(rig, instance)
    last = rig.host.take_last_reading(instance.id)
    assert last is not None
    keep(rig.pool, samples_of_host([last], {spec.instance_id: spec}, host="h", observed_at=rig.host.now))
    rig.host.stop_instance(instance.id)
    rig.host.delete_instance(instance.id)
    rig.host.create_instance(replace(spec, disk=replace(spec.disk, image_path=Path("another"))))
    rig.host.start_instance(spec)
    rig.step(60)
    rig.step(60)
    assert epochs(rig, instance) == 2
    assert truth(rig, instance)[0] > before[0]
    assert (used(rig, instance, "cpu"), used(rig, instance, "network.outgoing.bytes")) == truth(rig, instance)


def keep(pool: Pool, samples: list[Sample]) -> None:
    with transaction(pool) as tx:
        assert ingest_samples(tx, samples, received_at=RECEIVED_AT).rejected == ()


def test_a_migrated_guest_is_one_resource_and_no_second_is_counted_twice(pool: Pool, rig: Rig) -> None:
    instance = rig.active()
    spec = rig.host.guests[instance.id].spec
    source, target = rig.host, TruthfulHost(now=NOW, hostname="target")
    for network in source.network_specs.values():
        target.ensure_network(network)
    target.create_instance(spec)
    samples: list[Sample] = []

    def look(host: SimulatedHypervisor, seconds: int) -> None:
        host.advance(NOW + timedelta(seconds=seconds))
        specs = {spec.instance_id: spec}
        samples.extend(samples_of_host(host.read_stats(), specs, host="h", observed_at=host.now))
        samples.extend(samples_of_traffic(host.read_traffic(), specs, observed_at=host.now))

    for seconds in (60, 120):
        look(source, seconds)
    target.advance(NOW + timedelta(seconds=130))
    target.start_instance(spec)
    look(target, 140)
    look(source, 150)
    source.stop_instance(spec.instance_id)
    look(target, 180)
    look(target, 240)
    assert isinstance(source, TruthfulHost)
    Random(7).shuffle(samples)
    for _ in range(2):
        keep(pool, samples)
    cpu, outgoing = (a + b for a, b in zip(source.consumed(instance.id), target.consumed(instance.id), strict=True))
    assert used(rig, instance, "cpu") == cpu
    assert used(rig, instance, "network.outgoing.bytes") == outgoing
    guests = source.guests[instance.id], target.guests[instance.id]
    assert used(rig, instance, "network.external.outgoing.bytes") == sum(g.external_outgoing_bytes for g in guests)


def test_packet_counters_outlive_boots_and_a_reset_of_them_counts_from_zero_again(rig: Rig) -> None:
    instance = rig.active()
    rig.step(60)
    rig.stop_instance(instance.id)
    rig.step(5)
    start(rig, instance)
    rig.step(1)
    rig.step(60)
    guest = rig.host.guests[instance.id]
    meters = ("network.external.outgoing.bytes", "network.external.incoming.bytes")
    assert [used(rig, instance, meter) for meter in meters] == [
        guest.external_outgoing_bytes,
        guest.external_incoming_bytes,
    ]
    before = guest.external_outgoing_bytes
    rig.host.reset_traffic()
    rig.step(60)
    rig.step(60)
    assert guest.external_outgoing_bytes < before
    assert used(rig, instance, meters[0]) == before + guest.external_outgoing_bytes


def test_a_guest_that_shut_itself_down_and_is_deleted_has_its_last_bytes_counted(rig: Rig) -> None:
    instance = rig.active()
    rig.step(60)
    rig.host.advance(rig.host.now + timedelta(seconds=30))
    rig.host.shut_down_inside(instance.id)
    sent = rig.host.guests[instance.id].external_outgoing_bytes
    rig.delete(instance.id)
    rig.step(1)
    assert instance.id not in rig.host.guests
    assert used(rig, instance, "network.external.outgoing.bytes") == sent


def test_what_left_the_cloud_stands_on_the_bill_of_the_ports_project(rig: Rig) -> None:
    instance = rig.active()
    rig.step(60)
    rig.step(3600)
    sent = rig.host.guests[instance.id].external_outgoing_bytes
    project_id = rig.cloud.caller.project_id or ""
    price = CounterPrice("network.external.outgoing.bytes", "B", "MiB", Decimal(2**20), Decimal(1000))
    period = TimeInterval(NOW - timedelta(hours=12), NOW + timedelta(hours=12))
    with transaction(rig.pool) as tx:
        plan = create_price_plan(tx, name=f"traffic-{new_hex_id()}", currency="JPY", by=BY, now=period.start)
        add_price_version(tx, plan.id, prices=(price,), effective_from=period.start, by=BY, now=period.start)
        assign_plan(tx, project_id, plan_id=plan.id, effective_from=period.start, by=BY, now=period.start)
        invoice = draft_invoice(tx, project_id=project_id, interval=period, by=BY, now=period.end)
        [line] = [one for one in invoice_lines(tx, invoice.id) if one.meter == price.meter]
    assert (line.base_quantity, line.base_unit, line.amount) == (sent, "B", sent * 1000 // 2**20)


def ports_of(spec: InstanceSpec) -> list[UUID]:
    return [port_identity(PortStats(tap_name(port.port_id)), spec).id for port in spec.ports]


def test_disk_and_port_counters_carry_the_boot_of_their_guest(rig: Rig) -> None:
    instance = rig.active()
    rig.step(60)
    spec = rig.host.guests[instance.id].spec
    boot = rig.host.guests[instance.id].boot_epoch
    disk = disk_identity(DiskStats(ROOT_DEVICE), spec).id
    for resource_id, meter in ((disk, "disk.device.write.bytes"), (ports_of(spec)[0], "network.outgoing.bytes")):
        assert {epoch for _, epoch, _ in rig.samples(resource_id, meter)} == {boot}


ROLLED_UP: LiteralString = """
    SELECT coalesce(sum(r.increase_sum), 0) FROM rollup r JOIN metric m ON m.key = r.metric_key
    WHERE m.resource_id = %s AND r.granularity_us = 60000000
"""


@pytest.mark.parametrize("seed", range(12))
def test_the_store_agrees_with_the_rule_on_any_history_of_boots_resets_wraps_and_noise(
    tx: Transaction, seed: int
) -> None:
    random = Random(seed)
    project_id, resource_id = a_project(), UUID(int=random.getrandbits(128), version=4)
    samples = [
        a_sample(
            second,
            value,
            resource_id=resource_id,
            project_id=project_id,
            boot_epoch=epoch,
            adopted=is_adopted and epoch != 0,
        )
        for second, value, epoch, is_adopted in a_history(random)
    ]
    random.shuffle(samples)
    for part in (samples[::2], samples, samples[1::3]):
        ingest_samples(tx, part, received_at=RECEIVED_AT)
    expected = total_increase([Reading(s.observed_at, s.boot_epoch, s.value, s.adopted) for s in samples], "cumulative")
    interval = TimeInterval(at(-86_400), at(86_400))
    [usage] = counter_usage(tx, project_id=project_id, meter="cpu", interval=interval)
    traced = counter_samples(
        tx, project_id=project_id, resource_id=resource_id, meter="cpu", interval=interval, limit=10_000
    )
    assert usage.quantity == expected
    assert sum(one.increase for one in traced) == expected
    assert all(one.increase >= 0 for one in traced)
    assert {one.boot_epoch for one in traced} == {s.boot_epoch for s in samples}
    roll_up_all(tx)
    row = tx.execute(ROLLED_UP, (resource_id,)).fetchone()
    assert row is not None
    assert int(row[0]) == expected


def a_history(random: Random) -> list[tuple[int, int, int, bool]]:
    """Second, value, epoch and whether adopted: boots known and unknown, wraps of 32 bits, falls by noise, gaps."""
    second, readings = 0, list[tuple[int, int, int, bool]]()
    for _ in range(random.randint(1, 5)):
        epoch = 0 if random.random() < 0.3 else BOOT_US + second * 1_000_000
        value, is_adopted = random.randrange(10_000), random.random() < 0.2
        for _ in range(random.randint(1, 8)):
            second += random.choice((1, 30, 60, 4_000))
            value = (value + random.randrange(2**31)) % 2**32 if epoch == 0 else value + random.randrange(2**40)
            noise = random.choice((0, 0, 0, 1, 17))
            readings.append((second, max(0, value - noise), epoch, is_adopted))
    return readings
