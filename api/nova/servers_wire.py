"""An instance as Nova shows it, by microversion, and a launch as we understand it."""

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from ipaddress import AddressValueError, IPv4Address
from typing import Any
from uuid import UUID

from api.nova.requests import NetworkChoice, ServerLaunch
from api.nova.versions import Microversion
from compute.lifecycle import derive_status, derive_task
from compute.model import Instance, InstanceStatus, LaunchRequest, Power
from foundation.errors import Invalid

POWER_CODES: Mapping[Power, int] = {"unknown": 0, "running": 1, "paused": 3, "shutoff": 4, "crashed": 6}
PROGRESS_STATUSES = frozenset({InstanceStatus.ACTIVE, InstanceStatus.BUILD})


def to_wire_time(instant: datetime | None) -> str | None:
    """Write an instant as Nova does in most places: whole seconds with a Z."""
    return None if instant is None else instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def to_wire_micros(instant: datetime | None) -> str | None:
    """Write an instant as Nova does in OS-SRV-USG: microseconds and no zone, meaning UTC."""
    return None if instant is None else instant.strftime("%Y-%m-%dT%H:%M:%S.%f")


def to_wire_links(root: str, kind: str, *, entity_id: object) -> list[dict[str, str]]:
    """Write the two links that every entity has; `root` is the URL of Nova without its version."""
    return [
        {"rel": "self", "href": f"{root}/v2.1/{kind}/{entity_id}"},
        {"rel": "bookmark", "href": f"{root}/{kind}/{entity_id}"},
    ]


def to_wire_brief(instance: Instance, root: str) -> dict[str, Any]:
    """Write an instance as GET /servers lists it."""
    return {
        "id": str(instance.id),
        "name": instance.name,
        "links": to_wire_links(root, "servers", entity_id=instance.id),
    }


def to_wire_server(
    instance: Instance,
    *,
    root: str,
    microversion: Microversion,
    is_admin: bool,
    now: datetime,
    group_names: Mapping[UUID, str],
) -> dict[str, Any]:
    """Write an instance in full; what only an operator may know is left out for others, as Nova does."""
    status = derive_status(instance, now)
    server: dict[str, Any] = to_wire_brief(instance, root) | {
        "status": status.value,
        "tenant_id": instance.project_id,
        "user_id": instance.user_id,
        "metadata": dict(instance.metadata),
        "hostId": host_id_of(instance),
        "image": {
            "id": str(instance.image_id),
            "links": to_wire_links(root, "images", entity_id=instance.image_id)[1:],
        },
        "flavor": to_wire_embedded_flavor(instance, root, microversion=microversion),
        "created": to_wire_time(instance.created_at),
        "updated": to_wire_time(instance.updated_at),
        "addresses": to_wire_addresses(instance),
        "accessIPv4": "",
        "accessIPv6": "",
        "OS-DCF:diskConfig": "MANUAL",
        "config_drive": "True",
        "key_name": instance.key_name,
        "OS-EXT-AZ:availability_zone": instance.availability_zone,
        "OS-EXT-STS:task_state": derive_task(instance),
        "OS-EXT-STS:vm_state": instance.vm_state,
        "OS-EXT-STS:power_state": 0 if status is InstanceStatus.UNKNOWN else POWER_CODES[instance.power_state],
        "OS-SRV-USG:launched_at": to_wire_micros(instance.launched_at),
        "OS-SRV-USG:terminated_at": to_wire_micros(instance.deleted_at),
        "os-extended-volumes:volumes_attached": [],
    }
    if status in PROGRESS_STATUSES:
        server["progress"] = 100 if status is InstanceStatus.ACTIVE else 0
    groups = sorted(
        {group_names[id_] for port in instance.ports for id_ in port.security_group_ids if id_ in group_names}
    )
    if groups:
        server["security_groups"] = [{"name": name} for name in groups]
    if instance.fault_message is not None and instance.vm_state in ("error", "stopped"):
        server["fault"] = to_wire_fault(instance, is_admin=is_admin)
    return server | to_wire_later_fields(
        instance, microversion, is_admin=is_admin, is_unknown=status is InstanceStatus.UNKNOWN
    )


