"""How many chunks of raw samples one read may open."""

from datetime import datetime, timedelta
from typing import LiteralString

from foundation.database import Transaction
from foundation.errors import Invalid
from metering.store.measures import CHUNK_US

CHUNKS_A_READ_MAX = 208
"""Four years of weeks: each chunk that is opened takes room among the locks that all share, and a look for each."""

COUNT_CHUNKS: LiteralString = """
    SELECT count(*) FROM timescaledb_information.chunks
    WHERE hypertable_name = 'measure' AND range_end > %(start)s AND range_start < %(stop)s
"""


def require_few_chunks_read(tx: Transaction, *, start: datetime, stop: datetime) -> None:
    """Raise Invalid where what is asked of raw samples lies in more chunks than one read may open; weeks without samples have none."""
    if stop - start < timedelta(microseconds=CHUNK_US) * CHUNKS_A_READ_MAX:
        return
    row = tx.execute(COUNT_CHUNKS, {"start": start, "stop": stop}).fetchone()
    if row is not None and row[0] > CHUNKS_A_READ_MAX:
        raise Invalid(
            f"this is read from raw measures, which lie in {row[0]} different weeks there; ask for those of at most "
            f"{CHUNKS_A_READ_MAX} weeks at a time, by start and stop, or for what is rolled up: a granularity of the archive "
            "policy, and neither median nor a percentile",
            field="start",
        )
