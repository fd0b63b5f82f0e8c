"""What billing answers on the native API: money and quantities are strings, instants are UTC."""

from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from uuid import UUID

from pydantic import BaseModel

from billing.canonical import plain
from billing.exports import event_members, invoice_head
from billing.invoicing import ROUNDING_PLACE
from billing.model import (
    BillingAccount,
    Invoice,
    InvoiceEvent,
    InvoiceLine,
    InvoiceTax,
    PlanAssignment,
    PricePlan,
    PriceVersion,
)
from billing.service import AccountPlan, Cost, LateUsage, Verification
from billing.statement import describe_line, line_members, shown, tax_members, unbilled_members, version_terms


class Period(BaseModel):
    """A half-open period in UTC, and the zone in which its days begin."""

    start: datetime
    end: datetime
    time_zone: str


class Adjusts(BaseModel):
    """The line of an earlier invoice that is corrected; null where that invoice has no such line."""

    invoice_id: UUID
    invoice: str
    line: int | None


class CostLine(BaseModel):
    """A line: `amount` is its share of the rounded subtotal, `amount_unrounded` what it is exactly."""

    number: int
    description: str
    meter: str
    resource_id: UUID
    resource_name: str
    state: str
    flavor_name: str
    started_at: datetime
    ended_at: datetime
    quantity: str
    unit: str
    unit_price: str
    base_quantity: str
    base_unit: str
    base_units_per_unit: str
    amount_unrounded: str
    amount: str
    rounding: str
    tax_rate: str
    price_version_id: UUID
    price_version_number: int
    charge_count: int
    usage_digest: str
    adjusts: Adjusts | None = None


class UnbilledUsage(BaseModel):
    """Usage that no price covers, and why."""

    meter: str
    resource_id: UUID
    resource_name: str
    started_at: datetime
    ended_at: datetime
    base_quantity: str
    base_unit: str
    reason: str


class TaxLine(BaseModel):
    """The tax of one rate."""

    tax_rate: str
    base: str
    tax: str


class CostAnswer(BaseModel):
    """What the running month has cost so far: what a draft made now would say, and the exact figures behind it."""

    project_id: str
    currency: str
    period: Period
    rated_until: datetime
    subtotal: str
    tax_total: str
    total: str
    subtotal_unrounded: str
    total_unrounded: str
    lines: list[CostLine]
    taxes: list[TaxLine]
    unbilled: list[UnbilledUsage]
    earlier_invoices_left: int
    forecast: str | None
    forecast_method: str | None


class InvoiceHead(BaseModel):
    """An invoice without its lines."""

    id: UUID
    project_id: str
    kind: str
    version: int
    revision: int
    status: str
    number: str | None
    period: Period
    rated_until: datetime
    currency: str
    rounding: str
    issuer_name: str
    subtotal: str
    tax_total: str
    total: str
    digest: str
    snapshot: str
    chain_digest: str | None
    previous_chain: str | None
    created_at: datetime
    finalized_at: datetime | None


class EventAnswer(BaseModel):
    """A step in an invoice's life."""

    kind: str
    at: datetime
    actor: str
    reason: str
    request_id: str


class InvoiceAnswer(InvoiceHead):
    """An invoice with everything on it, and how many earlier ones with newer facts wait for the next invoice."""

    lines: list[CostLine]
    taxes: list[TaxLine]
    events: list[EventAnswer]
    earlier_invoices_left: int


class InvoiceList(BaseModel):
    """A page of invoices."""

    items: list[InvoiceHead]
    next: str | None


class PriceVersionAnswer(BaseModel):
    """Prices from an instant on, as they are written on invoices."""

    id: UUID
    plan_id: UUID
    number: int
    effective_from: datetime
    prices: list[dict[str, object]]


class PricePlanAnswer(BaseModel):
    """A price plan."""

    id: UUID
    name: str
    currency: str
    is_default: bool
    created_at: datetime


class PricePlanWithVersions(PricePlanAnswer):
    """A price plan and all its prices."""

    versions: list[PriceVersionAnswer]


class PricePlanList(BaseModel):
    """A page of price plans."""

    items: list[PricePlanAnswer]
    next: str | None


class AccountAnswer(BaseModel):
    """The terms on which a project pays."""

    project_id: str
    time_zone: str
    currency: str
    tax_rate: str
    rounding: str
    rounding_place: str
    issuer_name: str
    series: str


class AccountPlanAnswer(BaseModel):
    """A plan that a project is on from an instant on, with its prices."""

    effective_from: datetime
    plan: PricePlanWithVersions


class AccountPlanList(BaseModel):
    """The plans that price a project's usage, in order of time."""

    items: list[AccountPlanAnswer]


class AssignmentAnswer(BaseModel):
    """The plan that an account is on from an instant on."""

    plan_id: UUID
    effective_from: datetime


class VerificationAnswer(BaseModel):
    """Whether an invoice computed again is the same."""

    invoice_id: UUID
    digest: str
    digest_found: str
    chain_holds: bool
    holds: bool


class LateLineAnswer(BaseModel):
    """What one resource used that the invoice does not hold; negative where less was used than it charges."""

    description: str
    meter: str
    resource_id: UUID
    state: str
    flavor_name: str
    base_quantity: str
    base_unit: str
    unit_price: str
    unit: str
    amount_unrounded: str


