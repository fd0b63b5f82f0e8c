"""The outbox on a real database: events live and die with the transaction that makes them true."""

from collections.abc import Generator
from datetime import UTC, datetime, timedelta

import pytest

from foundation import outbox
from foundation.database import Pool, Transaction, transaction
from tests.conftest import own_pool


@pytest.fixture(scope="module")
def pool(cluster_url: str) -> Generator[Pool]:
    """A database of these tests alone: they mind what others have left."""
    with own_pool(cluster_url) as opened:
        yield opened


def soon() -> datetime:
    """An instant at which everything written so far is due."""
    return datetime.now(UTC) + timedelta(minutes=1)


def test_an_event_is_there_when_its_transaction_commits_and_not_before(pool: Pool) -> None:
    with transaction(pool) as writing:
        event_id = outbox.append(writing, "test.topic", key="a", payload={"n": 1})
        with transaction(pool) as other:
            assert event_id not in {event.id for event in outbox.claim_due(other, now=soon())}
    with transaction(pool) as tx:
        assert event_id in {event.id for event in outbox.claim_due(tx, now=soon())}
        outbox.mark_handled(tx, event_id, now=soon())


def test_an_event_of_a_failed_transaction_never_was(pool: Pool) -> None:
    with pytest.raises(ZeroDivisionError), transaction(pool) as tx:
        outbox.append(tx, "test.rolled_back", key="a", payload={})
        raise ZeroDivisionError
    with transaction(pool) as tx:
        assert "test.rolled_back" not in {event.topic for event in outbox.claim_due(tx, now=soon())}


def test_two_relays_never_claim_the_same_event(pool: Pool) -> None:
    with transaction(pool) as tx:
        wanted = {outbox.append(tx, "test.topic", key=str(n), payload={}) for n in range(4)}
    with transaction(pool) as first, transaction(pool) as second:
        claimed_first = {event.id for event in outbox.claim_due(first, now=soon(), limit=2)}
        claimed_second = {event.id for event in outbox.claim_due(second, now=soon())}
        assert not claimed_first & claimed_second
        assert wanted <= claimed_first | claimed_second
    with transaction(pool) as tx:
        for event_id in wanted:
            outbox.mark_handled(tx, event_id, now=soon())


def test_a_failed_event_waits_longer_each_time_and_stays(tx: Transaction) -> None:
    event_id = outbox.append(tx, "test.topic", key="a", payload={"of": "a failed event", "n": 1})
    now = soon()
    for attempt in range(3):
        event = next(event for event in outbox.claim_due(tx, now=now) if event.id == event_id)
        assert event.attempts == attempt
        outbox.mark_failed(tx, event, error="the receiver is away", now=now)
        too_early = now + timedelta(seconds=2**attempt) - timedelta(milliseconds=1)
        assert event_id not in {event.id for event in outbox.claim_due(tx, now=too_early)}
        now += timedelta(seconds=2**attempt)
    assert outbox.has_pending(tx, "test.topic", part={"of": "a failed event"})
    assert not outbox.has_pending(tx, "test.topic", part={"of": "another"})
    outbox.mark_handled(tx, event_id, now=now)
    assert not outbox.has_pending(tx, "test.topic", part={"of": "a failed event"})


def test_handled_events_are_dropped_after_their_time(tx: Transaction) -> None:
    event_id = outbox.append(tx, "test.topic", key="a", payload={})
    long_ago = soon() - timedelta(days=1000)
    outbox.mark_handled(tx, event_id, now=long_ago)
    assert outbox.drop_handled(tx, before=long_ago) == 0
    assert outbox.drop_handled(tx, before=long_ago + timedelta(seconds=1)) == 1
