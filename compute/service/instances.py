"""What a project does with its instances: it changes what is wanted, and the host's agent makes it so."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from compute import lifecycle
from compute.errors import ComputeQuotaExceeded, InstanceNotFound, LaunchInvalid
from compute.model import ConsoleOutput, Desired, Instance, InstanceAction, InstanceFilters, InstancePage
from compute.service.launches import CONTROL_CHARACTERS, METADATA_TEXT_MAX, NAME_LENGTH_MAX, TAG_LENGTH_MAX, TAGS_MAX
from compute.service.quotas import get_quota
from compute.store import consoles, hosts, instance_changes, instances
from foundation.database import Transaction
from foundation.errors import Forbidden
from foundation.ids import new_id
from identity import policy
from identity.model import Caller

PATTERN_LENGTH_MAX = 255


def get_instance(tx: Transaction, *, caller: Caller, instance_id: UUID) -> Instance:
    """Return an instance that is alive. Raises InstanceNotFound, for another project's too."""
    return find_own(tx, caller, instance_id, is_locked=False)


def lock_instance(tx: Transaction, caller: Caller, instance_id: UUID) -> Instance:
    """Return an instance to be changed. Raises InstanceNotFound, and Forbidden for a reader."""
    instance = find_own(tx, caller, instance_id, is_locked=True)
    if not policy.may_write(caller, instance.project_id):
        raise Forbidden("this needs the member role in the project")
    return instance


def find_own(tx: Transaction, caller: Caller, instance_id: UUID, *, is_locked: bool) -> Instance:
    """Return the instance if the caller may see it and it is alive."""
    scope = None if policy.is_admin(caller) else caller.project_id
    instance = instances.find_instance(tx, instance_id, project_id=scope, is_locked=is_locked)
    if instance is None or instance.vm_state == "deleted":
        raise InstanceNotFound(f"Instance {instance_id} could not be found.")
    return instance


def list_instances(
    tx: Transaction, *, project_id: str | None, filters: InstanceFilters, page: InstancePage, now: datetime
) -> Sequence[Instance]:
    """List one page of a project's instances; None lists all projects', which only an admin may ask for."""
    for pattern in (filters.name_pattern, filters.ip_pattern):
        if pattern is not None:
            check_pattern(pattern)
    return instances.list_instances(tx, project_id=project_id, filters=filters, page=page, now=now)


def check_pattern(pattern: str) -> None:
    """Raise LaunchInvalid for a regular expression that is too long or that two readers could not agree on."""
    if len(pattern) > PATTERN_LENGTH_MAX:
        raise LaunchInvalid(f"a filter has at most {PATTERN_LENGTH_MAX} characters")
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise LaunchInvalid(f"the filter is not a regular expression: {error}") from error


def start_instance(
    tx: Transaction, *, caller: Caller, instance_id: UUID, now: datetime, request_id: str | None = None
) -> None:
    """Want a stopped instance to run. Raises InstanceStateConflict."""
    instance = lock_instance(tx, caller, instance_id)
    lifecycle.require_startable(instance)
    want(tx, instance, desired="active", now=now)
    remember(tx, instance, caller=caller, action="start", request_id=request_id, now=now)


def stop_instance(
    tx: Transaction, *, caller: Caller, instance_id: UUID, now: datetime, request_id: str | None = None
) -> None:
    """Want a running instance to be off. Raises InstanceStateConflict."""
    instance = lock_instance(tx, caller, instance_id)
    lifecycle.require_stoppable(instance)
    want(tx, instance, desired="stopped", now=now)
    remember(tx, instance, caller=caller, action="stop", request_id=request_id, now=now)


def reboot_instance(
    tx: Transaction,
    *,
    caller: Caller,
    instance_id: UUID,
    now: datetime,
    is_hard: bool = False,
    request_id: str | None = None,
) -> None:
    """Want another boot; a hard reboot also wakes an instance that is stopped or in error. Raises InstanceStateConflict."""
    instance = lock_instance(tx, caller, instance_id)
    lifecycle.require_rebootable(instance, is_hard=is_hard)
    instance_changes.request_reboot(tx, instance.id, is_hard=is_hard, now=now)
    hosts.notify_host(tx, instance.host_id)
    remember(tx, instance, caller=caller, action="reboot", request_id=request_id, now=now)


def delete_instance(
    tx: Transaction, *, caller: Caller, instance_id: UUID, now: datetime, request_id: str | None = None
) -> None:
    """Want the instance to be gone; asking twice is the same as once."""
    instance = lock_instance(tx, caller, instance_id)
    if instance.desired == "deleted":
        return
    want(tx, instance, desired="deleted", now=now)
    remember(tx, instance, caller=caller, action="delete", request_id=request_id, now=now)


def want(tx: Transaction, instance: Instance, *, desired: Desired, now: datetime) -> None:
    """Write what is wanted and wake the host's agent at the commit."""
    instance_changes.update_desired(tx, instance.id, desired=desired, now=now)
    hosts.notify_host(tx, instance.host_id)


