"""The database that a command works on: the one that the settings name, or this installation's; what is wrong with it is one sentence."""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import NoReturn, TypeVar

import psycopg
from pydantic import ValidationError

from foundation.database import TRANSACTION_TIMEOUT_MS, Pool, open_pool
from foundation.errors import DomainError
from foundation.settings import Settings
from provision.installation import this_installation
from provision.redis_server import SOCKET_NAME, url

GAVE_UP = 2
"""The exit code of a command that could not do what it is for."""

Chosen = TypeVar("Chosen", bound=Settings)


def give_up(sentence: str) -> NoReturn:
    """End the command with a sentence on stderr."""
    print("\n".join(f"nephoscope: {line}" for line in sentence.splitlines()), file=sys.stderr)
    raise SystemExit(GAVE_UP)


def chosen_settings(kind: type[Chosen]) -> Chosen:
    """Read the settings; one that cannot be right ends the command."""
    try:
        return kind()
    except ValidationError as error:
        from entrypoints.preflight import describe_wrong

        give_up(" ".join(describe_wrong(kind, wrong) for wrong in error.errors()))


def find_database_url(settings: Settings) -> str | None:
    """Return the database that the settings name, or the embedded one if it runs."""
    given = settings.database_url.get_secret_value()
    if given:
        return given
    installation = this_installation()
    socket_dir = installation.runtime_dir / "postgresql"
    if not socket_dir.exists():
        return None
    from provision.timescaledb import Cluster

    return Cluster(
        installation.var, installation.var / "postgresql", socket_dir, installation.logs / "postgresql.log"
    ).url()


def servers_of_a_process(name: str) -> dict[str, str]:
    """Return as settings where a process that runs alone finds its servers: as the settings say, else the embedded ones.

    Without a database the command ends, since libpq would look for one of its own on this machine. The scheduler needs none.
    """
    settings = chosen_settings(Settings)
    found = {} if name == "scheduler" else {"NEPHO_DATABASE_URL": get_database_url(settings)}
    folder = this_installation().runtime_dir / "redis"
    if not os.environ.get("NEPHO_REDIS_URL") and (folder / SOCKET_NAME).exists():
        found["NEPHO_REDIS_URL"] = url(folder)
    return found


def get_database_url(settings: Settings) -> str:
    """Return the same; where there is none the command ends."""
    url = find_database_url(settings)
    if url is None:
        give_up("no installation runs here: start `make run`, or set NEPHO_DATABASE_URL")
    return url


@contextmanager
def installed_database(
    settings: Settings, name: str, *, size_max: int = 1, transaction_timeout_ms: int = TRANSACTION_TIMEOUT_MS
) -> Generator[Pool]:
    """Lend a command a pool under its name; what the domain or the database refuses ends the command with the reason."""
    pool = open_pool(
        get_database_url(settings),
        size_max=size_max,
        application_name=f"nephoscope-{name}",
        transaction_timeout_ms=transaction_timeout_ms,
    )
    try:
        yield pool
    except DomainError as error:
        give_up(error.message)
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
        give_up("the database has not the schema that this needs: run `nepho migrate`")
    except psycopg.Error as error:
        give_up(f"the database refused it: {str(error).strip().partition(chr(10))[0]}")
    finally:
        pool.close()
