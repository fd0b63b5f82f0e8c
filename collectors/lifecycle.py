"""What a host's notices tell about the ends of its guests. Pure: the truth about a guest comes from looking at its host."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from compute.hypervisor.contract import LifecycleNotice, NoticeKind

LOOK_AGAIN = frozenset(
    {
        NoticeKind.STARTED,
        NoticeKind.SHUTTING_DOWN,
        NoticeKind.STOPPED,
        NoticeKind.CRASHED,
        NoticeKind.STALLED,
        NoticeKind.REMOVED,
        NoticeKind.DISCONNECTED,
        NoticeKind.RECONNECTED,
    }
)
"""Notices that make a look at the host worth while at once; of other changes there are too many, and most are ours."""

ENDS = frozenset({NoticeKind.STOPPED, NoticeKind.CRASHED, NoticeKind.STALLED})
BEGINNINGS = frozenset({NoticeKind.STARTED, NoticeKind.RESUMED})


@dataclass(frozen=True, slots=True)
class HeardNotice:
    """A notice and when it reached us."""

    notice: LifecycleNotice
    heard_at: datetime


def ends_after(known: Mapping[UUID, datetime], heard: Iterable[HeardNotice]) -> dict[UUID, datetime]:
    """Return when each guest ended or stalled, as far as it was heard: the first end counts, and who starts or goes on takes it back."""
    ends = dict(known)
    for item in heard:
        instance_id = item.notice.instance_id
        if instance_id is None:
            continue
        if item.notice.kind in ENDS:
            ends.setdefault(instance_id, item.heard_at)
        elif item.notice.kind in BEGINNINGS:
            ends.pop(instance_id, None)
    return ends
