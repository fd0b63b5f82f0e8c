"""Identifiers: UUIDv7, made by us and not by the database, so that they sort by birth and are known before the write."""

from uuid import UUID

import uuid_utils


def new_id() -> UUID:
    """Return a new UUIDv7 (RFC 9562): time-ordered, so that indexes stay compact."""
    return UUID(int=uuid_utils.uuid7().int)


def new_hex_id() -> str:
    """Return a new UUIDv7 as 32 hex digits, the form in which Keystone writes project and user ids."""
    return new_id().hex
