"""Brings the database that NEPHO_DATABASE_URL names to the present schema; alembic/env.py reads the setting."""

from alembic import command
from alembic.config import Config

from provision.installation import ROOT


def main() -> None:
    """Run the migrations that are missing."""
    command.upgrade(Config(str(ROOT / "alembic.ini")), "head")


if __name__ == "__main__":
    main()
