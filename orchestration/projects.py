"""The end of a project: identity forgets it only when compute and scaling hold nothing of it any more; its alarms end with it."""

from datetime import datetime

from alarms import service as alarms
from compute import service as compute
from foundation.database import Transaction
from foundation.errors import Conflict
from identity import directory
from identity.model import Token
from scaling import service as scaling


class ProjectInUse(Conflict):
    """The project still has what would run on, and cost, with nobody to stop it."""

    def __init__(self, project_id: str, left: str) -> None:
        super().__init__(f"project {project_id} still has {left}; delete them first")


def delete_project(tx: Transaction, actor: Token, *, project_id: str, now: datetime) -> None:
    """Delete an empty project, its role assignments and tokens, and its alarms, which would be judged and told for ever.

    Raises ProjectNotFound, Forbidden, and ProjectInUse with what is left.
    """
    directory.require_admin(actor)
    project = directory.get_project(tx, actor, project_id)
    directory.lock_project(tx, project.id)
    left = [
        counted(scaling.count_groups(tx, project.id), "scaling group"),
        counted(compute.get_usage(tx, project.id).instances, "instance"),
    ]
    if any(left):
        raise ProjectInUse(project.id, " and ".join(part for part in left if part))
    alarms.delete_alarms_of_project(tx, project.id, user_id=actor.user_id, now=now)
    directory.delete_project(tx, actor, project_id=project.id)


def counted(count: int, noun: str) -> str:
    """Write a count with its noun, and none as nothing."""
    return f"{count} {noun}{'s' if count > 1 else ''}" if count else ""