class LateUsageAnswer(BaseModel):
    """What came to be known after an invoice was rated, at its own prices and before tax."""

    invoice_id: UUID
    currency: str
    amount_unrounded: str
    items: list[LateLineAnswer]


def to_late_usage(late: LateUsage) -> LateUsageAnswer:
    """Write what an invoice lacks."""
    items = [
        {
            "description": describe_line(item.line),
            "meter": item.line.meter,
            "resource_id": item.line.resource_id,
            "state": item.line.state,
            "flavor_name": item.line.flavor_name,
            "base_quantity": item.quantity,
            "base_unit": item.line.base_unit,
            "unit_price": item.line.unit_price,
            "unit": item.line.unit,
            "amount_unrounded": shown(item.amount),
        }
        for item in late.lines
    ]
    head = {"invoice_id": late.invoice.id, "currency": late.invoice.currency}
    members = {**head, "amount_unrounded": shown(late.amount), "items": items}
    return LateUsageAnswer.model_validate(plain(members))


def to_cost(cost: Cost) -> CostAnswer:
    """Write what the running month has cost."""
    statement, account = cost.statement, cost.statement.account
    exact = statement.subtotal_exact
    members = {
        "project_id": account.project_id,
        "currency": account.currency,
        "period": {"start": statement.period.start, "end": statement.period.end, "time_zone": account.time_zone},
        "rated_until": statement.rated_until,
        "subtotal": statement.subtotal,
        "tax_total": statement.tax_total,
        "total": statement.total,
        "subtotal_unrounded": shown(exact),
        "total_unrounded": shown(exact * (1 + Fraction(account.tax_rate))),
        "lines": [line_members(line) for line in statement.lines],
        "taxes": [tax_members(tax) for tax in statement.taxes],
        "unbilled": [unbilled_members(item) for item in statement.unbilled],
        "earlier_invoices_left": statement.earlier_invoices_left,
        "forecast": cost.forecast.total if cost.forecast is not None else None,
        "forecast_method": cost.forecast.method if cost.forecast is not None else None,
    }
    return CostAnswer.model_validate(plain(members))


def to_invoice_head(invoice: Invoice) -> InvoiceHead:
    """Write an invoice without its lines."""
    return InvoiceHead.model_validate(plain(invoice_head(invoice)))


def to_invoice(
    invoice: Invoice,
    lines: Sequence[InvoiceLine],
    taxes: Sequence[InvoiceTax],
    *,
    events: Sequence[InvoiceEvent],
    left: int,
) -> InvoiceAnswer:
    """Write an invoice with everything on it."""
    members = {
        **invoice_head(invoice),
        "lines": [line_members(line) for line in lines],
        "taxes": [tax_members(tax) for tax in taxes],
        "events": [event_members(event) for event in events],
        "earlier_invoices_left": left,
    }
    return InvoiceAnswer.model_validate(plain(members))


def to_plan(plan: PricePlan) -> PricePlanAnswer:
    """Write a plan."""
    return PricePlanAnswer.model_validate(plain(plan_members(plan)))


def to_plan_with_versions(plan: PricePlan, versions: Sequence[PriceVersion]) -> PricePlanWithVersions:
    """Write a plan with all its prices."""
    members = {**plan_members(plan), "versions": [version_terms(version) for version in versions]}
    return PricePlanWithVersions.model_validate(plain(members))


def plan_members(plan: PricePlan) -> dict[str, object]:
    """Return a plan as named members."""
    return {
        "id": plan.id,
        "name": plan.name,
        "currency": plan.currency,
        "is_default": plan.is_default,
        "created_at": plan.created_at,
    }


def to_account_plan(found: AccountPlan) -> AccountPlanAnswer:
    """Write a plan of an account."""
    return AccountPlanAnswer(
        effective_from=found.effective_from, plan=to_plan_with_versions(found.plan, found.versions)
    )


def to_version(version: PriceVersion) -> PriceVersionAnswer:
    """Write a price version."""
    return PriceVersionAnswer.model_validate(plain(version_terms(version)))


def to_account(account: BillingAccount) -> AccountAnswer:
    """Write the terms of an account."""
    members = {
        "project_id": account.project_id,
        "time_zone": account.time_zone,
        "currency": account.currency,
        "tax_rate": account.tax_rate,
        "rounding": account.rounding,
        "rounding_place": ROUNDING_PLACE,
        "issuer_name": account.issuer_name,
        "series": account.series,
    }
    return AccountAnswer.model_validate(plain(members))


def to_assignment(assignment: PlanAssignment) -> AssignmentAnswer:
    """Write which plan an account is on."""
    return AssignmentAnswer(plan_id=assignment.plan_id, effective_from=assignment.effective_from)


def to_verification(verification: Verification) -> VerificationAnswer:
    """Write whether an invoice computed again is the same."""
    return VerificationAnswer(
        invoice_id=verification.invoice_id,
        digest=verification.digest,
        digest_found=verification.digest_found,
        chain_holds=verification.chain_holds,
        holds=verification.holds,
    )
