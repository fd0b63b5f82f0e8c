"""Which samples can be kept, and which archive policy a new metric gets. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

from metering.model import BOOT_SKEW_MAX_S, FUTURE_SKEW_MAX_S, VALUE_MAX, Sample

OLDEST = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
FIRST_INSTANT_US = -62_135_596_800_000_000
LAST_INSTANT_US = 253_402_300_799_999_999
"""The first and last instants that a datetime can hold, in microseconds since 1970: what lies beyond is no instant at all."""
NAME_LENGTH_MAX = 255
UNIT_LENGTH_MAX = 31


@dataclass(frozen=True, slots=True)
class ArchivePolicyRule:
    """Metrics whose name matches the pattern (with * and ?) get the archive policy."""

    name: str
    metric_pattern: str
    archive_policy_name: str


def microseconds_of(instant: datetime) -> int:
    """Return an aware instant as microseconds since 1970, exact."""
    return (instant - OLDEST) // MICROSECOND


def instant_of(microseconds: int) -> datetime:
    """Return microseconds since 1970 as an aware UTC instant."""
    return OLDEST + timedelta(microseconds=microseconds)


def fault_of_time(observed_at: datetime, *, received_at: datetime) -> str | None:
    """Say why an instant cannot be a measurement's, or None."""
    if observed_at.tzinfo is None:
        return "the timestamp has no time zone"
    if observed_at < OLDEST:
        return f"the timestamp {observed_at.isoformat()} is before 1970"
    if observed_at > received_at + timedelta(seconds=FUTURE_SKEW_MAX_S):
        return (
            f"the timestamp {observed_at.isoformat()} is more than {FUTURE_SKEW_MAX_S // 60} minutes in the future;"
            " set the clock of the source"
        )
    return None


def fault_of_value(value: float) -> str | None:
    """Say why a number cannot be a measurement's value, or None."""
    if not math.isfinite(value):
        return "the value is not a finite number"
    if abs(value) > VALUE_MAX:
        return f"the value is beyond {VALUE_MAX:g}"
    return None


def fault_of_sample(sample: Sample, *, received_at: datetime, resource_types: frozenset[str]) -> str | None:
    """Say why a sample cannot be kept, or None."""
    fault = fault_of_time(sample.observed_at, received_at=received_at) or fault_of_value(sample.value)
    if fault:
        return fault
    is_older_than_boot = microseconds_of(sample.observed_at) < sample.boot_epoch - BOOT_SKEW_MAX_S * 1_000_000
    if sample.boot_epoch < 0 or (sample.meter_type != "delta" and is_older_than_boot):
        return "the sample is more than a day older than the boot it names"
    if sample.resource_type not in resource_types:
        return f"the resource type {sample.resource_type} does not exist"
    if not sample.meter or len(sample.meter) > NAME_LENGTH_MAX or "\0" in sample.meter:
        return f"a meter's name has 1 to {NAME_LENGTH_MAX} characters"
    if len(sample.unit) > UNIT_LENGTH_MAX:
        return f"a unit has at most {UNIT_LENGTH_MAX} characters"
    return None


def choose_archive_policy(rules: Sequence[ArchivePolicyRule], metric_name: str) -> str | None:
    """Return the policy of the most specific rule that matches: the longest pattern, as in Gnocchi."""
    for rule in sorted(rules, key=lambda rule: (-len(rule.metric_pattern), rule.name)):
        if fnmatchcase(metric_name, rule.metric_pattern):
            return rule.archive_policy_name
    return None


def merged_attributes(samples: Sequence[Sample]) -> Mapping[str, str]:
    """Return a resource's attributes as its samples of one batch tell them, the latest reading last."""
    merged: dict[str, str] = {}
    for sample in sorted(samples, key=lambda sample: sample.observed_at):
        merged.update(sample.attributes)
    return merged
