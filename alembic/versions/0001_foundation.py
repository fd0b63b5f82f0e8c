"""The outbox and the time-series extension."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the outbox: what is due is found by a partial index that holds only what is not handled yet."""
    op.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    op.execute("""
        CREATE TABLE outbox_event (
            id uuid PRIMARY KEY,
            topic text NOT NULL CHECK (topic <> ''),
            key text NOT NULL,
            payload jsonb NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            next_attempt_at timestamptz NOT NULL DEFAULT now(),
            attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
            last_error text,
            handled_at timestamptz
        )
    """)
    op.execute("CREATE INDEX outbox_event_due ON outbox_event (id) WHERE handled_at IS NULL")
    op.execute("CREATE INDEX outbox_event_handled ON outbox_event (handled_at) WHERE handled_at IS NOT NULL")


def downgrade() -> None:
    """Drop the outbox; the extension stays, it may be others' too."""
    op.execute("DROP TABLE outbox_event")
