"""Counts of any size and sign: what no invoice can hold is left out, what takes back more than was used is a credit, and no digit is lost."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

import pytest

from billing.model import Authorship, Invoice
from billing.prices import CounterPrice
from billing.service import (
    account_of,
    add_price_version,
    assign_plan,
    create_price_plan,
    draft_invoice,
    explain_line,
    finalize_invoice,
    invoice_lines,
    set_account,
    usage_report,
    verify_invoice,
)
from foundation.database import Pool, transaction
from foundation.ids import new_hex_id, new_id
from foundation.interval import TimeInterval
from identity.policy import product_caller
from metering.existence import ResourceEvent
from metering.model import Sample
from metering.service import ingest_samples
from metering.service.existence import record_resource_event
from tests.event_builders import make_meter, outcomes, send, wire
from tests.metering_builders import T0, at

MONTH = TimeInterval(T0, T0 + timedelta(days=31))
NEXT = TimeInterval(MONTH.end, MONTH.end + timedelta(days=30))
NOW = NEXT.end + timedelta(days=1)
HALFWAY = T0 + timedelta(days=15)
DELTA = "storage.objects.outgoing.bytes"
BY = Authorship(actor="user:tester", reason="a test", request_id="req-1")


@dataclass(frozen=True, slots=True)
class Project:
    """A project that pays for what its programs count and for what its storage sends."""

    pool: Pool
    project_id: str
    meter: str

    def emits(self, amounts: Sequence[tuple[float, float]], *, is_admin: bool = False) -> None:
        """Tell of amounts at so many seconds after the month's begin, as a member or as the operator."""
        told = [wire(new_hex_id(), seconds=seconds, data={"tokens": amount}) for seconds, amount in amounts]
        caller = product_caller(project_id="admin") if is_admin else None
        with transaction(self.pool) as tx:
            assert set(outcomes(send(tx, self.project_id, told, now=NOW, caller=caller))) == {"a"}

    def sends(self, value: float, *, name: str, seconds: float = 10) -> None:
        """Tell of what somebody's storage has sent, as the product itself meters it."""
        sample = Sample(
            resource_id=new_id(),
            resource_type="swift_account",
            original_resource_id=name,
            project_id=self.project_id,
            user_id=None,
            meter=DELTA,
            meter_type="delta",
            unit="B",
            observed_at=at(seconds),
            value=value,
        )
        with transaction(self.pool) as tx:
            assert ingest_samples(tx, [sample], received_at=NOW).accepted == 1

    def close(self, period: TimeInterval) -> Invoice:
        """Make a period final, prove it, and explain each of its lines."""
        with transaction(self.pool) as tx:
            drafted = draft_invoice(tx, project_id=self.project_id, interval=period, now=NOW, by=BY)
        with transaction(self.pool) as tx:
            final = finalize_invoice(tx, drafted.id, NOW, by=BY)
        with transaction(self.pool) as tx:
            assert verify_invoice(tx, final.id).holds
            assert all(explain_line(tx, final.id, line.number).holds for line in invoice_lines(tx, final.id))
        return final


@pytest.fixture
def project(pool: Pool) -> Project:
    """Two yen a token, three from the middle of the month on, and a yen for what storage sends, in units of 1,000 B."""
    project_id, long_ago = new_hex_id(), T0 - timedelta(days=9)
    with transaction(pool) as tx:
        meter = make_meter(tx, project_id).name
        plan = create_price_plan(tx, name=f"plan {project_id}", currency="JPY", now=long_ago, by=BY)
        for price, since in ((2, long_ago), (3, HALFWAY)):
            tokens = CounterPrice(meter, "token", "token", Decimal(1), Decimal(price))
            traffic = CounterPrice(DELTA, "B", "kB", Decimal(1000), Decimal(1))
            add_price_version(tx, plan.id, (tokens, traffic), effective_from=since, now=long_ago, by=BY)
        terms = replace(account_of(tx, project_id), series=f"B-{project_id[-20:].upper()}", tax_rate=Decimal(0))
        set_account(tx, terms, now=long_ago, by=BY)
        assign_plan(tx, project_id, plan.id, effective_from=long_ago, now=long_ago, by=BY)
    return Project(pool, project_id, meter)


@pytest.mark.parametrize("absurd", [1e24, 1e25, 1e27, 1e100, -1e140])
def test_a_count_beyond_what_an_invoice_holds_is_left_out_with_its_reason_and_the_rest_is_billed(
    project: Project, absurd: float
) -> None:
    project.sends(absurd, name="broken")
    project.sends(5_000, name="sound")
    project.sends(0.1, name="broken", seconds=20)
    invoice = project.close(MONTH)
    with transaction(project.pool) as tx:
        (line,) = (line for line in invoice_lines(tx, invoice.id) if line.resource_name == "sound")
        report = usage_report(tx, project_ids=[project.project_id], interval=MONTH, now=NOW)
    assert line.amount == 5
    (left_out,) = (row for row in report.rows if row.unbilled_reason)
    assert left_out.quantity == Decimal(repr(absurd))
    assert left_out.unbilled_reason.startswith(f"{DELTA}: it is beyond what an invoice can hold")


