"""What whoever watches the service asks of alarms."""

from alarms.store import watch as store
from alarms.store.watch import AlarmBacklog
from foundation.database import Transaction

COUNTED_MAX = 10_000


def alarm_backlog(tx: Transaction) -> AlarmBacklog:
    """Return how many evaluations and deliveries wait (at most COUNTED_MAX are counted) and how late the first is."""
    return store.read_backlog(tx, limit=COUNTED_MAX)
