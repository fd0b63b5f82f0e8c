"""A small cloud history for billing's store tests: written through metering's own services, in projects of their own."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from foundation.database import Pool, transaction
from foundation.ids import new_hex_id, new_id
from metering.model import LifecycleEvent, LifecycleState, Sample
from metering.service import ingest_samples, record_lifecycle_event

MARCH = datetime(2026, 2, 28, 15, tzinfo=UTC)
"""The first instant of March 2026 in Tokyo."""
APRIL = datetime(2026, 3, 31, 15, tzinfo=UTC)
NOW = datetime(2026, 4, 2, tzinfo=UTC)


@dataclass(slots=True)
class Cloud:
    """A project with one instance, whose life and traffic a test tells."""

    pool: Pool
    project_id: str = field(default_factory=new_hex_id)
    instance_id: UUID = field(default_factory=new_id)
    nic_id: UUID = field(default_factory=new_id)

    def lives(
        self, at: datetime, state: LifecycleState, *, kind: str = "start", flavor: str = "m1.small", vcpus: int = 1
    ) -> UUID:
        """Record a fact of the instance's life, committed."""
        event = LifecycleEvent(
            event_id=new_id(),
            instance_id=self.instance_id,
            project_id=self.project_id,
            user_id=None,
            kind=kind,
            state=state,
            observed_at=at,
            name="=web-1",
            flavor_id=flavor,
            flavor_name=flavor,
            vcpus=vcpus,
            ram_mib=512 * vcpus,
            disk_gib=10,
        )
        with transaction(self.pool) as tx:
            record_lifecycle_event(tx, event)
        return event.event_id

    def sends(self, readings: Sequence[tuple[datetime, int]], *, boot: datetime) -> None:
        """Take in readings of the outgoing counter since a boot, committed."""
        samples = [
            Sample(
                resource_id=self.nic_id,
                resource_type="instance_network_interface",
                original_resource_id=f"instance-1-{self.instance_id}-tap0",
                project_id=self.project_id,
                user_id=None,
                meter="network.outgoing.bytes",
                meter_type="cumulative",
                unit="B",
                observed_at=at,
                value=value,
                boot_epoch=(boot - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1),
                attributes={"instance_id": str(self.instance_id)},
            )
            for at, value in readings
        ]
        with transaction(self.pool) as tx:
            result = ingest_samples(tx, samples, received_at=NOW)
        assert result.accepted + result.superseded + result.repeated == len(samples)
