"""Who belongs to a group, and how each is according to compute."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from compute import service as compute
from compute.model import Instance, InstanceFilters, InstancePage
from foundation.database import Transaction
from scaling.membership import condition_of
from scaling.model import Condition, Member, ScalingGroup
from scaling.store import groups as store
from scaling.store.groups import MemberRow

INSTANCES_PAGE_MAX = 1_000


def read_members(tx: Transaction, groups: Sequence[ScalingGroup], now: datetime) -> Mapping[UUID, Sequence[Member]]:
    """Read the members of some groups of one project; who is gone is no member any more, but nothing is written."""
    rows = store.list_members(tx, [group.id for group in groups])
    found = _find_instances(tx, groups[0].project_id, rows, now=now)
    members: dict[UUID, list[Member]] = {group.id: [] for group in groups}
    for row in rows:
        instance = found.get(row.instance_id)
        if instance is not None:
            members[row.group_id].append(_to_member(row, instance, now))
    return members


def end_gone_memberships(tx: Transaction, group: ScalingGroup, *, present: Sequence[Member], now: datetime) -> int:
    """Let those leave the group whose instances are gone; return how many."""
    known = {member.instance_id for member in present}
    gone = [row.instance_id for row in store.list_members(tx, [group.id]) if row.instance_id not in known]
    store.end_memberships(tx, gone, now=now)
    return len(gone)


def _find_instances(
    tx: Transaction, project_id: str, rows: Sequence[MemberRow], *, now: datetime
) -> Mapping[UUID, Instance]:
    found: dict[UUID, Instance] = {}
    for start in range(0, len(rows), INSTANCES_PAGE_MAX):
        ids = frozenset(row.instance_id for row in rows[start : start + INSTANCES_PAGE_MAX])
        page = compute.list_instances(
            tx,
            project_id=project_id,
            filters=InstanceFilters(ids=ids),
            page=InstancePage(limit=INSTANCES_PAGE_MAX),
            now=now,
        )
        found |= {instance.id: instance for instance in page if instance.vm_state != "deleted"}
    return found


def _to_member(row: MemberRow, instance: Instance, now: datetime) -> Member:
    condition = condition_of(instance, now)
    return Member(
        instance_id=row.instance_id,
        condition=condition,
        joined_at=row.joined_at,
        has_run=instance.launched_at is not None,
        fault=instance.fault_message if condition is Condition.LOST else None,
    )