def test_many_counts_of_the_largest_size_are_billed_to_the_last_unit(project: Project) -> None:
    project.emits([(second, 1e15) for second in range(1, 41)])
    assert project.close(MONTH).total == 2 * 40 * 10**15


def test_corrections_beyond_the_use_at_a_price_are_a_credit(project: Project) -> None:
    project.emits([(60, 100)])
    project.emits([(20 * 86_400, 50)])
    project.emits([(21 * 86_400, -80)], is_admin=True)
    invoice = project.close(MONTH)
    with transaction(project.pool) as tx:
        lines = invoice_lines(tx, invoice.id)
    assert [(line.base_quantity, line.amount) for line in lines] == [(100, 200), (-30, -90)]
    assert invoice.total == 110


def test_a_month_of_nothing_but_a_correction_is_a_credit_and_late_use_takes_it_back(project: Project) -> None:
    project.emits([(60, -80)], is_admin=True)
    assert project.close(MONTH).total == -160
    project.emits([(70, 100)])
    invoice = project.close(NEXT)
    with transaction(project.pool) as tx:
        (line,) = invoice_lines(tx, invoice.id)
        explained = explain_line(tx, invoice.id, line.number)
    assert (line.is_adjustment, line.base_quantity, invoice.total) == (True, 100, 200)
    assert explained.adjustment is not None
    assert (explained.adjustment.known, explained.adjustment.billed) == (20, -80)


def test_digits_that_are_not_kept_are_left_out_of_each_price_window_alike_and_the_line_is_explained(
    project: Project,
) -> None:
    with transaction(project.pool) as tx:
        other = create_price_plan(tx, name=f"other {project.project_id}", currency="JPY", now=T0, by=BY)
        tokens = CounterPrice(project.meter, "token", "token", Decimal(1), Decimal(5))
        add_price_version(tx, other.id, [tokens], effective_from=T0, now=T0, by=BY)
        assign_plan(tx, project.project_id, other.id, effective_from=T0, now=T0, by=BY)
    project.emits([(second, 1.4e-12) for second in (60, 20 * 86_400)])
    invoice = project.close(MONTH)
    project.emits([(61, 1.4e-12)])
    with transaction(project.pool) as tx:
        (line,) = invoice_lines(tx, invoice.id)
    assert (line.charge_count, line.base_quantity) == (2, Decimal("2E-12"))
    carrier = project.close(NEXT)
    with transaction(project.pool) as tx:
        (line,) = invoice_lines(tx, carrier.id)
    assert line.base_quantity == Decimal("2E-12")


def test_large_sums_lose_no_digit_on_their_way_through_an_adjustment_and_its_explanation(project: Project) -> None:
    project.emits([(second, 9e15) for second in range(2_000)])
    project.emits([(3_000, 0.123456789012)])
    project.close(MONTH)
    project.emits([(4_000, 0.000000000001)])
    carrier = project.close(NEXT)
    with transaction(project.pool) as tx:
        (line,) = invoice_lines(tx, carrier.id)
        explained = explain_line(tx, carrier.id, line.number)
    assert line.base_quantity == Decimal("1E-12")
    assert explained.counter is not None
    assert explained.counter.hours[0].increase == Decimal("18000000000000000000.123456789012")


def test_a_volume_whose_sizes_come_in_two_units_has_a_line_for_each_that_is_explained(project: Project) -> None:
    volume = new_id()
    with transaction(project.pool) as tx:
        plan = create_price_plan(tx, name=f"volumes {project.project_id}", currency="JPY", now=T0, by=BY)
        price = CounterPrice("volume.size.time", "GiB*s", "GiB*day", Decimal(86_400), Decimal(7))
        add_price_version(tx, plan.id, [price], effective_from=T0, now=T0, by=BY)
        assign_plan(tx, project.project_id, plan.id, effective_from=T0, now=T0, by=BY)
        for day, unit in enumerate(("GiB", "GB", "GiB", "GB")):
            event = ResourceEvent(
                event_id=new_id(),
                resource_id=volume,
                resource_type="volume",
                original_resource_id=str(volume),
                project_id=project.project_id,
                user_id=None,
                kind="volume.resize.end",
                meter="volume.size",
                unit=unit,
                is_end=False,
                size=Decimal(2),
                grade="",
                name="data",
                observed_at=at(day * 86_400),
            )
            record_resource_event(tx, event, received_at=NOW)
    invoice = project.close(MONTH)
    with transaction(project.pool) as tx:
        (line,) = invoice_lines(tx, invoice.id)
        report = usage_report(tx, project_ids=[project.project_id], interval=MONTH, now=NOW)
    assert (line.charge_count, line.base_quantity) == (1, 2 * 2 * 86_400)
    assert [row.quantity for row in report.rows if row.unbilled_reason] == [Decimal(29 * 2 * 86_400)]
