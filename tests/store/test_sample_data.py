"""`make seed-demo` on the real database: billed like anything else, the same when asked again, and never in a real project."""

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from rich.console import Console
from rich.progress import Progress

from billing.service import verify_invoice
from entrypoints.sample_data import BY, HISTORIES, ISSUER_NAME, bill, prepare, write_history
from foundation.database import Pool, Transaction, transaction
from foundation.errors import Conflict
from identity.bootstrap import bootstrap, ensure_project
from metering.model import LifecycleEvent
from metering.service import examine_metering, record_lifecycle_event
from tests.metering_builders import a_project

NOW = datetime(2026, 3, 2, 3, 4, 5, tzinfo=UTC)


def test_a_month_of_samples_is_billed_proven_and_the_same_when_asked_again(pool: Pool) -> None:
    output = Console(file=StringIO())
    with transaction(pool) as tx:
        bootstrap(tx, NOW)
    found: list[list[tuple[str, object, object]]] = []
    for now in (NOW, NOW, NOW + timedelta(hours=2)):
        with Progress(console=output) as progress, transaction(pool) as tx:
            seeded = prepare(tx, "sample-research", now)
        write_history(pool, seeded, now=now, progress=progress)
        invoices = bill(pool, seeded, now=now)
        found.append([(invoice.label, invoice.digest, invoice.total) for invoice in invoices])
    first, again, later = found
    assert first == again
    assert later[0] == first[0]
    assert first[0][0].startswith("SAMPLE-")
    assert first[1][0] == "draft"
    with transaction(pool) as tx:
        for invoice in invoices:
            assert invoice.issuer_name == ISSUER_NAME
            assert invoice.total > 1000
            assert verify_invoice(tx, invoice.id).holds
    assert BY.reason


def test_the_doctor_expects_no_readings_of_machines_that_are_only_told_of(tx: Transaction) -> None:
    project, start = a_project(), NOW - timedelta(days=3)
    told = [fact for fact in HISTORIES["sample-research"](project, start, NOW) if isinstance(fact, LifecycleEvent)]
    for event in told:
        record_lifecycle_event(tx, event, received_at=NOW)
    assert told
    found = {finding.subject for finding in examine_metering(tx, now=NOW).findings}
    assert not found & {event.host for event in told}


def test_a_real_project_of_that_name_is_left_alone(pool: Pool) -> None:
    with pytest.raises(Conflict, match="no sample data"), transaction(pool) as tx:
        bootstrap(tx, NOW)
        ensure_project(tx, "sample-webshop", NOW)
        prepare(tx, "sample-webshop", NOW)
