"""Which raw samples invoices still rest on: what is not billed for good, and the counters behind what is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from psycopg.rows import class_row

from billing.model import InvoiceStatus
from billing.store.invoices import SELECT_INVOICE
from foundation.database import Transaction


@dataclass(frozen=True, slots=True)
class SettledUntil:
    """Until when a project's invoices, one after the other, can no longer be disputed, and the one that follows there but can; none may."""

    project_id: str
    until: datetime
    status: InvoiceStatus | None
    series: str | None
    number: int | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "status", None if self.status is None else InvoiceStatus(self.status))


LIST_SETTLED: LiteralString = (
    """
    WITH billed AS (
        SELECT p.*, p.number IS NOT NULL AND p.status <> 'void' AND p.finalized_at <= %(settled_before)s AS is_settled,
            max(p.period_end) OVER (PARTITION BY p.project_id ORDER BY p.period_start, p.period_end
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reach,
            max(p.period_end) OVER (PARTITION BY p.project_id) AS last
        FROM ("""
    + SELECT_INVOICE
    + """
        ) p
        WHERE p.kind = 'invoice' AND NOT (p.status = 'void' AND (p.number IS NULL OR EXISTS (
            SELECT FROM invoice n WHERE n.project_id = p.project_id AND n.kind = p.kind AND n.version > p.version
                AND n.period_start = p.period_start AND n.period_end = p.period_end)))
    ),
    stopped AS (
        SELECT b.*, b.reach IS NOT NULL AND b.period_start > b.reach AS is_gap FROM billed b
        WHERE (b.reach IS NOT NULL AND b.period_start > b.reach)
            OR (NOT b.is_settled AND (b.reach IS NULL OR b.period_end > b.reach))
    ),
    first_stop AS (
        SELECT DISTINCT ON (project_id) * FROM stopped ORDER BY project_id, period_start, period_end
    )
    SELECT project_id, coalesce(reach, period_start) AS until, CASE WHEN NOT is_gap THEN status END AS status,
        CASE WHEN NOT is_gap THEN series END AS series, CASE WHEN NOT is_gap THEN number END AS number
    FROM first_stop
    UNION ALL
    SELECT DISTINCT project_id, last, NULL, NULL, NULL::bigint FROM billed
    WHERE project_id NOT IN (SELECT project_id FROM first_stop)
    ORDER BY project_id
"""
)
"""An invoice stops the row where it can be disputed, or where time before it has none; `reach` is how far those before it go. A void one
counts as long as its period was not drafted anew."""


def list_settled(tx: Transaction, *, settled_before: datetime) -> Sequence[SettledUntil]:
    """Return one row for each project that has an invoice or a draft."""
    with tx.cursor(row_factory=class_row(SettledUntil)) as cursor:
        return cursor.execute(LIST_SETTLED, {"settled_before": settled_before}).fetchall()


LIST_PRICED_COUNTERS: LiteralString = """
    SELECT DISTINCT p ->> 'meter' FROM price_version v
    CROSS JOIN LATERAL jsonb_array_elements(v.prices::jsonb) p
    WHERE p ->> 'kind' = 'counter' ORDER BY 1
"""


def list_priced_counters(tx: Transaction) -> Sequence[str]:
    """Return the meters that any price has ever named."""
    return [str(row[0]) for row in tx.execute(LIST_PRICED_COUNTERS)]
