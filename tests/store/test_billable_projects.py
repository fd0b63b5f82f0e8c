"""Which projects can be billed, asked for many as for one."""

import pytest

from api.native.billing import chosen_project, chosen_projects
from billing.service import require_projects
from foundation.database import Transaction
from foundation.ids import new_hex_id, new_id
from identity.model import ProjectNotFound
from metering import service
from tests.identity_builders import a_caller
from tests.metering_builders import RECEIVED_AT, a_sample
from tests.statements import counted_statements


def metered(tx: Transaction, count: int) -> list[str]:
    """Make projects of a foreign cloud, of which only usage is known."""
    projects = [new_hex_id() for _ in range(count)]
    samples = [a_sample(0, 1, resource_id=new_id(), meter="memory", project_id=project) for project in projects]
    service.ingest_samples(tx, samples, received_at=RECEIVED_AT)
    return projects


def test_many_projects_take_as_few_statements_as_one(tx: Transaction) -> None:
    projects = metered(tx, 30)
    with counted_statements(tx) as counted:
        require_projects(tx, projects[:1])
        for_one = counted.begin_again()
        require_projects(tx, projects)
    assert counted.statements == for_one > 0


def test_the_one_that_never_was_is_named(tx: Transaction) -> None:
    unknown = new_hex_id()
    with pytest.raises(ProjectNotFound, match=unknown):
        require_projects(tx, [*metered(tx, 2), unknown])


def test_only_an_admin_chooses_other_projects_and_each_counts_once(tx: Transaction) -> None:
    member, admin, (first, second) = a_caller(roles=["member"]), a_caller(roles=["admin"]), metered(tx, 2)
    assert chosen_projects(tx, admin, [first, second, first, admin.project_id]) == [first, second, admin.project_id]
    assert chosen_projects(tx, member, [member.project_id]) == [member.project_id]
    assert chosen_project(tx, member, project_id=None) == member.project_id
    with pytest.raises(ProjectNotFound, match=first):
        chosen_projects(tx, member, [member.project_id, first])
