"""Retention: what may be dropped and why not more, and the steps by which it goes: seal, archive, drop.

Each step is a transaction of its own. Between them a barrier is waited for: whoever began before the last step may not know it yet.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from foundation.database import Transaction
from foundation.errors import Invalid
from metering.sealing import SEAL_AGE_MIN, Boundary, Chunk, Hold, binding_holds, decide_boundary
from metering.store import columnstore
from metering.store import retention as store
from metering.store.retention import Archived, LateSample, RetentionState

METRICS_A_STEP = 100
RUN_EVERY = timedelta(hours=1)
TURN = timedelta(minutes=1)
HOLDS_SHOWN_MAX = 10
LATE_PAGE_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Needs:
    """What other packages need of raw samples: since when, and which meters of which projects stand behind documents for good."""

    holds: tuple[Hold, ...]
    evidence: tuple[tuple[str, str], ...]
    billed_projects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What would go now; `holds` are the reasons why it is not more, the strictest first."""

    boundary: Boundary | None
    chunks: tuple[Chunk, ...]
    chunks_kept: int
    holds: tuple[Hold, ...]
    state: RetentionState


class Step(Enum):
    """What a step of retention did."""

    NOTHING = "nothing is to be done"
    BUSY = "another process is at it"
    WAITING = "what began before the last step has not ended yet"
    WAITING_FOR_ROLLUPS = "some of what is sealed waits to be rolled up, which the workers do"
    SEALED = "sealed"
    BARRIER = "waits from now on for what has begun"
    ARCHIVED = "archived a part"
    SWITCHED = "archived the last part"
    DROPPED = "dropped"
    COMPRESSED = "put a chunk into columns"

    @property
    def is_progress(self) -> bool:
        """Tell whether another step may follow at once."""
        return self in {Step.SEALED, Step.ARCHIVED, Step.SWITCHED, Step.DROPPED, Step.COMPRESSED}


def plan_retention(tx: Transaction, needs: Needs, *, keep: timedelta, now: datetime) -> Plan:
    """Say what may be dropped and why not more; changes nothing."""
    holds = [
        Hold(now - keep, f"raw samples are kept for {keep.days} days (NEPHO_RAW_KEEP_DAYS)"),
        Hold(now - SEAL_AGE_MIN, f"what is younger than {SEAL_AGE_MIN.days} days is never sealed"),
        *needs.holds,
    ]
    timespan_us = store.find_longest_timespan_us(tx, except_projects=needs.billed_projects)
    if timespan_us is not None:
        longest = timedelta(microseconds=timespan_us)
        why = f"projects without an invoice keep samples for the longest timespan of their archive policies, {longest.days} days"
        holds.append(Hold(now - longest, why))
    chunks = store.list_chunks(tx, "measure")
    boundary = decide_boundary(chunks, store.list_granularities(tx), holds)
    gone = tuple(chunk for chunk in chunks if boundary is not None and chunk.end <= boundary.drop_before)
    state = store.read_state(tx)
    shown = tuple(binding_holds(holds, limit=HOLDS_SHOWN_MAX))
    return Plan(boundary, gone, len(chunks) - len(gone), shown, state)


def take_step(
    tx: Transaction,
    read_needs: Callable[[], Needs],
    *,
    keep: timedelta,
    now: datetime,
    compress_after: timedelta | None = None,
) -> Step:
    """Do the next thing that is to be done, in the caller's transaction; call it again in another until nothing is left.

    What others need is read when a barrier is passed, so that whoever was waited for is heard.
    With `compress_after` chunks that ended so long ago are put into columns, where the server has TimescaleDB's full edition.
    """
    state = store.claim_state(tx)
    if state is None:
        return Step.BUSY
    if state.archived_until < state.archiving_until:
        return archive_step(tx, state, read_needs)
    if state.dropped_until < state.archived_until:
        return drop_step(tx, state, read_needs, now=now)
    boundary = plan_retention(tx, read_needs(), keep=keep, now=now).boundary
    if boundary is None or boundary.drop_before <= state.dropped_until:
        if compress_after is not None and compress_step(tx, before=now - compress_after):
            return Step.COMPRESSED
        store.run_again_at(tx, now + RUN_EVERY)
        return Step.NOTHING
    store.seal(tx, boundary)
    return Step.SEALED


