"""Facts about one resource that are told at the same moment: it ends as the latest fact says, whichever transaction comes first."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from threading import Thread
from uuid import UUID

import pytest

from foundation.database import Pool, Transaction, transaction
from foundation.ids import new_id
from metering.existence import ResourceEvent
from metering.service import record_lifecycle_event, record_resource_event
from tests.conftest import PATIENCE_S
from tests.metering_builders import RECEIVED_AT, an_event, at


def tell_volume(tx: Transaction, volume: UUID, *, seconds: float, is_end: bool = False, project: str = "p") -> None:
    event = ResourceEvent(
        event_id=new_id(),
        resource_id=volume,
        resource_type="volume",
        original_resource_id=str(volume),
        project_id=project,
        user_id=None,
        kind="told",
        meter="volume.size",
        unit="GiB",
        is_end=is_end,
        size=Decimal(0 if is_end else 10),
        grade="ssd",
        name="data",
        observed_at=at(seconds),
    )
    record_resource_event(tx, event, received_at=RECEIVED_AT)


def tell_instance(tx: Transaction, instance: UUID, *, seconds: float, is_end: bool = False, project: str = "p") -> None:
    state = "deleted" if is_end else "active"
    record_lifecycle_event(tx, an_event(seconds, state, instance_id=instance, project_id=project))


def read_life(pool: Pool, resource: UUID) -> tuple[datetime, datetime | None]:
    with transaction(pool) as tx:
        row = tx.execute("SELECT started_at, ended_at FROM resource WHERE id = %s", (resource,)).fetchone()
    assert row is not None
    return row


@pytest.mark.parametrize("is_known", [True, False], ids=["known", "new"])
@pytest.mark.parametrize("tell", [tell_volume, tell_instance])
def test_what_is_deleted_does_not_come_alive_by_an_older_fact_of_the_same_moment(
    pool: Pool, tell: Callable[..., None], is_known: bool
) -> None:
    resource = new_id()
    if is_known:
        with transaction(pool) as tx:
            tell(tx, resource, seconds=0)

    def tell_older() -> None:
        with transaction(pool) as tx:
            tell(tx, resource, seconds=100)

    other = Thread(target=tell_older)
    with transaction(pool) as tx:
        tell(tx, resource, seconds=200, is_end=True)
        other.start()
        other.join(0.3)
        assert other.is_alive(), "the other waits for what is not yet committed"
    other.join(PATIENCE_S)
    assert read_life(pool, resource) == (at(0 if is_known else 100), at(200))


@pytest.mark.parametrize("tell", [tell_volume, tell_instance])
def test_a_resource_that_changes_hands_keeps_whose_it_was(tx: Transaction, tell: Callable[..., None]) -> None:
    resource = new_id()
    tell(tx, resource, seconds=0, project="first")
    tell(tx, resource, seconds=100, project="second")
    kept = tx.execute(
        "SELECT project_id, revision_start, revision_end FROM resource_revision WHERE id = %s", (resource,)
    )
    assert kept.fetchall() == [("first", at(0), at(100))]
    now = tx.execute("SELECT project_id, revision_start FROM resource WHERE id = %s", (resource,)).fetchone()
    assert now == ("second", at(100))
