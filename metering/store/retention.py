"""The boundaries of retention, what is archived before chunks are dropped, and samples that came for sealed times."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from foundation.database import Transaction
from foundation.statement_limits import try_within
from metering.sealing import Boundary, Chunk


@dataclass(frozen=True, slots=True)
class RetentionState:
    """How far the store is sealed, archived and dropped; with a barrier, what began before it may not know the last step yet."""

    sealed_until: datetime
    archiving_until: datetime
    archived_key: int
    archived_until: datetime
    dropped_until: datetime
    barrier_at: datetime | None
    next_run_at: datetime


READ_STATE: LiteralString = """
    SELECT sealed_until, archiving_until, archived_key, archived_until, dropped_until, barrier_at, next_run_at FROM retention
"""
CLAIM_STATE: LiteralString = READ_STATE + "FOR UPDATE SKIP LOCKED"


def read_state(tx: Transaction) -> RetentionState:
    """Return the boundaries."""
    with tx.cursor(row_factory=class_row(RetentionState)) as cursor:
        found = cursor.execute(READ_STATE).fetchone()
    assert found is not None
    return found


def claim_state(tx: Transaction) -> RetentionState | None:
    """Return the boundaries and be the only one to move them; None where another is."""
    with tx.cursor(row_factory=class_row(RetentionState)) as cursor:
        return cursor.execute(CLAIM_STATE).fetchone()


IS_DUE: LiteralString = "SELECT EXISTS (SELECT FROM retention WHERE next_run_at <= %s)"
CLAIM_RUN: LiteralString = """
    UPDATE retention SET next_run_at = %(until)s
    WHERE is_only IN (SELECT is_only FROM retention WHERE next_run_at <= %(now)s FOR UPDATE SKIP LOCKED)
"""
RUN_AGAIN_AT: LiteralString = "UPDATE retention SET next_run_at = %s"


def is_due(tx: Transaction, now: datetime) -> bool:
    """Tell whether it is time to look again."""
    row = tx.execute(IS_DUE, (now,)).fetchone()
    return row is not None and bool(row[0])


def claim_run(tx: Transaction, *, now: datetime, until: datetime) -> bool:
    """Take the turn that is due, and be the only one until an instant; False where none is due, and at once where a step is under way."""
    return tx.execute(CLAIM_RUN, {"now": now, "until": until}).rowcount > 0


def run_again_at(tx: Transaction, at: datetime) -> None:
    """Say when to look again."""
    tx.execute(RUN_AGAIN_AT, (at,))


LIST_CHUNKS: LiteralString = """
    SELECT c.range_start AS start, c.range_end AS end,
        pg_total_relation_size(format('%%I.%%I', c.chunk_schema, c.chunk_name)::regclass)::bigint AS bytes
    FROM timescaledb_information.chunks c
    WHERE c.hypertable_schema = current_schema() AND c.hypertable_name = %s
    ORDER BY c.range_start
"""


def list_chunks(tx: Transaction, hypertable: str) -> Sequence[Chunk]:
    """Return the chunks of a hypertable in order of time."""
    with tx.cursor(row_factory=class_row(Chunk)) as cursor:
        return cursor.execute(LIST_CHUNKS, (hypertable,)).fetchall()


LIST_GRANULARITIES: LiteralString = """
    SELECT DISTINCT granularity_us FROM archive_policy_granularity g
    WHERE EXISTS (SELECT FROM metric WHERE archive_policy_name = g.archive_policy_name) ORDER BY 1
"""


def list_granularities(tx: Transaction) -> Sequence[int]:
    """Return the widths of bucket that any metric is kept in."""
    return [int(row[0]) for row in tx.execute(LIST_GRANULARITIES)]


LONGEST_TIMESPAN: LiteralString = """
    SELECT max(g.granularity_us::numeric * g.points)::bigint
    FROM archive_policy_granularity g
    WHERE EXISTS (
        SELECT FROM metric c LEFT JOIN resource r ON r.id = c.resource_id
        WHERE c.archive_policy_name = g.archive_policy_name
            AND NOT coalesce(r.project_id, c.created_by_project_id) = ANY(%s)
    )
