"""Price plans and their versions in the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row

from billing.model import PricePlan, PricePlanId, PriceVersion, PriceVersionId
from billing.prices import price_text, read_prices
from foundation.database import Transaction


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A price version as stored, its prices still in their written form."""

    id: UUID
    plan_id: UUID
    number: int
    effective_from: datetime
    prices: str

    def read(self) -> PriceVersion:
        """Return the version with its prices read."""
        return PriceVersion(
            id=PriceVersionId(self.id),
            plan_id=PricePlanId(self.plan_id),
            number=self.number,
            effective_from=self.effective_from,
            prices=read_prices(self.prices),
        )


INSERT_PLAN: LiteralString = """
    INSERT INTO price_plan (id, name, currency, is_default, created_at)
    VALUES (%(id)s, %(name)s, %(currency)s, %(is_default)s, %(created_at)s)
    ON CONFLICT DO NOTHING
"""


def insert_plan(tx: Transaction, plan: PricePlan) -> bool:
    """Write a plan; return False when another has its name."""
    parameters = {
        "id": plan.id,
        "name": plan.name,
        "currency": plan.currency,
        "is_default": plan.is_default,
        "created_at": plan.created_at,
    }
    return tx.execute(INSERT_PLAN, parameters).rowcount == 1


FIND_PLAN: LiteralString = "SELECT id, name, currency, is_default, created_at FROM price_plan WHERE id = %s"


def find_plan(tx: Transaction, plan_id: UUID) -> PricePlan | None:
    """Return a plan by its id."""
    with tx.cursor(row_factory=class_row(PricePlan)) as cursor:
        return cursor.execute(FIND_PLAN, (plan_id,)).fetchone()


FIND_PLAN_BY_NAME: LiteralString = "SELECT id, name, currency, is_default, created_at FROM price_plan WHERE name = %s"


def find_plan_by_name(tx: Transaction, name: str) -> PricePlan | None:
    """Return a plan by its name."""
    with tx.cursor(row_factory=class_row(PricePlan)) as cursor:
        return cursor.execute(FIND_PLAN_BY_NAME, (name,)).fetchone()


FIND_DEFAULT_PLAN: LiteralString = "SELECT id, name, currency, is_default, created_at FROM price_plan WHERE is_default"


def find_default_plan(tx: Transaction) -> PricePlan | None:
    """Return the plan of every account that is on no other."""
    with tx.cursor(row_factory=class_row(PricePlan)) as cursor:
        return cursor.execute(FIND_DEFAULT_PLAN).fetchone()


LIST_PLANS: LiteralString = """
    SELECT id, name, currency, is_default, created_at
    FROM price_plan
    WHERE %(after)s::uuid IS NULL OR id > %(after)s
    ORDER BY id
    LIMIT %(limit)s
"""


def list_plans(tx: Transaction, *, after: UUID | None, limit: int) -> Sequence[PricePlan]:
    """Return a page of plans in order of birth."""
    with tx.cursor(row_factory=class_row(PricePlan)) as cursor:
        return cursor.execute(LIST_PLANS, {"after": after, "limit": limit}).fetchall()


LOCK_PLAN: LiteralString = "SELECT 1 FROM price_plan WHERE id = %s FOR UPDATE"


def lock_plan(tx: Transaction, plan_id: PricePlanId) -> None:
    """Let only this transaction give the plan a version."""
    tx.execute(LOCK_PLAN, (plan_id,))


INSERT_VERSION: LiteralString = """
    INSERT INTO price_version (id, plan_id, number, effective_from, prices, created_at)
    VALUES (%(id)s, %(plan_id)s, %(number)s, %(effective_from)s, %(prices)s, %(created_at)s)
"""


def insert_version(tx: Transaction, version: PriceVersion, *, created_at: datetime) -> None:
    """Write a version, for ever."""
    parameters = {
        "id": version.id,
        "plan_id": version.plan_id,
        "number": version.number,
        "effective_from": version.effective_from,
        "prices": price_text(version.prices),
        "created_at": created_at,
    }
    tx.execute(INSERT_VERSION, parameters)


READ_VERSIONS: LiteralString = """
    SELECT id, plan_id, number, effective_from, prices
    FROM price_version
    WHERE plan_id = ANY (%s)
    ORDER BY plan_id, number
"""


def read_versions(tx: Transaction, plan_ids: Sequence[UUID]) -> Sequence[PriceVersion]:
    """Return every version of the plans."""
    with tx.cursor(row_factory=class_row(VersionRow)) as cursor:
        return [row.read() for row in cursor.execute(READ_VERSIONS, (list(plan_ids),))]


READ_VERSIONS_BY_ID: LiteralString = """
    SELECT id, plan_id, number, effective_from, prices FROM price_version WHERE id = ANY (%s)
"""


def read_versions_by_id(tx: Transaction, version_ids: Sequence[UUID]) -> Sequence[PriceVersion]:
    """Return the versions that an invoice names."""
    with tx.cursor(row_factory=class_row(VersionRow)) as cursor:
        return [row.read() for row in cursor.execute(READ_VERSIONS_BY_ID, (list(version_ids),))]
