"""Which raw samples invoices still rest on: what is not billed for good, and the counters behind what is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from psycopg.rows import class_row

from foundation.database import Transaction


@dataclass(frozen=True, slots=True)
class BilledPeriod:
    """A period of a project's that has an invoice or a draft; one that is settled can no longer be disputed."""

    project_id: str
    start: datetime
    end: datetime
    label: str
    is_settled: bool


LIST_BILLED_PERIODS: LiteralString = """
    SELECT i.project_id, i.period_start AS start, i.period_end AS end,
        CASE WHEN i.number IS NULL THEN 'draft' ELSE i.series || '-' || lpad(i.number::text, 6, '0') END AS label,
        i.number IS NOT NULL AND i.finalized_at <= %(settled_before)s AND e.kind <> 'void' AS is_settled
    FROM invoice i
    CROSS JOIN LATERAL (
        SELECT kind FROM invoice_event WHERE invoice_id = i.id ORDER BY at DESC, id DESC LIMIT 1
    ) e
    WHERE i.kind = 'invoice' AND NOT (i.number IS NULL AND e.kind = 'void')
    ORDER BY i.project_id, i.period_start, i.period_end
"""


def list_billed_periods(tx: Transaction, *, settled_before: datetime) -> Sequence[BilledPeriod]:
    """Return the periods of all invoices and drafts, by project and time."""
    with tx.cursor(row_factory=class_row(BilledPeriod)) as cursor:
        return cursor.execute(LIST_BILLED_PERIODS, {"settled_before": settled_before}).fetchall()


LIST_PRICED_COUNTERS: LiteralString = """
    SELECT DISTINCT p ->> 'meter' FROM price_version v
    CROSS JOIN LATERAL jsonb_array_elements(v.prices::jsonb) p
    WHERE p ->> 'kind' = 'counter' ORDER BY 1
"""


def list_priced_counters(tx: Transaction) -> Sequence[str]:
    """Return the meters that any price has ever named."""
    return [str(row[0]) for row in tx.execute(LIST_PRICED_COUNTERS)]
