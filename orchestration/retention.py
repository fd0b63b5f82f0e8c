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
    """How long raw samples are kept, how long an invoice can be disputed after it is final, and when chunks are put into columns."""

    keep: timedelta
    dispute: timedelta
    compress_after: timedelta | None = None

    @classmethod
    def of(cls, settings: Settings) -> "RetentionTerms":
        """Return what the settings say."""
        compress_after = timedelta(days=settings.compress_after_days) if settings.compress_after_days else None
        return cls(timedelta(days=settings.raw_keep_days), timedelta(days=settings.dispute_days), compress_after)


def needs_of_billing(tx: Transaction, terms: RetentionTerms, *, now: datetime) -> Needs:
    """Return what invoices rest on, in metering's words."""
    needed = raw_samples_needed(tx, now=now, dispute=terms.dispute)
    projects = tuple(project.project_id for project in needed.projects)
    return Needs(
        holds=tuple(Hold(project.needed_since, project.reason) for project in needed.projects),
        evidence=tuple((project_id, meter) for project_id in projects for meter in needed.meters),
        billed_projects=projects,
    )


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
