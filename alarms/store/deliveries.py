"""The SQL of deliveries: what is to be sent, who is sending it now, and what came of each attempt."""

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row

from alarms.delivery import Attempt, Delivery, Outcome, SigningSecret
from foundation.database import Transaction
from foundation.ids import first_id_at

LEASES_OF_RECEIVER_MAX = 4
LOOKED_AT_MAX = 1_000
"""How many due deliveries are put in turn at a time; a receiver that has all its leases is not among them."""

INSERT_DELIVERY: LiteralString = """
    INSERT INTO delivery (id, project_id, alarm_id, event_id, url, body, state, attempts_max, next_attempt_at, created_at)
    VALUES (%(id)s, %(project_id)s, %(alarm_id)s, %(event_id)s, %(url)s, %(body)s, 'pending', %(attempts_max)s, %(now)s, %(now)s)
    ON CONFLICT (event_id, url) DO NOTHING
"""


def insert_delivery(
    tx: Transaction,
    delivery_id: UUID,
    *,
    project_id: str,
    alarm_id: UUID | None,
    event_id: UUID,
    url: str,
    body: str,
    attempts_max: int,
    now: datetime,
) -> None:
    """Queue a delivery; an event that is relayed again finds its delivery there and adds none."""
    tx.execute(
        INSERT_DELIVERY,
        {
            "id": delivery_id,
            "project_id": project_id,
            "alarm_id": alarm_id,
            "event_id": event_id,
            "url": url,
            "body": body,
            "attempts_max": attempts_max,
            "now": now,
        },
    )


HAS_DUE: LiteralString = """
    SELECT EXISTS (
        SELECT FROM delivery
        WHERE state = 'pending' AND next_attempt_at <= %(now)s AND (lease_until IS NULL OR lease_until <= %(now)s))
"""


def has_due(tx: Transaction, now: datetime) -> bool:
    """Tell whether a delivery's time has come and nobody is sending it."""
    row = tx.execute(HAS_DUE, {"now": now}).fetchone()
    return row is not None and bool(row[0])


ABANDON_LOST: LiteralString = """
    UPDATE delivery_attempt SET outcome = 'abandoned', finished_at = %(now)s, error = 'the sender ended before it could say'
    FROM delivery
    WHERE delivery.id = delivery_id AND outcome IS NULL
      AND delivery.state = 'pending' AND delivery.lease_until <= %(now)s
"""

FAIL_EXHAUSTED: LiteralString = """
    UPDATE delivery SET state = 'failed', finished_at = %(now)s, lease_owner = NULL, lease_until = NULL
    WHERE state = 'pending' AND attempts >= attempts_max AND lease_until <= %(now)s
"""

LEASE_DUE: LiteralString = """
    WITH busy AS MATERIALIZED (
        SELECT project_id, url, count(*) AS leases FROM delivery
        WHERE state = 'pending' AND lease_until > %(now)s
        GROUP BY project_id, url
    ), oldest AS (
        SELECT id, project_id, url, next_attempt_at FROM delivery
        WHERE state = 'pending' AND next_attempt_at <= %(now)s AND (lease_until IS NULL OR lease_until <= %(now)s)
          AND attempts < attempts_max
          AND (project_id, url) NOT IN (SELECT project_id, url FROM busy WHERE leases >= %(of_receiver)s)
        ORDER BY next_attempt_at
        LIMIT %(looked_at)s
    ), in_turn AS (
        SELECT id, next_attempt_at, coalesce(leases, 0) + row_number() OVER (
            PARTITION BY project_id, url ORDER BY next_attempt_at, id) AS turn
        FROM oldest LEFT JOIN busy USING (project_id, url)
    ), due AS (
        SELECT delivery.id FROM delivery JOIN in_turn USING (id)
        WHERE turn <= %(of_receiver)s
          AND state = 'pending' AND (lease_until IS NULL OR lease_until <= %(now)s)
        ORDER BY turn, in_turn.next_attempt_at
        LIMIT %(limit)s
        FOR UPDATE OF delivery SKIP LOCKED
    ), leased AS (
        UPDATE delivery SET attempts = attempts + 1, lease_owner = %(owner)s, lease_until = %(until)s
        FROM due WHERE delivery.id = due.id
        RETURNING delivery.*
    ), begun AS (
        INSERT INTO delivery_attempt (delivery_id, attempt, started_at)
        SELECT id, attempts, %(now)s FROM leased
    )
    SELECT * FROM leased ORDER BY next_attempt_at, id
"""


