"""Billing accounts, the plans they are on, and the audit of every change of money, in the database."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import LiteralString

from psycopg.rows import class_row

from billing.canonical import canonical_json
from billing.model import Authorship, BillingAccount, PlanAssignment
from foundation.database import Transaction
from foundation.ids import new_id

LOCK_PROJECT: LiteralString = "SELECT pg_advisory_xact_lock(hashtextextended('billing:' || %s, 0))"


def lock_project(tx: Transaction, project_id: str) -> None:
    """Let only this transaction change the money of a project; others wait until it ends."""
    tx.execute(LOCK_PROJECT, (project_id,))


FIND_ACCOUNT: LiteralString = """
    SELECT project_id, time_zone, currency, tax_rate, rounding, issuer_name, series
    FROM billing_account
    WHERE project_id = %s
"""


def find_account(tx: Transaction, project_id: str) -> BillingAccount | None:
    """Return the terms that a project's account was given, None where it is on the default ones."""
    with tx.cursor(row_factory=class_row(BillingAccount)) as cursor:
        return cursor.execute(FIND_ACCOUNT, (project_id,)).fetchone()


WRITE_ACCOUNT: LiteralString = """
    INSERT INTO billing_account
        (project_id, time_zone, currency, tax_rate, rounding, issuer_name, series, updated_at)
    VALUES
        (%(project_id)s, %(time_zone)s, %(currency)s, %(tax_rate)s, %(rounding)s, %(issuer_name)s, %(series)s, %(now)s)
    ON CONFLICT (project_id) DO UPDATE SET
        time_zone = EXCLUDED.time_zone, currency = EXCLUDED.currency, tax_rate = EXCLUDED.tax_rate,
        rounding = EXCLUDED.rounding, issuer_name = EXCLUDED.issuer_name, series = EXCLUDED.series,
        updated_at = EXCLUDED.updated_at
"""


def write_account(tx: Transaction, account: BillingAccount, *, now: datetime) -> None:
    """Set the terms of a project's account; invoices that are final keep theirs."""
    parameters = {
        "project_id": account.project_id,
        "time_zone": account.time_zone,
        "currency": account.currency,
        "tax_rate": account.tax_rate,
        "rounding": account.rounding.value,
        "issuer_name": account.issuer_name,
        "series": account.series,
        "now": now,
    }
    tx.execute(WRITE_ACCOUNT, parameters)


READ_ASSIGNMENTS: LiteralString = """
    SELECT plan_id, effective_from FROM billing_account_plan WHERE project_id = %s ORDER BY effective_from
"""


def read_assignments(tx: Transaction, project_id: str) -> Sequence[PlanAssignment]:
    """Return the plans that an account was put on, in order of time."""
    with tx.cursor(row_factory=class_row(PlanAssignment)) as cursor:
        return cursor.execute(READ_ASSIGNMENTS, (project_id,)).fetchall()


INSERT_ASSIGNMENT: LiteralString = """
    INSERT INTO billing_account_plan (project_id, currency, plan_id, effective_from)
    VALUES (%(project_id)s, %(currency)s, %(plan_id)s, %(effective_from)s)
"""


def insert_assignment(tx: Transaction, account: BillingAccount, assignment: PlanAssignment) -> None:
    """Put an account on a plan from an instant on, for ever; a later row changes it again."""
    parameters = {
        "project_id": account.project_id,
        "currency": account.currency,
        "plan_id": assignment.plan_id,
        "effective_from": assignment.effective_from,
    }
    tx.execute(INSERT_ASSIGNMENT, parameters)


INSERT_AUDIT: LiteralString = """
    INSERT INTO billing_audit (id, at, actor, reason, request_id, action, project_id, subject, detail)
    VALUES (%(id)s, %(at)s, %(actor)s, %(reason)s, %(request_id)s, %(action)s, %(project_id)s, %(subject)s, %(detail)s)
"""


def write_audit(
    tx: Transaction,
    action: str,
    *,
    by: Authorship,
    at: datetime,
    subject: object,
    project_id: str | None,
    detail: Mapping[str, object],
) -> None:
    """Record who changed money, why and by which request, in the transaction of the change."""
    parameters = {
        "id": new_id(),
        "at": at,
        "actor": by.actor,
        "reason": by.reason,
        "request_id": by.request_id,
        "action": action,
        "project_id": project_id,
        "subject": str(subject),
        "detail": canonical_json(detail).decode(),
    }
    tx.execute(INSERT_AUDIT, parameters)