"""


def find_longest_timespan_us(tx: Transaction, *, except_projects: Sequence[str]) -> int | None:
    """Return the longest timespan of the archive policies of other projects' metrics, in microseconds."""
    row = tx.execute(LONGEST_TIMESPAN, (list(except_projects),)).fetchone()
    return None if row is None or row[0] is None else int(row[0])


SEAL: LiteralString = """
    UPDATE retention SET sealed_until = greatest(sealed_until, %s), archiving_until = %s, archived_key = 0, barrier_at = NULL
"""


def seal(tx: Transaction, boundary: Boundary) -> None:
    """Take no more samples from before the boundary into raw."""
    tx.execute(SEAL, (boundary.seal_before, boundary.drop_before))


RAISE_BARRIER: LiteralString = "UPDATE retention SET barrier_at = clock_timestamp()"
IS_BARRIER_PASSED: LiteralString = """
    SELECT NOT EXISTS (
        SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
            AND xact_start <= (SELECT barrier_at FROM retention))
"""


def raise_barrier(tx: Transaction) -> None:
    """Remember now as the instant from which every new transaction knows the last step."""
    tx.execute(RAISE_BARRIER)


def is_barrier_passed(tx: Transaction) -> bool:
    """Tell whether all that began before the barrier has ended."""
    row = tx.execute(IS_BARRIER_PASSED).fetchone()
    return row is not None and bool(row[0])


IS_MARKED_BEFORE: LiteralString = """
    SELECT EXISTS (
        SELECT FROM dirty_mark d CROSS JOIN LATERAL unnest(d.first_ats) AS u (first_at) WHERE u.first_at < %s)
"""


def is_marked_before(tx: Transaction, instant: datetime) -> bool:
    """Tell whether something from before an instant waits to be rolled up."""
    row = tx.execute(IS_MARKED_BEFORE, (instant,)).fetchone()
    return row is not None and bool(row[0])


@dataclass(frozen=True, slots=True)
class Archived:
    """What one step archived: up to which metric, and how many samples; None where no metric is left."""

    last_key: int | None
    samples: int


ARCHIVE: LiteralString = """
    WITH chosen AS MATERIALIZED (
        SELECT c.key, EXISTS (
            SELECT FROM unnest(%(projects)s::text[], %(meters)s::text[]) AS e (project_id, meter)
            WHERE e.project_id = r.project_id AND e.meter = c.name) AS is_evidence
        FROM metric c LEFT JOIN resource r ON r.id = c.resource_id
        WHERE c.key > %(after)s ORDER BY c.key LIMIT %(limit)s
    ),
    outlived AS (
        DELETE FROM archived_sample a USING chosen c
        WHERE a.metric_key = c.key AND NOT a.is_evidence AND EXISTS (
            SELECT FROM archived_sample n WHERE n.metric_key = a.metric_key AND n.boot_epoch = a.boot_epoch
                AND n.observed_at > a.observed_at AND n.observed_at < %(start)s)
    ),
    kept AS (
        INSERT INTO archived_sample (metric_key, observed_at, boot_epoch, value, adopted, written_xid, is_evidence)
        SELECT c.key, m.observed_at, m.boot_epoch, m.value, m.adopted, m.written_xid, c.is_evidence
        FROM chosen c
        CROSS JOIN LATERAL (
            SELECT * FROM measure
            WHERE c.is_evidence AND metric_key = c.key AND observed_at >= %(start)s AND observed_at < %(end)s OFFSET 0
        ) m
        UNION ALL
        SELECT c.key, m.observed_at, m.boot_epoch, m.value, m.adopted, m.written_xid, false
        FROM chosen c
        CROSS JOIN LATERAL (
            SELECT DISTINCT ON (boot_epoch) * FROM measure
            WHERE NOT c.is_evidence AND metric_key = c.key AND observed_at >= %(start)s AND observed_at < %(end)s
                AND boot_epoch < 18014398509481984
            ORDER BY boot_epoch, observed_at DESC
        ) m
        ON CONFLICT (metric_key, observed_at, boot_epoch) DO UPDATE SET is_evidence = true
            WHERE EXCLUDED.is_evidence AND NOT archived_sample.is_evidence
        RETURNING metric_key
    )
    SELECT (SELECT max(key) FROM chosen), (SELECT count(*) FROM kept)
"""
"""Behind invoices every sample is kept; of the rest the last of each boot, which the next one is compared with. Events follow nothing."""