def lease_due(tx: Transaction, owner: str, *, now: datetime, until: datetime, limit: int) -> Sequence[Delivery]:
    """Take due deliveries for one attempt each, also those whose last sender died; what it left is written as abandoned.

    A receiver (a URL of a project) has at most LEASES_OF_RECEIVER_MAX at a time, and each its first before one its second,
    so that whoever lets us wait holds up nobody else.
    """
    tx.execute(ABANDON_LOST, {"now": now})
    tx.execute(FAIL_EXHAUSTED, {"now": now})
    parameters = {
        "owner": owner,
        "now": now,
        "until": until,
        "limit": limit,
        "of_receiver": LEASES_OF_RECEIVER_MAX,
        "looked_at": LOOKED_AT_MAX,
    }
    with tx.cursor(row_factory=class_row(Delivery)) as cursor:
        return cursor.execute(LEASE_DUE, parameters).fetchall()


RECORD_ATTEMPT: LiteralString = """
    UPDATE delivery_attempt SET
        outcome = %(outcome)s, finished_at = %(now)s, status_code = %(status_code)s, latency_ms = %(latency_ms)s,
        answer = %(answer)s, error = %(error)s
    WHERE delivery_id = %(id)s AND attempt = %(attempt)s AND outcome IS NULL
"""


def record_attempt(tx: Transaction, delivery: Delivery, *, outcome: Outcome, now: datetime) -> None:
    """Write what came of an attempt, where nothing is written of it yet."""
    tx.execute(
        RECORD_ATTEMPT,
        {
            "id": delivery.id,
            "attempt": delivery.attempts,
            "outcome": outcome.kind.value,
            "now": now,
            "status_code": outcome.status_code,
            "latency_ms": outcome.latency_ms,
            "answer": outcome.answer,
            "error": outcome.error,
        },
    )


SETTLE: LiteralString = """
    UPDATE delivery SET state = %(state)s, next_attempt_at = coalesce(%(retry_at)s, next_attempt_at),
        finished_at = CASE WHEN %(state)s = 'pending' THEN NULL ELSE %(now)s::timestamptz END,
        lease_owner = NULL, lease_until = NULL
    WHERE id = %(id)s AND attempts = %(attempt)s AND lease_owner = %(owner)s AND state = 'pending'
"""


def settle(tx: Transaction, delivery: Delivery, *, state: str, retry_at: datetime | None, now: datetime) -> bool:
    """End the lease with its result; false where another attempt has begun since, and this one's word no longer counts."""
    parameters = {
        "id": delivery.id,
        "attempt": delivery.attempts,
        "owner": delivery.lease_owner,
        "state": state,
        "retry_at": retry_at,
        "now": now,
    }
    return tx.execute(SETTLE, parameters).rowcount == 1


FIND_DELIVERY: LiteralString = "SELECT * FROM delivery WHERE id = %s"


def find_delivery(tx: Transaction, delivery_id: UUID) -> Delivery | None:
    """Read a delivery of whatever project."""
    with tx.cursor(row_factory=class_row(Delivery)) as cursor:
        return cursor.execute(FIND_DELIVERY, (delivery_id,)).fetchone()


