"""`make seed-demo`: a month of sample history for two projects of their own, through the product's own services.

Everything is marked: the projects and machines are named sample-..., the invoices are of the series SAMPLE and of an issuer
that says so. Run again, it adds only the time that has passed since; nothing is ever written into another project.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from billing import service as billing
from billing.model import OUTGOING_BYTES, Authorship, Invoice
from billing.prices import CounterPrice, DiskPrice, FlavorPrice, Price, StatePrice
from billing.proration import month_containing
from entrypoints.installed_database import chosen_settings, installed_database
from entrypoints.sample_history import HISTORIES, LARGE, MEDIUM, SMALL, ZONE, Fact
from foundation.clock import utc_now
from foundation.database import Pool, Transaction, transaction
from foundation.errors import Conflict
from foundation.interval import TimeInterval
from foundation.settings import Settings
from identity import directory
from identity.bootstrap import ADMIN_NAME, ensure_project
from identity.model import ADMIN, DEFAULT_DOMAIN_ID, Project, Token, UserId
from identity.service import Reference, find_referenced_project
from metering.model import LifecycleEvent, Sample
from metering.service import ingest_samples, record_lifecycle_event

SERIES = "SAMPLE"
ISSUER_NAME = "SAMPLE DATA - not a real invoice"
PLAN_NAME = "sample prices"
MONTHS_MAX = 120
TRANSACTION_TIMEOUT_MS = 600_000
BY = Authorship(actor="nepho seed-demo", reason="sample data asked for by the operator")

console = Console(highlight=False, markup=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Seeded:
    """A sample project, and the beginning of its history: the month before the one in which it was made."""

    project: Project
    start: datetime


def prices(rise: Decimal) -> tuple[Price, ...]:
    """Return the sample prices in yen, each hour times the rise."""
    states = (StatePrice("stopped", factor=Decimal("0.2")), StatePrice("host_down", factor=Decimal(0)))
    hourly = {SMALL.name: Decimal("6.4"), MEDIUM.name: Decimal("12.8"), LARGE.name: Decimal("25.6")}
    flavors = tuple(FlavorPrice(name, price * rise, states) for name, price in hourly.items())
    counter = CounterPrice(OUTGOING_BYTES, base_unit="B", unit="GiB", per=Decimal(2**30), price=Decimal(10))
    return (*flavors, DiskPrice(Decimal(12)), counter)


def prepare(tx: Transaction, name: str, now: datetime) -> Seeded:
    """Make a sample project with its terms and prices unless they are there; dearer from the 15th of its first month on."""
    require_ours(tx, name)
    project = ensure_project(tx, name, now)
    let_admin_in(tx, project)
    start = month_containing(month_containing(project.created_at, ZONE).start - timedelta(days=1), ZONE).start
    terms = replace(billing.account_of(tx, project.id), series=SERIES, issuer_name=ISSUER_NAME)
    billing.set_account(tx, terms, now=now, by=BY)
    plan = billing.create_price_plan(tx, name=f"{PLAN_NAME}: {name}", currency=terms.currency, now=start, by=BY)
    billing.add_price_version(tx, plan.id, prices(Decimal(1)), effective_from=start, now=start, by=BY)
    dearer_from = start + timedelta(days=14)
    billing.add_price_version(tx, plan.id, prices(Decimal("1.05")), effective_from=dearer_from, now=start, by=BY)
    billing.assign_plan(tx, project.id, plan.id, effective_from=start, now=now, by=BY)
    return Seeded(project, start)


def require_ours(tx: Transaction, name: str) -> None:
    """Refuse a project that has the name but that we did not make: sample data never mixes with real."""
    found = find_referenced_project(tx, Reference(name=name, domain_id=DEFAULT_DOMAIN_ID))
    if found is not None and billing.account_of(tx, found.id).issuer_name != ISSUER_NAME:
        raise Conflict(f"a project named {name} is there that holds no sample data; rename it first")


def let_admin_in(tx: Transaction, project: Project) -> None:
    """Give the admin user a role in the sample project, so that it can be looked at from inside."""
    operator = Token(
        hash=b"",
        audit_id="",
        methods=[],
        user_id=UserId(""),
        user_name="nepho seed-demo",
        user_domain_id=DEFAULT_DOMAIN_ID,
        project_id=None,
        project_name=None,
        project_domain_id=None,
        is_system=True,
        assigned_roles=[ADMIN],
        issued_at=project.created_at,
        expires_at=project.created_at,
    )
    role = next(role for role in directory.list_roles(tx, name=ADMIN))
    for user in directory.list_users(tx, operator, name=ADMIN_NAME):
        directory.assign_role(tx, operator, directory.Grant(user.id, role.id, project.id))


def days_of(facts: Iterator[Fact]) -> Iterator[tuple[datetime, list[Fact]]]:
    """Group a history by day, so that one day at a time is in memory and in a transaction."""
    for _, group in groupby(facts, key=lambda fact: fact.observed_at.astimezone(ZONE).date()):
        day = list(group)
        yield day[-1].observed_at, day


def write_day(pool: Pool, day: Sequence[Fact], *, now: datetime) -> None:
    """Write a day's facts through metering, as an agent would; what is there already is known by its identity."""
    samples = [fact for fact in day if isinstance(fact, Sample) and fact.observed_at <= now]
    with transaction(pool) as tx:
        for fact in day:
            if isinstance(fact, LifecycleEvent) and fact.observed_at <= now:
                record_lifecycle_event(tx, fact, received_at=now)
        result = ingest_samples(tx, samples, received_at=now)
    assert not result.rejected, result.rejected[0].reason