def archive_step(tx: Transaction, state: RetentionState, read_needs: Callable[[], Needs]) -> Step:
    """Copy what must outlive the chunks, once no ingest can write before the seal any more and all of it is rolled up."""
    waiting = wait_for_barrier(tx, state)
    if waiting is not None:
        return waiting
    if store.is_marked_before(tx, state.sealed_until):
        return Step.WAITING_FOR_ROLLUPS
    needs = read_needs()
    archived = archive_next(tx, state, needs)
    if archived.last_key is None:
        if archive_missed(tx, needs, start=state.archived_until, end=state.archiving_until):
            return Step.ARCHIVED
        store.switch_to_archive(tx)
        return Step.SWITCHED
    store.remember_key(tx, archived.last_key)
    return Step.ARCHIVED


def archive_next(tx: Transaction, state: RetentionState, needs: Needs) -> Archived:
    """Archive the next metrics; where that takes too long, fewer at once."""
    key, start, end = state.archived_key, state.archived_until, state.archiving_until
    for metrics_max in (METRICS_A_STEP, METRICS_A_STEP // 10):
        done = store.try_archive(tx, needs.evidence, after_key=key, start=start, end=end, metrics_max=metrics_max)
        if done is not None:
            return done
    return store.archive(tx, needs.evidence, after_key=key, start=start, end=end, metrics_max=1)


def archive_missed(tx: Transaction, needs: Needs, *, start: datetime, end: datetime) -> bool:
    """Archive what became evidence since its turn, as by a project's first invoice; False where all is there."""
    return store.archive_missed(tx, needs.evidence, start=start, end=end, metrics_max=METRICS_A_STEP // 10) > 0


def drop_step(tx: Transaction, state: RetentionState, read_needs: Callable[[], Needs], *, now: datetime) -> Step:
    """Drop the chunks, once everybody who reads knows that the archive speaks for them."""
    waiting = wait_for_barrier(tx, state)
    if waiting is not None:
        return waiting
    if archive_missed(tx, read_needs(), start=state.dropped_until, end=state.archived_until):
        return Step.ARCHIVED
    timespan = timedelta(microseconds=store.find_longest_timespan_us(tx, except_projects=()) or 0)
    raw_before = state.archived_until
    rollups_before = min(raw_before, now - timespan)
    is_done = store.try_drop(tx, raw_before=raw_before, rollups_before=rollups_before)
    return Step.DROPPED if is_done else Step.WAITING


def compress_step(tx: Transaction, *, before: datetime) -> bool:
    """Put one chunk into columns; False where none is left, and where the server's edition of TimescaleDB has no columns."""
    if not columnstore.has_columnstore(tx):
        return False
    columnstore.enable_columnstore(tx)
    return columnstore.compress_next(tx, before)


def wait_for_barrier(tx: Transaction, state: RetentionState) -> Step | None:
    """Raise the barrier if it is not up, or tell that it is not passed; None when it is."""
    if state.barrier_at is None:
        store.raise_barrier(tx)
        return Step.BARRIER
    return None if store.is_barrier_passed(tx) else Step.WAITING


def is_retention_due(tx: Transaction, *, now: datetime) -> bool:
    """Tell whether it is time to look whether something may go."""
    return store.is_due(tx, now)


def claim_retention(tx: Transaction, *, now: datetime) -> bool:
    """Take the turn that is due; commit before the steps, so that one that fails is tried again only after a while."""
    return store.claim_run(tx, now=now, until=now + TURN)


def postpone_retention(tx: Transaction, *, until: datetime) -> None:
    """Look again at an instant, where a step has to wait."""
    store.run_again_at(tx, until)


def samples_gone_until(tx: Transaction, *, project_id: str, meters: Sequence[str], start: datetime) -> datetime | None:
    """Return until when samples of a project's meters since an instant are gone, None where all are there."""
    return store.find_thinned_until(tx, project_id=project_id, meters=meters, start=start)


def late_samples(
    tx: Transaction, *, project_id: str, start: datetime | None, end: datetime | None, after: int, limit: int
) -> Sequence[LateSample]:
    """Return a page of the samples of a project that came for sealed times, in the order in which they came."""
    if start is not None and end is not None and start >= end:
        raise Invalid("start must lie before end", field="end")
    return store.list_late(
        tx, project_id=project_id, start=start, end=end, after=after, limit=min(limit, LATE_PAGE_MAX + 1)
    )
