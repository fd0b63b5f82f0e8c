"""Reading series, each time in one statement and so in one snapshot: clean buckets from rollups, dirty and unkept ones from raw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

import numpy as np
from numpy.typing import NDArray

from foundation.database import Transaction
from metering.rollups import shard_of
from metering.samples import OLDEST
from metering.store.fragments import STATISTICS, TOUCHED, TRACED
from metering.store.measures import POSTGRES_EPOCH_US
from metering.store.planning import many_small_probes


@dataclass(frozen=True, slots=True)
class SeriesAsked:
    """A stretch of one metric in buckets of one width: those that begin in [start, stop), start being a bucket's beginning."""

    metric_key: int
    granularity_us: int
    start: datetime
    stop: datetime


@dataclass(frozen=True, slots=True)
class BucketColumns:
    """Buckets with a value, sorted by metric key, granularity and beginning (microseconds since 1970)."""

    metric_keys: NDArray[np.int64]
    granularities_us: NDArray[np.int64]
    buckets_us: NDArray[np.int64]
    values: NDArray[np.float64]


EMPTY = BucketColumns(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64))

WHOLE_BUCKETS_MAX = 32
"""A marked metric's stretch of at most so many buckets is read from raw as a whole, which costs less than asking what the marks touch."""

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

VALUE_OF: Mapping[LiteralString, LiteralString] = {
    "mean": "sum / count",
    "sum": "sum",
    "min": "min",
    "max": "max",
    "first": "first",
    "last": "last",
    "count": "count",
    "std": "sqrt(greatest(0, deviation_sq) / nullif(count - 1, 0))",
    "rate:mean": "increase_sum / nullif(increase_count, 0)",
    "rate:sum": "increase_sum",
    "rate:min": "increase_min",
    "rate:max": "increase_max",
    "rate:first": "increase_first",
    "rate:last": "increase_last",
    "rate:count": "nullif(increase_count, 0)",
    "rate:std": "sqrt(greatest(0, increase_deviation_sq) / nullif(increase_count - 1, 0))",
    "rate:per_second": "increase_sum / nullif(increase_elapsed_s, 0)",
}
"""What each of model.BUCKET_METHODS makes of a bucket's statistics."""

VALUE_OF_METHOD: LiteralString = (
    "CASE %(method)s "
    + " ".join(["WHEN '" + method + "' THEN " + value for method, value in VALUE_OF.items()])
    + " END::float8"
)

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

READ_SETTLED: LiteralString = (
    """
    WITH settled AS MATERIALIZED (
        SELECT NOT EXISTS (
            SELECT FROM dirty_mark d
            CROSS JOIN LATERAL unnest(d.metric_keys, d.first_ats) AS u (metric_key, first_at)
            WHERE d.shard = ANY(%(shards)s) AND u.metric_key = ANY(%(keys)s::bigint[]) AND u.first_at < %(stop_max)s)
        AND NOT EXISTS (
            SELECT FROM unnest(%(keys)s::bigint[], %(granularities)s::bigint[]) AS u (metric_key, granularity_us)
            JOIN metric c ON c.key = u.metric_key
            WHERE NOT EXISTS (
                SELECT FROM archive_policy_granularity g
                WHERE g.archive_policy_name = c.archive_policy_name AND g.granularity_us = u.granularity_us)) AS is_so
    )
    SELECT a.metric_key, a.granularity_us, r.buckets, r.values
    FROM settled
    CROSS JOIN unnest(%(keys)s::bigint[], %(granularities)s::bigint[], %(starts)s::timestamptz[],
        %(stops)s::timestamptz[]) AS a (metric_key, granularity_us, start_at, stop_at)
    CROSS JOIN LATERAL (
        SELECT array_send(array_agg(v.bucket)) AS buckets, array_send(array_agg(v.value)) AS values
        FROM (
            SELECT bucket, """
    + VALUE_OF_METHOD
    + """ AS value
            FROM rollup
            WHERE metric_key = a.metric_key AND granularity_us = a.granularity_us
                AND bucket >= a.start_at AND bucket < a.stop_at AND bucket >= %(start_min)s AND bucket < %(stop_max)s
            ORDER BY bucket
        ) v
        WHERE v.value IS NOT NULL
    ) r
    WHERE settled.is_so
    ORDER BY a.metric_key, a.granularity_us
"""
)
"""A row a series, its buckets and values as arrays in their binary form, or no row at all where not everything is settled.
The bounds of all that is asked stand there as constants too, by which chunks are left out when it is planned."""

READ_ONE_SETTLED: Mapping[str, LiteralString] = {
    method: """
    SELECT %(key)s::bigint, %(granularity)s::bigint, array_send(array_agg(v.bucket)), array_send(array_agg(v.value))
    FROM (
        SELECT bucket, ("""
    + value
    + """)::float8 AS value
        FROM rollup
        WHERE metric_key = %(key)s AND granularity_us = %(granularity)s
            AND bucket >= %(start_min)s AND bucket < %(stop_max)s
        ORDER BY bucket
    ) v
    WHERE v.value IS NOT NULL
    HAVING NOT EXISTS (
        SELECT FROM dirty_mark d
        CROSS JOIN LATERAL unnest(d.metric_keys, d.first_ats) AS u (metric_key, first_at)
        WHERE d.shard = %(shard)s AND u.metric_key = %(key)s AND u.first_at < %(stop_max)s)
    AND EXISTS (
        SELECT FROM metric c JOIN archive_policy_granularity g ON g.archive_policy_name = c.archive_policy_name
        WHERE c.key = %(key)s AND g.granularity_us = %(granularity)s)
    """
    for method, value in VALUE_OF.items()
}
"""The same of one series, which is what is asked most: without arrays its plan is good for any, so that it is made once a connection."""

