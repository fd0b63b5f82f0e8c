"""Price plans and their versions: a price is never edited, a change is a later version."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from billing.errors import PriceInvalid, PricePlanConflict, PricePlanNotFound
from billing.model import OUTGOING_BYTES, Authorship, PricePlan, PricePlanId, PriceVersion, PriceVersionId
from billing.prices import CounterPrice, DiskPrice, Price, SizePrice, StatePrice, price_text
from billing.statement import version_terms
from billing.store import accounts as accounts_store
from billing.store import plans as store
from foundation.database import Transaction
from foundation.ids import new_id

SYSTEM = Authorship(actor="nephoscope", reason="scheduled work")
PRICES_MAX = 1_000
VERSIONS_MAX = 1_000
DEFAULT_PLAN_NAME = "standard"
DEFAULT_CURRENCY = "JPY"
DEFAULT_EFFECTIVE_FROM = datetime(2020, 1, 1, tzinfo=UTC)
RESERVED_STATES = (
    StatePrice("stopped", factor=Decimal("0.2")),
    StatePrice("error", factor=Decimal(0)),
    StatePrice("host_down", factor=Decimal(0)),
)
"""A stopped instance keeps its place on the host; what failed or was down by our doing is free, and shown as such."""
DEFAULT_PRICES: tuple[Price, ...] = (
    SizePrice(per_vcpu_hour=Decimal("7.2"), per_ram_gib_hour=Decimal("3.6"), states=RESERVED_STATES),
    DiskPrice(per_gib_month=Decimal(12)),
    CounterPrice(OUTGOING_BYTES, base_unit="B", unit="GiB", per=Decimal(2**30), price=Decimal(10)),
)
"""In yen: a vCPU is 0.002 a second, a GiB of memory 0.001, whatever flavors the cloud has."""


def bootstrap_plans(tx: Transaction, now: datetime) -> PricePlan:
    """Make the default plan with its first prices unless there is one; return the default plan."""
    existing = store.find_default_plan(tx)
    if existing is not None:
        return existing
    by = Authorship(actor="nephoscope", reason="first start: the prices of a cloud that has set none")
    plan = PricePlan(PricePlanId(new_id()), DEFAULT_PLAN_NAME, DEFAULT_CURRENCY, is_default=True, created_at=now)
    if not store.insert_plan(tx, plan):
        made_by_another = store.find_default_plan(tx)
        if made_by_another is None:
            raise PricePlanConflict(f"a price plan named {DEFAULT_PLAN_NAME} is there but is not the default one")
        return made_by_another
    audit_plan(tx, plan, by=by, now=now)
    add_price_version(tx, plan.id, DEFAULT_PRICES, effective_from=DEFAULT_EFFECTIVE_FROM, now=now, by=by)
    return plan


def create_price_plan(
    tx: Transaction, *, name: str, currency: str, now: datetime, by: Authorship = SYSTEM
) -> PricePlan:
    """Make a plan without prices; asked again for the same, return it; another currency under the name is a Conflict."""
    plan = PricePlan(PricePlanId(new_id()), name, currency, is_default=False, created_at=now)
    if store.insert_plan(tx, plan):
        audit_plan(tx, plan, by=by, now=now)
        return plan
    existing = store.find_plan_by_name(tx, name)
    if existing is None or existing.currency != currency:
        raise PricePlanConflict(f"a price plan named {name} is there in another currency")
    return existing


def add_price_version(
    tx: Transaction,
    plan_id: PricePlanId,
    prices: Sequence[Price],
    *,
    effective_from: datetime,
    now: datetime,
    by: Authorship = SYSTEM,
) -> PriceVersion:
    """Give a plan prices from an instant on; asked again for the same, return the version that is there.

    A plan's first version may begin in the past; each later one begins after the one before it and not before now,
    so that nothing that is past changes its price.
    """
    get_price_plan(tx, plan_id)
    store.lock_plan(tx, plan_id)
    versions = price_versions(tx, plan_id)
    for version in versions:
        if version.effective_from == effective_from:
            if price_text(version.prices) == price_text(prices):
                return version
            raise PricePlanConflict("the plan has other prices from that instant on, and prices are never edited")
    require_later(versions, effective_from=effective_from, now=now)
    version = new_version(plan_id, prices, number=len(versions) + 1, effective_from=effective_from)
    store.insert_version(tx, version, created_at=now)
    detail = version_terms(version)
    accounts_store.write_audit(
        tx, "price_version.create", by=by, at=now, subject=version.id, project_id=None, detail=detail
    )
    return version


def require_later(versions: Sequence[PriceVersion], *, effective_from: datetime, now: datetime) -> None:
    """Refuse prices for a time that has passed, and too many versions."""
    if len(versions) >= VERSIONS_MAX:
        raise PriceInvalid(f"a plan has at most {VERSIONS_MAX} versions; make a new plan")
    if not versions:
        return
    if effective_from < now:
        raise PriceInvalid("new prices take effect now or later, never in the past", field="effective_from")
    if effective_from <= versions[-1].effective_from:
        raise PriceInvalid("new prices take effect after those that are there", field="effective_from")


def new_version(
    plan_id: PricePlanId, prices: Sequence[Price], *, number: int, effective_from: datetime
) -> PriceVersion:
    """Make a version, or say why these prices cannot be one."""
    if not 0 < len(prices) <= PRICES_MAX:
        raise PriceInvalid(f"a version has between one and {PRICES_MAX} prices", field="prices")
    try:
        return PriceVersion(PriceVersionId(new_id()), plan_id, number, effective_from, tuple(prices))
    except ValueError as error:
        raise PriceInvalid(str(error), field="prices") from error


def audit_plan(tx: Transaction, plan: PricePlan, *, by: Authorship, now: datetime) -> None:
    """Record that a plan was made."""
    detail = {"name": plan.name, "currency": plan.currency, "is_default": plan.is_default}
    accounts_store.write_audit(tx, "price_plan.create", by=by, at=now, subject=plan.id, project_id=None, detail=detail)


def get_price_plan(tx: Transaction, plan_id: UUID) -> PricePlan:
    """Return a plan, or raise PricePlanNotFound."""
    plan = store.find_plan(tx, plan_id)
    if plan is None:
        raise PricePlanNotFound(plan_id)
    return plan


def list_price_plans(tx: Transaction, *, after: UUID | None, limit: int) -> Sequence[PricePlan]:
    """Return a page of plans."""
    return store.list_plans(tx, after=after, limit=limit)


def price_versions(tx: Transaction, plan_id: UUID) -> Sequence[PriceVersion]:
    """Return the versions of a plan in order."""
    return store.read_versions(tx, [plan_id])
