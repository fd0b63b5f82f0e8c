"""Since when billing needs raw samples: one answer a project, from its invoices and drafts in order of time."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from billing.model import Authorship, Invoice, invoice_number
from billing.service import account_of, draft_invoice, finalize_invoice, set_account
from billing.service.retention import UnsettledProject, raw_samples_needed
from billing.store import invoices as store
from foundation.database import Pool, transaction
from foundation.interval import TimeInterval
from tests.store.billing_history import MARCH, Cloud

DAY = timedelta(days=1)
DISPUTE = 30 * DAY
BY = Authorship(actor="user:tester", reason="a test", request_id="req-1")


@pytest.fixture
def cloud(pool: Pool) -> Cloud:
    """A project with a number series of its own, and no usage."""
    made = Cloud(pool)
    with transaction(pool) as tx:
        terms = replace(account_of(tx, made.project_id), series=series_of(made), time_zone="UTC")
        set_account(tx, terms, now=MARCH, by=BY)
    return made


def series_of(cloud: Cloud) -> str:
    return f"S-{cloud.project_id[-20:].upper()}"


def day(number: float) -> datetime:
    return MARCH + number * DAY


def draft(cloud: Cloud, first: float, last: float) -> Invoice:
    with transaction(cloud.pool) as tx:
        interval = TimeInterval(day(first), day(last))
        return draft_invoice(tx, project_id=cloud.project_id, interval=interval, now=day(last + 1), by=BY)


def close(cloud: Cloud, first: float, last: float) -> Invoice:
    drafted = draft(cloud, first, last)
    with transaction(cloud.pool) as tx:
        return finalize_invoice(tx, drafted.id, day(last + 1), by=BY)


def needed(cloud: Cloud, *, now: datetime) -> list[UnsettledProject]:
    with transaction(cloud.pool) as tx:
        found = raw_samples_needed(tx, now=now, dispute=DISPUTE).projects
    return [project for project in found if project.project_id == cloud.project_id]


def label_of_a_million(cloud: Cloud) -> None:
    """Let the series go on behind a million invoices."""
    with transaction(cloud.pool) as tx:
        store.lock_series(tx, series_of(cloud))
        tx.execute("UPDATE invoice_series SET last_number = 1234566 WHERE series = %s", (series_of(cloud),))


def test_a_project_without_an_invoice_is_not_among_them(cloud: Cloud) -> None:
    assert needed(cloud, now=day(100)) == []


def test_a_number_of_seven_digits_is_written_whole(cloud: Cloud) -> None:
    label_of_a_million(cloud)
    final = close(cloud, 0, 3)
    assert final.label == invoice_number(series_of(cloud), 1234567) == f"{series_of(cloud)}-1234567"
    (found,) = needed(cloud, now=day(10))
    assert found.needed_since == day(0)
    assert f"is {final.label}, less than 30 days final" in found.reason


@pytest.mark.parametrize(
    ("made", "since", "reason"),
    [
        ([("close", 0, 3), ("close", 3, 5)], 5, "nothing from"),
        ([("close", 0, 3), ("close", 4, 5)], 3, "nothing from"),
        ([("close", 0, 3), ("draft", 3, 5)], 3, "is a draft"),
        ([("draft", 0, 3), ("close", 3, 5)], 0, "is a draft"),
        ([("close", 0, 3), ("close", 3, 5), ("close", 5, 60)], 5, "less than 30 days final"),
        ([("close", 0, 3), ("draft", 4, 5), ("close", 5, 7)], 3, "nothing from"),
    ],
)
def test_what_is_needed_begins_where_settled_invoices_one_after_the_other_end(
    cloud: Cloud, made: list[tuple[str, float, float]], since: float, reason: str
) -> None:
    makers: dict[str, Callable[[Cloud, float, float], Invoice]] = {"close": close, "draft": draft}
    for how, first, last in made:
        makers[how](cloud, first, last)
    (found,) = needed(cloud, now=day(64))
    assert (found.needed_since, reason in found.reason) == (day(since), True), found


def test_a_void_invoice_settles_nothing_until_its_period_is_billed_anew(cloud: Cloud) -> None:
    close(cloud, 0, 3)
    voided = close(cloud, 3, 5)
    with transaction(cloud.pool) as tx:
        store.append_event(tx, voided.id, "void", by=BY, at=day(7))
    (found,) = needed(cloud, now=day(64))
    assert (found.needed_since, f"{voided.label}, which is void" in found.reason) == (day(3), True), found
    close(cloud, 3, 5)
    (found,) = needed(cloud, now=day(64))
    assert found.needed_since == day(5)
