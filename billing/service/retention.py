"""What billing needs of raw samples: all that is not settled yet, and for good the counters behind what is."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from billing.canonical import instant_text
from billing.errors import PeriodInvalid
from billing.model import OUTGOING_BYTES, BillingAccount
from billing.prices import CounterPrice
from billing.service.accounts import windows_of
from billing.store import retention as store
from billing.store.retention import BilledPeriod
from foundation.database import Transaction
from foundation.interval import TimeInterval
from metering.service.retention import samples_gone_until


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


def require_samples(tx: Transaction, account: BillingAccount, *, rated: TimeInterval) -> None:
    """Refuse a period of which samples that its prices count are gone: a project without an invoice keeps them for a while only."""
    versions = [window.version for window in windows_of(tx, account, interval=rated) if window.version is not None]
    meters = {price.meter for version in versions for price in version.prices if isinstance(price, CounterPrice)}
    gone_until = samples_gone_until(tx, project_id=account.project_id, meters=sorted(meters), start=rated.start)
    if gone_until is not None:
        raise PeriodInvalid(
            f"samples from before {instant_text(gone_until)} are gone, since the project had no invoice when they were"
            " let go; bill it from there on",
            field="start",
        )
