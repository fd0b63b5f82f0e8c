"""An invoice as an accountant reads it: opened by the usual readers its figures foot, each line is explained, and a rerun gives the same bytes."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import ROUND_FLOOR, Decimal
from typing import Any

import pandas
import pytest

from billing.model import OUTGOING_BYTES, Authorship, Invoice
from billing.prices import CounterPrice, DiskPrice, SizePrice, StatePrice
from billing.service import (
    account_of,
    add_price_version,
    assign_plan,
    create_price_plan,
    draft_invoice,
    explain_line,
    finalize_invoice,
    invoice_document,
    invoice_files,
    invoice_lines,
    set_account,
    usage_report,
    verify_invoice,
)
from foundation.database import Pool, transaction
from foundation.ids import new_id
from foundation.interval import TimeInterval
from metering.existence import ResourceEvent
from metering.service.existence import record_resource_event
from tests.store.billing_history import APRIL, MARCH, Cloud

MAY = APRIL + timedelta(days=30)
NOW = MAY + timedelta(days=1)
HOUR = timedelta(hours=1)
BY = Authorship(actor="user:tester", reason="a test", request_id="req-1")
CENT = Decimal("0.01")


@pytest.fixture
def cloud(pool: Pool) -> Cloud:
    """A month in dollars of every kind of line: an instance that is resized and stopped, its disk, its traffic, a volume; dearer halfway."""
    made = Cloud(pool)
    with transaction(pool) as tx:
        plan = create_price_plan(tx, name=f"plan {made.project_id}", currency="USD", now=MARCH, by=BY)
        for factor, begin in ((1, MARCH - timedelta(days=9)), (3, MARCH + timedelta(days=15))):
            states = (StatePrice("stopped", factor=Decimal("0.3")),)
            prices = (
                SizePrice(Decimal("0.0137") * factor, Decimal("0.0071") * factor, states),
                DiskPrice(Decimal("0.11") * factor),
                CounterPrice(OUTGOING_BYTES, "B", "GB", Decimal(10**9), Decimal("0.09") * factor),
                CounterPrice("volume.size.time", "GiB*s", "GiB*day", Decimal(86400), Decimal("0.0033") * factor),
            )
            add_price_version(tx, plan.id, prices, effective_from=begin, now=MARCH - timedelta(days=9), by=BY)
        terms = replace(account_of(tx, made.project_id), series=f"R-{made.project_id[-20:].upper()}")
        set_account(tx, replace(terms, currency="USD", tax_rate=Decimal("0.19")), now=MARCH, by=BY)
        assign_plan(tx, made.project_id, plan.id, effective_from=MARCH - timedelta(days=9), now=MARCH, by=BY)
    made.lives(MARCH + HOUR, "active", kind="create")
    made.lives(MARCH + timedelta(days=3, seconds=7), "stopped", kind="stop")
    made.lives(MARCH + timedelta(days=9, microseconds=5), "active", kind="start", flavor="m1.medium", vcpus=2)
    made.sends([(MARCH + n * 7 * HOUR, n * 777_777_777) for n in range(1, 100)], boot=MARCH)
    event = ResourceEvent(
        event_id=new_id(),
        resource_id=new_id(),
        resource_type="volume",
        original_resource_id="v",
        project_id=made.project_id,
        user_id=None,
        kind="volume.create.end",
        meter="volume.size",
        unit="GiB",
        is_end=False,
        size=Decimal(7),
        grade="",
        name='a "volume", mine\n',
        observed_at=MARCH + timedelta(days=2),
    )
    with transaction(pool) as tx:
        record_resource_event(tx, event, received_at=NOW)
    return made


def close(cloud: Cloud, period: TimeInterval) -> Invoice:
    with transaction(cloud.pool) as tx:
        drafted = draft_invoice(tx, project_id=cloud.project_id, interval=period, now=NOW, by=BY)
        return finalize_invoice(tx, drafted.id, NOW, by=BY)


def files_of(cloud: Cloud, invoice: Invoice) -> tuple[str, dict[str, Any]]:
    with transaction(cloud.pool) as tx:
        as_csv, as_json = invoice_files(tx, invoice)
    return as_csv.content.decode(), json.loads(as_json.content)


def assert_foots(rows: Sequence[dict[str, str]], total: Decimal) -> None:
    """Add the file up as whoever books it does, and multiply each line out."""
    lines = [row for row in rows if row["line"]]
    for row in lines:
        assert (Decimal(row["quantity"]) * Decimal(row["unit_price"]) - Decimal(row["amount"])).copy_abs() < CENT
    (tax,) = [row for row in rows if row["description"] == "Tax"]
    subtotal = sum((Decimal(row["amount"]) for row in lines), Decimal(0))
    assert Decimal(tax["amount"]) == (subtotal * Decimal(tax["tax_rate"])).quantize(CENT, rounding=ROUND_FLOOR)
    assert subtotal + Decimal(tax["amount"]) == Decimal(rows[-1]["amount"]) == total


def test_both_files_of_a_month_foot_in_the_readers_that_people_use(cloud: Cloud) -> None:
    invoice = close(cloud, TimeInterval(MARCH, APRIL))
    text, document = files_of(cloud, invoice)
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert_foots(rows, invoice.total)
    frame = pandas.read_csv(io.StringIO(text))
    billed = frame[frame["line"].notna()]
    assert billed["amount"].sum() == pytest.approx(float(invoice.subtotal))
    assert set(billed["meter"]) == {"instance", "disk", OUTGOING_BYTES, "volume.size.time"}
    started = pandas.to_datetime(billed["started_at"])
    assert started[billed["meter"] == "instance"].min() == MARCH + HOUR
    assert [line["amount"] for line in document["lines"]] == [row["amount"] for row in rows if row["line"]]
    assert Decimal(document["total"]) == invoice.total


def test_the_files_are_named_after_the_first_day_of_the_period_where_the_account_is(cloud: Cloud) -> None:
    drafted = close(cloud, TimeInterval(MARCH, APRIL))
    with transaction(cloud.pool) as tx:
        names = [document.name for document in invoice_files(tx, drafted)]
    assert names == [f"{drafted.label}-20260301.csv", f"{drafted.label}-20260301.json"]


def test_the_files_and_the_document_are_the_same_bytes_each_time(cloud: Cloud) -> None:
    invoice = close(cloud, TimeInterval(MARCH, APRIL))
    first = files_of(cloud, invoice)
    with transaction(cloud.pool) as tx:
        document = invoice_document(tx, invoice.id)
    cloud.sends([(MARCH + 8 * HOUR, 900_000_000)], boot=MARCH)
    close(cloud, TimeInterval(APRIL, MAY))
    with transaction(cloud.pool) as tx:
        assert verify_invoice(tx, invoice.id).holds
        assert invoice_document(tx, invoice.id) == document
    assert files_of(cloud, invoice) == first


def test_every_line_is_explained_to_the_last_digit_and_the_usage_report_says_the_same(cloud: Cloud) -> None:
    first = close(cloud, TimeInterval(MARCH, APRIL))
    with transaction(cloud.pool) as tx:
        report = usage_report(tx, project_ids=[cloud.project_id], interval=first.period, now=NOW)
        lines = invoice_lines(tx, first.id)
    assert (report.projects[0].amount - sum(line.amount for line in lines)).copy_abs() < CENT
    cloud.lives(MARCH + timedelta(days=20), "deleted", kind="delete")
    cloud.sends([(MARCH + 8 * HOUR, 900_000_000)], boot=MARCH)
    second = close(cloud, TimeInterval(APRIL, MAY))
    for invoice in (first, second):
        with transaction(cloud.pool) as tx:
            explained = [explain_line(tx, invoice.id, line.number) for line in invoice_lines(tx, invoice.id)]
            assert verify_invoice(tx, invoice.id).holds
        assert all(one.holds for one in explained)
        for one in explained:
            quantity = sum((segment.quantity for segment in one.segments), Decimal(0))
            if one.counter is not None:
                quantity = sum((hour.increase for hour in one.counter.hours), Decimal(0))
            charged = one.line.base_quantity
            if one.adjustment is not None:
                charged += one.adjustment.billed + one.adjustment.carried
            assert quantity == charged, one.line
    text, _ = files_of(cloud, second)
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert second.subtotal < 0
    assert {row["adjusts_invoice"] for row in rows if row["adjusts_invoice"]} == {first.label}
    assert Decimal(rows[-1]["amount"]) == second.total


def test_a_month_without_usage_has_files_too(cloud: Cloud) -> None:
    invoice = close(cloud, TimeInterval(MARCH - timedelta(days=2), MARCH - timedelta(days=1)))
    text, document = files_of(cloud, invoice)
    (total,) = csv.DictReader(io.StringIO(text, newline=""))
    assert (total["description"], total["amount"]) == ("Total", "0")
    assert (document["lines"], document["total"]) == ([], "0")
