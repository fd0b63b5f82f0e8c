"""The nouns of billing: price plans, usage as it is priced, charges, and the invoice with its lines; Decimal or Fraction, always exact."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import NewType, TypeAlias
from uuid import UUID

from billing.prices import Price, price_key
from foundation.interval import TimeInterval
from foundation.money import RoundingMode

PricePlanId = NewType("PricePlanId", UUID)
PriceVersionId = NewType("PriceVersionId", UUID)
InvoiceId = NewType("InvoiceId", UUID)

INSTANCE_TIME = "instance"
"""The meter of an instance's seconds by flavor and state."""
DISK_SPACE = "disk"
"""The meter of the GiB-seconds that an instance's disk exists, whatever its state."""
OUTGOING_BYTES = "network.outgoing.bytes"

SECONDS_AN_HOUR = Decimal(3600)
UNROUNDED_SCALE = 12
"""Decimal places in which an unrounded amount is shown and stored; the exact one is quantity x price / per."""


@dataclass(frozen=True, slots=True)
class PricePlan:
    """A named set of prices in one currency; its prices are its versions."""

    id: PricePlanId
    name: str
    currency: str
    is_default: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class PriceVersion:
    """The prices of a plan from an instant on, never edited: a change is a later version."""

    id: PriceVersionId
    plan_id: PricePlanId
    number: int
    effective_from: datetime
    prices: tuple[Price, ...]

    def __post_init__(self) -> None:
        keys = [price_key(price) for price in self.prices]
        if len(set(keys)) != len(keys):
            raise ValueError("two prices of one version would charge the same thing twice")


@dataclass(frozen=True, slots=True)
class PlanAssignment:
    """The plan that an account is on from an instant on."""

    plan_id: PricePlanId
    effective_from: datetime


@dataclass(frozen=True, slots=True)
class BillingAccount:
    """Who pays, and on what terms: everything of an invoice that is not usage and not price."""

    project_id: str
    time_zone: str
    currency: str
    tax_rate: Decimal
    rounding: RoundingMode
    issuer_name: str
    series: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "rounding", RoundingMode(self.rounding))


@dataclass(frozen=True, slots=True)
class PriceWindow:
    """A part of a period in which one price version holds; None where no price was in force."""

    interval: TimeInterval
    version: PriceVersion | None


@dataclass(frozen=True, slots=True)
class StateUsage:
    """A stretch of an instance's life in one state and one flavor, between two lifecycle events."""

    resource_id: UUID
    name: str
    interval: TimeInterval
    state: str
    flavor_name: str
    vcpus: int
    ram_mib: int
    disk_gib: int
    opened_by: str
    closed_by: str | None


@dataclass(frozen=True, slots=True)
class CounterUsage:
    """What a resource's counter rose by inside one price window, in the meter's own unit."""

    resource_id: UUID
    name: str
    meter: str
    unit: str
    interval: TimeInterval
    quantity: Decimal
    sample_count: int
    first_observed_at: datetime
    last_observed_at: datetime


UsageRecord: TypeAlias = StateUsage | CounterUsage


@dataclass(frozen=True, slots=True)
class Charge:
    """A quantity at one price, exact and unrounded: quantity x unit_price / per."""

    meter: str
    resource_id: UUID
    resource_name: str
    state: str
    flavor_name: str
    interval: TimeInterval
    quantity: Decimal
    base_unit: str
    unit: str
    unit_price: Decimal
    per: Decimal
    version_id: PriceVersionId
    version_number: int
    evidence: str

    @property
    def amount(self) -> Fraction:
        """The exact amount; a Fraction, since a second at a price an hour has no exact Decimal."""
        return Fraction(self.quantity) * Fraction(self.unit_price) / Fraction(self.per)


@dataclass(frozen=True, slots=True)
class Unbilled:
    """Usage that no price covers, kept with its reason so that nothing is lost unseen."""

    meter: str
    resource_id: UUID
    resource_name: str
    interval: TimeInterval
    quantity: Decimal
    base_unit: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rated:
    """All usage of a period, each unit in exactly one charge or in exactly one unbilled entry."""

    charges: tuple[Charge, ...]
    unbilled: tuple[Unbilled, ...]


class InvoiceStatus(StrEnum):
    """Where an invoice stands: the last of its events; only a draft may still change."""

    DRAFT = "draft"
    FINALIZED = "finalized"
    PAID = "paid"
    VOID = "void"


