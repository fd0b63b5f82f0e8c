"""Identifiers: UUIDv7, made by us and not by the database, so that they sort by birth and are known before the write."""

from datetime import datetime
from uuid import UUID

import uuid_utils


def new_id() -> UUID:
    """Return a new UUIDv7 (RFC 9562): time-ordered, so that indexes stay compact."""
    return UUID(int=uuid_utils.uuid7().int)


def new_hex_id() -> str:
    """Return a new UUIDv7 as 32 hex digits, the form in which Keystone writes project and user ids."""
    return new_id().hex


def first_id_at(instant: datetime) -> UUID:
    """Return the smallest UUIDv7 of a millisecond, so that an id's index can be searched by time."""
    milliseconds = int(instant.timestamp() * 1000)
    return UUID(int=(milliseconds << 80) | (0x7 << 76) | (0x2 << 62))
