"""Drafts that nobody wants any more: discarded, hidden, made again; what is final stays."""

from dataclasses import replace
from datetime import timedelta

import pytest

from billing.errors import InvoiceIsDiscarded, InvoiceIsFinal, InvoiceNotFound, TooManyDrafts
from billing.model import Authorship, Invoice, InvoiceStatus
from billing.service import (
    account_of,
    bootstrap_plans,
    close_month,
    discard_draft,
    draft_invoice,
    finalize_invoice,
    get_invoice,
    invoice_events,
    list_invoices,
    set_account,
    verify_invoice,
)
from foundation.database import Pool, Transaction, transaction
from foundation.ids import new_hex_id
from foundation.interval import TimeInterval
from tests.store.billing_history import APRIL, MARCH, NOW, Cloud

PERIOD = TimeInterval(MARCH, APRIL)
BY = Authorship(actor="user:tester", reason="not wanted", request_id="req-1")


@pytest.fixture
def cloud(pool: Pool) -> Cloud:
    """A project with one instance and a number series of its own."""
    made = Cloud(pool)
    with transaction(pool) as tx:
        bootstrap_plans(tx, MARCH)
        terms = replace(account_of(tx, made.project_id), series=f"D-{made.project_id[-20:].upper()}")
        set_account(tx, terms, now=MARCH, by=BY)
    made.lives(MARCH, "active", kind="create")
    made.lives(MARCH + timedelta(hours=10), "deleted", kind="delete")
    return made


def draft(tx: Transaction, cloud: Cloud, *, hours: int | None = None, drafts_max: int | None = None) -> Invoice:
    period = PERIOD if hours is None else TimeInterval(MARCH, MARCH + timedelta(hours=hours))
    return draft_invoice(tx, project_id=cloud.project_id, interval=period, now=NOW, by=BY, drafts_max=drafts_max)


def test_a_discarded_draft_leaves_the_list_keeps_its_history_and_its_period_can_be_drafted_again(cloud: Cloud) -> None:
    with transaction(cloud.pool) as tx:
        made = draft(tx, cloud)
        discard_draft(tx, made.id, NOW, by=BY)
        discard_draft(tx, made.id, NOW, by=BY)
    with transaction(cloud.pool) as tx:
        assert get_invoice(tx, made.id).status is InvoiceStatus.VOID
        assert list_invoices(tx, project_id=cloud.project_id, limit=9) == []
        shown = list_invoices(tx, project_id=cloud.project_id, limit=9, with_discarded=True)
        assert [invoice.id for invoice in shown] == [made.id]
        assert verify_invoice(tx, made.id).holds
        again = draft(tx, cloud)
        assert (again.id, again.status, again.total) == (made.id, InvoiceStatus.DRAFT, made.total)
        assert [event.kind for event in invoice_events(tx, made.id)] == ["drafted", "void", "drafted"]
        assert [invoice.id for invoice in list_invoices(tx, project_id=cloud.project_id, limit=9)] == [made.id]
        assert finalize_invoice(tx, made.id, NOW, by=BY).number == 1


def test_a_discarded_draft_is_not_made_final_until_it_is_drafted_again(cloud: Cloud) -> None:
    with transaction(cloud.pool) as tx:
        made = draft(tx, cloud)
        discard_draft(tx, made.id, NOW, by=BY)
        with pytest.raises(InvoiceIsDiscarded, match="draft its period again"):
            finalize_invoice(tx, made.id, NOW, by=BY)
        closed = close_month(tx, project_id=cloud.project_id, year=2026, month=3, now=NOW, by=BY)
        assert (closed.id, closed.number, closed.status) == (made.id, 1, InvoiceStatus.FINALIZED)


def test_what_is_final_is_not_discarded_and_another_projects_draft_is_not_there(cloud: Cloud) -> None:
    with transaction(cloud.pool) as tx:
        made = draft(tx, cloud)
        with pytest.raises(InvoiceNotFound):
            discard_draft(tx, made.id, NOW, project_id=new_hex_id(), by=BY)
        final = finalize_invoice(tx, made.id, NOW, by=BY)
        with pytest.raises(InvoiceIsFinal, match=final.label):
            discard_draft(tx, made.id, NOW, by=BY)
        assert get_invoice(tx, made.id) == final


def test_discarding_makes_room_for_another_draft_but_not_for_endlessly_many(cloud: Cloud) -> None:
    with transaction(cloud.pool) as tx:
        for hours in (1, 2):
            draft(tx, cloud, hours=hours, drafts_max=2)
        with pytest.raises(TooManyDrafts, match="discard one"):
            draft(tx, cloud, hours=3, drafts_max=2)
        for invoice in list_invoices(tx, project_id=cloud.project_id, limit=9):
            discard_draft(tx, invoice.id, NOW, by=BY)
        assert draft(tx, cloud, hours=1, drafts_max=2).status is InvoiceStatus.DRAFT
        for hours in range(3, 100):
            try:
                discard_draft(tx, draft(tx, cloud, hours=hours, drafts_max=2).id, NOW, by=BY)
            except TooManyDrafts:
                break
        else:
            pytest.fail("a project keeps as many discarded drafts as it likes")


def test_a_step_comes_after_those_before_it_whatever_the_clocks_say(cloud: Cloud) -> None:
    with transaction(cloud.pool) as tx:
        made = draft(tx, cloud)
        discard_draft(tx, made.id, NOW - timedelta(seconds=5), by=BY)
        assert get_invoice(tx, made.id).status is InvoiceStatus.VOID
