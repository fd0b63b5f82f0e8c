"""From samples and lifecycle events to an invoice that is final, on real TimescaleDB."""

import contextlib
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from billing.canonical import digest_of
from billing.errors import (
    InvoiceIsFinal,
    InvoiceNotFound,
    InvoiceOverlaps,
    PeriodInvalid,
    PeriodNotOver,
    TooManyDrafts,
    UsageOnItsWay,
)
from billing.model import Authorship, Invoice, InvoiceLine, InvoiceStatus, PricePlan
from billing.prices import CounterPrice, DiskPrice, FlavorPrice, Price, StatePrice
from billing.service import (
    account_of,
    add_price_version,
    assign_plan,
    bootstrap_plans,
    close_month,
    cost_so_far,
    create_price_plan,
    draft_invoice,
    explain_line,
    finalize_invoice,
    get_invoice,
    invoice_document,
    invoice_events,
    invoice_lines,
    late_usage,
    list_invoices,
    month_documents,
    set_account,
    usage_report,
    verify_invoice,
    verify_series,
)
from foundation import outbox
from foundation.database import Pool, transaction
from foundation.errors import Unavailable
from foundation.ids import new_hex_id, new_id
from foundation.interval import TimeInterval
from tests.conftest import PATIENCE_S
from tests.store.billing_history import APRIL, MARCH, NOW, Cloud

GIB = 2**30
PERIOD = TimeInterval(MARCH, APRIL)
BY = Authorship(actor="user:tester", reason="a test", request_id="req-1")


def at(hours: float) -> datetime:
    return MARCH + timedelta(hours=hours)


def prices(hourly: str) -> tuple[Price, ...]:
    return (
        FlavorPrice("m1.small", Decimal(hourly), (StatePrice("stopped", factor=Decimal("0.25")),)),
        FlavorPrice("m1.large", Decimal(hourly) * 2, (StatePrice("stopped", per_hour=Decimal(1)),)),
        DiskPrice(Decimal(744)),
        CounterPrice("network.outgoing.bytes", "B", "GiB", Decimal(GIB), Decimal(10)),
    )


@pytest.fixture
def cloud(pool: Pool) -> Cloud:
    """A project on a plan and in a number series of its own; 4 yen an hour, 8 from the 50th hour of March on."""
    made = Cloud(pool)
    with transaction(pool) as tx:
        plan = create_price_plan(tx, name=f"plan {made.project_id}", currency="JPY", now=MARCH, by=BY)
        add_price_version(tx, plan.id, prices("4"), effective_from=at(-1000), now=MARCH, by=BY)
        add_price_version(tx, plan.id, prices("8"), effective_from=at(50), now=MARCH, by=BY)
        terms = replace(account_of(tx, made.project_id), series=f"T-{made.project_id[-20:].upper()}")
        set_account(tx, terms, now=MARCH, by=BY)
        assign_plan(tx, made.project_id, plan.id, effective_from=at(-1000), now=MARCH, by=BY)
    return made


