"""Brings the database that NEPHO_DATABASE_URL names, or this installation's, to the present schema; alembic/env.py reads the setting."""

import os

from alembic import command
from alembic.config import Config
from sqlalchemy.exc import OperationalError

from entrypoints.installed_database import chosen_settings, get_database_url, give_up
from foundation.settings import Settings
from provision.installation import ROOT


def main() -> None:
    """Run the migrations that are missing; a database that is not there, or refuses us, is one sentence."""
    os.environ["NEPHO_DATABASE_URL"] = get_database_url(chosen_settings(Settings))
    try:
        command.upgrade(Config(str(ROOT / "alembic.ini")), "head")
    except OperationalError as error:
        give_up(f"the database refused it: {str(error.orig).strip().partition(chr(10))[0]}")


if __name__ == "__main__":
    main()
