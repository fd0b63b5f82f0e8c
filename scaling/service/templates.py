"""What a group launches from, looked at when it is given: what is not there is told at once, not by the first launch that fails."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from compute import service as compute
from compute.model import Flavor, LaunchRequest
from compute.service import launches, networks
from foundation.database import Transaction
from foundation.errors import Conflict, Invalid, NotFound
from identity.model import Caller
from identity.policy import product_caller
from scaling.model import GROUP_METADATA_KEY, GroupSpec, LaunchTemplate

Found = TypeVar("Found")

NO_GROUP = UUID(int=0)


def member_of(project_id: str, user_id: str | None) -> Caller:
    """Act as a plain member of a project, so that a template reaches nothing that its owner could not reach."""
    return replace(product_caller(project_id=project_id, user_id=user_id or ""), is_system=False)


def checked_template(tx: Transaction, launch: LaunchTemplate, *, caller: Caller, now: datetime) -> LaunchTemplate:
    """Return the template with its flavor by id, whether it was given by id or by name; raises Invalid with the field to mend."""
    flavor = or_invalid(lambda: find_flavor(tx, launch.flavor_id, caller=caller), field="flavor_id")
    request = LaunchRequest(name="member", image_id=launch.image_id, flavor_id=flavor.id)
    project_id = caller.project_id
    or_invalid(
        lambda: launches.find_bootable_image(tx, request, flavor=flavor, project_id=project_id), field="image_id"
    )
    if launch.network_ids:
        ids = launch.network_ids
        or_invalid(lambda: networks.choose_networks(tx, project_id, network_ids=ids, now=now), field="network_ids")
    if launch.security_groups:
        names = launch.security_groups
        or_invalid(lambda: networks.choose_groups(tx, project_id, names=names, now=now), field="security_groups")
    or_invalid(lambda: launches.find_keypair(tx, caller, launch.key_name), field="key_name")
    return replace(launch, flavor_id=flavor.id)


def check_launchable(spec: GroupSpec) -> None:
    """Raise Invalid with the field to mend where no member could ever be launched as the group says, whatever there is."""
    try:
        launches.check_request(member_request(spec, NO_GROUP, number=1))
    except Invalid as error:
        raise Invalid(error.message, field="name" if error.field == "name" else f"launch.{error.field}") from error


def member_request(spec: GroupSpec, group_id: UUID, *, number: int) -> LaunchRequest:
    """Order one member: it is called by the group's name, cut where there is no room for it, and its number."""
    launch, suffix = spec.launch, f"-{number}"
    return LaunchRequest(
        name=spec.name[: launches.NAME_LENGTH_MAX - len(suffix)] + suffix,
        image_id=launch.image_id,
        flavor_id=launch.flavor_id,
        network_ids=launch.network_ids,
        user_data=None if launch.user_data is None else launch.user_data.encode(),
        metadata={**launch.metadata, GROUP_METADATA_KEY: str(group_id)},
        security_groups=launch.security_groups,
        key_name=launch.key_name,
        availability_zone=launch.availability_zone,
    )


def find_flavor(tx: Transaction, reference: str, *, caller: Caller) -> Flavor:
    """Return a flavor by its id, or by its name where no id is like this."""
    try:
        return compute.get_flavor(tx, reference, caller=caller)
    except NotFound:
        named: Sequence[Flavor] = [one for one in compute.list_flavors(tx, caller=caller) if one.name == reference]
        if not named:
            raise
        return named[0]


def or_invalid(find: Callable[[], Found], *, field: str) -> Found:
    """Find what a template names, or say which part of it to mend; what no other template would mend stays what it is."""
    try:
        return find()
    except (NotFound, Conflict, Invalid) as error:
        raise Invalid(error.message, field=f"launch.{field}") from error