def with_history(cloud: Cloud) -> Cloud:
    """10 h active, 10 h stopped, 40 h active over the price change, then m1.large for 2 h, then gone."""
    cloud.lives(at(0), "active", kind="create")
    cloud.lives(at(10), "stopped", kind="stop")
    cloud.lives(at(20), "active")
    cloud.lives(at(60), "active", kind="resize", flavor="m1.large", vcpus=2)
    cloud.lives(at(62), "deleted", kind="delete")
    cloud.sends([(at(1), GIB), (at(2), 3 * GIB), (at(9.5), 4 * GIB)], boot=at(0))
    cloud.sends([(at(21), GIB // 2), (at(49), GIB), (at(51), 2 * GIB)], boot=at(20))
    return cloud


def draft(cloud: Cloud, *, now: datetime = NOW, period: TimeInterval = PERIOD) -> Invoice:
    with transaction(cloud.pool) as tx:
        return draft_invoice(tx, project_id=cloud.project_id, interval=period, now=now, by=BY)


def finalize(cloud: Cloud, *, now: datetime = NOW) -> Invoice:
    drafted = draft(cloud, now=now)
    with transaction(cloud.pool) as tx:
        return finalize_invoice(tx, drafted.id, now, by=BY)


def lines_of(cloud: Cloud, invoice: Invoice) -> list[InvoiceLine]:
    with transaction(cloud.pool) as tx:
        return list(invoice_lines(tx, invoice.id))


def exact(lines: list[InvoiceLine]) -> dict[tuple[str, str, str, int], Fraction]:
    return {(x.meter, x.flavor_name, x.state, x.price_version_number): x.amount_exact for x in lines}


def test_stop_start_resize_price_change_and_counter_reset_come_out_as_lines(cloud: Cloud) -> None:
    invoice = draft(with_history(cloud))
    lines = lines_of(cloud, invoice)
    assert exact(lines) == {
        ("instance", "m1.small", "active", 1): Fraction((10 + 30) * 4),
        ("instance", "m1.small", "stopped", 1): Fraction(10),
        ("instance", "m1.small", "active", 2): Fraction(10 * 8),
        ("instance", "m1.large", "active", 2): Fraction(2 * 16),
        ("disk", "", "", 1): Fraction(50 * 10),
        ("disk", "", "", 2): Fraction(12 * 10),
        ("network.outgoing.bytes", "", "", 1): Fraction(5 * 10),
        ("network.outgoing.bytes", "", "", 2): Fraction(10),
    }
    assert invoice.subtotal == 160 + 10 + 80 + 32 + 500 + 120 + 50 + 10
    assert invoice.total == invoice.subtotal + 96
    assert invoice.status is InvoiceStatus.DRAFT


def test_drafting_again_changes_nothing_and_a_late_sample_makes_a_new_revision(cloud: Cloud) -> None:
    first = draft(with_history(cloud))
    assert draft(cloud) == first
    cloud.sends([(at(61), 4 * GIB)], boot=at(20))
    second = draft(cloud, now=NOW + timedelta(hours=1))
    assert (second.id, second.revision) == (first.id, first.revision + 1)
    assert second.subtotal == first.subtotal + 20
    with transaction(cloud.pool) as tx:
        assert [event.kind for event in invoice_events(tx, first.id)] == ["drafted", "redrafted"]
        assert len(list_invoices(tx, project_id=cloud.project_id, limit=10)) == 1


def test_a_project_makes_a_bounded_number_of_drafts_and_the_operator_still_one_more(cloud: Cloud) -> None:
    def drafted(hours: int, drafts_max: int | None) -> Invoice:
        period = TimeInterval(at(0), at(hours))
        with transaction(cloud.pool) as tx:
            return draft_invoice(
                tx, project_id=cloud.project_id, interval=period, now=NOW, by=BY, drafts_max=drafts_max
            )

    first = drafted(1, 2)
    drafted(2, 2)
    with pytest.raises(TooManyDrafts, match="the project has 2 drafts"):
        drafted(3, 2)
    assert drafted(1, 2).id == first.id
    assert drafted(3, None).number is None


def test_a_final_invoice_is_numbered_chained_and_computes_again_to_the_same_digest(cloud: Cloud) -> None:
    invoice = finalize(with_history(cloud))
    assert (invoice.number, invoice.status, invoice.finalized_at) == (1, InvoiceStatus.FINALIZED, NOW)
    with transaction(cloud.pool) as tx:
        again = verify_invoice(tx, invoice.id)
        assert again.holds
        assert digest_of(invoice_document(tx, invoice.id)) == invoice.digest
        assert verify_series(tx, invoice.series) == 1


def test_late_overwritten_and_new_facts_after_finalize_leave_its_rerun_the_same(cloud: Cloud) -> None:
    invoice = finalize(with_history(cloud))
    cloud.sends([(at(50.5), 3 * GIB // 2), (at(51), 7 * GIB)], boot=at(20))
    cloud.lives(at(5), "stopped", kind="stop")
    with transaction(cloud.pool) as tx:
        other = create_price_plan(tx, name=f"dear {cloud.project_id}", currency="JPY", now=NOW, by=BY)
        add_price_version(tx, other.id, prices("1000"), effective_from=at(-9000), now=NOW, by=BY)
        assign_plan(tx, cloud.project_id, other.id, effective_from=APRIL, now=NOW, by=BY)
        set_account(tx, replace(account_of(tx, cloud.project_id), tax_rate=Decimal("0.5")), now=NOW, by=BY)
    with transaction(cloud.pool) as tx:
        again = verify_invoice(tx, invoice.id)
        assert again.digest_found == invoice.digest
        for line in invoice_lines(tx, invoice.id):
            assert explain_line(tx, invoice.id, line.number).holds


def test_what_comes_after_finalize_is_shown_as_late_with_its_sign_and_its_price(cloud: Cloud) -> None:
    invoice = finalize(with_history(cloud))
    with transaction(cloud.pool) as tx:
        assert late_usage(tx, invoice.id).lines == ()
    cloud.sends([(at(61), 4 * GIB)], boot=at(20))
    cloud.lives(at(5), "stopped", kind="stop")
    with transaction(cloud.pool) as tx:
        late = late_usage(tx, invoice.id, project_id=cloud.project_id)
        billed = list(invoice_lines(tx, invoice.id))
    found = {(x.line.meter, x.line.state, x.line.price_version_number): (x.quantity, x.amount) for x in late.lines}
    assert found == {
        ("network.outgoing.bytes", "", 2): (2 * GIB, 20),
        ("instance", "active", 1): (-5 * 3600, -20),
        ("instance", "stopped", 1): (5 * 3600, 5),
    }
    with transaction(cloud.pool) as tx:
        rows = usage_report(tx, project_ids=[cloud.project_id], interval=PERIOD, now=NOW).projects
    assert Fraction(rows[0].amount) == sum((line.amount_exact for line in billed), Fraction(0)) + late.amount
    with transaction(cloud.pool) as tx, pytest.raises(InvoiceNotFound):
        late_usage(tx, invoice.id, project_id=new_hex_id())


def test_nothing_is_made_final_while_a_fact_is_on_its_way_to_metering(cloud: Cloud) -> None:
    drafted = draft(with_history(cloud))
    with transaction(cloud.pool) as tx:
        other_id = outbox.append(tx, "instance.lifecycle", key="y", payload={"project_id": new_hex_id()})
        event_id = outbox.append(tx, "instance.lifecycle", key="x", payload={"project_id": cloud.project_id})
    with transaction(cloud.pool) as tx, pytest.raises(UsageOnItsWay):
        finalize_invoice(tx, drafted.id, NOW, by=BY)
    with transaction(cloud.pool) as tx:
        outbox.mark_handled(tx, event_id, now=NOW)
    with transaction(cloud.pool) as tx:
        assert finalize_invoice(tx, drafted.id, NOW, by=BY).number == 1
        outbox.mark_handled(tx, other_id, now=NOW)


def test_a_counter_line_is_explained_down_to_its_samples(cloud: Cloud) -> None:
    invoice = finalize(with_history(cloud))
    (line,) = [x for x in lines_of(cloud, invoice) if x.unit == "GiB" and x.price_version_number == 1]
    with transaction(cloud.pool) as tx:
        explained = explain_line(tx, invoice.id, line.number, samples_limit=4)
    assert explained.holds
    assert explained.counter is not None
    assert [(hour.started_at, hour.increase / GIB) for hour in explained.counter.hours] == [
        (at(1), 1),
        (at(2), 2),
        (at(9), 1),
        (at(21), Decimal("0.5")),
        (at(49), Decimal("0.5")),
    ]
    first, *_, last = explained.counter.samples
    assert (first.value, first.increase, first.previous_observed_at) == (GIB, GIB, None)
    assert (last.observed_at, last.increase) == (at(21), GIB // 2)
    assert last.boot_epoch > first.boot_epoch
    assert explained.counter.next_from == at(49)
    with transaction(cloud.pool) as tx:
        rest = explain_line(tx, invoice.id, line.number, samples_from=at(49)).counter
    assert rest is not None
    assert [sample.observed_at for sample in rest.samples] == [at(49)]


def test_a_time_line_is_explained_by_its_segments_and_their_events(cloud: Cloud) -> None:
    created = cloud.lives(at(0), "active", kind="create")
    stopped = cloud.lives(at(10), "stopped", kind="stop")
    started = cloud.lives(at(20), "active")
    invoice = draft(cloud)
    (line,) = [x for x in lines_of(cloud, invoice) if x.state == "active" and x.price_version_number == 1]
    with transaction(cloud.pool) as tx:
        explained = explain_line(tx, invoice.id, line.number)
    assert explained.holds
    assert [(s.interval.start, s.interval.end, s.opened_by, s.closed_by) for s in explained.segments] == [
        (at(0), at(10), str(created), str(stopped)),
        (at(20), at(50), str(started), None),
    ]
    assert explained.version.number == 1


def test_cost_so_far_is_what_a_draft_says_at_that_instant(cloud: Cloud) -> None:
    with_history(cloud)
    now = at(55)
    with transaction(cloud.pool) as tx:
        cost = cost_so_far(tx, cloud.project_id, now)
    drafted = draft(cloud, now=now)
    assert cost.statement.total == drafted.total
    assert cost.statement.period == PERIOD
    assert drafted.rated_until == now
    assert drafted.subtotal == 160 + 10 + 40 + 500 + 50 + 50 + 10
    assert cost.forecast is not None
    assert cost.forecast.subtotal == drafted.subtotal * 744 // 55


def test_an_open_instance_is_billed_to_now_and_not_to_the_end_of_the_period(cloud: Cloud) -> None:
    cloud.lives(at(0), "active", kind="create")
    invoice = draft(cloud, now=at(1))
    assert exact(lines_of(cloud, invoice))["instance", "m1.small", "active", 1] == 4


def test_a_deleted_instance_is_billed_to_its_last_second(cloud: Cloud) -> None:
    cloud.lives(at(0), "active", kind="create")
    cloud.lives(at(0) + timedelta(seconds=61, microseconds=1), "deleted", kind="delete")
    (line,) = [x for x in lines_of(cloud, draft(cloud)) if x.meter == "instance"]
    assert line.base_quantity == Decimal("61.000001")


def test_two_finalizes_at_once_give_one_number(cloud: Cloud) -> None:
    drafted = draft(with_history(cloud))
    found: list[Invoice] = []

    def run() -> None:
        with transaction(cloud.pool) as tx:
            found.append(finalize_invoice(tx, drafted.id, NOW, by=BY))

    in_parallel(run, times=4)
    assert [invoice.number for invoice in found] == [1, 1, 1, 1]
    with transaction(cloud.pool) as tx:
        assert [e.kind for e in invoice_events(tx, drafted.id)] == ["drafted", "finalized"]
        assert verify_series(tx, drafted.series) == 1


def test_two_drafts_at_once_are_one_draft(cloud: Cloud) -> None:
    with_history(cloud)
    found: list[Invoice] = []
    in_parallel(lambda: found.append(draft(cloud)), times=4)
    assert len({invoice.id for invoice in found}) == 1


def test_projects_of_one_series_are_numbered_without_gap_whatever_the_order(pool: Pool, cloud: Cloud) -> None:
    series = f"S-{new_hex_id()[-20:].upper()}"
    drafts: list[Invoice] = []
    for _ in range(6):
        other = Cloud(pool)
        with transaction(pool) as tx:
            set_account(tx, replace(account_of(tx, other.project_id), series=series), now=MARCH, by=BY)
        drafts.append(draft(other))
    waiting = list(drafts)

    def run() -> None:
        with transaction(pool) as tx:
            finalize_invoice(tx, waiting.pop().id, NOW, by=BY)

    in_parallel(run, times=6)
    with transaction(pool) as tx:
        assert verify_series(tx, series) == 6
        assert {get_invoice(tx, invoice.id).number for invoice in drafts} == {1, 2, 3, 4, 5, 6}


def test_a_crash_before_the_commit_leaves_no_number_behind(cloud: Cloud) -> None:
    drafted = draft(with_history(cloud))
    with pytest.raises(RuntimeError, match="killed"), transaction(cloud.pool) as tx:
        assert finalize_invoice(tx, drafted.id, NOW, by=BY).number == 1
        raise RuntimeError("killed before the commit")
    with transaction(cloud.pool) as tx:
        assert not get_invoice(tx, drafted.id).is_final
        assert finalize_invoice(tx, drafted.id, NOW, by=BY).number == 1
        assert verify_series(tx, drafted.series) == 1


def test_a_connection_that_dies_before_the_commit_leaves_no_number_behind(cloud: Cloud) -> None:
    drafted = draft(with_history(cloud))
    with pytest.raises(Unavailable), transaction(cloud.pool) as tx:
        assert finalize_invoice(tx, drafted.id, NOW, by=BY).number == 1
        with transaction(cloud.pool) as killer:
            killer.execute("SELECT pg_terminate_backend(%s, 5000)", (tx.info.backend_pid,))
    with transaction(cloud.pool) as tx:
        assert finalize_invoice(tx, drafted.id, NOW, by=BY).number == 1
        assert verify_series(tx, drafted.series) == 1


def test_redrafting_while_finalizing_ends_in_one_final_invoice(cloud: Cloud) -> None:
    drafted = draft(with_history(cloud))

    def redraft() -> None:
        with contextlib.suppress(InvoiceIsFinal):
            draft(cloud)

    def finish() -> None:
        with transaction(cloud.pool) as tx:
            finalize_invoice(tx, drafted.id, NOW, by=BY)

    steps = iter((redraft, finish, redraft, finish, redraft, redraft))
    in_parallel(lambda: next(steps)(), times=6)
    with transaction(cloud.pool) as tx:
        assert [invoice.number for invoice in list_invoices(tx, project_id=cloud.project_id, limit=9)] == [1]
        assert verify_invoice(tx, drafted.id).holds


def test_another_plan_from_the_middle_of_a_period_prices_the_rest(cloud: Cloud) -> None:
    cloud.lives(at(0), "active", kind="create")
    cloud.lives(at(10), "deleted", kind="delete")
    with transaction(cloud.pool) as tx:
        other = create_price_plan(tx, name=f"other {cloud.project_id}", currency="JPY", now=MARCH, by=BY)
        add_price_version(tx, other.id, prices("100"), effective_from=at(-2000), now=MARCH, by=BY)
        assign_plan(tx, cloud.project_id, other.id, effective_from=at(4), now=MARCH, by=BY)
    amounts = sorted(x.amount_exact for x in lines_of(cloud, draft(cloud)) if x.meter == "instance")
    assert amounts == [4 * 4, 6 * 100]


def test_the_database_refuses_to_make_final_what_does_not_foot(cloud: Cloud) -> None:
    drafted = draft(with_history(cloud))
    seal: LiteralString = """
        UPDATE invoice SET number = 1, finalized_at = now(), previous_chain = digest, chain_digest = digest WHERE id = %s
    """
    with (
        pytest.raises(psycopg.errors.IntegrityConstraintViolation, match="does not foot"),
        transaction(cloud.pool) as tx,
    ):
        tx.execute("UPDATE invoice_line SET amount = amount + 1 WHERE invoice_id = %s AND number = 1", (drafted.id,))
        tx.execute(seal, (drafted.id,))


FORBIDDEN_CHANGES: tuple[LiteralString, ...] = (
    "UPDATE invoice SET total = total WHERE id = %(id)s",
    "UPDATE invoice SET number = NULL, finalized_at = NULL WHERE id = %(id)s",
    "DELETE FROM invoice WHERE id = %(id)s",
    "UPDATE invoice_line SET amount = 0 WHERE invoice_id = %(id)s",
    "DELETE FROM invoice_line WHERE invoice_id = %(id)s",
    "UPDATE invoice_line SET invoice_id = %(draft)s WHERE invoice_id = %(id)s",
    "UPDATE invoice_line SET invoice_id = %(id)s WHERE invoice_id = %(draft)s",
    "DELETE FROM invoice_tax WHERE invoice_id = %(id)s",
    "INSERT INTO invoice_tax (invoice_id, tax_rate, base, tax) VALUES (%(id)s, 0.3, 1, 1)",
    "UPDATE invoice_event SET reason = 'x' WHERE invoice_id = %(id)s",
    "DELETE FROM invoice_event WHERE invoice_id = %(id)s",
    "DELETE FROM billing_audit WHERE subject = %(id)s::text",
    "UPDATE price_version SET prices = '[]'",
    "DELETE FROM price_version",
    "DELETE FROM billing_account_plan",
    "TRUNCATE invoice CASCADE",
    "TRUNCATE invoice_event",
    "TRUNCATE price_version CASCADE",
)


@pytest.mark.parametrize("statement", FORBIDDEN_CHANGES)
@pytest.mark.parametrize("role", ["origin", "replica"])
def test_what_is_final_or_a_record_refuses_every_change_by_every_role(
    cloud: Cloud, statement: LiteralString, role: str
) -> None:
    invoice = finalize(with_history(cloud))
    Cloud(cloud.pool, project_id=cloud.project_id).lives(APRIL + timedelta(hours=1), "active", kind="create")
    april = TimeInterval(APRIL, APRIL + timedelta(days=1))
    drafted = draft(cloud, now=APRIL + timedelta(hours=5), period=april)
    with (
        pytest.raises(psycopg.errors.IntegrityConstraintViolation, match=r"is final|for ever"),
        transaction(cloud.pool) as tx,
    ):
        tx.execute(sql.SQL("SET LOCAL session_replication_role = {}").format(sql.Literal(role)))
        tx.execute(statement, {"id": invoice.id, "draft": drafted.id})


def test_a_final_period_is_not_billed_again_nor_one_that_overlaps_it(cloud: Cloud) -> None:
    invoice = finalize(with_history(cloud))
    with pytest.raises(InvoiceIsFinal, match=invoice.label):
        draft(cloud)
    with pytest.raises(InvoiceOverlaps, match=invoice.label):
        draft(cloud, period=TimeInterval(at(1), at(2)))
    with transaction(cloud.pool) as tx:
        assert finalize_invoice(tx, invoice.id, NOW + timedelta(days=1), by=BY) == invoice


def test_a_period_that_is_not_over_is_not_finalized_and_one_to_come_is_not_drafted(cloud: Cloud) -> None:
    drafted = draft(with_history(cloud), now=at(5))
    with pytest.raises(PeriodNotOver), transaction(cloud.pool) as tx:
        finalize_invoice(tx, drafted.id, at(6), by=BY)
    with pytest.raises(PeriodInvalid, match="not begun"):
        draft(cloud, now=MARCH)
    with pytest.raises(PeriodInvalid, match="366 days"):
        draft(cloud, period=TimeInterval(MARCH - timedelta(days=400), MARCH))


def test_another_projects_invoice_is_not_found(cloud: Cloud) -> None:
    invoice = draft(with_history(cloud))
    with transaction(cloud.pool) as tx:
        for ask in (get_invoice, verify_invoice):
            with pytest.raises(InvoiceNotFound):
                ask(tx, invoice.id, project_id="another")
        with pytest.raises(InvoiceNotFound):
            explain_line(tx, invoice.id, 1, project_id="another")
        with pytest.raises(InvoiceNotFound):
            finalize_invoice(tx, invoice.id, NOW, project_id="another")
        with pytest.raises(InvoiceNotFound):
            get_invoice(tx, new_id())


def test_every_change_of_money_has_its_author_in_the_audit(cloud: Cloud) -> None:
    invoice = finalize(with_history(cloud))
    with transaction(cloud.pool) as tx:
        rows = tx.execute(
            "SELECT action, actor, reason, request_id FROM billing_audit WHERE project_id = %s ORDER BY id",
            (cloud.project_id,),
        ).fetchall()
    assert [row[0] for row in rows] == ["account.set", "account.assign", "invoice.drafted", "invoice.finalized"]
    assert {row[1:] for row in rows} == {("user:tester", "a test", "req-1")}
    assert invoice.number == 1


def test_a_months_documents_are_the_invoice_and_its_usage_and_disarm_formulas(cloud: Cloud) -> None:
    with_history(cloud)
    with transaction(cloud.pool) as tx:
        documents = month_documents(tx, project_id=cloud.project_id, year=2026, month=3, now=NOW, by=BY)
        again = month_documents(tx, project_id=cloud.project_id, year=2026, month=3, now=NOW, by=BY)
        assert close_month(tx, project_id=cloud.project_id, year=2026, month=3, now=NOW).number == 1
    assert documents == again
    invoice_csv, invoice_json, usage_csv, _ = (document.content.decode() for document in documents)
    assert "'=web-1: m1.small, active" in invoice_csv
    assert ",=web-1" not in invoice_csv + usage_csv
    assert '"status":"finalized"' in invoice_json
    assert "network.outgoing.bytes" in usage_csv


def test_the_usage_report_of_projects_adds_up_to_their_statements(pool: Pool, cloud: Cloud) -> None:
    with_history(cloud)
    other = Cloud(pool)
    other.lives(at(0), "active", kind="create")
    with transaction(pool) as tx:
        report = usage_report(tx, project_ids=[cloud.project_id, other.project_id], interval=PERIOD, now=NOW)
    amounts = {cost.project_id: cost.amount for cost in report.projects}
    assert amounts[cloud.project_id] == draft(cloud).subtotal
    assert {row.project_id for row in report.rows} == {cloud.project_id, other.project_id}


def test_the_default_plan_is_made_once_and_prices_every_flavor(pool: Pool) -> None:
    plans: list[PricePlan] = []

    def run() -> None:
        with transaction(pool) as tx:
            plans.append(bootstrap_plans(tx, MARCH))

    in_parallel(run, times=3)
    assert len({plan.id for plan in plans}) == 1
    other = Cloud(pool)
    other.lives(at(0), "active", kind="create", flavor="odd.flavor", vcpus=2)
    other.lives(at(10), "deleted", kind="delete")
    lines = exact(lines_of(other, draft(other)))
    assert lines["instance", "odd.flavor", "active", 1] == 10 * (2 * Fraction("7.2") + Fraction("3.6"))


def test_the_database_refuses_a_line_that_is_not_quantity_times_price(cloud: Cloud) -> None:
    drafted = draft(with_history(cloud))
    with pytest.raises(psycopg.errors.CheckViolation, match="quantity_times_price"), transaction(cloud.pool) as tx:
        tx.execute(
            "UPDATE invoice_line SET amount_unrounded = amount_unrounded + 1 WHERE invoice_id = %s", (drafted.id,)
        )


def in_parallel(run: Callable[[], object], *, times: int) -> None:
    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            run()
        except BaseException as error:  # noqa: BLE001 - told to the test below
            failures.append(error)

    threads = [threading.Thread(target=guarded) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=PATIENCE_S)
    assert not failures, failures
