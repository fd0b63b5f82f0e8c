"""Which invoices have newer facts than they saw: none is missed, none that is settled is rated again, none is left out unsaid."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from billing.adjustments import adjustment_lines
from billing.model import OUTGOING_BYTES, Authorship, Invoice, InvoiceLine
from billing.prices import CounterPrice, FlavorPrice, StatePrice
from billing.service import (
    account_of,
    add_price_version,
    assign_plan,
    cost_so_far,
    create_price_plan,
    draft_invoice,
    earlier_invoices_left,
    explain_line,
    finalize_invoice,
    invoice_lines,
    late_usage,
    set_account,
    verify_invoice,
)
from billing.service import adjustments as service
from billing.store import invoices as store
from foundation.database import Pool, Transaction, transaction
from foundation.ids import new_id
from foundation.interval import TimeInterval
from metering.changes import SeenInterval
from metering.existence import ResourceEvent
from metering.service.changes import find_changed
from metering.service.existence import record_resource_event
from tests.store.billing_history import MARCH, Cloud

HOUR = timedelta(hours=1)
MIB = 2**20
NOW = MARCH + timedelta(days=3)
BY = Authorship(actor="user:tester", reason="a test", request_id="req-1")
VOLUME_TIME = "volume.size.time"


@pytest.fixture
def cloud(pool: Pool) -> Cloud:
    """A project that is billed by the hour, for a running instance, its traffic and a volume's time."""
    made = Cloud(pool)
    with transaction(pool) as tx:
        plan = create_price_plan(tx, name=f"plan {made.project_id}", currency="JPY", now=MARCH, by=BY)
        traffic = CounterPrice(OUTGOING_BYTES, "B", "MiB", Decimal(MIB), Decimal(10))
        volume = CounterPrice(VOLUME_TIME, "GiB*s", "GiB*h", Decimal(3600), Decimal(3))
        states = (StatePrice("stopped", factor=Decimal("0.25")),)
        prices = (FlavorPrice("m1.small", Decimal(4), states), traffic, volume)
        begin = MARCH - timedelta(days=9)
        add_price_version(tx, plan.id, prices, effective_from=begin, now=begin, by=BY)
        set_account(tx, replace(account_of(tx, made.project_id), series=series_of(made)), now=MARCH, by=BY)
        assign_plan(tx, made.project_id, plan.id, effective_from=begin, now=MARCH, by=BY)
    made.lives(at(-5), "active", kind="create")
    return made


def series_of(cloud: Cloud) -> str:
    return f"H-{cloud.project_id[-20:].upper()}"


def at(hours: float) -> datetime:
    return MARCH + hours * HOUR


def draft(cloud: Cloud, hour: float, *, hours: float = 1) -> Invoice:
    with transaction(cloud.pool) as tx:
        interval = TimeInterval(at(hour), at(hour + hours))
        return draft_invoice(tx, project_id=cloud.project_id, interval=interval, now=NOW, by=BY)


def close(cloud: Cloud, hour: float, *, hours: float = 1) -> Invoice:
    drafted = draft(cloud, hour, hours=hours)
    with transaction(cloud.pool) as tx:
        return finalize_invoice(tx, drafted.id, NOW, by=BY)


def sends(cloud: Cloud, readings: Sequence[tuple[float, int]], *, boot_hours: float = -5) -> None:
    cloud.sends([(at(hours), value) for hours, value in readings], boot=at(boot_hours))


def volume_event(cloud: Cloud, hours: float, size: int, *, is_end: bool = False) -> ResourceEvent:
    return ResourceEvent(
        event_id=new_id(),
        resource_id=cloud.nic_id,
        resource_type="volume",
        original_resource_id=str(cloud.nic_id),
        project_id=cloud.project_id,
        user_id=None,
        kind="volume.delete.end" if is_end else "volume.create.end",
        meter="volume.size",
        unit="GiB",
        is_end=is_end,
        size=Decimal(0 if is_end else size),
        grade="",
        name="a volume",
        observed_at=at(hours),
    )


