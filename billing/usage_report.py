"""The usage report's figures: grouped by pandas, which is loaded only when a report is made; exact all the way."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal, localcontext
from fractions import Fraction

from billing.model import Statement
from billing.statement import shown
from foundation.interval import TimeInterval
from foundation.money import MONEY_CONTEXT

REPORT_KEY = ("project_id", "resource_id", "resource_name", "meter", "flavor_name", "state", "unit", "currency")


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Some use of a resource, exact: in the price's unit where there is a price, in the meter's own where there is none."""

    project_id: str
    resource_id: str
    resource_name: str
    meter: str
    flavor_name: str
    state: str
    unit: str
    currency: str
    quantity: Fraction
    amount: Fraction
    unbilled_reason: str


@dataclass(frozen=True, slots=True)
class UsageReportRow:
    """What one resource used of one meter in a state, and its cost before tax, both with 12 decimal places."""

    project_id: str
    resource_id: str
    resource_name: str
    meter: str
    flavor_name: str
    state: str
    unit: str
    currency: str
    quantity: Decimal
    amount: Decimal
    unbilled_reason: str


@dataclass(frozen=True, slots=True)
class ProjectCost:
    """What a project's usage costs before tax, unrounded."""

    project_id: str
    currency: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class UsageReport:
    """Usage by project and resource, and the sums by project."""

    interval: TimeInterval
    rows: tuple[UsageReportRow, ...]
    projects: tuple[ProjectCost, ...]


def usage_rows(statement: Statement) -> Iterator[UsageRow]:
    """Turn a statement's lines and unbilled usage into rows of a report."""
    account = statement.account
    for line in statement.lines:
        yield UsageRow(
            project_id=account.project_id,
            resource_id=str(line.resource_id),
            resource_name=line.resource_name,
            meter=line.meter,
            flavor_name=line.flavor_name,
            state=line.state,
            unit=line.unit,
            currency=account.currency,
            quantity=Fraction(line.base_quantity) / Fraction(line.per_base),
            amount=line.amount_exact,
            unbilled_reason="",
        )
    for item in statement.unbilled:
        yield UsageRow(
            project_id=account.project_id,
            resource_id=str(item.resource_id),
            resource_name=item.resource_name,
            meter=item.meter,
            flavor_name="",
            state="",
            unit=item.base_unit,
            currency=account.currency,
            quantity=Fraction(item.quantity),
            amount=Fraction(0),
            unbilled_reason=item.reason,
        )


def summarise_usage(rows: Sequence[UsageRow], *, interval: TimeInterval) -> UsageReport:
    """Group rows by project, resource and meter; the columns hold Fractions as objects, so pandas adds them exactly."""
    if not rows:
        return UsageReport(interval, (), ())
    import pandas  # here and not above: it costs 60 MiB, which only a process that makes reports should pay

    with localcontext(MONEY_CONTEXT):
        frame = pandas.DataFrame([asdict(row) for row in rows], dtype="object")
        key = [*REPORT_KEY, "unbilled_reason"]
        by_resource = frame.groupby(key, sort=True)[["quantity", "amount"]].agg(sum_exactly).reset_index()
        by_project = frame.groupby(["project_id", "currency"], sort=True)[["amount"]].agg(sum_exactly).reset_index()
    assert sum(by_project["amount"], Fraction(0)) == sum((row.amount for row in rows), Fraction(0))
    return UsageReport(
        interval=interval,
        rows=tuple(
            UsageReportRow(
                **{column: str(row[column]) for column in key},
                quantity=shown(row["quantity"]),
                amount=shown(row["amount"]),
            )
            for row in by_resource.to_dict("records")
        ),
        projects=tuple(
            ProjectCost(str(row["project_id"]), str(row["currency"]), shown(row["amount"]))
            for row in by_project.to_dict("records")
        ),
    )


def sum_exactly(column: "Iterator[Fraction]") -> Fraction:
    """Add a column's Fractions."""
    return sum(column, Fraction(0))
