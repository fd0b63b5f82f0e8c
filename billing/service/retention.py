"""What billing needs of raw samples: all that is not settled yet, and for good the counters behind what is."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from billing.model import OUTGOING_BYTES
from billing.store import retention as store
from billing.store.retention import BilledPeriod
from foundation.database import Transaction


@dataclass(frozen=True, slots=True)
class UnsettledProject:
    """A project that is billed, since when its samples are still needed, and what they wait for."""

    project_id: str
    needed_since: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class BillingNeeds:
    """By project since when raw samples are needed, and the counters whose samples stand behind invoices."""

    projects: tuple[UnsettledProject, ...]
    meters: tuple[str, ...]


def raw_samples_needed(tx: Transaction, *, now: datetime, dispute: timedelta) -> BillingNeeds:
    """Say what invoices rest on; a project that never had one is not among them."""
    periods = store.list_billed_periods(tx, settled_before=now - dispute)
    projects = tuple(
        unsettled(project_id, own, dispute=dispute)
        for project_id, own in groupby(periods, key=lambda period: period.project_id)
    )
    meters = tuple(sorted({OUTGOING_BYTES, *store.list_priced_counters(tx)}))
    return BillingNeeds(projects, meters)


def unsettled(project_id: str, periods: Iterable[BilledPeriod], *, dispute: timedelta) -> UnsettledProject:
    """Return since when a project's samples are needed: where its settled invoices, one after the other, end."""
    settled_until: datetime | None = None
    for period in periods:
        if settled_until is not None and period.end <= settled_until:
            continue
        if settled_until is not None and period.start > settled_until:
            break
        if not period.is_settled:
            since = settled_until or period.start
            what = (
                "a draft" if period.label == "draft" else f"{period.label}, less than {dispute.days} days final or void"
            )
            reason = f"project {project_id}: the invoice from {since:%Y-%m-%d} on is {what}"
            return UnsettledProject(project_id, since, reason)
        settled_until = period.end
    assert settled_until is not None, "a project is asked about since it has a period"
    reason = f"project {project_id}: nothing from {settled_until:%Y-%m-%d %H:%M} UTC on is billed yet"
    return UnsettledProject(project_id, settled_until, reason)
