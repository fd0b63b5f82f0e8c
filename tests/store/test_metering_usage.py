"""Usage from real rows: exact, piecewise equal to the whole, and the same again as of a snapshot."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.database import Pool, Transaction, transaction
from foundation.ids import new_id
from foundation.interval import TimeInterval
from metering.counters import Reading, total_increase
from metering.service import (
    counter_samples,
    counter_usage,
    ingest_samples,
    record_lifecycle_event,
    state_segments,
    take_snapshot,
)
from tests.metering_builders import RECEIVED_AT, a_project, a_sample, an_event, at

BOOT_US = 1_700_000_000_000_000

readings = st.lists(
    st.tuples(
        st.integers(0, 300),
        st.sampled_from([0, 0, BOOT_US, BOOT_US + 60_000_000]),
        st.one_of(st.integers(0, 2**53), st.floats(0, 1e17, allow_nan=False)),
        st.booleans(),
    ),
    max_size=20,
    unique_by=lambda r: (r[0], r[1]),
)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(rows=readings, cut=st.integers(1, 299))
def test_usage_is_the_sum_of_exact_increases_and_its_parts_add_up(
    tx: Transaction, rows: list[tuple[int, int, float, bool]], cut: int
) -> None:
    project, resource = a_project(), new_id()
    samples = [
        a_sample(s, value, resource_id=resource, project_id=project, boot_epoch=boot, adopted=adopted)
        for s, boot, value, adopted in rows
    ]
    ingest_samples(tx, samples, received_at=RECEIVED_AT)

    def used(start: float, end: float) -> Decimal:
        interval = TimeInterval(at(start), at(end))
        return sum(
            (u.quantity for u in counter_usage(tx, project_id=project, meter="cpu", interval=interval)), Decimal(0)
        )

    whole = used(0, 301)
    assert whole == total_increase(
        [Reading(at(s), boot, float(v), adopted) for s, boot, v, adopted in rows], "cumulative"
    )
    assert used(0, cut) + used(cut, 301) == whole
    explained = counter_samples(
        tx, project_id=project, resource_id=resource, meter="cpu", interval=TimeInterval(at(0), at(301)), limit=1000
    )
    assert sum((s.increase for s in explained), Decimal(0)) == whole
    assert len(explained) == len(rows)


def test_a_witnessed_boot_counts_whole_and_an_adopted_guest_from_zero(tx: Transaction) -> None:
    project, witnessed, adopted = a_project(), new_id(), new_id()
    for resource, is_adopted in ((witnessed, False), (adopted, True)):
        samples = [
            a_sample(0, 100, resource_id=resource, project_id=project, boot_epoch=BOOT_US, adopted=is_adopted),
            a_sample(60, 150, resource_id=resource, project_id=project, boot_epoch=BOOT_US),
            a_sample(120, 7, resource_id=resource, project_id=project, boot_epoch=BOOT_US + 90_000_000),
        ]
        ingest_samples(tx, samples, received_at=RECEIVED_AT)
    usage = counter_usage(tx, project_id=project, meter="cpu", interval=TimeInterval(at(0), at(600)))
    assert {u.resource_id: u.quantity for u in usage} == {witnessed: 157, adopted: 57}
    assert {u.instance_id for u in usage} == {witnessed, adopted}


def test_a_metric_that_is_made_anew_while_its_guest_runs_counts_nothing_twice(tx: Transaction) -> None:
    project, resource = a_project(), new_id()

    def write(seconds: float, value: float, meter: str, meter_type: str) -> None:
        sample = a_sample(
            seconds,
            value,
            resource_id=resource,
            project_id=project,
            boot_epoch=BOOT_US,
            meter=meter,
            meter_type=meter_type,
        )
        ingest_samples(tx, [sample], received_at=RECEIVED_AT)

    def used(meter: str, start: float, end: float) -> list[Decimal]:
        interval = TimeInterval(at(start), at(end))
        return [u.quantity for u in counter_usage(tx, project_id=project, meter=meter, interval=interval)]

    for meter, meter_type in (("cpu", "cumulative"), ("bandwidth", "delta")):
        write(0, 100, meter, meter_type)
        write(60, 150, meter, meter_type)
        tx.execute("UPDATE metric SET status = 'delete' WHERE resource_id = %s", (resource,))
        write(60, 150, meter, meter_type)
        write(120, 170, meter, meter_type)
    assert used("cpu", 0, 600) == [170], "the guest's counter stands at 170, however many metrics have held it"
    assert used("cpu", 90, 600) == [20]
    assert used("bandwidth", 0, 600) == [420]
    assert used("bandwidth", 60, 600) == [320]


def test_a_delta_meter_is_the_sum_of_its_samples(tx: Transaction) -> None:
    project, resource = a_project(), new_id()
    samples = [
        a_sample(s, 5, resource_id=resource, project_id=project, meter="bandwidth", meter_type="delta") for s in (0, 9)
    ]
    ingest_samples(tx, samples, received_at=RECEIVED_AT)
    usage = counter_usage(tx, project_id=project, meter="bandwidth", interval=TimeInterval(at(0), at(600)))
    assert [u.quantity for u in usage] == [10]


def test_as_of_a_snapshot_later_writes_and_overwrites_do_not_show(pool: Pool) -> None:
    project, resource = a_project(), new_id()
    interval = TimeInterval(at(0), at(600))

    def write(*samples: tuple[float, float]) -> None:
        with transaction(pool) as tx:
            batch = [a_sample(s, v, resource_id=resource, project_id=project) for s, v in samples]
            ingest_samples(tx, batch, received_at=RECEIVED_AT)

    def used(as_of: str | None = None) -> Any:
        with transaction(pool) as tx:
            return [
                u.quantity for u in counter_usage(tx, project_id=project, meter="cpu", interval=interval, as_of=as_of)
            ]

    write((-60, 10), (0, 100), (60, 150))
    with transaction(pool) as tx:
        snapshot = take_snapshot(tx)
    assert used(snapshot) == used() == [140]
    write((30, 90), (60, 200))
    write((-60, 40))
    write((60, 210))
    assert used() == [60 + 90 + 120], "60 from the overwritten 40, then a reset to 90, then 120 more"
    assert used(snapshot) == [140]


@pytest.mark.parametrize("others", [0, 1, 3])
def test_a_snapshot_never_holds_its_own_transactions_writes_whoever_else_wrote_since(pool: Pool, others: int) -> None:
    project, resource = a_project(), new_id()
    interval = TimeInterval(at(0), at(600))
    with transaction(pool) as tx:
        batch = [a_sample(s, v, resource_id=resource, project_id=project) for s, v in ((0.0, 100.0), (60.0, 150.0))]
        ingest_samples(tx, batch, received_at=RECEIVED_AT)
        for _ in range(others):
            with transaction(pool) as other:
                other.execute("SELECT pg_current_xact_id()")
        snapshot = take_snapshot(tx)
        assert counter_usage(tx, project_id=project, meter="cpu", interval=interval, as_of=snapshot) == []
        assert counter_usage(tx, project_id=project, meter="cpu", interval=interval) != []
        row = tx.execute("SELECT %s::pg_snapshot::text", (snapshot,)).fetchone()
        assert row == (snapshot,), "written as PostgreSQL writes it"


def test_segments_come_from_the_facts_in_any_order(tx: Transaction) -> None:
    project, instance = a_project(), new_id()
    events = [
        an_event(0, "active", instance_id=instance, project_id=project, kind="create"),
        an_event(100, "stopped", instance_id=instance, project_id=project),
        an_event(200, "active", instance_id=instance, project_id=project, metadata={"metering.server_group": "g"}),
        an_event(250, "active", instance_id=instance, project_id=project, kind="reboot"),
        an_event(300, "deleted", instance_id=instance, project_id=project),
    ]
    for event in [*reversed(events), events[2]]:
        record_lifecycle_event(tx, event)
    segments = state_segments(tx, project_id=project, interval=TimeInterval(at(50), at(280)))
    assert [(s.state, s.started_at, s.ended_at) for s in segments] == [
        ("active", at(50), at(100)),
        ("stopped", at(100), at(200)),
        ("active", at(200), at(280)),
    ]
    row = tx.execute(
        "SELECT ended_at, attributes ->> 'display_name' FROM resource WHERE id = %s", (instance,)
    ).fetchone()
    assert row == (at(300), "web")
    assert state_segments(tx, project_id=project, interval=TimeInterval(at(301), at(400))) == []
