"""A user who makes what the product is about to measure, before it does, changes nothing of what is measured and billed."""

from datetime import timedelta
from decimal import Decimal

from foundation.database import Transaction
from foundation.ids import new_id
from foundation.interval import TimeInterval
from metering import service
from tests.metering_builders import RECEIVED_AT, T0, a_project, a_sample

METER = "network.outgoing.bytes"


def test_a_metric_that_a_user_made_first_makes_no_traffic_free(tx: Transaction) -> None:
    project, card = a_project(), new_id()
    tx.execute(
        "INSERT INTO resource (id, resource_type, original_resource_id, creator, project_id, user_id, started_at,"
        " revision_start, attributes) VALUES (%s, 'generic', %s, %s, %s, 'u', now(), now(), '{}')",
        (card, str(card), f"u:{project}", project),
    )
    tx.execute(
        "INSERT INTO metric (id, name, unit, meter_type, archive_policy_name, resource_id, created_by_user_id,"
        " created_by_project_id) VALUES (%s, %s, 'apples', 'gauge', 'low', %s, 'u', %s)",
        (new_id(), METER, card, project),
    )
    readings = [
        a_sample(
            60 * number,
            1000.0 * number,
            resource_id=card,
            meter=METER,
            meter_type="cumulative",
            unit="B",
            resource_type="instance_network_interface",
            project_id=project,
            boot_epoch=1,
        )
        for number in range(1, 4)
    ]
    service.ingest_samples(tx, readings, received_at=RECEIVED_AT)
    hour = TimeInterval(T0, T0 + timedelta(hours=1))
    usage = service.counter_usage(tx, project_id=project, meter=METER, interval=hour)
    assert [(each.quantity, each.unit) for each in usage] == [(Decimal(3000), "B")]
    kind = tx.execute("SELECT resource_type FROM resource WHERE id = %s", (card,)).fetchone()
    assert kind == ("instance_network_interface",)
