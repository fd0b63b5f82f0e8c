"""Policies: made, changed, deleted, and executed, with every decision recorded."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import assert_never
from uuid import UUID

from foundation.database import Transaction
from foundation.errors import QuotaExceeded
from foundation.ids import new_id
from identity import policy as rights
from identity.model import Caller
from scaling.decision import decide_adjustment
from scaling.model import (
    POLICIES_PER_GROUP_MAX,
    Activity,
    Cause,
    DecisionKind,
    PolicyNotFound,
    PolicySpec,
    Refusal,
    Resize,
    ScalingPolicy,
)
from scaling.service.activities import record_activity
from scaling.service.groups import find_own_group
from scaling.service.members import read_members
from scaling.store import activities as activity_store
from scaling.store import groups as group_store
from scaling.store import policies as store

REFUSAL_TOLD_AGAIN_AFTER = timedelta(minutes=10)


def create_policy(tx: Transaction, group_id: UUID, *, spec: PolicySpec, caller: Caller, now: datetime) -> ScalingPolicy:
    """Add a policy to a group."""
    group = find_own_group(tx, group_id, caller=caller, for_update=True)
    if len(store.list_policies(tx, group.id, limit=POLICIES_PER_GROUP_MAX)) >= POLICIES_PER_GROUP_MAX:
        raise QuotaExceeded(f"a group has at most {POLICIES_PER_GROUP_MAX} policies")
    policy_id = new_id()
    store.insert_policy(tx, policy_id, group_id=group.id, spec=spec, now=now)
    return get_policy(tx, policy_id, caller=caller)


def list_policies(tx: Transaction, group_id: UUID, *, caller: Caller) -> Sequence[ScalingPolicy]:
    """List a group's policies, oldest first."""
    group = find_own_group(tx, group_id, caller=caller)
    return store.list_policies(tx, group.id, limit=POLICIES_PER_GROUP_MAX)


def find_policies(tx: Transaction, policy_ids: Collection[UUID], *, project_id: str) -> frozenset[UUID]:
    """Return those of the ids that a project can execute; those of a group that is being deleted cannot."""
    return store.find_policies(tx, policy_ids, project_id=project_id) if policy_ids else frozenset()


def get_policy(tx: Transaction, policy_id: UUID, *, caller: Caller) -> ScalingPolicy:
    """Read a policy; raises PolicyNotFound for another project's too."""
    found = store.find_policy(tx, policy_id)
    group = None if found is None else group_store.find_group(tx, found.group_id)
    if found is None or group is None or not rights.may_read(caller, group.project_id):
        raise PolicyNotFound(f"scaling policy {policy_id} not found")
    return found


def update_policy(tx: Transaction, policy_id: UUID, *, spec: PolicySpec, caller: Caller) -> ScalingPolicy:
    """Put new settings in the place of a policy's old ones; a cooldown that runs goes on."""
    found = get_policy(tx, policy_id, caller=caller)
    find_own_group(tx, found.group_id, caller=caller, for_update=True)
    store.update_policy(tx, policy_id, spec=spec)
    return get_policy(tx, policy_id, caller=caller)


def delete_policy(tx: Transaction, policy_id: UUID, *, caller: Caller) -> None:
    """Delete a policy; alarms that name it find it gone and do nothing."""
    found = get_policy(tx, policy_id, caller=caller)
    find_own_group(tx, found.group_id, caller=caller, for_update=True)
    store.delete_policy(tx, policy_id)


def execute_own_policy(tx: Transaction, policy_id: UUID, *, caller: Caller, now: datetime) -> Activity:
    """Execute a policy because a user says so."""
    found = get_policy(tx, policy_id, caller=caller)
    group = find_own_group(tx, found.group_id, caller=caller, for_update=True)
    cause = Cause(project_id=group.project_id, description=f"user {caller.user_name}", user_id=caller.user_id)
    return execute_policy(tx, policy_id, cause=cause, now=now)


def execute_policy(tx: Transaction, policy_id: UUID, *, cause: Cause, now: datetime) -> Activity:
    """Decide what a policy does to its group now, and record it: a resize, or a refusal with its reason.

    An alarm that repeats its action repeats its refusal; the same one in a row is recorded once in ten minutes.
    Raises PolicyNotFound where the policy is gone or belongs to another project than the cause.
    """
    found = store.find_policy(tx, policy_id)
    group = None if found is None else group_store.find_group(tx, found.group_id, for_update=True)
    policy = store.find_policy(tx, policy_id)
    if policy is None or group is None or group.project_id != cause.project_id:
        raise PolicyNotFound(f"scaling policy {policy_id} not found")
    decision = decide_adjustment(group, policy, members=read_members(tx, [group], now)[group.id], now=now)
    match decision:
        case Resize(_, size_after, reason, group_until, policy_until):
            group_store.resize(tx, group.id, size=size_after, cooldown_until=group_until, now=now)
            store.set_cooldown(tx, policy.id, until=policy_until)
            kind = DecisionKind.RESIZE
        case Refusal(size_after, reason):
            kind = DecisionKind.REFUSAL
            told = activity_store.find_newest(tx, group.id, project_id=group.project_id)
            if told is not None and _is_repetition(told, policy, reason=reason, cause=cause, now=now):
                return told
        case _:
            assert_never(decision)
    return record_activity(
        tx, group, decision=kind, reason=reason, cause=cause, size_after=size_after, now=now, policy_id=policy.id
    )


def _is_repetition(told: Activity, policy: ScalingPolicy, *, reason: str, cause: Cause, now: datetime) -> bool:
    """Tell whether the last decision was this very refusal to the same alarm, a short while ago."""
    return (
        told.decision is DecisionKind.REFUSAL
        and cause.alarm_id is not None
        and (told.policy_id, told.alarm_id, told.reason) == (policy.id, cause.alarm_id, reason)
        and now - told.at < REFUSAL_TOLD_AGAIN_AFTER
    )