def remember(
    tx: Transaction, instance: Instance, *, caller: Caller, action: str, request_id: str | None, now: datetime
) -> None:
    """Write a line of the instance's history."""
    line = InstanceAction(
        request_id or f"req-{new_id()}", instance.id, action, caller.user_id, caller.project_id, None, now
    )
    instance_changes.insert_actions(tx, [line])


def rename_instance(
    tx: Transaction,
    *,
    caller: Caller,
    instance_id: UUID,
    now: datetime,
    name: str | None = None,
    is_described: bool = False,
    description: str | None = None,
) -> Instance:
    """Change the display name or description."""
    instance = lock_instance(tx, caller, instance_id)
    if name is not None and (not name.strip() or len(name) > NAME_LENGTH_MAX or CONTROL_CHARACTERS.search(name)):
        raise LaunchInvalid(f"name must be 1 to {NAME_LENGTH_MAX} printable characters", field="name")
    instance_changes.rename(tx, instance.id, name=name, is_described=is_described, description=description, now=now)
    return get_instance(tx, caller=caller, instance_id=instance_id)


def set_metadata(
    tx: Transaction, *, caller: Caller, instance_id: UUID, metadata: Mapping[str, str], is_replaced: bool, now: datetime
) -> Mapping[str, str]:
    """Add to an instance's metadata, or replace it, and return what it is then. Raises ComputeQuotaExceeded."""
    instance = lock_instance(tx, caller, instance_id)
    for key, value in metadata.items():
        if not 0 < len(key) <= METADATA_TEXT_MAX or len(value) > METADATA_TEXT_MAX:
            raise LaunchInvalid(
                f"metadata keys and values have at most {METADATA_TEXT_MAX} characters", field="metadata"
            )
        if CONTROL_CHARACTERS.search(key) or CONTROL_CHARACTERS.search(value):
            raise LaunchInvalid("metadata holds a control character", field="metadata")
    merged = dict(metadata) if is_replaced else {**instance.metadata, **metadata}
    quota = get_quota(tx, instance.project_id)
    if 0 <= quota.metadata_items < len(merged):
        raise ComputeQuotaExceeded(f"Maximum number of metadata items exceeds {quota.metadata_items}")
    instance_changes.update_metadata(tx, instance.id, metadata=merged, now=now)
    return merged


def delete_metadata(tx: Transaction, *, caller: Caller, instance_id: UUID, key: str, now: datetime) -> None:
    """Take one item out of an instance's metadata. Raises InstanceNotFound when there is no such item."""
    instance = lock_instance(tx, caller, instance_id)
    if key not in instance.metadata:
        raise InstanceNotFound("Metadata item was not found")
    rest = {name: value for name, value in instance.metadata.items() if name != key}
    instance_changes.update_metadata(tx, instance.id, metadata=rest, now=now)


def set_tags(
    tx: Transaction, *, caller: Caller, instance_id: UUID, tags: Sequence[str], now: datetime
) -> Sequence[str]:
    """Replace an instance's tags."""
    return keep_tags(tx, lock_instance(tx, caller, instance_id), tags=tags, now=now)


def change_tags(
    tx: Transaction,
    *,
    caller: Caller,
    instance_id: UUID,
    now: datetime,
    added: Sequence[str] = (),
    removed: Sequence[str] = (),
) -> Sequence[str]:
    """Add tags and take others away, whatever else is changed at the same time; return those that there were before."""
    instance = lock_instance(tx, caller, instance_id)
    wanted = (set(instance.tags) | set(added)) - set(removed)
    if wanted != set(instance.tags):
        keep_tags(tx, instance, tags=sorted(wanted), now=now)
    return instance.tags


def keep_tags(tx: Transaction, instance: Instance, *, tags: Sequence[str], now: datetime) -> Sequence[str]:
    """Store the tags of a locked instance. Raises LaunchInvalid for too many or too long ones."""
    unique = sorted(set(tags))
    if len(unique) > TAGS_MAX or any(not 0 < len(tag) <= TAG_LENGTH_MAX for tag in unique):
        raise LaunchInvalid(f"at most {TAGS_MAX} tags of 1 to {TAG_LENGTH_MAX} characters", field="tags")
    instance_changes.update_tags(tx, instance.id, tags=unique, now=now)
    return unique


def list_actions(tx: Transaction, *, caller: Caller, instance_id: UUID) -> Sequence[InstanceAction]:
    """List what was asked of an instance, the latest first."""
    return instance_changes.list_actions(tx, get_instance(tx, caller=caller, instance_id=instance_id).id)


def request_console(tx: Transaction, *, caller: Caller, instance_id: UUID, now: datetime) -> Instance:
    """Ask the host's agent for the console as it is from now on; find_console has it once it has answered."""
    instance = get_instance(tx, caller=caller, instance_id=instance_id)
    consoles.request_output(tx, instance.id, now=now)
    hosts.notify_host(tx, instance.host_id)
    return instance


def find_console(tx: Transaction, *, caller: Caller, instance_id: UUID) -> ConsoleOutput | None:
    """Return what is known of the console, or None when nobody has asked."""
    return consoles.find_output(tx, get_instance(tx, caller=caller, instance_id=instance_id).id)
