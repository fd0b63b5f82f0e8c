"""Rows of images."""

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from compute.model import Image
from foundation.database import Transaction

PUT_IMAGE: LiteralString = """
    INSERT INTO image (id, project_id, name, visibility, is_hidden, disk_format, container_format, file_path, file_format,
        size_bytes, virtual_size_bytes, sha256, min_disk_gib, min_ram_mib, kernel_id, ramdisk_id, kernel_command_line,
        properties, created_at, updated_at)
    VALUES (%(id)s, %(project_id)s, %(name)s, %(visibility)s, %(is_hidden)s, %(disk_format)s, %(container_format)s,
        %(file_path)s, %(file_format)s, %(size_bytes)s, %(virtual_size_bytes)s, %(sha256)s, %(min_disk_gib)s,
        %(min_ram_mib)s, %(kernel_id)s, %(ramdisk_id)s, %(kernel_command_line)s, %(properties)s, %(created_at)s,
        %(updated_at)s)
    ON CONFLICT (sha256, name, kernel_command_line) DO UPDATE SET file_path = excluded.file_path,
        kernel_id = excluded.kernel_id, ramdisk_id = excluded.ramdisk_id,
        updated_at = CASE WHEN image.file_path = excluded.file_path THEN image.updated_at ELSE excluded.updated_at END
    RETURNING id
"""


def put_image(tx: Transaction, image: Image) -> UUID:
    """Write an image's row, its file being in the image store; where the same content is registered, it now lies there.

    Return the id under which it is known.
    """
    parameters = {
        "id": image.id,
        "project_id": image.project_id,
        "name": image.name,
        "visibility": image.visibility,
        "is_hidden": image.is_hidden,
        "disk_format": image.disk_format,
        "container_format": image.container_format,
        "file_path": image.file_path,
        "file_format": image.file_format,
        "size_bytes": image.size_bytes,
        "virtual_size_bytes": image.virtual_size_bytes,
        "sha256": image.sha256,
        "min_disk_gib": image.min_disk_gib,
        "min_ram_mib": image.min_ram_mib,
        "kernel_id": image.kernel_id,
        "ramdisk_id": image.ramdisk_id,
        "kernel_command_line": image.kernel_command_line,
        "properties": Jsonb(dict(image.properties)),
        "created_at": image.created_at,
        "updated_at": image.updated_at,
    }
    row = tx.execute(PUT_IMAGE, parameters).fetchone()
    assert row is not None
    return row[0]


SELECT_IMAGES: LiteralString = """
    SELECT id, project_id, name, visibility, is_hidden, disk_format, container_format, file_path, file_format, size_bytes,
        virtual_size_bytes, sha256, min_disk_gib, min_ram_mib, kernel_id, ramdisk_id, kernel_command_line, properties,
        created_at, updated_at
    FROM image
    WHERE (%(project_id)s::text IS NULL OR visibility = 'public' OR project_id = %(project_id)s)
        AND (%(id)s::uuid IS NULL OR id = %(id)s)
        AND (%(is_hidden)s::boolean IS NULL OR is_hidden = %(is_hidden)s)
    ORDER BY created_at DESC, id DESC
    LIMIT 10000
"""


def list_images(tx: Transaction, *, project_id: str | None, is_hidden: bool | None = None) -> Sequence[Image]:
    """List the images that a project may use (None: all), the newest first."""
    parameters = {"project_id": project_id, "id": None, "is_hidden": is_hidden}
    with tx.cursor(row_factory=class_row(Image)) as cursor:
        return cursor.execute(SELECT_IMAGES, parameters).fetchall()


def find_image(tx: Transaction, image_id: UUID, *, project_id: str | None) -> Image | None:
    """Return the image if the project may use it, or None."""
    parameters = {"project_id": project_id, "id": image_id, "is_hidden": None}
    with tx.cursor(row_factory=class_row(Image)) as cursor:
        return cursor.execute(SELECT_IMAGES, parameters).fetchone()


SHOW_ONLY: LiteralString = """
    UPDATE image SET is_hidden = (id <> %(id)s), updated_at = %(now)s
    WHERE project_id = %(project_id)s AND name = %(name)s AND is_hidden <> (id <> %(id)s)
"""


def show_only(tx: Transaction, image: Image, *, now: datetime) -> None:
    """List this build of its project's image and hide the others of the same name; whoever knows their ids starts from them still."""
    tx.execute(SHOW_ONLY, {"id": image.id, "project_id": image.project_id, "name": image.name, "now": now})
