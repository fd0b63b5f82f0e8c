"""What is heard of a guest's end: the first word counts, and a new start takes it back."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from collectors.lifecycle import HeardNotice, ends_after
from compute.hypervisor.contract import LifecycleNotice, NoticeKind

AT = datetime(2026, 1, 1, tzinfo=UTC)
ID = UUID(int=1)


def heard(kind: NoticeKind, seconds: int, instance_id: UUID | None = ID) -> HeardNotice:
    return HeardNotice(LifecycleNotice(kind, instance_id), AT + timedelta(seconds=seconds))


def test_the_first_end_counts() -> None:
    assert ends_after({}, [heard(NoticeKind.STOPPED, 1), heard(NoticeKind.CRASHED, 2)]) == {
        ID: AT + timedelta(seconds=1)
    }


def test_an_end_that_we_made_ourselves_is_not_moved_by_its_notice() -> None:
    assert ends_after({ID: AT}, [heard(NoticeKind.STOPPED, 1)]) == {ID: AT}


def test_a_new_start_takes_the_end_back() -> None:
    assert ends_after({ID: AT}, [heard(NoticeKind.STARTED, 1)]) == {}


def test_a_lost_connection_ends_no_guest() -> None:
    assert ends_after({}, [heard(NoticeKind.DISCONNECTED, 1, None), heard(NoticeKind.RECONNECTED, 2, None)]) == {}
