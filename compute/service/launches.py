"""Making instances: one order, one transaction, all of it or nothing."""

import re
import secrets
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from compute.errors import ComputeQuotaExceeded, ImageNotFound, KeypairNotFound, LaunchInvalid, NoValidHost
from compute.model import Flavor, Image, Instance, InstanceAction, Keypair, LaunchRequest, Network
from compute.placement import NoRoom, place_instances
from compute.quota import Refused, decide_count
from compute.service import networks as network_service
from compute.service.flavors import get_flavor
from compute.service.quotas import get_quota
from compute.store import hosts, images, instance_changes, instances, keypairs, quotas
from compute.store.instance_changes import NewInstance
from foundation.database import Transaction
from foundation.ids import new_id
from identity import directory, policy
from identity.model import Caller

NAME_LENGTH_MAX = 255
COUNT_MAX = 1_000
USER_DATA_BYTES_MAX = 65_535
METADATA_TEXT_MAX = 255
TAGS_MAX = 50
TAG_LENGTH_MAX = 60
HOSTNAME_LENGTH_MAX = 63
CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
"""And what no XML holds: a guest's description is XML."""


def create_instances(
    tx: Transaction, *, caller: Caller, request: LaunchRequest, now: datetime, request_id: str | None = None
) -> Sequence[Instance]:
    """Order count_min to count_max instances and return them, wanted and not made yet; their hosts are woken at the commit.

    Raises LaunchInvalid, NotFound by noun, ComputeQuotaExceeded, NetworkExhausted, and NoValidHost: where Nova takes an order that no
    host can fill and leaves an instance in error behind, this says so at once and leaves nothing.
    """
    policy.require_writer(caller)
    project_id = caller.project_id
    directory.hold_project(tx, project_id)
    check_request(request)
    flavor = get_flavor(tx, request.flavor_id, caller=caller)
    image = find_bootable_image(tx, request, flavor=flavor, project_id=project_id)
    keypair = find_keypair(tx, caller, request.key_name)
    chosen: Sequence[Network] = ()
    if request.is_networked:
        chosen = network_service.choose_networks(tx, project_id, network_ids=request.network_ids, now=now)
    groups = network_service.choose_groups(tx, project_id, names=request.security_groups, now=now)
    count = count_within_quota(tx, project_id, request=request, flavor=flavor)
    host_ids = place(tx, request, flavor=flavor, count=count, now=now)
    new = new_instances(caller, request, flavor=flavor, image=image, keypair=keypair, host_ids=host_ids)
    ids = [instance.id for instance in new]
    instance_changes.insert_instances(tx, new, now=now)
    network_service.attach_ports(
        tx,
        ids,
        project_id=project_id,
        chosen=chosen,
        fixed_addresses=request.fixed_addresses,
        security_group_ids=groups,
        now=now,
    )
    instance_changes.insert_actions(tx, create_actions(caller, ids, request_id=request_id, now=now))
    for host_id in sorted(set(host_ids)):
        hosts.notify_host(tx, host_id)
    made = {instance.id: instance for instance in instances.list_by_ids(tx, ids)}
    return [made[instance_id] for instance_id in ids]


def check_request(request: LaunchRequest) -> None:
    """Raise LaunchInvalid for what no project may ask."""
    if not request.name.strip() or len(request.name) > NAME_LENGTH_MAX or CONTROL_CHARACTERS.search(request.name):
        raise LaunchInvalid(f"name must be 1 to {NAME_LENGTH_MAX} printable characters", field="name")
    if not 1 <= request.count_min <= request.count_max:
        raise LaunchInvalid("min_count must be <= max_count", field="min_count")
    if request.count_max > COUNT_MAX:
        raise LaunchInvalid(f"at most {COUNT_MAX} instances can be asked for at once", field="max_count")
    if request.user_data is not None and len(request.user_data) > USER_DATA_BYTES_MAX:
        raise LaunchInvalid(f"user_data is longer than {USER_DATA_BYTES_MAX} bytes", field="user_data")
    for key, value in request.metadata.items():
        if not key or len(key) > METADATA_TEXT_MAX or len(value) > METADATA_TEXT_MAX:
            raise LaunchInvalid(
                f"metadata keys and values have at most {METADATA_TEXT_MAX} characters", field="metadata"
            )
        if CONTROL_CHARACTERS.search(key) or CONTROL_CHARACTERS.search(value):
            raise LaunchInvalid("metadata holds a control character", field="metadata")
    if len(request.tags) > TAGS_MAX or any(not 0 < len(tag) <= TAG_LENGTH_MAX for tag in request.tags):
        raise LaunchInvalid(f"at most {TAGS_MAX} tags of 1 to {TAG_LENGTH_MAX} characters", field="tags")


