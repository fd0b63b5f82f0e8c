"""What billing needs of raw samples: all that is not settled yet, and for good the counters behind what is."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from billing.canonical import instant_text
from billing.errors import PeriodInvalid
from billing.model import OUTGOING_BYTES, BillingAccount, InvoiceStatus, invoice_number
from billing.prices import CounterPrice
from billing.service.accounts import windows_of
from billing.store import retention as store
from billing.store.retention import SettledUntil
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
    settled = store.list_settled(tx, settled_before=now - dispute)
    projects = tuple(unsettled(one, dispute=dispute) for one in settled)
    meters = tuple(sorted({OUTGOING_BYTES, *store.list_priced_counters(tx)}))
    return BillingNeeds(projects, meters)


def unsettled(settled: SettledUntil, *, dispute: timedelta) -> UnsettledProject:
    """Say since when a project's samples are needed, and what they wait for."""
    project_id, since = settled.project_id, settled.until
    if settled.status is None:
        reason = f"nothing from {since:%Y-%m-%d %H:%M} UTC on is billed yet"
    else:
        reason = f"the invoice from {since:%Y-%m-%d} on is {what_is_open(settled, dispute=dispute)}"
    return UnsettledProject(project_id, since, f"project {project_id}: {reason}")


def what_is_open(settled: SettledUntil, *, dispute: timedelta) -> str:
    """Say what an invoice is that can still change, be disputed, or be billed anew."""
    if settled.number is None or settled.series is None:
        return "a draft"
    label = invoice_number(settled.series, settled.number)
    if settled.status is InvoiceStatus.VOID:
        return f"{label}, which is void and not billed anew"
    return f"{label}, less than {dispute.days} days final"


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
