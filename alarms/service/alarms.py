"""The life of an alarm: made, changed, set by hand, deleted, within the project's limit; each step is a row of its history."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from alarms.documents import changed_settings, spec_document
from alarms.expressions import check_expression
from alarms.model import (
    ALARMS_PER_PROJECT_MAX_DEFAULT,
    OPERATOR_SCHEMES,
    ActionNotAllowed,
    Alarm,
    AlarmFilter,
    AlarmId,
    AlarmNotFound,
    AlarmQuotaExceeded,
    AlarmSpec,
    AlarmState,
    AlarmTooSlow,
    AlarmUnreadable,
    HistoryEvent,
    HistoryEventId,
    HistoryType,
    Severity,
)
from alarms.service.deadlines import OutOfTime, attempt, within
from alarms.service.transitions import Transition, publish_transition
from alarms.service.windows import to_window_query
from alarms.store import alarms as store
from alarms.store import history, quotas
from alarms.time_constraint import check_constraint
from foundation.database import Transaction
from foundation.errors import Forbidden, Invalid
from foundation.ids import new_id
from identity import policy
from identity.model import Caller
from metering.service import read_windows

NOT_EVALUATED_YET = "Not evaluated yet"
SET_BY_HAND = "Manually set via API"
FIRST_READING_S = 5.0
"""How long a new alarm's window may take to read; it is read again at each evaluation, with those of all others."""
LIMIT_MAX = 1_001
"""The largest page, and one more that tells whether another follows."""


def create_alarm(
    tx: Transaction,
    spec: AlarmSpec,
    *,
    caller: Caller,
    now: datetime,
    project_id: str | None = None,
    state: AlarmState = AlarmState.INSUFFICIENT_DATA,
) -> Alarm:
    """Make an alarm, due at once; raises AlarmQuotaExceeded where the project has as many as it may.

    Its window is read once, so that a query or an expression that cannot be evaluated is refused now.
    """
    owner = project_id or caller.project_id
    if owner != caller.project_id:
        policy.require_admin(caller)
    policy.require_writer(caller)
    _check(spec, caller, already=frozenset())
    limit = get_quota(tx, owner)
    count = quotas.count_alarms_locked(tx, owner)
    if 0 <= limit <= count:
        raise AlarmQuotaExceeded(f"the project has {count} alarms and may have {limit}; delete one or ask for more")
    alarm = Alarm(
        id=AlarmId(new_id()),
        project_id=owner,
        user_id=caller.user_id or None,
        spec=spec,
        state=state,
        state_reason=NOT_EVALUATED_YET,
        state_reason_data={},
        state_at=now,
        created_at=now,
        updated_at=now,
        evaluated_at=None,
        next_evaluation_at=now,
        last_value=None,
    )
    require_readable(tx, alarm, now)
    store.insert_alarm(tx, alarm)
    _write_history(tx, alarm, caller, type=HistoryType.CREATION, detail=spec_document(spec), now=now)
    return alarm


def _check(spec: AlarmSpec, caller: Caller, *, already: frozenset[str]) -> None:
    """Refuse what cannot be evaluated, and actions that the caller may not add to those that are there already."""
    for action in spec.actions.all() - already:
        if action.partition(":")[0] in OPERATOR_SCHEMES and not policy.is_admin(caller):
            raise ActionNotAllowed(f"You are not authorized to create action: {action}")
    check_expression(spec.rule)
    for constraint in spec.time_constraints:
        check_constraint(constraint)


def require_readable(tx: Transaction, alarm: Alarm, now: datetime) -> None:
    """Read an alarm's window once: raises Invalid where it cannot be evaluated, and AlarmTooSlow where that takes too long."""
    try:
        with within(tx, whole_s=FIRST_READING_S, statement_s=FIRST_READING_S) as deadline, attempt(tx):
            deadline.begin(tx)
            read_windows(tx, [to_window_query(alarm, now)])
    except OutOfTime:
        raise AlarmTooSlow(FIRST_READING_S) from None


