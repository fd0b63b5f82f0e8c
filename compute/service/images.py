"""The images that instances start from: those that provisioning has put into the image store."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal, cast
from uuid import UUID

from compute.errors import ImageNotFound
from compute.model import Image
from compute.store import images
from foundation.database import Transaction
from foundation.ids import new_id
from identity import policy
from identity.model import Caller

GUEST_FOLDER = "guest"
MIN_RAM_MIB = 64


def register_image(
    tx: Transaction, manifest: Mapping[str, Any], *, project_id: str, now: datetime, folder: str = GUEST_FOLDER
) -> Image:
    """Register the three-part image that a manifest describes: a root disk, and the kernel and ramdisk that it boots with.

    `folder` is the manifest's own, relative to the image store. The same content is registered once; other
    builds of its name are hidden.
    """
    return register_part(tx, manifest, "disk", project_id=project_id, folder=folder, now=now)


def register_part(
    tx: Transaction, manifest: Mapping[str, Any], part: str, *, project_id: str, folder: str, now: datetime
) -> Image:
    """Register one part, its own parts first, unless it is there."""
    described: Mapping[str, Any] = manifest[part]
    is_disk = part == "disk"
    name = str(manifest["name"]) if is_disk else f"{manifest['name']}-{part}"
    path = f"{folder}/{described['file']}"
    kernel = register_part(tx, manifest, "kernel", project_id=project_id, folder=folder, now=now) if is_disk else None
    ramdisk = (
        register_part(tx, manifest, "initramfs", project_id=project_id, folder=folder, now=now) if is_disk else None
    )
    formats = {"disk": "ami", "kernel": "aki", "initramfs": "ari"}
    image = Image(
        id=new_id(),
        project_id=project_id,
        name=name,
        visibility="public",
        is_hidden=not is_disk,
        disk_format=formats[part],
        container_format=formats[part],
        file_path=path,
        file_format=cast(Literal["qcow2", "raw"], described["format"]),
        size_bytes=int(described["size_bytes"]),
        virtual_size_bytes=None,
        sha256=str(described["sha256"]),
        min_disk_gib=0,
        min_ram_mib=MIN_RAM_MIB if is_disk else 0,
        kernel_id=None if kernel is None else kernel.id,
        ramdisk_id=None if ramdisk is None else ramdisk.id,
        kernel_command_line=str(manifest.get("kernel_command_line", "")) if is_disk else "",
        properties={"os_type": "linux", "kernel_version": str(manifest["kernel_version"])} if is_disk else {},
        created_at=now,
        updated_at=now,
    )
    found = images.find_image(tx, images.put_image(tx, image), project_id=None)
    assert found is not None
    if is_disk:
        images.show_only(tx, found, now=now)
        found = replace(found, is_hidden=False)
    return found


def list_images(tx: Transaction, *, caller: Caller, is_hidden: bool | None = False) -> Sequence[Image]:
    """List the images that the caller's project may use, the newest first."""
    return images.list_images(
        tx, project_id=None if policy.is_admin(caller) else caller.project_id, is_hidden=is_hidden
    )


def get_image(tx: Transaction, image_id: UUID, *, caller: Caller) -> Image:
    """Return an image, a hidden one too. Raises ImageNotFound."""
    image = images.find_image(tx, image_id, project_id=None if policy.is_admin(caller) else caller.project_id)
    if image is None:
        raise ImageNotFound(f"No image found with ID {image_id}")
    return image
