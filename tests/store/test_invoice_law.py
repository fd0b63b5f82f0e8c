"""Whatever happens and in whatever order it is told, invoices say what a naive reckoning over the list of facts says, and keep saying it."""

from collections import defaultdict
from collections.abc import Generator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.model import Invoice, InvoiceLine
from billing.service import (
    draft_invoice,
    explain_line,
    finalize_invoice,
    invoice_document,
    invoice_lines,
    late_usage,
    usage_report,
    verify_invoice,
)
from billing.service.explanations import Explanation
from billing.statement import shown
from foundation.database import Pool, transaction
from tests.conftest import own_pool
from tests.laws import law
from tests.store.month_facts import (
    Draft,
    Finalize,
    RollUp,
    Step,
    Story,
    Tell,
    stories,
)
from tests.store.month_oracle import Key, Owed
from tests.store.month_project import BY, Project, begin, retain, roll_up, tell

PLACE = Fraction(1, 10**11)


@pytest.fixture(scope="module")
def pool(cluster_url: str) -> Generator[Pool]:
    """A database of these tests alone: they roll up whatever there is."""
    with own_pool(cluster_url) as opened:
        yield opened


def quantities(project: Project, lines: Sequence[InvoiceLine]) -> dict[int | None, dict[Key, Fraction]]:
    """Return what lines charge, by the month that they adjust, None for their own."""
    by_invoice = {invoice.id: place for place, invoice in project.final.items()}
    found: defaultdict[int | None, defaultdict[Key, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
    for line in lines:
        month = None if line.adjusts_invoice_id is None else by_invoice[line.adjusts_invoice_id]
        found[month][project.key_of(line)] += Fraction(line.base_quantity)
    return {month: dict(sums) for month, sums in found.items()}


def owed(project: Project, place: int, *, until: datetime) -> dict[int | None, dict[Key, Fraction]]:
    """Return what an invoice of a month must charge: the month's usage, and what the final ones before it lack."""
    month = project.month(place)
    expected: dict[int | None, dict[Key, Fraction]] = {
        None: project.oracle.owed(project.told, start=month.start, end=until).charged
    }
    for earlier in project.charged:
        if earlier < place:
            expected[earlier] = missing(project, earlier)
    return {month: sums for month, sums in expected.items() if sums}


def missing(project: Project, place: int) -> dict[Key, Fraction]:
    """Return what is known of a month and was charged by no final invoice; negative where too much was."""
    month, charged = project.month(place), project.charged[place]
    known = project.oracle.owed(project.told, start=month.start, end=month.end).charged
    differences = {key: known.get(key, Fraction(0)) - charged.get(key, Fraction(0)) for key in {*known, *charged}}
    return {key: quantity for key, quantity in differences.items() if quantity}


def draft(project: Project, place: int, *, now: datetime) -> Invoice:
    """Draft a month, and hold what it charges to the oracle."""
    month = project.month(place)
    with transaction(project.pool) as tx:
        drafted = draft_invoice(tx, project_id=project.project_id, interval=month, now=now, by=BY)
    with transaction(project.pool) as tx:
        lines = invoice_lines(tx, drafted.id)
        assert verify_invoice(tx, drafted.id).holds
    assert quantities(project, lines) == owed(project, place, until=min(now, month.end))
    return drafted


def finalize(project: Project, place: int) -> None:
    """Make a month's invoice final without drafting it anew just before, and hold it to the oracle."""
    if place in project.final:
        return
    month = project.month(place)
    with transaction(project.pool) as tx:
        drafted = draft_invoice(
            tx, project_id=project.project_id, interval=month, now=month.start + timedelta(seconds=1), by=BY
        )
    with transaction(project.pool) as tx:
        final = finalize_invoice(tx, drafted.id, project.afterwards, by=BY)
    with transaction(project.pool) as tx:
        lines = invoice_lines(tx, final.id)
        project.documents[place] = invoice_document(tx, final.id)
    expected = owed(project, place, until=month.end)
    assert quantities(project, lines) == expected
    assert_rounded_once(final, lines)
    for month_adjusted, sums in expected.items():
        whose = project.charged.setdefault(place if month_adjusted is None else month_adjusted, {})
        for key, quantity in sums.items():
            whose[key] = whose.get(key, Fraction(0)) + quantity
    project.charged.setdefault(place, {})
    project.final[place] = final
    assert_explained(project, place)


def assert_rounded_once(invoice: Invoice, lines: Sequence[InvoiceLine]) -> None:
    """Assert that the sum is rounded down to a cent once, and that the lines share just that."""
    exact = sum((line.amount_exact for line in lines), Fraction(0))
    assert invoice.subtotal == Decimal(exact * 100 // 1) / 100
    assert sum((line.amount for line in lines), Decimal(0)) == invoice.subtotal
    assert all(abs(Fraction(line.amount) - line.amount_exact) < Fraction(1, 100) for line in lines)


def assert_explained(project: Project, place: int) -> None:
    """Assert that a final invoice reads as it did, computes to the same bytes, and that the pieces of each line are the line."""
    invoice = project.final[place]
    with transaction(project.pool) as tx:
        assert invoice_document(tx, invoice.id) == project.documents[place]
        assert verify_invoice(tx, invoice.id).holds
        for line in invoice_lines(tx, invoice.id):
            assert_adds_up(explain_line(tx, invoice.id, line.number))


def assert_adds_up(explained: Explanation) -> None:
    """Assert that the segments or hours of an explanation add up to what is charged, less what was charged before."""
    assert explained.holds, explained.line
    if explained.counter is None:
        pieces = [segment.quantity for segment in explained.segments]
    else:
        pieces = [hour.increase for hour in explained.counter.hours]
    before, charged = explained.adjustment, Fraction(explained.line.base_quantity)
    if before is not None:
        charged += Fraction(before.billed) + Fraction(before.carried)
    assert abs(sum(map(Fraction, pieces), Fraction(0)) - charged) < PLACE, explained.line


def assert_reported(project: Project, place: int) -> None:
    """Assert that the usage report of a month says what the oracle does, the unbilled too, resource by resource."""
    month = project.month(place)
    with transaction(project.pool) as tx:
        report = usage_report(tx, project_ids=[project.project_id], interval=month, now=project.afterwards)
    known = project.oracle.owed(project.told, start=month.start, end=month.end)
    assert sum((Fraction(row.amount) for row in report.projects), Fraction(0)) == Fraction(shown(known.amount))
    expected = reported(known)
    found: defaultdict[tuple[str, str, str, bool], Fraction] = defaultdict(Fraction)
    for row in report.rows:
        found[row.meter, row.resource_id, row.state, bool(row.unbilled_reason)] += Fraction(row.quantity)
    assert set(found) == set(expected)
    assert all(abs(found[key] - quantity) < PLACE for key, quantity in expected.items())


def reported(known: Owed) -> dict[tuple[str, str, str, bool], Fraction]:
    """Return what is owed as a report groups it: in the unit of the price, or unbilled."""
    found: defaultdict[tuple[str, str, str, bool], Fraction] = defaultdict(Fraction)
    for key, quantity in known.charged.items():
        found[key.meter, str(key.resource_id), key.state, False] += quantity / Fraction(key.per)
    for (meter, resource_id), quantity in known.unbilled.items():
        found[meter, str(resource_id), "", True] += quantity
    return dict(found)


def assert_late(project: Project, place: int) -> None:
    """Assert that what a final invoice is said to lack is what is known now, less all that was charged of its month."""
    with transaction(project.pool) as tx:
        late = late_usage(tx, project.final[place].id)
    found: defaultdict[Key, Fraction] = defaultdict(Fraction)
    for one in late.lines:
        found[project.key_of(one.line)] += Fraction(one.quantity)
    assert found == missing(project, place)


def take(project: Project, step: Step) -> None:
    """Let the next thing of a story happen."""
    match step:
        case Tell():
            tell(project, step.facts)
        case RollUp():
            roll_up(project.pool)
        case Draft() if step.month in project.final:
            assert_explained(project, step.month)
        case Draft():
            draft(project, step.month, now=project.month(step.month).start + timedelta(seconds=step.after_s))
        case Finalize():
            finalize(project, step.month)


def assert_all(project: Project) -> None:
    """Make final what is not, and hold everything that anybody is shown to the oracle."""
    for place in range(3):
        finalize(project, place)
    for place in range(3):
        assert_explained(project, place)
        assert_reported(project, place)
        assert_late(project, place)


@law(examples=4)
@given(story=stories())
def test_invoices_say_what_the_facts_say_however_they_were_told(pool: Pool, story: Story) -> None:
    project = begin(pool, story)
    for step in story.steps:
        take(project, step)
    assert_all(project)


@law(examples=2)
@given(story=stories(), steps_before=st.integers(1, 8), months_before=st.integers(1, 3))
def test_invoices_say_the_same_when_raw_samples_go_meanwhile(
    cluster_url: str, story: Story, steps_before: int, months_before: int
) -> None:
    with own_pool(cluster_url) as pool:
        project = begin(pool, story)
        for step in story.steps[:steps_before]:
            take(project, step)
        for place in range(months_before):
            finalize(project, place)
        retain(project)
        for place in project.final:
            assert_explained(project, place)
        for step in story.steps[steps_before:]:
            take(project, step)
        assert_all(project)
