"""The doctor of metering: looks at every source of readings within named bounds and says what is wrong."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from foundation.database import Transaction
from metering.completeness import METERS
from metering.doctor import STOPPED_AFTER_MIN, Finding, findings_of_metrics, findings_of_source
from metering.store import doctor as store

LOOK_BACK = timedelta(days=1)
INSTANCES_MAX = 20_000
METRICS_MAX = 200_000
READINGS_MAX = 50_000
SOURCES_MAX = 5_000
POLLS_A_CLOCK = 20
FINDINGS_MAX = 1_000
PARTS = tuple(sorted(set(METERS) - {"instance"}))
"""The types of resource that belong to an instance."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is wrong, and what was looked at; `is_cut` tells that there is more than the bounds let through."""

    findings: tuple[Finding, ...]
    sources: int
    instances: int
    metrics: int
    is_cut: bool


def examine_metering(tx: Transaction, *, now: datetime) -> Diagnosis:
    """Look for hosts that fell silent, metrics that stopped, clocks that are off and sources that repeat themselves."""
    sources = store.list_sources(
        tx,
        look_back=now - LOOK_BACK,
        instances_max=INSTANCES_MAX,
        polls_max=POLLS_A_CLOCK,
        sources_max=SOURCES_MAX,
    )
    followed = store.read_last(
        tx,
        types=PARTS,
        read_before=now - STOPPED_AFTER_MIN,
        instances_max=INSTANCES_MAX,
        metrics_max=METRICS_MAX,
        readings_max=READINGS_MAX,
    )
    found = [finding for source in sources for finding in findings_of_source(source, now=now)]
    found += findings_of_metrics(followed.last_readings, {source.source: source for source in sources}, now=now)
    is_cut = (
        len(found) > FINDINGS_MAX
        or len(sources) == SOURCES_MAX
        or len(followed.last_readings) == READINGS_MAX
        or followed.instances == INSTANCES_MAX
        or followed.metrics == METRICS_MAX
    )
    return Diagnosis(tuple(found[:FINDINGS_MAX]), len(sources), followed.instances, followed.metrics, is_cut)