ARCHIVE_TIMEOUT_MS = 10_000


def try_archive(
    tx: Transaction,
    evidence: Sequence[tuple[str, str]],
    *,
    after_key: int,
    start: datetime,
    end: datetime,
    metrics_max: int,
) -> Archived | None:
    """Archive as archive does, or change nothing and return None where it takes too long."""
    return try_within(
        tx,
        ARCHIVE_TIMEOUT_MS,
        lambda: archive(tx, evidence, after_key=after_key, start=start, end=end, metrics_max=metrics_max),
    )


def archive(
    tx: Transaction,
    evidence: Sequence[tuple[str, str]],
    *,
    after_key: int,
    start: datetime,
    end: datetime,
    metrics_max: int,
) -> Archived:
    """Copy what must outlive the chunks of [start, end), of the next metrics by key; done again it changes nothing."""
    parameters = {
        "projects": [project_id for project_id, _ in evidence],
        "meters": [meter for _, meter in evidence],
        "after": after_key,
        "limit": metrics_max,
        "start": start,
        "end": end,
    }
    row = tx.execute(ARCHIVE, parameters, prepare=False).fetchone()
    assert row is not None
    return Archived(row[0], int(row[1]))


ARCHIVE_MISSED: LiteralString = """
    WITH missed AS MATERIALIZED (
        SELECT c.key FROM metric c JOIN resource r ON r.id = c.resource_id
        JOIN unnest(%(projects)s::text[], %(meters)s::text[]) AS e (project_id, meter)
            ON e.project_id = r.project_id AND e.meter = c.name
        CROSS JOIN LATERAL (
            SELECT observed_at, boot_epoch FROM measure
            WHERE metric_key = c.key AND observed_at >= %(start)s AND observed_at < %(end)s
            ORDER BY observed_at LIMIT 1
        ) f
        WHERE NOT EXISTS (
            SELECT FROM archived_sample WHERE is_evidence AND metric_key = c.key
                AND observed_at = f.observed_at AND boot_epoch = f.boot_epoch)
        LIMIT %(limit)s
    )
    INSERT INTO archived_sample (metric_key, observed_at, boot_epoch, value, adopted, written_xid, is_evidence)
    SELECT c.key, m.observed_at, m.boot_epoch, m.value, m.adopted, m.written_xid, true
    FROM missed c
    CROSS JOIN LATERAL (
        SELECT * FROM measure
        WHERE metric_key = c.key AND observed_at >= %(start)s AND observed_at < %(end)s OFFSET 0
    ) m
    ON CONFLICT (metric_key, observed_at, boot_epoch) DO UPDATE SET is_evidence = true
"""
"""A metric's samples are archived all or as no evidence, so its first one tells."""


def archive_missed(
    tx: Transaction, evidence: Sequence[tuple[str, str]], *, start: datetime, end: datetime, metrics_max: int
) -> int:
    """Copy the samples of [start, end) that became evidence after their metric's turn, of some metrics; return how many."""
    parameters = {
        "projects": [project_id for project_id, _ in evidence],
        "meters": [meter for _, meter in evidence],
        "limit": metrics_max,
        "start": start,
        "end": end,
    }
    return tx.execute(ARCHIVE_MISSED, parameters, prepare=False).rowcount


REMEMBER_KEY: LiteralString = "UPDATE retention SET archived_key = %s"
SWITCH: LiteralString = "UPDATE retention SET archived_until = archiving_until, barrier_at = NULL"


def remember_key(tx: Transaction, key: int) -> None:
    """Remember up to which metric is archived."""
    tx.execute(REMEMBER_KEY, (key,))


def switch_to_archive(tx: Transaction) -> None:
    """Let readers look before the boundary in the archive only."""
    tx.execute(SWITCH)


