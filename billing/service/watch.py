"""What whoever watches the service asks of billing."""

from billing.store import watch as store
from foundation.database import Transaction


def missing_invoice_numbers(tx: Transaction) -> int:
    """Return how many numbers are missing in the series of invoices; it must be 0."""
    return store.count_missing_numbers(tx)
