"""Retention joined: what billing needs decides how far metering may seal, archive and drop."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from billing.service.retention import raw_samples_needed
from foundation.database import Transaction
from foundation.settings import Settings
from metering.sealing import Hold
from metering.service import retention
from metering.service.retention import Needs, Plan, Step

LOOK_AGAIN = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class RetentionTerms:
    """How long raw samples are kept, an invoice can be disputed after it is final, and unbilled time is waited for; when chunks become columns."""

    keep: timedelta
    dispute: timedelta
    compress_after: timedelta | None = None
    unbilled_keep: timedelta | None = None

    @classmethod
    def of(cls, settings: Settings) -> "RetentionTerms":
        """Return what the settings say."""
        compress_after = timedelta(days=settings.compress_after_days) if settings.compress_after_days else None
        return cls(
            timedelta(days=settings.raw_keep_days),
            timedelta(days=settings.dispute_days),
            compress_after,
            timedelta(days=settings.unbilled_keep_days),
        )

    @property
    def hold_max(self) -> timedelta | None:
        """How long a project can hold samples in place: until its invoice is final, and while that can be disputed."""
        return None if self.unbilled_keep is None else self.unbilled_keep + self.dispute


def needs_of_billing(tx: Transaction, terms: RetentionTerms, *, now: datetime) -> Needs:
    """Return what invoices rest on, in metering's words."""
    needed = raw_samples_needed(tx, now=now, dispute=terms.dispute)
    projects = tuple(project.project_id for project in needed.projects)
    return Needs(
        holds=tuple(bounded(Hold(project.needed_since, project.reason), terms, now=now) for project in needed.projects),
        evidence=tuple((project_id, meter) for project_id in projects for meter in needed.meters),
        billed_projects=projects,
    )


def bounded(hold: Hold, terms: RetentionTerms, *, now: datetime) -> Hold:
    """Let no project hold everybody's chunks for ever: what its prices count is in the archive when they go, and can be billed from there."""
    if terms.hold_max is None or hold.needed_since >= now - terms.hold_max:
        return hold
    why = f"{hold.reason}; after {terms.hold_max.days} days (NEPHO_UNBILLED_KEEP_DAYS and NEPHO_DISPUTE_DAYS) from the archive only"
    return Hold(now - terms.hold_max, why)


def plan(tx: Transaction, terms: RetentionTerms, *, now: datetime) -> Plan:
    """Say what may be dropped and why not more."""
    return retention.plan_retention(tx, needs_of_billing(tx, terms, now=now), keep=terms.keep, now=now)


def take_step(tx: Transaction, terms: RetentionTerms, *, now: datetime) -> Step:
    """Take one step of retention in the caller's transaction."""
    step = retention.take_step(
        tx,
        lambda: needs_of_billing(tx, terms, now=now),
        keep=terms.keep,
        now=now,
        compress_after=terms.compress_after,
    )
    if step in {Step.BARRIER, Step.WAITING, Step.WAITING_FOR_ROLLUPS}:
        retention.postpone_retention(tx, until=now + LOOK_AGAIN)
    return step
