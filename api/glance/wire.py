"""An image as Glance shows it, and the schemas that clients ask for."""

from typing import Any

from compute.model import Image

STRING: dict[str, Any] = {"type": "string"}
NULLABLE: dict[str, Any] = {"type": ["null", "string"]}
NUMBER: dict[str, Any] = {"type": ["null", "integer"]}

PROPERTIES: dict[str, Any] = {
    "id": STRING,
    "name": NULLABLE,
    "status": STRING | {"enum": ["queued", "saving", "active", "killed", "deleted", "deactivated"]},
    "visibility": STRING | {"enum": ["public", "private", "shared", "community"]},
    "protected": {"type": "boolean"},
    "os_hidden": {"type": "boolean"},
    "checksum": NULLABLE,
    "os_hash_algo": NULLABLE,
    "os_hash_value": NULLABLE,
    "owner": NULLABLE,
    "size": NUMBER,
    "virtual_size": NUMBER,
    "container_format": NULLABLE,
    "disk_format": NULLABLE,
    "min_disk": {"type": "integer"},
    "min_ram": {"type": "integer"},
    "tags": {"type": "array", "items": STRING},
    "created_at": STRING,
    "updated_at": STRING,
    "self": STRING,
    "file": STRING,
    "schema": STRING,
    "kernel_id": NULLABLE | {"is_base": False},
    "ramdisk_id": NULLABLE | {"is_base": False},
}
IMAGE_SCHEMA: dict[str, Any] = {
    "name": "image",
    "properties": PROPERTIES,
    "additionalProperties": {"type": "string"},
    "links": [
        {"rel": "self", "href": "{self}"},
        {"rel": "enclosure", "href": "{file}"},
        {"rel": "describedby", "href": "{schema}"},
    ],
}
IMAGES_SCHEMA: dict[str, Any] = {
    "name": "images",
    "properties": {
        "images": {"type": "array", "items": IMAGE_SCHEMA},
        "schema": STRING,
        "next": STRING,
        "first": STRING,
    },
    "links": [
        {"rel": "first", "href": "{first}"},
        {"rel": "next", "href": "{next}"},
        {"rel": "describedby", "href": "{schema}"},
    ],
}


def to_wire_image(image: Image) -> dict[str, Any]:
    """Write an image; its own properties stand beside the fields, as in Glance."""
    wire: dict[str, Any] = dict(image.properties)
    if image.kernel_id is not None:
        wire["kernel_id"] = str(image.kernel_id)
    if image.ramdisk_id is not None:
        wire["ramdisk_id"] = str(image.ramdisk_id)
    return wire | {
        "id": str(image.id),
        "name": image.name,
        "status": "active",
        "visibility": image.visibility,
        "protected": False,
        "os_hidden": image.is_hidden,
        "checksum": None,
        "os_hash_algo": "sha256",
        "os_hash_value": image.sha256,
        "owner": image.project_id,
        "size": image.size_bytes,
        "virtual_size": image.virtual_size_bytes,
        "container_format": image.container_format,
        "disk_format": image.disk_format,
        "min_disk": image.min_disk_gib,
        "min_ram": image.min_ram_mib,
        "tags": [],
        "created_at": image.created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "updated_at": image.updated_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "self": f"/v2/images/{image.id}",
        "file": f"/v2/images/{image.id}/file",
        "schema": "/v2/schemas/image",
    }