def get_alarm(tx: Transaction, alarm_id: UUID, *, caller: Caller, for_update: bool = False) -> Alarm:
    """Read an alarm; raises AlarmNotFound for another project's too, and AlarmUnreadable."""
    try:
        alarm = store.find_alarm(tx, alarm_id, for_update=for_update)
    except AlarmUnreadable as unreadable:
        if not policy.may_read(caller, unreadable.project_id):
            raise _not_found(alarm_id, caller) from None
        raise
    if alarm is None or not policy.may_read(caller, alarm.project_id):
        raise _not_found(alarm_id, caller)
    return alarm


def _not_found(alarm_id: UUID, caller: Caller) -> AlarmNotFound:
    return AlarmNotFound(f"Alarm {alarm_id} not found in project {caller.project_id}")


def _get_own(tx: Transaction, alarm_id: UUID, caller: Caller) -> Alarm:
    alarm = get_alarm(tx, alarm_id, caller=caller, for_update=True)
    _require_write(alarm.project_id, caller)
    return alarm


def _require_write(project_id: str, caller: Caller) -> None:
    if not policy.may_write(caller, project_id):
        raise Forbidden("this needs the member role in the project")


def list_alarms(
    tx: Transaction,
    wanted: AlarmFilter,
    *,
    caller: Caller,
    sorts: Sequence[tuple[str, bool]] = (),
    marker: UUID | None = None,
    limit: int = LIMIT_MAX,
) -> Sequence[Alarm]:
    """List alarms of the filter's project (None, an admin's wish: of all), after the marker."""
    if wanted.project_id is None:
        policy.require_admin(caller)
    elif not policy.may_read(caller, wanted.project_id):
        raise Forbidden("another project's alarms cannot be listed")
    if marker is not None:
        get_alarm(tx, marker, caller=caller)
    return store.list_alarms(tx, wanted, sorts=sorts, marker=marker, limit=min(limit, LIMIT_MAX))


def update_alarm(tx: Transaction, alarm_id: UUID, *, spec: AlarmSpec, caller: Caller, now: datetime) -> Alarm:
    """Put new settings in the place of the old; the state stands until the next evaluation, which is due at once.

    Only a new rule is read once: an alarm that takes too long can still be renamed or switched off.
    """
    alarm = _get_own(tx, alarm_id, caller)
    _check(spec, caller, already=alarm.spec.actions.all())
    changed = changed_settings(alarm.spec, spec)
    if changed:
        if spec.rule != alarm.spec.rule:
            require_readable(tx, replace(alarm, spec=spec), now)
        store.update_spec(tx, alarm.id, spec=spec, now=now)
        _write_history(tx, alarm, caller, type=HistoryType.RULE_CHANGE, detail=changed, now=now)
    return get_alarm(tx, alarm_id, caller=caller)


def delete_alarm(tx: Transaction, alarm_id: UUID, *, caller: Caller, now: datetime) -> None:
    """Delete an alarm, one that cannot be read too; its history stays readable."""
    try:
        alarm: Alarm | AlarmUnreadable = _get_own(tx, alarm_id, caller)
    except AlarmUnreadable as unreadable:
        _require_write(unreadable.project_id, caller)
        alarm = unreadable
    store.delete_alarm(tx, alarm_id)
    history.append_history(tx, [_end_of(alarm, caller.user_id or None, now=now)])


def delete_alarms_of_project(tx: Transaction, project_id: str, *, user_id: str | None, now: datetime) -> int:
    """Delete the alarms of a project that ends, since nobody could any more; return how many. Their history stays.

    Who may end a project has been decided by whoever calls this.
    """
    gone = store.delete_of_project(tx, project_id)
    ended: Sequence[Alarm | AlarmUnreadable] = [*gone.alarms, *gone.unreadable]
    history.append_history(tx, [_end_of(one, user_id, now=now) for one in ended])
    return len(ended)


