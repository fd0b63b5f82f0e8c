"""The pool and its transactions against a real server: what is not committed is never said to be."""

from collections.abc import Generator
from contextlib import ExitStack

import psycopg
import pytest

from foundation.database import Isolation, Pool, lent_connection, open_pool, transaction
from foundation.errors import Unavailable
from foundation.ids import new_hex_id


@pytest.fixture
def notes(pool: Pool) -> Generator[str]:
    """A table whose constraint is only looked at when the transaction commits."""
    with transaction(pool) as tx:
        tx.execute("CREATE TABLE note (id int PRIMARY KEY, twin int REFERENCES note DEFERRABLE INITIALLY DEFERRED)")
    yield "note"
    with transaction(pool) as tx:
        tx.execute("DROP TABLE note")


@pytest.mark.usefixtures("notes")
def test_a_commit_that_fails_is_an_error_and_leaves_nothing(pool: Pool) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation), transaction(pool) as tx:
        tx.execute("INSERT INTO note VALUES (1, 99)")
    with transaction(pool) as tx:
        assert tx.execute("SELECT count(*) FROM note").fetchone() == (0,)


@pytest.mark.usefixtures("notes")
def test_a_connection_that_dies_before_the_commit_is_unavailable(pool: Pool) -> None:
    with pytest.raises(Unavailable), transaction(pool) as tx:
        tx.execute("INSERT INTO note VALUES (1, 1)")
        with transaction(pool) as other:
            other.execute("SELECT pg_terminate_backend(%s)", (tx.info.backend_pid,))
    with transaction(pool) as tx:
        assert tx.execute("SELECT count(*) FROM note").fetchone() == (0,)


def test_a_full_disk_is_said_to_be_one(pool: Pool) -> None:
    with pytest.raises(Unavailable, match="disk is full; nothing was changed"), transaction(pool) as tx:
        tx.execute("DO $$ BEGIN RAISE disk_full; END $$")


def test_what_takes_too_long_is_said_to_be_too_much_and_not_an_outage(pool: Pool) -> None:
    with pytest.raises(Unavailable, match="ask for less at once"), transaction(pool) as tx:
        tx.execute("SET LOCAL statement_timeout = '50ms'")
        tx.execute("SELECT pg_sleep(5)")


def test_a_server_that_is_not_there_is_unavailable_and_soon() -> None:
    nowhere = open_pool("postgresql://nobody@127.0.0.1:9/none", size_max=1, application_name="tests")
    try:
        with pytest.raises(Unavailable), transaction(nowhere):
            raise AssertionError("there is no database there")
    finally:
        nowhere.close()


@pytest.mark.usefixtures("notes")
def test_a_snapshot_sees_one_instant_and_writes_nothing(pool: Pool) -> None:
    with transaction(pool, Isolation.SNAPSHOT) as reading:
        assert reading.execute("SELECT count(*) FROM note").fetchone() == (0,)
        with transaction(pool) as writing:
            writing.execute("INSERT INTO note VALUES (1, 1)")
        assert reading.execute("SELECT count(*) FROM note").fetchone() == (0,)
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), transaction(pool, Isolation.SNAPSHOT) as reading:
        reading.execute("INSERT INTO note VALUES (2, 2)")


def test_a_pooled_connection_forgets_the_isolation_of_its_last_user(pool: Pool) -> None:
    with transaction(pool, Isolation.SNAPSHOT):
        pass
    with transaction(pool) as tx:
        assert tx.execute("SHOW transaction_isolation").fetchone() == ("read committed",)
        assert tx.execute("SHOW transaction_read_only").fetchone() == ("off",)
    with transaction(pool, Isolation.SNAPSHOT):
        pass
    with lent_connection(pool) as connection:
        assert connection.execute("SHOW transaction_read_only").fetchone() == ("off",)


def test_a_pool_whose_connections_have_all_died_serves_at_once(database_url: str, pool: Pool) -> None:
    name = f"victims-{new_hex_id()}"
    victims = open_pool(database_url, size_max=6, application_name=name)
    victims.timeout = 20  # less than the half minute that the pool alone would sleep to find six dead ones, one by one
    with ExitStack() as held:
        for _ in range(6):
            held.enter_context(transaction(victims)).execute("SELECT 1")
    with transaction(pool) as tx:
        tx.execute(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = %s",
            (name,),
        )
    with transaction(victims) as tx:
        assert tx.execute("SELECT 1").fetchone() == (1,)
    victims.close()
