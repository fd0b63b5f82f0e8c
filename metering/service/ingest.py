"""Taking in samples and lifecycle events."""

from collections.abc import Sequence
from datetime import datetime

from foundation.database import Transaction
from metering.model import IngestResult, LifecycleEvent, Sample


def ingest_samples(tx: Transaction, samples: Sequence[Sample], *, received_at: datetime) -> IngestResult:
    """Keep samples once each, whatever their order and however often they come; resources and metrics are made on the way."""
    raise NotImplementedError


def record_lifecycle_event(tx: Transaction, event: LifecycleEvent) -> None:
    """Keep a fact about an instance once; segments are derived from all of them when they are read."""
    raise NotImplementedError
