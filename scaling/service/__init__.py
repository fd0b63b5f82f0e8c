"""The use cases of scaling, one file a noun; every function takes the transaction first and never commits."""

from scaling.service.convergence import converge_groups, has_due, on_instance_lifecycle
from scaling.service.groups import (
    GroupView,
    count_groups,
    create_group,
    delete_group,
    get_group,
    list_activities,
    list_groups,
    update_group,
)
from scaling.service.policies import (
    create_policy,
    delete_policy,
    execute_own_policy,
    execute_policy,
    find_policies,
    get_policy,
    list_policies,
    update_policy,
)

__all__ = [
    "GroupView",
    "converge_groups",
    "count_groups",
    "create_group",
    "create_policy",
    "delete_group",
    "delete_policy",
    "execute_own_policy",
    "execute_policy",
    "find_policies",
    "get_group",
    "get_policy",
    "has_due",
    "list_activities",
    "list_groups",
    "list_policies",
    "on_instance_lifecycle",
    "update_group",
    "update_policy",
]