def write_history(pool: Pool, seeded: Seeded, *, now: datetime, progress: Progress) -> None:
    """Write a project's whole history up to now."""
    name = seeded.project.name
    days = -((seeded.start - now) // timedelta(days=1))
    task = progress.add_task(name, total=days)
    for _, day in days_of(HISTORIES[name](seeded.project.id, seeded.start, now)):
        write_day(pool, day, now=now)
        progress.advance(task)
    progress.update(task, completed=days)


def bill(pool: Pool, seeded: Seeded, *, now: datetime) -> list[Invoice]:
    """Finalize every month of the history that is over and draft the running one."""
    invoices: list[Invoice] = []
    month = month_containing(seeded.start, ZONE)
    for _ in range(MONTHS_MAX):
        local = month.start.astimezone(ZONE)
        with transaction(pool) as tx:
            if month.end <= now:
                project_id = seeded.project.id
                final = billing.close_month(
                    tx, project_id=project_id, year=local.year, month=local.month, now=now, by=BY
                )
                invoices.append(final)
            else:
                period = TimeInterval(month.start, month.end)
                draft = billing.draft_invoice(tx, project_id=seeded.project.id, interval=period, now=now, by=BY)
                return [*invoices, draft]
        month = month_containing(month.end, ZONE)
    return invoices


def seed(pool: Pool, now: datetime, *, output: Console) -> dict[str, list[Invoice]]:
    """Write both projects' history and invoices; return the invoices by project."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total} days"))
    billed: dict[str, list[Invoice]] = {}
    with Progress(*columns, TimeRemainingColumn(), console=output) as progress:
        for name in HISTORIES:
            with transaction(pool) as tx:
                seeded = prepare(tx, name, now)
            write_history(pool, seeded, now=now, progress=progress)
            billed[name] = bill(pool, seeded, now=now)
    return billed


def show(billed: dict[str, list[Invoice]], *, output: Console) -> None:
    """Say what is there now."""
    table = Table(title="Sample data")
    for heading in ("project", "invoice", "from", "to", "total"):
        table.add_column(heading, justify="right" if heading == "total" else "left")
    for name, invoices in billed.items():
        for invoice in invoices:
            first, last = (at.astimezone(ZONE).date().isoformat() for at in (invoice.period_start, invoice.rated_until))
            table.add_row(name, invoice.label, first, last, f"{invoice.total:,.0f} {invoice.currency}")
    output.print(table)
    output.print("Sign in as admin and choose one of these projects to look at it.")


def main() -> int:
    """Seed the running installation; return the exit code."""
    with installed_database(
        chosen_settings(Settings), "seed-demo", size_max=2, transaction_timeout_ms=TRANSACTION_TIMEOUT_MS
    ) as pool:
        show(seed(pool, utc_now(), output=console), output=console)
    return 0


if __name__ == "__main__":
    os.environ.setdefault("TZ", "UTC")
    sys.exit(main())
