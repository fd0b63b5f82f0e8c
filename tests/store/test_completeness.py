"""Completeness on a real TimescaleDB: what came against what the polls of a host should have brought, by hour and by period."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from collectors.delivery import Delivery, SampleDelivery
from collectors.spool import Spool
from foundation.database import Pool, Transaction, transaction
from foundation.errors import Invalid
from foundation.ids import new_id
from foundation.interval import TimeInterval
from metering.completeness import Completeness, GapReason, Poll
from metering.errors import ResourceNotFound
from metering.model import Sample
from metering.service import (
    CompletenessQuery,
    hourly_completeness,
    ingest_samples,
    period_completeness,
    record_lifecycle_event,
    record_poll,
)
from metering.service import completeness as service
from tests.metering_builders import RECEIVED_AT, a_project, a_sample, an_event, at

HOURS = TimeInterval(at(0), at(3 * 3600))
MINUTE = 60_000_000


class Guest:
    """An instance with a disk on a host of its own, read every minute, in a project of its own."""

    def __init__(self, tx: Transaction) -> None:
        self.tx, self.project, self.id, self.host = tx, a_project(), new_id(), f"kvm-{new_id()}"
        self.disk = new_id()

    def lives(self, second: float, state: str) -> None:
        event = an_event(second, state, instance_id=self.id, project_id=self.project, host=self.host)
        record_lifecycle_event(self.tx, event)

    def samples(self, second: float) -> list[Sample]:
        own: dict[str, Any] = {"project_id": self.project, "boot_epoch": 1}
        disk = {"instance_id": str(self.id), "name": "vda"}
        return [
            a_sample(second, second, resource_id=self.id, attributes={"host": self.host}, **own),
            a_sample(
                second,
                second,
                resource_id=self.disk,
                meter="disk.device.read.bytes",
                resource_type="instance_disk",
                attributes=disk,
                **own,
            ),
        ]

    def is_read(self, seconds: Sequence[float], *, without_disk: Sequence[float] = ()) -> None:
        samples = [sample for second in seconds for sample in self.samples(second)]
        samples = [
            s for s in samples if s.resource_id == self.id or (s.observed_at - at(0)).seconds not in without_disk
        ]
        ingest_samples(self.tx, samples, received_at=RECEIVED_AT)
        for second in seconds:
            record_poll(self.tx, Poll(self.host, at(second), MINUTE, 2, 0))

    def hours(self, resource_id: UUID | None = None) -> Sequence[Completeness]:
        query = CompletenessQuery(self.project, HOURS, resource_id)
        found, is_more = hourly_completeness(self.tx, query, now=RECEIVED_AT, after=None, limit=100)
        assert not is_more
        return found


@pytest.fixture
def guest(tx: Transaction) -> Guest:
    return Guest(tx)


def figures(found: Sequence[Completeness]) -> list[tuple[int, int, int]]:
    return [(one.expected, one.received, one.missing) for one in found]


def test_an_hour_that_was_read_whole_misses_nothing(guest: Guest) -> None:
    guest.lives(0, "active")
    guest.is_read([60 * n + 0.3 for n in range(180)])
    for resource in (guest.id, guest.disk):
        found = guest.hours(resource)
        assert figures(found) == [(60, 60, 0)] * 3
        assert [one.interval.start for one in found] == [at(0), at(3600), at(7200)]
        assert {(one.resource_id, one.gaps) for one in found} == {(resource, ())}


def test_what_is_missing_is_told_with_its_times_and_its_reason(guest: Guest) -> None:
    guest.lives(0, "active")
    kept = [n for n in range(180) if n not in (10, 11, 12, 70)]
    guest.is_read([60 * n for n in kept], without_disk=[60 * 20])
    assert figures(guest.hours(guest.id)) == [(60, 57, 3), (60, 59, 1), (60, 60, 0)]
    first = guest.hours(guest.disk)[0]
    assert first.missing == 4
    assert [(gap.interval, gap.reason) for gap in first.gaps] == [
        (TimeInterval(at(600), at(780)), GapReason.HOST_SILENT),
        (TimeInterval(at(1200), at(1260)), GapReason.RESOURCE_ABSENT),
    ]


def test_a_stopped_guest_and_one_on_a_host_that_is_down_are_expected_to_tell_nothing(guest: Guest) -> None:
    guest.lives(0, "active")
    guest.is_read([60 * n for n in range(60)])
    guest.lives(3600, "stopped")
    guest.lives(7200, "active")
    guest.lives(7200 + 600, "host_down")
    guest.is_read([7200 + 60 * n for n in range(10)])
    assert figures(guest.hours(guest.id)) == [(60, 60, 0), (0, 0, 0), (10, 10, 0)]


def test_a_deleted_guest_is_expected_up_to_its_end_and_answered_no_longer(guest: Guest) -> None:
    guest.lives(0, "active")
    guest.is_read([60 * n for n in range(30)])
    guest.lives(1800, "deleted")
    assert figures(guest.hours(guest.id)) == [(30, 30, 0)]


def test_two_readings_of_one_slot_count_once_and_a_metric_made_anew_goes_on(guest: Guest) -> None:
    guest.lives(0, "active")
    guest.is_read([60 * n for n in range(30)] + [61, 62, 63])
    guest.tx.execute("UPDATE metric SET status = 'delete' WHERE resource_id = %s", (guest.id,))
    guest.is_read([60 * n for n in range(30, 60)])
    assert figures(guest.hours(guest.id))[0] == (60, 60, 0)


def test_a_host_that_was_never_read_makes_the_expectation_unknown(guest: Guest) -> None:
    guest.lives(0, "active")
    ingest_samples(guest.tx, guest.samples(0), received_at=RECEIVED_AT)
    found = guest.hours(guest.id)
    assert figures(found) == [(0, 0, 0)] * 3
    assert found[0].unknown == timedelta(hours=1)


def test_the_pages_of_hours_follow_each_other_without_a_hole(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    guest.lives(0, "active")
    guest.is_read([60 * n for n in range(100)])
    query = CompletenessQuery(guest.project, HOURS)
    whole, _ = hourly_completeness(guest.tx, query, now=RECEIVED_AT, after=None, limit=100)
    assert len(whole) == 6
    for missed_max in (50_000, 1):
        monkeypatch.setattr(service, "MISSED_A_PAGE_MAX", missed_max)
        paged: list[Completeness] = []
        is_more = True
        while is_more:
            after = (paged[-1].resource_id, paged[-1].interval.start) if paged else None
            page, is_more = hourly_completeness(guest.tx, query, now=RECEIVED_AT, after=after, limit=2)
            assert page
            paged.extend(page)
        assert paged == list(whole)


def test_a_whole_period_is_the_sum_of_its_hours(guest: Guest) -> None:
    guest.lives(30, "active")
    guest.is_read([60 * n for n in range(180) if n % 7], without_disk=[600])
    query = CompletenessQuery(guest.project, HOURS)
    found, _ = period_completeness(guest.tx, query, now=RECEIVED_AT, after=None, limit=10)
    assert {one.resource_id for one in found} == {guest.id, guest.disk}
    for one in found:
        hours = guest.hours(one.resource_id)
        assert (one.expected, one.received) == (sum(h.expected for h in hours), sum(h.received for h in hours))
    first, is_more = period_completeness(guest.tx, query, now=RECEIVED_AT, after=None, limit=1)
    second, is_end = period_completeness(guest.tx, query, now=RECEIVED_AT, after=first[0].resource_id, limit=1)
    assert [*first, *second] == list(found)
    assert (is_more, is_end) == (True, False)


def test_another_meter_can_be_asked_for_where_there_is_one(guest: Guest) -> None:
    guest.lives(0, "active")
    guest.is_read([60 * n for n in range(180)])
    for meter, resources in (("cpu", {guest.id}), ("disk.device.read.bytes", {guest.disk}), ("memory", set[UUID]())):
        query = CompletenessQuery(guest.project, HOURS, meter=meter)
        found, _ = hourly_completeness(guest.tx, query, now=RECEIVED_AT, after=None, limit=100)
        assert {one.resource_id for one in found} == resources


def test_another_projects_resource_and_too_long_a_period_are_refused(guest: Guest) -> None:
    guest.lives(0, "active")
    with pytest.raises(ResourceNotFound):
        period_completeness(
            guest.tx, CompletenessQuery(a_project(), HOURS, guest.id), now=RECEIVED_AT, after=None, limit=1
        )
    long = TimeInterval(at(0), at(86_400 * 33))
    with pytest.raises(Invalid):
        period_completeness(guest.tx, CompletenessQuery(guest.project, long), now=RECEIVED_AT, after=None, limit=1)


def test_a_delivery_keeps_that_its_host_was_read_and_how_much_of_it_was_known_already(
    pool: Pool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with transaction(pool) as tx:
        guest = Guest(tx)
    spool = Spool(tmp_path_factory.mktemp("spool"))
    delivery = SampleDelivery(pool, spool, poll_interval_s=60)
    for _ in range(2):
        assert delivery.deliver(guest.samples(0), now=RECEIVED_AT) is Delivery.INGESTED
    delivery.keep(guest.samples(60))
    assert delivery.drain(now=RECEIVED_AT) == 1
    with transaction(pool) as tx:
        rows = tx.execute(
            "SELECT observed_at, interval_us, samples, repeated, is_spooled, received_at > now() - interval '1 minute'"
            " FROM poll WHERE source = %s ORDER BY observed_at",
            (guest.host,),
        ).fetchall()
    assert rows == [(at(0), MINUTE, 4, 2, False, True), (at(60), MINUTE, 2, 0, True, True)]


def test_a_guest_read_by_itself_is_no_look_at_its_host(pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Of a host that was not polled, a last reading at a stop must not say that it was, and the others absent."""
    with transaction(pool) as tx:
        guest = Guest(tx)
        guest.lives(0, "active")
    delivery = SampleDelivery(pool, Spool(tmp_path_factory.mktemp("spool")), poll_interval_s=60)
    delivery.deliver(guest.samples(0), now=RECEIVED_AT)
    delivery.deliver(guest.samples(90)[:1], now=RECEIVED_AT, is_poll=False)
    delivery.keep(guest.samples(150)[:1], is_poll=False)
    delivery.keep(guest.samples(240))
    assert delivery.drain(now=RECEIVED_AT) == 2
    with transaction(pool) as tx:
        polled = tx.execute("SELECT observed_at FROM poll WHERE source = %s ORDER BY 1", (guest.host,)).fetchall()
        guest.tx = tx
        disk, *_ = guest.hours(guest.disk)
    assert polled == [(at(0),), (at(240),)]
    first, *_ = disk.gaps
    assert (first.interval, first.reason) == (TimeInterval(at(60), at(240)), GapReason.HOST_SILENT)