LIST_DELIVERIES: LiteralString = """
    SELECT * FROM delivery
    WHERE project_id = %(project_id)s
      AND (%(alarm_id)s::uuid IS NULL OR alarm_id = %(alarm_id)s)
      AND (%(state)s::text IS NULL OR state = %(state)s)
      AND (%(marker)s::uuid IS NULL OR id < %(marker)s)
    ORDER BY id DESC
    LIMIT %(limit)s
"""


def list_deliveries(
    tx: Transaction, *, project_id: str, alarm_id: UUID | None, state: str | None, marker: UUID | None, limit: int
) -> Sequence[Delivery]:
    """List a project's deliveries, newest first."""
    parameters = {"project_id": project_id, "alarm_id": alarm_id, "state": state, "marker": marker, "limit": limit}
    with tx.cursor(row_factory=class_row(Delivery)) as cursor:
        return cursor.execute(LIST_DELIVERIES, parameters).fetchall()


LIST_ATTEMPTS: LiteralString = """
    SELECT delivery_id, attempt, started_at, finished_at, outcome, status_code, latency_ms, answer, error
    FROM delivery_attempt WHERE delivery_id = ANY(%s) ORDER BY delivery_id, attempt
"""


def list_attempts(tx: Transaction, delivery_ids: Sequence[UUID]) -> Sequence[Attempt]:
    """List the attempts of some deliveries, each delivery's in order."""
    with tx.cursor(row_factory=class_row(Attempt)) as cursor:
        return cursor.execute(LIST_ATTEMPTS, (list(delivery_ids),)).fetchall()


REOPEN: LiteralString = """
    UPDATE delivery SET state = 'pending', finished_at = NULL, next_attempt_at = %(now)s, attempts_max = attempts + %(more)s
    WHERE id = %(id)s AND state <> 'pending'
"""


def reopen(tx: Transaction, delivery_id: UUID, *, more: int, now: datetime) -> bool:
    """Give a finished delivery more attempts, under its old id; false where it is not finished."""
    return tx.execute(REOPEN, {"id": delivery_id, "more": more, "now": now}).rowcount == 1


DROP_FINISHED: LiteralString = """
    DELETE FROM delivery WHERE id IN (
        SELECT id FROM delivery
        WHERE id < %(first)s AND state <> 'pending' AND finished_at < %(before)s
        ORDER BY id LIMIT %(limit)s)
"""


def drop_finished(tx: Transaction, *, before: datetime, limit: int) -> int:
    """Delete deliveries that ended before an instant, with their attempts, the oldest first; return how many."""
    return tx.execute(DROP_FINISHED, {"first": first_id_at(before), "before": before, "limit": limit}).rowcount


FIND_SECRETS: LiteralString = """
    SELECT project_id, secret, previous_secret, previous_until FROM webhook_secret WHERE project_id = ANY(%s)
"""


def find_secrets(tx: Transaction, project_ids: Sequence[str]) -> dict[str, SigningSecret]:
    """Read the signing secrets of some projects."""
    with tx.cursor(row_factory=class_row(SigningSecret)) as cursor:
        rows = cursor.execute(FIND_SECRETS, (list(project_ids),)).fetchall()
    return {row.project_id: row for row in rows}


INSERT_SIGNING: LiteralString = """
    INSERT INTO webhook_secret (project_id, secret) VALUES (%s, %s) ON CONFLICT (project_id) DO NOTHING
"""


def insert_secret(tx: Transaction, project_id: str, *, secret: bytes) -> None:
    """Keep a project's first signing secret; one that is there stays."""
    tx.execute(INSERT_SIGNING, (project_id, secret))


ROTATE_SIGNING: LiteralString = """
    UPDATE webhook_secret SET previous_secret = secret, previous_until = %(until)s, secret = %(secret)s
    WHERE project_id = %(project_id)s
"""


def rotate_secret(tx: Transaction, project_id: str, *, secret: bytes, previous_until: datetime) -> None:
    """Put a new secret in the place of the old, which still signs beside it until then."""
    tx.execute(ROTATE_SIGNING, {"project_id": project_id, "secret": secret, "until": previous_until})
