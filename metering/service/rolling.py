"""Rolling dirty marks up into rollups, one roller a shard."""

from collections.abc import Iterator
from contextlib import contextmanager

from foundation.database import Pool, Transaction
from metering.model import RollUpResult

MARKS_MAX = 500


@contextmanager
def shard_lease(pool: Pool, shard: int) -> Iterator[Transaction | None]:
    """Yield a snapshot transaction in which we alone roll this shard up, or None when another has it; commits on leaving."""
    raise NotImplementedError
    yield None


def roll_up_shard(tx: Transaction, *, shard: int, marks_max: int = MARKS_MAX) -> RollUpResult:
    """Recompute the buckets that at most marks_max marks of the shard touch, and delete just those marks."""
    raise NotImplementedError
