"""Reading series that are settled: rollups keep all that is asked, and nothing of it waits to be rolled up."""

from collections.abc import Mapping
from typing import Any, LiteralString

import numpy as np
from numpy.typing import NDArray

from foundation.database import Transaction
from metering.store.asked import EMPTY, IS_ANY_UNKEPT, VALUE_OF, VALUE_OF_METHOD, AskedColumns, BucketColumns
from metering.store.measures import POSTGRES_EPOCH_US

READ_SETTLED: LiteralString = (
    """
    WITH settled AS MATERIALIZED (
        SELECT NOT EXISTS (
            SELECT FROM dirty_mark d
            CROSS JOIN LATERAL unnest(d.metric_keys, d.first_ats) AS u (metric_key, first_at)
            WHERE d.shard = ANY(%(shards)s) AND u.metric_key = ANY(%(keys)s::bigint[]) AND u.first_at < %(stop_max)s)
        AND NOT """
    + IS_ANY_UNKEPT
    + """ AS is_so
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

ARRAY_HEADER_BYTES = 20
"""Before an array's elements: how many dimensions, whether there are nulls, the type; the dimension's length and first index."""


def read_settled(tx: Transaction, asked: AskedColumns, *, method: str) -> BucketColumns | None:
    """Read rollups where they keep all that is asked and nothing of it waits to be rolled up, else return None."""
    with tx.cursor(binary=True) as cursor:
        if len(asked["keys"]) == 1:
            one = {
                "start_min": asked["start_min"],
                "stop_max": asked["stop_max"],
                "key": asked["keys"][0],
                "granularity": asked["granularities"][0],
                "shard": asked["shards"][0],
            }
            cursor.execute(READ_ONE_SETTLED[method], one, prepare=True)
        else:
            cursor.execute(READ_SETTLED, {**asked, **texts_of(asked), "method": method}, prepare=False)
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


def texts_of(asked: AskedColumns) -> dict[str, str]:
    """Write what is asked as PostgreSQL's text of arrays, which costs a tenth of the driver's way with lists."""
    written = {instant: f'"{instant.isoformat()}"' for instant in {*asked["starts"], *asked["stops"]}}
    return {
        "keys": "{" + ",".join(map(str, asked["keys"])) + "}",
        "granularities": "{" + ",".join(map(str, asked["granularities"])) + "}",
        "starts": "{" + ",".join([written[start] for start in asked["starts"]]) + "}",
        "stops": "{" + ",".join([written[stop] for stop in asked["stops"]]) + "}",
    }


def from_array(raw: bytes, element: str) -> NDArray[Any]:
    """Read PostgreSQL's binary form of an array without nulls whose elements have eight bytes, without making an object of each."""
    return np.frombuffer(raw, np.dtype([("size", ">i4"), ("element", element)]), offset=ARRAY_HEADER_BYTES)["element"]