FIND_THINNED: LiteralString = """
    SELECT archived_until FROM retention WHERE EXISTS (
        SELECT FROM resource r JOIN metric c ON c.resource_id = r.id JOIN archived_sample a ON a.metric_key = c.key
        WHERE r.project_id = %(project_id)s AND c.name = ANY(%(meters)s) AND NOT a.is_evidence
            AND a.observed_at >= %(start)s AND a.observed_at < archived_until)
"""
"""Of what is no evidence the last sample of each boot is kept: where that is of a time, others of then may be gone."""


def find_thinned_until(tx: Transaction, *, project_id: str, meters: Sequence[str], start: datetime) -> datetime | None:
    """Return until when samples of a project's meters since an instant are gone in part, None where all are there."""
    row = tx.execute(FIND_THINNED, {"project_id": project_id, "meters": list(meters), "start": start}).fetchone()
    return None if row is None else row[0]


DROP_MEASURES: LiteralString = "SELECT count(*) FROM drop_chunks('measure', older_than => %s::timestamptz)"
DROP_POLLS: LiteralString = "SELECT count(*) FROM drop_chunks('poll', older_than => %s::timestamptz)"
DROP_ROLLUPS: LiteralString = "SELECT count(*) FROM drop_chunks('rollup', older_than => %s::timestamptz)"
REMEMBER_DROPPED: LiteralString = "UPDATE retention SET dropped_until = archived_until, barrier_at = NULL"


LOCK_TIMEOUT = "500ms"
"""Half of what PostgreSQL waits before it looks for a circle (deadlock_timeout) and ends one of those in it."""
LIMIT_LOCKS: LiteralString = "SELECT set_config('lock_timeout', %s, true)"


def try_drop(tx: Transaction, *, raw_before: datetime, rollups_before: datetime) -> bool:
    """Drop raw samples, polls and rollups from before these instants by chunks; False, with nothing changed, where others read them.

    Who waits for a chunk keeps everybody else from it, and may hold what its reader wants next, so the wait is short.
    """
    try:
        with tx.transaction():
            tx.execute(LIMIT_LOCKS, (LOCK_TIMEOUT,))
            tx.execute(DROP_MEASURES, (raw_before,))
            tx.execute(DROP_POLLS, (raw_before,))
            tx.execute(DROP_ROLLUPS, (rollups_before,))
            tx.execute(REMEMBER_DROPPED)
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
        return False
    return True


@dataclass(frozen=True, slots=True)
class LateSample:
    """A sample that came for a sealed time; one that would overwrite what is kept is only listed, never counted."""

    id: int
    metric_id: UUID
    metric: str | None
    resource_id: UUID | None
    project_id: str
    unit: str | None
    observed_at: datetime
    boot_epoch: int
    value: float
    is_overwrite: bool
    received_at: datetime


LIST_LATE: LiteralString = """
    SELECT l.id, c.id AS metric_id, c.name AS metric, c.resource_id, c.unit,
        coalesce(r.project_id, c.created_by_project_id) AS project_id,
        l.observed_at, l.boot_epoch, l.value, l.is_overwrite, l.received_at
    FROM late_sample l JOIN metric c ON c.key = l.metric_key LEFT JOIN resource r ON r.id = c.resource_id
    WHERE l.id > %(after)s AND coalesce(r.project_id, c.created_by_project_id) = %(project_id)s
        AND (%(start)s::timestamptz IS NULL OR l.observed_at >= %(start)s)
        AND (%(end)s::timestamptz IS NULL OR l.observed_at < %(end)s)
    ORDER BY l.id LIMIT %(limit)s
"""


def list_late(
    tx: Transaction, *, project_id: str, start: datetime | None, end: datetime | None, after: int, limit: int
) -> Sequence[LateSample]:
    """Return a page of a project's late samples, in the order in which they came."""
    parameters = {"project_id": project_id, "start": start, "end": end, "after": after, "limit": limit}
    with tx.cursor(row_factory=class_row(LateSample)) as cursor:
        return cursor.execute(LIST_LATE, parameters).fetchall()
