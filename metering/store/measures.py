"""Writing raw samples and their dirty marks."""

from dataclasses import dataclass
from typing import Any, LiteralString

import numpy as np
import psycopg
from numpy.typing import NDArray

from foundation.database import Transaction
from foundation.errors import Invalid
from metering.measured import count_measures
from metering.rollups import DirtyRanges, dirty_ranges
from metering.samples import instant_of
from metering.store.late import insert_late, sealed_until_us
from metering.store.planning import many_small_probes

POSTGRES_EPOCH_US = 946_684_800_000_000
"""2000-01-01 in microseconds since 1970: where PostgreSQL's binary timestamps begin."""

CHUNK_US = 7 * 86_400 * 1_000_000
"""Raw samples are stored by the week."""
CHUNKS_A_BATCH_MAX = 104

COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TRAILER = b"\xff\xff"
COPY_ROW = np.dtype(
    [
        ("columns", ">i2"),
        ("metric_key_size", ">i4"),
        ("metric_key", ">i8"),
        ("observed_size", ">i4"),
        ("observed", ">i8"),
        ("boot_size", ">i4"),
        ("boot", ">i8"),
        ("value_size", ">i4"),
        ("value", ">f8"),
        ("adopted_size", ">i4"),
        ("adopted", "u1"),
    ]
)


@dataclass(frozen=True, slots=True)
class MeasureColumns:
    """Samples as columns of one length, by metric key, instant (microseconds since 1970) and boot."""

    metric_keys: NDArray[np.int64]
    observed_us: NDArray[np.int64]
    boot_epochs: NDArray[np.int64]
    values: NDArray[np.float64]
    adopted: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.metric_keys)

    def at(self, rows: NDArray[Any]) -> "MeasureColumns":
        """Return the rows chosen by index or mask."""
        return MeasureColumns(
            self.metric_keys[rows],
            self.observed_us[rows],
            self.boot_epochs[rows],
            self.values[rows],
            self.adopted[rows],
        )

    def followed_by(self, other: "MeasureColumns") -> "MeasureColumns":
        """Return these rows and then the other's."""
        return MeasureColumns(
            np.concatenate((self.metric_keys, other.metric_keys)),
            np.concatenate((self.observed_us, other.observed_us)),
            np.concatenate((self.boot_epochs, other.boot_epochs)),
            np.concatenate((self.values, other.values)),
            np.concatenate((self.adopted, other.adopted)),
        )


@dataclass(frozen=True, slots=True)
class WriteCounts:
    """What became of the rows of a write."""

    accepted: int
    repeated: int
    superseded: int


def write_measures(tx: Transaction, columns: MeasureColumns) -> WriteCounts:
    """Write samples once each and mark what they touch; of two values for one identity the later in the batch wins."""
    counts = write_and_mark(tx, columns)
    count_measures(accepted=counts.accepted, repeated=counts.repeated, superseded=counts.superseded)
    return counts


def write_and_mark(tx: Transaction, columns: MeasureColumns) -> WriteCounts:
    """Write samples and mark what they touch.

    New samples are the rule, so they are copied straight in. Where that fails, those that are there already are looked up, and
    the rest is copied; where another writer comes between, all are merged.
    """
    unique = sorted_without_repeats(columns)
    within = len(columns) - len(unique)
    is_late = unique.observed_us < sealed_until_us(tx)
    if is_late.any():
        late, rest = unique.at(is_late), unique.at(~is_late)
        kept = insert_late(tx, parameters_of(late))
        counts = write_and_mark(tx, rest) if len(rest) else WriteCounts(0, 0, 0)
        return WriteCounts(counts.accepted + kept, counts.repeated + within + len(late) - kept, counts.superseded)
    if try_copy(tx, unique):
        mark_dirty(tx, dirty_ranges(unique.metric_keys, unique.observed_us))
        return WriteCounts(len(unique), within, 0)
    known = find_known(tx, unique)
    fresh = unique.at(~known.is_there)
    if try_copy(tx, fresh):
        inserted, changed = len(fresh), unique.at(known.is_there & known.differs)
    else:
        inserted, fresh, changed = 0, unique.at(np.zeros(len(unique), dtype=np.bool_)), unique
    merged, updated, touched = merge_measures(tx, changed) if len(changed) else (0, 0, changed)
    inserted += merged
    written = sorted_without_repeats(fresh.followed_by(touched))
    mark_dirty(tx, dirty_ranges(written.metric_keys, written.observed_us))
    return WriteCounts(inserted, within + len(unique) - inserted - updated, updated)


