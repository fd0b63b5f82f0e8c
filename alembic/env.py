"""Runs the migrations: hand-written SQL in versions/, SQLAlchemy only as the engine that holds the connection."""

import os

from alembic import context
from sqlalchemy import create_engine, pool


def migrate() -> None:
    """Apply the revisions to the database that NEPHO_DATABASE_URL names, or to the one the caller configured."""
    url = context.config.get_main_option("sqlalchemy.url") or os.environ["NEPHO_DATABASE_URL"]
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1), poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection, transaction_per_migration=False)
        with context.begin_transaction():
            context.run_migrations()


migrate()