def find_bootable_image(tx: Transaction, request: LaunchRequest, *, flavor: Flavor, project_id: str) -> Image:
    """Return the image. Raises ImageNotFound, or LaunchInvalid when it is no system or the flavor is too small for it."""
    image = images.find_image(tx, request.image_id, project_id=project_id)
    if image is None:
        raise ImageNotFound(f"Image {request.image_id} could not be found.")
    if image.container_format in ("aki", "ari"):
        raise LaunchInvalid(f"Image {image.id} is not one that an instance can start from", field="imageRef")
    if flavor.ram_mib < image.min_ram_mib:
        raise LaunchInvalid("Flavor's memory is too small for requested image.", field="flavorRef")
    if 0 < flavor.disk_gib < image.min_disk_gib:
        raise LaunchInvalid("Flavor's disk is too small for requested image.", field="flavorRef")
    return image


def find_keypair(tx: Transaction, caller: Caller, name: str | None) -> Keypair | None:
    """Return the key pair that the launch names. Raises KeypairNotFound."""
    if name is None:
        return None
    found = keypairs.list_keypairs(tx, caller.user_id, name=name)
    if not found:
        raise KeypairNotFound(f"Keypair {name} not found for user {caller.user_id}")
    return found[0]


def count_within_quota(tx: Transaction, project_id: str, *, request: LaunchRequest, flavor: Flavor) -> int:
    """Lock the project's quota and return how many instances it allows. Raises ComputeQuotaExceeded."""
    quotas.lock_quota(tx, project_id)
    quota = get_quota(tx, project_id)
    if 0 <= quota.metadata_items < len(request.metadata):
        raise ComputeQuotaExceeded(f"Maximum number of metadata items exceeds {quota.metadata_items}")
    decision = decide_count(
        flavor,
        quota,
        quotas.get_usage(tx, project_id),
        count_min=request.count_min,
        count_max=request.count_max,
    )
    if isinstance(decision, Refused):
        raise ComputeQuotaExceeded(decision.message)
    return decision.count


def place(tx: Transaction, request: LaunchRequest, *, flavor: Flavor, count: int, now: datetime) -> Sequence[UUID]:
    """Choose the hosts. Raises NoValidHost when not even the least number fits."""
    hosts.lock_placement(tx)
    placed = place_instances(
        hosts.list_hosts(tx),
        vcpus=flavor.vcpus,
        ram_mib=flavor.ram_mib,
        count=count,
        availability_zone=request.availability_zone,
        now=now,
    )
    if isinstance(placed, NoRoom):
        raise NoValidHost(f"No valid host was found. {placed.reason}")
    if len(placed.host_ids) < request.count_min:
        raise NoValidHost(
            f"No valid host was found. {len(placed.host_ids)} of the {request.count_min} instances asked for would fit."
        )
    return placed.host_ids


def new_instances(
    caller: Caller,
    request: LaunchRequest,
    *,
    flavor: Flavor,
    image: Image,
    keypair: Keypair | None,
    host_ids: Sequence[UUID],
) -> Sequence[NewInstance]:
    """Return the rows of an order: `name`, or `name-1` to `name-n` where several were asked for."""
    reservation_id = f"r-{secrets.token_hex(4)}"
    is_numbered = request.count_max > 1
    made: list[NewInstance] = []
    for number, host_id in enumerate(host_ids, start=1):
        name = f"{request.name[: NAME_LENGTH_MAX - 5]}-{number}" if is_numbered else request.name
        instance_id = new_id()
        made.append(
            NewInstance(
                id=instance_id,
                project_id=caller.project_id,
                user_id=caller.user_id,
                name=name,
                hostname=hostname_of_name(request.hostname or name, instance_id),
                description=request.description,
                reservation_id=reservation_id,
                host_id=host_id,
                availability_zone=request.availability_zone or "nova",
                flavor_id=flavor.id,
                flavor_name=flavor.name,
                vcpus=flavor.vcpus,
                ram_mib=flavor.ram_mib,
                disk_gib=flavor.disk_gib,
                extra_specs=flavor.extra_specs,
                image_id=image.id,
                key_name=request.key_name,
                public_key=None if keypair is None else keypair.public_key,
                user_data=request.user_data,
                metadata=request.metadata,
                tags=request.tags,
            )
        )
    return made


def hostname_of_name(name: str, instance_id: UUID) -> str:
    """Return a host name (RFC 1123) made of a display name, or of the id where nothing of the name can be used."""
    cleaned = re.sub(r"[^a-z0-9-]+", "-", name.lower().replace("_", "-"))[:HOSTNAME_LENGTH_MAX].strip("-")
    return cleaned or f"server-{instance_id}"


def create_actions(
    caller: Caller, ids: Sequence[UUID], *, request_id: str | None, now: datetime
) -> Sequence[InstanceAction]:
    """Return the first line of each instance's history."""
    request_id = request_id or f"req-{new_id()}"
    return [
        InstanceAction(request_id, instance_id, "create", caller.user_id, caller.project_id, None, now)
        for instance_id in ids
    ]
