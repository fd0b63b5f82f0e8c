"""Billing accounts: the terms on which a project pays, and the plans it is on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from billing.errors import BillingAccountInvalid, PricePlanConflict
from billing.model import Authorship, BillingAccount, PlanAssignment, PricePlan, PriceVersion, PriceWindow
from billing.proration import price_windows
from billing.service.plans import DEFAULT_CURRENCY, SYSTEM, get_price_plan
from billing.store import accounts as store
from billing.store import invoices as invoices_store
from billing.store import plans as plans_store
from foundation.database import Transaction
from foundation.interval import TimeInterval
from foundation.money import RoundingMode

DEFAULT_TERMS = BillingAccount(
    project_id="",
    time_zone="Asia/Tokyo",
    currency=DEFAULT_CURRENCY,
    tax_rate=Decimal("0.1"),
    rounding=RoundingMode.FLOOR,
    issuer_name="Nephoscope",
    series="INV",
)
"""The terms of an account that was given none: yen, Japan's consumption tax rounded down, months of Tokyo."""
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def account_of(tx: Transaction, project_id: str) -> BillingAccount:
    """Return the terms of a project's account, the default ones where it was given none; every project has an account."""
    return store.find_account(tx, project_id) or replace(DEFAULT_TERMS, project_id=project_id)


def zone_of(account: BillingAccount) -> ZoneInfo:
    """Return the time zone in which the account's months begin."""
    return ZoneInfo(account.time_zone)


def set_account(tx: Transaction, account: BillingAccount, *, now: datetime, by: Authorship = SYSTEM) -> BillingAccount:
    """Set the terms of an account for invoices to come; final ones keep theirs. Raises Invalid and Conflict."""
    if account.time_zone not in available_timezones():
        raise BillingAccountInvalid(f"there is no time zone {account.time_zone}", field="time_zone")
    store.lock_project(tx, account.project_id)
    current = store.find_account(tx, account.project_id)
    if current == account:
        return account
    if current is not None and current.currency != account.currency and store.read_assignments(tx, account.project_id):
        raise PricePlanConflict("an account that was put on a price plan keeps its currency")
    store.write_account(tx, account, now=now)
    detail = {
        "time_zone": account.time_zone,
        "currency": account.currency,
        "tax_rate": account.tax_rate,
        "rounding": account.rounding,
        "issuer_name": account.issuer_name,
        "series": account.series,
    }
    project_id = account.project_id
    store.write_audit(tx, "account.set", by=by, at=now, subject=project_id, project_id=project_id, detail=detail)
    return account


def assign_plan(
    tx: Transaction,
    project_id: str,
    plan_id: UUID,
    *,
    effective_from: datetime,
    now: datetime,
    by: Authorship = SYSTEM,
) -> PlanAssignment:
    """Put an account on a plan from an instant on; billed time keeps its prices. Raises NotFound, Invalid and Conflict."""
    account = set_account(tx, account_of(tx, project_id), now=now, by=by)
    plan = get_price_plan(tx, plan_id)
    if plan.currency != account.currency:
        raise PricePlanConflict(f"the plan is in {plan.currency} but the account pays in {account.currency}")
    assignment = PlanAssignment(plan.id, effective_from)
    existing = store.read_assignments(tx, project_id)
    if assignment in existing:
        return assignment
    if existing and effective_from <= existing[-1].effective_from:
        raise BillingAccountInvalid("the account is on another plan by then", field="effective_from")
    billed_until = invoices_store.find_billed_until(tx, project_id)
    if billed_until is not None and effective_from < billed_until:
        raise BillingAccountInvalid("a part of that time is billed already", field="effective_from")
    store.insert_assignment(tx, account, assignment)
    detail = {"plan_id": plan.id, "effective_from": effective_from}
    store.write_audit(tx, "account.assign", by=by, at=now, subject=project_id, project_id=project_id, detail=detail)
    return assignment


@dataclass(frozen=True, slots=True)
class AccountPlan:
    """A plan that an account is on from an instant on, with its prices, past and to come."""

    effective_from: datetime
    plan: PricePlan
    versions: tuple[PriceVersion, ...]


def account_plans(tx: Transaction, project_id: str) -> Sequence[AccountPlan]:
    """Return the plans that price a project's usage, in order of time: before any that it was put on, the default one."""
    assignments = assignments_of(tx, account_of(tx, project_id))
    versions = plans_store.read_versions(tx, [assignment.plan_id for assignment in assignments])
    return [
        AccountPlan(
            assignment.effective_from,
            get_price_plan(tx, assignment.plan_id),
            tuple(version for version in versions if version.plan_id == assignment.plan_id),
        )
        for assignment in assignments
    ]


def windows_of(tx: Transaction, account: BillingAccount, *, interval: TimeInterval) -> tuple[PriceWindow, ...]:
    """Return which prices hold for an account in each part of an interval: before any assignment, the default plan's."""
    assignments = assignments_of(tx, account)
    versions = plans_store.read_versions(tx, [assignment.plan_id for assignment in assignments])
    return price_windows(assignments, versions, interval=interval)


def assignments_of(tx: Transaction, account: BillingAccount) -> Sequence[PlanAssignment]:
    """Return which plan holds from when on."""
    default = find_plan_in(tx, account.currency)
    first = [PlanAssignment(default.id, BEGINNING)] if default is not None else []
    return [*first, *store.read_assignments(tx, account.project_id)]


def find_plan_in(tx: Transaction, currency: str) -> PricePlan | None:
    """Return the default plan where it is in that currency."""
    plan = plans_store.find_default_plan(tx)
    return plan if plan is not None and plan.currency == currency else None
