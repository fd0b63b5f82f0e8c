"""Taking in samples and lifecycle events."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from uuid import UUID

import numpy as np

from foundation.database import Transaction
from foundation.errors import Invalid
from foundation.ids import new_id
from metering.measured import count_measures
from metering.model import IngestResult, LifecycleEvent, RejectedSample, Sample
from metering.samples import choose_archive_policy, fault_of_sample, fault_of_time, merged_attributes, microseconds_of
from metering.store import intake, lifecycle, policies
from metering.store.intake import NewMetric, SeenResource
from metering.store.measures import MeasureColumns, require_few_chunks, write_measures
from metering.store.resources import begin_earlier

SAMPLES_MAX = 100_000


class BatchTooLarge(Invalid):
    """More samples than one transaction takes."""

    def __init__(self, count: int) -> None:
        super().__init__(f"a batch has at most {SAMPLES_MAX} samples, not {count}")


def ingest_samples(tx: Transaction, samples: Sequence[Sample], *, received_at: datetime) -> IngestResult:
    """Keep samples once each, whatever their order and however often they come; resources and metrics are made on the way.

    A sample that cannot be kept (more than 5 minutes in the future, before 1970, not finite, of an unknown resource type)
    is rejected alone, with its place in the batch and the reason. What is kept is visible to readers at commit.
    """
    if len(samples) > SAMPLES_MAX:
        raise BatchTooLarge(len(samples))
    rejected = unfit_samples(tx, samples, received_at=received_at)
    count_measures(rejected=len(rejected))
    unfit = {one.position for one in rejected}
    good = [sample for position, sample in enumerate(samples) if position not in unfit]
    if not good:
        return IngestResult(0, 0, 0, rejected)
    keys = ensure_metrics(tx, good)
    columns = columns_of(good, keys)
    require_few_chunks(columns.observed_us)
    counts = write_measures(tx, columns)
    return IngestResult(counts.accepted, counts.repeated, counts.superseded, rejected)


def unfit_samples(tx: Transaction, samples: Sequence[Sample], *, received_at: datetime) -> tuple[RejectedSample, ...]:
    """Say which samples would be rejected and why, for who has to know before more is done; changes nothing."""
    resource_types = intake.list_resource_type_names(tx)
    faults = [fault_of_sample(s, received_at=received_at, resource_types=resource_types) for s in samples]
    return tuple(RejectedSample(position, fault) for position, fault in enumerate(faults) if fault is not None)


def ensure_metrics(tx: Transaction, samples: Sequence[Sample]) -> dict[tuple[UUID, str], int]:
    """Return the key of each sample's metric, making what is missing."""
    by_metric = {(sample.resource_id, sample.meter): sample for sample in samples}
    wanted = list(by_metric)
    keys = intake.find_metric_keys(tx, wanted)
    resources = seen_resources(samples)
    missing = [pair for pair in wanted if pair not in keys]
    if missing:
        lacking = {pair[0] for pair in missing}
        intake.ensure_resources(tx, [resource for resource in resources if resource.id in lacking])
        rules = policies.list_rules(tx)
        intake.make_metrics(
            tx,
            [
                NewMetric(
                    id=new_id(),
                    resource_id=resource_id,
                    name=name,
                    unit=by_metric[resource_id, name].unit,
                    meter_type=by_metric[resource_id, name].meter_type,
                    archive_policy_name=choose_archive_policy(rules, name) or "nephoscope",
                )
                for resource_id, name in missing
            ],
        )
        keys |= intake.find_metric_keys(tx, missing)
    intake.apply_attributes(tx, resources)
    return keys


def seen_resources(samples: Sequence[Sample]) -> list[SeenResource]:
    """Return the resources that samples belong to, each with the attributes that they tell."""
    ordered = sorted(samples, key=lambda sample: sample.resource_id)
    seen: list[SeenResource] = []
    for resource_id, group in groupby(ordered, key=lambda sample: sample.resource_id):
        own = list(group)
        latest = max(own, key=lambda sample: sample.observed_at)
        seen.append(
            SeenResource(
                resource_id,
                latest.resource_type,
                latest.original_resource_id,
                latest.project_id,
                latest.user_id or "",
                latest.observed_at,
                merged_attributes(own),
            )
        )
    return seen


def columns_of(samples: Sequence[Sample], keys: dict[tuple[UUID, str], int]) -> MeasureColumns:
    """Turn samples into columns; adding zero turns a negative zero into zero, so that sums do not depend on its sign."""
    return MeasureColumns(
        np.array([keys[s.resource_id, s.meter] for s in samples], dtype=np.int64),
        np.array([microseconds_of(s.observed_at) for s in samples], dtype=np.int64),
        np.array([s.boot_epoch for s in samples], dtype=np.int64),
        np.array([s.value for s in samples], dtype=np.float64) + 0.0,
        np.array([s.adopted for s in samples], dtype=np.bool_),
    )


def record_lifecycle_event(tx: Transaction, event: LifecycleEvent, *, received_at: datetime | None = None) -> None:
    """Keep a fact about an instance once; segments are derived from all of them when they are read.

    The instance's resource follows the latest fact, whatever the order of arrival. Raises Invalid for an absurd time.
    """
    fault = fault_of_time(event.observed_at, received_at=received_at or event.observed_at)
    if fault:
        raise Invalid(fault, field="observed_at")
    if not lifecycle.insert_event(tx, event):
        return
    attributes = attributes_of(event)
    lifecycle.hold_instance(tx, event, attributes=attributes)
    if lifecycle.is_latest(tx, event):
        lifecycle.follow_event(tx, event, attributes=attributes)
    else:
        begin_earlier(tx, event.instance_id, event.observed_at)


def attributes_of(event: LifecycleEvent) -> dict[str, str]:
    """Return the attributes by which Ceilometer's users group instances; server_group is the metadata's metering.server_group."""
    attributes = {
        "display_name": event.name,
        "flavor_id": event.flavor_id,
        "flavor_name": event.flavor_name,
        "vcpus": str(event.vcpus),
        "host": event.host or "",
        "image_ref": event.image_id or "",
    }
    group = event.metadata.get("metering.server_group")
    return {**event.attributes, **attributes, **({"server_group": group} if group else {})}
