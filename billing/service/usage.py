"""The usage report: what each resource of each project used in an interval, and what that costs before tax."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from billing.errors import PeriodInvalid
from billing.service.accounts import account_of
from billing.service.rated import rate_period
from billing.usage_report import UsageReport, summarise_usage, usage_rows
from foundation.database import Transaction
from foundation.interval import TimeInterval

REPORT_DAYS_MAX = 366
REPORT_PROJECTS_MAX = 1_000


def usage_report(tx: Transaction, *, project_ids: Sequence[str], interval: TimeInterval, now: datetime) -> UsageReport:
    """Return the usage of projects by resource, up to now where the interval reaches beyond it. Raises PeriodInvalid."""
    if interval.duration > timedelta(days=REPORT_DAYS_MAX, hours=1):
        raise PeriodInvalid(f"a usage report covers at most {REPORT_DAYS_MAX} days", field="end")
    if len(project_ids) > REPORT_PROJECTS_MAX:
        raise PeriodInvalid(f"a usage report covers at most {REPORT_PROJECTS_MAX} projects", field="project_id")
    statements = [rate_period(tx, account_of(tx, project_id), period=interval, now=now) for project_id in project_ids]
    rows = [row for statement in statements for row in usage_rows(statement)]
    return summarise_usage(rows, interval=interval)