def to_wire_later_fields(
    instance: Instance, microversion: Microversion, *, is_admin: bool, is_unknown: bool
) -> dict[str, Any]:
    """Write what later microversions added, and what only an operator sees."""
    fields: dict[str, Any] = {}
    if is_admin:
        fields["OS-EXT-SRV-ATTR:host"] = instance.host_name
        fields["OS-EXT-SRV-ATTR:hypervisor_hostname"] = instance.host_name
        fields["OS-EXT-SRV-ATTR:instance_name"] = f"instance-{instance.id.hex[-8:]}"
        if microversion >= (2, 3):
            fields["OS-EXT-SRV-ATTR:reservation_id"] = instance.reservation_id
            fields["OS-EXT-SRV-ATTR:launch_index"] = 0
            fields["OS-EXT-SRV-ATTR:hostname"] = instance.hostname
            fields["OS-EXT-SRV-ATTR:kernel_id"] = ""
            fields["OS-EXT-SRV-ATTR:ramdisk_id"] = ""
            fields["OS-EXT-SRV-ATTR:root_device_name"] = "/dev/vda"
            fields["OS-EXT-SRV-ATTR:user_data"] = None
        if microversion >= (2, 16):
            fields["host_status"] = "UNKNOWN" if is_unknown else "UP"
    additions: tuple[tuple[Microversion, str, Any], ...] = (
        ((2, 9), "locked", False),
        ((2, 19), "description", instance.description),
        ((2, 26), "tags", list(instance.tags)),
        ((2, 63), "trusted_image_certificates", None),
        ((2, 71), "server_groups", []),
        ((2, 73), "locked_reason", None),
        ((2, 90), "OS-EXT-SRV-ATTR:hostname", instance.hostname),
        ((2, 96), "pinned_availability_zone", None),
    )
    return fields | {name: value for since, name, value in additions if microversion >= since}


def host_id_of(instance: Instance) -> str:
    """Return what tells a project which of its instances share a host, without telling which host."""
    return hashlib.sha224(f"{instance.project_id}{instance.host_id}".encode()).hexdigest()


def to_wire_embedded_flavor(instance: Instance, root: str, *, microversion: Microversion) -> dict[str, Any]:
    """Write the flavor: a link before 2.47, from then on the numbers that the instance was launched with."""
    if microversion < (2, 47):
        links = to_wire_links(root, "flavors", entity_id=instance.flavor_id)[1:]
        return {"id": instance.flavor_id, "links": links}
    return {
        "vcpus": instance.vcpus,
        "ram": instance.ram_mib,
        "disk": instance.disk_gib,
        "ephemeral": 0,
        "swap": 0,
        "original_name": instance.flavor_name,
        "extra_specs": dict(instance.extra_specs),
    }


def to_wire_addresses(instance: Instance) -> dict[str, list[dict[str, Any]]]:
    """Write the addresses by the network's name."""
    addresses: dict[str, list[dict[str, Any]]] = {}
    for port in instance.ports:
        addresses.setdefault(port.network_name, []).append(
            {
                "addr": str(port.ip_address),
                "version": 4,
                "OS-EXT-IPS:type": "fixed",
                "OS-EXT-IPS-MAC:mac_addr": port.mac_address,
            }
        )
    return addresses


def to_wire_fault(instance: Instance, *, is_admin: bool) -> dict[str, Any]:
    """Write why an instance is in error, or off although nobody asked for it."""
    fault: dict[str, Any] = {
        "code": instance.fault_code,
        "created": to_wire_time(instance.fault_at),
        "message": instance.fault_message,
    }
    if is_admin and instance.fault_details:
        fault["details"] = instance.fault_details
    return fault


