"""TimescaleDB's columnstore, which only its full edition has: old chunks of raw samples take a fraction of the room there."""

from datetime import datetime
from typing import LiteralString

from foundation.database import Transaction

FULL_EDITION = "timescale"

READ_LICENSE: LiteralString = "SELECT current_setting('timescaledb.license', true)"


def has_columnstore(tx: Transaction) -> bool:
    """Tell whether this server runs the full edition; Debian ships the Apache one, which has none."""
    row = tx.execute(READ_LICENSE).fetchone()
    return row is not None and row[0] == FULL_EDITION


IS_ENABLED: LiteralString = """
    SELECT EXISTS (SELECT FROM timescaledb_information.hypertables
        WHERE hypertable_schema = current_schema() AND hypertable_name = 'measure' AND compression_enabled)
"""
ENABLE: LiteralString = """
    ALTER TABLE measure SET (timescaledb.compress, timescaledb.compress_segmentby = 'metric_key',
        timescaledb.compress_orderby = 'observed_at, boot_epoch')
"""


def enable_columnstore(tx: Transaction) -> None:
    """Let chunks of raw samples be put into columns, a metric's readings together in order of time."""
    row = tx.execute(IS_ENABLED).fetchone()
    if row is None or not row[0]:
        tx.execute(ENABLE)


COMPRESS_NEXT: LiteralString = """
    SELECT compress_chunk(format('%%I.%%I', c.chunk_schema, c.chunk_name)::regclass)
    FROM (
        SELECT chunk_schema, chunk_name FROM timescaledb_information.chunks
        WHERE hypertable_schema = current_schema() AND hypertable_name = 'measure'
            AND NOT is_compressed AND range_end <= %s
        ORDER BY range_start LIMIT 1
    ) c
"""


def compress_next(tx: Transaction, before: datetime) -> bool:
    """Put the oldest chunk into columns that ended before an instant and is not there yet; False where there is none."""
    return tx.execute(COMPRESS_NEXT, (before,)).fetchone() is not None
