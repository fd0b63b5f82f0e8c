"""The end of a project: refused while anything of it would run on, with what is left."""

from dataclasses import replace
from datetime import timedelta
from threading import Thread

import pytest

from alarms import service as alarms
from alarms.model import AlarmNotFound, HistoryType
from compute import service as compute
from foundation.database import Pool, Transaction, transaction
from foundation.errors import DomainError, Forbidden
from foundation.ids import new_hex_id, new_id
from identity import directory, service
from identity.directory import NewProject
from identity.model import DEFAULT_DOMAIN_ID, ProjectNotFound, Token
from identity.service import Reference
from orchestration.projects import ProjectInUse, delete_project
from scaling import service as scaling
from scaling.model import GroupSpec, LaunchTemplate
from tests.alarm_builders import an_alarm
from tests.compute_builders import NOW, a_cloud, an_observation, launched
from tests.conftest import PATIENCE_S
from tests.identity_builders import a_caller


def a_token(tx: Transaction, name: str) -> Token:
    """A token of one of the first users."""
    service.bootstrap(tx, NOW)
    login = service.find_login(tx, Reference(name=name, domain_id=DEFAULT_DOMAIN_ID))
    assert login is not None
    until = service.token_expiry(NOW, lifetime_s=3600)
    return service.issue_token(
        tx, login, scope=service.DefaultScope(), methods=["password"], now=NOW, expires_at=until
    ).token


def test_a_project_is_deleted_only_when_its_instances_and_groups_are_gone(tx: Transaction) -> None:
    admin, cloud = a_token(tx, "admin"), a_cloud(tx)
    project = directory.create_project(tx, admin, new=NewProject(new_hex_id()), now=NOW)
    cloud = replace(cloud, caller=replace(cloud.caller, project_id=project.id))
    tx.execute("UPDATE image SET visibility = 'public'")
    instance = launched(tx, cloud)
    launch = LaunchTemplate(image_id=cloud.image.id, flavor_id="0")
    spec = GroupSpec(name="web", launch=launch, size_min=0, size_max=1, size_desired=0)
    group_id = scaling.create_group(tx, spec, caller=cloud.caller, now=NOW).group.id
    with pytest.raises(ProjectInUse, match="still has 1 scaling group and 1 instance; delete them first"):
        delete_project(tx, admin, project_id=project.id, now=NOW)
    scaling.delete_group(tx, group_id, caller=cloud.caller, now=NOW)
    scaling.converge_groups(tx, NOW)
    compute.delete_instance(tx, caller=cloud.caller, instance_id=instance.id, now=NOW)
    with pytest.raises(ProjectInUse, match="still has 1 instance;"):
        delete_project(tx, admin, project_id=project.id, now=NOW)
    later = NOW + timedelta(seconds=1)
    compute.record_observation(tx, session=cloud.session, observation=an_observation(at=later), now=later)
    delete_project(tx, admin, project_id=project.id, now=NOW)
    with pytest.raises(ProjectNotFound):
        delete_project(tx, admin, project_id=project.id, now=NOW)


def test_the_alarms_of_a_project_end_with_it_and_their_history_stays(tx: Transaction) -> None:
    admin = a_token(tx, "admin")
    project = directory.create_project(tx, admin, new=NewProject(new_hex_id()), now=NOW)
    member, other = a_caller(project.id), a_caller()
    mine, theirs = (an_alarm(tx, owner, resource_id=new_id(), now=NOW).id for owner in (member, other))
    delete_project(tx, admin, project_id=project.id, now=NOW)
    with pytest.raises(AlarmNotFound):
        alarms.get_alarm(tx, mine, caller=member)
    newest = alarms.list_history(tx, mine, caller=member)[0]
    assert (newest.type, newest.user_id) == (HistoryType.DELETION, admin.user_id)
    assert alarms.get_alarm(tx, theirs, caller=other).id == theirs


def test_who_is_no_admin_is_not_told_what_a_project_has(tx: Transaction) -> None:
    stranger = a_token(tx, "demo")
    with pytest.raises(Forbidden):
        delete_project(tx, stranger, project_id=new_hex_id(), now=NOW)


def test_no_launch_that_began_before_its_project_was_deleted_leaves_an_instance_behind(pool: Pool) -> None:
    with transaction(pool) as tx:
        admin, cloud = a_token(tx, "admin"), a_cloud(tx, hostname=f"host-{new_hex_id()}")
        directory.delete_project(tx, admin, project_id=cloud.caller.project_id)
    with pytest.raises(ProjectNotFound), transaction(pool) as tx:
        launched(tx, cloud)
    launch = LaunchTemplate(image_id=cloud.image.id, flavor_id="0")
    with pytest.raises(ProjectNotFound), transaction(pool) as tx:
        scaling.create_group(tx, GroupSpec("web", launch, 0, 1, 0), caller=cloud.caller, now=NOW)


def test_a_project_is_deleted_only_after_the_launch_that_is_under_way_and_then_it_is_not_empty(pool: Pool) -> None:
    with transaction(pool) as tx:
        admin, cloud = a_token(tx, "admin"), a_cloud(tx, hostname=f"host-{new_hex_id()}")
    outcome: list[Exception | None] = []

    def delete() -> None:
        try:
            with transaction(pool) as other:
                delete_project(other, admin, project_id=cloud.caller.project_id, now=NOW)
            outcome.append(None)
        except DomainError as error:
            outcome.append(error)

    with transaction(pool) as tx:
        launched(tx, cloud)
        deletion = Thread(target=delete)
        deletion.start()
        deletion.join(timeout=0.5)
        assert deletion.is_alive(), "the deletion waits for the launch"
    deletion.join(timeout=PATIENCE_S)
    assert [type(one) for one in outcome] == [ProjectInUse]
    with transaction(pool) as tx:
        tx.execute("DELETE FROM instance WHERE project_id = %s", (cloud.caller.project_id,))