def from_wire_server(launch: ServerLaunch, microversion: Microversion) -> LaunchRequest:
    """Read a launch. Raises Invalid for what the microversion does not know and for what is not offered."""
    refuse_too_new(launch, microversion)
    refuse_block_devices(launch)
    count_min = launch.min_count or 1
    count_max = launch.max_count or count_min
    network_ids, fixed = from_wire_networks(launch, microversion)
    return LaunchRequest(
        name=launch.name,
        image_id=uuid_of(launch.image_ref.rsplit("/", 1)[-1], "imageRef", message="Invalid imageRef provided."),
        flavor_id=launch.flavor_ref.rsplit("/", 1)[-1],
        network_ids=network_ids,
        is_networked=launch.networks != "none",
        fixed_addresses=fixed,
        user_data=from_wire_user_data(launch.user_data),
        metadata=launch.metadata,
        security_groups=[group.name for group in launch.security_groups],
        key_name=launch.key_name,
        availability_zone=launch.availability_zone or None,
        count_min=count_min,
        count_max=count_max,
        tags=launch.tags,
        description=launch.description,
        hostname=launch.hostname,
    )


def refuse_too_new(launch: ServerLaunch, microversion: Microversion) -> None:
    """Refuse fields that came with a later microversion, as Nova's schemas do."""
    since: tuple[tuple[str, str, Microversion], ...] = (
        ("description", "description", (2, 19)),
        ("tags", "tags", (2, 52)),
        ("hostname", "hostname", (2, 90)),
        ("trusted_image_certificates", "trusted_image_certificates", (2, 63)),
    )
    for attribute, name, least in since:
        if attribute in launch.model_fields_set and microversion < least:
            raise Invalid(
                f"Invalid input for field/attribute server. Additional properties are not allowed ('{name}' was unexpected)",
                field=name,
            )
    if microversion >= (2, 37) and launch.networks is None:
        raise Invalid("Invalid input for field/attribute server. 'networks' is a required property", field="networks")


def refuse_block_devices(launch: ServerLaunch) -> None:
    """Take the image's own local disk, which some clients spell out; volumes are not offered."""
    for device in launch.block_device_mapping_v2:
        is_image = device.source_type == "image" and device.destination_type == "local"
        if not is_image or device.uuid != launch.image_ref:
            raise Invalid(
                "Block Device Mapping is Invalid: this cloud has no volumes to boot from",
                field="block_device_mapping_v2",
            )


def from_wire_networks(
    launch: ServerLaunch, microversion: Microversion
) -> tuple[Sequence[UUID], Mapping[UUID, IPv4Address]]:
    """Read the networks; none, `auto` and an empty list mean the project's own."""
    if isinstance(launch.networks, str):
        if microversion < (2, 37):
            raise Invalid("networks: 'auto' and 'none' need microversion 2.37", field="networks")
        return (), {}
    fixed: dict[UUID, IPv4Address] = {}
    ids: list[UUID] = []
    for choice in launch.networks or []:
        network_id = network_of_choice(choice)
        ids.append(network_id)
        if choice.fixed_ip is not None:
            try:
                fixed[network_id] = IPv4Address(choice.fixed_ip)
            except AddressValueError as error:
                raise Invalid(f"Invalid fixed IP address ({choice.fixed_ip[:64]})", field="fixed_ip") from error
    return ids, fixed


def network_of_choice(choice: NetworkChoice) -> UUID:
    """Return the network of one entry; ready-made ports are not offered."""
    if choice.port is not None:
        raise Invalid("networks.port: ports are made with the instance; name a network by its uuid", field="networks")
    if choice.uuid is None:
        raise Invalid("networks: each entry needs the uuid of a network", field="networks")
    message = f"Bad networks format: network uuid is not in proper format ({choice.uuid[:64]})"
    return uuid_of(choice.uuid, "networks", message=message)


def from_wire_user_data(text: str | None) -> bytes | None:
    """Read user data, which comes in base64."""
    if text is None:
        return None
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Invalid("user_data is not base64", field="user_data") from error


def uuid_of(text: str, field: str, *, message: str) -> UUID:
    """Read a UUID or raise Invalid with the message."""
    try:
        return UUID(text)
    except ValueError as error:
        raise Invalid(message, field=field) from error
