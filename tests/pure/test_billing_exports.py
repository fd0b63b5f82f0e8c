"""Exports: what a spreadsheet may run is disarmed, and the usage report's sums are exact."""

import csv
import io
import json
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.exports import FORMULA_STARTS, USAGE_COLUMNS, cell, usage_csv, usage_json, write_csv
from billing.invoicing import compose_statement
from billing.model import PriceWindow, UsageRecord
from billing.rating import rate_usage
from billing.statement import shown
from billing.usage_report import summarise_usage, usage_rows
from tests.pure.billing_builders import PERIOD, a_count, a_segment, a_version, an_account, rated_inputs, windows_of

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_text_that_begins_like_a_formula_is_prefixed(text: str) -> None:
    assert cell(text) == f"'{text}"


def test_a_negative_amount_stays_a_number() -> None:
    assert cell(Decimal("-1.50")) == "-1.5"
    assert cell(-3) == "-3"
    assert cell("web-1") == "web-1"


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x00")), min_size=1, max_size=5))
def test_a_written_cell_reads_back_and_never_begins_a_formula(texts: list[str]) -> None:
    columns = [f"c{n}" for n in range(len(texts))]
    written = write_csv(columns, [dict(zip(columns, texts, strict=True))]).decode()
    _, row = list(csv.reader(io.StringIO(written, newline="")))
    assert not any(value.startswith(FORMULA_STARTS) for value in row)
    assert [value.removeprefix("'") for value in row] == [text.removeprefix("'") for text in texts]


@given(rated_inputs())
@settings(max_examples=25, deadline=None)
def test_the_usage_report_adds_up_to_the_statement(
    inputs: tuple[list[UsageRecord], tuple[PriceWindow, ...]],
) -> None:
    records, windows = inputs
    rated = rate_usage(records, windows=windows, zone=ZoneInfo("UTC"))
    statement = compose_statement(rated, account=an_account(), windows=windows, period=PERIOD, rated_until=PERIOD.end)
    report = summarise_usage(list(usage_rows(statement)), interval=PERIOD)
    if report.rows:
        assert report.projects[0].amount == shown(statement.subtotal_exact)
    exact = sum((Fraction(row.amount) for row in report.rows), Fraction(0))
    assert abs(exact - statement.subtotal_exact) <= Fraction(len(report.rows), 10**12)


def test_a_report_groups_by_project_resource_and_meter_and_writes_both_forms() -> None:
    records = [
        a_segment(seconds=1800),
        a_segment(start=PERIOD.start.replace(day=9), seconds=1800),
        a_count(quantity=Decimal(2**29)),
    ]
    windows = windows_of([a_version()])
    rated = rate_usage(records, windows=windows, zone=ZoneInfo("UTC"))
    statement = compose_statement(rated, account=an_account(), windows=windows, period=PERIOD, rated_until=PERIOD.end)
    report = summarise_usage(list(usage_rows(statement)), interval=PERIOD)
    found = {(row.resource_id, row.meter, row.unit): row.quantity for row in report.rows}
    assert found[str(UUID(int=7)), "instance", "hour"] == 1
    assert found[str(UUID(int=9)), "network.outgoing.bytes", "GiB"] == Decimal("0.5")
    assert usage_csv(report).decode().splitlines()[0] == ",".join(USAGE_COLUMNS)
    written = json.loads(usage_json(report))
    assert {item["meter"] for item in written["items"]} == {"instance", "disk", "network.outgoing.bytes"}
    assert all(isinstance(item["quantity"], str) for item in written["items"])


def test_a_report_of_nothing_is_empty() -> None:
    assert summarise_usage([], interval=PERIOD).rows == ()


def test_what_serves_requests_does_not_load_pandas_until_a_report_is_made() -> None:
    program = "import sys, billing.service, billing.exports; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=240, check=False).returncode == 0