def tell(cloud: Cloud, event: ResourceEvent) -> None:
    with transaction(cloud.pool) as tx:
        record_resource_event(tx, event, received_at=NOW)


def changed(cloud: Cloud, invoices: Sequence[Invoice]) -> set[int]:
    """Return which of the invoices have newer facts than they saw, by their place."""
    with transaction(cloud.pool) as tx:
        intervals = [SeenInterval(one.id, one.period, one.snapshot) for one in invoices]
        found = find_changed(tx, project_id=cloud.project_id, meters={OUTGOING_BYTES, VOLUME_TIME}, intervals=intervals)
    return {place for place, one in enumerate(invoices) if one.id in found}


def test_nothing_new_is_nothing_to_rate_again(cloud: Cloud) -> None:
    sends(cloud, [(0.5, MIB), (1.5, 2 * MIB), (2.5, 3 * MIB)])
    tell(cloud, volume_event(cloud, -1, 5))
    assert changed(cloud, [close(cloud, hour) for hour in range(3)]) == set()


def test_a_late_reading_matters_where_it_lies_and_where_the_next_one_lies(cloud: Cloud) -> None:
    sends(cloud, [(-0.5, MIB), (0.5, 2 * MIB), (3.5, 5 * MIB)])
    invoices = [close(cloud, hour) for hour in range(4)]
    sends(cloud, [(1.25, 3 * MIB)])
    assert changed(cloud, invoices) == {1, 3}
    sends(cloud, [(-0.25, MIB)])
    assert changed(cloud, invoices) == {0, 1, 3}, (
        "the reading before the first invoice is what its first is compared with"
    )


def test_a_late_reading_of_another_boot_changes_no_other(cloud: Cloud) -> None:
    sends(cloud, [(0.5, MIB), (1.5, 2 * MIB)])
    invoices = [close(cloud, hour) for hour in range(2)]
    sends(cloud, [(-0.75, 7 * MIB)], boot_hours=-2)
    assert changed(cloud, invoices) == set()
    sends(cloud, [(0.75, 8 * MIB)], boot_hours=-2)
    assert changed(cloud, invoices) == {0}


def test_a_value_that_was_written_anew_is_a_change(cloud: Cloud) -> None:
    sends(cloud, [(0.5, MIB), (1.5, 3 * MIB), (2.5, 3 * MIB), (3.5, 4 * MIB)])
    invoices = [close(cloud, hour) for hour in range(4)]
    sends(cloud, [(1.5, 2 * MIB)])
    assert changed(cloud, invoices) == {1, 2}


def test_a_late_fact_of_an_instances_life_matters_until_the_next_one(cloud: Cloud) -> None:
    cloud.lives(at(2.5), "active", kind="start")
    invoices = [close(cloud, hour) for hour in range(5)]
    cloud.lives(at(1.5), "stopped", kind="stop")
    assert changed(cloud, invoices) == {1, 2}
    cloud.lives(at(-4), "active", kind="start")
    assert changed(cloud, invoices) == {0, 1, 2}
    cloud.lives(at(2.25), "deleted", kind="delete")
    assert changed(cloud, invoices) == {0, 1, 2, 3, 4}


def test_a_late_fact_of_a_volume_matters_until_the_next_one(cloud: Cloud) -> None:
    tell(cloud, volume_event(cloud, -1, 5))
    tell(cloud, volume_event(cloud, 2.5, 7))
    invoices = [close(cloud, hour) for hour in range(4)]
    tell(cloud, volume_event(cloud, 1.5, 6))
    assert changed(cloud, invoices) == {1, 2}
    tell(cloud, volume_event(cloud, 2.75, 0, is_end=True))
    assert changed(cloud, invoices) == {1, 2, 3}


