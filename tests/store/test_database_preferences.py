"""What a database's owner or a user's environment prefers in form and zone changes nothing that we read, write or charge."""

from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest
from psycopg import sql

from foundation.database import Pool, open_pool, transaction
from foundation.ids import new_hex_id
from tests.conftest import with_database

PREFERENCES = {
    "TimeZone": "America/St_Johns",
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "sql_standard",
    "extra_float_digits": "0",
    "standard_conforming_strings": "off",
    "client_encoding": "LATIN1",
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
}
INSTANT = datetime(2027, 3, 28, 0, 59, 30, 5, UTC)


@pytest.fixture
def database_of_another_taste(cluster_url: str) -> Generator[str]:
    """The URL of an empty database whose owner has set other preferences than ours."""
    name = f"taste_{new_hex_id()}"
    database = sql.Identifier(name)
    with psycopg.connect(cluster_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(database))
        for setting, value in PREFERENCES.items():
            connection.execute(
                sql.SQL("ALTER DATABASE {} SET {} = {}").format(database, sql.Identifier(setting), sql.Literal(value))
            )
    yield with_database(cluster_url, name)
    with psycopg.connect(cluster_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))


@pytest.fixture
def environment_of_another_taste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables by which the client library asks for other forms than ours, on every connection of the process."""
    monkeypatch.setenv("PGTZ", "Pacific/Apia")
    monkeypatch.setenv("PGDATESTYLE", "German")
    monkeypatch.setenv("PGCLIENTENCODING", "SJIS")
    monkeypatch.setenv("PGOPTIONS", "-c IntervalStyle=postgres_verbose -c extra_float_digits=-5")


def read_values(pool: Pool) -> tuple[object, ...] | None:
    """Send one value of each kind to the database and return them as they come back, with some that it makes."""
    with transaction(pool) as tx:
        tx.execute("CREATE TEMPORARY TABLE value (at timestamptz, day date, wait interval, f float8, name text)")
        tx.execute(
            "INSERT INTO value VALUES (%s, %s, %s, %s, %s)",
            (INSTANT, INSTANT.date(), timedelta(days=-1, seconds=3, microseconds=7), 0.1 + 0.2, "雲の請求書 ½"),
        )
        return tx.execute(
            "SELECT at, day, wait, f, f::text::numeric, name, '2027-03-28T00:59:30'::timestamptz, E'\\\\' = '\\' FROM value"
        ).fetchone()


EXPECTED = (
    INSTANT,
    INSTANT.date(),
    timedelta(days=-1, seconds=3, microseconds=7),
    0.1 + 0.2,
    Decimal("0.30000000000000004"),
    "雲の請求書 ½",
    INSTANT.replace(microsecond=0),
    True,
)


def test_a_databases_preferences_change_no_value(database_of_another_taste: str) -> None:
    pool = open_pool(database_of_another_taste, size_max=1, application_name="tests")
    try:
        assert read_values(pool) == EXPECTED
    finally:
        pool.close()


@pytest.mark.usefixtures("environment_of_another_taste")
def test_an_environments_preferences_change_no_value(database_of_another_taste: str) -> None:
    pool = open_pool(database_of_another_taste, size_max=1, application_name="tests")
    try:
        assert read_values(pool) == EXPECTED
    finally:
        pool.close()


@pytest.mark.usefixtures("environment_of_another_taste")
def test_instants_that_the_database_makes_are_in_utc(database_of_another_taste: str) -> None:
    pool = open_pool(database_of_another_taste, size_max=1, application_name="tests")
    try:
        with transaction(pool) as tx:
            row = tx.execute(
                "SELECT clock_timestamp(), to_char(%s::timestamptz, 'YYYY-MM-DD HH24:MI')", (INSTANT,)
            ).fetchone()
    finally:
        pool.close()
    assert row is not None
    assert row[0].utcoffset() == timedelta(0)
    assert row[1] == "2027-03-28 00:59"
