"""Builders of what the tests of alarms and scaling need: an alarm on a resource, samples for it, a group of instances."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from alarms import service
from alarms.model import Actions, Alarm, AlarmSpec, ComparisonOperator, ResourceTarget, Rule
from foundation.database import Transaction
from identity.model import Caller
from metering.model import Sample
from metering.service import ingest_samples

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def an_alarm(
    tx: Transaction,
    caller: Caller,
    *,
    resource_id: UUID,
    periods: int = 1,
    actions: Actions | None = None,
    now: datetime = NOW,
    **settings: Any,
) -> Alarm:
    """An alarm on memory.usage of one instance above 50, by points of 10 s."""
    rule = Rule(
        ResourceTarget("memory.usage", "instance", str(resource_id)),
        50,
        ComparisonOperator.GT,
        periods,
        granularity_s=10,
    )
    spec = AlarmSpec(name="high", rule=rule, actions=actions or Actions(), **settings)
    return service.create_alarm(tx, spec, caller=caller, now=now)


def feed(
    tx: Transaction, caller: Caller, *, resource_id: UUID, values: Sequence[float], until: datetime, step_s: int = 10
) -> None:
    """Ingest readings of memory.usage, one each step, the last one second before `until`."""
    last = until - timedelta(seconds=1)
    samples = [
        Sample(
            resource_id=resource_id,
            resource_type="instance",
            original_resource_id=str(resource_id),
            project_id=caller.project_id,
            user_id=caller.user_id,
            meter="memory.usage",
            meter_type="gauge",
            unit="MiB",
            observed_at=last - timedelta(seconds=step_s * (len(values) - 1 - place)),
            value=value,
        )
        for place, value in enumerate(values)
    ]
    ingest_samples(tx, samples, received_at=until)
