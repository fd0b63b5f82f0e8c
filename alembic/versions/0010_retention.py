"""When hosts were read, sealed buckets, and what came too late for them."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of completeness and of retention."""
    make_polls()
    make_retention()
    make_sealed_samples()


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP VIEW sealed_sample")
    for table in ("late_sample", "archived_sample", "retention", "poll"):
        op.execute(f"DROP TABLE {table}")


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


def make_retention() -> None:
    """How far the store is sealed, archived and dropped: each boundary is passed only after the one before it."""
    op.execute("""
        CREATE TABLE retention (
            is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
            sealed_until timestamptz NOT NULL DEFAULT 'epoch',
            archiving_until timestamptz NOT NULL DEFAULT 'epoch' CHECK (archiving_until <= sealed_until),
            archived_key bigint NOT NULL DEFAULT 0 CHECK (archived_key >= 0),
            archived_until timestamptz NOT NULL DEFAULT 'epoch' CHECK (archived_until <= archiving_until),
            dropped_until timestamptz NOT NULL DEFAULT 'epoch' CHECK (dropped_until <= archived_until),
            barrier_at timestamptz,
            next_run_at timestamptz NOT NULL DEFAULT 'epoch'
        )
    """)
    op.execute("INSERT INTO retention DEFAULT VALUES")


def make_sealed_samples() -> None:
    """What is kept of samples whose chunk is dropped, and what came for sealed times; both know the transaction that wrote them."""
    op.execute("""
        CREATE TABLE archived_sample (
            metric_key bigint NOT NULL,
            observed_at timestamptz NOT NULL,
            boot_epoch bigint NOT NULL,
            value float8 NOT NULL,
            adopted boolean NOT NULL,
            written_xid xid8 NOT NULL,
            is_evidence boolean NOT NULL,
            PRIMARY KEY (metric_key, observed_at, boot_epoch)
        )
    """)
    op.execute("""
        CREATE TABLE late_sample (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            metric_key bigint NOT NULL,
            observed_at timestamptz NOT NULL,
            boot_epoch bigint NOT NULL CHECK (boot_epoch >= 0),
            value float8 NOT NULL CHECK (value BETWEEN -1e140 AND 1e140),
            adopted boolean NOT NULL,
            is_overwrite boolean NOT NULL,
            received_at timestamptz NOT NULL DEFAULT now(),
            written_xid xid8 NOT NULL DEFAULT pg_current_xact_id()
        )
    """)
    op.execute("""
        CREATE UNIQUE INDEX late_sample_identity ON late_sample (metric_key, observed_at, boot_epoch) WHERE NOT is_overwrite
    """)
    op.execute(
        "CREATE INDEX late_sample_overwrite ON late_sample (metric_key, observed_at, boot_epoch) WHERE is_overwrite"
    )
    op.execute("""
        CREATE VIEW sealed_sample AS
        SELECT metric_key, observed_at, boot_epoch, value, adopted, written_xid FROM archived_sample
        WHERE observed_at < (SELECT archived_until FROM retention)
        UNION ALL
        SELECT metric_key, observed_at, boot_epoch, value, adopted, written_xid FROM late_sample WHERE NOT is_overwrite
    """)