def require_few_chunks(observed_us: NDArray[np.int64], *, what: str = "measures", field: str = "timestamp") -> None:
    """Refuse what one request brings where it would open, or make, so many chunks that others could no longer work."""
    if not len(observed_us) or int(observed_us.max()) - int(observed_us.min()) < CHUNKS_A_BATCH_MAX * CHUNK_US:
        return
    weeks = len(np.unique(observed_us // CHUNK_US))
    if weeks > CHUNKS_A_BATCH_MAX:
        raise Invalid(
            f"the {what} lie in {weeks} different weeks; send those of at most {CHUNKS_A_BATCH_MAX} weeks at a time",
            field=field,
        )


def try_copy(tx: Transaction, columns: MeasureColumns) -> bool:
    """Copy samples in; False, with nothing written, where one of them is there already."""
    try:
        with tx.transaction():
            copy_measures(tx, columns)
    except psycopg.errors.UniqueViolation:
        return False
    return True


def sorted_without_repeats(columns: MeasureColumns) -> MeasureColumns:
    """Sort by identity, so that two writers never wait for each other in a circle, and keep the last of each."""
    order = np.lexsort((columns.boot_epochs, columns.observed_us, columns.metric_keys))
    ordered = columns.at(order)
    is_last = np.ones(len(ordered), dtype=bool)
    is_last[:-1] = (
        (np.diff(ordered.metric_keys) != 0) | (np.diff(ordered.observed_us) != 0) | (np.diff(ordered.boot_epochs) != 0)
    )
    return ordered if is_last.all() else ordered.at(is_last)


COPY_MEASURES: LiteralString = """
    COPY measure (metric_key, observed_at, boot_epoch, value, adopted) FROM STDIN (FORMAT binary)
"""


def copy_measures(tx: Transaction, columns: MeasureColumns) -> None:
    """Copy new samples in; a sample that is there already raises UniqueViolation."""
    rows = np.empty(len(columns), dtype=COPY_ROW)
    rows["columns"] = 5
    for name, size in (("metric_key", 8), ("observed", 8), ("boot", 8), ("value", 8), ("adopted", 1)):
        rows[f"{name}_size"] = size
    rows["metric_key"] = columns.metric_keys
    rows["observed"] = columns.observed_us - POSTGRES_EPOCH_US
    rows["boot"] = columns.boot_epochs
    rows["value"] = columns.values
    rows["adopted"] = columns.adopted
    with tx.cursor() as cursor, cursor.copy(COPY_MEASURES) as copy:
        copy.write(COPY_HEADER + rows.tobytes() + COPY_TRAILER)


@dataclass(frozen=True, slots=True)
class Known:
    """Which of a batch's identities are stored already, and which of these with another value; masks over the batch."""

    is_there: NDArray[np.bool_]
    differs: NDArray[np.bool_]


FIND_KNOWN: LiteralString = """
    SELECT u.n - 1, m.value <> u.value OR m.adopted <> u.adopted
    FROM unnest(%(keys)s::bigint[], %(observed)s::bigint[], %(boots)s::bigint[], %(values)s::float8[], %(adopted)s::boolean[])
        WITH ORDINALITY AS u (metric_key, observed_us, boot_epoch, value, adopted, n)
    CROSS JOIN LATERAL (
        SELECT value, adopted FROM measure
        WHERE metric_key = u.metric_key AND boot_epoch = u.boot_epoch
            AND observed_at = TIMESTAMPTZ 'epoch' + u.observed_us * INTERVAL '1 microsecond'
            AND observed_at >= %(first)s AND observed_at <= %(last)s
        OFFSET 0
    ) m
"""
"""The bounds repeat what the rows say, so that the planner leaves out the chunks that no row can lie in."""


def find_known(tx: Transaction, columns: MeasureColumns) -> Known:
    """Look up which samples are stored already."""
    parameters = {
        **parameters_of(columns),
        "first": instant_of(int(columns.observed_us.min())),
        "last": instant_of(int(columns.observed_us.max())),
    }
    is_there, differs = np.zeros((2, len(columns)), dtype=np.bool_)
    with many_small_probes(tx), tx.cursor(binary=True) as cursor:
        for place, is_other in cursor.execute(FIND_KNOWN, parameters, prepare=False):
            is_there[place] = True
            differs[place] = is_other
    return Known(is_there, differs)


def parameters_of(columns: MeasureColumns) -> dict[str, Any]:
    """Return columns as the parameters of a statement that unnests them."""
    return {
        "keys": array_literal(columns.metric_keys.tolist()),
        "observed": array_literal(columns.observed_us.tolist()),
        "boots": array_literal(columns.boot_epochs.tolist()),
        "values": array_literal(columns.values.tolist()),
        "adopted": array_literal(columns.adopted.tolist()),
    }


MERGE_MEASURES: LiteralString = """
    INSERT INTO measure (metric_key, observed_at, boot_epoch, value, adopted)
    SELECT u.metric_key, TIMESTAMPTZ 'epoch' + u.observed_us * INTERVAL '1 microsecond', u.boot_epoch, u.value, u.adopted
    FROM unnest(%(keys)s::bigint[], %(observed)s::bigint[], %(boots)s::bigint[], %(values)s::float8[],
        %(adopted)s::boolean[]) AS u (metric_key, observed_us, boot_epoch, value, adopted)
    ON CONFLICT (metric_key, observed_at, boot_epoch) DO UPDATE SET value = EXCLUDED.value, adopted = EXCLUDED.adopted
    WHERE measure.value <> EXCLUDED.value OR measure.adopted <> EXCLUDED.adopted
    RETURNING metric_key, (extract(epoch FROM observed_at) * 1000000)::bigint, boot_epoch, value, adopted,
        xmax = 0 AS inserted
"""


def merge_measures(tx: Transaction, columns: MeasureColumns) -> tuple[int, int, MeasureColumns]:
    """Insert what is new and overwrite what differs; return how many of each, and the rows that were written."""
    with tx.cursor(binary=True) as cursor:
        rows = cursor.execute(MERGE_MEASURES, parameters_of(columns)).fetchall()
    inserted = sum(1 for row in rows if row[5])
    return inserted, len(rows) - inserted, sorted_without_repeats(columns_of(rows))


def columns_of(rows: list[tuple[Any, ...]]) -> MeasureColumns:
    """Turn rows into columns."""
    return MeasureColumns(
        np.array([row[0] for row in rows], dtype=np.int64),
        np.array([row[1] for row in rows], dtype=np.int64),
        np.array([row[2] for row in rows], dtype=np.int64),
        np.array([row[3] for row in rows], dtype=np.float64),
        np.array([row[4] for row in rows], dtype=np.bool_),
    )


MARK_DIRTY: LiteralString = """
    INSERT INTO dirty_mark (shard, metric_keys, first_ats, last_ats)
    SELECT shard, array_agg(metric_key ORDER BY n),
        array_agg(TIMESTAMPTZ 'epoch' + first_us * INTERVAL '1 microsecond' ORDER BY n),
        array_agg(TIMESTAMPTZ 'epoch' + last_us * INTERVAL '1 microsecond' ORDER BY n)
    FROM unnest(%(shards)s::smallint[], %(keys)s::bigint[], %(first)s::bigint[], %(last)s::bigint[])
        WITH ORDINALITY AS u (shard, metric_key, first_us, last_us, n)
    GROUP BY shard
"""


def mark_dirty(tx: Transaction, ranges: list[DirtyRanges]) -> None:
    """Append one mark a shard; marks are never changed, so that a roller can delete just those it has seen."""
    if ranges:
        tx.execute(
            MARK_DIRTY,
            {
                "shards": array_literal([r.shard for r in ranges for _ in r.metric_keys]),
                "keys": array_literal([key for r in ranges for key in r.metric_keys]),
                "first": array_literal([us for r in ranges for us in r.first_us]),
                "last": array_literal([us for r in ranges for us in r.last_us]),
            },
        )


def array_literal(values: list[int] | list[float]) -> str:
    """Write numbers as PostgreSQL's text of an array, which takes a tenth of the time of the driver's way with a list."""
    return "{" + ",".join(map(repr, values)) + "}"