READ_PERCENTILES: LiteralString = (
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
        SELECT t.metric_key, t.granularity_us, t.bucket,
            CASE WHEN %(is_rate)s THEN t.increase ELSE t.value END AS value
        FROM bucketed t JOIN asked a ON a.metric_key = t.metric_key AND a.granularity_us = t.granularity_us
            AND t.bucket >= a.start_at AND t.bucket < a.stop_at
    ) v
    WHERE value IS NOT NULL
    GROUP BY metric_key, granularity_us, bucket
    ) w"""
)

ARRAY_HEADER_BYTES = 20
"""Before an array's elements: how many dimensions, whether there are nulls, the type; the dimension's length and first index."""
PACKED_ROW = np.dtype([("metric_key", ">i8"), ("granularity", ">i8"), ("bucket", ">i8"), ("value", ">f8")])


def read_buckets(tx: Transaction, asked: Sequence[SeriesAsked], *, method: str) -> BucketColumns:
    """Return the buckets by one aggregation method of model.BUCKET_METHODS; exact whatever the roller has done so far.

    Where no mark touches what is asked, as is usual, the rollups are the answer and a short statement says so and reads them. Nothing
    is lost between the two: what was acknowledged before the reader came has its mark at the first look, or is in the rollups for both.
    """
    parameters = {**asked_columns(asked), "from_rollups": True, "method": method}
    if len(asked) <= SETTLED_MAX:
        settled = read_settled(tx, parameters, method=method)
        if settled is not None:
            return settled
    return read_packed(tx, READ_BUCKETS, parameters)


def read_settled(tx: Transaction, parameters: dict[str, Any], *, method: str) -> BucketColumns | None:
    """Read rollups where they keep all that is asked and nothing of it waits to be rolled up, else return None."""
    with tx.cursor(binary=True) as cursor:
        if len(parameters["keys"]) == 1:
            one = {name: parameters[name] for name in ("start_min", "stop_max")} | {
                "key": parameters["keys"][0],
                "granularity": parameters["granularities"][0],
                "shard": parameters["shards"][0],
            }
            cursor.execute(READ_ONE_SETTLED[method], one, prepare=True)
        else:
            cursor.execute(READ_SETTLED, parameters, prepare=False)
        rows = cursor.fetchall()
    if not rows:
        return None
    kept = [row for row in rows if row[2] is not None]
    if not kept:
        return EMPTY
    keys, granularities, buckets, values = zip(*kept, strict=True)
    series = [from_array(one, ">f8") for one in values]
    sizes = [len(one) for one in series]
    return BucketColumns(
        np.repeat(keys, sizes),
        np.repeat(granularities, sizes),
        np.concatenate([from_array(one, ">i8") for one in buckets]).astype(np.int64) + POSTGRES_EPOCH_US,
        np.concatenate(series).astype(np.float64),
    )


def from_array(raw: bytes, element: str) -> NDArray[Any]:
    """Read PostgreSQL's binary form of an array without nulls whose elements have eight bytes, without making an object of each."""
    return np.frombuffer(raw, np.dtype([("size", ">i4"), ("element", element)]), offset=ARRAY_HEADER_BYTES)["element"]


def read_percentiles(tx: Transaction, asked: Sequence[SeriesAsked], *, fraction: float, is_rate: bool) -> BucketColumns:
    """Return a percentile (0 to 1) of each bucket, interpolated, from raw."""
    parameters = {**asked_columns(asked), "from_rollups": False, "fraction": fraction, "is_rate": is_rate}
    return read_packed(tx, READ_PERCENTILES, parameters)


def asked_columns(asked: Sequence[SeriesAsked]) -> dict[str, Any]:
    """Return the parameters that name what is asked; stretches of one metric in one width become one that holds them all."""
    stretches: dict[tuple[int, int], tuple[datetime, datetime]] = {}
    for one in asked:
        name = (one.metric_key, one.granularity_us)
        start, stop = stretches.get(name, (one.start, one.stop))
        stretches[name] = (min(start, one.start), max(stop, one.stop))
    return {
        "keys": [key for key, _ in stretches],
        "granularities": [granularity for _, granularity in stretches],
        "starts": [start for start, _ in stretches.values()],
        "stops": [stop for _, stop in stretches.values()],
        "start_min": min((start for start, _ in stretches.values()), default=OLDEST),
        "stop_max": max((stop for _, stop in stretches.values()), default=OLDEST),
        "shards": sorted({shard_of(key) for key, _ in stretches}),
        "whole_buckets_max": WHOLE_BUCKETS_MAX,
    }


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
