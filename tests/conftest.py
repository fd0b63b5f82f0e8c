"""Shared by all tests: one database a session, made from the migrations, and a transaction a test that is rolled back."""

import logging
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from hypothesis import HealthCheck, settings
from psycopg import sql
from xdist.remote import Producer
from xdist.scheduler import Scheduling

from entrypoints.logs import configure_logs
from foundation.database import Pool, Transaction, lent_connection, open_pool
from foundation.ids import new_hex_id
from tests import side_by_side

ROOT = Path(__file__).parent.parent
PATIENCE_S = 240
"""How long a test waits for a connection or lets a transaction last: how busy the machine is decides no test."""

# How hard the laws are tried: usually, or deeper with `--hypothesis-profile=deep`; a busy machine is no counterexample.
settings.register_profile("usual", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("deep", parent=settings.get_profile("usual"), max_examples=2_000)
settings.load_profile("usual")  # before any module is read: a law keeps the profile that it finds when it is made


def is_worker(config: pytest.Config) -> bool:
    """Tell whether this process runs a part of the tests for one that distributes them."""
    return hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    """Take our place: the worker's, the distributor's, or none where one process runs all."""
    if is_worker(config):
        side_by_side.become_worker()
    elif config.getoption("dist", "no") != "no" and not config.getoption("collectonly"):
        config.pluginmanager.register(side_by_side.Workers(ROOT / "var"))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Hold every test that shares something to a place, and give the workers what takes longest first."""
    side_by_side.check_places(items)
    if is_worker(config):
        side_by_side.arrange(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """However somebody asks for several workers, modules stay whole and what shares something stays together."""
    return side_by_side.GroupScheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """What `-n auto` means."""
    return side_by_side.worker_count()


@pytest.fixture(scope="session", autouse=True)
def logs() -> None:
    """Log as the processes do: the pretty tracebacks of a bare structlog take seconds each."""
    configure_logs(logging.WARNING)


@pytest.fixture(scope="session")
def cluster_url() -> Generator[str]:
    """The superuser URL of a TimescaleDB cluster: the one that NEPHO_TEST_DATABASE_URL names, or one of our own."""
    with side_by_side.shared_cluster(ROOT / "var") as url:
        yield url


@pytest.fixture(scope="session")
def database_url(cluster_url: str) -> Generator[str]:
    """An own database with the whole schema, dropped at the end."""
    with migrated_database(cluster_url, f"test_{new_hex_id()}") as url:
        yield url


@contextmanager
def migrated_database(cluster_url: str, name: str) -> Generator[str]:
    """Make a database with the whole schema while the block runs."""
    patiently(cluster_url, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = with_database(cluster_url, name)
    try:
        migrate(url, "head")
        yield url
    finally:
        patiently(cluster_url, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def patiently(cluster_url: str, statement: sql.Composed) -> None:
    """Make or drop a database: PostgreSQL itself waits five seconds at most for those who are still in it."""
    ends = time.monotonic() + PATIENCE_S
    with psycopg.connect(cluster_url, autocommit=True) as connection:
        while True:
            try:
                connection.execute(statement)
            except psycopg.errors.ObjectInUse:
                if time.monotonic() > ends:
                    raise
            else:
                return


@pytest.fixture(scope="session")
def pool(database_url: str) -> Generator[Pool]:
    """A pool on the session's database, for tests that need several transactions; they clean up what they commit."""
    opened = open_patient_pool(database_url, size_max=8)
    yield opened
    opened.close()


def open_patient_pool(url: str, *, size_max: int) -> Pool:
    """A pool as the product opens it, with more time for a connection and for a transaction, which here may be a whole test."""
    opened = open_pool(url, size_max=size_max, application_name="tests", transaction_timeout_ms=PATIENCE_S * 1000)
    opened.timeout = PATIENCE_S
    return opened


@contextmanager
def own_pool(cluster_url: str) -> Generator[Pool]:
    """A pool on a database of one module's own, for tests that mind what others have left; override `pool` with it."""
    with migrated_database(cluster_url, f"own_{new_hex_id()}") as url:
        opened = open_patient_pool(url, size_max=4)
        yield opened
        opened.close()


@pytest.fixture
def tx(pool: Pool) -> Generator[Transaction]:
    """A transaction that is rolled back when the test ends, however long that thinks between two statements."""
    with lent_connection(pool) as connection:
        connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        yield connection
        connection.rollback()


def with_database(url: str, name: str) -> str:
    """Return the URL with another database name."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{name}"))


def migrate(url: str, revision: str) -> None:
    """Bring a database to a revision."""
    config = Config(str(ROOT / "alembic.ini"))
    config.set_main_option("script_location", str(ROOT / "alembic"))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    if revision == "base":
        command.downgrade(config, "base")
    else:
        command.upgrade(config, revision)
