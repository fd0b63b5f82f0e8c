"""The use cases of metering, one file a noun; every function takes the transaction first and never commits."""

from metering.model import SHARD_COUNT
from metering.service.completeness import (
    CompletenessQuery,
    hourly_completeness,
    period_completeness,
    record_poll,
)
from metering.service.cpu import cpu_percent
from metering.service.doctor import Diagnosis, examine_metering
from metering.service.existence import existence_segments, find_resource_projects, record_resource_event
from metering.service.ingest import ingest_samples, record_lifecycle_event, unfit_samples
from metering.service.reading import read_windows
from metering.service.retention import claim_retention, is_retention_due, late_samples
from metering.service.rolling import backlog, dirty_shards, roll_up_shard, shard_lease
from metering.service.usage import counter_samples, counter_usage, metered_projects, state_segments, take_snapshot

__all__ = [
    "SHARD_COUNT",
    "CompletenessQuery",
    "Diagnosis",
    "backlog",
    "claim_retention",
    "counter_samples",
    "counter_usage",
    "cpu_percent",
    "dirty_shards",
    "examine_metering",
    "existence_segments",
    "find_resource_projects",
    "hourly_completeness",
    "ingest_samples",
    "is_retention_due",
    "late_samples",
    "metered_projects",
    "period_completeness",
    "read_windows",
    "record_lifecycle_event",
    "record_poll",
    "record_resource_event",
    "roll_up_shard",
    "shard_lease",
    "state_segments",
    "take_snapshot",
    "unfit_samples",
]
