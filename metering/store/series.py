"""Reading series, each time in one statement and so in one snapshot: clean buckets from rollups, dirty and unkept ones from raw."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, LiteralString

import numpy as np

from foundation.database import Transaction
from metering.store.asked import IS_ANY_UNKEPT, VALUE_OF_METHOD, AskedColumns, BucketColumns, SeriesAsked, asked_columns
from metering.store.chunks import require_few_chunks_read
from metering.store.fragments import STATISTICS, TOUCHED, TRACED
from metering.store.measures import POSTGRES_EPOCH_US
from metering.store.planning import many_small_probes
from metering.store.settled import read_settled

ASKED: LiteralString = """
    WITH backlog AS MATERIALIZED (
        SELECT u.metric_key, u.first_at, max(u.last_at) AS last_at
        FROM dirty_mark d
        CROSS JOIN LATERAL unnest(d.metric_keys, d.first_ats, d.last_ats) AS u (metric_key, first_at, last_at)
        WHERE %(from_rollups)s AND d.shard = ANY(%(shards)s) AND u.first_at < %(stop_max)s
        GROUP BY u.metric_key, u.first_at
    ),
    asked AS MATERIALIZED (
        SELECT u.metric_key, c.meter_type, u.granularity_us, u.start_at, u.stop_at,
            %(from_rollups)s AND g.granularity_us IS NOT NULL AND NOT (
                u.stop_at - u.start_at <= %(whole_buckets_max)s * u.granularity_us * INTERVAL '1 microsecond'
                AND u.start_at >= (SELECT archived_until FROM retention)
                AND u.metric_key IN (SELECT metric_key FROM backlog)) AS is_kept
        FROM unnest(%(keys)s::bigint[], %(granularities)s::bigint[], %(starts)s::timestamptz[],
            %(stops)s::timestamptz[]) AS u (metric_key, granularity_us, start_at, stop_at)
        JOIN metric c ON c.key = u.metric_key
        LEFT JOIN archive_policy_granularity g
            ON g.archive_policy_name = c.archive_policy_name AND g.granularity_us = u.granularity_us
    ),
    marked AS MATERIALIZED (
        SELECT * FROM backlog WHERE metric_key IN (SELECT metric_key FROM asked WHERE is_kept)
    ),
"""
"""A mark that begins after all that is asked cannot touch it: what it touches lies at or after its beginning."""

DIRTY: LiteralString = """,
    stretch AS MATERIALIZED (
        SELECT metric_key, meter_type, ARRAY[granularity_us] AS granularities_us, first_at,
            first_at + granularity_us * INTERVAL '1 microsecond' AS end_at
        FROM (
            SELECT DISTINCT a.metric_key, a.meter_type, a.granularity_us,
                date_bin(a.granularity_us * INTERVAL '1 microsecond', t.observed_at, TIMESTAMPTZ 'epoch') AS first_at
            FROM asked a JOIN touched t ON t.metric_key = a.metric_key
            WHERE a.is_kept AND t.observed_at >= a.start_at
        ) b
        WHERE first_at < %(stop_max)s AND first_at >= (SELECT archived_until FROM retention)
        UNION ALL
        SELECT metric_key, meter_type, ARRAY[granularity_us], first_at, stop_at + granularity_us * INTERVAL '1 microsecond'
        FROM (
            SELECT a.*, greatest(a.start_at, date_bin(a.granularity_us * INTERVAL '1 microsecond',
                b.archived_until + (a.granularity_us - 1) * INTERVAL '1 microsecond', TIMESTAMPTZ 'epoch')) AS first_at
            FROM asked a CROSS JOIN retention b WHERE NOT a.is_kept
        ) w
        WHERE first_at < stop_at + granularity_us * INTERVAL '1 microsecond'
    ),
"""
"""Of what rollups keep, the touched buckets, one by one; of the rest the whole stretch, with the bucket that stop cuts.
A bucket of which readings are gone is never computed from the remains: its rollup answers, or nothing does."""

PACKED: LiteralString = """
    coalesce(string_agg(
        int8send(w.metric_key) || int8send(w.granularity_us) || timestamptz_send(w.bucket) || float8send(w.value),
        ''::bytea ORDER BY w.metric_key, w.granularity_us, w.bucket), ''::bytea)
