"""What whoever watches the service asks of metering."""

from foundation.database import Transaction
from metering.store import watch as store
from metering.store.watch import RollUpState

MARKS_COUNTED_MAX = 10_000


def roll_up_state(tx: Transaction) -> RollUpState:
    """Return how many marks wait (at most MARKS_COUNTED_MAX are counted) and how old the oldest is."""
    return store.read_roll_up_state(tx, limit=MARKS_COUNTED_MAX)
