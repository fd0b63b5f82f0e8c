"""Which notifications were taken, so that one that is delivered again counts once."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import LiteralString

from foundation.database import Transaction

NOTE_HEARD: LiteralString = """
    INSERT INTO heard_notification (message_id, event_type, heard_at)
    SELECT message_id, event_type, %(now)s FROM unnest(%(ids)s::text[], %(types)s::text[]) AS u (message_id, event_type)
    ORDER BY message_id
    ON CONFLICT (message_id) DO NOTHING
    RETURNING message_id
"""


def note_heard(tx: Transaction, event_types: Mapping[str, str], *, now: datetime) -> set[str]:
    """Note messages by their ids; return those that were not heard before."""
    parameters = {"ids": list(event_types), "types": list(event_types.values()), "now": now}
    return {row[0] for row in tx.execute(NOTE_HEARD, parameters)}


UNHEAR: LiteralString = "DELETE FROM heard_notification WHERE message_id = ANY(%s)"


def unhear(tx: Transaction, ids: Sequence[str]) -> None:
    """Take back that messages were heard: they could not be taken, and may be tried again."""
    if ids:
        tx.execute(UNHEAR, (list(ids),))


FORGET: LiteralString = """
    DELETE FROM heard_notification WHERE message_id IN (
        SELECT message_id FROM heard_notification WHERE heard_at < %(before)s LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    )
"""


def forget(tx: Transaction, *, before: datetime, limit: int) -> int:
    """Forget what was heard before an instant, at most `limit` a call; return how many."""
    return tx.execute(FORGET, {"before": before, "limit": limit}).rowcount
