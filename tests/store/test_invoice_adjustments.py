"""Late usage carried into the next invoice: once, explained to its samples, computed again to the same bytes, given back by a discarded draft."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import psycopg
import pytest

from billing.model import Authorship, Invoice, InvoiceLine
from billing.prices import CounterPrice, FlavorPrice, StatePrice
from billing.service import (
    account_of,
    add_price_version,
    assign_plan,
    cost_so_far,
    create_price_plan,
    discard_draft,
    draft_invoice,
    explain_line,
    finalize_invoice,
    get_invoice,
    invoice_files,
    invoice_lines,
    late_usage,
    set_account,
    usage_report,
    verify_invoice,
    verify_series,
)
from foundation.database import Pool, transaction
from foundation.interval import TimeInterval
from tests.store.billing_history import APRIL, MARCH, Cloud

GIB = 2**30
MAY = APRIL + timedelta(days=30)
JUNE = MAY + timedelta(days=31)
MONTHS = (TimeInterval(MARCH, APRIL), TimeInterval(APRIL, MAY), TimeInterval(MAY, JUNE))
NOW = JUNE + timedelta(days=2)
BY = Authorship(actor="user:tester", reason="a test", request_id="req-1")
HOUR = timedelta(hours=1)


@pytest.fixture
def cloud(pool: Pool) -> Cloud:
    """A project with ten hours and two GiB in March, at 4 yen an hour and 10 a GiB; twice as dear from April on."""
    made = Cloud(pool)
    with transaction(pool) as tx:
        plan = create_price_plan(tx, name=f"plan {made.project_id}", currency="JPY", now=MARCH, by=BY)
        for hourly, begin in ((4, MARCH - timedelta(days=9)), (8, APRIL)):
            states = (StatePrice("stopped", factor=Decimal("0.25")),)
            traffic = CounterPrice("network.outgoing.bytes", "B", "GiB", Decimal(GIB), Decimal(hourly * 10) / 4)
            prices = (FlavorPrice("m1.small", Decimal(hourly), states), traffic)
            add_price_version(tx, plan.id, prices, effective_from=begin, now=MARCH - timedelta(days=9), by=BY)
        terms = replace(account_of(tx, made.project_id), series=f"A-{made.project_id[-20:].upper()}")
        set_account(tx, terms, now=MARCH, by=BY)
        assign_plan(tx, made.project_id, plan.id, effective_from=MARCH - timedelta(days=9), now=MARCH, by=BY)
    made.lives(MARCH, "active", kind="create")
    made.lives(MARCH + 10 * HOUR, "deleted", kind="delete")
    made.sends([(MARCH + HOUR, GIB), (MARCH + 5 * HOUR, 2 * GIB)], boot=MARCH)
    return made


def draft(cloud: Cloud, month: int) -> Invoice:
    with transaction(cloud.pool) as tx:
        return draft_invoice(tx, project_id=cloud.project_id, interval=MONTHS[month], now=NOW, by=BY)


def close(cloud: Cloud, month: int) -> Invoice:
    drafted = draft(cloud, month)
    with transaction(cloud.pool) as tx:
        return finalize_invoice(tx, drafted.id, NOW, by=BY)


def adjustments(cloud: Cloud, invoice: Invoice) -> list[InvoiceLine]:
    with transaction(cloud.pool) as tx:
        return [line for line in invoice_lines(tx, invoice.id) if line.is_adjustment]


def late(cloud: Cloud) -> None:
    """Two GiB more at the end of March, and a stop of four hours that nobody had told of."""
    cloud.sends([(MARCH + 9 * HOUR, 4 * GIB)], boot=MARCH)
    cloud.lives(MARCH + 6 * HOUR, "stopped", kind="stop")


def test_late_usage_becomes_lines_of_the_next_invoice_at_the_prices_of_the_first(cloud: Cloud) -> None:
    first = close(cloud, 0)
    assert draft(cloud, 1).subtotal == 0
    late(cloud)
    second = draft(cloud, 1)
    found = {
        (x.meter, x.state): (x.amount_exact, x.adjusts_line, x.price_version_number) for x in adjustments(cloud, second)
    }
    assert found == {
        ("instance", "active"): (-16, 1, 1),
        ("instance", "stopped"): (4, None, 1),
        ("network.outgoing.bytes", ""): (20, 2, 1),
    }
    assert {(x.adjusts_invoice_id, x.adjusts_invoice) for x in adjustments(cloud, second)} == {(first.id, first.label)}
    assert (second.subtotal, second.total) == (8, 8)
    with transaction(cloud.pool) as tx:
        assert get_invoice(tx, first.id) == first
        csv = invoice_files(tx, second)[0].content.decode()
    assert f"adjusts {first.label} line 1: =web-1: m1.small, active" in csv
    assert f",{first.label},1\r\n" in csv


def test_what_a_final_invoice_has_carried_is_never_carried_again_and_the_whole_adds_up(cloud: Cloud) -> None:
    first = close(cloud, 0)
    late(cloud)
    second = close(cloud, 1)
    assert adjustments(cloud, draft(cloud, 2)) == []
    cloud.sends([(MARCH + 9.5 * HOUR, 5 * GIB)], boot=MARCH)
    third = close(cloud, 2)
    assert [x.amount_exact for x in adjustments(cloud, third)] == [10]
    with transaction(cloud.pool) as tx:
        assert late_usage(tx, first.id).lines == ()
        for invoice in (first, second, third):
            assert verify_invoice(tx, invoice.id).holds
        assert verify_series(tx, first.series) == 3
        whole = usage_report(tx, project_ids=[cloud.project_id], interval=MONTHS[0], now=NOW).projects[0].amount
        charged = [line for invoice in (first, second, third) for line in invoice_lines(tx, invoice.id)]
    assert Fraction(whole) == sum((line.amount_exact for line in charged), Fraction(0))


def test_a_discarded_draft_gives_back_what_it_would_have_carried(cloud: Cloud) -> None:
    close(cloud, 0)
    late(cloud)
    second = draft(cloud, 1)
    with transaction(cloud.pool) as tx:
        discard_draft(tx, second.id, NOW, by=BY)
    third = draft(cloud, 2)
    assert third.subtotal == second.subtotal == 8
    assert draft(cloud, 2) == third, "drafting again changes nothing"
    with transaction(cloud.pool) as tx:
        final = finalize_invoice(tx, third.id, NOW, by=BY)
        assert verify_invoice(tx, final.id).holds
    assert adjustments(cloud, draft(cloud, 1)) == []


def test_two_drafts_show_it_and_the_first_that_is_made_final_takes_it(cloud: Cloud) -> None:
    close(cloud, 0)
    late(cloud)
    second, third = draft(cloud, 1), draft(cloud, 2)
    assert len(adjustments(cloud, second)) == len(adjustments(cloud, third)) == 3
    with transaction(cloud.pool) as tx:
        finalize_invoice(tx, third.id, NOW, by=BY)
        assert finalize_invoice(tx, second.id, NOW, by=BY).subtotal == 0
    assert adjustments(cloud, second) == []


def test_two_invoices_made_final_at_once_carry_it_once(cloud: Cloud) -> None:
    first = close(cloud, 0)
    late(cloud)
    drafts = [draft(cloud, 1), draft(cloud, 2)]
    assert all(adjustments(cloud, one) for one in drafts)
    together = threading.Barrier(2)

    def make_final(drafted: Invoice) -> Invoice:
        with transaction(cloud.pool) as tx:
            together.wait()
            return finalize_invoice(tx, drafted.id, NOW, by=BY)

    with ThreadPoolExecutor(max_workers=2) as threads:
        final = list(threads.map(make_final, drafts))
    assert sorted(len(adjustments(cloud, one)) for one in final) == [0, 3]
    with transaction(cloud.pool) as tx:
        assert late_usage(tx, first.id).lines == ()
        assert all(verify_invoice(tx, one.id).holds for one in final)


def test_facts_that_come_later_still_leave_the_rerun_of_an_adjusting_invoice_the_same(cloud: Cloud) -> None:
    close(cloud, 0)
    late(cloud)
    second = close(cloud, 1)
    cloud.sends([(MARCH + 9 * HOUR, 7 * GIB), (MARCH + 9.5 * HOUR, 8 * GIB)], boot=MARCH)
    close(cloud, 2)
    with transaction(cloud.pool) as tx:
        again = verify_invoice(tx, second.id)
        assert again.digest_found == second.digest
        for line in invoice_lines(tx, second.id):
            assert explain_line(tx, second.id, line.number).holds


def test_an_adjustment_is_explained_by_what_is_known_what_was_billed_and_the_samples(cloud: Cloud) -> None:
    first = close(cloud, 0)
    late(cloud)
    second = close(cloud, 1)
    by_meter = {(x.meter, x.state): x for x in adjustments(cloud, second)}
    with transaction(cloud.pool) as tx:
        traffic = explain_line(tx, second.id, by_meter["network.outgoing.bytes", ""].number)
        active = explain_line(tx, second.id, by_meter["instance", "active"].number)
    assert traffic.holds
    assert active.holds
    assert traffic.adjustment is not None
    assert (traffic.adjustment.invoice_id, traffic.adjustment.invoice) == (first.id, first.label)
    assert (traffic.adjustment.known, traffic.adjustment.billed, traffic.adjustment.carried) == (4 * GIB, 2 * GIB, 0)
    assert traffic.counter is not None
    assert [sample.observed_at for sample in traffic.counter.samples][-1] == MARCH + 9 * HOUR
    assert active.adjustment is not None
    assert (active.adjustment.known, active.adjustment.billed) == (6 * 3600, 10 * 3600)
    assert [(s.interval.start, s.interval.end) for s in active.segments] == [(MARCH, MARCH + 6 * HOUR)]
    assert active.version.number == 1


def test_the_cost_so_far_is_what_a_draft_says_with_what_it_carries_and_the_forecast_does_not_stretch_that(
    cloud: Cloud,
) -> None:
    close(cloud, 0)
    late(cloud)
    now = APRIL + timedelta(days=3)
    with transaction(cloud.pool) as tx:
        cost = cost_so_far(tx, cloud.project_id, now)
        drafted = draft_invoice(tx, project_id=cloud.project_id, interval=MONTHS[1], now=now, by=BY)
    assert cost.statement.total == drafted.total == 8
    assert cost.forecast is not None
    assert cost.forecast.subtotal == 8


def test_the_database_refuses_negative_time_that_adjusts_nothing(cloud: Cloud) -> None:
    drafted = draft(cloud, 0)
    with pytest.raises(psycopg.errors.CheckViolation, match="time_is_not_negative"), transaction(cloud.pool) as tx:
        tx.execute(
            "UPDATE invoice_line SET base_quantity = -base_quantity, amount_unrounded = -amount_unrounded"
            " WHERE invoice_id = %s",
            (drafted.id,),
        )
