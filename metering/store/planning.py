"""How hot statements are planned: settings local to the transaction, where the planner or TimescaleDB would choose badly."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import LiteralString

from foundation.database import Transaction

PRUNE_AT_RUN_TIME: LiteralString = "SELECT set_config('timescaledb.enable_runtime_exclusion', %s, true)"


@contextmanager
def many_small_probes(tx: Transaction) -> Generator[None]:
    """For statements that look into the samples thousands of times, each for a few rows by the whole key.

    TimescaleDB would decide anew for each look which chunks it can leave out; that costs several times what the look itself does.
    """
    tx.execute(PRUNE_AT_RUN_TIME, ("off",))
    yield
    tx.execute(PRUNE_AT_RUN_TIME, ("on",))
