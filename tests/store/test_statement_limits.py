"""Limits on statements: what takes too long changes nothing, and the transaction goes on with its own limit."""

from foundation.database import Transaction
from foundation.statement_limits import limit_statements, statement_limit, try_within


def make_table(tx: Transaction, *, sleep_s: float) -> str:
    tx.execute("CREATE TEMP TABLE made_within (n int)")
    tx.execute("SELECT pg_sleep(%s)", (sleep_s,))
    return "made"


def is_made(tx: Transaction) -> bool:
    return tx.execute("SELECT to_regclass('made_within')").fetchone() != (None,)


def test_what_takes_too_long_changes_nothing(tx: Transaction) -> None:
    assert try_within(tx, 50, lambda: make_table(tx, sleep_s=5)) is None
    assert not is_made(tx)


def test_what_is_done_in_time_stays(tx: Transaction) -> None:
    assert try_within(tx, 60_000, lambda: make_table(tx, sleep_s=0)) == "made"
    assert is_made(tx)


def test_the_transaction_has_its_own_limit_back(tx: Transaction) -> None:
    limit_statements(tx, "7s")
    try_within(tx, 50, lambda: make_table(tx, sleep_s=5))
    assert statement_limit(tx) == "7s"
    try_within(tx, 60_000, lambda: make_table(tx, sleep_s=0))
    assert statement_limit(tx) == "7s"
