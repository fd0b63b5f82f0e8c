"""Bringing groups to their size: launches and removals through compute, lost members replaced with back-off and a circuit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
import structlog

from compute import service as compute
from foundation.database import Transaction
from foundation.errors import DomainError, NotFound
from identity.model import Caller
from scaling.decision import FAILURES_BEFORE_OPEN, decide_convergence, retry_after_failure
from scaling.model import Cause, DecisionKind, GroupState, Member, ScalingGroup
from scaling.service.activities import record_activity
from scaling.service.members import end_gone_memberships, read_members
from scaling.service.templates import member_of, member_request
from scaling.store import groups as store

log = structlog.get_logger("scaling")

GROUPS_MAX = 100
FAULT_LENGTH_MAX = 300


@dataclass(frozen=True, slots=True)
class ConvergenceResult:
    """What a round over the due groups did."""

    groups: int
    launched: int
    removed: int


def has_due(tx: Transaction, now: datetime) -> bool:
    """Tell whether any group is to be looked at."""
    return store.has_due(tx, now)


def on_instance_lifecycle(tx: Transaction, event: Mapping[str, Any], now: datetime) -> None:
    """An instance changed: have its group, where it has one, looked at."""
    store.wake_group_of(tx, UUID(str(event["instance_id"])), now=now)


def converge_groups(tx: Transaction, now: datetime, *, limit: int = GROUPS_MAX) -> ConvergenceResult:
    """Bring the due groups a step nearer to their desired size; a group that cannot be is held with its reason recorded."""
    launched = removed = 0
    claimed = store.claim_due(tx, now, limit=min(limit, GROUPS_MAX))
    for group in claimed:
        step = _converge_apart(tx, group, now)
        launched += step.launched
        removed += step.removed
    return ConvergenceResult(len(claimed), launched, removed)


def _converge_apart(tx: Transaction, group: ScalingGroup, now: datetime) -> ConvergenceResult:
    """Converge a group in a savepoint, so that one whose step fails or takes too long is held with its reason and holds up no other."""
    try:
        with tx.transaction():
            return _converge(tx, group, now)
    except Exception as error:
        if isinstance(error, psycopg.OperationalError) and not isinstance(error, psycopg.errors.QueryCanceled):
            raise
        if not isinstance(error, DomainError):
            log.exception("scaling.step_failed", group_id=str(group.id))
        what = error.message if isinstance(error, DomainError) else f"an error of ours ({type(error).__name__})"
        reason = f"a step failed: {what}"
        held = _record_failure(tx, group, DecisionKind.LAUNCH_FAILURE, reason=reason[:FAULT_LENGTH_MAX], now=now)
        store.record_convergence(
            tx,
            group.id,
            failures=held.failures,
            retry_at=held.retry_at,
            launched=group.launched_count,
            look_again_at=held.retry_at or now,
        )
        return ConvergenceResult(1, 0, 0)


def _converge(tx: Transaction, group: ScalingGroup, now: datetime) -> ConvergenceResult:
    members = read_members(tx, [group], now)[group.id]
    end_gone_memberships(tx, group, present=members, now=now)
    if group.state is GroupState.DELETING and not members:
        store.delete_group(tx, group.id)
        return ConvergenceResult(1, 0, 0)
    caller = member_of(group.project_id, group.user_id)
    step = decide_convergence(group, members=members, now=now)
    if step.is_good_again:
        group = replace(group, failures=0, retry_at=None)
    if step.lost:
        group = _replace_lost(tx, group, caller, lost=step.lost, now=now)
    removed = [instance_id for instance_id in step.remove if _remove(tx, caller, instance_id, now)]
    launched = 0
    for _ in range(step.launch):
        failure = _launch(tx, group, caller, number=group.launched_count + launched + 1, now=now)
        if failure is not None:
            group = _record_failure(
                tx, group, DecisionKind.LAUNCH_FAILURE, reason=f"a launch failed: {failure}", now=now
            )
            break
        launched += 1
    store.record_convergence(
        tx,
        group.id,
        failures=group.failures,
        retry_at=group.retry_at,
        launched=group.launched_count + launched,
        look_again_at=_earlier(step.look_again_at, group.retry_at, now),
    )
    return ConvergenceResult(1, launched, len(removed))


def _earlier(look_again_at: datetime, retry_at: datetime | None, now: datetime) -> datetime:
    return look_again_at if retry_at is None or retry_at <= now else min(look_again_at, retry_at)


def _launch(tx: Transaction, group: ScalingGroup, caller: Caller, *, number: int, now: datetime) -> str | None:
    """Launch one member in a savepoint; return why it failed, or None."""
    request = member_request(group.spec, group.id, number=number)
    try:
        with tx.transaction():
            for instance in compute.create_instances(tx, caller=caller, request=request, now=now):
                store.insert_member(tx, group.id, instance_id=instance.id, now=now)
    except DomainError as error:
        return error.message
    return None


def _remove(tx: Transaction, caller: Caller, instance_id: UUID, now: datetime) -> bool:
    """Ask compute to delete a member; one that is gone already is what we wanted."""
    try:
        with tx.transaction():
            compute.delete_instance(tx, caller=caller, instance_id=instance_id, now=now)
    except NotFound:
        return False
    return True


def _replace_lost(
    tx: Transaction, group: ScalingGroup, caller: Caller, *, lost: Sequence[Member], now: datetime
) -> ScalingGroup:
    """Remove members that ended by themselves; others take their place once the back-off is over."""
    for member in lost:
        _remove(tx, caller, member.instance_id, now)
    first = lost[0]
    ended = "ended" if first.has_run else "never started"
    others = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
    fault = (first.fault or "no reason is known")[:FAULT_LENGTH_MAX]
    reason = f"instance {first.instance_id}{others} {ended} ({fault}) and is replaced"
    return _record_failure(tx, group, DecisionKind.REPLACEMENT, reason=reason, now=now)


def _record_failure(
    tx: Transaction, group: ScalingGroup, decision: DecisionKind, *, reason: str, now: datetime
) -> ScalingGroup:
    failures = group.failures + 1
    retry_at = retry_after_failure(failures, now)
    held = " (the circuit is open)" if failures >= FAILURES_BEFORE_OPEN else ""
    record_activity(
        tx,
        group,
        decision=decision,
        reason=f"{reason}; failure {failures} in a row, the next launch is tried at {retry_at:%H:%M:%S} UTC{held}",
        cause=Cause(project_id=group.project_id, description="the group is kept at its size"),
        size_after=group.spec.size_desired,
        now=now,
    )
    return replace(group, failures=failures, retry_at=retry_at)
