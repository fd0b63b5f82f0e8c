"""What must never be found among final invoices."""

from typing import LiteralString

from foundation.database import Transaction

COUNT_MISSING_NUMBERS: LiteralString = """
    SELECT coalesce(sum(abs(s.last_number - coalesce(n.count, 0))), 0)::bigint
    FROM invoice_series s
    LEFT JOIN (
        SELECT series, count(*) AS count FROM invoice WHERE number IS NOT NULL GROUP BY series
    ) n ON n.series = s.series
"""


def count_missing_numbers(tx: Transaction) -> int:
    """Count the numbers up to each series' last that no invoice has; numbers are unique in a series, so counting them is enough."""
    row = tx.execute(COUNT_MISSING_NUMBERS).fetchone()
    assert row is not None
    return int(row[0])
