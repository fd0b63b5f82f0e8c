"""Rows of console output that somebody has asked for.

The API asks by a row and a NOTIFY, the agent answers into it. The other way, an agent that stores every console whenever it
changes, would write each guest's chatter into the database although nobody reads it, and would still be late by a poll.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row

from compute.model import ConsoleOutput
from foundation.database import Transaction

REQUEST_OUTPUT: LiteralString = """
    INSERT INTO console_output (instance_id, requested_at) VALUES (%(instance_id)s, %(now)s)
    ON CONFLICT (instance_id) DO UPDATE SET requested_at = greatest(console_output.requested_at, excluded.requested_at)
"""


def request_output(tx: Transaction, instance_id: UUID, *, now: datetime) -> None:
    """Ask for the console as it is from now on; requests at the same time share one answer."""
    tx.execute(REQUEST_OUTPUT, {"instance_id": instance_id, "now": now})


SELECT_OUTPUT: LiteralString = """
    SELECT instance_id, requested_at, answered_at, output FROM console_output WHERE instance_id = %s
"""


def find_output(tx: Transaction, instance_id: UUID) -> ConsoleOutput | None:
    """Return what is known of a console, or None when nobody ever asked."""
    with tx.cursor(row_factory=class_row(ConsoleOutput)) as cursor:
        return cursor.execute(SELECT_OUTPUT, (instance_id,)).fetchone()


SELECT_REQUESTS: LiteralString = """
    SELECT c.instance_id, c.requested_at
    FROM console_output c JOIN instance i ON i.id = c.instance_id
    WHERE i.host_id = %s AND i.deleted_at IS NULL AND (c.answered_at IS NULL OR c.answered_at < c.requested_at)
    ORDER BY c.requested_at LIMIT 100
"""


def list_requests(tx: Transaction, host_id: UUID) -> Sequence[tuple[UUID, datetime]]:
    """List the consoles of a host that somebody waits for, with the time of the request."""
    return [(row[0], row[1]) for row in tx.execute(SELECT_REQUESTS, (host_id,)).fetchall()]


ANSWER_REQUEST: LiteralString = """
    UPDATE console_output SET answered_at = greatest(answered_at, %(answered_at)s), output = %(output)s
    WHERE instance_id = %(instance_id)s
"""


def answer_request(tx: Transaction, instance_id: UUID, *, output: str, answered_at: datetime) -> None:
    """Write the console's tail; `answered_at` is the time of the request that it answers."""
    tx.execute(ANSWER_REQUEST, {"instance_id": instance_id, "output": output, "answered_at": answered_at})
