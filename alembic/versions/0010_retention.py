"""When hosts were read, sealed buckets, and what came too late for them."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of completeness."""
    make_polls()


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP TABLE poll")


def make_polls() -> None:
    """One row a look at a host: when, how often it looks, and when the database heard of it, by the database's own clock."""
    op.execute("""
        CREATE TABLE poll (
            source text NOT NULL CHECK (source <> ''),
            observed_at timestamptz NOT NULL,
            received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            interval_us bigint NOT NULL CHECK (interval_us > 0),
            is_spooled boolean NOT NULL,
            samples bigint NOT NULL CHECK (samples > 0),
            repeated bigint NOT NULL DEFAULT 0 CHECK (repeated BETWEEN 0 AND samples),
            PRIMARY KEY (source, observed_at)
        )
    """)
    op.execute("""
        SELECT create_hypertable('poll', by_range('observed_at', INTERVAL '30 days'), create_default_indexes => false)
    """)