def invoice_number(series: str, number: int) -> str:
    """Write an invoice's number as it is printed: of six digits, or more where it has more."""
    return f"{series}-{number:06d}"


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """One resource at one price; `amount` is its share of the rounded subtotal, so that the lines foot."""

    number: int
    meter: str
    resource_id: UUID
    resource_name: str
    state: str
    flavor_name: str
    started_at: datetime
    ended_at: datetime
    base_quantity: Decimal
    base_unit: str
    unit: str
    unit_price: Decimal
    per_base: Decimal
    price_version_id: PriceVersionId
    price_version_number: int
    tax_rate: Decimal
    amount: Decimal
    charge_count: int
    usage_digest: str
    adjusts_invoice_id: InvoiceId | None = None
    adjusts_invoice: str | None = None
    adjusts_line: int | None = None

    @property
    def is_adjustment(self) -> bool:
        """Tell whether the line corrects an earlier invoice: its quantity is then a difference. What was counted may be negative without."""
        return self.adjusts_invoice_id is not None

    @property
    def amount_exact(self) -> Fraction:
        """The exact amount before rounding."""
        return Fraction(self.base_quantity) * Fraction(self.unit_price) / Fraction(self.per_base)


@dataclass(frozen=True, slots=True)
class InvoiceTax:
    """The tax of all lines of one rate, rounded once."""

    tax_rate: Decimal
    base: Decimal
    tax: Decimal


@dataclass(frozen=True, slots=True)
class AdjustedInvoice:
    """A final invoice that a statement adjusts, and the final ones that had carried some of its late usage before."""

    id: InvoiceId
    label: str
    carried_by: tuple[InvoiceId, ...]
    versions: tuple[PriceVersion, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """What a period costs: lines, tax and total, before or after it becomes an invoice."""

    account: BillingAccount
    period: TimeInterval
    rated_until: datetime
    lines: tuple[InvoiceLine, ...]
    taxes: tuple[InvoiceTax, ...]
    unbilled: tuple[Unbilled, ...]
    windows: tuple[PriceWindow, ...]
    subtotal: Decimal
    tax_total: Decimal
    total: Decimal
    adjusted: tuple[AdjustedInvoice, ...] = ()
    earlier_invoices_left: int = 0
    """How many earlier invoices have newer facts that this statement does not look at, and leaves to the next."""

    @property
    def versions(self) -> tuple[PriceVersion, ...]:
        """The price versions used, each once: those of the period in the order in which they held, then those of what is adjusted."""
        used = {window.version.id: window.version for window in self.windows if window.version is not None}
        priced = {line.price_version_id for line in self.lines if line.is_adjustment}
        for invoice in self.adjusted:
            used.update({one.id: one for one in invoice.versions if one.id in priced and one.id not in used})
        return tuple(used.values())

    @property
    def usage_exact(self) -> Fraction:
        """The exact sum of the lines of the period's own usage."""
        return sum((line.amount_exact for line in self.lines if not line.is_adjustment), Fraction(0))

    @property
    def subtotal_exact(self) -> Fraction:
        """The exact sum of the lines before rounding."""
        return sum((line.amount_exact for line in self.lines), Fraction(0))


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice without its lines, as stored; number, finalized_at and chain_digest are there once it is final."""

    id: InvoiceId
    project_id: str
    kind: str
    version: int
    revision: int
    period_start: datetime
    period_end: datetime
    rated_until: datetime
    time_zone: str
    currency: str
    tax_rate: Decimal
    rounding: RoundingMode
    issuer_name: str
    series: str
    subtotal: Decimal
    tax_total: Decimal
    total: Decimal
    snapshot: str
    digest: str
    status: InvoiceStatus
    number: int | None
    finalized_at: datetime | None
    previous_chain: str | None
    chain_digest: str | None
    created_at: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "rounding", RoundingMode(self.rounding))
        object.__setattr__(self, "status", InvoiceStatus(self.status))

    @property
    def period(self) -> TimeInterval:
        """The billed period, half-open."""
        return TimeInterval(self.period_start, self.period_end)

    @property
    def is_final(self) -> bool:
        """Tell whether the invoice has its number, and so can never change."""
        return self.number is not None

    @property
    def is_draft(self) -> bool:
        """Tell whether the invoice may still change: it is neither final nor discarded."""
        return self.status is InvoiceStatus.DRAFT

    @property
    def label(self) -> str:
        """The number as printed, or what it is as long as it has none."""
        if self.number is not None:
            return invoice_number(self.series, self.number)
        return "draft" if self.is_draft else "discarded-draft"


@dataclass(frozen=True, slots=True)
class InvoiceEvent:
    """A step in an invoice's life, never changed."""

    kind: str
    at: datetime
    actor: str
    reason: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Authorship:
    """Who changes money, why, and by which request: written beside every change of it."""

    actor: str
    reason: str
    request_id: str = ""
