"""Taking in samples: once each, overwritten values kept, bad ones refused alone."""

import math
from datetime import timedelta
from threading import Thread

from foundation.database import Pool, Transaction, transaction
from foundation.ids import new_id
from foundation.interval import TimeInterval
from metering.model import IngestResult
from metering.service import counter_usage, ingest_samples
from tests.conftest import PATIENCE_S
from tests.metering_builders import RECEIVED_AT, a_project, a_sample, at


def test_a_repeat_changes_nothing_and_is_counted_as_one(tx: Transaction) -> None:
    samples = [a_sample(s, s, resource_id=new_id()) for s in range(3)]
    assert ingest_samples(tx, samples, received_at=RECEIVED_AT) == IngestResult(3, 0, 0)
    marks = tx.execute("SELECT count(*) FROM dirty_mark").fetchone()
    assert ingest_samples(tx, samples, received_at=RECEIVED_AT) == IngestResult(0, 3, 0)
    assert ingest_samples(tx, [*samples, *samples], received_at=RECEIVED_AT) == IngestResult(0, 6, 0)
    assert tx.execute("SELECT count(*) FROM dirty_mark").fetchone() == marks, "a repeat dirties nothing"


def test_the_last_write_wins(tx: Transaction) -> None:
    resource = new_id()
    ingest_samples(tx, [a_sample(0, 1, resource_id=resource)], received_at=RECEIVED_AT)
    changed = [a_sample(0, 2, resource_id=resource), a_sample(0, 3, resource_id=resource)]
    assert ingest_samples(tx, changed, received_at=RECEIVED_AT) == IngestResult(0, 1, 1)
    assert tx.execute(
        "SELECT value FROM measure m JOIN metric c ON c.key = m.metric_key WHERE c.resource_id = %s", (resource,)
    ).fetchall() == [(3,)]


def test_a_bad_sample_is_refused_alone_with_its_place_and_reason(tx: Transaction) -> None:
    resource = new_id()
    late = (RECEIVED_AT - at(0)).total_seconds()
    samples = [
        a_sample(0, 1, resource_id=resource),
        a_sample(late + 299, 1, resource_id=resource),
        a_sample(late + 301, 1, resource_id=resource),
        a_sample(1, math.nan, resource_id=resource),
        a_sample(2, math.inf, resource_id=resource),
        a_sample(3, 1e200, resource_id=resource),
        a_sample(4, 1, resource_id=resource, observed_at=at(0) - timedelta(days=365 * 60)),
        a_sample(5, 1, resource_id=resource, resource_type="no such type"),
        a_sample(6, 1, resource_id=resource, boot_epoch=4_000_000_000_000_000),
    ]
    result = ingest_samples(tx, samples, received_at=RECEIVED_AT)
    assert (result.accepted, [rejected.position for rejected in result.rejected]) == (2, [2, 3, 4, 5, 6, 7, 8])
    assert "more than 5 minutes in the future" in result.rejected[0].reason
    assert "not a finite number" in result.rejected[1].reason


def test_a_negative_zero_is_a_zero(tx: Transaction) -> None:
    resource = new_id()
    ingest_samples(tx, [a_sample(0, -0.0, resource_id=resource)], received_at=RECEIVED_AT)
    assert tx.execute(
        "SELECT value::text FROM measure m JOIN metric c ON c.key = m.metric_key WHERE c.resource_id = %s", (resource,)
    ).fetchall() == [("0",)]


def test_attributes_follow_the_newest_sample_and_leave_a_revision(tx: Transaction) -> None:
    resource = new_id()
    for seconds, host in ((0, "a"), (10, "b"), (20, "b"), (5, "a")):
        sample = a_sample(seconds, 1, resource_id=resource, attributes={"host": host})
        ingest_samples(tx, [sample], received_at=RECEIVED_AT)
    assert tx.execute("SELECT attributes, revision_start FROM resource WHERE id = %s", (resource,)).fetchall() == [
        ({"host": "b"}, at(10))
    ]
    assert tx.execute("SELECT attributes FROM resource_revision WHERE id = %s", (resource,)).fetchall() == [
        ({"host": "a"},)
    ]


def test_a_deleted_resource_that_sends_again_is_there_again_with_a_new_metric_and_its_old_usage(
    tx: Transaction,
) -> None:
    project, resource = a_project(), new_id()
    ingest_samples(
        tx, [a_sample(0, 5, resource_id=resource, project_id=project, boot_epoch=1)], received_at=RECEIVED_AT
    )
    tx.execute("UPDATE metric SET status = 'delete' WHERE resource_id = %s", (resource,))
    tx.execute("UPDATE resource SET deleted_at = now() WHERE id = %s", (resource,))
    ingest_samples(
        tx, [a_sample(9, 7, resource_id=resource, project_id=project, boot_epoch=2)], received_at=RECEIVED_AT
    )
    assert tx.execute("SELECT deleted_at FROM resource WHERE id = %s", (resource,)).fetchone() == (None,)
    usage = counter_usage(tx, project_id=project, meter="cpu", interval=TimeInterval(at(0), at(60)))
    assert [u.quantity for u in usage] == [12]


def test_a_batch_of_new_known_and_changed_samples_keeps_each_once_and_marks_only_what_it_wrote(tx: Transaction) -> None:
    resource = new_id()
    ingest_samples(tx, [a_sample(s, s, resource_id=resource) for s in range(0, 50, 10)], received_at=RECEIVED_AT)
    tx.execute("DELETE FROM dirty_mark")
    batch = [
        a_sample(0, 0, resource_id=resource),
        a_sample(10, 11, resource_id=resource),
        a_sample(7_300, 1, resource_id=resource),
        a_sample(7_300, 2, resource_id=resource, boot_epoch=7),
        a_sample(7_300, 3, resource_id=resource),
    ]
    assert ingest_samples(tx, batch, received_at=RECEIVED_AT) == IngestResult(2, 2, 1)
    stored = tx.execute(
        """SELECT extract(epoch FROM observed_at - %s)::int, boot_epoch, value FROM measure m JOIN metric c ON c.key = m.metric_key
        WHERE c.resource_id = %s AND (value > 40 OR observed_at >= %s OR value = 11) ORDER BY 1, 2""",
        (at(0), resource, at(7_300)),
    ).fetchall()
    assert stored == [(10, 0, 11), (7_300, 0, 3), (7_300, 7, 2)]
    assert tx.execute("SELECT first_ats, last_ats FROM dirty_mark").fetchall() == [
        ([at(10), at(7_300)], [at(10), at(7_300)])
    ]


def test_a_sample_that_another_writer_commits_meanwhile_is_kept_once(pool: Pool) -> None:
    resource = new_id()
    with transaction(pool) as tx:
        ingest_samples(tx, [a_sample(0, 0, resource_id=resource)], received_at=RECEIVED_AT)
    results: list[IngestResult] = []

    def write() -> None:
        with transaction(pool) as tx:
            batch = [a_sample(s, s, resource_id=resource) for s in (0, 10, 20)]
            results.append(ingest_samples(tx, batch, received_at=RECEIVED_AT))

    with transaction(pool) as tx:
        ingest_samples(tx, [a_sample(10, 10, resource_id=resource)], received_at=RECEIVED_AT)
        other = Thread(target=write)
        other.start()
        other.join(0.5)
        assert not results, "the other waits for what is not yet committed"
    other.join(PATIENCE_S)
    assert results == [IngestResult(1, 2, 0)]
