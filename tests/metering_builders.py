"""Builders for the tests of metering: a sample, a resource and instants that are easy to say."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from foundation.ids import new_hex_id, new_id
from metering.model import LifecycleEvent, Sample

T0 = datetime(2026, 3, 1, tzinfo=UTC)
RECEIVED_AT = datetime(2026, 6, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """Return an instant so many seconds after T0."""
    return T0 + timedelta(seconds=seconds)


def a_project() -> str:
    """Return a new project's id."""
    return new_hex_id()


def a_sample(seconds: float, value: float, *, resource_id: UUID, meter: str = "cpu", **changes: Any) -> Sample:
    """Return a sample of a counter on an instance."""
    facts: dict[str, Any] = {
        "resource_id": resource_id,
        "resource_type": "instance",
        "original_resource_id": str(resource_id),
        "project_id": "p",
        "user_id": "u",
        "meter": meter,
        "meter_type": "cumulative" if meter == "cpu" else "gauge",
        "unit": "ns" if meter == "cpu" else "MiB",
        "observed_at": at(seconds),
        "value": float(value),
    }
    return Sample(**{**facts, **changes})


def an_event(seconds: float, state: str, *, instance_id: UUID, **changes: Any) -> LifecycleEvent:
    """Return a lifecycle event of a small instance."""
    facts: dict[str, Any] = {
        "event_id": new_id(),
        "instance_id": instance_id,
        "project_id": "p",
        "user_id": "u",
        "kind": "update",
        "state": state,
        "observed_at": at(seconds),
        "name": "web",
        "flavor_id": "1",
        "flavor_name": "m1.tiny",
        "vcpus": 1,
        "ram_mib": 64,
        "disk_gib": 1,
    }
    return LifecycleEvent(**{**facts, **changes})
