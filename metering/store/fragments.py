"""The SQL that rollers and readers share, so that a bucket is the same to the bit whoever computes it.

TOUCHED wants a relation `marked (metric_key, first_at, last_at)` before it and gives `touched (metric_key, observed_at)`;
TRACED wants `stretch (metric_key, meter_type, granularities_us, first_at, end_at)`, whole buckets of those widths, and gives
`traced`, each reading of them with its increase, and `bucketed`, the same with its bucket, once for each width;
STATISTICS are the columns of a rollup over readings of one bucket, every sum in order of time.
OFFSET 0 keeps the planner from turning an index scan a metric into a hash join over everything: it cannot know how few rows
bounds that come from columns leave.
"""

from typing import LiteralString

TOUCHED: LiteralString = """
    in_range AS MATERIALIZED (
        SELECT k.metric_key, k.first_at, m.observed_at, m.boot_epoch
        FROM marked k
        CROSS JOIN LATERAL (
            SELECT observed_at, boot_epoch FROM measure
            WHERE metric_key = k.metric_key AND observed_at >= k.first_at AND observed_at <= k.last_at
            OFFSET 0
        ) m
    ),
    touched AS MATERIALIZED (
        SELECT metric_key, observed_at FROM in_range
        UNION ALL
        SELECT r.metric_key, s.observed_at
        FROM (
            SELECT metric_key, first_at, boot_epoch, max(observed_at) AS last_at
            FROM in_range WHERE boot_epoch < 18014398509481984 GROUP BY metric_key, first_at, boot_epoch
        ) r
        CROSS JOIN LATERAL (
            SELECT observed_at FROM measure
            WHERE metric_key = r.metric_key AND boot_epoch = r.boot_epoch AND observed_at > r.last_at
            ORDER BY observed_at LIMIT 1
        ) s
    )
"""
"""A sample's successor of the same boot is touched too, since its increase changes. What an event counted (its mark, cloud_events.MARK_MIN
or more, in the place of a boot) has none, and looking for one would read all that came after it."""

TRACED: LiteralString = """
    reading AS (
        SELECT d.metric_key, d.meter_type, d.granularities_us, m.observed_at, m.boot_epoch, m.value, m.adopted,
            lag(m.value) OVER earlier AS lag_value, lag(m.observed_at) OVER earlier AS lag_at
        FROM stretch d
        CROSS JOIN LATERAL (
            SELECT observed_at, boot_epoch, value, adopted FROM measure
            WHERE metric_key = d.metric_key AND observed_at >= d.first_at AND observed_at < d.end_at
            OFFSET 0
        ) m
        WINDOW earlier AS (
            PARTITION BY d.metric_key, d.granularities_us, d.first_at, m.boot_epoch ORDER BY m.observed_at
        )
    ),
    followed AS (
        SELECT r.metric_key, r.meter_type, r.granularities_us, r.observed_at, r.boot_epoch, r.value, r.adopted,
            coalesce(r.lag_at, p.observed_at, q.observed_at) AS previous_at,
            coalesce(r.lag_value, p.value, q.value) AS previous_value
        FROM reading r
        LEFT JOIN LATERAL (
            SELECT observed_at, value FROM measure
            WHERE r.lag_at IS NULL AND metric_key = r.metric_key AND boot_epoch = r.boot_epoch
                AND observed_at < r.observed_at
                AND observed_at >= CASE WHEN r.boot_epoch = 0 THEN '-infinity'
                    ELSE TIMESTAMPTZ 'epoch' + r.boot_epoch * INTERVAL '1 microsecond' - INTERVAL '24 hours' END
            ORDER BY observed_at DESC LIMIT 1
        ) p ON true
        LEFT JOIN LATERAL (
            SELECT observed_at, value FROM archived_sample
            WHERE r.lag_at IS NULL AND p.observed_at IS NULL AND metric_key = r.metric_key AND boot_epoch = r.boot_epoch
                AND observed_at < r.observed_at
            ORDER BY observed_at DESC LIMIT 1
        ) q ON true
    ),
    traced AS (
        SELECT f.metric_key, f.granularities_us, f.observed_at, f.boot_epoch, f.value,
            CASE
                WHEN f.previous_at IS NULL THEN
                    CASE WHEN f.meter_type = 'cumulative' AND f.boot_epoch <> 0 AND NOT f.adopted
                        THEN greatest(0, f.value) END
                WHEN f.meter_type <> 'cumulative' OR f.value >= f.previous_value THEN f.value - f.previous_value
                WHEN f.boot_epoch = 0 THEN greatest(0, f.value)
                ELSE 0
            END AS increase,
            date_part('epoch', CASE
                WHEN f.previous_at IS NOT NULL THEN f.observed_at - f.previous_at
                WHEN f.meter_type = 'cumulative' AND f.boot_epoch <> 0 AND NOT f.adopted THEN greatest(
                    INTERVAL '0', f.observed_at - (TIMESTAMPTZ 'epoch' + f.boot_epoch * INTERVAL '1 microsecond'))
            END) AS elapsed_s
        FROM followed f
    ),
    bucketed AS (
        SELECT t.metric_key, g.granularity_us, t.observed_at, t.boot_epoch, t.value, t.increase, t.elapsed_s,
            date_bin(g.granularity_us * INTERVAL '1 microsecond', t.observed_at, TIMESTAMPTZ 'epoch') AS bucket
        FROM traced t
        CROSS JOIN LATERAL unnest(t.granularities_us) AS g (granularity_us)
        OFFSET 0
    )
"""
"""The increase is counters.increase_of in SQL. A boot's readings are at most a day older than it (ingest sees to that).
Where the predecessor's chunk is gone, the archive has kept it."""

STATISTICS: LiteralString = """
    count(*) AS count,
    sum(value ORDER BY observed_at, boot_epoch) AS sum,
    min(value) AS min,
    max(value) AS max,
    (array_agg(value ORDER BY observed_at, boot_epoch))[1] AS first,
    (array_agg(value ORDER BY observed_at, boot_epoch))[count(*)] AS last,
    regr_sxx(value, value ORDER BY observed_at, boot_epoch) AS deviation_sq,
    count(increase) AS increase_count,
    sum(increase ORDER BY observed_at, boot_epoch) AS increase_sum,
    min(increase) AS increase_min,
    max(increase) AS increase_max,
    (array_agg(increase ORDER BY observed_at, boot_epoch) FILTER (WHERE increase IS NOT NULL))[1] AS increase_first,
    (array_agg(increase ORDER BY observed_at, boot_epoch) FILTER (WHERE increase IS NOT NULL))[count(increase)]
        AS increase_last,
    regr_sxx(increase, increase ORDER BY observed_at, boot_epoch) AS increase_deviation_sq,
    sum(elapsed_s ORDER BY observed_at, boot_epoch) AS increase_elapsed_s
"""
"""Squares are kept as the sum of squared deviations (Youngs and Cramer), since the sum of squares of a large counter has no digits left."""
