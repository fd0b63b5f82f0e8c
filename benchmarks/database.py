"""A database for one benchmark: made from the migrations on the cluster of NEPHO_TEST_DATABASE_URL or on one of our own, and dropped."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from alembic import command
from alembic.config import Config
from psycopg import sql

from foundation.ids import new_hex_id

ROOT = Path(__file__).parent.parent


@contextmanager
def fresh_database() -> Generator[str]:
    """Yield the URL of an empty database with the whole schema."""
    given = os.environ.get("NEPHO_TEST_DATABASE_URL")
    if given:
        with migrated(given) as url:
            yield url
        return
    from provision.timescaledb import running_test_cluster

    with running_test_cluster(ROOT / "var") as cluster_url, migrated(cluster_url) as url:
        yield url


@contextmanager
def migrated(cluster_url: str) -> Generator[str]:
    """Make a database on a cluster while the block runs."""
    name = f"bench_{new_hex_id()}"
    identifier = sql.Identifier(name)
    with psycopg.connect(cluster_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(identifier))
    url = urlunsplit(urlsplit(cluster_url)._replace(path=f"/{name}"))
    try:
        config = Config(str(ROOT / "alembic.ini"))
        config.set_main_option("script_location", str(ROOT / "alembic"))
        config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
        command.upgrade(config, "head")
        yield url
    finally:
        with psycopg.connect(cluster_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(identifier))
