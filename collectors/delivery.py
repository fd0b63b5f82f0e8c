"""Brings samples to metering, through the spool while the database is away; what is acknowledged here is never lost."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import Enum

import psycopg
import structlog

from collectors.spool import Spool
from foundation.database import Pool, transaction
from foundation.errors import Unavailable
from metering import service as metering
from metering.completeness import Poll
from metering.model import Sample

DRAIN_BATCHES_MAX = 50
"""How many spooled batches one call drains, so that the agent goes on polling meanwhile."""

SAMPLES_A_CALL_MAX = 50_000
REJECTIONS_LOGGED_MAX = 10

log = structlog.get_logger()


class Delivery(Enum):
    """What became of a batch."""

    INGESTED = "ingested"
    SPOOLED = "spooled"
    REFUSED = "spooled, since the database did not take it"


class SampleDelivery:
    """The way of one host's samples into the database."""

    def __init__(self, pool: Pool, spool: Spool, *, poll_interval_s: float) -> None:
        self._pool = pool
        self._spool = spool
        self._poll_interval_s = poll_interval_s

    @property
    def waiting(self) -> int:
        """Say how many batches wait in the spool."""
        return len(self._spool)

    def deliver(self, samples: Sequence[Sample], *, now: datetime, is_poll: bool = True) -> Delivery:
        """Ingest a batch in one transaction, or keep it on disk behind those that wait already. Raises SpoolFull.

        `is_poll` tells that the whole host was read, not only some of its guests at the end of theirs.
        """
        if not samples:
            return Delivery.INGESTED
        if len(self._spool) > 0:
            return self.keep(samples, is_poll=is_poll)
        try:
            self._ingest(samples, now=now, is_poll=is_poll, is_spooled=False)
        except Unavailable as error:
            log.warning("samples.spooled", count=len(samples), reason=error.message)
            self._spool.append(samples, is_poll=is_poll)
            return Delivery.REFUSED
        return Delivery.INGESTED

    def keep(self, samples: Sequence[Sample], *, is_poll: bool = True) -> Delivery:
        """Keep a batch on disk behind those that wait already, without asking the database. Raises SpoolFull."""
        if samples:
            self._spool.append(samples, is_poll=is_poll)
        return Delivery.SPOOLED

    def drain(self, *, now: datetime) -> int:
        """Ingest what waits, oldest first, as far as the database takes it; return how many batches went in."""
        drained = 0
        while drained < DRAIN_BATCHES_MAX:
            batch = self._spool.oldest()
            if batch is None:
                break
            try:
                self._ingest(batch.samples, now=now, is_poll=batch.is_poll, is_spooled=True)
            except Unavailable:
                break
            self._spool.discard(batch)
            drained += 1
        if drained:
            log.info("spool.drained", batches=drained, waiting=len(self._spool))
        return drained

    def _ingest(self, samples: Sequence[Sample], *, now: datetime, is_poll: bool, is_spooled: bool) -> None:
        """Take a batch in, in one transaction; raises Unavailable, also for an error of the database that we cannot name."""
        repeated = 0
        try:
            with transaction(self._pool) as tx:
                for part in batched(samples, SAMPLES_A_CALL_MAX):
                    result = metering.ingest_samples(tx, part, received_at=now)
                    repeated += result.repeated
                    for rejected in result.rejected[:REJECTIONS_LOGGED_MAX]:
                        meter = part[rejected.position].meter
                        log.error("sample.rejected", meter=meter, reason=rejected.reason)
                poll = poll_of(samples, self._poll_interval_s, repeated=repeated, is_spooled=is_spooled)
                if poll is not None and is_poll:
                    metering.record_poll(tx, poll)
        except psycopg.Error as error:
            log.exception("samples.ingest_failed", count=len(samples))
            raise Unavailable(f"the database did not take the samples: {error}") from error


def poll_of(samples: Sequence[Sample], interval_s: float, *, repeated: int, is_spooled: bool) -> Poll | None:
    """Say which look at which host a batch is from; None where no guest was read."""
    for sample in samples:
        host = sample.attributes.get("host")
        if sample.resource_type == "instance" and host:
            interval_us = round(interval_s * 1_000_000)
            return Poll(host, sample.observed_at, interval_us, len(samples), repeated, is_spooled)
    return None


def batched(samples: Sequence[Sample], size: int) -> Iterator[Sequence[Sample]]:
    """Cut a sequence into parts."""
    for start in range(0, len(samples), size):
        yield samples[start : start + size]