def test_what_a_final_invoice_has_carried_is_settled_and_rated_no_more(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    sends(cloud, [(0.5, MIB), (1.5, 2 * MIB)])
    originals = [close(cloud, hour) for hour in range(2)]
    sends(cloud, [(0.75, MIB + 5)])
    carrier = close(cloud, 2)
    assert {line.adjusts_invoice_id for line in adjustments(cloud, carrier)} == {one.id for one in originals}
    rated: list[Invoice] = []
    read_each = service.read_each

    def note(tx: Transaction, invoices: Sequence[Invoice], **asked: object) -> object:
        rated.extend(invoices)
        return read_each(tx, invoices, **asked)  # type: ignore[arg-type]

    monkeypatch.setattr(service, "read_each", note)
    assert adjustments(cloud, draft(cloud, 3)) == []
    assert rated == []
    sends(cloud, [(0.9, MIB + 7)])
    assert len(adjustments(cloud, draft(cloud, 3))) == 2
    assert [one.id for one in rated] == [one.id for one in originals]


def adjustments(cloud: Cloud, invoice: Invoice) -> list[InvoiceLine]:
    with transaction(cloud.pool) as tx:
        return [line for line in invoice_lines(tx, invoice.id) if line.is_adjustment]


def send_late_each_hour(cloud: Cloud, hours: int) -> None:
    """A MiB in each of the first hours, each of a boot of its own, so that none is compared with another."""
    for hour in range(hours):
        sends(cloud, [(hour + 0.75, MIB)], boot_hours=hour)


def test_what_one_invoice_leaves_is_said_and_taken_by_the_next(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "ADJUSTED_MAX", 2)
    monkeypatch.setattr(service, "ORIGINALS_PAGE", 1)
    originals = [close(cloud, hour) for hour in range(5)]
    send_late_each_hour(cloud, 5)
    carriers = [close(cloud, 5 + place) for place in range(3)]
    with transaction(cloud.pool) as tx:
        left = [earlier_invoices_left(tx, carrier.id) for carrier in carriers]
        assert all(verify_invoice(tx, carrier.id).holds for carrier in carriers)
        assert [late_usage(tx, original.id).lines for original in originals] == [()] * 5
    assert left == [3, 1, 0]
    taken = [{line.adjusts_invoice_id for line in adjustments(cloud, carrier)} for carrier in carriers]
    assert taken == [{one.id for one in originals[:2]}, {one.id for one in originals[2:4]}, {originals[4].id}]


def test_invoices_whose_facts_are_new_but_come_to_the_same_keep_none_behind_them_from_being_carried(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "ADJUSTED_MAX", 1)
    monkeypatch.setattr(service, "ORIGINALS_PAGE", 1)
    sends(cloud, [(0.5, MIB), (4.5, 2 * MIB)])
    originals = [close(cloud, hour) for hour in range(5)]
    cloud.lives(at(-4), "active", kind="start")
    sends(cloud, [(4.75, 3 * MIB)])
    assert changed(cloud, originals) == {0, 1, 2, 3, 4}
    assert {line.adjusts_invoice_id for line in adjustments(cloud, close(cloud, 5))} == {originals[4].id}


def test_a_void_invoice_is_neither_adjusted_nor_has_it_carried_anything(cloud: Cloud) -> None:
    sends(cloud, [(0.5, MIB), (1.5, 2 * MIB)])
    first, second = close(cloud, 0), close(cloud, 1)
    sends(cloud, [(0.75, MIB + 5), (1.75, 3 * MIB)])
    third = close(cloud, 2)
    assert adjustments(cloud, draft(cloud, 3)) == []
    with transaction(cloud.pool) as tx:
        store.append_event(tx, third.id, "void", by=BY, at=NOW)
    again = adjustments(cloud, draft(cloud, 3))
    assert {line.adjusts_invoice_id for line in again} == {first.id, second.id}
    with transaction(cloud.pool) as tx:
        store.append_event(tx, second.id, "void", by=BY, at=NOW)
        assert len(late_usage(tx, first.id).lines) == 1
    assert {line.adjusts_invoice_id for line in adjustments(cloud, draft(cloud, 3))} == {first.id}


def test_the_period_of_a_void_invoice_is_billed_anew_and_the_new_one_is_adjusted(cloud: Cloud) -> None:
    sends(cloud, [(0.5, MIB)])
    voided = close(cloud, 0)
    with transaction(cloud.pool) as tx:
        store.append_event(tx, voided.id, "void", by=BY, at=NOW)
    anew = close(cloud, 0)
    assert (anew.version, anew.number, anew.subtotal) == (2, 2, voided.subtotal)
    sends(cloud, [(0.75, 3 * MIB)])
    assert [(x.adjusts_invoice_id, x.amount) for x in adjustments(cloud, draft(cloud, 1))] == [(anew.id, 20)]


@pytest.mark.parametrize("seed", range(4))
def test_what_is_found_by_its_writer_is_all_that_rating_everything_again_would_find(cloud: Cloud, seed: int) -> None:
    chance = random.Random(seed)
    facts: list[tuple[float, int, float]] = []
    for boot in (-5.0, 2.2):
        value = 0
        for hours in sorted(chance.uniform(max(boot, -2), 6) for _ in range(14)):
            value += chance.randrange(5) * MIB
            facts.append((hours, value, boot))
    chance.shuffle(facts)
    spans = [(0, 1), (1, 1), (2, 0.5), (3, 1), (4, 1)]
    invoices: list[Invoice] = []
    for place, fact in enumerate(facts):
        sends(cloud, [fact[:2]], boot_hours=fact[2])
        if place % 9 == 4:
            state = chance.choice(("active", "stopped"))
            cloud.lives(at(chance.uniform(-2, 5)), state, kind="start")
        if place % 4 == 3 and spans:
            hour, hours = spans.pop(chance.randrange(len(spans)))
            invoices.append(close(cloud, hour, hours=hours))
        if place % 4 == 1 and invoices:
            assert_all_found(cloud)
    assert_all_found(cloud)


def assert_all_found(cloud: Cloud) -> None:
    """Compare with rating every final invoice again."""
    with transaction(cloud.pool) as tx:
        account, period = account_of(tx, cloud.project_id), TimeInterval(at(10), at(11))
        found = service.read_originals(tx, account, period=period, as_of=None)
        finals = store.list_invoices(tx, project_id=cloud.project_id, before=None, limit=100, with_discarded=False)
        owed = {one.id: late_usage(tx, one.id).lines for one in finals if one.is_final}
        by_filter = {one.invoice.id: adjustment_lines(one) for one in found.originals}
    assert by_filter == {key: [line.line for line in lines] for key, lines in owed.items() if lines}


def test_the_cost_so_far_holds_late_usage_of_many_invoices_and_each_line_is_explained(cloud: Cloud) -> None:
    for hour in range(3):
        close(cloud, hour)
    before = draft(cloud, 3).subtotal
    send_late_each_hour(cloud, 3)
    with transaction(cloud.pool) as tx:
        assert len(cost_so_far(tx, cloud.project_id, at(31 * 24 + 1)).statement.adjusted) == 3
    carrier = close(cloud, 3)
    assert carrier.subtotal == before + 30
    with transaction(cloud.pool) as tx:
        lines = invoice_lines(tx, carrier.id)
        assert all(explain_line(tx, carrier.id, line.number).holds for line in lines)
        assert not cost_so_far(tx, cloud.project_id, at(31 * 24 + 1)).statement.adjusted


def test_a_sample_that_came_while_an_invoice_was_made_final_is_found(cloud: Cloud) -> None:
    """Its transaction was open when the snapshot was taken, and is older than it."""
    sends(cloud, [(0.25, MIB)])
    with transaction(cloud.pool) as slow:
        slow.execute("SELECT pg_current_xact_id()")
        first = close(cloud, 0)
        record_resource_event(slow, volume_event(cloud, 0.5, 3), received_at=NOW)
    assert changed(cloud, [first]) == {0}
