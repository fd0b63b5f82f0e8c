"""What one resource counted in two units is never added up: each unit is a usage of its own, with its own readings."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from foundation.database import Pool, transaction
from foundation.ids import new_hex_id, new_id
from foundation.interval import TimeInterval
from metering.model import Sample
from metering.service import counter_samples, counter_usage, ingest_samples
from tests.metering_builders import T0, a_sample

METER = "network.outgoing.bytes"
PROJECT, RESOURCE = new_hex_id(), new_id()
HOUR = TimeInterval(T0, T0 + timedelta(hours=1))


def reading(seconds: float, value: float, *, unit: str, boot: int) -> Sample:
    kind: dict[str, Any] = {"meter": METER, "meter_type": "cumulative", "unit": unit, "boot_epoch": boot}
    return a_sample(seconds, value, resource_id=RESOURCE, project_id=PROJECT, **kind)


def test_two_units_are_two_usages_and_each_has_its_own_readings(pool: Pool) -> None:
    with transaction(pool) as tx:
        ingest_samples(tx, [reading(60, 5, unit="zB", boot=7)], received_at=HOUR.end)
        tx.execute("UPDATE metric SET status = 'delete' WHERE resource_id = %s", (RESOURCE,))
        ingest_samples(
            tx, [reading(120, 1000, unit="B", boot=8), reading(180, 3000, unit="B", boot=8)], received_at=HOUR.end
        )
    with transaction(pool) as tx:
        usage = counter_usage(tx, project_id=PROJECT, meter=METER, interval=HOUR)
        assert {(one.unit, one.quantity, one.sample_count) for one in usage} == {("B", 3000, 2), ("zB", 5, 1)}
        for one in usage:
            parts = counter_samples(
                tx, project_id=PROJECT, resource_id=RESOURCE, meter=METER, interval=HOUR, limit=9, unit=one.unit
            )
            assert sum((part.increase for part in parts), Decimal(0)) == one.quantity
