"""Alarms and the scaling policies that they execute: none is made for a policy that is not there, none stays silent about one that went."""

from uuid import UUID

import pytest

from alarms import service as alarms
from alarms.model import Actions, Alarm, AlarmFilter, AlarmSpec, ResourceTarget, Rule
from foundation.database import Transaction
from foundation.errors import Invalid
from foundation.ids import new_id
from orchestration import alarm_actions
from scaling import service as scaling
from scaling.model import AdjustmentType, GroupSpec, LaunchTemplate, PolicySpec
from tests.compute_builders import NOW, Cloud, a_cloud
from tests.identity_builders import a_caller


def a_group(tx: Transaction, cloud: Cloud) -> tuple[UUID, str]:
    """A group with one policy, written as an alarm's action."""
    spec = GroupSpec("web", LaunchTemplate(image_id=cloud.image.id, flavor_id="0"), 0, 3, 0)
    group_id = scaling.create_group(tx, spec, caller=cloud.caller, now=NOW).group.id
    grow = PolicySpec("grow", AdjustmentType.CHANGE_IN_CAPACITY, adjustment=1)
    return group_id, f"scaling:{scaling.create_policy(tx, group_id, spec=grow, caller=cloud.caller, now=NOW).id}"


def an_alarm(tx: Transaction, cloud: Cloud, *actions: str) -> Alarm:
    rule = Rule(ResourceTarget("memory.usage", "instance", str(new_id())), 50)
    spec = AlarmSpec(name="high", rule=rule, actions=Actions(alarm=actions))
    return alarm_actions.create_alarm(tx, spec, caller=cloud.caller, now=NOW)


def alarms_of(tx: Transaction, cloud: Cloud) -> set[UUID]:
    wanted = AlarmFilter(project_id=cloud.caller.project_id)
    return {alarm.id for alarm in alarms.list_alarms(tx, wanted, caller=cloud.caller)}


def test_an_alarm_is_not_made_for_a_policy_that_is_not_there_or_another_projects(tx: Transaction) -> None:
    cloud = a_cloud(tx)
    _, action = a_group(tx, cloud)
    assert an_alarm(tx, cloud, action).spec.actions.alarm == (action,)
    with pytest.raises(Invalid, match="there is no such scaling policy"):
        an_alarm(tx, cloud, f"scaling:{new_id()}")
    stranger = Cloud(a_caller(), cloud.session, cloud.image)
    with pytest.raises(Invalid, match="there is no such scaling policy"):
        an_alarm(tx, stranger, action)


def test_an_alarm_whose_policys_group_was_deleted_says_so_and_can_still_be_changed(tx: Transaction) -> None:
    cloud = a_cloud(tx)
    group_id, action = a_group(tx, cloud)
    alarm, other = an_alarm(tx, cloud, action, "https://hooks.example/x"), an_alarm(tx, cloud)
    assert alarm_actions.gone_actions(tx, [alarm, other]) == {}
    alarm_actions.delete_group(tx, group_id, caller=cloud.caller, with_alarms=False, now=NOW)
    scaling.converge_groups(tx, NOW)
    gone = alarm_actions.gone_actions(tx, [alarm, other])
    assert {key: [one.action for one in found] for key, found in gone.items()} == {alarm.id: [action]}
    assert "its group was deleted" in gone[alarm.id][0].reason
    changed = alarm_actions.update_alarm(tx, alarm.id, spec=alarm.spec, caller=cloud.caller, now=NOW)
    assert changed.id == alarm.id


def test_with_its_alarms_a_group_takes_those_that_do_nothing_else(tx: Transaction) -> None:
    cloud = a_cloud(tx)
    group_id, action = a_group(tx, cloud)
    _, elsewhere = a_group(tx, cloud)
    mine = an_alarm(tx, cloud, action, action.upper().replace("SCALING", "scaling"))
    kept = {
        an_alarm(tx, cloud).id,
        an_alarm(tx, cloud, elsewhere).id,
        an_alarm(tx, cloud, action, elsewhere).id,
        an_alarm(tx, cloud, action, "https://hooks.example/x").id,
    }
    assert alarms_of(tx, cloud) == kept | {mine.id}
    alarm_actions.delete_group(tx, group_id, caller=cloud.caller, with_alarms=True, now=NOW)
    assert alarms_of(tx, cloud) == kept
