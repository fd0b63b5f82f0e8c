"""The doctor of metering on a real TimescaleDB, in a database of its own: it finds what was planted and nothing else."""

import json
from collections.abc import Generator
from datetime import timedelta
from uuid import UUID

import pytest

from entrypoints.doctor import examine
from foundation.clock import utc_now
from foundation.database import Pool, Transaction, transaction
from foundation.ids import new_id
from metering.completeness import Poll
from metering.service import examine_metering, ingest_samples, record_lifecycle_event, record_poll
from tests.conftest import own_pool
from tests.metering_builders import RECEIVED_AT, a_sample, an_event, at
from tests.statements import counted_statements

MINUTE = 60_000_000
NOW = at(3600)


@pytest.fixture(scope="module")
def pool(cluster_url: str) -> Generator[Pool]:
    """A database of these tests alone: the doctor looks at everything."""
    with own_pool(cluster_url) as opened:
        yield opened


def a_guest(tx: Transaction, host: str, *, last_s: float = 3540, meters: tuple[str, ...] = ("cpu",)) -> UUID:
    """An instance that runs on a host since the beginning and was read up to an instant."""
    instance = new_id()
    record_lifecycle_event(tx, an_event(0, "active", instance_id=instance, host=host))
    samples = [a_sample(s, s, resource_id=instance, meter=meter) for s in (0, last_s) for meter in meters]
    ingest_samples(tx, samples, received_at=RECEIVED_AT)
    return instance


def is_read(tx: Transaction, host: str, *, delay_s: float = 0.2, until_s: int = 3600) -> None:
    """Polls of the last hour, each of which the database heard of a moment later."""
    for second in range(0, until_s, 60):
        record_poll(tx, Poll(host, at(second), MINUTE, 10, 0))
    tx.execute("UPDATE poll SET received_at = observed_at + %s WHERE source = %s", (timedelta(seconds=delay_s), host))


def findings(tx: Transaction) -> list[tuple[str, str]]:
    diagnosis = examine_metering(tx, now=NOW)
    assert not diagnosis.is_cut
    return sorted((finding.kind.value, finding.subject) for finding in diagnosis.findings)


def test_a_cloud_that_is_well_has_no_findings(tx: Transaction) -> None:
    is_read(tx, "kvm1")
    a_guest(tx, "kvm1")
    a_guest(tx, "kvm1")
    diagnosis = examine_metering(tx, now=NOW)
    assert (diagnosis.findings, diagnosis.sources, diagnosis.instances, diagnosis.metrics) == ((), 1, 2, 2)


def test_what_stopped_is_told_from_what_ended_and_from_what_came_once(tx: Transaction) -> None:
    is_read(tx, "kvm1")
    stopped = a_guest(tx, "kvm1", last_s=1800)
    ended = a_guest(tx, "kvm1", last_s=1800)
    record_lifecycle_event(tx, an_event(1801, "stopped", instance_id=ended, host="kvm1"))
    deleted = a_guest(tx, "kvm1", last_s=1800)
    record_lifecycle_event(tx, an_event(1801, "deleted", instance_id=deleted, host="kvm1"))
    booted = a_guest(tx, "kvm1")
    once = a_sample(17, 4, resource_id=booted, meter="compute.instance.booting.time")
    ingest_samples(tx, [once], received_at=RECEIVED_AT)
    assert findings(tx) == [("metric_stopped", str(stopped))]


def test_a_disk_that_is_no_longer_read_is_found_by_its_instance(tx: Transaction) -> None:
    is_read(tx, "kvm1")
    instance, disk = a_guest(tx, "kvm1"), new_id()
    sample = a_sample(
        600,
        1,
        resource_id=disk,
        resource_type="instance_disk",
        meter="disk.device.read.bytes",
        attributes={"instance_id": str(instance)},
    )
    ingest_samples(tx, [sample], received_at=RECEIVED_AT)
    assert findings(tx) == [("metric_stopped", str(disk))]


def test_a_silent_host_is_one_finding_however_many_guests_it_has(tx: Transaction) -> None:
    is_read(tx, "kvm1")
    is_read(tx, "kvm2", until_s=1800)
    for _ in range(3):
        a_guest(tx, "kvm2", last_s=1740)
    a_guest(tx, "never-read")
    assert findings(tx) == [("host_silent", "kvm2"), ("host_silent", "never-read")]


def test_a_host_of_a_cloud_that_only_tells_of_its_instances_is_not_expected_to_be_read(tx: Transaction) -> None:
    told = an_event(0, "active", instance_id=new_id(), host="compute-1", kind="compute.instance.create.end")
    record_lifecycle_event(tx, told)
    assert findings(tx) == []


def test_clocks_that_are_off_are_told_from_readings_that_waited_on_disk(tx: Transaction) -> None:
    is_read(tx, "ahead", delay_s=-40)
    is_read(tx, "behind", delay_s=75)
    is_read(tx, "spooled", delay_s=900)
    tx.execute("UPDATE poll SET is_spooled = true WHERE source = 'spooled'")
    assert findings(tx) == [("clock_ahead", "ahead"), ("clock_behind", "behind")]


def test_a_source_that_repeats_itself_is_found(tx: Transaction) -> None:
    is_read(tx, "kvm1")
    for second in range(0, 3600, 60):
        record_poll(tx, Poll("kvm1", at(second), MINUTE, 10, 10))
    tx.execute("UPDATE poll SET received_at = observed_at")
    assert findings(tx) == [("source_repeats", "kvm1")]


def test_the_command_prints_each_finding_and_ends_with_it(pool: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    assert examine(pool, as_json=False) == 0
    assert "0 findings" in capsys.readouterr().out
    instance = new_id()
    event = an_event(0, "active", instance_id=instance, host="kvm9", observed_at=utc_now() - timedelta(hours=1))
    with transaction(pool) as tx:
        record_lifecycle_event(tx, event)
    try:
        assert examine(pool, as_json=False) == 1
        assert "host_silent: kvm9 has never been read" in capsys.readouterr().out
        assert examine(pool, as_json=True) == 1
        assert json.loads(capsys.readouterr().out)["findings"][0]["subject"] == "kvm9"
    finally:
        with transaction(pool) as tx:
            tx.execute("DELETE FROM lifecycle_event")
            tx.execute("DELETE FROM resource")


def test_the_doctor_looks_at_sources_and_at_metrics_once_each(tx: Transaction) -> None:
    a_guest(tx, "kvm-once")
    with counted_statements(tx) as counted:
        diagnosis = examine_metering(tx, now=NOW)
    assert (diagnosis.instances, diagnosis.metrics) == (1, 1)
    own_readings = [text for text in counted.texts if "FROM running" in text and "metric" in text]
    assert len(own_readings) == 1
