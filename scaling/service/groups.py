"""The life of a scaling group: made, changed, listed with its members, deleted after them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from foundation.database import Transaction
from foundation.errors import Forbidden, QuotaExceeded
from foundation.ids import new_id
from identity import directory, policy
from identity.model import Caller
from scaling.decision import present_members
from scaling.model import (
    GROUPS_PER_PROJECT_MAX,
    Activity,
    Cause,
    DecisionKind,
    GroupConflict,
    GroupNotFound,
    GroupSpec,
    GroupState,
    Member,
    ScalingGroup,
)
from scaling.service.activities import record_activity
from scaling.service.members import read_members
from scaling.service.templates import check_launchable, checked_template, member_of
from scaling.store import activities as activity_store
from scaling.store import groups as store

LIST_MAX = 1_001
"""The largest page, and one more that tells whether another follows."""


@dataclass(frozen=True, slots=True)
class GroupView:
    """A group with the members that it has now."""

    group: ScalingGroup
    members: Sequence[Member]

    @property
    def size_current(self) -> int:
        """How many members count toward the size now."""
        return len(present_members(self.members))


def create_group(tx: Transaction, spec: GroupSpec, *, caller: Caller, now: datetime) -> GroupView:
    """Make a group; its members are launched right after."""
    policy.require_writer(caller)
    directory.hold_project(tx, caller.project_id)
    count = store.count_groups_locked(tx, caller.project_id)
    if count >= GROUPS_PER_PROJECT_MAX:
        raise QuotaExceeded(f"the project has {count} scaling groups, as many as it may have")
    check_launchable(spec)
    owner = member_of(caller.project_id, caller.user_id)
    spec = replace(spec, launch=checked_template(tx, spec.launch, caller=owner, now=now))
    group_id = new_id()
    store.insert_group(tx, group_id, project_id=caller.project_id, user_id=caller.user_id or None, spec=spec, now=now)
    return get_group(tx, group_id, caller=caller, now=now)


def count_groups(tx: Transaction, project_id: str) -> int:
    """Count a project's groups, those too that are being deleted; no other is made until the transaction ends."""
    return store.count_groups_locked(tx, project_id)


def find_own_group(tx: Transaction, group_id: UUID, *, caller: Caller, for_update: bool = False) -> ScalingGroup:
    """Read a group of the caller's project; raises GroupNotFound for another project's too."""
    group = store.find_group(tx, group_id, for_update=for_update)
    if group is None or not policy.may_read(caller, group.project_id):
        raise GroupNotFound(f"scaling group {group_id} not found")
    if for_update and not policy.may_write(caller, group.project_id):
        raise Forbidden("this needs the member role in the project")
    return group


def get_group(tx: Transaction, group_id: UUID, *, caller: Caller, now: datetime, for_update: bool = False) -> GroupView:
    """Read a group with its members, locked where it is about to change: a policy may resize it at any time."""
    group = find_own_group(tx, group_id, caller=caller, for_update=for_update)
    return GroupView(group, read_members(tx, [group], now)[group.id])


def list_groups(
    tx: Transaction, *, caller: Caller, now: datetime, marker: UUID | None = None, limit: int = LIST_MAX
) -> Sequence[GroupView]:
    """List the project's groups with their members, oldest first."""
    groups = store.list_groups(tx, project_id=caller.project_id, marker=marker, limit=min(limit, LIST_MAX))
    if not groups:
        return []
    members = read_members(tx, groups, now)
    return [GroupView(group, members[group.id]) for group in groups]


def update_group(tx: Transaction, group_id: UUID, *, spec: GroupSpec, caller: Caller, now: datetime) -> GroupView:
    """Put new settings in the place of the old; a new desired size is an activity like any other."""
    group = find_own_group(tx, group_id, caller=caller, for_update=True)
    if group.state is GroupState.DELETING:
        raise GroupConflict(f"scaling group {group_id} is being deleted")
    if (spec.name, spec.launch) != (group.spec.name, group.spec.launch):
        check_launchable(spec)
    if spec.launch != group.spec.launch:
        owner = member_of(group.project_id, group.user_id)
        spec = replace(spec, launch=checked_template(tx, spec.launch, caller=owner, now=now))
    store.update_spec(tx, group.id, spec=spec, now=now)
    if spec.size_desired != group.spec.size_desired:
        cause = Cause(project_id=group.project_id, description=f"user {caller.user_name}", user_id=caller.user_id)
        reason = f"the desired size was set from {group.spec.size_desired} to {spec.size_desired}"
        record_activity(
            tx, group, decision=DecisionKind.RESIZE, reason=reason, cause=cause, size_after=spec.size_desired, now=now
        )
    return get_group(tx, group_id, caller=caller, now=now)


def delete_group(tx: Transaction, group_id: UUID, *, caller: Caller, now: datetime) -> None:
    """Begin to delete a group: first its members go, then it."""
    group = find_own_group(tx, group_id, caller=caller, for_update=True)
    if group.state is GroupState.DELETING:
        return
    store.mark_deleting(tx, group.id, now=now)
    if group.spec.size_desired:
        cause = Cause(project_id=group.project_id, description=f"user {caller.user_name}", user_id=caller.user_id)
        record_activity(
            tx, group, decision=DecisionKind.RESIZE, reason="the group is deleted", cause=cause, size_after=0, now=now
        )


def list_activities(
    tx: Transaction, group_id: UUID, *, caller: Caller, marker: UUID | None = None, limit: int = LIST_MAX
) -> Sequence[Activity]:
    """List the decisions about a group, newest first, also when it is gone; an admin sees those of another project's group while it is there."""
    group = store.find_group(tx, group_id)
    project_id = group.project_id if group and policy.may_read(caller, group.project_id) else caller.project_id
    found = activity_store.list_activities(
        tx, group_id, project_id=project_id, marker=marker, limit=min(limit, LIST_MAX)
    )
    if not found and marker is None:
        find_own_group(tx, group_id, caller=caller)
    return found
