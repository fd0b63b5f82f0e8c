"""Who may see and change what in metering. Pure: an admin all, others what their project owns or they have made."""

from dataclasses import dataclass

from identity.model import Caller
from identity.policy import is_admin
from metering.model import Metric, Resource


@dataclass(frozen=True, slots=True)
class Viewer:
    """What decides a caller's view: None for the project means every project."""

    project_id: str | None
    creator: str


def viewer_of(caller: Caller) -> Viewer:
    """Return the view of a caller; the creator is written as Gnocchi does, user and project joined by a colon."""
    return Viewer(None if is_admin(caller) else caller.project_id, creator_of(caller))


def creator_of(caller: Caller) -> str:
    """Return how a caller is named as the creator of what it makes."""
    return creator_named(caller.user_id, project_id=caller.project_id)


def creator_named(user_id: str, *, project_id: str) -> str:
    """Write a creator as Gnocchi does: user and project joined by a colon, or the user alone where it is a project of its own."""
    if user_id == project_id:
        return user_id
    return f"{user_id}:{project_id}"


def may_change_resource(caller: Caller, resource: Resource) -> bool:
    """Tell whether a caller may change or delete a resource: only its creator and admins, since bills rest on the others."""
    return may_change_created_by(caller, resource.creator)


def may_change_created_by(caller: Caller, creator: str) -> bool:
    """Tell whether a caller may change or delete the resources of a creator."""
    return is_admin(caller) or creator == creator_of(caller)


def may_place_in(caller: Caller, project_id: str) -> bool:
    """Tell whether a caller may say that a resource is a project's: its own, and without Keystone's projects any."""
    return is_admin(caller) or project_id == caller.project_id or caller.user_id == caller.project_id


def may_change_metric(caller: Caller, metric: Metric) -> bool:
    """Tell whether a caller may write to or delete a metric: only its creator and admins."""
    return may_change_made_by(caller, user_id=metric.created_by_user_id, project_id=metric.created_by_project_id)


def may_change_made_by(caller: Caller, *, user_id: str, project_id: str) -> bool:
    """Tell whether a caller may write to the metrics that a user made for a project."""
    return is_admin(caller) or (project_id == caller.project_id and user_id == caller.user_id)