"""
"""All rows as one value: the client takes a row, or a line of COPY, at a time, and ten thousand windows have fifty thousand."""

READ_BUCKETS: LiteralString = (
    ASKED
    + TOUCHED
    + DIRTY
    + TRACED
    + ", answered AS (SELECT r.metric_key, r.granularity_us, r.bucket, "
    + VALUE_OF_METHOD
    + """ AS value
        FROM asked a
        CROSS JOIN LATERAL (
            SELECT * FROM rollup
            WHERE metric_key = a.metric_key AND granularity_us = a.granularity_us
                AND bucket >= a.start_at AND bucket < a.stop_at
            OFFSET 0
        ) r
        WHERE a.is_kept AND (r.metric_key, r.granularity_us, r.bucket) NOT IN (
            SELECT metric_key, granularities_us[1], first_at FROM stretch)
        UNION ALL
        SELECT s.metric_key, s.granularity_us, s.bucket,
"""
    + VALUE_OF_METHOD
    + """ AS value
        FROM (SELECT metric_key, granularity_us, bucket, """
    + STATISTICS
    + """ FROM bucketed GROUP BY metric_key, granularity_us, bucket) s
        JOIN asked a ON a.metric_key = s.metric_key AND a.granularity_us = s.granularity_us
            AND s.bucket >= a.start_at AND s.bucket < a.stop_at
    )
    SELECT """
    + PACKED
    + " FROM answered w WHERE w.value IS NOT NULL"
)
"""The touched buckets are left out by NOT IN, whose table is made once; they have no null, and there are seldom any."""

SETTLED_MAX = 1_000
"""Of more series than this, which only alarms ask for, some are being written to all the time."""

READ_PLAIN_PERCENTILES: LiteralString = (
    """
    WITH asked AS MATERIALIZED (
        SELECT u.metric_key, u.granularity_us, u.stop_at,
            greatest(u.start_at, date_bin(u.granularity_us * INTERVAL '1 microsecond',
                b.archived_until + (u.granularity_us - 1) * INTERVAL '1 microsecond', TIMESTAMPTZ 'epoch')) AS first_at
        FROM unnest(%(keys)s::bigint[], %(granularities)s::bigint[], %(starts)s::timestamptz[],
            %(stops)s::timestamptz[]) AS u (metric_key, granularity_us, start_at, stop_at)
        CROSS JOIN retention b
    )
    SELECT """
    + PACKED
    + """
    FROM (
        SELECT v.metric_key, v.granularity_us, v.bucket, percentile_cont(%(fraction)s) WITHIN GROUP (ORDER BY v.value) AS value
        FROM (
            SELECT a.metric_key, a.granularity_us, a.stop_at, m.value,
                date_bin(a.granularity_us * INTERVAL '1 microsecond', m.observed_at, TIMESTAMPTZ 'epoch') AS bucket
            FROM asked a
            CROSS JOIN LATERAL (
                SELECT observed_at, value FROM measure
                WHERE metric_key = a.metric_key AND observed_at >= a.first_at
                    AND observed_at < a.stop_at + a.granularity_us * INTERVAL '1 microsecond'
                    AND observed_at >= %(start_min)s AND observed_at < %(read_until)s
                OFFSET 0
            ) m
        ) v
        WHERE v.bucket < v.stop_at
        GROUP BY v.metric_key, v.granularity_us, v.bucket
    ) w"""
)
"""Of values as they are, nothing has to be looked for before them: the bounds stand there as constants, and no other chunk is opened."""

READ_RATE_PERCENTILES: LiteralString = (
    ASKED
    + TOUCHED
    + DIRTY
    + TRACED
    + """
    SELECT """
    + PACKED
    + """
    FROM (
    SELECT metric_key, granularity_us, bucket, percentile_cont(%(fraction)s) WITHIN GROUP (ORDER BY value) AS value
    FROM (
        SELECT t.metric_key, t.granularity_us, t.bucket, t.increase AS value
        FROM bucketed t JOIN asked a ON a.metric_key = t.metric_key AND a.granularity_us = t.granularity_us
            AND t.bucket >= a.start_at AND t.bucket < a.stop_at
    ) v
    WHERE value IS NOT NULL
    GROUP BY metric_key, granularity_us, bucket
    ) w"""
)

PACKED_ROW = np.dtype([("metric_key", ">i8"), ("granularity", ">i8"), ("bucket", ">i8"), ("value", ">f8")])


def read_buckets(tx: Transaction, asked: Sequence[SeriesAsked], *, method: str) -> BucketColumns:
    """Return the buckets by one aggregation method of model.BUCKET_METHODS; exact whatever the roller has done so far.

    Where no mark touches what is asked, as is usual, the rollups are the answer and a short statement says so and reads them. Nothing
    is lost between the two: what was acknowledged before the reader came has its mark at the first look, or is in the rollups for both.
    """
    columns = asked_columns(asked)
    if len(asked) <= SETTLED_MAX:
        settled = read_settled(tx, columns, method=method)
        if settled is not None:
            return settled
    if is_any_unkept(tx, columns):
        require_few_chunks_read(tx, start=columns["start_min"], stop=columns["read_until"])
    return read_packed(tx, READ_BUCKETS, {**columns, "from_rollups": True, "method": method})


ASK_ANY_UNKEPT: LiteralString = "SELECT " + IS_ANY_UNKEPT


def is_any_unkept(tx: Transaction, asked: AskedColumns) -> bool:
    """Tell whether some of the widths that are asked are in no rollups, so that all of it is read from raw."""
    row = tx.execute(ASK_ANY_UNKEPT, {**asked}).fetchone()
    return row is not None and bool(row[0])


def read_percentiles(tx: Transaction, asked: Sequence[SeriesAsked], *, fraction: float, is_rate: bool) -> BucketColumns:
    """Return a percentile (0 to 1) of each bucket, interpolated, from raw; raises Invalid where that would open too many chunks."""
    columns = asked_columns(asked)
    require_few_chunks_read(tx, start=columns["start_min"], stop=columns["read_until"])
    parameters = {**columns, "from_rollups": False, "fraction": fraction}
    return read_packed(tx, READ_RATE_PERCENTILES if is_rate else READ_PLAIN_PERCENTILES, parameters)


def read_packed(tx: Transaction, statement: LiteralString, parameters: dict[str, Any]) -> BucketColumns:
    """Read rows of fixed width as columns, without making an object a row; planned for these parameters, never for any."""
    with many_small_probes(tx), tx.cursor(binary=True) as cursor:
        found = cursor.execute(statement, parameters, prepare=False).fetchone()
    assert found is not None
    rows = np.frombuffer(found[0], dtype=PACKED_ROW)
    return BucketColumns(
        rows["metric_key"].astype(np.int64),
        rows["granularity"].astype(np.int64),
        rows["bucket"].astype(np.int64) + POSTGRES_EPOCH_US,
        rows["value"].astype(np.float64),
    )


FIRST_AND_LAST: LiteralString = """
    SELECT k.metric_key, f.observed_at, l.observed_at
    FROM unnest(%s::bigint[]) AS k (metric_key)
    CROSS JOIN LATERAL (
        SELECT observed_at FROM measure WHERE metric_key = k.metric_key ORDER BY observed_at LIMIT 1) f
    CROSS JOIN LATERAL (
        SELECT observed_at FROM measure WHERE metric_key = k.metric_key ORDER BY observed_at DESC LIMIT 1) l
"""


def span_of(tx: Transaction, metric_keys: Sequence[int]) -> tuple[datetime, datetime] | None:
    """Return the first and last instant of the metrics' samples, or None where they have none."""
    rows = tx.execute(FIRST_AND_LAST, (list(metric_keys),)).fetchall()
    return (min(row[1] for row in rows), max(row[2] for row in rows)) if rows else None
