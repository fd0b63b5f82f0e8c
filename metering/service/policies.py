"""Archive policies, the rules that choose them, and resource types: what an operator sets up."""

from collections.abc import Sequence
from dataclasses import replace

from foundation.database import Transaction
from metering.archive_policies import ArchivePolicy, Definition, new_policy
from metering.attributes import AttributeChange, plan_type_change
from metering.errors import (
    ArchivePolicyExists,
    ArchivePolicyNotFound,
    ArchivePolicyRuleExists,
    ArchivePolicyRuleNameTaken,
    ArchivePolicyRuleNotFound,
    ArchivePolicyUnknown,
    InUse,
    ResourceTypeExists,
    ResourceTypeNotFound,
)
from metering.model import PRODUCT_RESOURCE_TYPES, ResourceType
from metering.samples import ArchivePolicyRule
from metering.store import policies, resource_types


def list_archive_policies(tx: Transaction) -> Sequence[ArchivePolicy]:
    """Return all archive policies by name."""
    return policies.list_policies(tx)


def get_archive_policy(tx: Transaction, name: str) -> ArchivePolicy:
    """Return an archive policy; raise ArchivePolicyNotFound."""
    policy = policies.find_policy(tx, name)
    if policy is None:
        raise ArchivePolicyNotFound(name)
    return policy


def create_archive_policy(tx: Transaction, policy: ArchivePolicy) -> ArchivePolicy:
    """Make an archive policy; raise ArchivePolicyExists."""
    if not policies.insert_policy(tx, policy):
        raise ArchivePolicyExists(policy.name)
    return policy


def get_named_policy(tx: Transaction, name: str) -> ArchivePolicy:
    """Return the archive policy that something to be made names; raise ArchivePolicyUnknown."""
    found = policies.find_policy(tx, name)
    if found is None:
        raise ArchivePolicyUnknown(name)
    return found


def update_archive_policy(
    tx: Transaction,
    name: str,
    *,
    back_window: int | None = None,
    definitions: Sequence[Definition] | None = None,
    methods: Sequence[str] | None = None,
) -> ArchivePolicy:
    """Change what a policy keeps and serves, of the metrics that have it too, as far back as their samples go.

    A new granularity is read from raw samples until the rollers have made its buckets.
    """
    policies.lock_policy(tx, name)
    former = get_archive_policy(tx, name)
    kept = [Definition(*pair) for pair in zip(former.granularities_us, former.points, strict=True)]
    changed = new_policy(
        name,
        back_window=former.back_window if back_window is None else back_window,
        definitions=kept if definitions is None else definitions,
        methods=former.aggregation_methods if methods is None else methods,
    )
    if not set(changed.granularities_us) <= set(former.granularities_us):
        policies.hold_shards(tx)
        policies.mark_rolled_up(tx, name, granularity_us=former.granularities_us[-1])
    policies.update_policy(tx, changed)
    return changed


def delete_archive_policy(tx: Transaction, name: str) -> None:
    """Delete a policy that no metric and no rule uses."""
    get_archive_policy(tx, name)
    if policies.is_policy_used(tx, name):
        raise InUse("Archive policy", name)
    policies.delete_policy(tx, name)


def list_rules(tx: Transaction) -> Sequence[ArchivePolicyRule]:
    """Return all rules, the more specific pattern before the others that begin as it does."""
    return sorted(policies.list_rules(tx), key=lambda rule: rule.metric_pattern, reverse=True)


def get_rule(tx: Transaction, name: str) -> ArchivePolicyRule:
    """Return a rule; raise ArchivePolicyRuleNotFound."""
    found = next((rule for rule in policies.list_rules(tx) if rule.name == name), None)
    if found is None:
        raise ArchivePolicyRuleNotFound(name)
    return found


def create_rule(tx: Transaction, rule: ArchivePolicyRule) -> ArchivePolicyRule:
    """Make a rule; it applies to metrics made from now on."""
    get_named_policy(tx, rule.archive_policy_name)
    if not policies.insert_rule(tx, rule):
        raise ArchivePolicyRuleExists(rule.name)
    return rule


def rename_rule(tx: Transaction, name: str, *, new_name: str) -> ArchivePolicyRule:
    """Give a rule another name."""
    rule = get_rule(tx, name)
    if new_name != name and any(other.name == new_name for other in policies.list_rules(tx)):
        raise ArchivePolicyRuleNameTaken(new_name)
    policies.rename_rule(tx, name, new_name=new_name)
    return replace(rule, name=new_name)


def delete_rule(tx: Transaction, name: str) -> None:
    """Delete a rule; the metrics that it gave a policy keep it."""
    if not policies.delete_rule(tx, name):
        raise ArchivePolicyRuleNotFound(name)


def list_resource_types(tx: Transaction) -> Sequence[ResourceType]:
    """Return all resource types by name."""
    return resource_types.list_resource_types(tx)


def get_resource_type(tx: Transaction, name: str) -> ResourceType:
    """Return a resource type; raise ResourceTypeNotFound."""
    found = resource_types.find_resource_type(tx, name)
    if found is None:
        raise ResourceTypeNotFound(name)
    return found


def has_resource_type(tx: Transaction, name: str) -> bool:
    """Tell whether there is a resource type of the name."""
    return resource_types.find_resource_type(tx, name) is not None


def create_resource_type(tx: Transaction, resource_type: ResourceType) -> ResourceType:
    """Make a resource type."""
    if not resource_types.insert_resource_type(tx, resource_type):
        raise ResourceTypeExists(resource_type.name)
    return resource_type


def ensure_resource_type(tx: Transaction, resource_type: ResourceType) -> None:
    """Make a resource type where there is none of the name."""
    resource_types.insert_resource_type(tx, resource_type)


def hold_resource_type(tx: Transaction, name: str) -> ResourceType:
    """Return a resource type that stays as it is while resources are written against it; raise ResourceTypeNotFound."""
    found = resource_types.hold_resource_type(tx, name)
    if found is None:
        raise ResourceTypeNotFound(name)
    return found


def update_resource_type(tx: Transaction, name: str, *, changes: Sequence[AttributeChange]) -> ResourceType:
    """Add, change and remove attributes of a resource type, and migrate its resources, deleted ones and former states included."""
    former = resource_types.lock_resource_type(tx, name)
    if former is None:
        raise ResourceTypeNotFound(name)
    plan = plan_type_change(former, changes)
    resource_types.update_resource_type(tx, plan.resource_type, fills=plan.fills, removed=plan.removed)
    return plan.resource_type


def delete_resource_type(tx: Transaction, name: str) -> None:
    """Delete a resource type of which there is no resource; those that are there from the start stay."""
    if resource_types.lock_resource_type(tx, name) is None:
        raise ResourceTypeNotFound(name)
    if name in PRODUCT_RESOURCE_TYPES or resource_types.is_resource_type_used(tx, name):
        raise InUse("Resource type", name)
    resource_types.delete_resource_type(tx, name)
