"""Setting samples apart that come for sealed times: raw samples of then are gone, and nothing may be computed from the remains."""

from datetime import datetime
from typing import LiteralString

from foundation.database import Transaction
from metering.samples import microseconds_of

SEALED_UNTIL: LiteralString = "SELECT sealed_until FROM retention"


def sealed_until_us(tx: Transaction) -> int:
    """Return before which instant the store is sealed, in microseconds since 1970.

    Who seals waits for all transactions that could have read an older answer before anything is archived.
    """
    row: tuple[datetime] | None = tx.execute(SEALED_UNTIL).fetchone()
    assert row is not None
    return microseconds_of(row[0])


INSERT_LATE: LiteralString = """
    INSERT INTO late_sample (metric_key, observed_at, boot_epoch, value, adopted, is_overwrite)
    SELECT u.metric_key, u.observed_at, u.boot_epoch, u.value, u.adopted, k.is_kept
    FROM (
        SELECT metric_key, TIMESTAMPTZ 'epoch' + observed_us * INTERVAL '1 microsecond' AS observed_at, boot_epoch, value, adopted
        FROM unnest(%(keys)s::bigint[], %(observed)s::bigint[], %(boots)s::bigint[], %(values)s::float8[],
            %(adopted)s::boolean[]) AS t (metric_key, observed_us, boot_epoch, value, adopted)
    ) u
    CROSS JOIN LATERAL (
        SELECT count(*) > 0 AS is_kept,
            coalesce(bool_or(value = u.value AND adopted = u.adopted), false) AS is_known
        FROM (
            SELECT value, adopted FROM measure
            WHERE metric_key = u.metric_key AND boot_epoch = u.boot_epoch AND observed_at = u.observed_at
            UNION ALL
            SELECT value, adopted FROM archived_sample
            WHERE metric_key = u.metric_key AND boot_epoch = u.boot_epoch AND observed_at = u.observed_at
            UNION ALL
            SELECT value, adopted FROM late_sample
            WHERE metric_key = u.metric_key AND boot_epoch = u.boot_epoch AND observed_at = u.observed_at
        ) s
    ) k
    WHERE NOT k.is_known
    ORDER BY u.metric_key, u.observed_at, u.boot_epoch
    ON CONFLICT DO NOTHING
"""


def insert_late(tx: Transaction, columns: dict[str, list[object]]) -> int:
    """Set samples apart once each; one for which another value is kept is marked as an overwrite. Return how many are new."""
    return tx.execute(INSERT_LATE, columns, prepare=False).rowcount
