"""Scaling on the real database with compute's own use cases: groups reach their size, decisions are kept, failures are held."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from compute import service as compute
from compute.hypervisor.contract import PowerState, StopReason
from compute.lifecycle import HOST_SILENCE_S_MAX
from compute.model import Instance, InstanceFilters, InstancePage
from foundation.database import Pool, Transaction
from foundation.errors import DomainError, Forbidden, Invalid, QuotaExceeded, Unavailable
from foundation.ids import new_id
from scaling import service
from scaling.model import (
    GROUP_METADATA_KEY,
    AdjustmentType,
    Cause,
    DecisionKind,
    GroupNotFound,
    GroupSpec,
    LaunchTemplate,
    PolicyNotFound,
    PolicySpec,
)
from scaling.service.templates import or_invalid
from tests.compute_builders import NOW, Cloud, a_cloud, a_guest, an_observation
from tests.conftest import own_pool
from tests.identity_builders import a_caller


@pytest.fixture(scope="module")
def pool(cluster_url: str) -> Generator[Pool]:
    """A database of these tests alone: they mind what others have left."""
    with own_pool(cluster_url) as opened:
        yield opened


@dataclass(slots=True)
class World:
    """A cloud with one group in it, and its time."""

    tx: Transaction
    cloud: Cloud
    group_id: UUID
    now: datetime = NOW

    def later(self, seconds: float) -> "World":
        self.now += timedelta(seconds=seconds)
        return self

    def instances(self) -> Sequence[Instance]:
        found = compute.list_instances(
            self.tx,
            project_id=self.cloud.caller.project_id,
            filters=InstanceFilters(),
            page=InstancePage(limit=100, is_descending=False),
            now=self.now,
        )
        return [instance for instance in found if instance.vm_state != "deleted"]

    def observe(self, power: dict[UUID, PowerState] | None = None) -> None:
        """The agent looks: what shall run runs, what shall be gone is gone, and some are as said."""
        said = power or {}
        wanted = [instance for instance in self.instances() if instance.desired != "deleted"]
        guests = [
            a_guest(
                instance.id,
                power=said.get(instance.id, PowerState.RUNNING),
                reason=StopReason.NONE if instance.id not in said else StopReason.CRASHED,
            )
            for instance in wanted
        ]
        self.later(1)
        observation = an_observation(*guests, at=self.now)
        compute.record_observation(self.tx, session=self.cloud.session, observation=observation, now=self.now)
        for row in self.tx.execute("SELECT payload FROM outbox_event WHERE topic = 'instance.lifecycle'").fetchall():
            service.on_instance_lifecycle(self.tx, row[0], now=self.now)

    def converge(self) -> int:
        result = service.converge_groups(self.tx, self.now)
        return result.launched - result.removed

    def settle(self) -> None:
        """Converge and observe until nothing moves."""
        for _ in range(10):
            self.converge()
            self.observe()

    def view(self) -> service.GroupView:
        return service.get_group(self.tx, self.group_id, caller=self.cloud.caller, now=self.now)

    def policy(self, adjustment: int = 1, *, cooldown_s: int | None = None) -> UUID:
        spec = PolicySpec("step", AdjustmentType.CHANGE_IN_CAPACITY, adjustment, cooldown_s=cooldown_s)
        made = service.create_policy(self.tx, self.group_id, spec=spec, caller=self.cloud.caller, now=self.now)
        return made.id

    def execute(self, policy_id: UUID) -> DecisionKind:
        cause = Cause(self.cloud.caller.project_id, "alarm busy went to alarm", alarm_id=new_id())
        return service.execute_policy(self.tx, policy_id, cause=cause, now=self.now).decision

    def activities(self) -> Sequence[tuple[str, int, int]]:
        found = service.list_activities(self.tx, self.group_id, caller=self.cloud.caller)
        return [(one.decision.value, one.size_before, one.size_after) for one in reversed(found)]


def a_spec(cloud: Cloud, *, minimum: int = 1, maximum: int = 3, desired: int = 2, cooldown_s: int = 0) -> GroupSpec:
    launch = LaunchTemplate(image_id=cloud.image.id, flavor_id="0", user_data="#!/bin/sh\n", metadata={"role": "web"})
    return GroupSpec("web", launch, minimum, maximum, desired, cooldown_s)


def a_world(tx: Transaction, **sizes: int) -> World:
    cloud = a_cloud(tx)
    view = service.create_group(tx, a_spec(cloud, **sizes), caller=cloud.caller, now=NOW)
    return World(tx, cloud, view.group.id)


def test_a_group_launches_its_members_and_marks_them_as_its_own(tx: Transaction) -> None:
    world = a_world(tx)
    assert world.converge() == 2
    assert [instance.name for instance in world.instances()] == ["web-1", "web-2"]
    assert {instance.metadata[GROUP_METADATA_KEY] for instance in world.instances()} == {str(world.group_id)}
    assert world.instances()[0].metadata["role"] == "web"
    assert world.instances()[0].project_id == world.cloud.caller.project_id
    world.observe()
    assert world.view().size_current == 2
    assert world.later(60).converge() == 0


def test_the_longest_name_of_a_group_still_leaves_room_for_the_number(tx: Transaction) -> None:
    cloud = a_cloud(tx)
    spec = replace(a_spec(cloud), name="w" * 255)
    world = World(tx, cloud, service.create_group(tx, spec, caller=cloud.caller, now=NOW).group.id)
    assert world.converge() == 2
    assert [instance.name for instance in world.instances()] == ["w" * 253 + "-1", "w" * 253 + "-2"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "we\nb"}, "name"),
        ({"metadata": {"k" * 256: "v"}}, "launch.metadata"),
        ({"metadata": {"key": "v\x1b"}}, "launch.metadata"),
    ],
)
def test_a_group_that_could_launch_no_member_is_refused_with_its_field(
    tx: Transaction, change: dict[str, Any], field: str
) -> None:
    world = a_world(tx)
    spec = a_spec(world.cloud)
    broken = replace(spec, **change) if "name" in change else replace(spec, launch=replace(spec.launch, **change))
    with pytest.raises(Invalid) as refused:
        service.create_group(tx, broken, caller=world.cloud.caller, now=NOW)
    assert refused.value.field == field
    with pytest.raises(Invalid) as refused:
        service.update_group(tx, world.group_id, spec=broken, caller=world.cloud.caller, now=NOW)
    assert refused.value.field == field


def test_an_admin_reads_the_decisions_about_another_projects_group(tx: Transaction) -> None:
    world = a_world(tx)
    service.delete_group(tx, world.group_id, caller=world.cloud.caller, now=world.now)
    admin = a_caller(roles=("admin", "member", "reader"))
    assert len(service.list_activities(tx, world.group_id, caller=admin)) == 1
    with pytest.raises(GroupNotFound):
        service.list_activities(tx, world.group_id, caller=a_caller())


def test_an_alarm_s_policy_grows_the_group_and_another_shrinks_it_from_the_newest(tx: Transaction) -> None:
    world = a_world(tx)
    world.settle()
    grow, shrink = world.policy(1), world.policy(-2)
    assert world.execute(grow) is DecisionKind.RESIZE
    world.settle()
    assert [instance.name for instance in world.instances()] == ["web-1", "web-2", "web-3"]
    assert world.execute(shrink) is DecisionKind.RESIZE
    world.settle()
    assert [instance.name for instance in world.instances()] == ["web-1"]
    assert world.activities() == [("resize", 2, 3), ("resize", 3, 1)]


def test_every_decision_is_kept_with_its_reason_also_the_refusals(tx: Transaction) -> None:
    world = a_world(tx, maximum=2, cooldown_s=60)
    grow = world.policy(1)
    assert world.execute(grow) is DecisionKind.REFUSAL
    world.settle()
    assert world.execute(grow) is DecisionKind.REFUSAL
    shrink = world.policy(-1)
    assert world.execute(shrink) is DecisionKind.RESIZE
    world.settle()
    assert world.execute(grow) is DecisionKind.REFUSAL
    reasons = [one.reason for one in service.list_activities(tx, world.group_id, caller=world.cloud.caller)]
    assert "cools down" in reasons[0]
    assert "largest size" in reasons[2]
    assert "in progress" in reasons[3]
    assert len(reasons) == 4
    events = tx.execute(
        "SELECT count(*) FROM outbox_event WHERE topic = 'scaling.activity' AND key = %s", (str(world.group_id),)
    ).fetchone()
    assert events == (4,)
    assert world.view().group.spec.size_desired == 1


def test_an_alarm_that_repeats_a_refused_action_fills_no_book_with_it(tx: Transaction) -> None:
    world = a_world(tx, maximum=2)
    world.settle()
    cause = Cause(world.cloud.caller.project_id, "alarm busy went to alarm", alarm_id=new_id())
    grow = world.policy(1)
    for _ in range(120):
        service.execute_policy(tx, grow, cause=cause, now=world.later(10).now)
        world.observe()
    assert world.activities() == [("refusal", 2, 2)] * 3
    by_hand = [service.execute_own_policy(tx, grow, caller=world.cloud.caller, now=world.now).id for _ in range(2)]
    assert len(set(by_hand)) == 2


def test_a_policy_of_another_project_is_not_found(tx: Transaction) -> None:
    world = a_world(tx)
    policy_id = world.policy()
    with pytest.raises(PolicyNotFound):
        service.execute_policy(tx, policy_id, cause=Cause("another", "x"), now=NOW)
    with pytest.raises(PolicyNotFound):
        service.get_policy(tx, policy_id, caller=a_caller())
    with pytest.raises(GroupNotFound):
        service.get_group(tx, world.group_id, caller=a_caller(), now=NOW)
    with pytest.raises(GroupNotFound):
        service.delete_group(tx, world.group_id, caller=a_caller(), now=NOW)
    reader = a_caller(world.cloud.caller.project_id, roles=("reader",))
    for change in (
        lambda: service.delete_group(tx, world.group_id, caller=reader, now=NOW),
        lambda: service.execute_own_policy(tx, policy_id, caller=reader, now=NOW),
        lambda: service.create_group(tx, a_spec(world.cloud), caller=reader, now=NOW),
    ):
        with pytest.raises(Forbidden):
            change()


def test_a_member_that_crashes_is_replaced_after_a_pause(tx: Transaction) -> None:
    world = a_world(tx)
    world.settle()
    victim = world.instances()[0].id
    world.observe({victim: PowerState.CRASHED})
    assert world.converge() == 0
    assert world.view().group.failures == 1
    assert world.later(5).converge() == 1
    world.settle()
    assert victim not in {instance.id for instance in world.instances()}
    assert world.view().size_current == 2
    assert [kind for kind, _, _ in world.activities()] == ["replacement"]
    world.later(120).settle()
    assert world.view().group.failures == 0


def test_a_member_that_its_owner_deletes_is_replaced_without_counting_as_a_failure(tx: Transaction) -> None:
    world = a_world(tx)
    world.settle()
    compute.delete_instance(tx, caller=world.cloud.caller, instance_id=world.instances()[0].id, now=world.now)
    world.settle()
    assert world.view().size_current == 2
    assert world.view().group.failures == 0


def test_a_member_that_its_owner_stops_is_kept(tx: Transaction) -> None:
    world = a_world(tx)
    world.settle()
    stopped = world.instances()[0].id
    compute.stop_instance(tx, caller=world.cloud.caller, instance_id=stopped, now=world.now)
    world.observe({stopped: PowerState.SHUTOFF})
    world.later(120).converge()
    assert {instance.id for instance in world.instances()} >= {stopped}
    assert len(world.instances()) == 2


def test_a_silent_host_scales_nothing_and_loses_no_member(tx: Transaction) -> None:
    world = a_world(tx)
    world.settle()
    grow, shrink = world.policy(1), world.policy(-1)
    world.later(HOST_SILENCE_S_MAX + 10)
    assert world.execute(grow) is DecisionKind.REFUSAL
    assert world.execute(shrink) is DecisionKind.REFUSAL
    assert world.converge() == 0
    assert len(world.instances()) == 2


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("flavor_id", "nowhere"),
        ("image_id", new_id()),
        ("network_ids", (new_id(),)),
        ("security_groups", ("nowhere",)),
        ("key_name", "nowhere"),
    ],
)
def test_a_template_that_names_what_is_not_there_is_refused_with_its_field(
    tx: Transaction, field: str, wrong: object
) -> None:
    world = a_world(tx)
    spec = a_spec(world.cloud)
    broken = replace(spec, launch=replace(spec.launch, **{field: wrong}))
    with pytest.raises(Invalid) as refused:
        service.create_group(tx, broken, caller=world.cloud.caller, now=NOW)
    assert refused.value.field == f"launch.{field}"
    with pytest.raises(Invalid) as refused:
        service.update_group(tx, world.group_id, spec=broken, caller=world.cloud.caller, now=NOW)
    assert refused.value.field == f"launch.{field}"


@pytest.mark.parametrize("error", [Unavailable("the database is away"), QuotaExceeded("no more groups")])
def test_what_no_other_template_would_mend_is_not_blamed_on_the_template(error: DomainError) -> None:
    def find() -> None:
        raise error

    with pytest.raises(type(error)):
        or_invalid(find, field="image_id")


def test_a_template_takes_the_flavors_name_and_keeps_its_id(tx: Transaction) -> None:
    cloud = a_cloud(tx)
    name = compute.get_flavor(tx, "0", caller=cloud.caller).name
    spec = a_spec(cloud)
    named = replace(spec, launch=replace(spec.launch, flavor_id=name))
    assert service.create_group(tx, named, caller=cloud.caller, now=NOW).group.spec.launch.flavor_id == "0"


def test_a_launch_that_always_fails_is_held_by_the_circuit_and_said_why(tx: Transaction) -> None:
    cloud = a_cloud(tx)
    spec = a_spec(cloud)
    view = service.create_group(tx, spec, caller=cloud.caller, now=NOW)
    tx.execute("DELETE FROM image WHERE id = %s", (cloud.image.id,))
    world = World(tx, cloud, view.group.id)
    for _ in range(3600):
        world.later(1).converge()
    failures = service.list_activities(tx, view.group.id, caller=cloud.caller)
    assert {one.decision for one in failures} == {DecisionKind.LAUNCH_FAILURE}
    assert 5 <= len(failures) <= 11
    assert "could not be found" in failures[0].reason
    assert "circuit is open" in failures[0].reason
    assert world.execute(world.policy(1)) is DecisionKind.REFUSAL
    assert world.instances() == []


def test_a_group_whose_step_fails_in_the_database_is_held_and_holds_up_no_other(tx: Transaction) -> None:
    world = a_world(tx)
    spec = replace(a_spec(world.cloud), name="broken")
    broken = service.create_group(tx, spec, caller=world.cloud.caller, now=NOW).group.id
    tx.execute(
        "CREATE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF NEW.group_id = (SELECT id FROM scaling_group WHERE name = 'broken') THEN RAISE check_violation; END IF;"
        " RETURN NEW; END $$"
    )
    tx.execute("CREATE TRIGGER planted BEFORE INSERT ON scaling_member FOR EACH ROW EXECUTE FUNCTION planted()")
    world.converge()
    assert len(world.view().members) == 2
    held = service.get_group(tx, broken, caller=world.cloud.caller, now=NOW)
    assert (held.members, held.group.failures) == ([], 1)
    (told,) = service.list_activities(tx, broken, caller=world.cloud.caller)
    assert told.decision is DecisionKind.LAUNCH_FAILURE


def test_a_group_whose_step_takes_too_long_is_held_and_is_not_the_next_to_be_looked_at(tx: Transaction) -> None:
    world = a_world(tx)
    tx.execute("CREATE FUNCTION pg_temp.wait() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(60); END$$")
    tx.execute("CREATE TRIGGER slow BEFORE INSERT ON scaling_member FOR EACH ROW EXECUTE FUNCTION pg_temp.wait()")
    tx.execute("SET LOCAL statement_timeout = '3s'")
    assert world.converge() == 0
    tx.execute("SET LOCAL statement_timeout = 0")
    (activity,) = service.list_activities(tx, world.group_id, caller=world.cloud.caller)
    assert "a step failed" in activity.reason
    assert not service.has_due(tx, world.now)


def test_a_group_whose_step_fails_by_an_error_of_ours_is_held_and_tells_no_detail(tx: Transaction) -> None:
    world = a_world(tx)
    spec = replace(a_spec(world.cloud), name="broken")
    broken = service.create_group(tx, spec, caller=world.cloud.caller, now=NOW).group.id
    tx.execute("UPDATE scaling_group SET launch = jsonb_set(launch, '{metadata}', '[1]') WHERE id = %s", (broken,))
    world.converge()
    assert len(world.view().members) == 2
    (told,) = service.list_activities(tx, broken, caller=world.cloud.caller)
    assert told.reason.startswith("a step failed: an error of ours (TypeError)")


def test_another_project_s_private_image_is_out_of_a_group_s_reach(tx: Transaction) -> None:
    cloud = a_cloud(tx)
    view = service.create_group(tx, a_spec(cloud), caller=cloud.caller, now=NOW)
    tx.execute("UPDATE image SET visibility = 'private', project_id = 'another' WHERE id = %s", (cloud.image.id,))
    with pytest.raises(Invalid, match="could not be found"):
        service.create_group(tx, a_spec(cloud), caller=cloud.caller, now=NOW)
    service.converge_groups(tx, NOW)
    assert World(tx, cloud, view.group.id).instances() == []


def test_a_deleted_group_gives_up_its_members_first_and_its_activities_last(tx: Transaction) -> None:
    world = a_world(tx)
    world.settle()
    service.delete_group(tx, world.group_id, caller=world.cloud.caller, now=world.now)
    assert world.view().group.state.value == "deleting"
    world.settle()
    assert world.instances() == []
    with pytest.raises(GroupNotFound):
        world.view()
    assert world.activities() == [("resize", 2, 0)]


def test_a_new_desired_size_is_an_activity_and_a_size_out_of_bounds_is_refused(tx: Transaction) -> None:
    world = a_world(tx)
    world.settle()
    spec = world.view().group.spec
    service.update_group(
        tx, world.group_id, spec=replace(spec, size_desired=3), caller=world.cloud.caller, now=world.now
    )
    world.settle()
    assert world.view().size_current == 3
    assert world.activities() == [("resize", 2, 3)]
    with pytest.raises(Invalid):
        replace(spec, size_desired=9)


def test_a_settled_group_is_not_looked_at_without_need(tx: Transaction) -> None:
    world = a_world(tx)
    world.settle()
    world.converge()
    assert not service.has_due(tx, world.now + timedelta(seconds=1))
    assert service.has_due(tx, world.now + timedelta(minutes=2))