def set_state(tx: Transaction, alarm_id: UUID, *, state: AlarmState, caller: Caller, now: datetime) -> Alarm:
    """Set the state by hand: a transition in history and outbox like any other, but as in Aodh one that takes no action."""
    alarm = _get_own(tx, alarm_id, caller)
    if state is not alarm.state:
        store.set_state(tx, alarm.id, state=state, reason=SET_BY_HAND, now=now)
        transition = Transition(alarm, state, SET_BY_HAND, {}, at=now, user_id=caller.user_id, actions=())
        publish_transition(tx, transition)
    return get_alarm(tx, alarm_id, caller=caller)


def list_history(
    tx: Transaction,
    alarm_id: UUID,
    *,
    caller: Caller,
    marker: UUID | None = None,
    limit: int = LIMIT_MAX,
    only: HistoryType | None = None,
) -> Sequence[HistoryEvent]:
    """List what happened to an alarm, newest first, also when it is deleted; raises AlarmNotFound where nothing ever did."""
    project_id = None if policy.is_admin(caller) else caller.project_id
    bounded = min(limit, LIMIT_MAX)
    found = history.list_history(tx, alarm_id, project_id=project_id, marker=marker, limit=bounded, only=only)
    if not found and not history.list_history(tx, alarm_id, project_id=project_id, marker=None, limit=1):
        raise _not_found(alarm_id, caller)
    return found


def list_newest_history(tx: Transaction, *, caller: Caller, limit: int) -> Sequence[HistoryEvent]:
    """List the newest facts about all alarms of the project, or for an admin of all projects."""
    project_id = None if policy.is_admin(caller) else caller.project_id
    return history.list_newest(tx, project_id=project_id, limit=limit)


def get_quota(tx: Transaction, project_id: str) -> int:
    """How many alarms a project may have; -1 is no limit."""
    own = quotas.find_quota(tx, project_id)
    return ALARMS_PER_PROJECT_MAX_DEFAULT if own is None else own


def set_quota(tx: Transaction, project_id: str, *, alarms_max: int, caller: Caller) -> None:
    """Give a project a limit of its own; an admin's right."""
    policy.require_admin(caller)
    if not -1 <= alarms_max <= 1_000_000:
        raise Invalid("a limit is -1 (none) or a number up to 1000000", field="limit")
    quotas.set_quota(tx, project_id, alarms_max=alarms_max)


def delete_quota(tx: Transaction, project_id: str, *, caller: Caller) -> None:
    """Give a project the default limit again; an admin's right."""
    policy.require_admin(caller)
    quotas.delete_quota(tx, project_id)


def _write_history(
    tx: Transaction, alarm: Alarm, caller: Caller, *, type: HistoryType, detail: Mapping[str, Any], now: datetime
) -> None:
    history.append_history(tx, [_fact(alarm, caller.user_id or None, type=type, detail=detail, now=now)])


def _end_of(alarm: Alarm | AlarmUnreadable, user_id: str | None, *, now: datetime) -> HistoryEvent:
    """Return the fact that an alarm was deleted, with its settings, or why they could not be read."""
    if isinstance(alarm, Alarm):
        return _fact(alarm, user_id, type=HistoryType.DELETION, detail=spec_document(alarm.spec), now=now)
    return HistoryEvent(
        id=HistoryEventId(new_id()),
        alarm_id=alarm.alarm_id,
        project_id=alarm.project_id,
        user_id=user_id,
        type=HistoryType.DELETION,
        detail={"unreadable": alarm.fault},
        severity=Severity.LOW,
        at=now,
    )


def _fact(
    alarm: Alarm, user_id: str | None, *, type: HistoryType, detail: Mapping[str, Any], now: datetime
) -> HistoryEvent:
    return HistoryEvent(
        id=HistoryEventId(new_id()),
        alarm_id=alarm.id,
        project_id=alarm.project_id,
        user_id=user_id,
        type=type,
        detail=detail,
        severity=alarm.spec.severity,
        at=now,
    )
