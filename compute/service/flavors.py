"""The sizes of instances: what there is, and an admin's changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from compute.errors import FlavorConflict, FlavorNotFound, LaunchInvalid
from compute.model import Flavor
from compute.store import flavors
from foundation.database import Transaction
from foundation.ids import new_id
from identity import policy
from identity.model import Caller

VCPUS_MAX = 512
RAM_MIB_MAX = 16 * 1024 * 1024
DISK_GIB_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class FlavorRequest:
    """A flavor that an admin asks for; no id means a new one."""

    name: str
    vcpus: int
    ram_mib: int
    disk_gib: int
    id: str | None = None
    is_public: bool = True
    description: str | None = None
    extra_specs: Mapping[str, str] = field(default_factory=dict[str, str])


BUILTIN_FLAVORS = (
    FlavorRequest("n1.nano", 1, 96, 1, id="0"),
    FlavorRequest("m1.tiny", 1, 512, 1, id="1"),
    FlavorRequest("m1.small", 1, 2048, 20, id="2"),
    FlavorRequest("m1.medium", 2, 4096, 40, id="3"),
    FlavorRequest("m1.large", 4, 8192, 80, id="4"),
    FlavorRequest("m1.xlarge", 8, 16384, 160, id="5"),
)
"""Nova's usual five, and one small enough to run several of under emulation."""


def bootstrap_flavors(tx: Transaction, *, now: datetime) -> None:
    """Make the built-in flavors that are missing; those that an admin has deleted come back only by another start."""
    for request in BUILTIN_FLAVORS:
        flavors.insert_flavor(tx, flavor_of_request(request, now))


def flavor_of_request(request: FlavorRequest, now: datetime) -> Flavor:
    """Check the numbers and give the flavor an id. Raises LaunchInvalid."""
    for name, value, least, most in (
        ("vcpus", request.vcpus, 1, VCPUS_MAX),
        ("ram", request.ram_mib, 1, RAM_MIB_MAX),
        ("disk", request.disk_gib, 0, DISK_GIB_MAX),
    ):
        if not least <= value <= most:
            raise LaunchInvalid(f"{name} must be between {least} and {most}", field=name)
    return Flavor(
        id=request.id or str(new_id()),
        name=request.name,
        vcpus=request.vcpus,
        ram_mib=request.ram_mib,
        disk_gib=request.disk_gib,
        is_public=request.is_public,
        description=request.description,
        extra_specs=request.extra_specs,
        created_at=now,
    )


def list_flavors(tx: Transaction, *, caller: Caller, is_public: bool | None = True) -> Sequence[Flavor]:
    """List the flavors that the caller may use; an admin sees private ones too."""
    return flavors.list_flavors(tx, is_public=is_public if policy.is_admin(caller) else True)


def get_flavor(tx: Transaction, flavor_id: str, *, caller: Caller) -> Flavor:
    """Return the flavor. Raises FlavorNotFound."""
    flavor = flavors.find_flavor(tx, flavor_id)
    if flavor is None or not (flavor.is_public or policy.is_admin(caller)):
        raise FlavorNotFound(f"Flavor {flavor_id} could not be found.")
    return flavor


def create_flavor(tx: Transaction, *, caller: Caller, request: FlavorRequest, now: datetime) -> Flavor:
    """Make a flavor. Raises FlavorConflict."""
    policy.require_admin(caller)
    flavor = flavor_of_request(request, now)
    if not flavors.insert_flavor(tx, flavor):
        taken_id = flavors.find_flavor(tx, flavor.id) is not None
        what = f"ID {flavor.id}" if taken_id else f"name {flavor.name}"
        raise FlavorConflict(f"Flavor with {what} already exists.")
    return flavor


def describe_flavor(tx: Transaction, flavor_id: str, *, caller: Caller, description: str | None) -> Flavor:
    """Change a flavor's description."""
    policy.require_admin(caller)
    get_flavor(tx, flavor_id, caller=caller)
    flavors.update_description(tx, flavor_id, description=description)
    return get_flavor(tx, flavor_id, caller=caller)


def set_extra_specs(tx: Transaction, flavor_id: str, *, caller: Caller, extra_specs: Mapping[str, str]) -> Flavor:
    """Replace a flavor's extra specs; instances keep those they were launched with."""
    policy.require_admin(caller)
    get_flavor(tx, flavor_id, caller=caller)
    flavors.update_extra_specs(tx, flavor_id, extra_specs=dict(extra_specs))
    return get_flavor(tx, flavor_id, caller=caller)


def delete_flavor(tx: Transaction, flavor_id: str, *, caller: Caller) -> None:
    """Delete a flavor; its instances go on. Raises FlavorNotFound."""
    policy.require_admin(caller)
    if not flavors.delete_flavor(tx, flavor_id):
        raise FlavorNotFound(f"Flavor {flavor_id} could not be found.")
