"""Alarms that execute scaling policies: no alarm is made for a policy that is not there, and one whose policy went says so."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from alarms import service as alarms
from alarms.model import Alarm, AlarmFilter, AlarmSpec, AlarmState
from foundation.database import Transaction
from foundation.errors import Invalid
from identity.model import Caller
from scaling import service as scaling

SCALING_PREFIX = "scaling:"
ALARMS_PAGE = 1_000
ALARMS_PAGES_MAX = 100


@dataclass(frozen=True, slots=True)
class GoneAction:
    """An action that does nothing any more, and why."""

    action: str
    reason: str


def create_alarm(
    tx: Transaction,
    spec: AlarmSpec,
    *,
    caller: Caller,
    now: datetime,
    project_id: str | None = None,
    state: AlarmState = AlarmState.INSUFFICIENT_DATA,
) -> Alarm:
    """Make an alarm whose scaling policies are its project's own. Raises Invalid where one is not, and what alarms raise."""
    made = alarms.create_alarm(tx, spec, caller=caller, now=now, project_id=project_id, state=state)
    require_policies(tx, spec.actions.all(), project_id=made.project_id)
    return made


def update_alarm(tx: Transaction, alarm_id: UUID, *, spec: AlarmSpec, caller: Caller, now: datetime) -> Alarm:
    """Change an alarm; an action that it has already may stay, although its policy is gone."""
    before = alarms.get_alarm(tx, alarm_id, caller=caller, for_update=True)
    changed = alarms.update_alarm(tx, alarm_id, spec=spec, caller=caller, now=now)
    require_policies(tx, spec.actions.all() - before.spec.actions.all(), project_id=before.project_id)
    return changed


def require_policies(tx: Transaction, actions: Iterable[str], *, project_id: str) -> None:
    """Raise Invalid for a scaling policy that is not there, or another project's."""
    gone = _gone_of(tx, actions, project_id=project_id)
    for action in sorted(gone):
        raise Invalid(f"{action!r}: there is no such scaling policy in the project", field="alarm_actions")


def gone_actions(tx: Transaction, found: Sequence[Alarm]) -> Mapping[UUID, Sequence[GoneAction]]:
    """Say of each alarm which of its actions name a scaling policy that is gone; alarms with none are left out."""
    gone: dict[UUID, Sequence[GoneAction]] = {}
    for project_id in sorted({alarm.project_id for alarm in found}):
        of_project = [alarm for alarm in found if alarm.project_id == project_id]
        every = _gone_of(tx, {a for alarm in of_project for a in alarm.spec.actions.all()}, project_id=project_id)
        for alarm in of_project:
            mine = sorted(alarm.spec.actions.all() & every)
            if mine:
                gone[alarm.id] = [GoneAction(action, _reason(action)) for action in mine]
    return gone


def delete_group(tx: Transaction, group_id: UUID, *, caller: Caller, with_alarms: bool, now: datetime) -> None:
    """Begin to delete a group; with its alarms, those too whose every action is a policy of it."""
    project_id = scaling.get_group(tx, group_id, caller=caller, now=now).group.project_id
    policies = {f"{SCALING_PREFIX}{policy.id}" for policy in scaling.list_policies(tx, group_id, caller=caller)}
    scaling.delete_group(tx, group_id, caller=caller, now=now)
    if not with_alarms or not policies:
        return
    for alarm in _read_alarms(tx, caller, project_id):
        actions = {_canonical(action) for action in alarm.spec.actions.all()}
        if actions and actions <= policies:
            alarms.delete_alarm(tx, alarm.id, caller=caller, now=now)


def _read_alarms(tx: Transaction, caller: Caller, project_id: str) -> Sequence[Alarm]:
    """Read a project's alarms page by page."""
    found: list[Alarm] = []
    marker: UUID | None = None
    wanted = AlarmFilter(project_id=project_id)
    for _ in range(ALARMS_PAGES_MAX):
        page = alarms.list_alarms(
            tx, wanted, caller=caller, sorts=[("alarm_id", False)], marker=marker, limit=ALARMS_PAGE
        )
        found.extend(page)
        if len(page) < ALARMS_PAGE:
            return found
        marker = page[-1].id
    raise AssertionError(f"a project has more than {ALARMS_PAGE * ALARMS_PAGES_MAX} alarms")


def _gone_of(tx: Transaction, actions: Iterable[str], *, project_id: str) -> set[str]:
    """Which of the actions name a scaling policy that the project does not have."""
    named = {action: _policy_id(action) for action in actions if action.startswith(SCALING_PREFIX)}
    there = scaling.find_policies(tx, set(named.values()), project_id=project_id)
    return {action for action, policy_id in named.items() if policy_id not in there}


def _policy_id(action: str) -> UUID:
    return UUID(action.removeprefix(SCALING_PREFIX))


def _canonical(action: str) -> str:
    """Write a policy's id as we write it, however the user did."""
    return f"{SCALING_PREFIX}{_policy_id(action)}" if action.startswith(SCALING_PREFIX) else action


def _reason(action: str) -> str:
    return (
        f"scaling policy {_policy_id(action)} is gone, it or its group was deleted: nothing happens; "
        "name another policy, or delete the alarm"
    )
